package warn

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"varde/event"
	"varde/event/human"
)

// shownEvidence is how many entries the default line tells; JSON has all.
const shownEvidence = 3

// Look says how the default line is written.
type Look struct {
	Zone   *time.Location // nil is local time
	Dated  bool           // every line begins with its date and zone
	Colour bool           // for terminals
}

// AppendLine appends a warning as three lines for people: what happened, what is known of the address, and how it
// came to us.
func AppendLine(b []byte, w *event.Warning, look Look) []byte {
	zone := look.Zone
	if zone == nil {
		zone = time.Local
	}
	at, layout := event.Stamp(w.Time).In(zone), "15:04:05"
	if look.Dated {
		layout = time.RFC3339
	}
	stamp := at.Format(layout)
	indent := strings.Repeat(" ", len(stamp)+2)
	head := fmt.Sprintf("%-8s  %s", direction(w), sentence(w))
	b = append(append(b, stamp...), "  "...)
	b = append(b, paint(look, w.Severity, fmt.Sprintf("%-72s  %s", head, w.Severity))...)
	b = append(b, '\n')
	if text := evidence(w); text != "" {
		b = append(append(append(b, indent...), text...), '\n')
	}
	b = append(append(append(b, indent...), traffic(w, zone)...), '\n')
	if w.State != event.Opened && w.Why != "" || strings.Contains(w.Why, ";") {
		b = append(append(append(b, indent...), human.Safe(w.Why)...), '\n')
	}
	return b
}

func paint(look Look, s event.Severity, text string) string {
	if !look.Colour {
		return text
	}
	code := map[event.Severity]string{event.Critical: "1;31", event.High: "31", event.Medium: "33", event.Low: "36"}[s]
	if code == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func direction(w *event.Warning) string {
	switch w.Verdict {
	case event.AnsweredOut, event.ContactOut, event.RefusedOut:
		return "OUTBOUND"
	case event.AnsweredIn, event.ProbeIn, event.RefusedIn:
		return "INBOUND"
	case event.Passing:
		return "PASSING"
	}
	return "TRAFFIC"
}

// sentence says who did what with whom.
func sentence(w *event.Warning) string {
	own, foreign := endpoint(w, &w.Own), endpoint(w, &w.Foreign)
	if w.State == event.Closed {
		return "quiet now: " + own + " and " + foreign + ", " + w.Verdict.String()
	}
	switch w.Verdict {
	case event.AnsweredOut:
		return own + " answered by " + foreign
	case event.ContactOut:
		return own + " tried " + foreign
	case event.RefusedOut:
		return own + " refused by " + foreign
	case event.AnsweredIn:
		return own + " answered " + foreign
	case event.ProbeIn:
		return own + " probed by " + foreign
	case event.RefusedIn:
		return own + " refused " + foreign
	case event.ReplyOnly:
		return own + " and " + foreign + ", only the reply was seen"
	}
	return own + " and " + foreign
}

func endpoint(w *event.Warning, e *event.Endpoint) string {
	addr := e.Addr.String()
	if e.Port != 0 {
		addr = netip.AddrPortFrom(e.Addr, e.Port).String() + "/" + event.ProtoName(w.Proto)
	} else if w.Event.HasICMP && e == &w.Foreign {
		addr += " (" + event.ICMPName(w.Event.Proto, w.Event.ICMPType, w.Event.ICMPCode) + ")"
	}
	if e.Name != "" {
		return human.Safe(e.Name) + " (" + addr + ")"
	}
	return addr
}

// evidence tells the strongest entries, each list with what it says.
func evidence(w *event.Warning) string {
	var parts []string
	for i := range w.Evidence[:min(len(w.Evidence), shownEvidence)] {
		v := &w.Evidence[i]
		s := human.Safe(v.List) + ": "
		if v.Name != "" {
			s += fmt.Sprintf("%q", human.Safe(v.Name))
		} else {
			s += v.String()
		}
		if v.Info {
			s += " (a role, not a threat)"
		} else if v.Confidence > 0 {
			s += fmt.Sprintf(" confidence %d", v.Confidence)
		}
		if v.PortMiss {
			s += fmt.Sprintf(", listed for port %d", v.Port)
		}
		if v.Downgraded {
			s += ", downgraded by an exception"
		}
		if v.Seen != 0 && w.Time > v.Seen {
			s += ", seen " + human.Span(time.Duration(w.Time-v.Seen)) + " ago"
		}
		parts = append(parts, s)
	}
	if more := len(w.Evidence) - shownEvidence; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(parts, " · ")
}

// traffic tells how much went each way, and how it was exported and matched.
func traffic(w *event.Warning, zone *time.Location) string {
	about := ""
	if w.Sampling > 1 {
		about = "~"
	}
	noun := "flows"
	if w.Count == 1 {
		noun = "flow"
	}
	s := fmt.Sprintf("%s %s, %s%s out, %s%s in", human.Count(w.Count), noun, about, human.Bytes(w.BytesOut), about, human.Bytes(w.BytesIn))
	if w.Sampling > 1 {
		s += fmt.Sprintf(" (1:%d)", w.Sampling)
	}
	if w.First != 0 {
		s += ", since " + event.Stamp(w.First).In(zone).Format("15:04:05")
	}
	if w.Event.Exporter != "" {
		s += " · " + human.Safe(w.Event.Exporter)
	}
	if w.ExportLag > 0 {
		s += " · exported +" + human.Span(w.ExportLag)
	}
	if w.MatchLag > 0 {
		s += ", matched +" + human.Span(w.MatchLag)
	}
	return s
}

// AppendClassic appends a warning in the form of the script that varde grew out of: one line for the flow, an
// indented URL for each evidence, and a blank line.
func AppendClassic(b []byte, w *event.Warning, zone *time.Location) []byte {
	e := &w.Event
	b = event.Stamp(max(e.End, e.Time, 1)).In(zone).AppendFormat(b, "2006-01-02 15:04:05")
	if e.HasICMP {
		b = fmt.Appendf(b, " : %s -> %s (%s)\n", e.Src, e.Dst, event.ICMPName(e.Proto, e.ICMPType, e.ICMPCode))
	} else {
		b = fmt.Appendf(b, " : %s -> %s (%s)\n", netip.AddrPortFrom(e.Src, e.SrcPort), netip.AddrPortFrom(e.Dst, e.DstPort),
			strings.ToUpper(event.ProtoName(e.Proto)))
	}
	var said []string
	for i := range w.Evidence {
		v := &w.Evidence[i]
		text := v.URL
		if text == "" {
			text = v.List + " " + v.String()
		}
		if !slices.Contains(said, text) {
			said = append(said, text)
			b = append(human.AppendSafe(append(b, ' '), text), '\n')
		}
	}
	return append(b, '\n')
}
