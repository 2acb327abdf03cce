package follow

import (
	"compress/gzip"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// world is a log with a writer, rotation and a follower, which all act when they are told to.
type world struct {
	t       *rapid.T
	dir     string
	path    string
	writer  *os.File
	n       int
	written []string
	got     []string
	f       *Follower
	now     time.Time
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) create() {
	f, err := os.OpenFile(w.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	w.must(err)
	w.writer = f
}

// write writes some lines, the last in two pieces with what is done in between.
func (w *world) write(lines int, between func()) {
	for i := range lines {
		w.n++
		line := fmt.Sprintf("Nov 23 18:30:40 fw kernel: line %06d %s", w.n, strings.Repeat("x", w.n%200))
		w.written = append(w.written, line)
		line += "\n"
		if i == lines-1 && between != nil {
			_, err := io.WriteString(w.writer, line[:10])
			w.must(err)
			between()
			line = line[10:]
		}
		_, err := io.WriteString(w.writer, line)
		w.must(err)
	}
}

// shift renames .1 to .2 and so on, whatever they are called besides.
func (w *world) shift() {
	for i := 300; i > 0; i-- {
		for _, ext := range []string{"", ".gz"} {
			from := fmt.Sprintf("%s.%d%s", w.path, i, ext)
			if _, err := os.Stat(from); err == nil {
				w.must(os.Rename(from, fmt.Sprintf("%s.%d%s", w.path, i+1, ext)))
			}
		}
	}
}

func (w *world) compress(path string) {
	in, err := os.Open(path)
	w.must(err)
	defer in.Close()
	st, err := in.Stat()
	w.must(err)
	out, err := os.Create(path + ".gz")
	w.must(err)
	z := gzip.NewWriter(out)
	_, err = io.Copy(z, in)
	w.must(err)
	w.must(z.Close())
	w.must(out.Close())
	w.must(os.Chtimes(path+".gz", st.ModTime(), st.ModTime()))
	w.must(os.Remove(path))
}

func (w *world) rotate(kind string) {
	w.shift()
	switch kind {
	case "rename", "rename, compress":
		w.must(os.Rename(w.path, w.path+".1"))
		w.writer.Close()
		w.create()
		if kind != "rename" {
			w.compress(w.path + ".1")
		}
	case "rename, late writer":
		w.must(os.Rename(w.path, w.path+".1"))
		f, err := os.OpenFile(w.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
		w.must(err)
		w.write(2, nil) // to the renamed one
		w.writer.Close()
		w.writer = f
	case "copy, truncate", "copy, truncate, compress":
		b, err := os.ReadFile(w.path)
		w.must(err)
		w.must(os.WriteFile(w.path+".1", b, 0o640))
		w.poll() // between the two is when a copy and its original are both there
		w.must(os.Truncate(w.path, 0))
		if kind != "copy, truncate" {
			w.compress(w.path + ".1")
		}
	}
}

func (w *world) start() {
	f, err := New("test", Config{Paths: []string{w.path}}, w.dir, func(_ *Origin, line []byte) {
		w.got = append(w.got, string(line))
	}, slog.New(slog.DiscardHandler))
	w.must(err)
	w.must(f.load())
	w.f = f
}

func (w *world) poll() {
	if w.f == nil {
		return
	}
	w.now = w.now.Add(time.Second)
	for range 100 {
		if !w.f.round(w.t.Context(), w.now) {
			return
		}
	}
	w.t.Fatal("there is always more to read")
}

// stop ends the follower in good order.
func (w *world) stop() {
	if w.f == nil {
		return
	}
	w.must(w.f.saved.write(w.f.encode()))
	for _, t := range w.f.tails {
		t.close()
	}
	w.f = nil
}

// TestRotations does a hundred things in any order, with looks and restarts anywhere between, and misses no line and
// reads none twice.
func TestRotations(t *testing.T) {
	kinds := []string{"rename", "rename, compress", "rename, late writer", "copy, truncate", "copy, truncate, compress"}
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "follow")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		w := &world{t: t, dir: dir, path: filepath.Join(dir, "fw.log"), now: time.Now()}
		w.create()
		w.write(3, nil)
		w.written = nil // they were there before anybody looked
		w.start()
		w.poll()
		var done []string
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			step := rapid.SampledFrom(append([]string{"write", "write", "write in pieces", "poll", "poll", "restart", "stop"}, kinds...)).Draw(t, "step")
			done = append(done, step)
			switch step {
			case "write":
				w.write(rapid.IntRange(1, 60).Draw(t, "lines"), nil)
			case "write in pieces":
				w.write(3, w.poll)
			case "poll":
				w.poll()
			case "restart":
				w.stop()
				w.start()
			case "stop":
				w.stop()
			default:
				w.rotate(step)
			}
			if w.f == nil && step != "stop" && rapid.Bool().Draw(t, "start again") {
				w.start()
			}
		}
		if w.f == nil {
			w.start()
		}
		w.poll()
		w.stop()
		w.writer.Close()
		compare(t, w.written, w.got, strings.Join(done, "; "))
	})
}

type failer interface {
	Helper()
	Fatalf(string, ...any)
}

// compare tells which lines are missing and which came twice; their order may differ where a writer was late.
func compare(t failer, want, got []string, how string) {
	t.Helper()
	count := map[string]int{}
	for _, l := range got {
		count[l]++
	}
	var lost, doubled, strange []string
	for _, l := range want {
		switch count[l] {
		case 0:
			lost = append(lost, l)
		case 1:
		default:
			doubled = append(doubled, l)
		}
		delete(count, l)
	}
	for l := range count {
		strange = append(strange, l)
	}
	if len(lost)+len(doubled)+len(strange) > 0 {
		t.Fatalf("of %d lines %d are lost, %d came more than once, %d are strange; first of each %.40q %.40q %.80q\nafter %s",
			len(want), len(lost), len(doubled), len(strange), first(lost), first(doubled), first(strange), how)
	}
}

func first(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[0]
}
