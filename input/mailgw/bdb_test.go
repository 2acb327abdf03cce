package mailgw

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// program skips the test where the Debian program is not installed.
func program(t *testing.T, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed: apt-get install %s", name, debian)
	}
	return path
}

func perlBerkeleyDB(t *testing.T) string {
	t.Helper()
	perl := program(t, "perl", "perl")
	if exec.Command(perl, "-MBerkeleyDB", "-e1").Run() != nil {
		t.Skip("the Perl module BerkeleyDB is not installed: apt-get install libberkeleydb-perl")
	}
	return perl
}

func take(*table) error { return nil }

func byKey(a, b row) int { return strings.Compare(a.key+"\x00"+a.value, b.key+"\x00"+b.value) }

func sorted(rows []row) []row {
	rows = slices.Clone(rows)
	slices.SortFunc(rows, byKey)
	return rows
}

// The databases were copied from a running amavis with two children, of which nanny.db on the disk knew nothing.
func TestLiveOverFile(t *testing.T) {
	for _, name := range []string{"snmp.db", "nanny.db"} {
		r := newLiveReader("testdata/amavis", name)
		got, err := r.read(t.Context(), take)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		file, _, err := r.readFile()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		t.Logf("%s: %d rows live, %d in the file", name, len(got.rows), len(file.rows))
		if name == "nanny.db" && (len(got.rows) != 2 || len(file.rows) != 0) {
			t.Errorf("nanny.db: %d rows live and %d in the file, want 2 and 0", len(got.rows), len(file.rows))
		}
		if name == "snmp.db" && len(got.rows) != 103 {
			t.Errorf("snmp.db: %d rows, want 103", len(got.rows))
		}
	}
}

// writer is a process that writes into an environment.
type writer struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func hammer(t *testing.T, dir string, name, keys, grow, gap int) *writer {
	t.Helper()
	cmd := exec.Command(perlBerkeleyDB(t), "testdata/hammer.pl", dir, strconv.Itoa(name), strconv.Itoa(keys), strconv.Itoa(grow), strconv.Itoa(gap))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	w := &writer{cmd, in, bufio.NewReader(out)}
	if line, err := w.out.ReadString('\n'); line != "ready\n" {
		t.Fatalf("writer said %q: %v", line, err)
	}
	return w
}

// quiet makes the writer stop, with everything left open, and tells how many messages it counted.
func (w *writer) quiet(t *testing.T) int {
	t.Helper()
	fmt.Fprintln(w.in, "enough")
	line, err := w.out.ReadString('\n')
	n, err2 := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || err2 != nil {
		t.Fatalf("writer said %q: %v", line, err)
	}
	return n
}

func counters(t *testing.T, rows []row) map[string]uint64 {
	t.Helper()
	out := map[string]uint64{}
	for _, r := range rows {
		v, ok := parseAmavisValue(r.key, r.value)
		if !ok {
			t.Fatalf("torn value %q of %q", r.value, r.key)
		}
		if _, twice := out[r.key]; twice {
			t.Fatalf("%q is there twice", r.key)
		}
		out[r.key] = v.Count
	}
	return out
}

// TestLiveBesideWriters reads without the check against earlier values that Amavis adds, so that it shows what the
// reading itself promises.
func TestLiveBesideWriters(t *testing.T) {
	dump := program(t, "db_dump", "db-util")
	for _, c := range []struct {
		name            string
		keys, grow, gap int
	}{
		{"as amavis", 40, 0, 20_000},
		{"without rest, growing", 40, 600, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			writers := []*writer{hammer(t, dir, 1, c.keys, c.grow, c.gap), hammer(t, dir, 2, c.keys, c.grow, c.gap)}
			r := newLiveReader(dir, "snmp.db")
			nanny := newLiveReader(dir, "nanny.db")
			var reads, refused int
			before := map[string]uint64{}
			var spent time.Duration
			start := time.Now()
			for time.Since(start) < 2*time.Second || reads < 20 && time.Since(start) < 20*time.Second {
				begun := time.Now()
				got, err := r.read(t.Context(), take)
				spent += time.Since(begun)
				if errors.Is(err, errBusy) || errors.Is(err, errTorn) {
					refused++
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				reads++
				now := counters(t, got.rows)
				for name, n := range before {
					if now[name] < n {
						t.Fatalf("read %d: %s was %d and is %d", reads, name, n, now[name])
					}
				}
				before = now
				if rows, err := nanny.read(t.Context(), take); err == nil {
					for _, row := range rows.rows {
						if _, ok := parseProcess(row.key, row.value); !ok {
							t.Fatalf("torn row %q %q", row.key, row.value)
						}
					}
				}
			}
			if reads < 20 {
				t.Errorf("only %d reads were accepted", reads)
			}
			messages := 0
			for _, w := range writers {
				messages += w.quiet(t)
			}
			t.Logf("%d messages; %d reads of %d counters, %d refused, %s each", messages, reads, len(before), refused, spent/time.Duration(reads+refused))
			for _, name := range []string{"snmp.db", "nanny.db"} {
				got, err := newLiveReader(dir, name).read(t.Context(), take)
				if err != nil {
					t.Fatal(err)
				}
				want, err := (&dumper{program: dump}).dump(t.Context(), dir, name)
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(sorted(want.rows), sorted(got.rows), cmp.AllowUnexported(row{})); d != "" {
					t.Errorf("%s: db_dump - and + the live reader:\n%s", name, d)
				}
				if name == "snmp.db" && counters(t, got.rows)["InMsgs1"] != uint64(messages) {
					t.Errorf("InMsgs1 is %d after %d messages", counters(t, got.rows)["InMsgs1"], messages)
				}
			}
		})
	}
}

// TestCrowdedCache: where the database outgrows the cache, db_dump is asked first, and nothing goes back either.
func TestCrowdedCache(t *testing.T) {
	program(t, "db_dump", "db-util")
	dir := t.TempDir()
	w := hammer(t, dir, 1, 5, 1_000_000, 0)
	a := NewAmavis(AmavisConfig{Dir: dir, DBDump: "db_dump"})
	before := uint64(0)
	for end := time.Now().Add(20 * time.Second); a.Stats().Reads[FromDump] < 5; {
		if time.Now().After(end) {
			t.Fatalf("db_dump is never asked: %+v", a.Stats())
		}
		v, err := a.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n := v.Count("InMsgs1"); n < before {
			t.Fatalf("InMsgs1 was %d and is %d from %s", before, n, v.Source)
		} else {
			before = n
		}
		if err := pause(t.Context(), 20*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	n := w.quiet(t)
	v, err := a.Snapshot(t.Context())
	if err != nil || v.Count("InMsgs1") != uint64(n) {
		t.Errorf("InMsgs1 %d after %d messages, from %s: %v", v.Count("InMsgs1"), n, v.Source, err)
	}
	t.Logf("%+v, %d values", a.Stats(), len(v.Values))
}

// TestBtreeAndLongItems reads forms that amavis does not write today, made by the real db_load.
func TestBtreeAndLongItems(t *testing.T) {
	load := program(t, "db_load", "db-util")
	long := strings.Repeat("0123456789abcdef", 1000)
	for _, form := range []string{"btree", "hash"} {
		path := filepath.Join(t.TempDir(), "x.db")
		cmd := exec.Command(load, "-T", "-t", form, path)
		var want []row
		var in strings.Builder
		for i := range 300 {
			r := row{fmt.Sprintf("key%03d", i), fmt.Sprintf("C32 %010d", i)}
			if i == 7 {
				r.value = long
			}
			want = append(want, r)
			fmt.Fprintf(&in, "%s\n%s\n", r.key, r.value)
		}
		cmd.Stdin = strings.NewReader(in.String())
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("db_load: %v: %s", err, out)
		}
		got, _, err := newLiveReader(filepath.Dir(path), "x.db").readFile()
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(sorted(want), sorted(got.rows), cmp.AllowUnexported(row{})); d != "" {
			t.Errorf("%s: %s", form, d)
		}
	}
}

func TestDumpFixture(t *testing.T) {
	b, err := os.ReadFile("testdata/snmp_db_dump.txt")
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseDump(b)
	if err != nil {
		t.Fatal(err)
	}
	var v AmavisValues
	v.fill(got.rows)
	if len(v.Values) != 86 || v.Bad != 0 || v.Count("TimeElapsedTotal") != 6778 {
		t.Errorf("%d values, %d bad, TimeElapsedTotal %d; want 86, 0, 6778", len(v.Values), v.Bad, v.Count("TimeElapsedTotal"))
	}
}

func TestReadEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := newLiveReader("testdata/amavis", "snmp.db").read(ctx, func(*table) error { return errBusy })
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("%v, want the end of the context", err)
	}
}

func BenchmarkLive(b *testing.B) {
	r := newLiveReader("testdata/amavis", "snmp.db")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.read(b.Context(), take); err != nil {
			b.Fatal(err)
		}
	}
}
