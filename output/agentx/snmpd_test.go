package agentx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// program skips the test where the Debian program is not installed.
func program(t testing.TB, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed: apt-get install %s", name, debian)
	}
	return path
}

// master is a real snmpd on loopback.
type master struct {
	t      testing.TB
	dir    string
	socket string // as agentXSocket has it
	port   string
	cmd    *exec.Cmd
	done   chan struct{}
}

// startMaster starts an snmpd that listens for AgentX on a socket below its directory, or on TCP.
func startMaster(t testing.TB, tcp bool, more ...string) *master {
	t.Helper()
	program(t, "snmpd", "snmpd")
	program(t, "snmpget", "snmp")
	m := &master{t: t, dir: t.TempDir()}
	m.socket = filepath.Join(m.dir, "agentx", "master")
	if tcp {
		m.socket = "tcp:127.0.0.1:" + freePort(t, "tcp")
	}
	m.port = freePort(t, "udp")
	conf := append([]string{
		"master agentx", "agentXSocket " + m.socket, "agentXPerms 0660 0755",
		"agentAddress udp:127.0.0.1:" + m.port, "rwcommunity public", "dontLogTCPWrappersConnects yes", "sysDescr test bench",
	}, more...)
	if err := os.WriteFile(filepath.Join(m.dir, "snmpd.conf"), []byte(strings.Join(conf, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.start()
	t.Cleanup(func() { m.stop() })
	return m
}

func freePort(t testing.TB, network string) string {
	t.Helper()
	var addr net.Addr
	if network == "udp" {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		addr = c.LocalAddr()
	} else {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		addr = l.Addr()
	}
	_, port, _ := net.SplitHostPort(addr.String())
	return port
}

func (m *master) start() {
	m.t.Helper()
	m.cmd = exec.Command(program(m.t, "snmpd", "snmpd"), "-f", "-C", "-c", filepath.Join(m.dir, "snmpd.conf"),
		"-LF", "6", filepath.Join(m.dir, "log"), "-p", filepath.Join(m.dir, "pid"))
	m.cmd.Env = append(os.Environ(), "SNMP_PERSISTENT_DIR="+filepath.Join(m.dir, "state"), "MIBS=")
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) {
		defer close(done)
		cmd.Wait()
	}(m.cmd, m.done)
	waitFor(m.t, "snmpd to answer", 10*time.Second, func() bool {
		out, err := m.runWith("snmpget", []string{"-v2c", "-c", "public", "-m", "", "-r0", "-t0.1"}, "1.3.6.1.2.1.1.1.0")
		return err == nil && strings.Contains(out, "test bench")
	})
}

// stop ends snmpd by its process id.
func (m *master) stop() {
	if m.cmd == nil {
		return
	}
	m.cmd.Process.Signal(os.Interrupt)
	select {
	case <-m.done:
	case <-time.After(5 * time.Second):
		m.cmd.Process.Kill()
		<-m.done
	}
	m.cmd = nil
	if m.t.Failed() {
		log, _ := os.ReadFile(filepath.Join(m.dir, "log"))
		m.t.Logf("snmpd said:\n%s", log)
	}
}

// run asks snmpd with one of the tools of Net-SNMP, without any MIB.
func (m *master) run(tool string, args ...string) (string, error) {
	return m.runWith(tool, []string{"-v2c", "-c", "public", "-m", "", "-On", "-r0", "-t2"}, args...)
}

func (m *master) runWith(tool string, options []string, args ...string) (string, error) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(m.t, tool, "snmp"), append(append(options, "127.0.0.1:"+m.port), args...)...)
	cmd.Env = append(os.Environ(), "SNMP_PERSISTENT_DIR="+filepath.Join(m.dir, "state"))
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if errs.Len() > 0 {
		err = errors.Join(err, fmt.Errorf("%s says %s", tool, strings.TrimSpace(errs.String())))
	}
	return out.String(), err
}

// must is run where an error is a failure.
func (m *master) must(tool string, args ...string) string {
	m.t.Helper()
	out, err := m.run(tool, args...)
	if err != nil {
		m.t.Fatalf("%s %q: %v\n%s", tool, args, err, out)
	}
	return out
}

func waitFor(t testing.TB, what string, limit time.Duration, ok func() bool) time.Duration {
	t.Helper()
	begun := time.Now()
	for !ok() {
		if time.Since(begun) > limit {
			t.Fatalf("waited %s for %s", limit, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(begun)
}

// running is an agent with its log.
type running struct {
	*Agent
	log *logBuffer
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// runAgent runs an agent against m until the test ends.
func runAgent(t testing.TB, socket string, deps Deps, change ...func(*Config)) running {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Master = socket
	for _, c := range change {
		c(&cfg)
	}
	log := &logBuffer{}
	deps.Log = slog.New(slog.NewTextHandler(log, nil))
	a, err := New(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if t.Failed() {
			t.Logf("log:\n%s", log)
		}
	})
	return running{a, log}
}

// serving waits until all regions are answered for.
func (r running) serving(t testing.TB) time.Duration {
	t.Helper()
	return waitFor(t, "all subtrees to be registered", 5*time.Second, func() bool {
		return r.stats.granted.Load()+r.stats.refused.Load() == int64(len(r.collector.roots))
	})
}
