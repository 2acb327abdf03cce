package flowgen

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"time"

	"varde/event"
)

// What a Mix is made of.
const (
	mixPackets     = 2048
	mixPayload     = 1420
	mixV4Percent   = 70   // of the datagrams; the rest is IPv6
	mixTemplates   = 1000 // templates come again after so many datagrams
	mixDomain      = 1
	mixUptime      = 240 * time.Hour
	mixInterfaces  = 8
	mixInsideHosts = 1 << 12
)

// Mix is a fixed set of data datagrams for measurements. At sending only their sequence numbers change.
type Mix struct {
	Protocol  Protocol
	Templates []byte   // templates and sampling rate; nil for protocols without
	Packets   [][]byte // data datagrams
	Records   []int    // flow records of each
}

// BenchPackets makes a Mix of 2,048 datagrams as of the time now: 30 records each for NetFlow v5, else at most 1,420
// bytes; seven in ten hold IPv4 records of twenty fields, the others IPv6. The same seed gives the same datagrams.
func BenchPackets(p Protocol, seed uint64, now int64) *Mix {
	x := New(Config{
		Protocol: p, Domain: mixDomain, Boot: now - int64(mixUptime), Sampling: 1, TemplateEvery: 1 << 30, Payload: mixPayload,
	})
	m := &Mix{Protocol: p}
	most := [2]int{most5, most5}
	switch p {
	case NetFlow9, IPFIX:
		x.layouts = []layout{mixLayout(p == IPFIX, false), mixLayout(p == IPFIX, true)}
		for i := range most {
			most[i] = (mixPayload - header9 - headerSet) / x.layouts[i].size
		}
		x.algorithm = true
		x.sendTemplates(now, func(b []byte) { m.Templates = bytes.Clone(b) })
	case SFlow:
		most[0] = (mixPayload - sflowHeader) / sampleSize
		most[1] = most[0]
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	x.sent = 1 // the templates are kept apart
	for range mixPackets {
		v6 := p != NetFlow5 && rng.IntN(100) >= mixV4Percent
		n := most[0]
		if v6 {
			n = most[1]
		}
		for range n {
			e := mixEvent(rng, v6, now)
			x.Add(&e)
		}
		x.Flush(now, func(b []byte) { m.Packets = append(m.Packets, bytes.Clone(b)) })
		m.Records = append(m.Records, n)
	}
	return m
}

// mixLayout has the twenty fields of a usual router's template.
func mixLayout(ipfix, v6 bool) layout {
	prefix := func(a netip.Addr) uint32 { s := a.AsSlice(); return uint32(s[0])<<8 | uint32(s[1]) }
	first, last := times(ipfix)
	end, hop, srcMask, dstMask, id := ends(ipfix, v6), spec{15, 4, 0, none(4)}, uint16(9), uint16(13), uint16(firstTemplate)
	if v6 {
		hop, srcMask, dstMask, id = spec{62, 16, 0, none(16)}, 29, 30, firstTemplate+1
	}
	fields := []spec{
		end[0], end[1], hop,
		{10, 4, 0, u32(func(e *event.Event) uint32 { return e.InIndex })},
		{14, 4, 0, u32(func(e *event.Event) uint32 { return e.OutIndex })},
		{2, 8, 0, u64(func(e *event.Event) uint64 { return e.Packets })},
		{1, 8, 0, u64(func(e *event.Event) uint64 { return e.Bytes })},
		first, last, end[3], end[4],
		{6, 1, 0, u8(func(e *event.Event) uint8 { return e.TCPFlags })},
		{4, 1, 0, u8(func(e *event.Event) uint8 { return e.Proto })},
		{5, 1, 0, none(1)},
		{61, 1, 0, u8(func(e *event.Event) uint8 { return uint8(e.InIndex & 1) })},
		end[2],
		{16, 4, 0, u32(func(e *event.Event) uint32 { return prefix(e.Src) })},
		{17, 4, 0, u32(func(e *event.Event) uint32 { return prefix(e.Dst) })},
		{srcMask, 1, 0, u8(func(e *event.Event) uint8 { return uint8(e.Src.BitLen()) })},
		{dstMask, 1, 0, u8(func(e *event.Event) uint8 { return uint8(e.Dst.BitLen()) })},
	}
	return newLayout(id, fields, func(e *event.Event) bool { return e.Src.Is6() == v6 })
}

func none(n int) func(*Exporter, []byte, *event.Event) []byte {
	zeros := make([]byte, n)
	return func(_ *Exporter, b []byte, _ *event.Event) []byte { return append(b, zeros...) }
}

// mixEvent is a flow of the last minute between a host of 10.0.0.0/20 or 2001:db8:1::/116 and one far away. Protocols
// are TCP, UDP and ICMP as 4 : 2 : 1.
func mixEvent(rng *rand.Rand, v6 bool, now int64) event.Event {
	inside := netip.AddrFrom4([4]byte{10, 0, 0, 0}).As16()
	if v6 {
		inside = netip.MustParseAddr("2001:db8:1::").As16()
	}
	binary.BigEndian.PutUint16(inside[14:], uint16(rng.IntN(mixInsideHosts)))
	e := event.Event{
		Kind: event.Flow, Proto: event.TCP, Src: netip.AddrFrom16(inside).Unmap(), Dst: Outside(rng, v6),
		SrcPort: uint16(32768 + rng.IntN(28000)), DstPort: [...]uint16{443, 443, 443, 80, 53, 22, 25, 8080}[rng.IntN(8)],
		Packets: uint64(1 + rng.IntN(200)), TCPFlags: event.SYN | event.ACK | event.PSH | event.FIN,
		InIndex: uint32(1 + rng.IntN(mixInterfaces)), OutIndex: uint32(1 + rng.IntN(mixInterfaces)),
	}
	e.Bytes = e.Packets * uint64(64+rng.IntN(1400))
	e.End = now - rng.Int64N(int64(15*time.Second))
	e.Time = e.End - rng.Int64N(int64(45*time.Second))
	switch rng.IntN(7) {
	case 0, 1:
		e.Proto, e.TCPFlags = event.UDP, 0
	case 2:
		e.Proto, e.TCPFlags, e.SrcPort, e.DstPort = event.ICMP, 0, 0, 0
		e.HasICMP, e.ICMPType = true, 8
		if v6 {
			e.Proto, e.ICMPType = event.ICMPv6, 128
		}
	}
	if rng.IntN(2) == 0 {
		e.Src, e.Dst, e.SrcPort, e.DstPort = e.Dst, e.Src, e.DstPort, e.SrcPort
	}
	return e
}

// Outside is a random far address. A documentation prefix is too narrow for measurements: tables of a few hundred
// addresses stay in the processor's cache. IPv4 is from 11.0.0.0 to 99.255.255.255, where no block is special
// (RFC 6890); the addresses are only ever written into datagrams.
func Outside(rng *rand.Rand, v6 bool) netip.Addr {
	if !v6 {
		v := rng.Uint32()
		return netip.AddrFrom4([4]byte{byte(11 + rng.IntN(89)), byte(v >> 16), byte(v >> 8), byte(v)})
	}
	a := netip.MustParseAddr("2001:db8:8000::").As16()
	binary.BigEndian.PutUint64(a[8:], rng.Uint64())
	binary.BigEndian.PutUint16(a[6:], uint16(rng.Uint32()))
	return netip.AddrFrom16(a)
}

// Stream gives the datagrams of a Mix over and over, with the sequence numbers of an exporter that loses none.
type Stream struct {
	m        *Mix
	sequence uint32
	sent     int // data datagrams
	told     int // data datagrams sent when the templates last came
}

// Stream begins with sequence number 0. Two streams of one Mix write to the same datagrams.
func (m *Mix) Stream() *Stream { return &Stream{m: m, told: -mixTemplates} }

// Next gives the next datagram and how many flow records it holds: none where it brings the templates, which come
// first and after every 1,000 datagrams. It is valid until the stream has come round, after 2,048 more.
func (s *Stream) Next() (b []byte, records int) {
	if s.m.Templates != nil && s.sent-s.told >= mixTemplates {
		s.told = s.sent
		s.number(s.m.Templates, 1) // IPFIX counts the options record
		return s.m.Templates, 0
	}
	i := s.sent % len(s.m.Packets)
	s.sent++
	s.number(s.m.Packets[i], s.m.Records[i])
	return s.m.Packets[i], s.m.Records[i]
}

// number writes the sequence number of a datagram with n records.
func (s *Stream) number(b []byte, n int) {
	at := [...]int{NetFlow5: 16, NetFlow9: 12, IPFIX: 8, SFlow: 16}[s.m.Protocol]
	binary.BigEndian.PutUint32(b[at:], s.sequence)
	if s.m.Protocol == NetFlow9 || s.m.Protocol == SFlow {
		n = 1
	}
	s.sequence += uint32(n)
}
