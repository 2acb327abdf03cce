package web

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"varde/event"
)

// TestUseMail does with the page Mail what a person does.
func TestUseMail(t *testing.T) {
	browser := startBrowser(t)
	base, s, _ := startServer(t, Config{})
	b := newTab(t, browser, base)
	b.open("/")
	b.press("gm")
	b.until(`location.pathname === '/mail' && document.querySelectorAll('.verdicts a').length > 5`)
	b.settle()
	said := eval[string](b, `document.querySelector('main').innerText`)
	for _, want := range []string{"the connection is refused", "not known", "2 versions older than the disk", "spam check", "Senders refused most", "Html.Phishing"} {
		if !strings.Contains(said, want) {
			t.Errorf("the page does not say %q:\n%s", want, said)
		}
	}
	click := func(find string) { b.do(chromedp.Evaluate[chromedp.Void](find + `.click()`)) }
	table := `[...document.querySelectorAll('section')].find((e) => e.ariaLabel.startsWith('The newest messages'))`
	click(`[...document.querySelectorAll('.legend a')].find((e) => e.innerText === 'spam')`)
	b.until(`new URLSearchParams(location.search).get('verdict') === 'spam'`)
	b.settle()
	b.until(`[...` + table + `.querySelectorAll('tbody tr td:nth-child(2)')].every((e) => e.innerText === 'spam')`)
	if !eval[bool](b, `document.querySelector('#messages').getBoundingClientRect().top < innerHeight / 2`) {
		t.Error("the link to the rows does not lead there")
	}
	click(`[...document.querySelectorAll('section')].find((e) => e.ariaLabel === 'Senders refused most').querySelector('tbody a')`)
	b.until(`new URLSearchParams(location.search).get('sender') === 'anna@example.org' && !location.search.includes('verdict')`)
	b.settle()
	b.until(`[...` + table + `.querySelectorAll('tbody tr td:nth-child(4)')].every((e) => e.innerText === 'anna@example.org')`)
	click(`[...document.querySelectorAll('.seg a')].find((e) => e.innerText === 'log')`)
	b.until(`location.search.includes('by=log') && document.querySelector('.hint').innerText.includes('counted in the log')`)
	b.accessible()
	click(`[...document.querySelectorAll('a')].find((e) => e.innerText === 'What SNMP shows')`)
	b.until(`location.search.includes('snmp=all') && document.querySelectorAll('#objects tbody tr').length === 7`)
	b.do(chromedp.Evaluate[chromedp.Void](`(() => { const e = document.querySelector('#objects input'); e.value = 'spam'; e.dispatchEvent(new Event('change', {bubbles: true})) })()`))
	b.until(`location.search.includes('snmp=spam') && document.querySelectorAll('#objects tbody tr').length === 1 && document.querySelector('#objects tbody').innerText.includes('amContentSpamMsgs.0')`)
	b.accessible()
	click(`[...document.querySelectorAll('section')].find((e) => e.ariaLabel === 'Clients refused most').querySelector('tbody td.num a')`)
	b.until(`location.pathname === '/flows' && location.search.includes('kind+mail+and+action+deny') && document.body.innerText.includes('verdict rejected')`)

	// The picture of a Fireplot is where its link says.
	b.open("/fireplot?from=-6h&palette=light&ports=20-9000")
	if got := eval[string](b, `fetch([...document.querySelectorAll('a')].find((e) => e.innerText === 'PNG').href).then((r) => r.status + ' ' + r.headers.get('Content-Type'))`); got != "200 image/png" {
		t.Errorf("the link to the picture gives %s", got)
	}
	b.clean()

	// Without a gateway the page says what to write where.
	s.deps.Store, s.deps.Parts = &memStore{}, []Part{{"none", figuresFunc(func() []event.Figure { return nil })}}
	b.open("/mail")
	b.until(`document.querySelectorAll('pre').length === 2`)
	if text := eval[string](b, `document.querySelector('pre').innerText`); text != "mail:\n  amavis: {dir: /var/lib/amavis/db}\n  postfix: {queue_dir: /var/spool/postfix}" {
		t.Errorf("the page says to write\n%s", text)
	}
	b.accessible()
	b.clean()
}
