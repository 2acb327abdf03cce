package event

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func addrs() *rapid.Generator[netip.Addr] {
	return rapid.Custom(func(t *rapid.T) netip.Addr {
		switch rapid.IntRange(0, 3).Draw(t, "family") {
		case 0:
			return netip.Addr{}
		case 1:
			return netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "v6"))).Unmap()
		}
		return netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "v4")))
	})
}

func stamps() *rapid.Generator[int64] { return rapid.Int64Range(0, 4_000_000_000_000_000_000) }

func events() *rapid.Generator[Event] {
	return rapid.Custom(func(t *rapid.T) Event {
		e := Event{
			Kind: Kind(rapid.IntRange(1, int(TTY)).Draw(t, "kind")), Action: Action(rapid.IntRange(0, 4).Draw(t, "action")),
			Source: rapid.String().Draw(t, "source"), Time: stamps().Draw(t, "time"), End: stamps().Draw(t, "end"),
			Exporter: rapid.String().Draw(t, "exporter"), Domain: rapid.Uint32().Draw(t, "domain"),
			Session: rapid.String().Draw(t, "session"), Proto: rapid.SampledFrom([]uint8{0, TCP, UDP, 47}).Draw(t, "proto"),
			TCPFlags: rapid.Uint8().Draw(t, "flags"), Src: addrs().Draw(t, "src"), Dst: addrs().Draw(t, "dst"),
			SrcPort: rapid.Uint16().Draw(t, "sport"), DstPort: rapid.Uint16().Draw(t, "dport"),
			NATSrc: addrs().Draw(t, "nsrc"), NATDst: addrs().Draw(t, "ndst"), NATDstPort: rapid.Uint16().Draw(t, "ndport"),
			NATEvent: rapid.Uint8().Draw(t, "natevent"), RawPackets: uint64(rapid.Uint32().Draw(t, "packets")),
			RawBytes: uint64(rapid.Uint32().Draw(t, "bytes")), Sampling: rapid.Uint32Range(0, 1<<20).Draw(t, "sampling"),
			InIndex: rapid.Uint32().Draw(t, "in"), OutIf: rapid.StringMatching(`[a-z]{0,8}`).Draw(t, "out"),
			Rule: rapid.String().Draw(t, "rule"), Count: rapid.Uint32().Draw(t, "count"), ASN: rapid.Uint32().Draw(t, "asn"),
		}
		e.Packets, e.Bytes = e.RawPackets*uint64(max(e.Sampling, 1)), e.RawBytes*uint64(max(e.Sampling, 1))
		if e.End == 0 {
			e.End = e.Time
		}
		if rapid.Bool().Draw(t, "reverse") {
			e.HasReverse, e.RevPackets, e.RevBytes, e.RevTCPFlags = true, rapid.Uint64().Draw(t, "rp"), 7, rapid.Uint8().Draw(t, "rf")
		}
		if rapid.Bool().Draw(t, "icmp") {
			e.HasICMP, e.ICMPType, e.ICMPCode = true, rapid.Uint8().Draw(t, "type"), rapid.Uint8().Draw(t, "code")
		}
		for _, k := range []string{"username", "data", "host"} {
			e.Detail.Set(k, rapid.String().Draw(t, k))
		}
		return e
	})
}

func TestEventJSONRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := events().Draw(t, "event")
		line := in.AppendJSON(nil)
		if !json.Valid(line) {
			t.Fatalf("not JSON: %s", line)
		}
		var out Event
		if err := out.ParseJSON(line); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if out.End == 0 {
			out.End = out.Time
		}
		if d := cmp.Diff(in, out, cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("%s\n%s", line, d)
		}
	})
}

func TestWarningJSONRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := Warning{
			ID: "a1", Rule: "list", State: Escalated, Severity: Critical, Verdict: AnsweredOut, Proto: TCP,
			Own:     Endpoint{Addr: addrs().Draw(t, "own"), Name: rapid.String().Draw(t, "name")},
			Foreign: Endpoint{Addr: addrs().Draw(t, "foreign"), Port: rapid.Uint16().Draw(t, "port")},
			Time:    stamps().Draw(t, "time"), First: stamps().Draw(t, "first"), Count: rapid.Uint64().Draw(t, "count"),
			BytesOut: rapid.Uint64().Draw(t, "out"), ExportLag: 27_000_000_000, MatchLag: 3_000_000, Why: rapid.String().Draw(t, "why"),
			Event: Event{Kind: Flow, Proto: TCP},
			Evidence: []Evidence{
				{List: "drop", Entry: netip.MustParsePrefix("198.51.100.0/24"), Confidence: 90, Seen: stamps().Draw(t, "seen")},
				{List: "fox", Entry: netip.MustParsePrefix("2001:db8::1/128"), Port: 4444, Tags: []string{"c2", "x"}, Side: SideDst},
				{List: "hash", Text: "d41d8cd98f00b204e9800998ecf8427f", PortMiss: true},
			},
		}
		if rapid.Bool().Draw(t, "scan") {
			w.Scan = &Scan{
				Pattern: "diagonal", Technique: []string{"syn"}, Order: "descending", Ports: 31, Low: rapid.Uint16().Draw(t, "low"), High: 65535,
				Tried: []uint16{65535, 60000}, Targets: 1, Sources: 1, From: []netip.Prefix{netip.MustParsePrefix("2001:db8::/64")}, Rate: 0.25, Reached: []uint16{443},
			}
		}
		if rapid.Bool().Draw(t, "surge") {
			w.Surge = &Surge{
				Meaning: rapid.String().Draw(t, "meaning"), Sources: 312, Window: time.Hour, Expected: 0.5, Networks: 41, FirstSeen: stamps().Draw(t, "first seen"),
				Curve: []uint32{0, 1, 400}, CurveFrom: stamps().Draw(t, "from"), CurveBin: 15 * time.Minute,
				Countries: []Share{{"BR", 552}, {"GB", 186}}, ASes: []Share{{"AS64500", 300}},
			}
		}
		line := w.AppendJSON(nil, w.Time)
		out, err := ParseWarning(line)
		if err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if d := cmp.Diff(w, out, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("%s\n%s", line, d)
		}
	})
}

func TestAppendJSONIsSafeToLookAt(t *testing.T) {
	e := Event{Kind: Command, Detail: Detail{{"command", "\x1b[31m\u202e\u009b<script>\x00\xff\n\U000e0001"}}}
	line := string(e.AppendJSON(nil))
	for _, r := range line {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\u202e' || r == '\U000e0001' {
			t.Fatalf("%q holds %U", line, r)
		}
	}
	if !strings.Contains(line, `\u001b[31m\u202e\u009b<script>\u0000\ufffd\n\udb40\udc01`) {
		t.Fatalf("%q", line)
	}
}

func TestAppendJSONAllocatesNothing(t *testing.T) {
	e := Event{
		Kind: Flow, Time: 1, End: 5, Proto: TCP, Src: netip.MustParseAddr("192.0.2.7"), Dst: netip.MustParseAddr("2001:db8::1"),
		Packets: 3, Bytes: 400, InIf: "ge-0/0/0", Detail: Detail{{"host", "a"}},
	}
	buf := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() { buf = e.AppendJSON(buf[:0]) }); n != 0 {
		t.Fatalf("%v allocations an event, want 0", n)
	}
}

func FuzzParseJSON(f *testing.F) {
	f.Add([]byte(`{"time":"2016-06-07T12:38:20Z","kind":"flow","src":"192.0.2.7","detail":{"a":"b"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var e, again Event
		if e.ParseJSON(b) != nil {
			return
		}
		line := e.AppendJSON(nil)
		if err := again.ParseJSON(line); err != nil {
			t.Fatalf("%v in own %s", err, line)
		}
	})
}
