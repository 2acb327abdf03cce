package check

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"varde/event/human"
)

// Status is the exit code of a plugin.
type Status uint8

// The four exit codes that monitoring understands.
const (
	OK Status = iota
	Warning
	Critical
	Unknown
)

var statusNames = [...]string{"OK", "WARNING", "CRITICAL", "UNKNOWN"}

// String is the status as plugins print it.
func (s Status) String() string { return statusNames[min(s, Unknown)] }

// weight orders the statuses: what is known to be bad comes before what is not known, and that before what is well.
func (s Status) weight() int { return [...]int{0, 2, 3, 1}[min(s, Unknown)] }

// Result is what a check has to say.
type Result struct {
	Summary string // first line when all is well
	Details []string
	Perf    []Perf

	findings []finding
}

type finding struct {
	status Status
	text   string
}

// Perf is one value with its thresholds.
type Perf struct {
	Label      string
	Value      float64 // not a number is written U, for unknown
	Unit       string  // s, %, B, c or nothing
	Warn, Crit Range
	Max        float64 // 0 for none
	Signed     bool    // may be below 0, which is the least otherwise
}

// Status is the worst that was found.
func (r *Result) Status() Status {
	worst := OK
	for _, f := range r.findings {
		if f.status.weight() > worst.weight() {
			worst = f.status
		}
	}
	return worst
}

// find adds a reason for a status other than OK.
func (r *Result) find(s Status, format string, args ...any) {
	r.findings = append(r.findings, finding{s, fmt.Sprintf(format, args...)})
}

// detail adds a line of long output.
func (r *Result) detail(format string, args ...any) {
	r.Details = append(r.Details, fmt.Sprintf(format, args...))
}

// judge compares a value with its ranges, keeps it as performance data, and finds text where it violates one.
func (r *Result) judge(p Perf, text string) {
	r.Perf = append(r.Perf, p)
	switch {
	case p.Crit.Violated(p.Value):
		r.find(Critical, "%s (critical %s)", text, limit(p.Crit, p.Unit))
	case p.Warn.Violated(p.Value):
		r.find(Warning, "%s (warning %s)", text, limit(p.Warn, p.Unit))
	}
}

// limit writes a range for people: seconds as spans where it has but an upper bound.
func limit(r Range, unit string) string {
	if unit == "s" && !r.Inside && r.Start <= 0 && !math.IsInf(r.End, 1) {
		return "above " + span(r.End)
	}
	if !r.Inside && r.Start <= 0 && !math.IsInf(r.End, 1) {
		return "above " + decimal(r.End) + unit
	}
	return "at " + r.String()
}

// unknown is a result about which nothing can be said.
func unknown(format string, args ...any) Result {
	var r Result
	r.find(Unknown, format, args...)
	return r
}

// Bounds on output. Nagios reads 8 KiB; what is more is cut in the middle of a value.
const (
	maxOutput    = 8000
	maxFirstLine = 600
	maxFirstPerf = 1000
	maxLabel     = 80
	maxLine      = 300
)

// Text is the whole output: what was found and performance data, then a line each for the rest.
func (r *Result) Text(service string) string {
	findings := slices.Clone(r.findings)
	slices.SortStableFunc(findings, func(a, b finding) int { return cmp.Compare(b.status.weight(), a.status.weight()) })
	status := r.Status()
	first, shown := r.Summary, 0
	for i, f := range findings {
		if i > 0 && (f.status != status || len(first)+len(f.text) > maxFirstLine) {
			break
		}
		if i == 0 {
			first = f.text
		} else {
			first += ", " + f.text
		}
		shown++
	}
	var lines []string
	for _, f := range findings[shown:] {
		lines = append(lines, fmt.Sprintf("[%s] %s", f.status, f.text))
	}
	return lay(strings.ToUpper(service)+" "+status.String()+" - "+clean(first, maxFirstLine+maxLine), append(lines, r.Details...), r.Perf)
}

// lay puts performance data behind the first line, and what is too much for it behind the last.
func lay(first string, lines []string, perf []Perf) string {
	var b strings.Builder
	b.WriteString(first)
	n := 0
	for size := 0; n < len(perf); n++ {
		s := perf[n].String()
		if size += len(s) + 1; size > maxFirstPerf {
			break
		}
		if n == 0 {
			b.WriteString(" |")
		}
		b.WriteString(" " + s)
	}
	b.WriteByte('\n')
	rest := ""
	left := 0
	for _, p := range perf[n:] {
		if s := p.String(); b.Len()+len(rest)+len(s) < maxOutput/2 {
			rest += s + "\n"
		} else {
			left++
		}
	}
	if left > 0 {
		lines = append(lines, fmt.Sprintf("%d more values do not fit into the output", left))
	}
	for i, line := range lines {
		line = clean(line, maxLine)
		if b.Len()+len(rest)+len(line) > maxOutput-100 {
			fmt.Fprintf(&b, "%d more lines do not fit into the output\n", len(lines)-i)
			break
		}
		b.WriteString(line + "\n")
	}
	if rest == "" {
		return b.String()
	}
	if len(lines) == 0 {
		b.WriteString("more values\n")
	}
	return strings.TrimSuffix(b.String(), "\n") + " | " + rest
}

// clean makes text fit for a line of output: what is not printable, the bar that begins performance data, and the
// dollar that begins a macro of Icinga become visible escapes.
func clean(s string, most int) string {
	s = human.Safe(s)
	s = strings.NewReplacer("|", `\x7c`, "$", `\x24`).Replace(s)
	if len(s) > most {
		s = s[:most]
		for !utf8.ValidString(s) {
			s = s[:len(s)-1]
		}
		s += "..."
	}
	return s
}

// String is the value in the form 'label'=value[unit];[warn];[crit];[min];[max], with empty fields at the end left out.
func (p *Perf) String() string {
	value := "U"
	if !math.IsNaN(p.Value) && !math.IsInf(p.Value, 0) {
		value = decimal(p.Value) + p.Unit
	}
	low, high := "0", ""
	if p.Signed {
		low = ""
	}
	if p.Max != 0 {
		high = decimal(p.Max)
	}
	return strings.TrimRight(label(p.Label)+"="+value+";"+p.Warn.String()+";"+p.Crit.String()+";"+low+";"+high, ";")
}

// label quotes what needs quotes.
func label(s string) string {
	s = strings.Map(func(c rune) rune {
		if c == '|' || c == '$' || c == '\n' {
			return '_'
		}
		return c
	}, human.Safe(s))
	for len(s) > maxLabel || !utf8.ValidString(s) {
		s = s[:min(len(s)-1, maxLabel)]
	}
	if s == "" || strings.ContainsAny(s, " ='") {
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	return s
}
