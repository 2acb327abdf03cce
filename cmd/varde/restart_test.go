package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"varde/cmd/config"
	"varde/event"
	"varde/input/flow/flowgen"
)

// site is a daemon that receives flows and writes warnings to a file.
type site struct {
	t        *testing.T
	dir      string
	router   *flowgen.Exporter
	receive  string
	conn     net.Conn
	warnings string
	stop     func()
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), router: flowgen.New(flowgen.Config{Protocol: flowgen.NetFlow9, Domain: 1, Boot: time.Now().Add(-72 * time.Hour).UnixNano()})}
	s.warnings = filepath.Join(s.dir, "warnings.jsonl")
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.receive = pc.LocalAddr().String()
	pc.Close()
	if s.conn, err = net.Dial("udp", s.receive); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.conn.Close() })
	if err := os.WriteFile(filepath.Join(s.dir, "list.txt"), []byte("203.0.113.66\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// start runs the daemon until stop.
func (s *site) start() {
	s.t.Helper()
	ready := freeTCP(s.t)
	text := fmt.Sprintf("data_dir: %[1]s/data\nnetwork: {own: [192.0.2.0/24]}\nnetflow: {listen: %[2]q, buffer: 256KiB}\nallow: {never_alert: false}\nlists: [{name: l, file: %[1]s/list.txt}]\n"+
		"http: {listen: %[4]q}\nweb: {listen: \"127.0.0.1:0\"}\nwarn: [{file: {path: %[3]s, format: json}}]\n", s.dir, s.receive, s.warnings, ready)
	cfg, err := config.Parse("test.yaml", []byte(text))
	if err != nil {
		s.t.Fatal(err)
	}
	d, err := newDaemon(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.run(ctx) }()
	waitFor(s.t, "the daemon", func() bool {
		resp, err := http.Get("http://" + ready + "/readyz")
		return err == nil && resp.Body.Close() == nil
	})
	s.stop = func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	}
}

// tell exports flows; src, ports and flags say who did what.
func (s *site) tell(flows ...event.Event) {
	s.t.Helper()
	for i := range flows {
		s.router.Add(&flows[i])
	}
	s.router.Flush(time.Now().UnixNano(), func(b []byte) {
		s.conn.Write(b)
		time.Sleep(time.Millisecond) // the socket is small
	})
}

// one is a flow of a packet or some.
func one(at time.Time, proto uint8, src string, sport int, dst string, dport int, flags uint8, packets uint64) event.Event {
	return event.Event{
		Kind: event.Flow, Time: at.UnixNano(), End: at.UnixNano(), Proto: proto, TCPFlags: flags, Src: netip.MustParseAddr(src), SrcPort: uint16(sport),
		Dst: netip.MustParseAddr(dst), DstPort: uint16(dport), Packets: packets, Bytes: 40 * packets,
	}
}

// said are the warnings so far.
func (s *site) said() (all []event.Warning) {
	b, err := os.ReadFile(s.warnings)
	if err != nil {
		return nil
	}
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		w, err := event.ParseWarning(lines.Bytes())
		if err != nil {
			s.t.Fatalf("%s: %v", lines.Bytes(), err)
		}
		all = append(all, w)
	}
	return all
}

func (s *site) await(what string, is func(*event.Warning) bool) event.Warning {
	s.t.Helper()
	var found event.Warning
	waitFor(s.t, what, func() bool {
		for _, w := range s.said() {
			if is(&w) {
				found = w
				return true
			}
		}
		return false
	})
	return found
}

// TestFlowsAlone has no firewall log: flows that nobody answered to addresses that nobody uses show a vertical scan over
// TCP and one over UDP. The scans, and an incident of a list, go on as the same after a restart, and nothing is said twice.
func TestFlowsAlone(t *testing.T) {
	s := newSite(t)
	s.start()
	now := time.Now()
	// A host of ours has been seen for two days, and so what was never seen is known to be unused.
	var usual []event.Event
	for h := range 48 {
		usual = append(usual, one(now.Add(time.Duration(h-48)*time.Hour), event.TCP, "192.0.2.5", 40000, "198.51.100.80", 443, event.SYN|event.ACK|event.PSH, 9))
	}
	s.tell(usual...)
	scan := func(proto uint8, src string, from, n int) (out []event.Event) {
		flags := uint8(0)
		if proto == event.TCP {
			flags = event.SYN
		}
		for i := range n {
			out = append(out, one(now.Add(time.Duration(i-60)*time.Second), proto, src, 50000, "192.0.2.77", from+i, flags, 1))
		}
		return out
	}
	listed := one(now, event.TCP, "192.0.2.5", 50000, "203.0.113.66", 8443, event.SYN|event.ACK|event.PSH, 9)
	s.tell(append(append(scan(event.TCP, "198.51.100.9", 1000, 20), scan(event.UDP, "203.0.113.7", 2000, 20)...), listed)...)
	by := func(addr string, state event.State) func(*event.Warning) bool {
		return func(w *event.Warning) bool { return w.Foreign.Addr.String() == addr && w.State == state }
	}
	ids := map[string]string{}
	for _, addr := range []string{"198.51.100.9", "203.0.113.7", "203.0.113.66"} {
		w := s.await("a warning of "+addr, by(addr, event.Opened))
		ids[addr] = w.ID
		if w.Scan != nil && (w.Scan.Pattern != "vertical" || w.Own.Addr.String() != "192.0.2.77") {
			t.Errorf("%s: a %s scan of %s", addr, w.Scan.Pattern, w.Own.Addr)
		}
	}
	s.stop()
	before := len(s.said())
	s.start()
	defer func() { s.stop() }()
	// The scans grow tenfold, which is news; the list's incident goes on, which is none.
	s.tell(append(append(scan(event.TCP, "198.51.100.9", 1020, 180), scan(event.UDP, "203.0.113.7", 2020, 180)...), listed)...)
	for _, addr := range []string{"198.51.100.9", "203.0.113.7"} {
		if w := s.await("more of "+addr, by(addr, event.Escalated)); w.ID != ids[addr] {
			t.Errorf("%s: the scan is %s after the restart and was %s", addr, w.ID, ids[addr])
		}
	}
	for _, w := range s.said()[before:] {
		if w.State == event.Opened {
			t.Errorf("said anew after the restart: %s %s", w.Foreign.Addr, w.Why)
		}
	}
}
