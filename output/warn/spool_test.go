package warn

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// take reads at most n warnings off a spool.
func take(t testing.TB, s *spool, n int) []string {
	t.Helper()
	if s.count == 0 {
		return nil
	}
	r, err := s.read()
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	var got []string
	lines := 0
	for it := range r.all() {
		if lines == n {
			break
		}
		lines++
		if it.ok {
			got = append(got, it.w.ID)
		}
	}
	if r.err != nil {
		t.Fatal(r.err)
	}
	if err := s.advance(lines); err != nil {
		t.Fatal(err)
	}
	return got
}

func open(t testing.TB, path string, most int64) *spool {
	t.Helper()
	s, err := openSpool(path, most)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSpoolAgainstModel: whatever is added, taken, and interrupted by restarts, what comes out is what went in, in
// order, and files stay within their bound.
func TestSpoolAgainstModel(t *testing.T) {
	dir := t.TempDir()
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		path := filepath.Join(dir, fmt.Sprint(run), "x.jsonl")
		if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		const most = 16 << 10 // some dozen warnings, so that the older file comes and goes
		s := open(t, path, most)
		defer func() { s.close() }()
		var model []string
		next := 0
		rt.Repeat(map[string]func(*rapid.T){
			"add": func(rt *rapid.T) {
				for range rapid.IntRange(1, 6).Draw(rt, "n") {
					w := warning(next)
					n, err := s.add(w)
					if n == 1 {
						model = append(model, w.ID)
					} else if err == nil {
						rt.Fatal("not added, and no reason given")
					} else if s.bytes() < most/2-1000 {
						rt.Fatalf("refused with %d of %d bytes in use: %v", s.bytes(), most, err)
					}
					next++
				}
			},
			"take": func(rt *rapid.T) {
				n := rapid.IntRange(1, 10).Draw(rt, "n")
				want := model[:min(n, len(model))]
				if got := take(t, s, n); fmt.Sprint(got) != fmt.Sprint(want) {
					rt.Fatalf("got %v, want %v", got, want)
				}
				model = model[len(want):]
			},
			"restart": func(rt *rapid.T) {
				s.close()
				s = open(t, path, most)
			},
			"kill while writing": func(rt *rapid.T) {
				f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
				if err != nil {
					return
				}
				f.WriteString(`{"time":"2016-06-07T12:`)
				f.Close()
				s.close()
				s = open(t, path, most)
				model = append(model, "") // a line that is no warning, which take counts but does not give
				if got := take(t, s, len(model)); fmt.Sprint(got) != fmt.Sprint(without(model, "")) {
					rt.Fatalf("got %v, want %v", got, model)
				}
				model = nil
			},
			"": func(rt *rapid.T) {
				if s.count != len(model) {
					rt.Fatalf("%d wait, want %d", s.count, len(model))
				}
				entries, err := os.ReadDir(filepath.Dir(path))
				if err != nil {
					t.Fatal(err)
				}
				size := int64(0)
				for _, e := range entries {
					info, err := e.Info()
					if err != nil {
						t.Fatal(err)
					}
					if size += info.Size(); info.Mode().Perm() != 0o600 {
						rt.Fatalf("%s has mode %v", e.Name(), info.Mode())
					}
				}
				if size > most+21 || len(model) == 0 && size != 0 {
					rt.Fatalf("%d bytes on disk for %d warnings", size, len(model))
				}
			},
		})
	})
}

func without(list []string, what string) (out []string) {
	for _, s := range list {
		if s != what {
			out = append(out, s)
		}
	}
	return out
}

// TestSpoolMarks: a mark that cannot be of these files is worth nothing, and everything is said again.
func TestSpoolMarks(t *testing.T) {
	for name, mark := range map[string]string{"none": "", "rubbish": "x", "negative": "-5", "too far": "99999999", "mid line": "17"} {
		path := filepath.Join(t.TempDir(), "x.jsonl")
		s := open(t, path, defaultSpool)
		if _, err := s.add(warning(0), warning(1), warning(2)); err != nil {
			t.Fatal(err)
		}
		take(t, s, 1)
		s.close()
		if err := os.WriteFile(s.marker(), []byte(mark), 0o600); err != nil {
			t.Fatal(err)
		}
		s = open(t, path, defaultSpool)
		if got := take(t, s, 9); fmt.Sprint(got) != fmt.Sprint(sequence(3)) {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

// TestSpoolCrashBeforeDrop: a kill between the mark and the removal of a file that was delivered.
func TestSpoolCrashBeforeDrop(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.jsonl")
	s := open(t, path, defaultSpool)
	if _, err := s.add(warning(0), warning(1)); err != nil {
		t.Fatal(err)
	}
	s.done = s.fresh
	if err := s.mark(); err != nil {
		t.Fatal(err)
	}
	s.close()
	if s = open(t, path, defaultSpool); s.count != 0 {
		t.Errorf("%d wait, although all were delivered", s.count)
	}
}

// FuzzSpool: files that somebody else wrote do not crash, loop, or stay forever.
func FuzzSpool(f *testing.F) {
	w := warning(1)
	f.Add(append(w.AppendJSON(nil, at), "\n{\n\n"...), []byte("00000000000000000003\n"))
	f.Add([]byte("{}\n"), []byte("1"))
	f.Add(bytes.Repeat([]byte("x"), 70_000), []byte(""))
	f.Fuzz(func(t *testing.T, lines, mark []byte) {
		path := filepath.Join(t.TempDir(), "x.jsonl")
		for file, b := range map[string][]byte{path: lines, strings.TrimSuffix(path, ".jsonl") + ".done": mark} {
			if err := os.WriteFile(file, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s := open(t, path, defaultSpool)
		for range 3 {
			if s.count > 0 {
				take(t, s, s.count)
			}
		}
		if s.count != 0 {
			t.Fatalf("%d lines stay", s.count)
		}
		if _, err := s.add(warning(7)); err != nil {
			t.Fatal(err)
		}
		if got := take(t, s, 1); len(got) != 1 || got[0] != "id7" {
			t.Fatalf("got %v", got)
		}
	})
}
