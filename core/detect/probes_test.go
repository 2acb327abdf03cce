package detect

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"varde/event"
	"varde/event/human"
)

// TestWhatIsAProbe goes through events that are none and some that are.
func TestWhatIsAProbe(t *testing.T) {
	flags := func(f uint8) func(*event.Event) { return func(e *event.Event) { e.TCPFlags = f } }
	for _, tc := range []struct {
		name   string
		want   technique
		change func(*event.Event)
	}{
		{"SYN", bySYN, func(*event.Event) {}},
		{"SYN of which nobody says what became", bySYN, func(e *event.Event) { e.Action = event.UnknownAction }},
		{"SYN with ECN", bySYN, flags(event.SYN | event.ECE | event.CWR)},
		{"flags not told", bySYN, flags(0)},
		{"no flags", byNull, func(e *event.Event) { e.TCPFlags = 0; e.Detail.Set("flags", "none") }},
		{"Xmas", byXmas, flags(event.FIN | event.PSH | event.URG)},
		{"every flag", byXmas, flags(0xff)},
		{"FIN", byFIN, flags(event.FIN)},
		{"Maimon", byMaimon, flags(event.FIN | event.ACK)},
		{"ACK sweep", byACK, flags(event.ACK)},
		{"SYN with FIN", byOdd, flags(event.SYN | event.FIN)},
		{"answer to a SYN in our name", notProbe, flags(event.SYN | event.ACK)},
		{"reset", notProbe, flags(event.RST)},
		{"reset with ACK", notProbe, flags(event.RST | event.ACK)},
		{"data of a forgotten conversation", notProbe, flags(event.PSH | event.ACK)},
		{"late end of one with a web server", notProbe, func(e *event.Event) { e.TCPFlags, e.SrcPort, e.DstPort = event.FIN|event.ACK, 443, 51234 }},
		{"UDP", byUDP, func(e *event.Event) { e.Proto, e.TCPFlags = event.UDP, 0 }},
		{"late answer of a name server", notProbe, func(e *event.Event) { e.Proto, e.TCPFlags, e.SrcPort, e.DstPort = event.UDP, 0, 53, 51234 }},
		{"later fragment", notProbe, func(e *event.Event) { e.Proto, e.TCPFlags, e.SrcPort, e.DstPort = event.UDP, 0, 0, 0 }},
		{"echo request", byPing, func(e *event.Event) { e.Proto, e.HasICMP, e.ICMPType = event.ICMP, true, 8 }},
		{"unreachable", notProbe, func(e *event.Event) { e.Proto, e.HasICMP, e.ICMPType = event.ICMP, true, 3 }},
		{"our own host goes out", notProbe, func(e *event.Event) { e.Own = event.SideSrc }},
		{"neither is ours", notProbe, func(e *event.Event) { e.Own = 0 }},
		{"broadcast of a network of ours", notProbe, func(e *event.Event) { e.Dst = netip.MustParseAddr("192.0.2.15") }},
		{"limited broadcast", notProbe, func(e *event.Event) { e.Dst = netip.MustParseAddr("255.255.255.255") }},
		{"multicast", notProbe, func(e *event.Event) { e.Dst = netip.MustParseAddr("224.0.0.251") }},
		{"served as configured", notProbe, func(e *event.Event) { e.DstPort = 25 }},
		{"served as the firewall showed", notProbe, func(e *event.Event) { e.DstPort = 8443 }},
		{"served as flows showed", notProbe, func(e *event.Event) { e.DstPort = 22 }},
		{"that port on another address", bySYN, func(e *event.Event) { e.Dst, e.DstPort = netip.MustParseAddr("192.0.2.8"), 22 }},
		{"let in", letIn, func(e *event.Event) { e.Kind, e.Action = event.Flow, event.Accept }},
		{"only watched", notProbe, func(e *event.Event) { e.Kind, e.Action = event.Flow, event.Audit }},
		{"taken by a honeypot", byConnect, func(e *event.Event) { e.Kind, e.Action = event.Connect, event.NoAction }},
		{"a login is another matter", notProbe, func(e *event.Event) { e.Kind = event.Login }},
		{"no time", notProbe, func(e *event.Event) { e.Time, e.Received = 0, 0 }},
		{"flow: SYN and no more", bySYN, flow(func(*event.Event) {})},
		{"flow: half open", bySYN, flow(flags(event.SYN | event.RST))},
		{"flow: conversation", letIn, flow(func(e *event.Event) { e.TCPFlags, e.RawPackets = whole, 9 })},
		{"flow: answered", letIn, flow(func(e *event.Event) { e.HasReverse, e.RevPackets, e.RevTCPFlags = true, 1, event.SYN|event.ACK })},
		{"flow: refused", bySYN, flow(func(e *event.Event) { e.HasReverse, e.RevPackets, e.RevTCPFlags = true, 1, event.RST|event.ACK })},
		{"flow: sampled, to a host in use", notProbe, flow(func(e *event.Event) { e.Sampling = 100 })},
		{"flow: sampled, to an unused address", bySYN, flow(func(e *event.Event) { e.Sampling, e.Dst = 100, netip.MustParseAddr("192.0.2.9") })},
		{"flow: UDP to a host in use", notProbe, flow(func(e *event.Event) { e.Proto, e.TCPFlags = event.UDP, 0 })},
		{"flow: UDP to an unused address", byUDP, flow(func(e *event.Event) { e.Proto, e.TCPFlags, e.Dst = event.UDP, 0, netip.MustParseAddr("192.0.2.9") })},
		{"flow: ACK to a host in use", notProbe, flow(flags(event.ACK))},
		{"flow: two packets of a conversation", notProbe, flow(func(e *event.Event) { e.TCPFlags, e.RawPackets = event.SYN|event.ACK|event.FIN, 2 })},
		{"flow: a packet with SYN, FIN and ACK", byOdd, flow(flags(event.SYN | event.ACK | event.FIN))},
		{"flow: what a web server sends to a client of ours", notProbe, flow(func(e *event.Event) {
			e.TCPFlags, e.RawPackets, e.SrcPort, e.DstPort = whole, 9, 443, 51234
		})},
		{"flow: Xmas", byXmas, flow(flags(event.FIN | event.PSH | event.URG))},
		{"flow: denied", bySYN, flow(func(e *event.Event) { e.Action, e.Sampling = event.Deny, 1000 })},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := denied(0, "198.51.100.9", "192.0.2.7", 7547)
			tc.change(e)
			if got := taught(t).look(e); got != tc.want {
				t.Errorf("%q, want %q", techniqueNames[got], techniqueNames[tc.want])
			}
		})
	}
}

// flow makes an event that of a router.
func flow(change func(*event.Event)) func(*event.Event) {
	return func(e *event.Event) {
		e.Kind, e.Action, e.Packets, e.RawPackets = event.Flow, event.NoAction, 1, 1
		change(e)
	}
}

// taught is a Ground that has seen 192.0.2.7 answer on port 22 for two days, and a firewall let somebody in on 8443.
func taught(t *testing.T) *Ground {
	t.Helper()
	cfg := DefaultGround()
	cfg.Served = human.List{"tcp/25"}
	if err := cfg.Check(); err != nil {
		t.Fatal(err)
	}
	g := NewGround(cfg, ours)
	for _, before := range []time.Duration{48 * time.Hour, time.Minute} {
		e := half{true, event.TCP, 22, 50000, whole, 9, 4000}.event(t0 - int64(before))
		g.Judge(e)
	}
	e := denied(-time.Hour, "203.0.113.7", "192.0.2.7", 8443)
	e.Kind, e.Action = event.Flow, event.Accept
	g.Judge(e)
	return g
}

// TestScanGrows follows one scan: said when it begins, when it has become a block, when it was let in, when it has ten
// times the ports, and when it is over; always under one id.
func TestScanGrows(t *testing.T) {
	s := newScans(t)
	var said []event.Warning
	take := func(e *event.Event) { said = append(said, judge(s, []*event.Event{e})...) }
	for i := range 400 {
		take(denied(time.Duration(i)*time.Second, "198.51.100.9", fmt.Sprintf("192.0.2.%d", 1+i/100), 1000+i))
		if i == 320 {
			e := denied(time.Duration(i)*time.Second, "198.51.100.9", "192.0.2.7", 22)
			e.Kind, e.Action = event.Flow, event.Accept
			take(e)
			take(e)
		}
	}
	s.Sweep(t0+int64(400*time.Second+30*time.Minute), func(w event.Warning) { t.Error("closed too early: " + w.Why) })
	s.Sweep(t0+int64(400*time.Second+time.Hour), func(w event.Warning) { said = append(said, w) })
	var got []string
	for _, w := range said {
		got = append(got, fmt.Sprintf("%v %v %s, %d ports of %d, reached %v", w.State, w.Severity, w.Scan.Pattern, w.Scan.Ports, w.Scan.Targets, w.Scan.Reached))
		if w.ID != said[0].ID || w.Foreign.Addr.String() != "198.51.100.9" {
			t.Errorf("%s of %v, want %s", w.ID, w.Foreign.Addr, said[0].ID)
		}
	}
	want := []string{
		"opened low vertical, 15 ports of 1, reached []", "escalated low vertical, 150 ports of 2, reached []",
		"escalated low block, 301 ports of 4, reached []", "escalated medium block, 321 ports of 4, reached [22]",
		"closed medium block, 400 ports of 4, reached [22]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("said\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestSketch holds the estimate of distinct keys to three times its standard error.
func TestSketch(t *testing.T) {
	for _, n := range []int{1, 16, 17, 100, 1000, 65_536} {
		var d distinct
		for i := range 2 * n {
			d.add(mix(uint64(i % n)))
		}
		if got := float64(d.count()); got < 0.8*float64(n) || got > 1.2*float64(n) {
			t.Errorf("%v for %d", got, n)
		}
	}
}

func TestPortsAreInOrderAndNamed(t *testing.T) {
	all := KnownPorts()
	if !slices.IsSortedFunc(all, func(a, b Port) int { return int(portKey(0, a.Number)) - int(portKey(0, b.Number)) }) {
		t.Error("the table is not in the order of port numbers")
	}
	for _, p := range all {
		if got, ok := PortMeaning(p.Proto, p.Number); !ok || got != p || p.Name == "" {
			t.Errorf("%+v is found as %+v", p, got)
		}
	}
	for port, want := range map[uint16]string{7547: "TR-069", 37777: "Dahua recorders", 5555: "ADB", 23: "Telnet", 4: ""} {
		if got := PortName(event.TCP, port); got != want {
			t.Errorf("tcp/%d is %q, want %q", port, got, want)
		}
	}
	if PortName(event.UDP, 7547) != "" {
		t.Error("TR-069 is TCP only")
	}
}
