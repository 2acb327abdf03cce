package syslog

import (
	"bytes"
	"os"
	"testing"
	"time"
)

// FuzzParse: whatever comes, nothing is made up. The parts are pieces of the line in their order, the text is its end,
// the time is near or told, and a second look gives the same.
func FuzzParse(f *testing.F) {
	in, err := os.ReadFile("testdata/envelopes.txt")
	if err != nil {
		f.Fatal(err)
	}
	for line := range bytes.Lines(in) {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		p := NewParser(berlin)
		var l, again Line
		ok := p.Parse(line, received, &l)
		if !ok && (l.Priority >= 0 || len(l.Host)+len(l.Tag)+len(l.PID) > 0 || !bytes.Equal(l.Body, l.Raw) || l.Source != Arrival) {
			t.Fatalf("no envelope, and yet: %+v", l)
		}
		if l.Source == Arrival && !l.Time.Equal(received) || l.Priority > 191 || l.Priority < -1 {
			t.Fatalf("%+v", l)
		}
		if l.Source == NoYear && (l.Time.After(received.Add(25*time.Hour)) || l.Time.Before(received.AddDate(-9, 0, 0))) {
			t.Fatalf("year of %s", l.Time)
		}
		if len(line) > 0 && line[0] != '{' {
			if !bytes.HasSuffix(l.Raw, l.Body) || !bytes.HasSuffix(l.Text, l.Body) {
				t.Fatalf("text %q and body %q are no end of %q", l.Text, l.Body, l.Raw)
			}
			for _, part := range [][]byte{l.Host, l.Tag, l.PID, l.MsgID, l.Data} {
				if !bytes.Contains(l.Raw, part) {
					t.Fatalf("%q is not in %q", part, l.Raw)
				}
			}
		}
		before := l
		before.Body = bytes.Clone(l.Body)
		if p.Parse(line, received, &again) != ok || !again.Time.Equal(l.Time) || !bytes.Equal(again.Body, before.Body) {
			t.Fatalf("first %+v, then %+v", before, again)
		}
		p.Anchor(received)
		p.Parse(line, received, &again)
		y := NewYears(berlin)
		y.Line(line)
		y.First(received)
	})
}
