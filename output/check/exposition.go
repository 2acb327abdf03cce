package check

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"varde/event"
)

// Bounds on a page of metrics.
const (
	maxSeries    = 100_000
	maxMetric    = 64 << 10 // bytes of one line
	maxPairs     = 32
	exactInteger = 1 << 53 // the page writes numbers as float64
)

// ParseMetrics reads a page in the text format of Prometheus, which is what varde serves, back into figures. Families
// other than counters and gauges are left out.
func ParseMetrics(r io.Reader) ([]event.Figure, error) {
	var out []event.Figure
	kinds := map[string]string{}
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 0, 4096), maxMetric)
	for n := 1; sc.Scan(); n++ {
		line := strings.TrimSpace(sc.Text())
		if line == "" {
			continue
		}
		if line[0] == '#' {
			if f := strings.Fields(line); len(f) == 4 && f[1] == "TYPE" && len(kinds) < maxSeries {
				kinds[f[2]] = f[3]
			}
			continue
		}
		f, value, err := parseSeries(line)
		if err != nil {
			return nil, fmt.Errorf("line %d is no metric: %w", n, err)
		}
		switch kinds[f.Name] {
		case "counter":
			f.Kind = event.Counter
			f.count(value)
		case "gauge", "untyped", "":
			f.Kind, f.Value = event.Gauge, value
		default:
			continue
		}
		if len(out) == maxSeries {
			return nil, fmt.Errorf("more than %d series", maxSeries)
		}
		out = append(out, f.Figure)
	}
	return out, sc.Err()
}

type series struct{ event.Figure }

// count keeps a counter whole where it is, and in thousandths where it has a fraction, as seconds do.
func (s *series) count(v float64) {
	switch {
	case !(v >= 0):
	case v < exactInteger && v == math.Trunc(v):
		s.Count = uint64(v)
	case v*1000 < exactInteger:
		s.Count, s.Scale = uint64(math.Round(v*1000)), 0.001
	case v < math.MaxUint64:
		s.Count = uint64(v)
	}
}

// parseSeries reads name{label="value",...} value [timestamp].
func parseSeries(line string) (series, float64, error) {
	var f series
	end := strings.IndexAny(line, "{ \t")
	if end <= 0 {
		return f, 0, errors.New("it has no value")
	}
	f.Name = line[:end]
	rest := line[end:]
	if rest[0] == '{' {
		var err error
		if f.Labels, rest, err = parseLabels(rest[1:]); err != nil {
			return f, 0, err
		}
	}
	fields := strings.Fields(rest)
	if len(fields) == 0 || len(fields) > 2 {
		return f, 0, errors.New("it has no value")
	}
	v, err := strconv.ParseFloat(fields[0], 64)
	if err != nil {
		return f, 0, fmt.Errorf("%.40q is no number", fields[0])
	}
	return f, v, nil
}

// parseLabels reads up to and with the closing brace.
func parseLabels(s string) (labels []event.Pair, rest string, err error) {
	for {
		s = strings.TrimLeft(s, ", ")
		if after, ok := strings.CutPrefix(s, "}"); ok {
			return labels, after, nil
		}
		name, after, ok := strings.Cut(s, `="`)
		if !ok || name == "" || len(labels) == maxPairs {
			return nil, "", errors.New("its labels do not end")
		}
		value, after, ok := unquote(after)
		if !ok {
			return nil, "", fmt.Errorf("the value of label %.40q does not end", name)
		}
		labels = append(labels, event.Pair{Key: name, Value: value})
		s = after
	}
}

// unquote reads up to the closing quote; backslash, quote and line feed are escaped by a backslash.
func unquote(s string) (value, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return strings.ToValidUTF8(b.String(), string(utf8.RuneError)), s[i+1:], true
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
			if c := s[i]; c == 'n' {
				b.WriteByte('\n')
			} else {
				b.WriteByte(c)
			}
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", false
}
