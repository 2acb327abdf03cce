package intel

import (
	"bytes"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// testNow is when the samples are read.
var testNow = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

// sampleFiles are the samples below testdata, by format.
func sampleFiles(t testing.TB) map[string][]string {
	t.Helper()
	files := map[string][]string{}
	paths, err := filepath.Glob("testdata/*/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		if format := filepath.Base(filepath.Dir(p)); !strings.HasSuffix(p, ".golden") && format != "fuzz" && format != "rapid" {
			files[format] = append(files[format], p)
		}
	}
	return files
}

// parse reads a list and writes what came of it, a line for each entry, reject and notice.
func parse(f Format, b []byte) (string, error) {
	var out strings.Builder
	names := [...]string{"address", "domain", "url", "md5", "sha1", "sha256"}
	err := f.Parse(bytes.NewReader(b), &Sink{
		Now: testNow.UnixNano(),
		Add: func(i *Indicator) {
			text := i.Text
			if i.Type == Address {
				text = i.Prefix.String()
			}
			fmt.Fprintf(&out, "%s %s", names[i.Type], text)
			if i.Port != 0 {
				fmt.Fprintf(&out, " port %d", i.Port)
			}
			if i.Below {
				fmt.Fprint(&out, " and below")
			}
			for _, x := range [...]struct {
				word  string
				value any
			}{{"name", i.Name}, {"url", i.URL}, {"confidence", i.Confidence}, {"tags", i.Tags}} {
				if !reflect.ValueOf(x.value).IsZero() {
					fmt.Fprintf(&out, " %s=%v", x.word, x.value)
				}
			}
			for _, x := range [...]struct {
				word string
				at   int64
			}{{"seen", i.Seen}, {"expires", i.Expires}} {
				if x.at != 0 {
					fmt.Fprintf(&out, " %s=%s", x.word, time.Unix(0, x.at).UTC().Format(time.DateTime))
				}
			}
			fmt.Fprintln(&out)
		},
		Reject: func(r Reject) { fmt.Fprintf(&out, "reject line %d: %q: %s\n", r.Line, r.Text, r.Reason) },
		Notice: func(s string) { fmt.Fprintf(&out, "notice %s\n", s) },
	})
	return out.String(), err
}

// TestFormats reads every sample, found by its content unless only its name can tell it.
func TestFormats(t *testing.T) {
	samples := sampleFiles(t)
	for _, f := range Formats() {
		if len(samples[f.Name]) == 0 {
			t.Errorf("format %s has no sample under testdata/%s", f.Name, f.Name)
		}
		for _, path := range samples[f.Name] {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if found, _ := Detect(b); found.Name != f.Name && f.Name != "advisory" && f.Name != "taxii" {
				t.Errorf("%s is taken for %q", path, found.Name)
			}
			got, err := parse(f, b)
			if err != nil {
				t.Errorf("%s: %v", path, err)
			}
			golden := path + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s (run with -update if that is meant):\n%s", path, diff)
			}
		}
		if _, err := parse(f, []byte("<!DOCTYPE html><html><body>blocked</body></html>")); err == nil {
			t.Errorf("%s takes an HTML page for a list", f.Name)
		}
		delete(samples, f.Name)
	}
	for name := range samples {
		t.Errorf("testdata/%s belongs to no format", name)
	}
}

// TestConfigNamesFormats keeps the sentence in the configuration's schema and the manual complete.
func TestConfigNamesFormats(t *testing.T) {
	field, _ := reflect.TypeFor[ListConfig]().FieldByName("Format")
	words := strings.FieldsFunc(field.Tag.Get("doc"), func(r rune) bool { return r == ' ' || r == ',' || r == ';' })
	manual, err := os.ReadFile("../../docs/lists.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range FormatNames() {
		if !strings.Contains(" "+strings.Join(words, " ")+" ", " "+name+" ") {
			t.Errorf("the doc of the key format does not name %s", name)
		}
		if !strings.Contains(string(manual), "`"+name+"`") {
			t.Errorf("docs/lists.md does not name `%s`", name)
		}
	}
}

func TestHalfJSONIsAnError(t *testing.T) {
	for name, paths := range sampleFiles(t) {
		f, _ := FormatNamed(name)
		for _, path := range paths {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			b = bytes.TrimSpace(b)
			if name == "spamhaus" || len(b) == 0 || b[0] != '{' && b[0] != '[' {
				continue // one JSON document a line, or none
			}
			for _, n := range []int{1, len(b) / 2, len(b) - 1} {
				if _, err := parse(f, b[:n]); err == nil {
					t.Errorf("%s: the first %d of %d bytes were taken for a list", path, n, len(b))
				}
			}
		}
	}
}

func FuzzFormats(f *testing.F) {
	for name, paths := range sampleFiles(f) {
		for _, path := range paths {
			b, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(name, b)
		}
	}
	f.Fuzz(func(t *testing.T, name string, b []byte) {
		format, ok := FormatNamed(name)
		if !ok {
			if format, ok = Detect(b); !ok {
				return
			}
		}
		made := newBuilder(testNow.UnixNano(), 3600, nil)
		n := 0
		_ = format.Parse(bytes.NewReader(b), &Sink{Now: testNow.UnixNano(), Reject: func(Reject) {}, Add: func(i *Indicator) {
			if i.Type == Address && (!i.Prefix.IsValid() || i.Prefix != i.Prefix.Masked() || i.Prefix.Addr().Is4In6() && i.Prefix.Bits() >= 96) {
				t.Fatalf("prefix %v", i.Prefix)
			}
			if i.Type != Address && (i.Text == "" || len(i.Text) > maxLine) || i.Confidence > 100 {
				t.Fatalf("%+v", i)
			}
			n++
			made.add(i)
		}})
		if n > 300*(len(b)+1) {
			t.Fatalf("%d entries of %d bytes", n, len(b))
		}
		c, _ := made.finish()
		for i := range c.addresses {
			if p := c.addresses[i].prefix(); !p.IsValid() || p != p.Masked() {
				t.Fatalf("kept prefix %v", p)
			}
		}
	})
}

func FuzzPattern(f *testing.F) {
	for _, s := range []string{
		"[ipv4-addr:value = '192.0.2.1' AND network-traffic:dst_port IN (1, 2)]", "([a:b = 'c'] OR [d:e != 'f']) FOLLOWEDBY [file:hashes.'MD5' = 'x'] WITHIN 5 SECONDS",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		atoms, err := parsePattern(s)
		if err == nil && len(atoms) == 0 || len(atoms) > maxPatternAtoms {
			t.Fatalf("%d atoms, %v", len(atoms), err)
		}
	})
}

// TestReadPrefixes reads an advisory of 300 indicators in prose as its sender wrote it.
func TestReadPrefixes(t *testing.T) {
	var text strings.Builder
	want := map[netip.Prefix]bool{}
	for i := range 100 {
		fmt.Fprintf(&text, "On day %d we saw 198[.]51[.]100[.]%d talk to host%d[.]evil[.]example (sample %064x).\n", i, i, i, i+1)
		want[netip.MustParsePrefix(fmt.Sprintf("198.51.100.%d/32", i))] = true
	}
	got, rejects, err := ReadPrefixes(strings.NewReader(text.String()), "")
	if err != nil || len(rejects) != 0 || len(got) != len(want) {
		t.Fatalf("%d prefixes of %d, rejects %v, %v", len(got), len(want), rejects, err)
	}
	for i, p := range got {
		if !want[p] || i > 0 && comparePrefix(got[i-1], p) >= 0 {
			t.Errorf("%v is not in the text, or out of order", p)
		}
	}
	feed, err := os.ReadFile("testdata/feodo-json/ipblocklist.json")
	if err != nil {
		t.Fatal(err)
	}
	if got, _, err := ReadPrefixes(bytes.NewReader(feed), ""); err != nil || fmt.Sprint(got) != "[192.0.2.1/32]" {
		t.Errorf("a feed: %v, %v", got, err)
	}
	if _, _, err := ReadPrefixes(strings.NewReader("192.0.2.1"), "no-such"); err == nil {
		t.Error("an unknown format was taken")
	}
	_, rejects, err = ReadPrefixes(strings.NewReader("from 192.0.2.300 and\n0.0.0.0/0\n"), "")
	if err != nil || len(rejects) != 2 || rejects[0].Line != 1 || rejects[1].Line != 2 {
		t.Errorf("rejects %v, %v", rejects, err)
	}
}

// TestHostileTextIsFast reads a quarter of a megabyte of what costs most in each text format.
func TestHostileTextIsFast(t *testing.T) {
	for _, unit := range []string{"[a ", "1.1.1.1[", "[.][.] ", "hxxp://a[.]b ", "a,\"b\" ", "1-1 - ", "alert ip [1.1.1.1] any -> [", "(a(", "1.1.1.1\t1\t", "'", "[x:y='a' OR "} {
		text := strings.Repeat(strings.Repeat(unit, maxLine/len(unit)-1)+"\n", 4)
		for _, f := range Formats() {
			from := time.Now()
			_ = f.Parse(strings.NewReader(text), &Sink{Add: func(*Indicator) {}, Reject: func(Reject) {}})
			if d := time.Since(from); d > 4*time.Second {
				t.Errorf("%s takes %v for 256 kB of %q", f.Name, d, unit)
			} else if d > time.Second {
				t.Logf("%s takes %v for 256 kB of %q", f.Name, d, unit)
			}
		}
	}
	from := time.Now()
	if _, err := parsePattern("[" + strings.Repeat("a:b = '", maxPattern/8)); err == nil || time.Since(from) > time.Second {
		t.Errorf("a broken pattern took %v: %v", time.Since(from), err)
	}
}
