package warn

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"varde/event/human"
)

// script writes a program that a test runs.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func runExec(t *testing.T, c ExecConfig) error {
	t.Helper()
	p, err := newExec(c)
	if err != nil {
		t.Fatal(err)
	}
	w := warning(1)
	w.Own.Name = "$(id); `id`\n--x"
	return p.Say(t.Context(), w)
}

func TestExecGetsJSONAndArgumentsWithoutAShell(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	path := script(t, `out=$1; shift; printf '%s|' "$@" >"$out"; echo >>"$out"; cat >>"$out"; env >>"$out"`+"\n")
	err := runExec(t, ExecConfig{Command: []string{
		path, out, "$HOME;*", "{{.severity}} {{.own.name}} {{.foreign.addr}}:{{.foreign.port}}",
		`{{index .event.detail "username"}}`, `{{range .evidence}}{{.list}} {{end}}`,
	}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(b), "\n")
	if want := "$HOME;*|critical $(id); `id`\\n--x 203.0.113.94:4444||ThreatFox OTX |"; lines[0] != want {
		t.Errorf("arguments %s, want %s", lines[0], want)
	}
	if !strings.HasPrefix(lines[1], `{"time":"2016-06-07T12:38:20Z","id":"id1"`) {
		t.Errorf("standard input %s", lines[1])
	}
	for _, v := range lines[2:] {
		if key, _, _ := strings.Cut(v, "="); key != "" && !strings.Contains("PATH LANG PWD SHLVL _", key) {
			t.Errorf("the environment has %s", v)
		}
	}
}

func TestExecFailures(t *testing.T) {
	err := runExec(t, ExecConfig{Command: []string{script(t, "echo 'no \033[31mpager'; exit 3\n")}})
	if err == nil || is[refused](err) || !strings.Contains(err.Error(), `exit status 3: no \x1b[31mpager`) {
		t.Errorf("%v", err)
	}
	if err := runExec(t, ExecConfig{Command: []string{script(t, "exit 65\n")}}); !is[refused](err) {
		t.Errorf("exit code 65 is a refusal, got %v", err)
	}
	if err := runExec(t, ExecConfig{Command: []string{"/nonexistent/program"}}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// TestExecIsKilledWithItsChildren: a child that holds the output open would otherwise keep us.
func TestExecIsKilledWithItsChildren(t *testing.T) {
	before := time.Now()
	pid := filepath.Join(t.TempDir(), "pid")
	err := runExec(t, ExecConfig{Command: []string{script(t, "sleep 600 & echo $! >$1; wait\n"), pid}, Timeout: human.Duration(500 * time.Millisecond)})
	if err == nil || time.Since(before) > 10*time.Second {
		t.Errorf("%v after %s", err, time.Since(before))
	}
	b, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the end of the child", func() bool {
		state, err := os.ReadFile("/proc/" + strings.TrimSpace(string(b)) + "/stat")
		return err != nil || strings.Contains(string(state), ") Z")
	})
}

func TestTemplateFields(t *testing.T) {
	for text, want := range map[string]string{
		`{{.sentence}}`: "office-pc-7 (10.0.3.17) answered by 203.0.113.94:4444/tcp",
		`{{upper .severity}} {{.count}} {{.bytes_in}} {{.sampling}} {{.why}}`:                                               "CRITICAL 1 1204224 1 first traffic with this address",
		`{{.event.sport}}/{{.event.exporter}}/{{.event.rule}}/{{.event.icmp_type}}`:                                         "50123/edge-router//",
		`{{with .evidence}}{{with index . 0}}{{.list}} {{.name | json}} {{.confidence}} {{.tags | join ","}}{{end}}{{end}}`: `ThreatFox "QakBot C2" 90 `,
		`{{index .evidence 0}}`:                                                            "!",
		`{"text": {{json .sentence}}}`:                                                     `{"text": "office-pc-7 (10.0.3.17) answered by 203.0.113.94:4444/tcp"}`,
		`{{json .evidence | len}} {{join ", " .missing}}`:                                  "!",
		`{{define "x"}}{{template "x"}}{{end}}{{template "x"}}`:                            "!",
		`{{range .evidence}}{{.list}}{{end}}`:                                              "ThreatFoxOTX",
		`{{if eq .state "opened"}}new{{end}} {{safe "a\x1bb"}} {{.id}} {{.foreign.name}}.`: `new a\x1bb id1 .`,
	} {
		tpl, err := parseTemplate("x", text)
		if want == "!" {
			if err == nil {
				w := warning(1)
				_, err = render(tpl, &w)
			}
			if err == nil {
				t.Errorf("%s: no error", text)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		w := warning(1)
		if got, err := render(tpl, &w); err != nil || string(got) != want {
			t.Errorf("%s: %v %q, want %q", text, err, got, want)
		}
	}
}
