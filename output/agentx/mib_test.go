package agentx

import (
	"bytes"
	"compress/gzip"
	"flag"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"varde/output/agentx/snmpdtest"
)

var update = flag.Bool("update", false, "rewrite golden files")

// mibDir is a folder with both modules and what they import.
func mibDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/mibs")); err != nil {
		t.Fatal(err)
	}
	amavis, err := AmavisMIB()
	if err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	for name, text := range map[string]string{"VARDE-MIB": cfg.MIB(), "VARDE-AMAVIS-MIB": amavis} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestMIBGolden keeps every number and name where it is: managers have them in their configurations.
func TestMIBGolden(t *testing.T) {
	cfg := DefaultConfig()
	got := cfg.MIB()
	const path = "testdata/VARDE-MIB.txt"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("the MIB changed; objects that were once given must stay (-was +is):\n%s", d)
	}
}

// TestFiguresExist wants that some other package names every figure that an object shows. What is renamed there would
// go away here in silence.
func TestFiguresExist(t *testing.T) {
	var source bytes.Buffer
	for _, dir := range []string{"../../input", "../../core", "../../output", "../../cmd"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && d.Name() == "agentx" {
				return fs.SkipDir
			}
			if d.IsDir() || !strings.HasSuffix(path, ".go") {
				return nil
			}
			b, err := os.ReadFile(path)
			source.Write(b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	cfg := DefaultConfig()
	objects, err := cfg.Objects()
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if name := o.Figure; name != "" && !strings.HasSuffix(name, "_up") && !bytes.Contains(source.Bytes(), []byte(`"`+name+`"`)) {
			t.Errorf("%s shows %s, which nobody has", o.Name, name)
		}
	}
}

func TestMIBBySmilint(t *testing.T) {
	smilint := snmpdtest.Program(t, "smilint", "smitools")
	dir := mibDir(t)
	for module, level := range map[string]string{
		"VARDE-MIB":        "5",
		"VARDE-AMAVIS-MIB": "3", // it has no conformance groups, for which there is no place in amavis's tree
	} {
		cmd := exec.Command(smilint, "-c", "/dev/null", "-l", level, "-s", filepath.Join(dir, module))
		cmd.Env = append(os.Environ(), "SMIPATH="+dir)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v", module, err)
		}
		for line := range strings.Lines(string(out)) {
			// The root is given by its numbers: the arcs above it are not ours to name.
			if !strings.Contains(line, "implicit node definition") {
				t.Error(strings.TrimSpace(line))
			}
		}
	}
}

func TestTranslate(t *testing.T) {
	translate := snmpdtest.Program(t, "snmptranslate", "snmp")
	dir := mibDir(t)
	for name, want := range map[string]string{
		"VARDE-MIB::vardeEventsWarnings.0":          ".1.3.6.1.4.1.8072.9999.9999.82733.1.2.4.0",
		"VARDE-MIB::vardeQueueOldest.hold":          ".1.3.6.1.4.1.8072.9999.9999.82733.1.14.1.5.5",
		"VARDE-MIB::vardeListAge.'feodo'":           ".1.3.6.1.4.1.8072.9999.9999.82733.1.12.1.8.102.101.111.100.111",
		`VARDE-MIB::vardeScannerAge."a"."b"`:        ".1.3.6.1.4.1.8072.9999.9999.82733.1.16.1.5.1.97.1.98",
		"VARDE-AMAVIS-MIB::inMsgs.0":                ".1.3.6.1.4.1.15312.2.1.1.2.1.0",
		"VARDE-AMAVIS-MIB::quarSpamMsgs.0":          ".1.3.6.1.4.1.15312.2.1.1.8.8.0",
		"VARDE-AMAVIS-MIB::mtaQueueEntriesActive.0": ".1.3.6.1.4.1.15312.2.1.3.1.3.0",
	} {
		cmd := exec.Command(translate, "-M", dir, "-m", "VARDE-MIB:VARDE-AMAVIS-MIB", "-On", name)
		cmd.Env = append(os.Environ(), "SNMP_PERSISTENT_DIR="+t.TempDir())
		out, err := cmd.Output()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("%s is %s (%v), want %s", name, got, err, want)
		}
	}
}

// TestAmavisNames compares our table with the module that comes with amavis.
func TestAmavisNames(t *testing.T) {
	b, err := os.ReadFile("/usr/share/doc/amavisd-new/AMAVIS-MIB.txt.gz")
	if err != nil {
		t.Skip("AMAVIS-MIB is not installed: apt-get install amavisd-new")
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	module, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	want := definitions(string(module))
	ours, err := AmavisMIB()
	if err != nil {
		t.Fatal(err)
	}
	got := definitions(ours)
	if len(got) != 331 {
		t.Errorf("%d objects, want 331", len(got))
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("names, types or places differ (-AMAVIS-MIB +ours):\n%s", d)
	}
}

var definition = regexp.MustCompile(`(?s)\n(\w+)\s+OBJECT-TYPE\s+SYNTAX\s+([^\n]+?)\s*\n.*?::=\s*\{\s*([^}]*?)\s*\}`)

// definitions are the objects of a module: name, type and place.
func definitions(module string) []string {
	var out []string
	for _, m := range definition.FindAllStringSubmatch(module, -1) {
		out = append(out, m[1]+" "+strings.Join(strings.Fields(m[2]), " ")+" "+strings.Join(strings.Fields(m[3]), " "))
	}
	return out
}
