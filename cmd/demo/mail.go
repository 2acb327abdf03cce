package demo

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"varde/event"
)

// mailLog is the log of the sample network's mail gateway, in the folder of the demo.
const mailLog = "mail.log"

// How much mail there is: live every so often, and in the history so many an hour in the mean.
const (
	letterEvery = 15 * time.Second
	lettersHour = 120
)

// letter is one message, or the try to send one.
type letter struct {
	at      time.Time
	client  netip.Addr
	country string
	sender  int
	to      string
	content int // of letterContents; refused is below it
	size    int
	id      int
}

// refusedLetter is the content of a letter that Postfix did not even take.
const refusedLetter = -1

// letterContents are amavis's words for what is in a message, in its log and in its counters, and of a hundred how many are so.
var letterContents = [...]struct {
	verdict, key, flow string
	share              int
	passed             bool
}{
	{"CLEAN", "clean", "RelayedInbound", 58, true},
	{"SPAM", "spam", "DiscardedInbound,Quarantined", 27, false},
	{"SPAMMY", "spammy", "RelayedTaggedInbound", 7, true},
	{"INFECTED (Win.Test.EICAR_HDB-1)", "virus", "DiscardedInbound,Quarantined", 1, false},
	{"BANNED (.exe,invoice.pdf.exe)", "banned", "DiscardedInbound,Quarantined", 2, false},
	{"BAD-HEADER-2", "bad_header", "RelayedInbound", 3, true},
	{"UNCHECKED-ENCRYPTED", "unchecked", "RelayedInbound", 2, true},
	{"OVERSIZED", "oversized", "RelayedInbound", 0, true},
	{"MTA-BLOCKED", "mta_failed", "TempFailedInbound", 0, true},
}

var letterSenders = [...]struct{ address, subject string }{
	{"anna@example.org", "Minutes of Thursday"},
	{"news@shop.example", "Your order 48213 is on its way"},
	{"billing@invoice.example", "Invoice 2026-118"},
	{"info@pills.example", "RE: RE: limited offer"},
	{"root@backup.example", "nightly run: 0 errors"},
	{"ceo@examp1e.org", "Wire transfer, urgent"},
	{"", "Undelivered Mail Returned to Sender"},
}

const letterBlocked = "554 5.7.1 Service unavailable; Client host [%s] blocked using zen.example"

// newLetter makes up one. A third is refused at the door; who sends what is as likely as it is in life.
func newLetter(r *rand.Rand, at time.Time) letter {
	sender := min(int(math.Abs(r.NormFloat64())*2.6), len(letterSenders)-1)
	client := outsider(sender*23 + r.IntN(11))
	l := letter{
		at: at, client: client, country: []string{"NO", "DE", "US", "VN", "NL", "BR", "SE"}[sender], sender: sender,
		to: []string{"post", "anna", "office"}[r.IntN(3)] + "@example.net", size: 900 + int(r.ExpFloat64()*30_000), id: r.IntN(90_000) + 10_000,
	}
	x := r.IntN(100)
	for i := range letterContents {
		if x -= letterContents[i].share; x < 0 {
			l.content = i
			break
		}
	}
	if suspect := sender == 2 || sender == 3 || sender == 5; r.IntN(3) == 0 && suspect || r.IntN(9) == 0 {
		l.content = refusedLetter
	} else if !suspect && letterContents[l.content].key == "spam" {
		l.content = 0
	}
	return l
}

// event is the letter as the log of the gateway tells it.
func (l *letter) event() event.Event {
	e := event.Event{
		Kind: event.Mail, Proto: event.TCP, Source: "postfix", Exporter: "mail", Action: event.Deny, Src: l.client, Country: l.country,
		Time: l.at.UnixNano(), End: l.at.UnixNano(), Received: l.at.UnixNano(), Rule: fmt.Sprintf(letterBlocked, l.client),
	}
	verdict := "rejected"
	if l.content != refusedLetter {
		c := &letterContents[l.content]
		e.Source, e.Rule, verdict = "amavis", c.flow, lower(c.verdict)
		e.Session = fmt.Sprintf("%d-%02d", l.id, l.id%20)
		if c.passed {
			e.Action = event.Accept
		}
		e.Detail.Set("subject", letterSenders[l.sender].subject)
		e.Detail.Set("size", fmt.Sprint(l.size))
	}
	e.Detail.Set("from", letterSenders[l.sender].address)
	e.Detail.Set("to", l.to)
	e.Detail.Set("verdict", verdict)
	return e
}

// lower is a verdict as events have it: the names in brackets stay as they are.
func lower(verdict string) string {
	b := []byte(verdict)
	for i, c := range b {
		if c == ' ' {
			break
		}
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// line is the letter as it stands in the log.
func (l *letter) line() string {
	stamp, from := l.at.Format(time.RFC3339), letterSenders[l.sender].address
	if l.content == refusedLetter {
		return fmt.Sprintf("%s mail postfix/smtpd[2121]: NOQUEUE: reject: RCPT from unknown[%s]: "+letterBlocked+"; from=<%s> to=<%s> proto=ESMTP helo=<client.example>\n",
			stamp, l.client, l.client, from, l.to)
	}
	c := &letterContents[l.content]
	did := "Blocked"
	if c.passed {
		did = "Passed"
	}
	return fmt.Sprintf("%s mail amavis[2141]: (%05d-%02d) %s %s {%s}, [%s] [%s] <%s> -> <%s>, Message-ID: <%d@client.example>, mail_id: x%d, Hits: 1.2, size: %d, Subject: \"%s\", 238 ms\n",
		stamp, l.id, l.id%20, did, c.verdict, c.flow, l.client, l.client, from, l.to, l.id, l.id, l.size, letterSenders[l.sender].subject)
}

// letters is one hour of mail of the history.
func letters(r *rand.Rand, at time.Time, emit func(*event.Event)) {
	for range int(lettersHour * (1 + 0.7*math.Sin(float64(at.Hour()-8)*math.Pi/12))) {
		l := newLetter(r, at.Add(time.Duration(r.Int64N(int64(time.Hour)))))
		e := l.event()
		emit(&e)
	}
}

// Gateway is the mail gateway of the sample network: it writes its log, and has the figures that amavis, Postfix and a virus
// scanner would have.
type Gateway struct {
	now func() time.Time

	mu     sync.Mutex
	counts [len(letterContents)]uint64
}

// NewGateway is a gateway that has worked for some days.
func NewGateway() *Gateway {
	g := &Gateway{now: time.Now}
	for i, c := range letterContents {
		g.counts[i] = uint64(c.share) * 610
	}
	return g
}

// Run writes the log into the folder until ctx ends.
func (g *Gateway) Run(ctx context.Context, dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, mailLog), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	r := rand.New(rand.NewPCG(25, uint64(g.now().UnixNano())))
	tick := time.NewTicker(letterEvery / 5)
	defer tick.Stop()
	for {
		if r.IntN(5) == 0 {
			l := newLetter(r, g.now())
			if _, err := f.WriteString(l.line()); err != nil {
				return err
			}
			if l.content != refusedLetter {
				g.mu.Lock()
				g.counts[l.content]++
				g.mu.Unlock()
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Figures are what the gateway has counted.
func (g *Gateway) Figures(context.Context) ([]event.Figure, error) {
	var out []event.Figure
	for _, name := range []string{"amavis", "clamav", "postfix"} {
		out = append(out, event.Measure("varde_mail_source_up", "Whether a source could be read when it was last asked.", "", 1, "source", name),
			event.Count("varde_mail_source_errors_total", "How often a source could not be read.", 0, "source", name))
	}
	var all uint64
	g.mu.Lock()
	for i, c := range letterContents {
		all += g.counts[i]
		out = append(out, event.Count("amavis_messages_all_total", "Messages by content, over all flows.", g.counts[i], "content", c.key))
	}
	virus := g.counts[3]
	g.mu.Unlock()
	out = append(out, event.Count("amavis_received_all_total", "Messages received, over all flows.", all),
		event.Count("amavis_virus_total", "Messages with a virus, by its name.", virus, "name", "Win.Test.EICAR_HDB-1"))
	for _, s := range []struct {
		name string
		ms   uint64
	}{{"receiving", 38}, {"decoding", 91}, {"viruscheck", 204}, {"spamcheck", 880}, {"sending", 52}, {"total", 1265}} {
		f := event.Count("amavis_stage_seconds_total", "Time spent, by stage of the work.", all*s.ms, "stage", s.name)
		f.Unit, f.Scale = "seconds", 0.001
		out = append(out, f)
	}
	wave := math.Sin(float64(g.now().Unix()) / 97)
	busy := math.Round(2 + 1.4*wave)
	out = append(out, event.Measure("amavis_processes", "Processes of amavis, by what they do.", "", 10-busy, "state", "idle"),
		event.Measure("amavis_processes", "Processes of amavis, by what they do.", "", busy, "state", "busy"),
		event.Measure("amavis_processes_busy", "Busy processes, by what they are busy with.", "", busy, "activity", "spam"),
		event.Measure("amavis_busy_oldest_seconds", "For how long the busiest process has been at its present stage.", "seconds", 0.7+busy/2),
		event.Count("amavis_processes_gone_total", "Processes that ended without a word, since varde started.", 0))
	for _, q := range []struct {
		name            string
		messages, since float64
	}{{"maildrop", 0, 0}, {"incoming", 1, 2}, {"active", busy, 6}, {"deferred", math.Round(31 + 6*wave), 93_000}, {"hold", 2, 400_000}} {
		out = append(out, event.Measure("postfix_queue_known", "Whether the size of a queue is known.", "", 1, "queue", q.name),
			event.Measure("postfix_queue_messages", "Messages in a queue.", "", q.messages, "queue", q.name),
			event.Measure("postfix_queue_bytes", "Bytes in a queue.", "bytes", q.messages*31_000, "queue", q.name),
			event.Measure("postfix_queue_oldest_age_seconds", "Age of the oldest message in a queue.", "seconds", q.since, "queue", q.name))
	}
	out = append(out, event.Measure("postfix_queue_known", "Whether the size of a queue is known.", "", 0, "queue", "corrupt"))
	for _, s := range []struct {
		database string
		age      time.Duration
	}{{"main", 410 * 24 * time.Hour}, {"daily", 7 * time.Hour}, {"bytecode", 160 * 24 * time.Hour}} {
		l := []string{"scanner", "clamav", "database", s.database}
		out = append(out, event.Measure("antivirus_known", "Whether it can be told how old the signatures are.", "", 1, l...),
			event.Measure("antivirus_signatures_age_seconds", "Time since the signatures were made.", "seconds", s.age.Seconds(), l...))
	}
	return append(out, event.Measure("clamd_up", "Whether clamd answers.", "", 1),
		event.Measure("clamd_lag_versions", "Versions of daily that the running clamd is behind the disk.", "", 1)), nil
}
