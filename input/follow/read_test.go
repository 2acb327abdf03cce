package follow

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func put(t *testing.T, path, text string) {
	t.Helper()
	b := []byte(text)
	if strings.HasSuffix(path, ".gz") {
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		w.Write(b)
		w.Close()
		b = z.Bytes()
	}
	if err := os.WriteFile(path, b, 0o640); err != nil {
		t.Fatal(err)
	}
}

// TestReadOrder reads folders as they are found on routers' log hosts; each file holds its own place in the order.
func TestReadOrder(t *testing.T) {
	for name, names := range map[string][]string{
		"numbered":         {"fw.log.10.gz", "fw.log.9.gz", "fw.log.2.gz", "fw.log.1", "fw.log"},
		"dated":            {"fw.log-20231230.gz", "fw.log-20231231.gz", "fw.log-20240101", "fw.log"},
		"dated by second":  {"fw.log-20240101-1704067200.gz", "fw.log-20240101-1704070800.gz", "fw.log"},
		"before the end":   {"fw.2.log.gz", "fw.1.log", "fw.log"},
		"one file a day":   {"2023-12-31.log", "2024-01-01.log", "2024-01-02.log.gz"},
		"named by address": {"192.0.2.1", "192.0.2.2", "192.0.2.30"},
		"savelog":          {"fw.log.1.gz", "fw.log.0", "fw.log"},
		"two logs":         {"a.log.2.gz", "a.log.1", "a.log", "b.log.1", "b.log"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for i, n := range names {
				put(t, filepath.Join(dir, n), fmt.Sprintf("%s begins\n%s ends, without an end", n, n))
				at := time.Now().Add(time.Duration(i-100) * time.Minute)
				os.Chtimes(filepath.Join(dir, n), at, at)
			}
			put(t, filepath.Join(dir, ".hidden"), "no\n")
			var got []string
			total, err := Read(t.Context(), []string{dir}, time.UTC, func(o *Origin, line []byte) {
				if bytes.HasSuffix(line, []byte("begins")) {
					got = append(got, filepath.Base(o.File))
				}
			})
			if err != nil || total.Files != uint64(len(names)) || total.Lines != 2*total.Files {
				t.Fatalf("%+v, %v", total, err)
			}
			if diff := cmp.Diff(names, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestReadTrouble: what cannot be read is told and does not keep the rest from being read.
func TestReadTrouble(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "a.log"), "one\r\n\x00\x00two\n"+strings.Repeat("x", MaxLine+1)+"\n\nlast")
	put(t, filepath.Join(dir, "b.log.gz"), strings.Repeat("three\n", 1000))
	whole, _ := os.ReadFile(filepath.Join(dir, "b.log.gz"))
	put(t, filepath.Join(dir, "b.log"), string(whole[:len(whole)-12]))
	put(t, filepath.Join(dir, "c.zst"), "\x28\xb5\x2f\xfd....")
	var lines []string
	total, err := Read(t.Context(), []string{filepath.Join(dir, "missing"), dir, filepath.Join(dir, "a.log")}, time.UTC,
		func(_ *Origin, line []byte) { lines = append(lines, string(line)) })
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "unexpected EOF") || !strings.Contains(err.Error(), "zstd -dk") {
		t.Errorf("%v", err)
	}
	if total.Cut != 1 || !slices.Equal(lines[:5], []string{"one", "two", strings.Repeat("x", MaxLine), "", "last"}) {
		t.Errorf("%+v, %.40q", total, lines[:5])
	}
	if n := len(lines); n < 1000 {
		t.Errorf("%d lines", n)
	}
}

func TestStdin(t *testing.T) {
	if os.Getenv("FOLLOW_STDIN") != "" {
		total, err := Read(context.Background(), []string{"-"}, time.UTC, func(o *Origin, line []byte) { fmt.Printf("%s %s\n", o.Name, line) })
		fmt.Println(total.Lines, err)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestStdin$")
	cmd.Env = append(os.Environ(), "FOLLOW_STDIN=1")
	cmd.Stdin = strings.NewReader("one\ntwo")
	out, err := cmd.Output()
	if err != nil || !strings.HasPrefix(string(out), "- one\n- two\n2 <nil>\n") {
		t.Errorf("%q, %v", out, err)
	}
}

// TestGlob: a pattern finds logs, not what rotation made of them, and new files from their start.
func TestGlob(t *testing.T) {
	dir := t.TempDir()
	for _, n := range []string{"fw.log", "fw.log.1", "fw.log.2.gz", "fw.log-20240101", "192.0.2.1", "192.0.2.2", "2024-01-01.log", "fw.1.log"} {
		put(t, filepath.Join(dir, n), "old\n")
	}
	var got []string
	f, err := New("glob", Config{Paths: []string{filepath.Join(dir, "*")}}, filepath.Join(dir, "state"), func(o *Origin, line []byte) {
		got = append(got, filepath.Base(o.Name)+" "+string(line))
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.load(); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	look := func() {
		now = now.Add(globEvery)
		for f.round(t.Context(), now) {
		}
	}
	look()
	if want := []string{"192.0.2.1", "192.0.2.2", "2024-01-01.log", "fw.log"}; !slices.EqualFunc(f.paths(), want, func(a, b string) bool { return filepath.Base(a) == b }) {
		t.Errorf("follows %q, want %q", f.paths(), want)
	}
	put(t, filepath.Join(dir, "2024-01-02.log"), "new\n")
	os.Rename(filepath.Join(dir, "fw.log"), filepath.Join(dir, "fw-before.log")) // within the pattern
	put(t, filepath.Join(dir, "fw.log"), "again\n")
	look()
	look()
	slices.Sort(got)
	if want := []string{"2024-01-02.log new", "fw.log again"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	all, err := f.Figures(t.Context())
	if err != nil || len(all) < 10 {
		t.Errorf("%d figures, %v", len(all), err)
	}
	os.Remove(filepath.Join(dir, "2024-01-01.log"))
	look()
	now = now.Add(2 * idleOld)
	look()
	if slices.Contains(f.paths(), filepath.Join(dir, "2024-01-01.log")) {
		t.Error("a deleted file is never forgotten")
	}
}

// TestTruncatedWithoutCopy: what is gone is counted, and what comes is read.
func TestTruncatedWithoutCopy(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "fw.log")
	put(t, path, "one\ntwo\n")
	var got []string
	f, err := New("x", Config{Paths: []string{path}, FromStart: true}, dir, func(_ *Origin, line []byte) { got = append(got, string(line)) }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.load(); err != nil {
		t.Fatal(err)
	}
	look := func() {
		for f.round(t.Context(), time.Now()) {
		}
	}
	look()
	put(t, path, "1\n2\n3\n4\n5\n6\n7\n") // longer than before, so that only its beginning tells
	look()
	if want := []string{"one", "two", "1", "2", "3", "4", "5", "6", "7"}; !slices.Equal(got, want) || f.counters.gaps.Load() != 1 || f.counters.truncations.Load() != 1 {
		t.Errorf("got %q, %d gaps, %d truncations", got, f.counters.gaps.Load(), f.counters.truncations.Load())
	}
}

// TestKill: after a kill, what came in the last two seconds comes again, and nothing is lost.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "fw.log")
	put(t, path, "")
	var got []string
	now := time.Now()
	start := func() *Follower {
		f, err := New("x", Config{Paths: []string{path}, FromStart: true}, dir, func(_ *Origin, line []byte) { got = append(got, string(line)) }, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.load(); err != nil {
			t.Fatal(err)
		}
		return f
	}
	look := func(f *Follower) {
		for f.round(t.Context(), now) {
		}
		if err := f.saved.due(now, f.encode); err != nil {
			t.Fatal(err)
		}
		now = now.Add(saveEvery)
	}
	f := start()
	text := ""
	for _, line := range []string{"one\n", "two\n", "three\n", "four\n"} {
		text += line
		put(t, path, text)
		look(f)
	}
	for _, tail := range f.tails {
		tail.close() // what a kill does, and no more
	}
	got = nil
	look(start())
	if want := []string{"four"}; !slices.Equal(got, want) {
		t.Errorf("%q came again, want %q", got, want)
	}
}

// TestHole: a writer who does not append leaves a hole where the file was truncated.
func TestHole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "fw.log")
	w, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	got := 0
	f, err := New("x", Config{Paths: []string{path}, FromStart: true}, dir, func(_ *Origin, line []byte) {
		if got++; string(line) != fmt.Sprintf("line %d", got) {
			t.Errorf("line %d is %q", got, line)
		}
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.load(); err != nil {
		t.Fatal(err)
	}
	for n := range 30 {
		fmt.Fprintf(w, "line %d\n", n+1)
		for f.round(t.Context(), time.Now()) {
		}
		if n%10 == 9 {
			b, _ := os.ReadFile(path)
			put(t, path+fmt.Sprintf(".%d", 3-n/10), string(b))
			os.Truncate(path, 0)
		}
	}
	if got != 30 {
		t.Errorf("%d lines", got)
	}
}

// TestBrokenState: a state that is not ours stops the follower instead of being overwritten.
func TestBrokenState(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "follow-x.json"), "{")
	f, err := New("x", DefaultConfig(), dir, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "move it away") {
		t.Errorf("%v", err)
	}
}

func TestConfig(t *testing.T) {
	for text, c := range map[string]Config{
		"must begin with a slash": {Paths: []string{"fw.log"}},
		"is compressed":           {Paths: []string{"/var/log/fw.log.1.gz"}},
		"is no pattern":           {Paths: []string{"/var/log/[fw"}},
		"zone":                    {Zone: "Middle/Earth"},
	} {
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%+v: %v, want %q", c, err, text)
		}
	}
	j := JournalConfig{Match: []string{"--directory=/etc"}}
	if j.Check() == nil {
		t.Error("an option of journalctl passes as a match")
	}
}

// FuzzLines: lines are the same however the bytes come in pieces, and none is too long.
func FuzzLines(f *testing.F) {
	f.Add([]byte("one\r\n\x00\x00two\n\nlast"), uint8(2))
	f.Add([]byte(strings.Repeat("x", MaxLine+5)+"\ny\n"), uint8(255))
	f.Fuzz(func(t *testing.T, b []byte, step uint8) {
		read := func(step int) (out []string, cut uint64) {
			var l lines
			take := func(line []byte) { out = append(out, string(line)) }
			for rest := b; len(rest) > 0; {
				n := min(step, len(rest))
				l.feed(rest[:n], take)
				rest = rest[n:]
			}
			if l.held > int64(len(b)) || len(l.part) > MaxLine+1 {
				t.Fatalf("%d held, %d kept of %d", l.held, len(l.part), len(b))
			}
			l.finish(take)
			return out, l.cut
		}
		whole, cut := read(max(len(b), 1))
		pieces, cutToo := read(int(step) + 1)
		if !slices.Equal(whole, pieces) || cut != cutToo {
			t.Fatalf("%q\nin pieces of %d\n%q", whole, int(step)+1, pieces)
		}
	})
}

// FuzzState: a state of anybody's making is taken or refused, and what was taken is written the same again.
func FuzzState(f *testing.F) {
	f.Add([]byte(`{"version":1,"patterns":["/nowhere/fw.log"],"files":[{"path":"/nowhere/fw.log","started":true,"offset":-5,"head":{"size":2000,"sha256":"00"},"retired":[{"offset":3}]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		path := filepath.Join(dir, "follow-x.json")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		open := func() *Follower {
			w, err := New("x", Config{Paths: []string{"/nowhere/fw.log"}}, dir, func(*Origin, []byte) {}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			return w
		}
		w := open()
		if w.load() != nil {
			return
		}
		first := w.encode()
		if err := w.saved.write(first); err != nil {
			t.Fatal(err)
		}
		w = open()
		if err := w.load(); err != nil || !bytes.Equal(w.encode(), first) {
			t.Fatalf("%v: %s\nbecame %s", err, first, w.encode())
		}
	})
}

func TestLinesDoNotAllocate(t *testing.T) {
	var l lines
	b := bytes.Repeat([]byte("Nov 23 18:30:40 fw kernel: IN=eth0 OUT= SRC=192.0.2.1\n"), 100)
	take := func([]byte) {}
	l.feed(b[:70], take)
	if n := testing.AllocsPerRun(100, func() { l.feed(b[70:], take); l.feed(b[:70], take) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkLines(b *testing.B) {
	var l lines
	text := bytes.Repeat([]byte("Nov 23 18:30:40 fw kernel: IN=eth0 OUT= SRC=192.0.2.1 DST=198.51.100.2 LEN=40 PROTO=TCP\n"), 700)
	n := 0
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		l.feed(text, func([]byte) { n++ })
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds()/1e6, "Mlines/s")
}
