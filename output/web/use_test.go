package web

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"varde/event"
	"varde/event/query"
)

// TestUse does what a person does, in one browser: each part in a tab of its own.
func TestUse(t *testing.T) {
	browser := startBrowser(t)
	base, s, m := startServer(t, Config{})
	in := func(name string, do func(t *testing.T, b *tab)) {
		t.Run(name, func(t *testing.T) {
			b := newTab(t, browser, base)
			do(t, b)
			b.clean()
		})
	}
	in("links", func(t *testing.T, b *tab) {
		// Whatever the address says is what is shown, and what is changed is what the address says.
		for _, path := range []string{
			"/warnings?from=-7d&group=list", "/warnings?from=-7d&state=open&min=high", "/flows?from=-1d&by=dport&measure=packets",
			"/flows?from=-1d&view=sankey&filter=dst+port+443", "/address/203.0.113.94?from=-7d", "/health", "/?from=-1h",
		} {
			b.open(path)
			if got := eval[string](b, `location.pathname + location.search`); got != path {
				t.Errorf("%s became %s", path, got)
			}
			b.open(path)
			first := eval[string](b, `document.querySelector('main').innerText`)
			b.do(chromedp.Reload())
			b.settle()
			if again := eval[string](b, `document.querySelector('main').innerText`); !alike(first, again) {
				t.Errorf("%s shows something else after a reload:\n%s\n---\n%s", path, first, again)
			}
		}
		b.open("/flows?from=-1d")
		b.do(chromedp.Evaluate[chromedp.Void](`[...document.querySelectorAll('main button')].find((e) => e.innerText === 'packets').click()`))
		b.until(`location.search.includes('measure=packets')`)
		b.do(chromedp.NavigateBack())
		b.until(`!location.search.includes('measure=packets') && location.pathname === '/flows'`)
	})
	in("filter", func(t *testing.T, b *tab) {
		b.open("/flows?from=-1d")
		b.press("/")
		b.until(`document.activeElement.tagName === 'INPUT'`)
		b.press("dst prot 443" + kb.Enter)
		b.until(`document.body.innerText.includes('prot')  && document.querySelector('[role=alert]')`)
		if said := eval[string](b, `document.querySelector('[role=alert]').innerText`); !strings.Contains(said, "^") && !strings.Contains(said, "5") {
			t.Errorf("the error does not show where: %s", said)
		}
		b.allow("400") // the browser notes the refused request
		b.do(chromedp.Evaluate[chromedp.Void](`document.activeElement.select()`))
		b.press("dst port 443" + kb.Enter)
		b.until(`new URLSearchParams(location.search).get('filter') === 'dst port 443'`)
		b.settle()
		b.until(`[...document.querySelectorAll('tbody tr')].length > 5 && [...document.querySelectorAll('tbody tr td:nth-child(6)')].every((c) => c.innerText.endsWith(':443'))`)
	})
	in("warning", func(t *testing.T, b *tab) {
		b.open("/warnings?from=-7d")
		b.do(chromedp.Evaluate[chromedp.Void](`document.querySelector('tbody tr td').click()`))
		b.until(`location.search.includes('id=') && document.querySelector('[aria-label="One incident"]')`)
		b.settle()
		b.accessible()
		b.scheme("light")
		b.shoot("warning-light")
		b.scheme("dark")
		b.shoot("warning-dark")
		if text := eval[string](b, `document.querySelector('[aria-label="One incident"]').innerText`); !strings.Contains(text, "QakBot") && !strings.Contains(text, "203.0.113.94") {
			t.Errorf("the incident says %s", text)
		}
		if !eval[bool](b, `[...document.querySelectorAll('form button')].find((e) => e.innerText === 'Mute').disabled`) {
			t.Error("a mute without a reason is offered")
		}
		b.do(chromedp.Evaluate[chromedp.Void](`document.querySelector('[aria-label=Reason]').focus()`))
		b.press("reinstalled the host")
		b.do(chromedp.Evaluate[chromedp.Void](`[...document.querySelectorAll('form button')].find((e) => e.innerText === 'Acknowledge').click()`))
		b.until(`document.querySelector('[aria-label="One incident"]').innerText.includes('reinstalled the host')`)
		muted := eval[int](b, `document.querySelectorAll('[aria-label="Muted"] tbody tr').length`)
		b.do(chromedp.Evaluate[chromedp.Void](`document.querySelector('[aria-label=Reason]').focus()`))
		b.press("known test")
		b.do(chromedp.Evaluate[chromedp.Void](`[...document.querySelectorAll('form button')].find((e) => e.innerText === 'Mute').click()`))
		b.until(fmt.Sprintf(`document.querySelectorAll('[aria-label="Muted"] tbody tr').length === %d`, muted+1))
		b.do(chromedp.Evaluate[chromedp.Void](`[...document.querySelectorAll('[aria-label="Muted"] tbody tr')].find((r) => r.innerText.includes('known test')).querySelector('button').click()`))
		b.until(fmt.Sprintf(`document.querySelectorAll('[aria-label="Muted"] tbody tr').length === %d`, muted))
	})
	in("live", func(t *testing.T, b *tab) {
		b.open("/warnings?from=-1h")
		i := m.incidents[0]
		i.ID, i.Foreign.Addr, i.Last, i.State = "live-1", netip.MustParseAddr("198.51.100.222"), moment.Add(-time.Second).UnixNano(), event.Opened
		i.Time = i.Last
		m.mu.Lock()
		m.incidents = append([]query.Incident{i}, m.incidents...)
		m.mu.Unlock()
		if err := s.Say(t.Context(), i.Warning); err != nil {
			t.Fatal(err)
		}
		b.until(`document.querySelector('main').innerText.includes('198.51.100.222')`)
	})
	in("keyboard", func(t *testing.T, b *tab) {
		b.open("/")
		seen := map[string]bool{}
		for range 40 {
			b.press(kb.Tab)
			seen[eval[string](b, `document.activeElement.tagName + ' ' + (document.activeElement.getAttribute('aria-label') || document.activeElement.innerText || '').trim().slice(0, 30)`)] = true
			if !eval[bool](b, `document.activeElement === document.body || (() => { const e = document.activeElement, s = getComputedStyle(e); return s.outlineStyle !== 'none' || s.boxShadow !== 'none' || e.matches('svg *') })()`) {
				t.Errorf("focus is not seen on %s", eval[string](b, `document.activeElement.outerHTML.slice(0, 200)`))
			}
		}
		for _, want := range []string{"A Warnings", "A Flows", "A Health"} {
			found := false
			for s := range seen {
				found = found || strings.HasPrefix(s, want)
			}
			if !found {
				t.Errorf("the tab key does not reach %q: %v", want, seen)
			}
		}
	})
	in("narrow", func(t *testing.T, b *tab) {
		b.do(chromedp.EmulateViewport(390, 844))
		for _, p := range shownPages {
			b.open(p.path)
			b.until(p.shows)
			if wide := eval[int](b, `document.documentElement.scrollWidth`); wide > 390 {
				t.Errorf("%s is %d wide in a window of 390", p.path, wide)
			}
			if p.name == "overview" {
				b.shoot("overview-narrow")
			}
		}
	})
}

// alike compares what two loads show without numbers, which go on.
func alike(a, b string) bool {
	drop := func(r rune) rune {
		if r >= '0' && r <= '9' || r == ' ' || r == '.' {
			return -1
		}
		return r
	}
	return strings.Map(drop, a) == strings.Map(drop, b)
}

func (b *tab) press(keys string) {
	b.t.Helper()
	b.do(chromedp.KeyEvent(keys))
}

// allow expects complaints that contain a text.
func (b *tab) allow(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.allowed = text
	var left []string
	for _, w := range b.wrong {
		if !strings.Contains(w, text) {
			left = append(left, w)
		}
	}
	b.wrong = left
}
