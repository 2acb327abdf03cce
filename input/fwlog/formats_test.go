package fwlog

import (
	"bytes"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"varde/event"
	"varde/input/syslog"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// received is when the sample lines came; their years follow from it.
var received = time.Date(2024, 6, 1, 12, 0, 0, 0, time.UTC)

func newReader(t testing.TB, cfg Config, emit event.Emit) (*Reader, *Collector) {
	t.Helper()
	c := New(slog.New(slog.DiscardHandler))
	r, err := c.NewReader(cfg, emit)
	if err != nil {
		t.Fatal(err)
	}
	return r, c
}

func sample(t testing.TB, name string) [][]byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.SplitAfter(bytes.TrimRight(b, "\n"), []byte("\n"))
}

// outcome is what became of the line before, by the counters.
func outcome(before, after []uint64) string {
	for i, word := range []string{"other", "cut"} {
		if after[i] != before[i] {
			return word
		}
	}
	for i := range formats {
		for k, word := range []string{"unparsed", "ignored"} {
			if n := 2 + 2*i + k; after[n] != before[n] {
				return word + " " + formats[i].name
			}
		}
	}
	return "uncounted"
}

// state is what outcome compares.
func state(c *Collector) []uint64 {
	out := []uint64{c.totals.foreign.Load(), c.totals.cut.Load()}
	for i := range c.counts {
		out = append(out, c.counts[i].unparsed.Load(), c.counts[i].ignored.Load())
	}
	return out
}

// TestGolden reads a sample of each format as it comes from a device, envelope and all. Each line of the answer is an event,
// or what the line was counted as.
func TestGolden(t *testing.T) {
	logs, err := filepath.Glob("testdata/*.log")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range logs {
		name := strings.TrimSuffix(filepath.Base(path), ".log")
		t.Run(name, func(t *testing.T) {
			var out []byte
			r, c := newReader(t, Config{Format: Auto, Zone: "Europe/Berlin"}, func(e *event.Event) { out = e.AppendJSON(out) })
			p := syslog.NewParser(time.UTC)
			var l syslog.Line
			for _, line := range sample(t, name) {
				p.Parse(line, received, &l)
				before := state(c)
				if !r.Line(&l) {
					out = append(out, outcome(before, state(c))...)
				}
				out = append(out, '\n')
			}
			golden := strings.TrimSuffix(path, ".log") + ".golden"
			if *update {
				if err := os.WriteFile(golden, out, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(out), "\n")); d != "" {
				t.Errorf("with -update it is rewritten: %s", d)
			}
		})
	}
}

// TestListIsComplete holds the list of formats to the files: each has a method that gives a verdict, a sample and a golden
// file, and each such method is listed.
func TestListIsComplete(t *testing.T) {
	names := Formats()
	for _, name := range names {
		for _, path := range []string{name + ".go", "testdata/" + name + ".log", "testdata/" + name + ".golden"} {
			if _, err := os.Stat(path); err != nil {
				t.Errorf("format %s has no %s", name, path)
			}
		}
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv == nil || !isReader(fn) {
				continue
			}
			if name := strings.TrimSuffix(path, ".go"); fn.Name.Name != name || !slices.Contains(names, name) {
				t.Errorf("%s reads lines in %s and is not in the list of formats under that name", fn.Name.Name, path)
			}
		}
	}
}

// isReader tells the methods func (r *Reader) name(l *syslog.Line) verdict.
func isReader(fn *ast.FuncDecl) bool {
	if fn.Type.Results == nil || len(fn.Type.Results.List) != 1 || len(fn.Type.Params.List) != 1 {
		return false
	}
	result, ok := fn.Type.Results.List[0].Type.(*ast.Ident)
	star, isPointer := fn.Type.Params.List[0].Type.(*ast.StarExpr)
	if !ok || !isPointer || result.Name != "verdict" {
		return false
	}
	line, ok := star.X.(*ast.SelectorExpr)
	return ok && line.Sel.Name == "Line"
}
