package check

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

func TestRange(t *testing.T) {
	inf := math.Inf(1)
	for _, c := range []struct {
		spec  string
		want  Range
		alert []float64
		quiet []float64
	}{
		{"10", Range{0, 10, false, true}, []float64{-1, 10.01, inf}, []float64{0, 10}},
		{"10:", Range{10, inf, false, true}, []float64{9.99, -inf}, []float64{10, 1e9}},
		{"~:10", Range{-inf, 10, false, true}, []float64{10.01}, []float64{-1e9, 10}},
		{"10:20", Range{10, 20, false, true}, []float64{9, 21}, []float64{10, 20}},
		{"@10:20", Range{10, 20, true, true}, []float64{10, 20, 15}, []float64{9.99, 20.01}},
		{":10", Range{0, 10, false, true}, []float64{-1, 11}, []float64{0, 10}},
		{"-5:-1.5", Range{-5, -1.5, false, true}, []float64{-6, -1}, []float64{-5, -1.5}},
		{"@~:0", Range{-inf, 0, true, true}, []float64{0, -3}, []float64{0.01}},
		{"0", Range{0, 0, false, true}, []float64{1, -1}, []float64{0}},
		{"~:", Range{-inf, inf, false, true}, nil, []float64{-1e9, 0, 1e9}},
		{"5.", Range{0, 5, false, true}, nil, []float64{5}},
		{".5", Range{0, .5, false, true}, nil, []float64{.5}},
	} {
		r, err := ParseRange(c.spec)
		if err != nil || r != c.want {
			t.Errorf("%q: %+v, %v; want %+v", c.spec, r, err, c.want)
		}
		if again, err := ParseRange(r.String()); err != nil || again != r {
			t.Errorf("%q is written %q, which reads as %+v, %v", c.spec, r, again, err)
		}
		for _, v := range append(c.alert, math.NaN()) {
			if !r.Violated(v) {
				t.Errorf("%q does not alert at %v", c.spec, v)
			}
		}
		for _, v := range c.quiet {
			if r.Violated(v) {
				t.Errorf("%q alerts at %v", c.spec, v)
			}
		}
	}
	if (Range{}).Violated(5) || (Range{}).String() != "" {
		t.Error("no range is violated by something")
	}
	for spec, why := range map[string]string{
		"20:10": "ends before", "": "no number", "a": "'a'", "1e3": "'e'", " 10": "' '", "10 ": "' '", "10,5": "','", "5%": "'%'",
		"@": "no number", "0:~": "no start", "~": "no start", "5:a": "'a'", "@@5": "'@'", "--5": "'-'", "+5": "'+'", "0x10": "'x'", "1.2.3": "'.'",
		":": "no number", "~:~": "no start", "nan": "'n'", "inf": "'i'", "-": "no number", ".": "no number", "1:2:3": "':'",
		strings.Repeat("1", 70): "longer",
	} {
		if r, err := ParseRange(spec); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %+v, %v; want an error with %q", spec, r, err, why)
		}
	}
	for spec, want := range map[string]string{"2d": "172800", "90": "90", "12h:7d": "43200:604800", "@15m:": "@900:", "~:2w": "~:1209600"} {
		if r, err := ParseAges(spec); err != nil || r.String() != want {
			t.Errorf("%q: %s, %v; want %s", spec, r, err, want)
		}
	}
	if _, err := ParseAges("2 days"); err == nil {
		t.Error("2 days is taken for an age")
	}
}

// plugins is where monitoring-plugins are.
const plugins = "/usr/lib/nagios/plugins/"

// TestBesidePlugins: check_procs, which shows its range as it is, exits as we do for the same value and the same
// thresholds; and where it takes for a number what is none, we refuse.
func TestBesidePlugins(t *testing.T) {
	procs := plugins + "check_procs"
	if _, err := os.Stat(procs); err != nil {
		t.Skip("check_procs is not installed: apt-get install monitoring-plugins-basic")
	}
	const most = 11
	mark := strconv.Itoa(os.Getpid())
	for i := range most {
		cmd := exec.Command("sleep", fmt.Sprintf("900.%s%02d", mark, i))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	}
	// Their arguments choose how many of them check_procs sees.
	theirs := func(n int, warn, crit string) int {
		var which []string
		for i := range n {
			which = append(which, fmt.Sprintf("%02d", i))
		}
		args := []string{"-C", "sleep", "--ereg-argument-array=^sleep 900[.]" + mark + "(" + strings.Join(append(which, "none"), "|") + ")$", "-w", warn}
		if crit != "" {
			args = append(args, "-c", crit)
		}
		return exitCode(t, exec.Command(procs, args...))
	}
	ours := func(n int, warn, crit string) int {
		w, err := ParseRange(warn)
		if err != nil {
			return int(Unknown)
		}
		var c Range
		if crit != "" {
			if c, err = ParseRange(crit); err != nil {
				return int(Unknown)
			}
		}
		r := Result{Summary: "x"}
		r.judge(Perf{Label: "procs", Value: float64(n), Warn: w, Crit: c}, "x")
		return int(r.Status())
	}
	for _, c := range []struct{ warn, crit string }{
		{"10", ""},
		{"10:", ""},
		{"~:5", ""},
		{":5", ""},
		{"5:10", ""},
		{"@5:10", ""},
		{"0", ""},
		{"@0:0", ""},
		{"@~:1", ""},
		{"0.5:1.5", ""},
		{"-5:5", ""},
		{"~:", ""},
		{"20:10", ""},
		{"5", "10"},
		{"5:", "1:"},
		{"@5:10", "@10:"},
		{"5:6", "20:10"},
	} {
		for _, n := range []int{0, 1, 5, 10, 11} {
			if a, b := ours(n, c.warn, c.crit), theirs(n, c.warn, c.crit); a != b {
				t.Errorf("%d processes, -w %s -c %s: we exit with %d, check_procs with %d", n, c.warn, c.crit, a, b)
			}
		}
	}
	for _, spec := range []string{"a", "1e3", "10,5", "5%", "@", "0:~"} {
		if theirs(0, spec, "") == int(Unknown) {
			t.Errorf("check_procs refuses %q now too: no difference any more", spec)
		}
		if ours(0, spec, "") != int(Unknown) {
			t.Errorf("%q is taken for a range", spec)
		}
	}
	// A call that cannot be meant, help and version.
	for _, args := range [][]string{{"--nonsense"}, {"--help"}, {"-V"}} {
		if code := exitCode(t, exec.Command(procs, args...)); code != int(Unknown) {
			t.Errorf("check_procs %v exits with %d; ours with 3", args, code)
		}
	}
	// check_dummy knows the words that go with the codes.
	for s := OK; s <= Unknown; s++ {
		out, _ := exec.Command(plugins+"check_dummy", strconv.Itoa(int(s))).Output()
		if !bytes.HasPrefix(out, []byte(s.String())) {
			t.Errorf("check_dummy calls %d %s, we %s", s, out, s)
		}
	}
}

func exitCode(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode()
}

func FuzzParseRange(f *testing.F) {
	for _, s := range []string{"10", "@~:5", "1:2", ":", "2d:", "0x1", "-.5:."} {
		f.Add(s, 1.0)
	}
	f.Fuzz(func(t *testing.T, s string, v float64) {
		for _, parse := range []func(string) (Range, error){ParseRange, ParseAges} {
			r, err := parse(s)
			if err != nil {
				if r.Set {
					t.Fatalf("%q: %v, and yet %+v", s, err, r)
				}
				continue
			}
			again, err := ParseRange(r.String())
			if err != nil || again != r || again.Violated(v) != r.Violated(v) {
				t.Fatalf("%q: %+v is written %q, which reads as %+v, %v", s, r, r, again, err)
			}
		}
	})
}
