package mailgw

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// readAt is a time shortly after the sample databases were copied.
var readAt = time.Unix(1795424632, 0).UTC()

func sampleAmavis(t *testing.T, cfg AmavisConfig) *Amavis {
	t.Helper()
	a := NewAmavis(cfg)
	a.now = func() time.Time { return readAt }
	a.dead.alive = func(int) error { return nil }
	return a
}

// copySample copies the sample databases, so that a test can spoil them.
func copySample(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/amavis")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestSnapshot(t *testing.T) {
	v, err := sampleAmavis(t, AmavisConfig{Dir: "testdata/amavis"}).Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if v.Source != FromLive || v.Stale || v.Age != 0 || v.Bad != 0 || len(v.Values) != 103 {
		t.Fatalf("source %s stale %v age %s bad %d, %d values; want live, 103", v.Source, v.Stale, v.Age, v.Bad, len(v.Values))
	}
	descr, _ := v.Lookup("sysDescr")
	if !strings.HasPrefix(descr.Text, "amavis-2.13.0") || v.Started.IsZero() {
		t.Errorf("sysDescr %q, started %s", descr.Text, v.Started)
	}
	if p := v.Processes; p.All != 2 || p.Idle != 2 || p.Busy != 0 {
		t.Errorf("%d processes, %d idle, %d busy; want 2, 2, 0", p.All, p.Idle, p.Busy)
	}
	up, _ := v.Exported("sysUpTime")
	if want := uint64(readAt.Sub(v.Started) / (10 * time.Millisecond)); up.Type != "TIM" || up.Count != want {
		t.Errorf("sysUpTime %s %d, want TIM %d", up.Type, up.Count, want)
	}
	total, _ := v.Lookup("TimeElapsedTotal")
	exported, _ := v.Exported("TimeElapsedTotal")
	if total.Count == 0 || exported.Int != int64(total.Count/10) || exported.Type != "INT" {
		t.Errorf("TimeElapsedTotal %d ms is exported as %s %d", total.Count, exported.Type, exported.Int)
	}
}

func TestAmavisValue(t *testing.T) {
	for _, c := range []struct {
		in   string
		want AmavisValue
		ok   bool
	}{
		{"C32 0000000001", AmavisValue{Type: "C32", Count: 1}, true},
		{"C32 5000000000", AmavisValue{Type: "C32", Count: 5_000_000_000}, true},
		{"C64 00009007199254740993", AmavisValue{Type: "C64", Count: 9_007_199_254_740_993}, true},
		{"C64 18446744073709551615", AmavisValue{Type: "C64", Count: 1<<64 - 1}, true},
		{"C64 18446744073709551616", AmavisValue{}, false},
		{"INT -000000005", AmavisValue{Type: "INT", Int: -5}, true},
		{"G32 -5", AmavisValue{Type: "G32", Int: -5}, true},
		{"G32 12.7", AmavisValue{Type: "G32", Count: 12}, true},
		{"STR ", AmavisValue{Type: "STR"}, true},
		{"OID 1.3.6.1.4.1.15312.2", AmavisValue{Type: "OID", Text: "1.3.6.1.4.1.15312.2"}, true},
		{"C32 -1", AmavisValue{}, false},
		{"C32", AmavisValue{}, false},
		{"X99 1", AmavisValue{}, false},
		{"", AmavisValue{}, false},
	} {
		got, ok := parseAmavisValue("", c.in)
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%q: %+v %v, want %+v %v", c.in, got, ok, c.want, c.ok)
		}
	}
}

func TestProcesses(t *testing.T) {
	now := time.Unix(1795424640, 0)
	rows := []row{
		{"12933", "1795424633.500 d12933-03     "}, // in DATA for 6.5 s
		{"12936", "1795424387.588               "},
		{"12937", "1795424639.950 V12937-01     "},
		{"12938", "1795424639.000 .             "},
		{"12939", "1795418000.000 S12939-77     "}, // gone
		{"x", "1795418000.000 S12939-77     "},
	}
	u := undertaker{alive: func(pid int) error {
		switch pid {
		case 12939:
			return syscall.ESRCH
		case 12936:
			return syscall.EPERM
		}
		return nil
	}}
	for range 2 { // a process that stays gone is counted once
		ps, bad := u.count(rows, now)
		var got []string
		for _, name := range []string{"ProcGone", "ProcAll", "ProcIdle", "ProcBusy", "ProcBusyTransfer", "ProcBusyVirus", "ProcBusySpam", "ProcBusy0", "ProcBusy1", "ProcBusy6", "ProcBusy7"} {
			v, ok := ps.exported(name)
			got = append(got, fmt.Sprintf("%s %s %d %v", name, v.Type, v.Count, ok))
		}
		want := []string{
			"ProcGone C32 1 true", "ProcAll G32 4 true", "ProcIdle G32 2 true", "ProcBusy G32 2 true", "ProcBusyTransfer G32 1 true",
			"ProcBusyVirus G32 1 true", "ProcBusySpam G32 0 true", "ProcBusy0 G32 2 true", "ProcBusy1 G32 1 true", "ProcBusy6 G32 1 true", "ProcBusy7 G32 0 true",
		}
		if d := cmp.Diff(want, got); d != "" || bad != 1 || ps.Hidden {
			t.Errorf("bad %d hidden %v\n%s", bad, ps.Hidden, d)
		}
	}
	blind := undertaker{alive: func(int) error { return syscall.ESRCH }}
	if ps, _ := blind.count(rows, now); !ps.Hidden || ps.All != 5 || ps.Gone != 0 {
		t.Errorf("from another pid namespace: hidden %v, %d processes, %d gone; want true, 5, 0", ps.Hidden, ps.All, ps.Gone)
	}
}

func TestExportedNames(t *testing.T) {
	ps := Processes{Known: true}
	for i := range len(busySlots) {
		if _, ok := ps.exported(fmt.Sprintf("ProcBusy%d", i)); !ok {
			t.Errorf("ProcBusy%d is not exported", i)
		}
	}
	for _, name := range []string{"ProcBusy22", "ProcBusyNone", "Proc", "ProcBusy-1"} {
		if _, ok := ps.exported(name); ok {
			t.Errorf("%s is exported", name)
		}
	}
}

// TestFallbacks takes one source after the other away.
func TestFallbacks(t *testing.T) {
	program(t, "db_dump", "db-util")
	dir := t.TempDir()
	w := hammer(t, dir, 1, 10, 0, 1000)
	w.quiet(t)
	a := NewAmavis(AmavisConfig{Dir: dir, DBDump: "db_dump"})
	live, err := a.Snapshot(t.Context())
	if err != nil || live.Source != FromLive {
		t.Fatalf("source %s: %v", live.Source, err)
	}
	// The live reader finds no header of the libdb that it knows; db_dump does not need this file's name to be right.
	b, err := os.ReadFile(filepath.Join(dir, cacheFile))
	if err != nil {
		t.Fatal(err)
	}
	a.snmp.cache = filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(a.snmp.cache, make([]byte, len(b)), 0o600); err != nil {
		t.Fatal(err)
	}
	dumped, err := a.Snapshot(t.Context())
	if err != nil || dumped.Source != FromDump {
		t.Fatalf("source %s: %v", dumped.Source, err)
	}
	if d := cmp.Diff(live.Values, dumped.Values); d != "" {
		t.Errorf("live - and db_dump +:\n%s", d)
	}
	a.cfg.DBDump = ""
	a.good.Read = a.good.Read.Add(-time.Hour)
	held, err := a.Snapshot(t.Context())
	if err != nil || held.Source != FromDump || held.Age < time.Hour {
		t.Fatalf("source %s, age %s: %v; want the last good values, an hour old", held.Source, held.Age, err)
	}
	fresh := NewAmavis(AmavisConfig{Dir: dir})
	fresh.snmp.cache = a.snmp.cache
	file, err := fresh.Snapshot(t.Context())
	if err != nil || file.Source != FromFile || !file.Stale {
		t.Fatalf("source %s, stale %v: %v", file.Source, file.Stale, err)
	}
}

// TestBusyIsHeld spoils a page's latch, as a writer that is stopped in the middle leaves it.
func TestBusyIsHeld(t *testing.T) {
	dir := copySample(t)
	a := sampleAmavis(t, AmavisConfig{Dir: dir})
	if _, err := a.Snapshot(t.Context()); err != nil {
		t.Fatal(err)
	}
	cache := filepath.Join(dir, cacheFile)
	b, err := os.ReadFile(cache)
	if err != nil {
		t.Fatal(err)
	}
	page := a.snmp.second.pages[1]
	b[page.at-bufFlags] |= flagExclusive
	if err := os.WriteFile(cache, b, 0o600); err != nil {
		t.Fatal(err)
	}
	a.now = func() time.Time { return readAt.Add(5 * time.Second) }
	v, err := a.Snapshot(t.Context())
	if err != nil || v.Source != FromLive || v.Age != 5*time.Second || len(v.Values) != 103 {
		t.Errorf("source %s, age %s, %d values: %v; want the last good values, 5 s old", v.Source, v.Age, len(v.Values), err)
	}
	if s := a.Stats(); s.Held != 1 || s.Reads[FromLive] != 1 {
		t.Errorf("%+v, want one read and one held", s)
	}
}

// TestBehind: a counter that is smaller or lost is seen.
func TestBehind(t *testing.T) {
	a := sampleAmavis(t, AmavisConfig{Dir: copySample(t)})
	v, err := a.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	older := v
	older.Values = append([]AmavisValue(nil), v.Values...)
	for i := range older.Values {
		if older.Values[i].Name == "InMsgs" {
			older.Values[i].Count--
		}
	}
	if got := older.behind(&v); got != "InMsgs" {
		t.Errorf("%q went back, want InMsgs", got)
	}
	older.Values = v.Values[1:]
	if got := older.behind(&v); got != v.Values[0].Name {
		t.Errorf("%q is lost, want %s", got, v.Values[0].Name)
	}
	if got := v.behind(&v); got != "" {
		t.Errorf("%q went back against itself", got)
	}
}

func TestAdvice(t *testing.T) {
	_, err := NewAmavis(AmavisConfig{Dir: filepath.Join(t.TempDir(), "db")}).Snapshot(t.Context())
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "$enable_db") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v, want one line with advice", err)
	}
	fifo := filepath.Join(t.TempDir(), "snmp.db")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openRegular(fifo); err == nil {
		t.Error("a pipe is read like a file")
	}
}

const zmqServer = `
import sys, zmq
s = zmq.Context().socket(zmq.REP)
port = s.bind_to_random_port("tcp://127.0.0.1")
print(port, flush=True)
answers, name = {}, None
for line in open(sys.argv[1], "rb"):
    line = line.rstrip(b"\n")
    if line.startswith(b"# "):
        name = line.split()[1]
        answers[name] = []
    elif line:
        answers[name].append(line)
while True:
    s.send_multipart(answers[s.recv()])
`

// TestZMQ asks a real libzmq that answers what amavis-services answered.
func TestZMQ(t *testing.T) {
	python := program(t, "python3", "python3-zmq")
	if exec.Command(python, "-c", "import zmq").Run() != nil {
		t.Skip("the Python module zmq is not installed: apt-get install python3-zmq")
	}
	cmd := exec.Command(python, "-c", zmqServer, "testdata/zmq_req.txt")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	port, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	a := NewAmavis(AmavisConfig{Dir: t.TempDir(), ZMQ: "tcp://127.0.0.1:" + strings.TrimSpace(port)})
	v, err := a.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if v.Source != FromZMQ || v.Count("InMsgs") != 4 || v.Processes.All != 2 || v.Processes.Idle != 2 || len(v.Values) != 79 {
		t.Errorf("source %s, InMsgs %d, %d processes, %d values; want zmq, 4, 2, 79", v.Source, v.Count("InMsgs"), v.Processes.All, len(v.Values))
	}
}

type talk struct {
	io.Reader
	said bytes.Buffer
}

func (t *talk) Write(p []byte) (int, error) { return t.said.Write(p) }

func TestZMTPRefusesHugeFrame(t *testing.T) {
	peer := make([]byte, zmtpGreeting)
	peer[0], peer[9], peer[10] = 0xff, 0x7f, 3
	copy(peer[12:], "NULL")
	peer = append(peer, zmtpLong, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
	_, err := zmtpRequest(&talk{Reader: bytes.NewReader(peer)}, "am.snmp?")
	if err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("%v, want a refusal of the length", err)
	}
}

// TestZMQWithoutAnswer is a responder that takes the question and says nothing.
func TestZMQWithoutAnswer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := zmqAsk(ctx, "tcp://"+l.Addr().String(), "am.nanny?"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want the end of the time", err)
	}
}
