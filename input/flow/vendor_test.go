package flow_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"varde/event"
	"varde/input/flow"
)

// spec is a field of a template under test.
type spec struct {
	id, len uint16
	pen     uint32
}

const (
	variable  = 65535
	second    = int64(time.Second)
	milli     = int64(time.Millisecond)
	uptimeNow = 100_000 // milliseconds, of the NetFlow v9 headers made here
)

// set is a set of a message with its header.
func set(id uint16, body []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, id)
	return append(binary.BigEndian.AppendUint16(b, uint16(4+len(body))), body...)
}

func specs(fields []spec) (b []byte) {
	for _, f := range fields {
		id := f.id
		if f.pen != 0 {
			id |= 0x8000
		}
		b = binary.BigEndian.AppendUint16(b, id)
		if b = binary.BigEndian.AppendUint16(b, f.len); f.pen != 0 {
			b = binary.BigEndian.AppendUint32(b, f.pen)
		}
	}
	return b
}

// templates is a template set with the one template 300.
func templates(v flow.Version, fields []spec) []byte {
	id := uint16(0)
	if v == flow.IPFIX {
		id = 2
	}
	b := binary.BigEndian.AppendUint16([]byte{1, 44}, uint16(len(fields)))
	return set(id, append(b, specs(fields)...))
}

// optionsTemplate is a set with the one options template 301, whose first fields are the scope.
func optionsTemplate(v flow.Version, scope int, fields []spec) []byte {
	be := binary.BigEndian
	if v == flow.IPFIX {
		b := be.AppendUint16(be.AppendUint16([]byte{1, 45}, uint16(len(fields))), uint16(scope))
		return set(3, append(b, specs(fields)...))
	}
	b := be.AppendUint16(be.AppendUint16([]byte{1, 45}, uint16(4*scope)), uint16(4*(len(fields)-scope)))
	return set(1, append(b, specs(fields)...))
}

// export is a datagram of NetFlow v9 or IPFIX, sent at now.
func export(v flow.Version, seq uint32, sets ...[]byte) []byte {
	be := binary.BigEndian
	body := bytes.Join(sets, nil)
	b := be.AppendUint16(nil, uint16(v))
	if v == flow.IPFIX {
		b = be.AppendUint16(b, uint16(16+len(body)))
	} else {
		b = be.AppendUint16(b, uint16(len(sets)))
		b = be.AppendUint32(b, uptimeNow)
	}
	b = be.AppendUint32(b, uint32(now/second))
	b = be.AppendUint32(b, seq)
	return append(be.AppendUint32(b, 7), body...)
}

// num is an unsigned integer of n bytes.
func num(n int, v uint64) []byte {
	b := binary.BigEndian.AppendUint64(nil, v)
	return b[8-n:]
}

func ip(s string) []byte { return netip.MustParseAddr(s).AsSlice() }

func row(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// text is a field that states its own length.
func text(s string) []byte { return append([]byte{byte(len(s))}, s...) }

// TestVendors decodes what routers and probes of several makers are known to send.
func TestVendors(t *testing.T) {
	v4 := []spec{{8, 4, 0}, {12, 4, 0}}
	ends := row(ip("198.51.100.1"), ip("203.0.113.9"))
	src, dst := netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("203.0.113.9")
	src6, dst6 := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::9")
	ntp := func(ns int64) []byte {
		return num(8, uint64(ns/second+2208988800)<<32|uint64(ns%second)<<32/uint64(second)+1)
	}
	for name, tc := range map[string]struct {
		version flow.Version
		fields  []spec
		rows    [][]byte
		want    []event.Event
	}{
		"ports of one protocol beside those of the flow": {
			flow.NetFlow9, append(v4, spec{4, 1, 0}, spec{7, 2, 0}, spec{11, 2, 0}, spec{182, 2, 0}, spec{181, 2, 0}),
			[][]byte{row(ends, num(1, 17), num(2, 40000), num(2, 161), num(2, 0), num(2, 161))},
			[]event.Event{{Src: src, Dst: dst, Proto: 17, SrcPort: 40000, DstPort: 161}},
		},
		"only ports of one protocol each": {
			flow.IPFIX, append(v4, spec{4, 1, 0}, spec{180, 2, 0}, spec{181, 2, 0}, spec{182, 2, 0}, spec{183, 2, 0}),
			[][]byte{
				row(ends, num(1, 17), num(2, 5353), num(2, 53), num(2, 0), num(2, 0)),
				row(ends, num(1, 6), num(2, 0), num(2, 0), num(2, 50000), num(2, 443)),
			},
			[]event.Event{{Src: src, Dst: dst, Proto: 17, SrcPort: 5353, DstPort: 53}, {Src: src, Dst: dst, Proto: 6, SrcPort: 50000, DstPort: 443}},
		},
		"both families in one template": {
			flow.IPFIX, append(v4, spec{27, 16, 0}, spec{28, 16, 0}, spec{281, 16, 0}, spec{225, 4, 0}),
			[][]byte{
				row(ends, ip("::"), ip("::"), ip("::"), ip("192.0.2.9")),
				row(ip("0.0.0.0"), ip("0.0.0.0"), ip("2001:db8::1"), ip("2001:db8::9"), ip("2001:db8::5"), ip("0.0.0.0")),
				row(ends, ip("::"), ip("::"), ip("::"), ip("0.0.0.0")),
			},
			[]event.Event{
				{Src: src, Dst: dst, NATSrc: netip.MustParseAddr("192.0.2.9")},
				{Src: src6, Dst: dst6, NATSrc: netip.MustParseAddr("2001:db8::5")},
				{Src: src, Dst: dst, NATSrc: netip.IPv6Unspecified()},
			},
		},
		"ICMP of both families in one template": {
			flow.IPFIX, append(v4, spec{4, 1, 0}, spec{32, 2, 0}, spec{139, 2, 0}),
			[][]byte{row(ends, num(1, 1), num(2, 0x0303), num(2, 0)), row(ends, num(1, 58), num(2, 0), num(2, 0x8600))},
			[]event.Event{
				{Src: src, Dst: dst, Proto: 1, HasICMP: true, ICMPType: 3, ICMPCode: 3},
				{Src: src, Dst: dst, Proto: 58, HasICMP: true, ICMPType: 134},
			},
		},
		"a firewall's own numbers for translations, and the end of a connection": {
			flow.NetFlow9, append(v4, spec{40001, 4, 0}, spec{40002, 4, 0}, spec{40003, 2, 0}, spec{40004, 2, 0}, spec{40005, 1, 0},
				spec{323, 8, 0}, spec{85, 4, 0}, spec{152, 8, 0}),
			[][]byte{row(ends, ip("192.0.2.1"), ip("192.0.2.2"), num(2, 1024), num(2, 25), num(1, 2),
				num(8, uint64(now/milli)), num(4, 56), num(8, uint64(now/milli)-2500))},
			[]event.Event{{
				Src: src, Dst: dst, NATSrc: netip.MustParseAddr("192.0.2.1"), NATDst: netip.MustParseAddr("192.0.2.2"),
				NATSrcPort: 1024, NATDstPort: 25, Action: event.Accept, RawBytes: 56, Time: now - 2500*milli, End: now,
			}},
		},
		"a connection refused, with the time of the event alone": {
			flow.NetFlow9, append(v4, spec{233, 1, 0}, spec{323, 8, 0}),
			[][]byte{row(ends, num(1, 3), num(8, uint64(now/milli)-7))},
			[]event.Event{{Src: src, Dst: dst, Action: event.Deny, Time: now - 7*milli, End: now - 7*milli}},
		},
		"NetFlow v9 with a name of variable length": {
			flow.NetFlow9, append(v4, spec{236, variable, 0}, spec{1, 4, 0}),
			[][]byte{row(ends, text(""), num(4, 702)), row(ends, text("blue"), num(4, 9))},
			[]event.Event{{Src: src, Dst: dst, RawBytes: 702}, {Src: src, Dst: dst, RawBytes: 9}},
		},
		"counts since the last report beside totals": {
			flow.IPFIX, append(v4, spec{1, 8, 0}, spec{2, 8, 0}, spec{85, 8, 0}, spec{86, 8, 0}),
			[][]byte{row(ends, num(8, 0), num(8, 0), num(8, 65), num(8, 1))},
			[]event.Event{{Src: src, Dst: dst}},
		},
		"counts of sizes 3, 5, 6 and 7": {
			flow.NetFlow9, append(v4, spec{1, 3, 0}, spec{2, 5, 0}, spec{10, 6, 0}, spec{14, 7, 0}),
			[][]byte{row(ends, num(3, 1<<23), num(5, 1<<36), num(6, 5), num(7, 1<<40))},
			[]event.Event{{Src: src, Dst: dst, RawBytes: 1 << 23, RawPackets: 1 << 36, InIndex: 5, OutIndex: 1<<32 - 1}},
		},
		"flags of the first packet and of the others": {
			flow.IPFIX, append(v4, spec{14, 1, 6871}, spec{15, 1, 6871}, spec{14 | 0x4000, 1, 6871}, spec{15 | 0x4000, 1, 6871}, spec{2, 4, 29305}),
			[][]byte{row(ends, num(1, 0x02), num(1, 0x19), num(1, 0x12), num(1, 0x11), num(4, 3)), row(ends, num(1, 0x04), num(1, 0), num(1, 0), num(1, 0), num(4, 0))},
			[]event.Event{
				{Src: src, Dst: dst, TCPFlags: 0x1b, HasReverse: true, RevTCPFlags: 0x13, RevPackets: 3},
				{Src: src, Dst: dst, TCPFlags: 0x04},
			},
		},
		"logical and physical interface": {
			flow.IPFIX, append(v4, spec{10, 4, 0}, spec{252, 4, 0}, spec{253, 4, 0}),
			[][]byte{row(ends, num(4, 3), num(4, 33), num(4, 44))},
			[]event.Event{{Src: src, Dst: dst, InIndex: 3, OutIndex: 44}},
		},
		"the station of a wireless controller": {
			flow.NetFlow9,
			[]spec{{365, 6, 0}, {366, 4, 0}, {61, 1, 0}, {1, 8, 0}},
			[][]byte{row(num(6, 1), ip("198.51.100.1"), num(1, 0), num(8, 3320))},
			[]event.Event{{Src: src, RawBytes: 3320}},
		},
		"both directions of a connection": {
			flow.NetFlow9, append(v4, spec{231, 4, 0}, spec{232, 4, 0}, spec{298, 4, 0}, spec{299, 4, 0}, spec{233, 1, 0}),
			[][]byte{row(ends, num(4, 81), num(4, 6207), num(4, 3), num(4, 5), num(1, 5))},
			[]event.Event{{Src: src, Dst: dst, RawBytes: 81, RawPackets: 3, HasReverse: true, RevBytes: 6207, RevPackets: 5, Action: event.Accept}},
		},
		"an event that the RFCs do not name": {
			flow.IPFIX, append(v4, spec{233, 1, 0}),
			[][]byte{row(ends, num(1, 99)), row(ends, num(1, 0))},
			[]event.Event{{Src: src, Dst: dst, Action: event.UnknownAction}, {Src: src, Dst: dst}},
		},
		"counts behind a service": {
			flow.IPFIX, append(v4, spec{23, 8, 0}, spec{24, 8, 0}),
			[][]byte{row(ends, num(8, 1<<40), num(8, 1<<33))},
			[]event.Event{{Src: src, Dst: dst, RawBytes: 1 << 40, RawPackets: 1 << 33}},
		},
		"microseconds before the export": {
			flow.IPFIX, append(v4, spec{158, 4, 0}, spec{159, 4, 0}),
			[][]byte{row(ends, num(4, 3_000_000), num(4, 1000))},
			[]event.Event{{Src: src, Dst: dst, Time: now - 3*second, End: now - milli}},
		},
		"type and code of ICMP apart": {
			flow.NetFlow9, append(v4, spec{4, 1, 0}, spec{176, 1, 0}, spec{177, 1, 0}, spec{11, 2, 0}),
			[][]byte{row(ends, num(1, 1), num(1, 3), num(1, 13), num(2, 17549))},
			[]event.Event{{Src: src, Dst: dst, Proto: 1, HasICMP: true, ICMPType: 3, ICMPCode: 13}},
		},
		"a translation made": {
			flow.IPFIX, append(v4, spec{230, 1, 0}, spec{225, 4, 0}, spec{227, 2, 0}, spec{323, 8, 0}),
			[][]byte{row(ends, num(1, 4), ip("192.0.2.1"), num(2, 1024), num(8, uint64(now/milli)))},
			[]event.Event{{Src: src, Dst: dst, NATEvent: 4, NATSrc: netip.MustParseAddr("192.0.2.1"), NATSrcPort: 1024, Time: now, End: now}},
		},
		"nanoseconds and seconds": {
			flow.IPFIX, append(v4, spec{156, 8, 0}, spec{151, 4, 0}),
			[][]byte{row(ends, ntp(now-5*second), num(4, uint64(now/second)))},
			[]event.Event{{Src: src, Dst: dst, Time: now - 5*second, End: now}},
		},
		"times in fewer bytes than usual": {
			flow.IPFIX, append(v4, spec{152, 6, 0}, spec{153, 7, 0}, spec{7, 1, 0}, spec{6, 2, 0}),
			[][]byte{row(ends, num(6, uint64(now/milli)-9), num(7, uint64(now/milli)), num(1, 53), num(2, 0x0112))},
			[]event.Event{{Src: src, Dst: dst, Time: now - 9*milli, End: now, SrcPort: 53, TCPFlags: 0x12}},
		},
		"IPv4 mapped into IPv6": {
			flow.IPFIX,
			[]spec{{27, 16, 0}, {28, 16, 0}},
			[][]byte{row(ip("::ffff:198.51.100.1"), ip("2001:db8::9"))},
			[]event.Event{{Src: src, Dst: dst6}},
		},
		"fields without length": {
			flow.NetFlow9, append(v4, spec{7, 0, 0}, spec{11, 2, 0}),
			[][]byte{row(ends, num(2, 80))},
			[]event.Event{{Src: src, Dst: dst, DstPort: 80}},
		},
		"times as NTP stamps": {
			flow.IPFIX, append(v4, spec{154, 8, 0}, spec{157, 8, 0}),
			[][]byte{row(ends, ntp(now-3*second), ntp(now-127_768))},
			[]event.Event{{Src: src, Dst: dst, Time: now - 3*second, End: now - 127_768}},
		},
		"a beginning and a duration": {
			flow.IPFIX, append(v4, spec{152, 8, 0}, spec{161, 4, 0}),
			[][]byte{row(ends, num(8, uint64(now/milli)-900), num(4, 300))},
			[]event.Event{{Src: src, Dst: dst, Time: now - 900*milli, End: now - 600*milli}},
		},
		"an end and a duration in microseconds": {
			flow.IPFIX, append(v4, spec{153, 8, 0}, spec{162, 4, 0}),
			[][]byte{row(ends, num(8, uint64(now/milli)), num(4, 2000))},
			[]event.Event{{Src: src, Dst: dst, Time: now - 2*milli, End: now}},
		},
		"uptimes of which nobody says when they began": {
			flow.IPFIX, append(v4, spec{22, 4, 0}, spec{21, 4, 0}),
			[][]byte{row(ends, num(4, 1<<32-1000), num(4, 1000))}, // they have wrapped
			[]event.Event{{Src: src, Dst: dst, Time: now - 2000*milli, End: now}},
		},
		"uptimes with their beginning": {
			flow.IPFIX, append(v4, spec{22, 4, 0}, spec{21, 4, 0}, spec{160, 8, 0}),
			[][]byte{row(ends, num(4, 5000), num(4, 6000), num(8, uint64(now/milli)-10_000))},
			[]event.Event{{Src: src, Dst: dst, Time: now - 5000*milli, End: now - 4000*milli}},
		},
		"uptimes that have wrapped twice since their beginning": {
			flow.IPFIX, append(v4, spec{22, 4, 0}, spec{21, 4, 0}, spec{160, 8, 0}),
			[][]byte{row(ends, num(4, 1<<32-1000), num(4, 2000), num(8, uint64(now/milli)-2<<32-5000))},
			[]event.Event{{Src: src, Dst: dst, Time: now - 6000*milli, End: now - 3000*milli}},
		},
		"an absolute beginning and the uptime of the end": {
			flow.NetFlow9, append(v4, spec{152, 8, 0}, spec{21, 4, 0}),
			[][]byte{row(ends, num(8, uint64(now/milli)-7000), num(4, uptimeNow-1000))},
			[]event.Event{{Src: src, Dst: dst, Time: now - 7000*milli, End: now - 1000*milli}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := decode(t, export(tc.version, 1, templates(tc.version, tc.fields), set(300, row(tc.rows...))))
			for i := range tc.want {
				w := &tc.want[i]
				w.Kind, w.Source, w.Exporter, w.Domain = event.Flow, tc.version.String(), router.Addr().String(), 7
				w.Exported, w.Received = now, now
				w.Packets, w.Bytes = w.RawPackets, w.RawBytes
				if w.Time == 0 {
					w.Time, w.End = now, now
				}
			}
			if d := cmp.Diff(tc.want, got, cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()); d != "" {
				t.Error(d)
			}
		})
	}
}

// decode gives the events of datagrams of one router.
func decode(t *testing.T, datagrams ...[]byte) (got []event.Event) {
	t.Helper()
	var log bytes.Buffer
	c, err := flow.New(flow.DefaultConfig(), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	r := c.Reader(func(e *event.Event) { got = append(got, e.Clone()) })
	for _, b := range datagrams {
		r.Packet(router, b, now)
	}
	if log.Len() > 0 {
		t.Errorf("complaints:\n%s", &log)
	}
	return got
}

// TestUptimeBeganByOptions has the exporter tell in its options when its uptime began, as softflowd does. Another
// exporter's answer to that must not be taken for its own.
func TestUptimeBeganByOptions(t *testing.T) {
	fields := []spec{{8, 4, 0}, {12, 4, 0}, {22, 4, 0}, {21, 4, 0}}
	flows := set(300, row(ip("198.51.100.1"), ip("203.0.113.9"), num(4, 5000), num(4, 6000)))
	options := optionsTemplate(flow.IPFIX, 1, []spec{{143, 4, 0}, {160, 8, 0}})
	began := set(301, row(num(4, 1), num(8, uint64(now/milli)-10_000)))
	var got []string
	r := collector(t).Reader(func(e *event.Event) {
		got = append(got, fmt.Sprint(e.Exporter, " ", (e.Time-now)/milli, " ", (e.End-now)/milli))
	})
	other := netip.MustParseAddrPort("192.0.2.2:40000")
	withBegin := append(fields[:4:4], spec{160, 8, 0})
	r.Packet(other, export(flow.IPFIX, 0, templates(flow.IPFIX, withBegin), set(300, row(flows[4:], num(8, uint64(now/milli)-7000)))), now)
	r.Packet(router, export(flow.IPFIX, 0, templates(flow.IPFIX, fields), flows), now)
	r.Packet(router, export(flow.IPFIX, 1, options, began), now)
	r.Packet(router, export(flow.IPFIX, 2, flows), now)
	want := []string{
		"192.0.2.2 -2000 -1000",
		"192.0.2.1 -1000 0",
		"192.0.2.1 -5000 -4000",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestNothingIsKeptOfTheRecordBefore has fields of variable length come empty, or longer than what they can be.
func TestNothingIsKeptOfTheRecordBefore(t *testing.T) {
	fields := []spec{{8, 4, 0}, {4, variable, 0}, {1, variable, 0}, {7, variable, 0}, {6, variable, 0}}
	full := row(ip("198.51.100.1"), text("\x06"), text("\x01\x00"), text("\x00\x50"), text("\x02"))
	none := row(ip("198.51.100.1"), text(""), text("123456789"), text(""), text(""))
	got := decode(t, export(flow.IPFIX, 0, templates(flow.IPFIX, fields), set(300, row(full, none))))
	if len(got) != 2 || got[0].Proto != 6 || got[0].RawBytes != 256 || got[0].SrcPort != 80 || got[0].TCPFlags != 2 {
		t.Fatalf("%+v", got)
	}
	if e := got[1]; e.Proto != 0 || e.RawBytes != 0 || e.SrcPort != 0 || e.TCPFlags != 0 {
		t.Errorf("%+v", e)
	}
}

// TestZerosAfterTheLastSet pads a datagram as some firewalls do.
func TestZerosAfterTheLastSet(t *testing.T) {
	flows := set(300, row(ip("198.51.100.1"), ip("203.0.113.9")))
	b := export(flow.NetFlow9, 0, templates(flow.NetFlow9, []spec{{8, 4, 0}, {12, 4, 0}}), flows, make([]byte, 900))
	if got := decode(t, b); len(got) != 1 {
		t.Errorf("%d records, want 1", len(got))
	}
}

// TestRecognise tells exports from anything else that a capture may hold.
func TestRecognise(t *testing.T) {
	v5 := make([]byte, 24+48)
	copy(v5, []byte{0, 5, 0, 1})
	flows := set(300, row(ip("198.51.100.1"), ip("203.0.113.9")))
	v9 := export(flow.NetFlow9, 0, templates(flow.NetFlow9, []spec{{8, 4, 0}}), flows)
	ipfix := export(flow.IPFIX, 0, templates(flow.IPFIX, []spec{{8, 4, 0}}), flows)
	samples := sflow(flowSample(1, 2, 3, rawRecord(11, 20, make([]byte, 20))))
	for name, tc := range map[string]struct {
		b    []byte
		want flow.Version
	}{
		"NetFlow v5": {v5, flow.NetFlow5}, "NetFlow v9": {v9, flow.NetFlow9}, "IPFIX": {ipfix, flow.IPFIX}, "sFlow": {samples, flow.SFlow},
		"v9 with zeros behind it":         {append(bytes.Clone(v9), make([]byte, 40)...), flow.NetFlow9},
		"v5 with more than it counts":     {append(bytes.Clone(v5), 0), 0},
		"v5 without records":              {append([]byte{0, 5, 0, 0}, make([]byte, 20)...), 0},
		"v9 without sets":                 {v9[:20], 0},
		"v9 with a set beyond its end":    {v9[:len(v9)-1], 0},
		"v9 with a set that is reserved":  {export(flow.NetFlow9, 0, set(7, make([]byte, 4))), 0},
		"v9 of zeros":                     {append(bytes.Clone(v9[:20]), make([]byte, 20)...), 0},
		"IPFIX longer than it says":       {append(bytes.Clone(ipfix), 0), 0},
		"IPFIX with a template set of v9": {export(flow.IPFIX, 0, set(0, make([]byte, 4))), 0},
		"sFlow cut in its header":         {samples[:27], 0},
		"sFlow of a strange agent":        {append([]byte{0, 0, 0, 5, 0, 0, 0, 3}, make([]byte, 40)...), 0},
		"a DNS query":                     {[]byte("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x00\x00\x01\x00\x01"), 0},
		"text":                            {[]byte("GET / HTTP/1.1\r\nHost: example\r\n"), 0},
		"nothing":                         {nil, 0},
	} {
		if got, ok := flow.Recognise(tc.b); ok != (tc.want != 0) || ok && got != tc.want {
			t.Errorf("%s: %v, %v", name, got, ok)
		}
	}
}
