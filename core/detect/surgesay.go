package detect

import (
	"fmt"
	"strings"
	"time"

	"varde/event"
	"varde/event/human"
)

// curveStep is how many bins a bar of the curve of a warning stands for: a quarter of an hour.
const curveStep = 3

// say gives the warning of a surge that begins, or of what is news of it.
func (s *Surges) say(p *port, h *hot, key uint32, e *event.Event, at int64, why string) *event.Warning {
	g := h.surge
	g.raised = e.Clone()
	g.said, g.saidTotal = at, g.total
	w := s.warning(p, h, key)
	w.Time = max(e.Received, e.Last())
	if why != "" {
		w.State = event.Escalated
		w.Why += "; again: " + why
	}
	return &w
}

// warning is a surge as it stands.
func (s *Surges) warning(p *port, h *hot, key uint32) event.Warning {
	g := h.surge
	proto, number := portOf(key)
	known, _ := PortMeaning(proto, number)
	sg := &event.Surge{
		Meaning: meaning(known), Sources: g.sources, Window: time.Duration(windows[g.window]) * binLength, Expected: g.expected,
		Networks: g.networks, FirstSeen: int64(p.first) * int64(time.Second), CurveBin: curveStep * binLength,
		Countries: shares(&h.countries, countryName), ASes: shares(&h.networks, networkName),
	}
	sg.Curve, sg.CurveFrom = h.curve(s.base.cur)
	if len(sg.Countries) == 1 && sg.Countries[0].Name == "??" {
		sg.Countries = nil // nobody looks countries up
	}
	w := event.Warning{
		ID: scanID("surge", uint64(key), g.first), Rule: "surge", Severity: event.Medium, Verdict: event.ProbeIn, Proto: proto,
		Own: event.Endpoint{Port: number}, First: g.first, Last: g.high, Count: g.total, Event: g.raised.Clone(), Surge: sg,
	}
	if w.Event.Kind == event.Unknown {
		w.Event.Kind = event.Probe
	}
	if g.total >= uint64(10*s.cfg.Sources) && float64(g.sources) >= 10*g.expected {
		w.Severity = event.High
	}
	w.Why = riseOf(serviceName(proto, number), g, sg)
	return w
}

// curve gives the last day by quarters of an hour, whole ones but for the last.
func (h *hot) curve(cur int64) ([]uint32, int64) {
	first := (cur/curveStep+1)*curveStep - curveBins
	out := make([]uint32, curveBins/curveStep)
	for i := range out {
		for b := range int64(curveStep) {
			bin := first + int64(i)*curveStep + b
			if bin <= h.last && h.last-bin < curveBins {
				out[i] += uint32(h.bins[bin%curveBins])
			}
		}
	}
	return out, first * int64(binLength)
}

func meaning(p Port) string {
	if p.Name == "" || p.Seen == "" {
		return p.Name + p.Seen
	}
	return p.Name + ": " + p.Seen
}

// namedShares is how many countries the sentence names.
const namedShares = 3

// riseOf says a surge in words, without its times.
func riseOf(name string, g *surge, sg *event.Surge) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s is on the rise: %s new sources in %s against %s usually, from %s networks",
		name, human.Count(sg.Sources), human.Span(sg.Window), few(sg.Expected), human.Count(uint64(sg.Networks)))
	b.WriteString(mostly(sg.Countries))
	if g.total > sg.Sources {
		fmt.Fprintf(&b, "; %s sources in all", human.Count(g.total))
	}
	if _, seen, ok := strings.Cut(sg.Meaning, ": "); ok {
		b.WriteString("; known for " + seen)
	}
	return b.String()
}

// endOf says a surge that is over.
func endOf(name string, g *surge, sg *event.Surge) string {
	return fmt.Sprintf("%s is quiet again: %s new sources came in %s%s", name, human.Count(g.total), human.Span(time.Duration(g.high-g.first)), mostly(sg.Countries))
}

// mostly names the countries that most sources came from.
func mostly(countries []event.Share) string {
	all := uint64(0)
	for _, c := range countries {
		all += c.Count
	}
	var names []string
	for _, c := range countries[:min(len(countries), namedShares)] {
		if c.Name != "??" {
			names = append(names, fmt.Sprintf("%s %d %%", c.Name, (c.Count*100+all/2)/all))
		}
	}
	if len(names) == 0 {
		return ""
	}
	return ", mostly " + strings.Join(names, ", ")
}

// few writes an expected number, which is often below one.
func few(v float64) string {
	switch {
	case v < 0.005:
		return "none"
	case v < 0.095:
		return fmt.Sprintf("%.2f", v)
	case v < 9.5:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}
