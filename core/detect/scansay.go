package detect

import (
	"fmt"
	"strings"
	"time"

	"varde/event"
	"varde/event/human"
)

func article(p pattern) string {
	if p == noPattern {
		return "a scan"
	}
	return "a " + patternNames[p] + " scan"
}

// warning is a scan as it stands.
func (s *Scans) warning(key uint64, c *scan) event.Warning {
	targets := c.targets.count()
	sc := &event.Scan{
		Pattern: patternNames[c.shape], Technique: techniques(c.how), Ports: c.ports, Low: c.low, High: c.high,
		Targets: targets, Sources: c.sources.count(), Order: s.direction(c),
		Tried: append([]uint16(nil), c.tried[:min(c.ports, maxTried)]...), Reached: append([]uint16(nil), c.reached[:c.nReached]...),
	}
	for _, k := range c.sources.few[:c.sources.n] {
		sc.From = append(sc.From, sourcePrefix(k))
	}
	if span := time.Duration(c.last - c.first); span >= time.Second && c.count > 1 {
		sc.Rate = float64(c.count-1) / span.Seconds()
	}
	w := event.Warning{
		ID: scanID("scan", key, c.began), Rule: "scan", Verdict: event.ProbeIn, Proto: c.proto, First: c.first, Last: c.last, Count: c.count,
		Event: c.raised.Clone(), Scan: sc, Severity: severityOf(c),
	}
	if w.Event.Kind == event.Unknown {
		w.Event.Kind = event.Probe
	}
	if c.nReached > 0 {
		w.Verdict = event.AnsweredIn
	}
	if targets == 1 {
		w.Own = event.Endpoint{Addr: c.target, Name: s.names[c.target]}
	}
	if sc.Sources == 1 {
		w.Foreign.Addr = c.source
	}
	if c.ports == 1 && c.shape == horizontal {
		w.Own.Port = c.low
	}
	w.Why = sentenceOf(c, sc, key, s.names[c.target])
	return w
}

// severityOf ranks scans: who hurries across the whole Internet is noise; who takes pains not to be seen, shares the
// work, or was let in, is not.
func severityOf(c *scan) event.Severity {
	switch {
	case c.shape == horizontal && c.nReached > 0:
		return event.Low // who tries a port of all addresses gets in where that is served
	case c.nReached > 0, c.shape == slowVertical, c.shape == diagonal, c.shape == distributed:
		return event.Medium
	case c.shape == vertical, c.shape == block, c.how&odd != 0:
		return event.Low
	}
	return event.Info
}

// steady is the rank correlation above which ports are said to be in order.
const steady = 0.95

// direction tells whether ports were tried upwards or downwards.
func (s *Scans) direction(c *scan) string {
	if c.nPath < 5 || c.shape == distributed {
		return ""
	}
	switch rho := s.spearman(append(s.steps[:0], c.path[:c.nPath]...)); {
	case rho >= steady:
		return "ascending"
	case rho <= -steady:
		return "descending"
	}
	return ""
}

// sentenceOf says a scan in words, without its times, which whoever shows it writes in the zone of the reader.
func sentenceOf(c *scan, sc *event.Scan, key uint64, name string) string {
	var b strings.Builder
	switch {
	case sc.Sources > exact && c.shape == horizontal:
		fmt.Fprintf(&b, "about %s sources make ", human.Count(uint64(sc.Sources)))
	case sc.Sources > 1 && c.shape == horizontal:
		fmt.Fprintf(&b, "%d sources make ", sc.Sources)
	case sc.Sources > 1:
		fmt.Fprintf(&b, "%s sources of %s share ", human.Count(uint64(sc.Sources)), neighbourhood(key))
	}
	b.WriteString(article(c.shape))
	if names := plainTechnique(sc.Technique); names != "" {
		b.WriteString(" (" + names + ")")
	}
	b.WriteString(" of ")
	switch {
	case c.how == 1<<byPing:
	case c.ports == 1:
		b.WriteString(serviceName(c.proto, c.low) + " on ")
	default:
		fmt.Fprintf(&b, "%s ports from %d to %d on ", human.Count(uint64(c.ports)), c.low, c.high)
	}
	switch target := c.target.String(); {
	case sc.Targets > exact:
		fmt.Fprintf(&b, "about %s addresses", human.Count(uint64(sc.Targets)))
	case sc.Targets > 1:
		fmt.Fprintf(&b, "%d addresses", sc.Targets)
	case name != "":
		b.WriteString(name + " (" + target + ")")
	default:
		b.WriteString(target)
	}
	span := time.Duration(c.last - c.first)
	if span >= time.Second {
		b.WriteString(" in " + human.Span(span))
	}
	switch sc.Order {
	case "ascending":
		b.WriteString(", from low to high")
	case "descending":
		b.WriteString(", from high to low")
	}
	if sc.Rate > 0 {
		b.WriteString(", " + pace(sc.Rate))
	}
	if len(sc.Reached) > 0 {
		b.WriteString("; it was let in on port " + numbers(sc.Reached))
	}
	return b.String()
}

// plainTechnique leaves unsaid what is usual.
func plainTechnique(names []string) string {
	if len(names) == 1 && names[0] == "syn" {
		return ""
	}
	return strings.Join(names, ", ")
}

// neighbourhood names what the sources of a distributed scan have in common.
func neighbourhood(key uint64) string {
	if key&tagOfKey == asKey {
		return fmt.Sprintf("AS%d", uint32(key))
	}
	return sourcePrefix(key).String()
}

// pace says a rate of probes as people do.
func pace(perSecond float64) string {
	switch {
	case perSecond >= 0.95:
		return fmt.Sprintf("%.0f a second", perSecond)
	case perSecond*60 >= 0.95:
		return fmt.Sprintf("%.0f a minute", perSecond*60)
	}
	return "one in " + human.Span(time.Duration(float64(time.Second)/perSecond))
}

func numbers(ports []uint16) string {
	text := make([]string, len(ports))
	for i, p := range ports {
		text[i] = fmt.Sprint(p)
	}
	return strings.Join(text, ", ")
}

// serviceName is a port as people know it: tcp/7547 (TR-069).
func serviceName(proto uint8, port uint16) string {
	s := fmt.Sprintf("%s/%d", event.ProtoName(proto), port)
	if known := PortName(proto, port); known != "" {
		s += " (" + known + ")"
	}
	return s
}
