package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"varde/cmd/config"
)

// lines is a log that can be read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) { l.mu.Lock(); defer l.mu.Unlock(); return l.b.Write(b) }

func (l *lines) has(text string) func() bool {
	return func() bool { l.mu.Lock(); defer l.mu.Unlock(); return strings.Contains(l.b.String(), text) }
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited 10 s for %s", what)
		}
	}
}

func freeTCP(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestReload: a bad file keeps the old configuration running and says so; a good one takes its place; a second daemon
// on the same directory is told who has it.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	path, list := filepath.Join(dir, "varde.yaml"), filepath.Join(dir, "list.txt")
	first, second := freeTCP(t), freeTCP(t)
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	good := func(address string) string {
		return fmt.Sprintf("data_dir: %s/data\nnetflow: {listen: \"127.0.0.1:0\", buffer: 64KiB}\nlists: [{name: l, file: %s}]\nhttp: {listen: %q}\nweb: {listen: \"127.0.0.1:0\"}\n", dir, list, address)
	}
	write(good(first))
	if err := os.WriteFile(list, []byte("192.0.2.1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	log := &lines{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- supervise(ctx, path, cfg, slog.New(slog.NewTextHandler(log, nil))) }()
	ready := func(address string) func() bool {
		return func() bool {
			resp, err := http.Get("http://" + address + "/readyz")
			if err != nil {
				return false
			}
			resp.Body.Close()
			return resp.StatusCode == http.StatusOK
		}
	}
	waitFor(t, "the daemon", ready(first))
	if _, err := newDaemon(cfg, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("another varde (pid %d)", os.Getpid())) {
		t.Errorf("a second daemon on the same directory: %v", err)
	}
	write("lists: [{nme: l}]\n")
	hup := func() {
		t.Helper()
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	hup()
	waitFor(t, "a word about the bad file", log.has(`unknown key \"nme\"`))
	if !ready(first)() {
		t.Error("the old configuration does not run any more")
	}
	write(good(second) + "allow: {warninglists: [/nonexistent/list.json]}\n")
	hup()
	waitFor(t, "a word about the missing file", log.has("/nonexistent/list.json"))
	if !ready(first)() {
		t.Error("the old configuration does not run any more")
	}
	taken, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	write(strings.Replace(good(second), "127.0.0.1:0", taken.LocalAddr().String(), 1))
	hup()
	waitFor(t, "a word about the port", log.has("receive flows on "+taken.LocalAddr().String()))
	if !ready(first)() {
		t.Error("the old configuration does not run any more")
	}
	write(good(second))
	hup()
	waitFor(t, "the new configuration", ready(second))
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
