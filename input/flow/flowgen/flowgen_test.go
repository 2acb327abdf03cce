package flowgen_test

import (
	"bytes"
	"cmp"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"varde/event"
	"varde/input/flow"
	"varde/input/flow/flowgen"
)

const (
	now  = int64(1_700_000_000_123_000_000)
	boot = now - int64(100*24*time.Hour) - 456_000_000 // the uptime has wrapped twice
)

var router = netip.MustParseAddrPort("192.0.2.1:40000")

// sample makes n events of every kind that the protocol carries; counts fit into 32 bits and times are whole
// milliseconds.
func sample(p flowgen.Protocol, n int, now int64) []event.Event {
	rng := rand.New(rand.NewPCG(1, uint64(p)))
	v4 := func() netip.Addr { return netip.AddrFrom4([4]byte{198, 51, 100, byte(rng.IntN(256))}) }
	v6 := func() netip.Addr { return netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", 1+rng.IntN(65535))) }
	out := make([]event.Event, n)
	for i := range out {
		e := &out[i]
		*e = event.Event{
			Kind: event.Flow, Src: v4(), Dst: v4(), SrcPort: uint16(1 + rng.IntN(65535)), DstPort: uint16(1 + rng.IntN(65535)),
			Proto: event.TCP, TCPFlags: uint8(rng.IntN(256)), InIndex: uint32(rng.IntN(65536)), OutIndex: uint32(rng.IntN(65536)),
			End: now - now%1e6 - rng.Int64N(20_000)*1e6, Packets: uint64(1 + rng.IntN(1000)), Bytes: uint64(1 + rng.IntN(math.MaxInt32)),
		}
		e.Time = e.End - rng.Int64N(50_000)*1e6
		if p != flowgen.NetFlow5 && i%3 == 0 {
			e.Src, e.Dst = v6(), v6()
		}
		switch i % 7 {
		case 0:
			e.Proto, e.TCPFlags = event.UDP, 0
		case 1:
			e.Proto, e.TCPFlags, e.SrcPort, e.DstPort = event.ICMP, 0, 0, 0
			e.HasICMP, e.ICMPType, e.ICMPCode = true, 3, uint8(1+rng.IntN(15))
			if e.Src.Is6() {
				e.Proto = event.ICMPv6
			}
		}
		if p == flowgen.SFlow {
			e.Time, e.End, e.Packets, e.Bytes = 0, 0, 1, uint64(64+rng.IntN(1400))
		}
		if p == flowgen.IPFIX && i%5 < 2 {
			e.HasReverse, e.RevPackets, e.RevBytes, e.RevTCPFlags = true, uint64(1+rng.IntN(1000)), uint64(rng.Uint32()), 0x1b
		}
		if (p == flowgen.IPFIX || p == flowgen.NetFlow9) && i%4 == 0 {
			e.NATSrc, e.NATDst, e.NATSrcPort, e.NATDstPort = v4(), v4(), uint16(1+rng.IntN(65535)), uint16(rng.IntN(65536))
			if e.Src.Is6() && i%8 == 0 { // NPTv6, the others are NAT64
				e.NATSrc, e.NATDst = v6(), v6()
			}
		}
	}
	return out
}

func collector(t testing.TB) *flow.Collector {
	t.Helper()
	c, err := flow.New(flow.DefaultConfig(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// byEnds sorts events, since templates group them.
func byEnds(a, b event.Event) int {
	return cmp.Or(a.Src.Compare(b.Src), a.Dst.Compare(b.Dst), cmp.Compare(a.SrcPort, b.SrcPort), cmp.Compare(a.RawBytes, b.RawBytes))
}

func TestDecodesToWhatWasAdded(t *testing.T) {
	for _, p := range []flowgen.Protocol{flowgen.NetFlow5, flowgen.NetFlow9, flowgen.IPFIX, flowgen.SFlow} {
		for _, sampling := range []uint32{0, 1, 100} {
			t.Run(fmt.Sprintf("%v-%d", p, sampling), func(t *testing.T) {
				x := flowgen.New(flowgen.Config{Protocol: p, Domain: 7, Agent: router.Addr(), Boot: boot, Sampling: sampling, TemplateEvery: 3})
				c := collector(t)
				var got []event.Event
				r := c.Reader(func(e *event.Event) { got = append(got, e.Clone()) })
				want := sample(p, 600, now)
				for part := range slices.Chunk(want, 200) { // the sequence goes on from flush to flush
					for i := range part {
						x.Add(&part[i])
					}
					left := x.Flush(now, func(b []byte) {
						if len(b) > 1464 || len(b)%4 != 0 {
							t.Errorf("a datagram of %d bytes", len(b))
						}
						r.Packet(router, b, now+5)
					})
					if left != 0 {
						t.Errorf("%d events left out", left)
					}
				}
				for i := range want {
					expect(&want[i], p, sampling)
				}
				slices.SortFunc(want, byEnds)
				slices.SortFunc(got, byEnds)
				ignore := cmpopts.IgnoreFields(event.Event{}, "Exported", "Detail")
				if p == flowgen.SFlow {
					ignore = cmpopts.IgnoreFields(event.Event{}, "Exported", "Detail", "Time", "End") // when it was received
				}
				if d := gocmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty(), ignore); d != "" {
					t.Fatalf("%.2000s", d)
				}
				if s := c.Exporters()[0]; s.LostBefore+s.LostHere+s.Undecoded+s.Restarts+s.Duplicates != 0 {
					t.Errorf("%+v", s)
				}
			})
		}
	}
}

// expect completes an event as the collector should give it.
func expect(e *event.Event, p flowgen.Protocol, sampling uint32) {
	e.Source, e.Exporter, e.Domain, e.Received, e.Sampling = p.String(), "192.0.2.1", 7, now+5, sampling
	e.RawPackets, e.RawBytes = e.Packets, e.Bytes
	switch p {
	case flowgen.NetFlow5:
		e.Sampling = max(sampling, 1) // its header always tells
	case flowgen.SFlow:
		e.Sampling = max(sampling, 1)
		e.RawBytes += 14 // sFlow counts the frame, here without its stripped checksum
	}
	rate := uint64(max(sampling, 1))
	e.Packets, e.Bytes = e.RawPackets*rate, e.RawBytes*rate
	e.RevPackets, e.RevBytes = e.RevPackets*rate, e.RevBytes*rate
}

func TestWhatDoesNotFit(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("2001:db8::9")
	for _, tc := range []struct {
		protocol flowgen.Protocol
		src, dst netip.Addr
		left     int
	}{
		{flowgen.NetFlow5, v6, v6, 1},
		{flowgen.NetFlow5, v4, v6, 1},
		{flowgen.NetFlow9, v4, v6, 1},
		{flowgen.IPFIX, v6, netip.Addr{}, 1},
		{flowgen.SFlow, v4, v6, 1},
		{flowgen.SFlow, v6, v6, 0},
	} {
		x := flowgen.New(flowgen.Config{Protocol: tc.protocol})
		x.Add(&event.Event{Src: tc.src, Dst: tc.dst})
		sent := 0
		if left := x.Flush(now, func([]byte) { sent++ }); left != tc.left || (sent == 0) != (left == 1) {
			t.Errorf("%v %v %v: %d left out, %d datagrams", tc.protocol, tc.src, tc.dst, left, sent)
		}
	}
	x := flowgen.New(flowgen.Config{Protocol: flowgen.NetFlow5, Sampling: 1 << 20, Boot: boot})
	x.Add(&event.Event{Src: v4, Dst: v4, Time: now, Packets: math.MaxUint64, Bytes: 1 << 40, InIndex: 1 << 20})
	var got event.Event
	r := collector(t).Reader(func(e *event.Event) { got = e.Clone() })
	x.Flush(now, func(b []byte) { r.Packet(router, b, now) })
	if got.RawPackets != math.MaxUint32 || got.RawBytes != math.MaxUint32 || got.InIndex != math.MaxUint16 || got.Sampling != 1<<14-1 {
		t.Errorf("what is too large for NetFlow v5 should be its largest number: %+v", got)
	}
}

func TestSmallDatagramsSplitTemplates(t *testing.T) {
	x := flowgen.New(flowgen.Config{Protocol: flowgen.IPFIX, Payload: 1, Sampling: 10, Boot: boot})
	want := sample(flowgen.IPFIX, 300, now)
	for i := range want {
		x.Add(&want[i])
	}
	c, records := collector(t), 0
	r := c.Reader(func(*event.Event) { records++ })
	x.Flush(now, func(b []byte) {
		if len(b) > 512 {
			t.Errorf("a datagram of %d bytes", len(b))
		}
		r.Packet(router, b, now)
	})
	if s := c.Exporters()[0]; records != len(want) || s.LostBefore+s.Undecoded != 0 || s.Templates != 13 {
		t.Errorf("%d of %d records, %+v", records, len(want), s)
	}
}

func TestMix(t *testing.T) {
	for _, p := range []flowgen.Protocol{flowgen.NetFlow5, flowgen.NetFlow9, flowgen.IPFIX, flowgen.SFlow} {
		t.Run(p.String(), func(t *testing.T) {
			m, again, other := flowgen.BenchPackets(p, 1, now), flowgen.BenchPackets(p, 1, now), flowgen.BenchPackets(p, 2, now)
			equal := func(o *flowgen.Mix) bool { return slices.EqualFunc(m.Packets, o.Packets, bytes.Equal) }
			if len(m.Packets) != 2048 || !equal(again) || equal(other) {
				t.Fatalf("%d datagrams; the seed should decide them", len(m.Packets))
			}
			c := collector(t)
			v6, records, want := 0, 0, 0
			r := c.Reader(func(e *event.Event) {
				records++
				if e.Src.Is6() {
					v6++
				}
			})
			s := m.Stream()
			for range 3 * len(m.Packets) { // three times round, with templates in between
				b, n := s.Next()
				if most := map[flowgen.Protocol]int{flowgen.NetFlow5: 1464}[p]; len(b) > max(most, 1420) {
					t.Fatalf("a datagram of %d bytes", len(b))
				}
				want += n
				r.Packet(router, b, now)
			}
			if st := c.Exporters()[0]; records != want || st.LostBefore+st.LostHere+st.Restarts+st.Duplicates+st.Undecoded != 0 {
				t.Errorf("%d of %d records, %+v", records, want, st)
			}
			if share := 100 * v6 / records; p == flowgen.NetFlow5 && v6 != 0 || p != flowgen.NetFlow5 && (share < 15 || share > 35) {
				t.Errorf("%d of %d records are IPv6", v6, records)
			}
			if n := testing.AllocsPerRun(100, func() { s.Next() }); n != 0 {
				t.Errorf("%v allocations a datagram", n)
			}
		})
	}
}
