package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"varde/output/check"
)

// checked runs a check as a person would, and gives output and exit code.
func checked(t *testing.T, args ...string) (string, int) {
	t.Helper()
	var out bytes.Buffer
	root := command()
	root.SetOut(&out)
	root.SetArgs(append([]string{"check"}, args...))
	err := pluginExit(root.ExecuteContextC(t.Context()))
	var code exit
	if err != nil && !errors.As(err, &code) {
		t.Fatalf("check %v: %v", args, err)
	}
	return out.String(), int(code)
}

// openFolder is a folder that every user of this machine may read, with this program in it as varde.
func openFolder(t *testing.T) (dir, varde string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if dir, err = os.MkdirTemp("", "varde-test"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	varde = filepath.Join(dir, "varde")
	if err := errors.Join(os.Chmod(dir, 0o755), os.Link(self, varde)); err != nil {
		t.Skipf("the program cannot be shown to other users: %v", err)
	}
	return dir, varde
}

// installed is where a program is; without it the test is skipped.
func installed(t *testing.T, name, debian string) string {
	t.Helper()
	for _, path := range []string{name, "/usr/sbin/" + name, "/usr/lib/nagios/plugins/" + name} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	t.Skipf("%s is not installed: apt-get install %s", name, debian)
	return ""
}

// TestChecksOfDaemon: every check of a running varde, by its metrics.
func TestChecksOfDaemon(t *testing.T) {
	address, _ := gateway(t, "")
	waitFor(t, "figures", func() bool { return strings.Contains(metrics(t, address), "\nvarde_mail_source_up{") })
	state := func() string { return filepath.Join(t.TempDir(), "look") }
	for _, c := range []struct {
		args []string
		code check.Status
		text string
	}{
		{[]string{"daemon", "-H", address}, check.OK, "DAEMON OK - up for "},
		{[]string{"feed", "-H", "http://" + address + "/metrics"}, check.OK, "FEED OK - 1 list with 1 entry"},
		{[]string{"feed", "-H", address, "--list", "other"}, check.Unknown, "varde has no list other"},
		{[]string{"warnings", "-H", address}, check.OK, "WARNINGS OK - 0 incidents open"},
		{[]string{"input", "-H", address, "--input", "files"}, check.OK, "INPUT OK - files: "},
		{[]string{"input", "-H", address, "--input", "flow"}, check.Unknown, "flow: nothing came in"},
		{[]string{"flow", "-H", address}, check.Unknown, "no router has sent anything"},
		{[]string{"flow", "-H", address, "--exporter", "edge"}, check.Critical, "edge has sent nothing since varde was started"},
		{[]string{"honeypot", "-H", address}, check.Unknown, "varde has no honeypot"},
	} {
		out, code := checked(t, append(c.args, "--state", state())...)
		if code != int(c.code) || !strings.Contains(out, c.text) {
			t.Errorf("%v: %d %s\nwant %s, %q", c.args, code, out, c.code, c.text)
		}
	}
}

// TestCheckTimeout: a server that takes a connection and says nothing is UNKNOWN within the time that is given.
func TestCheckTimeout(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	begun := time.Now()
	out, code := checked(t, "flow", "-H", l.Addr().String(), "-t", "1")
	if took := time.Since(begun); code != int(check.Unknown) || !strings.Contains(out, "no answer within 1s") || took > 5*time.Second {
		t.Errorf("%d after %s: %s", code, took, out)
	}
}

// daily makes a small unsigned database of ClamAV.
func daily(t *testing.T, dir, version string) {
	t.Helper()
	work := t.TempDir()
	for name, text := range map[string]string{"daily.ndb": "Test.Sig-1:0:*:76617264652d746573742d7369676e6174757265\n", "COPYING": "x"} {
		if err := os.WriteFile(filepath.Join(work, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(installed(t, "sigtool", "clamav"), "--datadir="+dir, "--unsigned", "--no-cdiff", "--build=daily.cud")
	cmd.Dir, cmd.Stdin = work, strings.NewReader(version+"\nvarde\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("sigtool: %v: %s", err, out)
	}
	if err := os.Rename(filepath.Join(work, "daily.cud"), filepath.Join(dir, "daily.cud")); err != nil {
		t.Fatal(err)
	}
}

// TestCheckClamd: the disk is renewed and clamd is not told; freshclam is blocked; clamd ends.
func TestCheckClamd(t *testing.T) {
	clamd := installed(t, "clamd", "clamav-daemon")
	dir := t.TempDir()
	daily(t, dir, "5")
	socket, conf := filepath.Join(dir, "s"), filepath.Join(t.TempDir(), "clamd.conf")
	text := "DatabaseDirectory " + dir + "\nLocalSocket " + socket + "\nForeground yes\nSelfCheck 0\n"
	if os.Geteuid() == 0 {
		text += "User root\n"
	}
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(clamd, "-c", conf)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	yaml := filepath.Join(dir, "varde.yaml")
	if err := os.WriteFile(yaml, fmt.Appendf(nil, "mail: {clamav: {dir: %s, clamd: %s, databases: [daily]}}\n", dir, socket), 0o600); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "clamd", func() bool { _, code := checked(t, "av", "--config", yaml); return code == 0 })
	step := func(want check.Status, text string, more ...string) {
		t.Helper()
		out, code := checked(t, append([]string{"av", "--config", yaml}, more...)...)
		if code != int(want) || !strings.Contains(out, text) {
			t.Errorf("%d %s\nwant %s, %q", code, out, want, text)
		}
	}
	step(check.OK, "AV OK - clamav daily was made ")
	step(check.Unknown, "clamav bytecode: it is not known", "--database", "bytecode")
	daily(t, dir, "6")
	step(check.Warning, "clamd still has signatures 1 version older than those on the disk (warning above 0)")
	blocked := append([]byte("FreshClamData\x01"), make([]byte, 55)...)
	binary.LittleEndian.PutUint64(blocked[13+48:], uint64(time.Now().Add(3*time.Hour).Unix()))
	if err := os.WriteFile(filepath.Join(dir, "freshclam.dat"), blocked, 0o644); err != nil {
		t.Fatal(err)
	}
	step(check.Critical, "the mirror refuses freshclam for another ")
	if err := os.Remove(filepath.Join(dir, "freshclam.dat")); err != nil {
		t.Fatal(err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	step(check.Critical, "clamd does not answer: clamd: ")
	if err := os.WriteFile(filepath.Join(dir, "daily.cud"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	step(check.Unknown, "nothing is known of any scanner: clamav: read ")
}

// TestNRPE: through a real NRPE come output and exit code as they were, and our timeout fires before check_nrpe's.
func TestNRPE(t *testing.T) {
	nrpe := installed(t, "nrpe", "nagios-nrpe-server")
	ask := installed(t, "check_nrpe", "nagios-nrpe-plugin")
	hangs, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hangs.Close()
	dir, varde := openFolder(t)
	for name, text := range map[string]string{"fresh": "x", "health.json": `{"definitionsStatus":"out_of_date","healthy":false,"healthIssues":["costs $5 | more"]}`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ago := time.Now().Add(-3 * time.Hour)
	if err := os.Chtimes(dir+"/fresh", ago, ago); err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	for name, args := range map[string][]string{
		"ok":       {"av", "--newest", dir + "/fres*"},
		"warning":  {"av", "--defender", dir + "/health.json", "-v"},
		"critical": {"daemon", "-H", "127.0.0.1:1"},
		"unknown":  {"av", "--newest", dir + "/none"},
		"hangs":    {"flow", "-H", hangs.Addr().String(), "--state", "/tmp/varde-no-such-folder/look", "--timeout", "2"},
		"misused":  {"av", "-w", "20:10"},
	} {
		// The lines are those that --nrpe prints, but for one that it would refuse to print.
		line := "command[check_varde_av]=" + varde + " check " + strings.Join(args, " ")
		if name != "misused" {
			out, code := checked(t, append(args, "--nrpe")...)
			if code != 0 {
				t.Fatalf("%v: %s", args, out)
			}
			line = strings.Replace(strings.TrimSpace(out), itself(), varde, 1)
		}
		_, rest, _ := strings.Cut(line, "]=")
		fmt.Fprintf(&lines, "command[%s]=%s\n", name, rest)
	}
	_, port, _ := net.SplitHostPort(freeTCP(t))
	who, err := user.Current()
	if err == nil && who.Uid == "0" { // which NRPE refuses to run as
		who, err = user.Lookup("nagios")
	}
	if err != nil {
		t.Skipf("NRPE has no user to run as: %v", err)
	}
	conf := filepath.Join(dir, "nrpe.cfg")
	if err := os.WriteFile(conf, fmt.Appendf(nil, "pid_file=%s/pid\nlog_file=%s/log\nserver_address=127.0.0.1\nserver_port=%s\nnrpe_user=%s\nnrpe_group=%s\nallowed_hosts=127.0.0.1\ndont_blame_nrpe=0\ncommand_timeout=60\n%s",
		dir, dir, port, who.Uid, who.Gid, lines.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(nrpe, "-c", conf, "-f")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	asked := func(name string) (string, int) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, ask, "-H", "127.0.0.1", "-p", port, "-c", name)
		out, _ := cmd.Output()
		return string(out), cmd.ProcessState.ExitCode()
	}
	waitFor(t, "NRPE", func() bool { _, code := asked("ok"); return code == 0 })
	for _, c := range []struct {
		name, text string
		want       check.Status
	}{
		{"ok", "AV OK - probe was made 3 h ago | 'probe age'=108", check.OK},
		{"warning", "AV WARNING - defender complains of 2 things, defender: the newest signatures are not here\n6 figures read in ", check.Warning},
		{"critical", "DAEMON CRITICAL - varde does not run", check.Critical},
		{"unknown", "AV UNKNOWN - probe: it is not known how old the signatures are: probe: ", check.Unknown},
		{"hangs", "FLOW UNKNOWN - no answer within 2s", check.Unknown},
		{"misused", "AV UNKNOWN - invalid argument \"20:10\"", check.Unknown},
	} {
		out, code := asked(c.name)
		if code != int(c.want) || !strings.Contains(out, c.text) {
			log, _ := os.ReadFile(dir + "/log")
			t.Errorf("%s: %d %s\nwant %s, %q\n%s", c.name, code, out, c.want, c.text, log)
		}
	}
}
