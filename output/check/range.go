package check

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"varde/event/human"
)

// Range is a threshold as the guidelines of monitoring-plugins write it: [@][start:][end], start 0 when left out, ~ for
// no start, no end after a colon for no end. A value outside of it is a violation, or with @ one inside; the bounds
// themselves belong to the range. The zero Range is violated by nothing.
type Range struct {
	Start, End float64
	Inside     bool // @
	Set        bool
}

// maxRange is how long a range may be.
const maxRange = 64

// ParseRange reads a range of plain numbers. Unlike the C plugins it refuses what they take for something else in
// silence: no number at all, exponents, blanks, decimal commas, units.
func ParseRange(s string) (Range, error) { return parseRange(s, parseNumber) }

// ParseAges reads a range of seconds, whose bounds may also be written as 90s, 15m, 12h, 7d or 2w.
func ParseAges(s string) (Range, error) { return parseRange(s, parseSeconds) }

func parseRange(s string, bound func(string) (float64, error)) (Range, error) {
	r := Range{End: math.Inf(1), Set: true}
	wrong := func(err error) (Range, error) { return Range{}, fmt.Errorf("range %.64q: %w", s, err) }
	if len(s) > maxRange {
		return wrong(fmt.Errorf("longer than %d characters", maxRange))
	}
	text, at := strings.CutPrefix(s, "@")
	r.Inside = at
	if text == "" {
		return wrong(errors.New("there is no number in it; use 10, 10:, ~:10, 10:20 or @10:20"))
	}
	start, end, colon := strings.Cut(text, ":")
	if !colon {
		start, end = "", text
	}
	var err error
	switch {
	case start == "~":
		r.Start = math.Inf(-1)
	case start != "":
		if r.Start, err = bound(start); err != nil {
			return wrong(err)
		}
	}
	switch {
	case end == "~":
		return wrong(errors.New("~ stands for no start; leave the end out for no end"))
	case end != "":
		if r.End, err = bound(end); err != nil {
			return wrong(err)
		}
	case start == "":
		return wrong(errors.New("there is no number in it"))
	}
	if r.Start > r.End {
		return wrong(errors.New("it ends before it starts"))
	}
	return r, nil
}

// parseNumber reads digits with at most one point and a sign before them.
func parseNumber(s string) (float64, error) {
	digits, point := 0, false
	for i, c := range s {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c == '.' && !point:
			point = true
		case c == '-' && i == 0:
		default:
			return 0, fmt.Errorf("%q is not part of a number", c)
		}
	}
	if digits == 0 {
		return 0, fmt.Errorf("%q is no number", s)
	}
	return strconv.ParseFloat(s, 64)
}

func parseSeconds(s string) (float64, error) {
	if v, err := parseNumber(s); err == nil {
		return v, nil
	}
	d, err := human.ParseDuration(s)
	return time.Duration(d).Seconds(), err
}

// Violated tells whether v is a reason to alert. What is no number is, in any range.
func (r Range) Violated(v float64) bool {
	if !r.Set {
		return false
	}
	return math.IsNaN(v) || (v >= r.Start && v <= r.End) == r.Inside
}

// String writes the range as it is read, in plain numbers; nothing for the zero Range.
func (r Range) String() string {
	if !r.Set {
		return ""
	}
	s := ""
	if r.Inside {
		s = "@"
	}
	switch {
	case math.IsInf(r.Start, -1):
		s += "~:"
	case r.Start != 0 || math.IsInf(r.End, 1):
		s += decimal(r.Start) + ":"
	}
	if !math.IsInf(r.End, 1) {
		s += decimal(r.End)
	}
	return s
}

// decimal writes a number with a point and without an exponent, as performance data must have it.
func decimal(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
