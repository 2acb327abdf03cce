package snmp

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"varde/event/human"
	"varde/output/agentx/snmpdtest"
)

const (
	amavisOID = ".1.3.6.1.4.1.15312.2.1"
	ownOID    = ".1.3.6.1.4.1.8072.9999.9999.82733"
)

// subAgent starts amavis's own sub-agent behind m, for as long as the test lasts, and gives its process id.
func subAgent(t testing.TB, m *snmpdtest.Master, db string) int {
	t.Helper()
	path := snmpdtest.Program(t, "amavisd-snmp-subagent", "amavisd-new libsnmp-perl")
	dir := t.TempDir()
	conf := "[snmp] persistentDir " + dir + "/state\nagentxSocket " + m.Socket + "\n"
	if err := os.WriteFile(filepath.Join(dir, "amavis-agentx.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-f")
	cmd.Env = append(os.Environ(), "SNMPCONFPATH="+dir, "AMAVISD_DB_HOME="+db, "MIBS=")
	return start(t, cmd, m)
}

// start starts a sub-agent and waits until snmpd answers with what it has.
func start(t testing.TB, cmd *exec.Cmd, m *snmpdtest.Master) int {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	f, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd.Stdout, cmd.Stderr = f, f
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
		if b, err := os.ReadFile(log); t.Failed() && err == nil {
			t.Logf("%s said:\n%s", filepath.Base(cmd.Path), b)
		}
	})
	serving(t, m)
	return cmd.Process.Pid
}

func serving(t testing.TB, m *snmpdtest.Master) {
	t.Helper()
	snmpdtest.WaitFor(t, "a sub-agent", 20*time.Second, func() bool {
		out, err := m.Run("snmpget", amavisOID+".1.2.1.0", amavisOID+".2.2.22.0")
		return err == nil && strings.Count(out, ": ") == 2
	})
}

// ours runs our sub-agent behind m, in this process.
func ours(t testing.TB, m *snmpdtest.Master, db, queues string) {
	t.Helper()
	o := DefaultOptions()
	o.Mail.Amavis.Dir, o.Mail.Every = db, human.Duration(time.Second)
	o.Mail.Postfix.QueueDir, o.Mail.Postfix.Postqueue = queues, "" // which would tell of the Postfix of this machine
	o.Agent.Master, o.Agent.Every = m.Socket, human.Duration(100*time.Millisecond)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- o.Run(ctx, io.Discard, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	serving(t, m)
}

// queueDir is queue_directory of the Postfix of this machine, empty where there is none or it may not be read, as for
// amavis's own sub-agent.
func queueDir() string {
	out, err := exec.Command("postconf", "-h", "queue_directory").Output()
	dir := strings.TrimSpace(string(out))
	if err != nil || dir == "" {
		return ""
	}
	if _, err := os.ReadDir(dir + "/active"); err != nil {
		return ""
	}
	return dir
}

// database is a Berkeley DB environment as amavis makes it, with a writer that has it open.
type database struct {
	t   testing.TB
	dir string
	in  io.Writer
	out *bufio.Reader
}

func newDatabase(t testing.TB, rows ...string) *database {
	t.Helper()
	perl := snmpdtest.Program(t, "perl", "perl")
	if exec.Command(perl, "-MBerkeleyDB", "-e1").Run() != nil {
		t.Skip("the Perl module BerkeleyDB is not installed: apt-get install libberkeleydb-perl")
	}
	d := &database{t: t, dir: t.TempDir()}
	cmd := exec.Command(perl, "testdata/amavisdb.pl", d.dir)
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
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("writer: %v", err)
		}
	})
	d.in, d.out = in, bufio.NewReader(out)
	d.say(strings.Join(rows, "\n"))
	d.count(0, "")
	return d
}

func (d *database) say(lines string) {
	d.t.Helper()
	if _, err := fmt.Fprintln(d.in, lines); err != nil {
		d.t.Fatal(err)
	}
}

// count adds one to all counters, n times.
func (d *database) count(n int, counters string) {
	d.t.Helper()
	d.say(fmt.Sprintf("count %d %s", n, counters))
	if line, err := d.out.ReadString('\n'); err != nil {
		d.t.Errorf("writer: %q, %v", line, err)
	}
}

func mustMake(t testing.TB, dir, name string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
		t.Fatal(err)
	}
}

// mustMail makes a file as a message in a queue is. The time at which it came stands in its name: seconds and
// microseconds in digits of base 52, a z, the number of the file.
func mustMail(t testing.TB, dir, queue string, came time.Time) {
	t.Helper()
	const digits = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"
	name := ""
	for seconds := came.Unix(); seconds > 0; seconds /= 52 {
		name = string(digits[seconds%52]) + name
	}
	if err := os.WriteFile(filepath.Join(dir, queue, name+"0000z1W74w"), []byte("x"), 0o700); err != nil {
		t.Fatal(err)
	}
}
