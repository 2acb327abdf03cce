package check

import (
	"fmt"
	"slices"
	"time"

	"varde/event/human"
)

// Flag is one flag of a check.
type Flag struct {
	Name    string // long name
	Short   string // one letter, or none
	Kind    Kind
	Default string
	Repeat  bool   // may be given more than once
	Hint    string // what the value is, in capitals
	Help    string // without a full stop
}

// Kind says what a flag's value is.
type Kind uint8

// The kinds of values.
const (
	Text   Kind = iota
	Limit       // a range of numbers
	Ages        // a range of seconds, which may be written 12h or 7d
	Span        // a length of time; a plain number is seconds
	Switch      // given or not
)

// Values are the flags of one call.
type Values struct {
	flags []Flag
	given map[string][]string
}

// NewValues are the defaults of a check.
func NewValues(c *Check) *Values {
	return &Values{flags: c.AllFlags(), given: map[string][]string{}}
}

// maxGiven is how often one flag may be given.
const maxGiven = 256

// Set takes a value as it is given; one that cannot be meant is refused.
func (v *Values) Set(name, text string) error {
	f := v.flag(name)
	if f == nil {
		return fmt.Errorf("there is no flag --%s", name)
	}
	var err error
	switch f.Kind {
	case Limit:
		_, err = ParseRange(text)
	case Ages:
		_, err = ParseAges(text)
	case Span:
		_, err = parseSpan(text)
	case Text, Switch:
	}
	if err != nil {
		return err
	}
	if !f.Repeat {
		v.given[name] = nil
	}
	if len(v.given[name]) == maxGiven {
		return fmt.Errorf("more than %d", maxGiven)
	}
	v.given[name] = append(v.given[name], text)
	return nil
}

func (v *Values) flag(name string) *Flag {
	if i := slices.IndexFunc(v.flags, func(f Flag) bool { return f.Name == name }); i >= 0 {
		return &v.flags[i]
	}
	return nil
}

// Texts are all values of a flag, or its default.
func (v *Values) Texts(name string) []string {
	if s := v.given[name]; len(s) > 0 {
		return s
	}
	if f := v.flag(name); f != nil && f.Default != "" {
		return []string{f.Default}
	}
	return nil
}

// Text is the value of a flag, "" where it has none.
func (v *Values) Text(name string) string {
	if s := v.Texts(name); len(s) > 0 {
		return s[len(s)-1]
	}
	return ""
}

// On tells whether a switch was given.
func (v *Values) On(name string) bool { return v.Text(name) == "true" }

// Given tells whether a flag was set, to its default or not.
func (v *Values) Given(name string) bool { return len(v.given[name]) > 0 }

// Range is the value of a flag of the kinds Limit and Ages; an empty one is violated by nothing.
func (v *Values) Range(name string) Range {
	text := v.Text(name)
	if text == "" {
		return Range{}
	}
	parse := ParseRange
	if f := v.flag(name); f.Kind == Ages {
		parse = ParseAges
	}
	r, _ := parse(text) // Set has seen that it can be read
	return r
}

// Span is the value of a flag of the kind Span.
func (v *Values) Span(name string) time.Duration {
	d, _ := parseSpan(v.Text(name))
	return d
}

// parseSpan takes a plain number as seconds, as every other plugin does.
func parseSpan(s string) (time.Duration, error) {
	if n, err := parseNumber(s); err == nil {
		s = decimal(n) + "s"
	}
	d, err := human.ParseDuration(s)
	if err == nil && (d <= 0 || d > time.Hour) {
		err = fmt.Errorf("%q: use more than 0 and at most 1h", s)
	}
	return d, err
}

// thresholds are the usual two flags.
func thresholds(kind Kind, of, warn, crit string) []Flag {
	return []Flag{
		{Name: "warning", Short: "w", Kind: kind, Default: warn, Hint: "RANGE", Help: "WARNING outside of this " + of},
		{Name: "critical", Short: "c", Kind: kind, Default: crit, Hint: "RANGE", Help: "CRITICAL outside of this " + of},
	}
}

// more are two thresholds besides the usual ones.
func more(kind Kind, name, of, warn, crit string) []Flag {
	return []Flag{
		{Name: name + "-warning", Kind: kind, Default: warn, Hint: "RANGE", Help: "WARNING outside of this " + of},
		{Name: name + "-critical", Kind: kind, Default: crit, Hint: "RANGE", Help: "CRITICAL outside of this " + of},
	}
}

// span writes seconds for people.
func span(seconds float64) string { return human.Span(time.Duration(seconds * float64(time.Second))) }
