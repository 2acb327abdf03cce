package warn

import (
	"strconv"
	"strings"
	"time"

	"varde/event"
	"varde/event/human"
)

// ofProbes tells warnings of scans and of ports on the rise, which are about many packets, not about a pair of addresses.
func ofProbes(w *event.Warning) bool { return w.Scan != nil || w.Surge != nil }

// Bounds of what is said of scans and surges; JSON has everything.
const (
	shownSources = 4
	shownPorts   = 8
	curveWidth   = 48
)

// probes appends what stands behind the sentence of a scan or surge: the curve, and who it was.
func (p *page) probes(w *event.Warning, look Look) {
	if g := w.Surge; g != nil {
		if line := curve(g); line != "" {
			p.words(line)
		}
		p.facts([]string{shares("from ", g.Countries), shares("", g.ASes)})
		if g.FirstSeen != 0 && g.FirstSeen < w.First {
			p.facts([]string{"first seen " + event.Stamp(g.FirstSeen).In(look.zone()).Format(time.DateTime)})
		}
	}
	if s := w.Scan; s != nil {
		var facts []string
		if s.Sources > 1 {
			var from []string
			for _, prefix := range s.From {
				text := prefix.String()
				if prefix.IsSingleIP() {
					text = prefix.Addr().String()
				}
				from = append(from, text)
			}
			facts = append(facts, "from "+some(from, shownSources, int(s.Sources)))
		}
		if s.Ports > 1 {
			var tried []string
			for _, port := range s.Tried {
				tried = append(tried, strconv.Itoa(int(port)))
			}
			facts = append(facts, "ports "+some(tried, shownPorts, int(s.Ports)))
		}
		p.facts(facts)
	}
}

// some names the first of many.
func some(names []string, most, all int) string {
	shown := names[:min(len(names), most)]
	s := strings.Join(shown, ", ")
	if all > len(shown) {
		s += " and " + human.Count(uint64(all-len(shown))) + " more"
	}
	return s
}

// shares writes how often each value occurred.
func shares(before string, all []event.Share) string {
	var parts []string
	for _, s := range all {
		parts = append(parts, short(human.Safe(s.Name), maxHost)+" "+human.Count(s.Count))
	}
	if len(parts) == 0 {
		return ""
	}
	return before + strings.Join(parts, ", ")
}

var bars = []rune("▁▂▃▄▅▆▇█")

// curve draws the sources of a surge as bars, the newest to the right.
func curve(g *event.Surge) string {
	n := len(g.Curve)
	if n == 0 || g.CurveBin <= 0 {
		return ""
	}
	step := (n + curveWidth - 1) / curveWidth
	var sums []uint64
	highest := uint64(0)
	for end := n; end > 0; end -= step {
		sum := uint64(0)
		for _, v := range g.Curve[max(end-step, 0):end] {
			sum += uint64(v)
		}
		sums = append(sums, sum)
		highest = max(highest, sum)
	}
	if highest == 0 {
		return ""
	}
	var b strings.Builder
	for i := len(sums) - 1; i >= 0; i-- {
		at := sums[i] * uint64(len(bars)-1) / highest
		if sums[i] > 0 {
			at = max(at, 1) // a single source stays visible
		}
		b.WriteRune(bars[at])
	}
	return b.String() + " the last " + human.Span(time.Duration(n)*g.CurveBin) + ", at most " + human.Count(highest) +
		" new sources in " + human.Span(time.Duration(step)*g.CurveBin)
}
