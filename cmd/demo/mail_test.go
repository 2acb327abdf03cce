package demo

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"varde/event"
	"varde/input/mailgw"
)

// TestLetters: what the demo tells of a letter is what varde reads out of the line that the demo writes of it.
func TestLetters(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	at := time.Date(2026, 11, 20, 14, 0, 0, 0, time.UTC)
	seen := map[string]int{}
	log := mailgw.NewMailLog()
	for i := range 3000 {
		l := newLetter(r, at.Add(time.Duration(i)*time.Second))
		want := l.event()
		want.Country, want.End = "", 0 // which a log does not tell
		seen[want.Detail.Get("verdict")]++
		said := false
		line := l.line()
		log.Line([]byte(line[:len(line)-1]), l.at, func(e *event.Event) {
			said = true
			got := e.Clone()
			if d := cmp.Diff(details(&want), details(&got)); d != "" {
				t.Fatalf("%s%s", line, d)
			}
			if want.Src != got.Src || want.Action != got.Action || want.Rule != got.Rule || want.Source != got.Source || want.Exporter != got.Exporter || want.Time != got.Time || want.Session != got.Session {
				t.Fatalf("%s\nis told as %+v\nand read as %+v", line, want, got)
			}
		})
		if !said {
			t.Fatalf("nothing is read out of %s", line)
		}
	}
	if len(seen) < 7 || seen["clean"] < 1000 || seen["rejected"] < 300 || seen["spam"] < 100 {
		t.Errorf("verdicts are %v", seen)
	}
}

func details(e *event.Event) map[string]string {
	m := map[string]string{}
	for _, d := range e.Detail {
		m[d.Key] = d.Value
	}
	delete(m, "helo") // a client says that only to the log
	return m
}
