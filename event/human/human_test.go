package human_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"

	"varde/event/human"
)

func TestBytes(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0 B", 812: "812 B", 999: "999 B", 1000: "1.0 kB", 1049: "1.0 kB", 1050: "1.1 kB", 9949: "9.9 kB", 9950: "10 kB",
		48_000: "48 kB", 999_499: "999 kB", 999_500: "1.0 MB", 1_200_000: "1.2 MB", 7_300_000_000: "7.3 GB",
		2e12: "2.0 TB", 3e15: "3.0 PB", math.MaxUint64: "18 EB",
	} {
		if got := human.Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0", 7: "7", 999: "999", 1000: "1,000", 1204: "1,204", 999_999: "999,999", 1_000_000: "1,000,000",
		math.MaxUint64: "18,446,744,073,709,551,615",
	} {
		if got := human.Count(n); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 s", 1: "1 ns", 999: "999 ns", 1500: "2 µs", 130 * time.Microsecond: "130 µs", 3 * time.Millisecond: "3 ms",
		time.Second: "1 s", 27*time.Second + 400*time.Millisecond: "27 s", 119 * time.Second: "119 s", 2 * time.Minute: "2 min",
		4*time.Minute + 31*time.Second: "5 min", 119 * time.Minute: "119 min", 2 * time.Hour: "2 h", 47 * time.Hour: "47 h",
		48 * time.Hour: "2 d", 90 * 24 * time.Hour: "90 d", -3 * time.Second: "-3 s", -90 * time.Minute: "-90 min",
		math.MaxInt64: "106752 d", math.MinInt64: "-106752 d",
	} {
		if got := human.Span(d); got != want {
			t.Errorf("Span(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestParseDuration(t *testing.T) {
	const day = 24 * time.Hour
	for s, want := range map[string]time.Duration{
		"250ms": 250 * time.Millisecond, "30s": 30 * time.Second, "5m": 5 * time.Minute, "12h": 12 * time.Hour, "1h30m": 90 * time.Minute,
		"90d": 90 * day, "1.5d": 36 * time.Hour, "2w": 14 * day, "0": 0, "0s": 0, "0d": 0, " 30s ": 30 * time.Second,
	} {
		if got, err := human.ParseDuration(s); err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %v, %v; want %v", s, got, err, want)
		}
	}
	for _, s := range []string{
		"", " ", "d", "w", "5", "5 apples", "-5s", "-1d", "1d12h", "NaNd", "nanw", "Infd", "-Infd", "1e300d", "106752d", "15251w", "9999999h", "30S", "1y",
		"\x00", "5d\n5d", "٣d",
	} {
		got, err := human.ParseDuration(s)
		if want := fmt.Sprintf("%q is no duration: use 30s, 5m, 12h, 90d or 2w", strings.TrimSpace(s)); err == nil || err.Error() != want {
			t.Errorf("ParseDuration(%q) = %v, %v; want the error %q", s, got, err, want)
		}
	}
}

func TestDurationString(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 250 * time.Millisecond: "250ms", 30 * time.Second: "30s", 5 * time.Minute: "5m", 90 * time.Minute: "1h30m",
		12 * time.Hour: "12h", 24 * time.Hour: "1d", 36 * time.Hour: "36h", 90 * 24 * time.Hour: "90d", 90*time.Minute + time.Second: "1h30m1s",
		10 * time.Second: "10s", 100 * time.Minute: "1h40m",
	} {
		if got := human.Duration(d).String(); got != want {
			t.Errorf("%d is %q, want %q", d, got, want)
		}
	}
}

func TestParseSize(t *testing.T) {
	for s, want := range map[string]uint64{
		"0": 0, "512": 512, "512B": 512, "1k": 1000, "1kB": 1000, "1K": 1000, "64 MB": 64_000_000, "20G": 20_000_000_000, "2TB": 2e12,
		"4MiB": 4 << 20, "4 mib": 4 << 20, "1Ki": 1024, "1.5KiB": 1536, "0.5GiB": 1 << 29, "3TiB": 3 << 40, "1e3": 1000, " 7 ": 7,
	} {
		if got, err := human.ParseSize(s); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", s, got, err, want)
		}
	}
	for _, s := range []string{
		"", "B", "k", "MiB", "-1", "-1k", "NaN", "Inf", "nank", "1e300", "9223372036854775808", "9000000TiB", "12 apples", "4MM", "4BB",
		"5i", "5iB", "1,000", "4MiB4", "\x00", "４k",
	} {
		got, err := human.ParseSize(s)
		want := fmt.Sprintf("%q is no size: use a number with B, kB, MB, GB, TB or KiB, MiB, GiB, TiB", s)
		if err == nil || err.Error() != want {
			t.Errorf("ParseSize(%q) = %d, %v; want the error %q", s, got, err, want)
		}
	}
}

func TestSizeString(t *testing.T) {
	for n, want := range map[human.Size]string{
		0: "0B", 512: "512B", 1000: "1000B", 1024: "1KiB", 1536: "1536B", 4 << 20: "4MiB", 5 << 30: "5GiB", 3 << 40: "3TiB", 1<<20 + 1: "1048577B",
	} {
		if got := n.String(); got != want {
			t.Errorf("%d is %q, want %q", uint64(n), got, want)
		}
	}
}

// TestQuantitiesInYAML reads a configuration and writes it again.
func TestQuantitiesInYAML(t *testing.T) {
	type config struct {
		Every human.Duration `yaml:"every"`
		Room  human.Size     `yaml:"room"`
		Ports human.List     `yaml:"ports"`
	}
	for in, want := range map[string]config{
		"every: 90d\nroom: 64 MB\nports: \":2055\"\n":         {human.Duration(90 * 24 * time.Hour), 64_000_000, human.List{":2055"}},
		"every: 1h30m\nroom: 512\nports: [\"a\", \"b\"]\n":    {human.Duration(90 * time.Minute), 512, human.List{"a", "b"}},
		"every: 0s\nroom: 4MiB\nports: []\n":                  {0, 4 << 20, human.List{}},
		"every: \"250ms\"\nroom: 1KiB\nports:\n- a\n- \"\"\n": {human.Duration(250 * time.Millisecond), 1024, human.List{"a", ""}},
	} {
		var got config
		if err := yaml.Unmarshal([]byte(in), &got); err != nil {
			t.Fatalf("%s%v", in, err)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%sis %v, want %v", in, got, want)
		}
		out, err := yaml.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		var again config
		if err := yaml.Unmarshal(out, &again); err != nil || fmt.Sprint(again) != fmt.Sprint(got) {
			t.Errorf("%sis written as\n%swhich is %v, %v", in, out, again, err)
		}
	}
	for in, want := range map[string]string{
		"every: soon\n": `"soon" is no duration`, "room: much\n": `"much" is no size`, "ports: {a: b}\n": "ports",
	} {
		if err := yaml.Unmarshal([]byte(in), &config{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", in, err)
		}
	}
}

// TestFlags is how the command line uses a duration.
func TestFlags(t *testing.T) {
	var d human.Duration
	if err := d.Set("14d"); err != nil || d.String() != "14d" || d.Type() != "duration" {
		t.Errorf("%v, %v, %s", d, err, d.Type())
	}
	if err := d.Set("later"); err == nil {
		t.Error("later is taken for a duration")
	}
}

func TestSafe(t *testing.T) {
	for in, want := range map[string]string{
		"":                               "",
		"GET / HTTP/1.1":                 "GET / HTTP/1.1",
		"blåbærsyltetøy 日本語 😀":           "blåbærsyltetøy 日本語 😀",
		`a "quoted" \n`:                  `a "quoted" \n`,
		"two\r\nlines":                   `two\r\nlines`,
		"tab\there":                      `tab\there`,
		"\x1b[2J\x1b]0;title\x07":        `\x1b[2J\x1b]0;title\a`,
		"nul\x00del\x7f":                 `nul\x00del\x7f`,
		"C1 \u009b31m":                   `C1 \u009b31m`,
		"\u202egpj.exe":                  `\u202egpj.exe`,
		"\u2066isolate\u2069":            `\u2066isolate\u2069`,
		"zero\u200bwidth\ufeff":          `zero\u200bwidth\ufeff`,
		"no-break\u00a0space":            `no-break\u00a0space`,
		"line\u2028separator":            `line\u2028separator`,
		"tag \U000e0041":                 `tag \U000e0041`,
		"broken \xff\xc3 utf-8":          `broken \xff\xc3 utf-8`,
		"surrogate \xed\xa0\x80":         `surrogate \xed\xa0\x80`,
		"overlong \xc0\x8a":              `overlong \xc0\x8a`,
		"replaced \ufffd":                `replaced \ufffd`,
		"private use \ue000":             `private use \ue000`,
		strings.Repeat("x", 1000) + "\n": strings.Repeat("x", 1000) + `\n`,
	} {
		if got := human.Safe(in); got != want {
			t.Errorf("Safe(%q) = %q, want %q", in, got, want)
		}
		if got := string(human.AppendSafe([]byte("> "), in)); got != "> "+want {
			t.Errorf("AppendSafe(%q) = %q", in, got)
		}
	}
	plain := strings.Repeat("plain text ", 20)
	buf := make([]byte, 0, 1<<12)
	if n := testing.AllocsPerRun(100, func() { human.Safe(plain); human.AppendSafe(buf, "\x1b[2J\xff"+plain[:9]) }); n > 1 {
		t.Errorf("%v allocations for text that is safe already", n)
	}
}

func FuzzSafe(f *testing.F) {
	f.Add("plain")
	f.Add("\x1b[31m\xff\u202e\r\n")
	f.Fuzz(func(t *testing.T, s string) {
		safe := human.Safe(s)
		for _, r := range safe {
			if r < ' ' || r == 0x7f || r == utf8.RuneError || !unicode.IsPrint(r) {
				t.Fatalf("Safe(%q) = %q holds %U", s, safe, r)
			}
		}
		if human.Safe(safe) != safe {
			t.Fatalf("Safe(%q) = %q is not safe", s, safe)
		}
		if !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }) && safe != s {
			t.Fatalf("Safe(%q) = %q changes what is harmless", s, safe)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"90d", "1h30m", "250ms", "4MiB", "1.5k", "NaNd", "1e18"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := human.ParseDuration(s); err == nil {
			again, err := human.ParseDuration(human.Duration(d).String())
			if err != nil || again != d || d < 0 {
				t.Fatalf("%q is %v, written %q, read as %v, %v", s, int64(d), human.Duration(d), again, err)
			}
		}
		if n, err := human.ParseSize(s); err == nil && n < 1<<53 { // beyond, a float64 is not exact
			again, err := human.ParseSize(human.Size(n).String())
			if err != nil || again != n {
				t.Fatalf("%q is %d, written %q, read as %d, %v", s, n, human.Size(n), again, err)
			}
		}
	})
}
