package flow_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"varde/event"
	"varde/input/flow"
	"varde/input/flow/flowgen"
)

// freePort is a UDP port that nobody has right now.
func freePort(t *testing.T, host string) string {
	t.Helper()
	c, err := net.ListenPacket("udp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Skipf("%s: %v", host, err)
	}
	defer c.Close()
	return c.LocalAddr().String()
}

// server is a running Server under test.
type server struct {
	address string
	*flow.Collector
	log  bytes.Buffer // to be read after stop only
	stop func()
}

// serve runs a server with one socket until the test ends or stop is called.
func serve(t *testing.T, emit event.Emit, change func(*flow.Config)) *server {
	t.Helper()
	cfg := flow.DefaultConfig()
	cfg.Listen, cfg.Sockets = []string{freePort(t, "127.0.0.1")}, 1
	if change != nil {
		change(&cfg)
	}
	s := &server{address: cfg.Listen[0]}
	log := slog.New(slog.NewTextHandler(&s.log, nil))
	c, err := flow.New(cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	s.Collector = c
	ctx, cancel := context.WithCancel(context.Background())
	u := flow.NewServer(cfg, c, emit, log)
	if err := u.Listen(ctx); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- u.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(s.stop)
	return s
}

// figure is the value of a counter without labels, or with the last label's value given.
func (s *server) figure(t *testing.T, name, label string) uint64 {
	t.Helper()
	all, err := s.Figures(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if f.Name == name && (label == "" || f.Labels[len(f.Labels)-1].Value == label) {
			return f.Count
		}
	}
	t.Fatalf("no figure %s %s", name, label)
	return 0
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func write(t *testing.T, conn net.Conn, b []byte) {
	t.Helper()
	if _, err := conn.Write(b); err != nil {
		t.Fatal(err)
	}
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited 15 s for %s", what)
		}
	}
}

// gate is an emit that stops at the first record until it is opened.
type gate struct {
	records atomic.Uint64
	opened  chan struct{}
	open    func()
}

func newGate(t *testing.T) *gate {
	g := &gate{opened: make(chan struct{})}
	g.open = sync.OnceFunc(func() { close(g.opened) })
	t.Cleanup(g.open)
	return g
}

func (g *gate) emit(*event.Event) {
	g.records.Add(1)
	<-g.opened
}

func smallBuffer(cfg *flow.Config) { cfg.Buffer = 1 } // the kernel makes it its least, some 2 kB

// TestSocketLossIsExact lets a small buffer run over while the reader is busy. What the kernel dropped is told apart
// from what the network lost, to the datagram, by the sequence numbers that follow.
func TestSocketLossIsExact(t *testing.T) {
	g := newGate(t)
	s := serve(t, g.emit, smallBuffer)
	conn := dial(t, s.address)
	all := datagrams(flowgen.NetFlow9, 3000)
	lostBefore := 0
	for i, b := range all[:2900] {
		if i == 10 { // these never reach us
			lostBefore++
			continue
		}
		if write(t, conn, b); i == 1 {
			waitFor(t, "the first record", func() bool { return g.records.Load() == 1 })
		}
	}
	g.open()
	for _, b := range all[2900:] {
		n := s.figure(t, "varde_flow_datagrams_total", "")
		write(t, conn, b)
		waitFor(t, "a datagram", func() bool { return s.figure(t, "varde_flow_datagrams_total", "") > n })
	}
	x := s.Exporters()[0]
	if x.LostHere == 0 || x.LostBefore+x.LostHere+x.Datagrams != uint64(len(all)) || x.LostHere != s.figure(t, "varde_flow_socket_dropped_total", "") {
		t.Errorf("%d sent: %d received, %d lost here, %d before us", len(all)-lostBefore, x.Datagrams, x.LostHere, x.LostBefore)
	}
}

// TestNothingIsLeftBehind ends a server whose socket is full and has run over: what is in the socket is read, and
// the drops that no further datagram would tell of are counted.
func TestNothingIsLeftBehind(t *testing.T) {
	g := newGate(t)
	s := serve(t, g.emit, smallBuffer)
	conn := dial(t, s.address)
	all := datagrams(flowgen.NetFlow5, 500)
	for i, b := range all {
		if write(t, conn, b); i == 0 {
			waitFor(t, "the first record", func() bool { return g.records.Load() == 1 })
		}
	}
	go g.open()
	s.stop()
	received, dropped := s.figure(t, "varde_flow_datagrams_total", ""), s.figure(t, "varde_flow_socket_dropped_total", "")
	if received < 2 || dropped == 0 || received+dropped != uint64(len(all)) || g.records.Load() != received {
		t.Errorf("%d sent: %d received, %d dropped, %d records", len(all), received, dropped, g.records.Load())
	}
}

// TestReceivedIsWhenItArrived holds the reader up: the time in the socket must not be lost from the lag.
func TestReceivedIsWhenItArrived(t *testing.T) {
	g := newGate(t)
	var last atomic.Int64
	s := serve(t, func(e *event.Event) { g.emit(e); last.Store(e.Received) }, nil)
	conn := dial(t, s.address)
	all := datagrams(flowgen.NetFlow5, 2)
	write(t, conn, all[0])
	waitFor(t, "the first record", func() bool { return g.records.Load() == 1 })
	before := time.Now().UnixNano()
	write(t, conn, all[1])
	after := time.Now().UnixNano()
	time.Sleep(20 * time.Millisecond)
	g.open()
	s.stop()
	if at := last.Load(); at < before-int64(time.Millisecond) || at > after+int64(10*time.Millisecond) {
		t.Errorf("received %v after it was sent", time.Duration(at-before))
	}
}

func TestBothFamiliesOnOneSocket(t *testing.T) {
	six := freePort(t, "::1")
	_, port, _ := net.SplitHostPort(six)
	var records atomic.Uint64
	s := serve(t, func(*event.Event) { records.Add(1) }, func(cfg *flow.Config) { cfg.Listen, cfg.Sockets = []string{":" + port}, 3 })
	for _, host := range []string{"127.0.0.1", "::1"} {
		for range 8 { // from several ports, so that several of the sockets get some
			conn := dial(t, net.JoinHostPort(host, port))
			write(t, conn, datagrams(flowgen.NetFlow5, 1)[0])
		}
	}
	waitFor(t, "all records", func() bool { return records.Load() == 16 })
	all := s.Exporters()
	if len(all) != 2 || all[0].Addr.String() != "127.0.0.1" || all[1].Addr.String() != "::1" {
		t.Errorf("exporters %+v", all)
	}
}

func TestTruncatedDatagrams(t *testing.T) {
	var records atomic.Uint64
	s := serve(t, func(*event.Event) { records.Add(1) }, nil)
	conn := dial(t, s.address)
	good := datagrams(flowgen.NetFlow5, 1)[0]
	write(t, conn, append(bytes.Clone(good), make([]byte, 20_000)...))
	write(t, conn, good)
	waitFor(t, "the good datagram", func() bool { return records.Load() > 0 })
	s.stop()
	if n := s.figure(t, "varde_flow_bad_total", "truncated_datagram"); n != 1 || records.Load() != 1 {
		t.Errorf("%d counted as truncated, %d records; want 1, 1", n, records.Load())
	}
}

func TestOnlyListedExporters(t *testing.T) {
	for prefix, want := range map[string]uint64{"127.0.0.0/8": 1, "192.0.2.0/24": 0} {
		var records atomic.Uint64
		s := serve(t, func(*event.Event) { records.Add(1) }, func(cfg *flow.Config) {
			cfg.OnlyListed, cfg.Exporters = true, []flow.ExporterConfig{{Address: prefix}}
		})
		conn := dial(t, s.address)
		write(t, conn, datagrams(flowgen.NetFlow5, 1)[0])
		write(t, conn, []byte("garbage"))
		s.stop()
		unlisted, bad := s.figure(t, "varde_flow_exporters_unlisted_total", ""), s.figure(t, "varde_flow_bad_total", "unknown_version")
		if records.Load() != want || bad != want || unlisted != 2*(1-want) {
			t.Errorf("%s: %d records, %d bad, %d from unlisted", prefix, records.Load(), bad, unlisted)
		}
	}
}

// TestPortIsTaken starts a second server on the port of the first, which must not share it.
func TestPortIsTaken(t *testing.T) {
	s := serve(t, func(*event.Event) {}, func(cfg *flow.Config) { cfg.Sockets = 2 })
	for address, want := range map[string]string{
		s.address:        "receive flows on " + s.address + ": flow.test (pid ",
		"192.0.2.1:2055": "receive flows on 192.0.2.1:2055: no interface of this machine has that address; change netflow.listen",
		"127.0.0.1:x":    "receive flows on 127.0.0.1:x: ",
	} {
		cfg := flow.DefaultConfig()
		cfg.Listen = []string{address}
		err := flow.NewServer(cfg, s.Collector, func(*event.Event) {}, slog.New(slog.DiscardHandler)).Run(t.Context())
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// TestListenThenRun sends before Run: what came meanwhile is received, and an address that cannot be bound leaves none
// bound.
func TestListenThenRun(t *testing.T) {
	cfg := flow.DefaultConfig()
	cfg.Listen, cfg.Sockets = []string{freePort(t, "127.0.0.1")}, 2
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan struct{}, 1)
	s := flow.NewServer(cfg, collector(t), func(*event.Event) { got <- struct{}{} }, slog.New(slog.DiscardHandler))
	if err := s.Listen(ctx); err != nil {
		t.Fatal(err)
	}
	write(t, dial(t, cfg.Listen[0]), datagrams(flowgen.NetFlow5, 1)[0])
	other := flow.DefaultConfig()
	other.Listen = []string{freePort(t, "127.0.0.1"), cfg.Listen[0]}
	if err := flow.NewServer(other, collector(t), nil, slog.New(slog.DiscardHandler)).Run(ctx); err == nil || !strings.Contains(err.Error(), "has this port") {
		t.Errorf("the port of another: %v", err)
	}
	for name, old := range map[string]flow.Config{"has this port": {}, "": cfg} {
		if err := flow.TryListen(ctx, other, old); (err == nil) != (name == "") || err != nil && !strings.Contains(err.Error(), name) {
			t.Errorf("besides a server of %v: %v", old.Listen, err)
		}
	}
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	<-got
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestSaysWhatBufferIsGranted(t *testing.T) {
	s := serve(t, func(*event.Event) {}, func(cfg *flow.Config) { cfg.Buffer = 1 << 16 })
	s.stop()
	if log := s.log.String(); !strings.Contains(log, "buffer=\"66 kB\"") && !strings.Contains(log, "net.core.rmem_max=65536") {
		t.Errorf("log: %s", log)
	}
}

func TestReceivingAllocatesNothing(t *testing.T) {
	for _, p := range []flowgen.Protocol{flowgen.NetFlow5, flowgen.NetFlow9, flowgen.IPFIX, flowgen.SFlow} {
		records := make(chan struct{}, 1)
		s := serve(t, func(*event.Event) { records <- struct{}{} }, nil)
		conn := dial(t, s.address)
		all := datagrams(p, 600)
		if p == flowgen.NetFlow9 || p == flowgen.IPFIX {
			write(t, conn, all[0])
			all = all[1:]
		}
		i := 0
		n := testing.AllocsPerRun(500, func() {
			conn.Write(all[i])
			<-records
			i++
		})
		if n != 0 {
			t.Errorf("%v: %v allocations a datagram, want 0", p, n)
		}
	}
}

// TestSoftflowd lets a real exporter send the flows that it sees in a capture.
func TestSoftflowd(t *testing.T) {
	softflowd, err := exec.LookPath("softflowd")
	if err != nil {
		t.Skip("softflowd is not installed (Debian package softflowd)")
	}
	const queries, size = 40, 60
	for _, version := range []string{"5", "9", "10"} {
		t.Run("v"+version, func(t *testing.T) {
			var octets, records atomic.Uint64
			s := serve(t, func(e *event.Event) {
				if e.Proto == event.UDP && e.Src.String() == "192.0.2.10" && e.Dst.String() == "198.51.100.53" && e.DstPort == 53 {
					octets.Add(e.Bytes)
				}
				records.Add(1)
			}, nil)
			capture := filepath.Join(t.TempDir(), "in.pcap")
			if err := os.WriteFile(capture, udpCapture(queries), 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			// In its debug mode, and without a control socket to wait for, softflowd ends at the end of the capture.
			cmd := exec.CommandContext(ctx, softflowd, "-D", "-r", capture, "-n", s.address, "-v", version, "-c", "none", "-p", capture+".pid")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("softflowd: %v\n%s", err, out)
			}
			s.stop()
			if records.Load() != queries || octets.Load() != queries*size {
				t.Errorf("%d records with %d bytes, want %d with %d", records.Load(), octets.Load(), queries, queries*size)
			}
			if x := s.Exporters()[0]; x.LostBefore+x.LostHere+x.Undecoded != 0 || x.Held != 0 {
				t.Errorf("%+v", x)
			}
		})
	}
}

// udpCapture is a pcap file of n DNS queries of 60 bytes from 192.0.2.10, each from a port of its own.
func udpCapture(n int) []byte {
	b := []byte{0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0}
	for i := range n {
		b = append(b, 0, 0, 0, 0x60, byte(i), 0, 0, 0, 74, 0, 0, 0, 74, 0, 0, 0)
		b = append(b, 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0)
		b = append(b, 0x45, 0, 0, 60, 0, 0, 0x40, 0, 64, 17, 0, 0, 192, 0, 2, 10, 198, 51, 100, 53)
		b = append(b, 0x80, byte(i), 0, 53, 0, 40, 0, 0)
		b = append(b, make([]byte, 32)...)
	}
	return b
}
