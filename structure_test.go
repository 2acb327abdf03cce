// Package varde_test holds the project to its own structure: who may import whom, what a package and a file look
// like, and which dependencies there are. The bounds here may only be tightened.
package varde_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// houses are the folders that may hold Go packages, as in docs/architecture.md. A package elsewhere fails the test.
var houses = []string{
	"event", "event/human", "event/query",
	"input/flow", "input/flow/flowgen", "input/fwlog", "input/fwlog/fwloggen", "input/potlog", "input/honeypot", "input/mailgw", "input/mailgw/amavistest", "input/mailgw/webget", "input/sensor",
	"input/capture", "input/frame", "input/syslog", "input/follow",
	"core/intel", "core/geo", "core/detect", "core/decode", "core/store", "core/pipe",
	"output/warn", "output/plot", "output/graph", "output/report", "output/web", "output/agentx", "output/agentx/snmpdtest", "output/check",
	"output/munin", "output/prom",
	"cmd/varde", "cmd/config", "cmd/demo", "cmd/snmp", "cmd/varde-agentx",
}

// allowed are the pairs of packages below input, core and output that may import each other, with the reason.
var allowed = map[string]string{
	"input/capture -> input/frame": "where the 5-tuple stands in a packet is one idea for captures and sampled headers",
	"input/fwlog -> input/syslog":  "the envelope of a log line is one idea for firewalls, mail and honeypots",
	"input/flow -> input/frame":    "where the 5-tuple stands in a packet is one idea for captures and sampled headers",
	"output/web -> output/plot":    "the picture behind the page's address for mail and dashboards is the one that varde fireplot draws",
}

// dependencies are the modules that go.mod may name directly, with the reason.
var dependencies = map[string]string{
	"github.com/chromedp/cdproto":             "tests: the browser's protocol, for events of the page",
	"github.com/chromedp/chromedp":            "tests: the page in a real browser",
	"github.com/duckdb/duckdb-go/v2":          "the engine of the store",
	"github.com/gaissmai/bart":                "prefix table of the lists",
	"github.com/goccy/go-yaml":                "strict YAML with line and column",
	"github.com/google/go-cmp":                "tests: differences people can read",
	"github.com/invopop/jsonschema":           "JSON Schema of the configuration for editors",
	"github.com/maxmind/mmdbwriter":           "tests: real MMDB files in the layouts of vendors",
	"github.com/miekg/dns":                    "block lists in DNS: cache, zone and answer by their wire form",
	"github.com/oschwald/maxminddb-golang/v2": "country and autonomous system from MMDB files",
	"github.com/prometheus/client_golang":     "the metrics exposition",
	"github.com/rogpeppe/go-internal":         "tests: testscript pages of whole commands",
	"github.com/spf13/cobra":                  "commands, help, completion and man pages from one definition",
	"golang.org/x/crypto":                     "argon2id, the hash of the page's passwords",
	"golang.org/x/image":                      "letters in the Fireplot",
	"golang.org/x/sync":                       "groups of goroutines that end together",
	"golang.org/x/sys":                        "socket options and ancillary data",
	"golang.org/x/term":                       "whether somebody looks, and how wide the window is",
	"pgregory.net/rapid":                      "tests: generated data with shrinking",
}

const (
	maxFileLines = 500
	maxFuncLines = 80
)

// longer names functions over maxFuncLines with the reason. The list may only shrink.
var longer = map[string]string{}

type pkg struct {
	ImportPath    string
	Imports, Deps []string
	Standard      bool
}

func list(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", "-json=ImportPath,Imports,Deps,Standard", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var p pkg
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

func ours(path string) (string, bool) { return strings.CutPrefix(path, "varde/") }

func TestDirection(t *testing.T) {
	standard := map[string]bool{}
	all := list(t)
	for _, p := range all {
		standard[p.ImportPath] = p.Standard
	}
	for _, p := range all {
		from, ok := ours(p.ImportPath)
		if !ok {
			continue
		}
		if !slices.Contains(houses, from) {
			t.Errorf("%s: no rule names this folder; put it into one of the houses", from)
		}
		for _, dep := range p.Deps {
			_, own := ours(dep)
			if floor(from) == "event" && !own && !standard[dep] {
				t.Errorf("%s imports %s: event knows the standard library only", from, dep)
			}
		}
		for _, dep := range p.Imports {
			if to, own := ours(dep); own && !mayImport(from, to) {
				t.Errorf("%s imports %s: input, core and output import only event, never each other nor a sibling", from, to)
			}
		}
	}
}

func floor(path string) string { f, _, _ := strings.Cut(path, "/"); return f }

func mayImport(from, to string) bool {
	switch {
	case floor(from) == "cmd":
		return true
	case floor(from) == "event":
		return floor(to) == "event"
	case floor(to) == "event":
		return true
	}
	_, listed := allowed[from+" -> "+to]
	return listed
}

func TestDependencies(t *testing.T) {
	f, err := os.Open("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	seen := map[string]bool{}
	for sc, inside := bufio.NewScanner(f), false; sc.Scan(); {
		line := strings.TrimSpace(sc.Text())
		switch {
		case strings.HasPrefix(line, "require ("):
			inside = true
			continue
		case line == ")":
			inside = false
		case strings.HasPrefix(line, "require "):
			line = strings.TrimPrefix(line, "require ")
		case !inside:
			continue
		}
		module, rest, ok := strings.Cut(line, " ")
		if !ok || strings.Contains(rest, "// indirect") {
			continue
		}
		seen[module] = true
		if dependencies[module] == "" {
			t.Errorf("go.mod requires %s: say in structure_test.go why", module)
		}
	}
	for module := range dependencies {
		if !seen[module] {
			t.Errorf("structure_test.go gives a reason for %s, which go.mod does not require", module)
		}
	}
}

func TestShape(t *testing.T) {
	fset := token.NewFileSet()
	comments := map[string][]string{}
	for _, path := range goFiles(t) {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(src, []byte("\n")); n > maxFileLines {
			t.Errorf("%s has %d lines, at most %d: split it by what it is about", path, n, maxFileLines)
		}
		f, err := parser.ParseFile(fset, path, src, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(f.Name.Name, "_test")
		if slices.Contains([]string{"util", "utils", "common", "helpers", "misc"}, name) {
			t.Errorf("%s: a package called %s says nothing", path, name)
		}
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		if f.Doc != nil {
			comments[filepath.Dir(path)] = append(comments[filepath.Dir(path)], path)
		} else if _, ok := comments[filepath.Dir(path)]; !ok {
			comments[filepath.Dir(path)] = nil
		}
		checkFile(t, fset, path, f)
	}
	for dir, files := range comments {
		if len(files) != 1 {
			t.Errorf("%s has %d package comments %v, want exactly one", dir, len(files), files)
		}
	}
}

func goFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && path != ".") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".go") {
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func checkFile(t *testing.T, fset *token.FileSet, path string, f *ast.File) {
	t.Helper()
	at := func(n ast.Node) string { return fset.Position(n.Pos()).String() }
	vars := map[string]bool{}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil && d.Name.Name == "init" {
				t.Errorf("%s: func init hides when it runs; call it from main", at(d))
			}
			lines := fset.Position(d.End()).Line - fset.Position(d.Pos()).Line + 1
			if lines > maxFuncLines && longer[path+":"+d.Name.Name] == "" {
				t.Errorf("%s: %s has %d lines, at most %d", at(d), d.Name.Name, lines, maxFuncLines)
			}
			if d.Name.IsExported() && exportedReceiver(d) && !documents(d.Doc, d.Name.Name) && f.Name.Name != "main" {
				t.Errorf("%s: %s needs a comment that begins with its name", at(d), d.Name.Name)
			}
		case *ast.GenDecl:
			checkDecl(t, at, d, f.Name.Name != "main", vars)
		}
	}
	if len(vars) > 0 {
		ast.Inspect(f, func(n ast.Node) bool {
			if as, ok := n.(*ast.AssignStmt); ok && as.Tok == token.ASSIGN {
				for _, lhs := range as.Lhs {
					if id := root(lhs); id != nil && vars[id.Name] && id.Obj != nil && id.Obj.Kind == ast.Var && isTop(f, id) {
						t.Errorf("%s: %s is package-level state that changes; pass it in", at(as), id.Name)
					}
				}
			}
			return true
		})
	}
}

func checkDecl(t *testing.T, at func(ast.Node) string, d *ast.GenDecl, exports bool, vars map[string]bool) {
	t.Helper()
	for _, s := range d.Specs {
		switch s := s.(type) {
		case *ast.TypeSpec:
			if exports && s.Name.IsExported() && !documents(d.Doc, s.Name.Name) && !documents(s.Doc, s.Name.Name) {
				t.Errorf("%s: %s needs a comment that begins with its name", at(s), s.Name.Name)
			}
		case *ast.ValueSpec:
			for _, n := range s.Names {
				if exports && n.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
					t.Errorf("%s: %s needs a comment", at(n), n.Name)
				}
				if d.Tok == token.VAR && n.Name != "_" {
					vars[n.Name] = true
					if mutable(s.Type) {
						t.Errorf("%s: %s is package-level state; pass it in", at(n), n.Name)
					}
				}
			}
		}
	}
}

// mutable tells the types that only make sense for state.
func mutable(e ast.Expr) bool {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	id, ok := sel.X.(*ast.Ident)
	return ok && (id.Name == "sync" || id.Name == "atomic")
}

func root(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.IndexExpr:
			e = x.X
		case *ast.SelectorExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		default:
			return nil
		}
	}
}

func isTop(f *ast.File, id *ast.Ident) bool {
	return f.Scope != nil && f.Scope.Objects[id.Name] == id.Obj
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	typ := d.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if ix, ok := typ.(*ast.IndexExpr); ok {
		typ = ix.X
	}
	id, ok := typ.(*ast.Ident)
	return ok && id.IsExported()
}

func documents(doc *ast.CommentGroup, name string) bool {
	if doc == nil {
		return false
	}
	text := doc.Text()
	for _, article := range []string{"", "A ", "An ", "The "} {
		if strings.HasPrefix(text, article+name) {
			return true
		}
	}
	return false
}
