package mailgw

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"varde/event"
)

var update = flag.Bool("update", false, "write the golden files anew")

// received is when the sample lines came.
var received = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func eventsOf(m *MailLog, log []byte) string {
	var out bytes.Buffer
	for line := range bytes.Lines(log) {
		m.Line(bytes.TrimSuffix(line, []byte("\n")), received, func(e *event.Event) {
			out.Write(e.AppendJSON(nil))
			out.WriteByte('\n')
		})
	}
	return out.String()
}

func TestMailLogGolden(t *testing.T) {
	for _, name := range []string{"postfix", "amavis"} {
		log, err := os.ReadFile("testdata/" + name + ".log")
		if err != nil {
			t.Fatal(err)
		}
		got := eventsOf(NewMailLog(), log)
		golden := "testdata/" + name + ".golden"
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), got); d != "" {
			t.Errorf("%s:\n%s", golden, d)
		}
	}
}

// TestStrangersCannotNameOthers holds the addresses of events to what Postfix and amavis say themselves.
func TestStrangersCannotNameOthers(t *testing.T) {
	for _, line := range []string{
		`Nov 23 09:20:02 mx amavis[77]: (00077-04) Blocked BANNED (a) {x}, [198.51.100.66] <e@x.test> -> <x@x.test>, .exe) {DiscardedInbound}, [203.0.113.9] <a@x.test> -> <b@x.test>, size: 68, 12 ms`,
		`Nov 23 09:20:02 mx amavis[77]: (00077-04) Passed CLEAN {RelayedInbound}, [203.0.113.9] <[198.51.100.66]@x.test> -> <b@x.test>, Message-ID: <x> [198.51.100.66] <a> -> <b>, size: 68, 12 ms`,
		`Nov 23 09:10:06 mx postfix/cleanup[4]: 0515198C3B2: reject: header Subject: pay from x[198.51.100.66]: 1; from=<x> now from unknown[203.0.113.9]; from=<a@x.test> to=<b@x.test> proto=ESMTP helo=<h>: 5.7.1 no`,
		`Nov 23 09:10:04 mx postfix/smtpd[3]: NOQUEUE: reject: RCPT from unknown[203.0.113.9]: 554 5.7.1 <x>: denied; from=<x from y[198.51.100.66]> to=<b@x.test> proto=ESMTP helo=<[198.51.100.66]>`,
	} {
		said := 0
		NewMailLog().Line([]byte(line), received, func(e *event.Event) {
			said++
			if s := e.Src.String(); e.Src.IsValid() && s != "203.0.113.9" {
				t.Errorf("source %s from %s", s, line)
			}
		})
		if said != 1 {
			t.Errorf("%d events from %s", said, line)
		}
	}
}

func TestMailLogForgetsWithinBounds(t *testing.T) {
	m := NewMailLog()
	for i := range maxMessages + 1000 {
		m.Line(fmt.Appendf(nil, "Nov 23 08:49:46 mx postfix/smtpd[1]: %011X: client=x[192.0.2.1]", i), received, func(*event.Event) {})
	}
	if len(m.messages) != maxMessages || m.forgotten != 1000 {
		t.Errorf("%d remembered, %d forgotten; want %d and 1000", len(m.messages), m.forgotten, maxMessages)
	}
	var src string
	last := fmt.Sprintf("%011X", maxMessages+999)
	m.Line([]byte("Nov 23 08:49:46 mx postfix/smtp[1]: "+last+": to=<b@x.test>, relay=none, delay=1, dsn=4.4.1, status=deferred (x)"), received,
		func(e *event.Event) { src = e.Src.String() })
	if src != "192.0.2.1" {
		t.Errorf("the newest message is from %q, want 192.0.2.1", src)
	}
}

func TestYearOfLines(t *testing.T) {
	for _, c := range []struct{ now, line, want string }{
		{"2026-01-01T00:10:00Z", "Dec 31 23:59:59 mx p: x", "2025-12-31T23:59:59Z"},
		{"2026-03-01T00:10:00Z", "Feb 29 23:59:59 mx p: x", ""},
		{"2024-03-01T00:10:00Z", "Feb 29 23:59:59 mx p: x", "2024-02-29T23:59:59Z"},
		{"2026-01-01T00:10:00Z", "Jan  1 00:11:00 mx p: x", "2026-01-01T00:11:00Z"},
	} {
		now, err := time.Parse(time.RFC3339, c.now)
		if err != nil {
			t.Fatal(err)
		}
		l, ok := parseLogLine(c.line, now)
		if got := l.when.Format(time.RFC3339); ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%s at %s: %s %v, want %s", c.line, c.now, got, ok, c.want)
		}
	}
}

func TestLongLineIsCutAndCounted(t *testing.T) {
	m := NewMailLog()
	m.Line([]byte("Nov 23 08:49:46 mx postfix/smtp[1]: 0298398C3B5: to=<"+strings.Repeat("x", 2*maxLogLine)), received, func(*event.Event) {
		t.Error("an event from a line without an end")
	})
	if m.cut != 1 {
		t.Errorf("%d lines cut, want 1", m.cut)
	}
}

func BenchmarkMailLog(b *testing.B) {
	log, err := os.ReadFile("testdata/postfix.log")
	if err != nil {
		b.Fatal(err)
	}
	lines := bytes.Split(log, []byte("\n"))
	m := NewMailLog()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		m.Line(lines[i%len(lines)], received, func(*event.Event) {})
	}
}
