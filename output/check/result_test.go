package check

import (
	"math"
	"strings"
	"testing"
)

func TestText(t *testing.T) {
	var r Result
	r.Summary = "all is well"
	r.judge(Perf{Label: "a b='c'", Value: 1.5, Unit: "s", Warn: mustRange(t, "10"), Crit: mustRange(t, "@20:30")}, "x")
	if got, want := r.Text("av"), "AV OK - all is well | 'a b=''c'''=1.5s;10;@20:30;0\n"; got != want || r.Status() != OK {
		t.Errorf("%q, want %q", got, want)
	}
	r.find(Unknown, "nothing known of x")
	if r.Status() != Unknown {
		t.Errorf("%s with something unknown", r.Status())
	}
	r.judge(Perf{Label: "p", Value: 11, Unit: "%", Max: 100, Warn: mustRange(t, "10")}, "p is 11")
	r.find(Critical, "cost $5 | more\nline")
	r.find(Critical, "and that")
	r.detail("a detail with a | bar")
	r.judge(Perf{Label: "lag", Value: -2, Signed: true}, "")
	r.judge(Perf{Label: "n", Value: math.NaN()}, "")
	want := `AV CRITICAL - cost \x245 \x7c more\nline, and that | 'a b=''c'''=1.5s;10;@20:30;0 p=11%;10;;0;100 lag=-2 n=U;;;0
[WARNING] p is 11 (warning above 10%)
[UNKNOWN] nothing known of x
a detail with a \x7c bar
`
	if got := r.Text("av"); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func mustRange(t *testing.T, s string) Range {
	t.Helper()
	r, err := ParseAges(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestTextBounds: what is too much is left out by whole lines and whole values, and that is said.
func TestTextBounds(t *testing.T) {
	var r Result
	for range 400 {
		r.judge(Perf{Label: strings.Repeat("x", 30), Value: 1e15}, "")
		r.find(Warning, "%s", strings.Repeat("é", 400))
		r.detail("%s", strings.Repeat("y", 100))
	}
	text := r.Text("x")
	if len(text) > maxOutput || !strings.Contains(text, "more values do not fit") && !strings.Contains(text, "more lines do not fit") {
		t.Errorf("%d bytes:\n%s", len(text), text)
	}
	if strings.Count(text, "|") != 2 {
		t.Errorf("%d bars, want one on the first line and one behind the last", strings.Count(text, "|"))
	}
	_, perf, _ := strings.Cut(text, "|")
	first, rest, _ := strings.Cut(perf, "\n")
	_, more, _ := strings.Cut(rest, "|")
	for _, p := range strings.Fields(first + more) {
		if p != strings.Repeat("x", 30)+"=1000000000000000;;;0" {
			t.Errorf("%q is no whole value", p)
		}
	}
	for _, line := range strings.Split(rest, "\n") {
		if strings.HasSuffix(line, "\xc3") {
			t.Errorf("a letter is cut in two: %q", line)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("a|b$c\nd", "l'=\x00", 1.5)
	f.Fuzz(func(t *testing.T, text, name string, v float64) {
		var r Result
		r.Summary = text
		r.judge(Perf{Label: name, Value: v, Unit: "s"}, text)
		r.detail("%s", text)
		out := r.Text("x")
		if strings.Count(out, "\n") != 2 || strings.Count(out, "|") != 1 || strings.Contains(out, "$") {
			t.Fatalf("%q", out)
		}
	})
}
