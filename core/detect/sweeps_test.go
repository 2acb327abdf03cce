package detect

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"varde/event"
)

// TestSweepIsOfThePort: two hundred sources sweep a port, which is one warning that grows; a third port of a sweeper
// belongs to nothing, and who goes on to many ports has a scan of its own.
func TestSweepIsOfThePort(t *testing.T) {
	s := newScans(t)
	var said []event.Warning
	at := time.Duration(0)
	take := func(src string, dst, port int, change func(*event.Event)) {
		at += 10 * time.Second
		e := denied(at, src, fmt.Sprintf("192.0.2.%d", dst), port)
		change(e)
		said = append(said, judge(s, []*event.Event{e})...)
	}
	nothing := func(*event.Event) {}
	for i := range 200 {
		src := fmt.Sprintf("203.0.%d.%d", i, i)
		for dst := range 4 {
			take(src, 1+dst, 7547, nothing)
		}
		take(src, 9, 23, nothing)
		if i == 120 {
			take(src, 9, 7547, func(e *event.Event) { e.Kind, e.Action = event.Flow, event.Accept })
			take("198.51.100.77", 9, 7547, func(e *event.Event) { e.Kind, e.Action = event.Flow, event.Accept }) // who sweeps nothing
		}
	}
	for i := range 20 {
		take("203.0.199.199", 1, 9000+i, nothing)
	}
	s.Sweep(t0+int64(at+23*time.Hour), func(w event.Warning) {
		if w.Scan.Pattern == "horizontal" {
			t.Error("the sweep is closed too early")
		}
	})
	s.Sweep(t0+int64(at+25*time.Hour), func(w event.Warning) { said = append(said, w) })
	var got []string
	for _, w := range said {
		got = append(got, fmt.Sprintf("%v %v %s by %d: %s", w.State, w.Severity, w.Scan.Pattern, w.Scan.Sources, w.Why))
	}
	want := []string{
		"opened info horizontal by 1: a horizontal scan of tcp/7547 (TR-069) on 4 addresses in 30 s, 6 a minute",
		"escalated info horizontal by 10: 10 sources make a horizontal scan of tcp/7547 (TR-069) on 4 addresses in 8 min, 5 a minute; again: 10 times the sources since it was last said",
		"escalated info horizontal by 100: about 100 sources make a horizontal scan of tcp/7547 (TR-069) on 4 addresses",
		"escalated low horizontal by 122: about 122 sources", // which are 121
		"opened low block by 1: a block scan of 15 ports from 23 to 9012 on 5 addresses",
		"closed low horizontal by 198: about 198 sources",
	}
	if len(got) != len(want) || !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("said\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, w := range said {
		if sweep := w.Scan.Pattern == "horizontal"; sweep && (w.ID != said[0].ID || w.Own.Port != 7547 || w.Foreign.Addr.IsValid() != (w.Scan.Sources == 1)) || !sweep && w.ID == said[0].ID {
			t.Errorf("%s %s: own port %d, foreign %v", w.ID, w.Why, w.Own.Port, w.Foreign.Addr)
		}
	}
	if last := said[len(said)-1]; last.Count != 800 || len(last.Scan.From) != exact {
		t.Errorf("%d probes by %d that are named, want 800 by %d", last.Count, len(last.Scan.From), exact)
	}
}
