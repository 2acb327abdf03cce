package flow_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"varde/event"
	"varde/input/flow"
	"varde/input/flow/flowgen"
)

const (
	now  = int64(1_700_000_000_000_000_000)
	boot = now - int64(240*time.Hour)
)

var router = netip.MustParseAddrPort("192.0.2.1:40000")

func collector(t testing.TB) *flow.Collector {
	t.Helper()
	c, err := flow.New(flow.DefaultConfig(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// sample makes an event that every protocol can carry: times in whole milliseconds, no more than 32-bit counters.
func sample(rng *rand.Rand, v6, reverse, nat bool) event.Event {
	a4 := func() netip.Addr { return netip.AddrFrom4([4]byte{198, 51, 100, byte(rng.IntN(256))}) }
	e := event.Event{
		Kind: event.Flow, Time: now - int64(time.Minute) + rng.Int64N(50000)*1e6, Src: a4(), Dst: a4(),
		SrcPort: uint16(rng.Uint32()), DstPort: uint16(rng.Uint32()), Proto: event.TCP, TCPFlags: uint8(rng.Uint32()),
		RawPackets: uint64(rng.Uint32N(1000) + 1), RawBytes: uint64(rng.Uint32N(65000) + 64), InIndex: 3, OutIndex: 9,
	}
	e.End = e.Time + rng.Int64N(9000)*1e6
	if v6 {
		e.Src, e.Dst = netip.MustParseAddr("2001:db8::7"), netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", rng.IntN(65536)))
	}
	if rng.IntN(5) == 0 {
		e.Proto, e.HasICMP, e.ICMPType, e.ICMPCode = event.ICMP, true, 3, uint8(rng.IntN(16))
		e.SrcPort, e.DstPort, e.TCPFlags = 0, 0, 0
		if v6 {
			e.Proto = event.ICMPv6
		}
	}
	if reverse {
		e.HasReverse, e.RevPackets, e.RevBytes, e.RevTCPFlags = true, 4, uint64(rng.Uint32()), 0x1b
	}
	if nat && !v6 && !reverse {
		e.NATSrc, e.NATDst, e.NATSrcPort, e.NATDstPort = a4(), a4(), 1024, 53
	}
	e.Packets, e.Bytes = e.RawPackets, e.RawBytes
	return e
}

func TestRoundTrip(t *testing.T) {
	for _, tc := range []struct {
		name             string
		protocol         flowgen.Protocol
		sampling         uint32
		v6, reverse, nat bool
	}{
		{"netflow5", flowgen.NetFlow5, 0, false, false, false},
		{"netflow5", flowgen.NetFlow5, 100, false, false, false},
		{"netflow9", flowgen.NetFlow9, 0, true, false, false},
		{"netflow9", flowgen.NetFlow9, 512, false, false, true},
		{"ipfix", flowgen.IPFIX, 0, true, true, false},
		{"ipfix", flowgen.IPFIX, 64, false, true, true},
	} {
		t.Run(fmt.Sprintf("%s-%d", tc.name, tc.sampling), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			x := flowgen.New(flowgen.Config{Protocol: tc.protocol, Domain: 7, Boot: boot, Sampling: tc.sampling})
			var want, got []event.Event
			for i := range 200 {
				e := sample(rng, tc.v6 && i%2 == 0, tc.reverse && i%3 == 0, tc.nat && i%5 == 0)
				x.Add(&e)
				want = append(want, e)
			}
			c := collector(t)
			r := c.Reader(func(e *event.Event) { got = append(got, e.Clone()) })
			x.Flush(now, func(b []byte) {
				if v, ok := flow.Recognise(b); !ok || v.String() != tc.name {
					t.Errorf("recognised as %v, %v", v, ok)
				}
				r.Packet(router, b, now+5)
			})
			if len(got) != len(want) {
				t.Fatalf("%d records, want %d", len(got), len(want))
			}
			compare(t, want, got, tc.name, tc.sampling)
			if s := c.Exporters()[0]; s.LostBefore+s.LostHere+s.Undecoded != 0 || s.Records != 200 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// compare looks for each wanted event among those that came: templates group them, so their order differs.
func compare(t *testing.T, want, got []event.Event, source string, sampling uint32) {
	t.Helper()
	key := func(e *event.Event) string {
		return fmt.Sprint(e.Src, e.Dst, e.SrcPort, e.DstPort, e.RawBytes, e.Time, e.ICMPCode)
	}
	byKey := map[string]event.Event{}
	for _, e := range got {
		byKey[key(&e)] = e
	}
	for _, w := range want {
		w.Source, w.Exporter, w.Domain, w.Received = source, "192.0.2.1", 7, now+5
		w.Sampling = sampling
		if rate := uint64(max(sampling, 1)); rate > 0 {
			w.Packets, w.Bytes, w.RevPackets, w.RevBytes = w.RawPackets*rate, w.RawBytes*rate, w.RevPackets*rate, w.RevBytes*rate
		}
		if source == "netflow5" && sampling == 0 {
			w.Sampling = 1 // its header says so
		}
		g, ok := byKey[key(&w)]
		if !ok {
			t.Fatalf("no record for\n%s among e.g.\n%s", key(&w), key(&got[0]))
		}
		w.Exported = g.Exported
		if d := cmp.Diff(w, g, cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
	}
}

// datagrams are n datagrams of one record each, with templates before the first.
func datagrams(p flowgen.Protocol, n int) [][]byte {
	rng := rand.New(rand.NewPCG(3, 4))
	x := flowgen.New(flowgen.Config{Protocol: p, Domain: 1, Boot: boot, TemplateEvery: 1 << 30})
	var out [][]byte
	for range n {
		e := sample(rng, false, false, false)
		x.Add(&e)
		x.Flush(now, func(b []byte) { out = append(out, bytes.Clone(b)) })
	}
	return out
}

func TestLossIsExact(t *testing.T) {
	for name, p := range map[string]flowgen.Protocol{"netflow5": flowgen.NetFlow5, "netflow9": flowgen.NetFlow9, "ipfix": flowgen.IPFIX} {
		t.Run(name, func(t *testing.T) {
			all := datagrams(p, 500)
			c := collector(t)
			records := 0
			r := c.Reader(func(*event.Event) { records++ })
			for i := 0; i < len(all); i++ {
				switch {
				case i == 100 || i == 101 || i == 300: // lost before us
					continue
				case i >= 200 && i < 207: // lost in our socket
					continue
				case i == 207:
					r.Dropped(7)
				case i == 400: // two datagrams change places
					all[400], all[401] = all[401], all[400]
				}
				r.Packet(router, all[i], now)
			}
			r.Packet(router, all[450], now) // a duplicate
			s := c.Exporters()[0]
			if s.LostBefore != 3 || s.LostHere != 7 || s.Duplicates != 1 || s.Restarts != 0 {
				t.Errorf("before us %d, here %d, duplicates %d, restarts %d; want 3, 7, 1, 0", s.LostBefore, s.LostHere, s.Duplicates, s.Restarts)
			}
			// The exporter begins again: its numbers and its uptime fall back.
			for _, b := range datagrams(p, 5) {
				if p != flowgen.IPFIX {
					binary.BigEndian.PutUint32(b[4:], 1000)
				}
				r.Packet(router, b, now)
			}
			if s := c.Exporters()[0]; s.LostBefore != 3 || s.LostHere != 7 {
				t.Errorf("after a restart: before us %d, here %d; want 3, 7", s.LostBefore, s.LostHere)
			}
		})
	}
}

func TestDataBeforeTemplateIsHeld(t *testing.T) {
	for name, p := range map[string]flowgen.Protocol{"netflow9": flowgen.NetFlow9, "ipfix": flowgen.IPFIX} {
		t.Run(name, func(t *testing.T) {
			all := datagrams(p, 50)
			c := collector(t)
			records := 0
			r := c.Reader(func(*event.Event) { records++ })
			for _, b := range all[1:] {
				r.Packet(router, b, now)
			}
			if s := c.Exporters()[0]; records != 0 || s.Held != 50 || s.HeldBytes == 0 {
				t.Fatalf("%d records, %+v", records, s)
			}
			late := bytes.Clone(all[0])
			at := 12
			if p == flowgen.IPFIX {
				at = 8
			}
			binary.BigEndian.PutUint32(late[at:], binary.BigEndian.Uint32(all[50][at:])+1)
			r.Packet(router, late, now+int64(time.Second))
			if s := c.Exporters()[0]; records != 50 || s.Held != 0 || s.HeldBytes != 0 || s.LostBefore != 0 || s.Undecoded != 0 {
				t.Fatalf("%d records, %+v", records, s)
			}
		})
	}
}

func TestStateSurvivesRestart(t *testing.T) {
	for name, p := range map[string]flowgen.Protocol{"netflow9": flowgen.NetFlow9, "ipfix": flowgen.IPFIX} {
		t.Run(name, func(t *testing.T) {
			x := flowgen.New(flowgen.Config{Protocol: p, Domain: 1, Boot: boot, Sampling: 128, TemplateEvery: 1 << 30})
			rng := rand.New(rand.NewPCG(5, 6))
			first, second := collector(t), collector(t)
			add := func() {
				for range 100 {
					e := sample(rng, false, false, false)
					x.Add(&e)
				}
			}
			add()
			r := first.Reader(func(*event.Event) {})
			x.Flush(now, func(b []byte) { r.Packet(router, b, now) })
			var state bytes.Buffer
			if err := first.SaveState(&state); err != nil {
				t.Fatal(err)
			}
			if err := second.LoadState(&state); err != nil {
				t.Fatal(err)
			}
			add()
			records := 0
			r = second.Reader(func(e *event.Event) {
				if records++; e.Sampling != 128 {
					t.Fatalf("sampling %d", e.Sampling)
				}
			})
			x.Flush(now, func(b []byte) { r.Packet(netip.MustParseAddrPort("192.0.2.1:50000"), b, now) })
			if records != 100 {
				t.Fatalf("%d of 100 records after the restart", records)
			}
		})
	}
}

func TestLyingPackets(t *testing.T) {
	c := collector(t)
	r := c.Reader(func(e *event.Event) { t.Errorf("invented %+v", e) })
	v5 := make([]byte, 24)
	binary.BigEndian.PutUint16(v5, 5)
	binary.BigEndian.PutUint16(v5[2:], 65535)
	for _, b := range [][]byte{
		nil,
		{0},
		v5, v5[:23],
		{0, 9, 0, 1},
		{0, 10, 0, 200, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		append([]byte{0, 10, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0, 2, 0, 3, 0, 0, 0, 0),
		append([]byte{0, 10, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0, 2, 0, 8, 1, 0, 255, 255),
	} {
		r.Packet(router, b, now)
	}
	figures, err := c.Figures(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	bad := uint64(0)
	for _, f := range figures {
		if f.Name == "varde_flow_bad_total" {
			bad += f.Count
		}
	}
	if bad != 8 {
		t.Errorf("%d counted as bad, want 8", bad)
	}
}

func TestFloodsAreBounded(t *testing.T) {
	cfg := flow.DefaultConfig()
	cfg.Max = 100
	c, err := flow.New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	r := c.Reader(func(*event.Event) {})
	good := datagrams(flowgen.NetFlow9, 3)
	for _, b := range good {
		r.Packet(router, b, now)
	}
	b := make([]byte, 28)
	binary.BigEndian.PutUint16(b, 9)
	for i := range uint32(200_000) {
		binary.BigEndian.PutUint32(b[16:], i) // domain
		copy(b[20:], []byte{1, 0, 0, 8, 1, 2, 3, 4})
		addr := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		r.Packet(netip.AddrPortFrom(addr, 9), b, now)
	}
	all := c.Exporters()
	if len(all) > 100 {
		t.Errorf("%d exporters remembered, at most 100", len(all))
	}
	found := false
	for _, x := range all {
		found = found || x.Addr == router.Addr()
	}
	if !found {
		t.Error("the real exporter was pushed out by spoofed ones")
	}
}

func TestDecodeAllocatesNothing(t *testing.T) {
	for name, p := range map[string]flowgen.Protocol{"netflow5": flowgen.NetFlow5, "netflow9": flowgen.NetFlow9, "ipfix": flowgen.IPFIX, "sflow": flowgen.SFlow} {
		all := datagrams(p, 20)
		r := collector(t).Reader(func(*event.Event) {})
		i := 0
		if n := testing.AllocsPerRun(200, func() { r.Packet(router, all[i%len(all)], now); i++ }); n != 0 {
			t.Errorf("%s: %v allocations a datagram, want 0", name, n)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, p := range []struct {
		name     string
		protocol flowgen.Protocol
	}{{"netflow5", flowgen.NetFlow5}, {"netflow9", flowgen.NetFlow9}, {"ipfix", flowgen.IPFIX}, {"sflow", flowgen.SFlow}} {
		b.Run(p.name, func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			x := flowgen.New(flowgen.Config{Protocol: p.protocol, Domain: 7, Boot: boot, TemplateEvery: 1000})
			for i := range 20_000 {
				e := sample(rng, i%10 < 3 && p.protocol != flowgen.NetFlow5, false, false)
				x.Add(&e)
			}
			var all [][]byte
			x.Flush(now, func(d []byte) { all = append(all, bytes.Clone(d)) })
			records := 0
			r := collector(b).Reader(func(*event.Event) { records++ })
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; b.Loop(); i++ {
				r.Packet(router, all[i%len(all)], now)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(records), "ns/record")
		})
	}
}
