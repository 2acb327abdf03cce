// Package snmpdtest starts a real snmpd on loopback, for tests and benchmarks of what talks to one.
package snmpdtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Program finds a program, or skips the test where the Debian package is not installed.
func Program(t testing.TB, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed: apt-get install %s", name, debian)
	}
	return path
}

// Master is a real snmpd on loopback.
type Master struct {
	t      testing.TB
	Dir    string // of its files
	Socket string // as agentXSocket has it
	Port   string // of SNMP, on 127.0.0.1
	cmd    *exec.Cmd
	done   chan struct{}
}

// Start starts an snmpd that listens for AgentX on a socket below its directory, or on TCP.
func Start(t testing.TB, tcp bool, more ...string) *Master {
	t.Helper()
	Program(t, "snmpd", "snmpd")
	Program(t, "snmpget", "snmp")
	m := &Master{t: t, Dir: t.TempDir()}
	m.Socket = filepath.Join(m.Dir, "agentx", "master")
	if tcp {
		m.Socket = "tcp:127.0.0.1:" + FreePort(t, "tcp")
	}
	m.Port = FreePort(t, "udp")
	conf := append([]string{
		"master agentx", "agentXSocket " + m.Socket, "agentXPerms 0660 0755",
		"agentAddress udp:127.0.0.1:" + m.Port, "rwcommunity public", "dontLogTCPWrappersConnects yes", "sysDescr test bench",
	}, more...)
	if err := os.WriteFile(filepath.Join(m.Dir, "snmpd.conf"), []byte(strings.Join(conf, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.Start()
	t.Cleanup(func() { m.Stop() })
	return m
}

// FreePort is one that nothing listened on a moment ago.
func FreePort(t testing.TB, network string) string {
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

// Start starts snmpd, at first or again.
func (m *Master) Start() {
	m.t.Helper()
	m.cmd = exec.Command(Program(m.t, "snmpd", "snmpd"), "-f", "-I", "-smux", "-C", "-c", filepath.Join(m.Dir, "snmpd.conf"),
		"-LF", "6", filepath.Join(m.Dir, "log"), "-p", filepath.Join(m.Dir, "pid"))
	m.cmd.Env = append(os.Environ(), "SNMP_PERSISTENT_DIR="+filepath.Join(m.Dir, "state"), "MIBS=")
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) {
		defer close(done)
		cmd.Wait()
	}(m.cmd, m.done)
	WaitFor(m.t, "snmpd to answer", 10*time.Second, func() bool {
		out, err := m.RunWith("snmpget", []string{"-v2c", "-c", "public", "-m", "", "-r0", "-t0.1"}, "1.3.6.1.2.1.1.1.0")
		return err == nil && strings.Contains(out, "test bench")
	})
}

// Stop ends snmpd by its process id.
func (m *Master) Stop() {
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
		log, _ := os.ReadFile(filepath.Join(m.Dir, "log"))
		m.t.Logf("snmpd said:\n%s", log)
	}
}

// Run asks snmpd with one of the tools of Net-SNMP, without any MIB.
func (m *Master) Run(tool string, args ...string) (string, error) {
	return m.RunWith(tool, []string{"-v2c", "-c", "public", "-m", "", "-On", "-r0", "-t2"}, args...)
}

// RunWith is Run with the options of its own.
func (m *Master) RunWith(tool string, options []string, args ...string) (string, error) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, Program(m.t, tool, "snmp"), append(append(options, "127.0.0.1:"+m.Port), args...)...)
	cmd.Env = append(os.Environ(), "SNMP_PERSISTENT_DIR="+filepath.Join(m.Dir, "state"))
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if errs.Len() > 0 {
		err = errors.Join(err, fmt.Errorf("%s says %s", tool, strings.TrimSpace(errs.String())))
	}
	return out.String(), err
}

// Must is Run where an error is a failure.
func (m *Master) Must(tool string, args ...string) string {
	m.t.Helper()
	out, err := m.Run(tool, args...)
	if err != nil {
		m.t.Fatalf("%s %q: %v\n%s", tool, args, err, out)
	}
	return out
}

// WaitFor waits until ok, and tells how long that took.
func WaitFor(t testing.TB, what string, limit time.Duration, ok func() bool) time.Duration {
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
