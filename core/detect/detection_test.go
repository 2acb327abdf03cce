package detect

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"varde/event"
)

var (
	update = flag.Bool("update", false, "write the table of docs/detection.md")
	long   = flag.Bool("long", false, "simulate seven weeks rather than two, with more of everything hidden")
	seed   = flag.Uint64("seed", 0, "seed of the simulator, 0 for a new one")
)

// outcome is what the detectors said of one simulated site.
type outcome struct {
	site        string
	days        int
	events      int
	labels      []*label
	falseSurges int
	falseScans  map[string]int
}

// simulate runs a site past both detectors.
func simulate(s site, seed uint64, train, test int) *outcome {
	m := newSimulator(s, seed)
	start := simBegin + int64(train)*simDay
	m.hideSurges(start, test)
	m.hideScans(start, test-2)
	ground := NewGround(DefaultGround(), nil)
	ground.size, ground.hasOwn = 1<<(32-s.own.Bits()), true
	scans, surges := NewScans(DefaultScan(), ground, nil), NewSurges(DefaultSurge(), ground)
	o := &outcome{site: s.name, days: test, labels: m.labels, falseScans: map[string]int{}}
	hear := func(w event.Warning) {
		if w.State == event.Opened && w.Time >= start {
			o.hear(&w)
		} else if w.State == event.Escalated {
			o.escalate(&w)
		}
	}
	for m.now < start+int64(test)*simDay {
		m.step(func(e *event.Event) {
			o.events++
			ground.Judge(e)
			if w := scans.Judge(e); w != nil {
				hear(*w)
			}
			if w := surges.Judge(e); w != nil {
				hear(*w)
			}
		})
		scans.Sweep(m.now, hear)
		surges.Sweep(m.now, hear)
	}
	return o
}

// hear finds the label that a warning is about, or counts it as false.
func (o *outcome) hear(w *event.Warning) {
	for _, l := range o.labels {
		if w.Time < l.start || w.Time > l.end+int64(6*time.Hour) || !l.matches(w) {
			continue
		}
		if l.found == 0 && w.Time <= l.end {
			l.found = w.Time
			if w.Scan != nil {
				l.as = w.Scan.Pattern
			}
		}
		return
	}
	if w.Surge != nil {
		o.falseSurges++
	} else {
		o.falseScans[w.Scan.Pattern]++
	}
}

// escalate notes that a scan has become another.
func (o *outcome) escalate(w *event.Warning) {
	for _, l := range o.labels {
		if w.Scan != nil && l.found != 0 && l.matches(w) {
			l.as = w.Scan.Pattern
		}
	}
}

func (l *label) matches(w *event.Warning) bool {
	if w.Surge != nil {
		return l.source == 0 && l.port == portKey(w.Proto, w.Own.Port)
	}
	if l.source == 0 || len(w.Scan.From) == 0 {
		return false
	}
	from := w.Scan.From[0].Addr()
	return sourceKey(from) == l.source || neighbours(from) == l.source
}

// kinds are the rows of the table.
func kinds() (out []string) {
	for _, k := range surgeKinds {
		out = append(out, k.name)
	}
	for _, k := range scanKinds {
		out = append(out, k.name)
	}
	return out
}

// of gives the labels of a kind, how many were found and called by their name, and the delays.
func (o *outcome) of(kind string) (all, named int, delays []time.Duration) {
	for _, l := range o.labels {
		if l.kind != kind {
			continue
		}
		all++
		if l.found != 0 {
			delays = append(delays, time.Duration(l.found-l.start))
		}
		named += b2i(l.as == kind)
	}
	slices.Sort(delays)
	return all, named, delays
}

func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	return d[min(int(q*float64(len(d))), len(d)-1)]
}

// table is what docs/detection.md shows.
func table(seed uint64, all []*outcome) string {
	var b strings.Builder
	for _, o := range all {
		fmt.Fprintf(&b, "**The %s site**, seed %d, %d days, %d probes a day:\n\n", o.site, seed, o.days, o.events/(o.days+trainDays()))
		b.WriteString("| hidden | found | called by its name | median delay | 90th percentile |\n|---|---|---|---|---|\n")
		for i, kind := range kinds() {
			n, named, delays := o.of(kind)
			name := "–"
			if i >= len(surgeKinds) {
				name = fmt.Sprint(named)
			}
			fmt.Fprintf(&b, "| %s | %d of %d | %s | %s | %s |\n", kind, len(delays), n, name, span(quantile(delays, 0.5)), span(quantile(delays, 0.9)))
		}
		patterns := make([]string, 0, len(o.falseScans))
		total := 0
		for p, n := range o.falseScans {
			patterns = append(patterns, fmt.Sprintf("%s %d", p, n))
			total += n
		}
		slices.SortFunc(patterns, cmp.Compare[string])
		fmt.Fprintf(&b, "\nFalse alarms a day: surges %.2f (%d in all), scans %.2f", float64(o.falseSurges)/float64(o.days), o.falseSurges, float64(total)/float64(o.days))
		if total > 0 {
			fmt.Fprintf(&b, " (%s)", strings.Join(patterns, ", "))
		}
		b.WriteString(".\n\n")
	}
	return b.String()
}

func span(d time.Duration) string {
	if d == 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f min", d.Minutes())
}

func trainDays() int {
	if *long {
		return 21
	}
	return 8
}

// TestDetection hides surges and scans in the background of two sites and counts what is found, how late, and what is
// said for nothing. The full table takes a few minutes: go test ./core/detect -run TestDetection -v -long -update
func TestDetection(t *testing.T) {
	if testing.Short() {
		t.Skip("simulates two weeks of two sites")
	}
	from := *seed
	if from == 0 {
		from = rand.Uint64N(1_000_000) + 1
	}
	t.Logf("seed %d; repeat with -seed %d", from, from)
	days, surges, scans := 8, 16, 8
	if *long {
		days, surges, scans = 28, 40, 40
	}
	var all []*outcome
	for _, s := range []site{quietSite, busySite} {
		s.scanners, s.surges = scans, surges
		all = append(all, simulate(s, from, trainDays(), days))
	}
	text := table(from, all)
	t.Log("\n" + text)
	quiet, busy := all[0], all[1]
	for _, o := range all {
		if _, _, d := o.of(surgeKinds[0].name); len(d) < surges-1 || quantile(d, 0.5) > 15*time.Minute {
			t.Errorf("%s site: %d of %d surges like 7547 found, median delay %v; want all but one, within 15m", o.site, len(d), surges, quantile(d, 0.5))
		}
		if _, _, d := o.of(surgeKinds[1].name); len(d) < surges*8/10 || quantile(d, 0.5) > 4*time.Hour {
			t.Errorf("%s site: %d of %d surges like 37777 found, median delay %v; want 8 of 10, within 4h", o.site, len(d), surges, quantile(d, 0.5))
		}
		for _, k := range scanKinds {
			if n, named, d := o.of(k.name); len(d) < n*8/10 || named < n*7/10 {
				t.Errorf("%s site: %d of %d %s scans found, %d by their name", o.site, len(d), n, k.name, named)
			}
		}
	}
	if perDay := float64(busy.falseSurges) / float64(days); perDay >= 1 {
		t.Errorf("%.2f false surges a day on the busy site, want less than one", perDay)
	}
	if perDay := float64(quiet.falseSurges) / float64(days); perDay >= 0.5 {
		t.Errorf("%.2f false surges a day on the quiet site, want less than one in two days", perDay)
	}
	if *update {
		writeTable(t, text)
	}
}

// writeTable puts the table between the marks of the manual's page.
func writeTable(t *testing.T, text string) {
	t.Helper()
	const path, begin, end = "../../docs/detection.md", "<!-- figures -->\n", "<!-- end of figures -->"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := bytes.Cut(page, []byte(begin))
	_, after, ok2 := bytes.Cut(rest, []byte(end))
	if !ok1 || !ok2 {
		t.Fatalf("%s: no place for the table", path)
	}
	page = slices.Concat(before, []byte(begin), []byte(text), []byte(end), after)
	if err := os.WriteFile(path, page, 0o644); err != nil {
		t.Fatal(err)
	}
}
