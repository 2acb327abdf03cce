package flow_test

import (
	"context"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"varde/event"
	"varde/input/flow"
	"varde/input/flow/flowgen"
)

// freePort is a UDP port of 127.0.0.1 that nobody has right now.
func freePort(t *testing.T) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().String()
}

// serve runs a server until the test ends and tells its address and collector.
func serve(t *testing.T, buffer int, emit event.Emit) (string, *flow.Collector) {
	t.Helper()
	cfg := flow.DefaultConfig()
	cfg.Listen, cfg.Sockets = []string{freePort(t)}, 1
	if buffer > 0 {
		cfg.Buffer = 1
	}
	c := collector(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- flow.NewServer(cfg, c, emit, slog.New(slog.DiscardHandler)).Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return cfg.Listen[0], c
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited 15 s for %s", what)
		}
	}
}

func TestSocketLossIsExact(t *testing.T) {
	var hold atomic.Bool
	release := make(chan struct{})
	free := sync.OnceFunc(func() { close(release) })
	var records atomic.Uint64
	address, c := serve(t, 1, func(*event.Event) {
		if records.Add(1) == 1 && hold.Load() {
			<-release // the reader is busy while the small buffer runs over
		}
	})
	t.Cleanup(free)
	hold.Store(true)
	conn, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	all := datagrams(flowgen.NetFlow9, 3000)
	send := func(b []byte) {
		if _, err := conn.Write(b); err != nil {
			time.Sleep(10 * time.Millisecond)
			if _, err := conn.Write(b); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, b := range all[:2900] {
		send(b)
		if i == 1 {
			waitFor(t, "the first record", func() bool { return records.Load() == 1 })
		}
	}
	free()
	waitFor(t, "an empty socket", func() bool { n := records.Load(); time.Sleep(50 * time.Millisecond); return n == records.Load() })
	for _, b := range all[2900:] {
		send(b)
		time.Sleep(100 * time.Microsecond)
	}
	waitFor(t, "the last record", func() bool {
		s := c.Exporters()[0]
		return s.Datagrams+s.LostHere == uint64(len(all))
	})
	s := c.Exporters()[0]
	if s.LostHere == 0 || s.LostBefore != 0 || records.Load() != s.Datagrams-1 {
		t.Errorf("%d sent: %d received, %d lost here, %d before us, %d records", len(all), s.Datagrams, s.LostHere, s.LostBefore, records.Load())
	}
}

// TestSoftflowd lets a real exporter send what it sees in a capture that tcpdump's format can hold.
func TestSoftflowd(t *testing.T) {
	softflowd, err := exec.LookPath("softflowd")
	if err != nil {
		t.Skip("softflowd is not installed")
	}
	for _, version := range []string{"5", "9", "10"} {
		t.Run("v"+version, func(t *testing.T) {
			var bytes, records atomic.Uint64
			address, c := serve(t, 0, func(e *event.Event) {
				if e.Proto == event.UDP && e.Bytes > 0 && e.Src.String() == "192.0.2.10" && e.DstPort == 53 {
					bytes.Add(e.Bytes)
				}
				records.Add(1)
			})
			capture := filepath.Join(t.TempDir(), "in.pcap")
			if err := os.WriteFile(capture, udpCapture(40), 0o600); err != nil {
				t.Fatal(err)
			}
			sock := filepath.Join(t.TempDir(), "ctl")
			cmd := exec.Command(softflowd, "-d", "-r", capture, "-n", address, "-v", version, "-c", sock, "-p", sock+".pid")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
			waitFor(t, "softflowd's control socket", func() bool { _, err := os.Stat(sock); return err == nil })
			time.Sleep(500 * time.Millisecond)
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "softflowd's records", func() bool { return records.Load() >= 40 })
			if got, want := bytes.Load(), uint64(40*60); got != want {
				t.Errorf("%d bytes in flows to port 53, want %d", got, want)
			}
			if s := c.Exporters()[0]; s.LostBefore+s.LostHere+s.Undecoded != 0 || s.Held != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// udpCapture is a pcap file of n DNS queries of 60 bytes from 192.0.2.10, each from a port of its own.
func udpCapture(n int) []byte {
	b := []byte{0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0}
	for i := range n {
		b = append(b, 0, 0, 0, 0x60+byte(i/256), byte(i), 0, 0, 0, 74, 0, 0, 0, 74, 0, 0, 0)
		b = append(b, 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0)
		b = append(b, 0x45, 0, 0, 60, 0, 0, 0x40, 0, 64, 17, 0, 0, 192, 0, 2, 10, 198, 51, 100, 53)
		b = append(b, 0x80, byte(i), 0, 53, 0, 40, 0, 0)
		b = append(b, make([]byte, 32)...)
	}
	return b
}
