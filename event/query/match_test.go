package query

import (
	"math"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"varde/event"
)

// drawEvent draws an event of values that the conditions of drawCondition are about.
func drawEvent(t *rapid.T) event.Event {
	addr := rapid.Custom(func(t *rapid.T) netip.Addr {
		a, _ := netip.ParseAddr(rapid.SampledFrom([]string{"", "10.1.2.3", "10.1.2.4", "192.0.2.1", "2001:db8::1", "2001:db8::2", "::1"}).Draw(t, "addr"))
		return a
	})
	port := rapid.SampledFrom([]uint16{0, 1, 22, 443, 65535})
	text := rapid.SampledFrom([]string{"", "a", "a B", "AND", "Æ", "no"})
	number := rapid.SampledFrom([]uint64{0, 1, 1000, math.MaxUint64})
	e := event.Event{
		Kind: event.Kind(rapid.IntRange(0, int(event.TTY)).Draw(t, "kind")), Action: event.Action(rapid.IntRange(0, 4).Draw(t, "action")),
		Source: text.Draw(t, "source"), Exporter: text.Draw(t, "exporter"), Session: text.Draw(t, "session"), Rule: text.Draw(t, "rule"),
		InIf: text.Draw(t, "in"), InIndex: rapid.Uint32Range(0, 2).Draw(t, "index"), OutIf: text.Draw(t, "out"), Country: text.Draw(t, "country"),
		Time: 1e18, End: 1e18 + rapid.SampledFrom([]int64{-1, 0, 999, 1000, 1e9}).Draw(t, "lasted"),
		Proto: rapid.SampledFrom([]uint8{0, 1, 6, 17, 47, 58}).Draw(t, "proto"), TCPFlags: rapid.Byte().Draw(t, "flags"),
		HasICMP: rapid.Bool().Draw(t, "icmp"), ICMPType: 3, Src: addr.Draw(t, "src"), Dst: addr.Draw(t, "dst"), NATSrc: addr.Draw(t, "nat"),
		SrcPort: port.Draw(t, "sport"), DstPort: port.Draw(t, "dport"), Packets: number.Draw(t, "packets"), Bytes: number.Draw(t, "bytes"),
		HasReverse: rapid.Bool().Draw(t, "reverse"), RevPackets: 1, RevBytes: 1000, Sampling: rapid.Uint32Range(0, 2).Draw(t, "sampling"),
		Own: event.Side(rapid.IntRange(0, 3).Draw(t, "own")), ASN: rapid.Uint32Range(0, 2).Draw(t, "asn"),
	}
	for range rapid.IntRange(0, 2).Draw(t, "lists") {
		e.Evidence = append(e.Evidence, event.Evidence{List: text.Draw(t, "list")})
	}
	return e
}

// TestMatch tells the corners of the language: which filters hold for which events.
func TestMatch(t *testing.T) {
	a := netip.MustParseAddr
	flow := event.Event{
		Kind: event.Flow, Time: 1e18, End: 1e18 + 2e9, Proto: event.TCP, TCPFlags: event.SYN | event.PSH, Src: a("10.0.0.5"), Dst: a("198.51.100.7"), SrcPort: 40000, DstPort: 443,
		NATSrc: a("203.0.113.1"), Own: event.SideSrc, Packets: 1000, Bytes: 1_000_000, Exporter: "Core-Ålesund", InIf: "eth0", InIndex: 3, OutIndex: 17,
		Country: "SE", ASN: 64500, Evidence: []event.Evidence{{List: "Feodo Tracker"}, {List: "drop"}},
	}
	both := flow
	both.HasReverse, both.RevPackets, both.RevBytes, both.RevTCPFlags = true, 500, 500_000, event.ACK
	icmp := event.Event{Kind: event.Probe, Action: event.Deny, Time: 1e18, Proto: event.ICMP, HasICMP: true, ICMPType: 3, ICMPCode: 1, DstPort: 769, Src: a("192.0.2.1"), Dst: a("10.0.0.5"), Own: event.SideDst}
	gre := event.Event{Kind: event.Flow, Time: 1e18, End: 1e18 + 999, Proto: 47, Src: a("2001:db8::1"), Dst: a("2001:db8::2"), Packets: 3, Bytes: math.MaxUint64, HasReverse: true, RevBytes: 5}
	bare := event.Event{Kind: event.Mail, Time: 1e18, SrcPort: 25}
	tunnel := event.Event{Kind: event.Tunnel, Time: 1e18, Proto: event.TCP, Dst: a("2001:db8::9"), Own: event.SideSrc | event.SideDst}
	events := []struct {
		name string
		e    event.Event
	}{{"flow", flow}, {"both", both}, {"icmp", icmp}, {"gre", gre}, {"bare", bare}, {"tunnel", tunnel}}
	for _, c := range []struct{ filter, holds string }{
		{"", "flow both icmp gre bare tunnel"},
		{"none", ""},
		{"host 10.0.0.5", "flow both icmp"},
		{"not host 10.0.0.5", "gre bare tunnel"},
		{"not src host 10.0.0.5", "icmp gre bare tunnel"},
		{"net 0.0.0.0/0", "flow both icmp"},
		{"net ::/0", "gre tunnel"},
		{"ipv4", "flow both icmp"},
		{"ipv6", "gre tunnel"},
		{"not ipv4", "gre bare tunnel"},
		{"own net 10/8", "flow both icmp"},
		{"foreign net 10/8", ""},
		{"foreign net ::/0", "gre"},
		{"own net ::/0", "tunnel"},
		{"nat net 203.0.113.0/24", "flow both"},
		{"net 203.0.113.0/24", ""},
		{"port 443", "flow both"},
		{"not port 443", "icmp gre bare tunnel"},
		{"port != 443", "icmp gre bare tunnel"},
		{"dst port 769", ""},
		{"port 0", "tunnel"},
		{"port < 1024", "flow both bare tunnel"},
		{"port 500-1000", ""}, // no end of 40000 -> 443 is in it
		{"src port 25", "bare"},
		{"service gre or service 443/tcp", "flow both gre"},
		{"flags S and not flags A", "flow both"},
		{"not flags S", "icmp gre bare tunnel"},
		{"proto 0", "bare"},
		{"icmp-type 3 icmp-code < 2", "icmp"},
		{"icmp-type != 4", "flow both icmp gre bare tunnel"},
		{"icmp-type < 255", "icmp"},
		{"bytes > 1M", "both gre"},
		{"bytes 18446744073709551615", "gre"},
		{"packets 0", "icmp bare tunnel"},
		{"count 1", "flow both icmp gre bare tunnel"},
		{"sampling 1", "flow both icmp gre bare tunnel"},
		{"duration 0", "icmp gre bare tunnel"}, // gre took less than a microsecond
		{"duration 2s", "flow both"},
		{"pps 500", "flow"},
		{"pps 750", "both"},
		{"pps < 1T", "flow both"},
		{"bps 4M", "flow"},
		{"bpp 1000", "flow both"},
		{"bpp 6148914691236517205", "gre"},
		{"bpp >= 0", "flow both gre"},
		{"country SE", "flow both"},
		{"-country:SE", "icmp gre bare tunnel"},
		{`country ""`, "icmp gre bare tunnel"},
		{"as < 100000", "flow both"},
		{"not as 1", "flow both icmp gre bare tunnel"},
		{"exporter core-ålesund", "flow both"},
		{"exporter ~ ÅLE", "flow both"},
		{"exporter core", ""},
		{"exporter ~ ''", "flow both icmp gre bare tunnel"},
		{"in if eth0", "flow both"},
		{"in if 3", ""},
		{"out if 17", "flow both"},
		{"out if ~ 7", "flow both"},
		{`list "feodo tracker"`, "flow both"},
		{"list drop", "flow both"},
		{"not list drop", "icmp gre bare tunnel"},
		{`list ""`, "icmp gre bare tunnel"},
		{"list ~ ''", "flow both"},
		{"kind probe action deny", "icmp"},
		{"in list x", ""},
		{"-in list x", "flow both icmp gre bare tunnel"},
	} {
		x, err := Parse(c.filter)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		var holds string
		for _, ev := range events {
			if Match(x, &ev.e) {
				if holds != "" {
					holds += " "
				}
				holds += ev.name
			}
		}
		if holds != c.holds {
			t.Errorf("%s holds for %s, want %s", c.filter, holds, c.holds)
		}
	}
}

func TestResolve(t *testing.T) {
	x, err := Parse("tcp and not (in list drop or src in list empty)")
	if err != nil {
		t.Fatal(err)
	}
	lists := map[string][]netip.Prefix{"drop": {
		netip.MustParsePrefix("198.51.100.77/24"), netip.MustParsePrefix("198.51.100.0/25"), netip.MustParsePrefix("::ffff:192.0.2.1/128"),
		netip.MustParsePrefix("2001:db8::/32"),
		{},
		netip.MustParsePrefix("10.0.0.0/8"),
	}, "empty": nil}
	lookup := func(name string) ([]netip.Prefix, bool) { p, ok := lists[name]; return p, ok }
	y, err := Resolve(x, lookup)
	if err != nil {
		t.Fatal(err)
	}
	if Format(y) != Format(x) {
		t.Errorf("%s became %s", Format(x), Format(y))
	}
	for addr, want := range map[string]bool{
		"9.255.255.255": true, "10.0.0.0": false, "10.255.255.255": false, "11.0.0.0": true, "192.0.2.0": true, "192.0.2.1": false,
		"192.0.2.2": true, "198.51.99.255": true, "198.51.100.0": false, "198.51.100.255": false, "2001:db8::": false, "2001:db9::": true, "::1": true,
	} {
		e := event.Event{Proto: event.TCP, Dst: netip.MustParseAddr(addr)}
		if Match(y, &e) != want {
			t.Errorf("%s of a flow to %s is %v", Format(y), addr, !want)
		}
		if !Match(x, &e) {
			t.Errorf("Resolve changed the filter it was given")
		}
	}
	delete(lists, "drop")
	if _, err := Resolve(x, lookup); err == nil || err.Error() != `filter: there is no list "drop"` {
		t.Errorf("a list that is not there: %v", err)
	}
}

const busyFilter = `(src net 10.0.0.0/8 or dst net 2001:db8::/32) and port in [22 23 443] and bytes > 1k and not country NO and
	exporter ~ ÅLE and list drop and in if 3 and pps > 1 and flags S and own in list x`

func busy(t testing.TB) (Expr, *event.Event) {
	t.Helper()
	x, err := Parse(busyFilter)
	if err != nil {
		t.Fatal(err)
	}
	x, err = Resolve(x, func(string) ([]netip.Prefix, bool) { return []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}, true })
	if err != nil {
		t.Fatal(err)
	}
	return x, &event.Event{
		Proto: event.TCP, TCPFlags: event.SYN, Src: netip.MustParseAddr("10.0.0.5"), Dst: netip.MustParseAddr("198.51.100.7"), DstPort: 443,
		Time: 1e18, End: 1e18 + 1e9, Packets: 10, Bytes: 5000, Exporter: "core-ålesund", InIndex: 3, Own: event.SideSrc, Evidence: []event.Evidence{{List: "Drop"}},
	}
}

func TestMatchAllocatesNothing(t *testing.T) {
	x, e := busy(t)
	if !Match(x, e) {
		t.Fatal("the filter does not hold")
	}
	box := Box{From: 1, Kinds: []event.Kind{event.Flow, event.Unknown}, Filter: x}
	if n := testing.AllocsPerRun(100, func() { box.Has(e) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkMatch(b *testing.B) {
	x, e := busy(b)
	b.ReportAllocs()
	for b.Loop() {
		if !Match(x, e) {
			b.Fatal("the filter does not hold")
		}
	}
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(busyFilter); err != nil {
			b.Fatal(err)
		}
	}
}

func TestBox(t *testing.T) {
	e := event.Event{Kind: event.Flow, Time: 1000}
	for _, c := range []struct {
		box  Box
		want bool
	}{
		{Box{}, true},
		{Box{From: 1000, To: 1001}, true},
		{Box{From: 1001}, false},
		{Box{To: 1000}, false},
		{Box{Kinds: []event.Kind{event.Probe, event.Flow}}, true},
		{Box{Kinds: []event.Kind{event.Probe}}, false},
		{Box{Filter: IsKind{event.Flow}}, true},
		{Box{Filter: Or{}}, false},
	} {
		if got := c.box.Has(&e); got != c.want {
			t.Errorf("%+v has it: %v", c.box, got)
		}
	}
}
