package main

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"varde/event"
	"varde/input/flow/flowgen"
)

func TestSenderRefusesOthersThanLoopback(t *testing.T) {
	for _, to := range []string{"192.0.2.1:2055", "[2001:db8::1]:2055", "0.0.0.0:2055"} {
		if _, err := newSender(netip.MustParseAddrPort(to), &flowgen.Mix{}); !errors.Is(err, errNotLoopback) {
			t.Errorf("%s: %v", to, err)
		}
	}
}

// TestSenderKeepsItsPace receives what the sender sends: as many records as it says, near the rate asked for, all in
// sequence.
func TestSenderKeepsItsPace(t *testing.T) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetReadBuffer(buffer)
	to := netip.MustParseAddrPort(conn.LocalAddr().String())
	records, lost := 0, uint64(0)
	r := newReader(t, func(*event.Event) { records++ })
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 1<<16)
		for {
			n, sender, err := conn.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			r.Packet(sender, b[:n], time.Now().UnixNano())
		}
	}()
	s, err := newSender(to, flowgen.BenchPackets(flowgen.IPFIX, seed, time.Now().UnixNano()))
	if err != nil {
		t.Fatal(err)
	}
	defer s.conn.Close()
	const rate = 40_000
	out, err := s.run(t.Context(), rate, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	own, err := udpSockets(to.Port())
	if err != nil || own.open != 1 {
		t.Fatalf("%+v, %v", own, err)
	}
	lost = own.drops
	conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	<-done
	if lost == 0 && records != out.records {
		t.Errorf("%d records sent, %d received", out.records, records)
	}
	if got := float64(out.records) / out.took.Seconds(); got < 0.8*rate || got > 1.1*rate {
		t.Errorf("%.0f records a second, want %d", got, rate)
	}
}

func TestReadsProc(t *testing.T) {
	var s sockets
	err := s.add(`  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  100: 0100007F:0807 00000000:0000 07 00000000:00000A00 00:00000000 00000000     0        0 1 2 0000000000000000 7
  101: 0100007F:0807 00000000:0000 07 00000000:00000001 00:00000000 00000000     0        0 2 2 0000000000000000 3
  102: 0100007F:0808 00000000:0000 07 00000000:00000001 00:00000000 00000000     0        0 3 2 0000000000000000 9
`, 0x807)
	if want := (sockets{open: 2, queued: 0xa01, drops: 10}); err != nil || s != want {
		t.Errorf("%+v, %v; want %+v", s, err, want)
	}
	cpu, err := parseStat("12 (a) b) S 1 1 1 0 -1 4194560 1 2 3 4 100 20 3 7 20 0 1 0 9")
	if err != nil || cpu != 1.3 {
		t.Errorf("%v s, %v; want 1.3", cpu, err)
	}
	if _, err := cpuSeconds(os.Getpid()); err != nil {
		t.Error(err)
	}
	if _, err := cpuSeconds(1 << 30); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("%v", err)
	}
}
