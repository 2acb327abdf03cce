package check

import (
	"flag"
	"os"
	"os/exec"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := "testdata/" + name
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; -update writes it anew:\n%s", path, got)
	}
}

func TestIcinga2(t *testing.T) {
	var b strings.Builder
	if err := Icinga2(&b, "/usr/bin/varde", Checks()); err != nil {
		t.Fatal(err)
	}
	golden(t, "icinga2.conf", b.String())
}

// TestNRPE: the shell that NRPE starts takes the line apart into the words that were meant.
func TestNRPE(t *testing.T) {
	c := byName(t, "av")
	v := values(t, c, "--clamav", "/var/lib/cl am'av", "--clamd-warning", "~:2", "--match", `of (\d+)$`, "--dns", "true", "--database", "daily", "--database", "main")
	var b strings.Builder
	if err := NRPE(&b, "printf", c, v); err != nil {
		t.Fatal(err)
	}
	golden(t, "nrpe.cfg", b.String())
	_, line, _ := strings.Cut(b.String(), "=printf ")
	out, err := exec.Command("sh", "-c", `printf '%s\n' `+line).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{"/var/lib/cl am'av", "~:2", `of (\d+)$`, "--dns"} {
		if !strings.Contains(string(out), "\n"+want+"\n") {
			t.Errorf("%q is not among the words:\n%s", want, out)
		}
	}
}
