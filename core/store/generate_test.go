package store

import (
	"fmt"
	"math"
	"net/netip"
	"time"

	"pgregory.net/rapid"

	"varde/event"
	"varde/event/query"
)

// Generated data is of few values, so that events share groups, hours, addresses and moments, and of the values at
// which things break: first and last ports, borders of hours and days, addresses that look like the other family's,
// counters that do not add up, and text of strangers.

var (
	someAddrs = addrs("10.0.0.1", "10.0.0.2", "10.0.1.1", "192.0.2.1", "192.0.2.254", "198.51.100.7", "203.0.113.9", "0.0.0.0", "255.255.255.255",
		"2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "2001:db8:1::1", "::1", "::", "::fffe:a00:1", "::1:ffff:a00:1", "fe80::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
	someNets = nets("0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/24", "10.0.0.1/32", "10.0.0.0/31", "192.0.2.0/25", "192.0.0.0/7", "203.0.113.9/32", "128.0.0.0/1", "255.255.255.255/32",
		"::/0", "::/8", "::/64", "::/80", "::/96", "::1/128", "2001:db8::/32", "2001:db8::/47", "2001:db8::/64", "2001:db8::/126", "2001:db8::1/128", "fe80::/10", "8000::/1")
	somePorts   = []uint16{0, 1, 2, 22, 53, 255, 256, 443, 40000, 65535}
	someProtos  = []uint8{event.TCP, event.TCP, event.TCP, event.UDP, event.UDP, event.ICMP, event.ICMPv6, 47, 132, 0}
	someCounts  = []uint64{0, 1, 1, 2, 3, 40, 1000, 1500, 1 << 33}
	someTexts   = []string{"", "", "a", "A", "b c", "core-router", "Ålesund", "ålesund"}
	someLists   = []string{"drop", "Feodo Tracker", "DROP", "æøå, x"}
	hostileText = []string{
		"root", "' OR 1=1 --", `"result":"accepted"`, "\x00", "a\nb\r\n", "\x1b[31mred", "<script>", "\u202egnp.exe", "=cmd()", "日本語", "{}", `\`, "%_", "🦀", "\ufffd",
	}
	someLasts = []int64{0, 1, 999_999, 1_000_000, 1_000_001, 90_000_000, 7200_000_000} // microseconds
)

func addrs(texts ...string) (out []netip.Addr) {
	for _, s := range texts {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func nets(texts ...string) (out []netip.Prefix) {
	for _, s := range texts {
		out = append(out, netip.MustParsePrefix(s).Masked())
	}
	return out
}

func oneOf[T any](t *rapid.T, name string, values []T) T {
	return rapid.SampledFrom(values).Draw(t, name)
}

// seldom is true once in n times.
func seldom(t *rapid.T, name string, n int) bool { return rapid.IntRange(1, n).Draw(t, name) == n }

// drawTime draws a time in microseconds around a midnight and an hour before noon, often one that others have too.
func drawTime(t *rapid.T) int64 {
	base := oneOf(t, "base", []time.Time{noon.Add(-12 * time.Hour), noon.Add(-3 * time.Hour), noon.Add(-36 * time.Hour)})
	off := rapid.OneOf(rapid.SampledFrom([]int64{0, 0, -1, 1, 1_000_000, 60_000_000, -3600_000_000}), rapid.Int64Range(-3600_000_000, 3599_999_999)).Draw(t, "off")
	return base.UnixMicro() + off
}

func drawAddr(t *rapid.T, name string) netip.Addr {
	if seldom(t, name+" none", 20) {
		return netip.Addr{}
	}
	return oneOf(t, name, someAddrs)
}

// drawEvent draws an event of any kind; what a kind does not have is mostly left out.
func drawEvent(t *rapid.T) event.Event {
	kinds := []event.Kind{event.Flow, event.Flow, event.Flow, event.Probe, event.Probe, event.Mail, event.Payload, event.Unknown}
	e := event.Event{
		Kind: oneOf(t, "kind", kinds), Time: drawTime(t) * 1000, Source: oneOf(t, "source", []string{"netflow9", "ipfix", "netfilter", "cowrie"}),
		Exporter: oneOf(t, "exporter", someTexts), Proto: oneOf(t, "proto", someProtos), Src: drawAddr(t, "src"), Dst: drawAddr(t, "dst"),
		SrcPort: oneOf(t, "sport", somePorts), DstPort: oneOf(t, "dport", somePorts), Own: event.Side(rapid.IntRange(0, 3).Draw(t, "own")),
		Country: oneOf(t, "country", []string{"", "NO", "SE", "no"}), ASN: oneOf(t, "asn", []uint32{0, 64500, math.MaxUint32}),
		Count: oneOf(t, "count", []uint32{0, 1, 2, 1000, math.MaxUint32}), Domain: oneOf(t, "domain", []uint32{0, math.MaxUint32}),
	}
	switch lasted := oneOf(t, "lasted", someLasts) * 1000; {
	case seldom(t, "clock wrong", 20):
		e.End = e.Time - 1_000_000
	case !seldom(t, "end not told", 4):
		e.End = e.Time + lasted
	}
	switch e.Proto {
	case event.TCP:
		e.TCPFlags = oneOf(t, "flags", []uint8{0, event.SYN, event.SYN | event.ACK, 0xff})
	case event.ICMP, event.ICMPv6:
		e.HasICMP, e.ICMPType, e.ICMPCode = !seldom(t, "no icmp", 4), oneOf(t, "type", []uint8{0, 3, 128, 255}), oneOf(t, "code", []uint8{0, 1, 255})
		if !e.HasICMP {
			e.ICMPType, e.ICMPCode = 0, 0
		}
	}
	if e.Kind == event.Flow || seldom(t, "counted", 3) {
		e.Packets, e.Bytes = oneOf(t, "packets", someCounts), oneOf(t, "bytes", someCounts)
		e.Sampling = oneOf(t, "sampling", []uint32{0, 1, 1, 1000, math.MaxUint32})
		drawRest(t, &e)
	}
	if e.Kind == event.Probe {
		e.Action, e.Rule = event.Action(rapid.IntRange(0, int(event.UnknownAction)).Draw(t, "action")), oneOf(t, "rule", append(hostileText, "", "INPUT"))
	}
	for range rapid.IntRange(0, 3).Draw(t, "lists") {
		e.Evidence = append(e.Evidence, event.Evidence{List: oneOf(t, "list", someLists)})
	}
	if e.Kind != event.Flow {
		drawDetail(t, &e)
	}
	return e
}

// drawRest draws what flows have: interfaces, the other direction, translated addresses; and counters that overflow.
func drawRest(t *rapid.T, e *event.Event) {
	e.InIndex, e.OutIndex = oneOf(t, "in index", []uint32{0, 1, math.MaxUint32}), oneOf(t, "out index", []uint32{0, 1})
	e.InIf, e.OutIf = oneOf(t, "in", []string{"", "eth0", "1"}), oneOf(t, "out", []string{"", "Eth0"})
	if seldom(t, "reverse", 3) {
		e.HasReverse, e.RevPackets, e.RevBytes = true, oneOf(t, "rev packets", someCounts), oneOf(t, "rev bytes", someCounts)
		e.RevTCPFlags = oneOf(t, "rev flags", []uint8{0, event.ACK})
	}
	if seldom(t, "nat", 4) {
		e.NATSrc, e.NATDst = drawAddr(t, "nat src"), drawAddr(t, "nat dst")
		e.NATSrcPort, e.NATDstPort, e.NATEvent = oneOf(t, "nat sport", somePorts), oneOf(t, "nat dport", somePorts), oneOf(t, "nat event", []uint8{0, 1})
	}
	if seldom(t, "huge", 40) {
		e.Bytes, e.Packets = maxMoved, maxMoved
	}
}

func drawDetail(t *rapid.T, e *event.Event) {
	for _, key := range []string{"data", "host", "a \"key\""} {
		if seldom(t, "detail "+key, 3) {
			e.Detail.Set(key, oneOf(t, "value", hostileText))
		}
	}
}

// drawSession draws one visit to a honeypot: a sensor, an intruder, and events one after the other.
func drawSession(t *rapid.T, id string) []event.Event {
	first := event.Event{
		Time: drawTime(t) * 1000, Source: "cowrie", Exporter: oneOf(t, "sensor", []string{"", "pot-1", "pot-2"}), Session: id,
		Proto: event.TCP, Src: drawAddr(t, "src"), Dst: drawAddr(t, "dst"), SrcPort: 40000, DstPort: oneOf(t, "dport", []uint16{22, 23}), Own: event.SideDst,
	}
	var out []event.Event
	at := first.Time
	for i := range rapid.IntRange(1, 6).Draw(t, "events") {
		e := first
		e.Kind = event.Connect
		if i > 0 || seldom(t, "begins in the middle", 4) {
			e.Kind = oneOf(t, "kind", []event.Kind{event.Login, event.Command, event.Tunnel, event.Payload, event.File, event.TTY, event.Close})
		}
		e.Time = at
		switch e.Kind {
		case event.Login:
			e.Detail.Set("username", oneOf(t, "username", hostileText))
			e.Detail.Set("result", oneOf(t, "result", []string{"accepted", "rejected", "rejected", ""}))
		case event.Tunnel:
			e.Dst, e.DstPort = drawAddr(t, "target"), oneOf(t, "target port", somePorts)
		default:
			drawDetail(t, &e)
		}
		if seldom(t, "lasts", 3) {
			e.End = at + oneOf(t, "lasted", someLasts)*1000
		}
		out = append(out, e)
		at += rapid.Int64Range(1, 90_000_000).Draw(t, "gap") * 1000
	}
	return out
}

// data is what a store is filled with.
type data struct {
	events   []event.Event // in the order in which they come
	warnings []event.Warning
	acked    []string // incidents
	mutes    []query.Mute
}

func drawData(t *rapid.T) data {
	var d data
	for range rapid.IntRange(200, 400).Draw(t, "events") {
		d.events = append(d.events, drawEvent(t))
	}
	for i := range rapid.IntRange(8, 25).Draw(t, "sessions") {
		d.events = append(d.events, drawSession(t, fmt.Sprintf("%012x", i))...)
	}
	d.events = rapid.Permutation(d.events).Draw(t, "order")
	at := noon.Add(-30 * time.Hour).UnixMicro()
	for range rapid.IntRange(20, 60).Draw(t, "warnings") {
		at += rapid.Int64Range(0, 3600_000_000).Draw(t, "gap")
		w := drawWarning(t, at)
		d.warnings = append(d.warnings, w)
		if seldom(t, "acked", 5) {
			d.acked = append(d.acked, w.ID)
		}
	}
	for range rapid.IntRange(0, 3).Draw(t, "mutes") {
		d.mutes = append(d.mutes, drawMute(t))
	}
	return d
}

// drawWarning draws a state of one of few incidents; its evidence is of few lists too.
func drawWarning(t *rapid.T, at int64) event.Warning {
	n := rapid.IntRange(0, 19).Draw(t, "id")
	w := event.Warning{
		ID: fmt.Sprint("incident-", n), Rule: []string{"list", "scan"}[n%2], // an incident is of one rule
		State: event.State(rapid.IntRange(0, int(event.Closed)).Draw(t, "state")), Severity: event.Severity(rapid.IntRange(0, int(event.Critical)).Draw(t, "severity")),
		Verdict: event.Verdict(rapid.IntRange(0, int(event.Passing)).Draw(t, "verdict")),
		Own:     event.Endpoint{Addr: drawAddr(t, "own"), Port: oneOf(t, "port", somePorts), Name: oneOf(t, "name", hostileText)},
		Foreign: event.Endpoint{Addr: drawAddr(t, "foreign")}, Proto: oneOf(t, "proto", someProtos),
		Time: at * 1000, First: (at - 1_000_000) * 1000, Last: (at - oneOf(t, "ago", []int64{0, 0, 1, 500_000})) * 1000, Count: oneOf(t, "count", someCounts),
		PacketsOut: oneOf(t, "packets", someCounts), BytesIn: math.MaxUint64, Why: oneOf(t, "why", hostileText), Event: drawEvent(t),
	}
	for range rapid.IntRange(0, 2).Draw(t, "evidence") {
		w.Evidence = append(w.Evidence, event.Evidence{List: oneOf(t, "list", someLists), Entry: oneOf(t, "entry", someNets), Info: seldom(t, "info", 3)})
	}
	return w
}

func drawMute(t *rapid.T) query.Mute {
	m := query.Mute{Why: oneOf(t, "why", hostileText[:2]), By: oneOf(t, "by", someTexts), Expires: oneOf(t, "expires", []int64{0, noon.Add(time.Hour).UnixNano()})}
	switch rapid.IntRange(0, 3).Draw(t, "of") {
	case 0:
		m.Rule = "scan"
	case 1:
		m.List = oneOf(t, "list", someLists)
	case 2:
		m.Prefix = oneOf(t, "net", someNets)
	default:
		m.Prefix, m.List = oneOf(t, "net", someNets), oneOf(t, "list", someLists)
	}
	return m
}
