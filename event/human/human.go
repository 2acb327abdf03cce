// Package human reads and writes quantities as people do: 1.2 MB, 27 s, 90d, icmp 3/3, and makes hostile text safe to
// look at. It belongs to the record: every input and output speaks of quantities in these words.
package human

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bytes writes n bytes in decimal units with at most three digits: 812 B, 1.2 MB, 48 kB.
func Bytes(n uint64) string {
	if n < 1000 {
		return strconv.FormatUint(n, 10) + " B"
	}
	v, unit := float64(n)/1000, 0
	for v >= 999.5 && unit < len(siUnits)-1 {
		v /= 1000
		unit++
	}
	return threeDigits(v) + " " + siUnits[unit:unit+1] + "B"
}

const siUnits = "kMGTPE"

func threeDigits(v float64) string {
	if v < 9.95 {
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(math.Round(v), 'f', 0, 64)
}

// Count writes n with a comma between thousands: 1,204.
func Count(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Span writes a duration in its largest fitting unit: 3 ms, 27 s, 4 min, 2 h, 5 d.
func Span(d time.Duration) string {
	sign, n := "", uint64(d)
	if d < 0 {
		sign, n = "-", -n // without a sign, since the least duration has no positive counterpart
	}
	for _, u := range spanUnits {
		if size := uint64(u.size); n >= uint64(u.from) {
			return sign + strconv.FormatUint((n+size/2)/size, 10) + " " + u.name
		}
	}
	return "0 s"
}

var spanUnits = []struct {
	from, size time.Duration
	name       string
}{
	{48 * time.Hour, 24 * time.Hour, "d"},
	{2 * time.Hour, time.Hour, "h"},
	{2 * time.Minute, time.Minute, "min"},
	{time.Second, time.Second, "s"},
	{time.Millisecond, time.Millisecond, "ms"},
	{time.Microsecond, time.Microsecond, "µs"},
	{1, time.Nanosecond, "ns"},
}

// Duration is a length of time in a configuration or on a command line: 250ms, 30s, 5m, 12h, 90d, 2w.
type Duration time.Duration

// ParseDuration reads what Duration describes.
func ParseDuration(s string) (time.Duration, error) {
	s = strings.TrimSpace(s)
	for suffix, day := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if number, ok := strings.CutSuffix(s, suffix); ok {
			n, err := strconv.ParseFloat(number, 64)
			if err != nil || !(n >= 0 && n*float64(day) < math.MaxInt64) { // NaN is neither
				return 0, fmt.Errorf("%q is no duration: use 30s, 5m, 12h, 90d or 2w", s)
			}
			return time.Duration(n * float64(day)), nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is no duration: use 30s, 5m, 12h, 90d or 2w", s)
	}
	return d, nil
}

// UnmarshalText makes Duration readable from YAML and flags.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := ParseDuration(string(b))
	*d = Duration(v)
	return err
}

// MarshalText writes the duration as it is read.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String writes whole days as days and the rest as Go does, without zero parts: 90d, 1h30m, 250ms.
func (d Duration) String() string {
	const day = Duration(24 * time.Hour)
	if d != 0 && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Set is UnmarshalText for command line flags.
func (d *Duration) Set(s string) error { return d.UnmarshalText([]byte(s)) }

// Type names the flag's type in help texts.
func (d *Duration) Type() string { return "duration" }

// Size is a number of bytes in a configuration: 4MiB, 64 MB, 20G, 512.
type Size uint64

var errSize = errors.New("use a number with B, kB, MB, GB, TB or KiB, MiB, GiB, TiB")

// ParseSize reads what Size describes; k, M, G and T alone are decimal.
func ParseSize(s string) (uint64, error) {
	t := strings.ToLower(strings.ReplaceAll(strings.TrimSpace(s), " ", ""))
	t = strings.TrimSuffix(t, "b")
	base := 1000.0
	if u, ok := strings.CutSuffix(t, "i"); ok {
		t, base = u, 1024
	}
	factor := 1.0
	if i := strings.IndexAny(t, "kmgt"); i >= 0 && i == len(t)-1 {
		factor = math.Pow(base, float64(strings.IndexByte("kmgt", t[i])+1))
		t = t[:i]
	} else if base != 1000 {
		return 0, fmt.Errorf("%q is no size: %w", s, errSize) // an i without what it is of
	}
	v, err := strconv.ParseFloat(t, 64)
	if err != nil || !(v >= 0 && v*factor < math.MaxInt64) {
		return 0, fmt.Errorf("%q is no size: %w", s, errSize)
	}
	return uint64(v * factor), nil
}

// UnmarshalText makes Size readable from YAML.
func (s *Size) UnmarshalText(b []byte) error {
	v, err := ParseSize(string(b))
	*s = Size(v)
	return err
}

// MarshalText writes the size as it is read.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String writes whole binary units as such and everything else in bytes: 4MiB, 1500B.
func (s Size) String() string {
	for i, unit := range []string{"TiB", "GiB", "MiB", "KiB"} {
		if n := Size(1) << (10 * (4 - i)); s >= n && s%n == 0 {
			return strconv.FormatUint(uint64(s/n), 10) + unit
		}
	}
	return strconv.FormatUint(uint64(s), 10) + "B"
}

// Safe makes hostile text safe for a terminal, a log line and a table cell: everything that is not printable or
// turns the direction of writing becomes a visible escape, so one input stays one line.
func Safe(s string) string {
	if !strings.ContainsFunc(s, unsafeRune) {
		return s
	}
	return string(AppendSafe(make([]byte, 0, len(s)+16), s))
}

// AppendSafe appends Safe(s) to b.
func AppendSafe(b []byte, s string) []byte {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			b = append(b, '\\', 'x', hexDigits[s[i]>>4], hexDigits[s[i]&15])
		case unsafeRune(r):
			q := strconv.QuoteRuneToASCII(r)
			b = append(b, q[1:len(q)-1]...)
		default:
			b = append(b, s[i:i+n]...)
		}
		i += n
	}
	return b
}

const hexDigits = "0123456789abcdef"

func unsafeRune(r rune) bool {
	if r == utf8.RuneError {
		return true
	}
	return r >= 0x7f && !unicode.IsPrint(r) || r < ' '
}

// List is a list of texts that may be written as a single text in YAML.
type List []string

// UnmarshalYAML reads either form.
func (l *List) UnmarshalYAML(unmarshal func(any) error) error {
	var one string
	if unmarshal(&one) == nil {
		*l = List{one}
		return nil
	}
	return unmarshal((*[]string)(l))
}
