package warn

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"varde/event"
	"varde/event/human"
)

// Bounds of the default line; JSON has everything.
const (
	shownEvidence = 3
	maxName       = 80  // characters of a list's name for an entry
	maxHost       = 48  // characters of a host, exporter or list
	maxWhy        = 400 // characters of the reason
	maxURL        = 500
)

// severityColumn is where the severity stands when the sentence leaves room for it.
const severityColumn = 82

// Look says how the default line is written.
type Look struct {
	Zone   *time.Location // nil is local time
	Dated  bool           // every warning begins with its date and zone, as in files
	Colour bool           // for terminals
	Width  int            // columns to wrap at, 0 for none
}

func (l *Look) zone() *time.Location {
	if l.Zone == nil {
		return time.Local
	}
	return l.Zone
}

func (l *Look) layout() string {
	if l.Dated {
		return time.RFC3339
	}
	return time.TimeOnly
}

// AppendLine appends a warning as a block for people: what happened and how bad it is; why it is said again; what the
// lists know and how much went each way; who saw it and when; where to read on. Hostile text cannot leave its place.
func AppendLine(b []byte, w *event.Warning, look Look) []byte {
	stamp := event.Stamp(w.Time).In(look.zone()).Format(look.layout())
	p := page{b: b, indent: len(stamp) + 2}
	if look.Width > 0 {
		p.width = max(look.Width, narrowest)
	}
	p.headline(stamp, w, look)
	if why := news(w); why != "" {
		p.words(why)
	}
	p.probes(w, look)
	p.facts(append(evidence(w, shownEvidence), traffic(w, look)...))
	p.facts(origin(w))
	for _, url := range urls(w, shownEvidence) {
		p.line(url)
	}
	return p.b
}

// headline is the line that has to be understood without the others.
func (p *page) headline(stamp string, w *event.Warning, look Look) {
	severity := w.Severity.String()
	label := fmt.Sprintf("%-8s", direction(w))
	inner := p.indent + columns(label) + 2
	lines := p.wrap(sentence(w), inner, len(severity)+2)
	column := severityColumn + len(stamp) - len(time.TimeOnly)
	if p.width > 0 {
		column = min(column, p.width-len(severity))
	}
	gap := max(column-inner-columns(lines[0]), 2)
	p.b = append(append(p.b, stamp...), "  "...)
	p.b = append(append(p.b, paint(look, w.Severity, label)...), "  "...)
	p.b = append(append(p.b, lines[0]...), spaces(gap)...)
	p.b = append(append(p.b, paint(look, w.Severity, severity)...), '\n')
	for _, more := range lines[1:] {
		p.b = append(append(append(p.b, spaces(inner)...), more...), '\n')
	}
}

// paint colours a text by severity (ECMA-48 SGR), where colour is wanted.
func paint(look Look, s event.Severity, text string) string {
	if !look.Colour {
		return text
	}
	code := "2"
	switch s {
	case event.Critical:
		code = "1;31"
	case event.High:
		code = "31"
	case event.Medium:
		code = "33"
	case event.Low:
		code = "36"
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// appendDay appends a line that names the day and the zone of the times below it.
func appendDay(b []byte, t time.Time) []byte {
	b = t.AppendFormat(b, "Monday, 2 January 2006, times in ")
	if name, _ := t.Zone(); name != "UTC" && name != "" && name[0] != '+' && name[0] != '-' {
		b = append(append(b, name...), ", "...)
	}
	return append(t.AppendFormat(b, "UTC-07:00"), '\n')
}

// traffic tells how much went each way, and since when.
func traffic(w *event.Warning, look Look) []string {
	var parts []string
	if w.Count > 0 {
		parts = append(parts, plural(w.Count, noun(w)))
	}
	about, rate := "", ""
	if w.Sampling > 1 {
		about, rate = "~", fmt.Sprintf(" (1:%d)", w.Sampling)
	}
	switch {
	case ofProbes(w): // packets are counted, not measured
	case w.BytesOut|w.BytesIn|w.PacketsOut|w.PacketsIn != 0 || w.Event.Kind == event.Flow:
		parts = append(parts, about+human.Bytes(w.BytesOut)+" out", about+human.Bytes(w.BytesIn)+" in"+rate)
	case w.Count > 0:
		parts = append(parts, "bytes not told")
	}
	if w.First != 0 {
		parts = append(parts, period(w, look))
	}
	return []string{strings.Join(parts, ", ")}
}

// period is from when to when: since the beginning while it lasts, both once it is over.
func period(w *event.Warning, look Look) string {
	zone := look.zone()
	stamp := func(ns int64) string {
		t, layout := event.Stamp(ns).In(zone), look.layout()
		if now := event.Stamp(w.Time).In(zone); !look.Dated && (t.YearDay() != now.YearDay() || t.Year() != now.Year()) {
			layout = time.DateTime
		}
		return t.Format(layout)
	}
	if w.State != event.Closed {
		return "since " + stamp(w.First)
	}
	return "from " + stamp(w.First) + " to " + stamp(w.Last) + " (" + human.Span(time.Duration(max(w.Last-w.First, 0))) + ")"
}

// noun is what a warning counts.
func noun(w *event.Warning) string {
	if w.Surge != nil {
		return "source"
	}
	if w.Scan != nil {
		return "probe"
	}
	switch w.Event.Kind {
	case event.Flow:
		return "flow"
	case event.Probe:
		return "probe"
	case event.Connect, event.Close:
		return "session"
	case event.Login:
		return "login"
	case event.Command:
		return "command"
	case event.Tunnel:
		return "tunnel request"
	case event.Payload:
		return "payload"
	case event.File:
		return "file"
	case event.Mail:
		return "mail"
	}
	return "event"
}

func plural(n uint64, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return human.Count(n) + " " + noun
}

// origin tells who saw it, where it entered and left, whose the foreign address is, and how late we are.
func origin(w *event.Warning) []string {
	e := &w.Event
	seen := host(e.Exporter)
	if in, out := port(e.InIf, e.InIndex), port(e.OutIf, e.OutIndex); seen != "" && (in != "" || out != "") {
		seen += " (" + strings.Trim(in+" → "+out, " ") + ")"
	}
	var whose []string
	one := w.Surge == nil && (w.Scan == nil || w.Scan.Sources <= 1)
	if one && e.Country != "" {
		whose = append(whose, short(human.Safe(e.Country), maxHost))
	}
	if one && e.ASN != 0 {
		whose = append(whose, fmt.Sprintf("AS%d", e.ASN))
	}
	var lag []string
	if w.ExportLag > 0 {
		lag = append(lag, "exported +"+human.Span(w.ExportLag))
	}
	if w.MatchLag > 0 {
		lag = append(lag, "matched +"+human.Span(w.MatchLag))
	}
	return []string{seen, strings.Join(whose, " "), strings.Join(lag, ", ")}
}

// port is an interface of the exporter as people know it.
func port(name string, index uint32) string {
	if name != "" {
		return host(name)
	}
	if index != 0 {
		return fmt.Sprintf("if %d", index)
	}
	return ""
}

func host(s string) string { return short(human.Safe(s), maxHost) }

// urls are where a person can read on about the entries that are shown.
func urls(w *event.Warning, most int) []string {
	var out []string
	for i := range w.Evidence[:min(len(w.Evidence), most)] {
		u := w.Evidence[i].URL
		if u = short(human.Safe(u), maxURL); u != "" && !slices.Contains(out, u) {
			out = append(out, u)
		}
	}
	return out
}
