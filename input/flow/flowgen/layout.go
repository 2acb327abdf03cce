package flowgen

import (
	"encoding/binary"
	"net/netip"

	"varde/event"
)

// spec is one field of a template: an IANA information element, or one of the enterprise pen.
type spec struct {
	id, len uint16
	pen     uint32
	put     func(x *Exporter, b []byte, e *event.Event) []byte
}

// layout is a template: which events it is for, and its fields.
type layout struct {
	id     uint16
	suits  func(e *event.Event) bool
	fields []spec
	size   int // of a record in bytes
}

const (
	reversePEN      = 29305 // RFC 5103
	firstTemplate   = 256
	optionsTemplate = 999
	namesTemplate   = 998
)

// Variants of translated addresses; NAT64 has them of another family than the flow.
const (
	noNAT = iota
	nat4
	nat6
	numNAT
)

// layouts are the templates of a protocol, one for each kind of event: IPv4 or IPv6, translated or not and, for
// IPFIX, with the counters of the other direction.
func layouts(ipfix bool) []layout {
	var out []layout
	for reverse := range 2 {
		if reverse == 1 && !ipfix {
			break
		}
		for nat := range numNAT {
			for v6 := range 2 {
				id := uint16(firstTemplate + v6 + 2*nat + 2*numNAT*reverse)
				fields := append(ends(ipfix, v6 == 1), translated(nat)...)
				fields = append(fields, counters(ipfix)...)
				if reverse == 1 {
					fields = append(fields, reversed()...)
				}
				out = append(out, newLayout(id, fields, func(e *event.Event) bool {
					return (v6 == 0 && is4(e) || v6 == 1 && is6(e)) && natOf(e) == nat && (!ipfix || e.HasReverse == (reverse == 1))
				}))
			}
		}
	}
	return out
}

func newLayout(id uint16, fields []spec, suits func(*event.Event) bool) layout {
	l := layout{id: id, fields: fields, suits: suits}
	for _, f := range fields {
		l.size += int(f.len)
	}
	return l
}

// natOf tells the variant of translation; an event with only one translated end has the other as it was.
func natOf(e *event.Event) int {
	switch {
	case e.NATSrc.Is4() || e.NATDst.Is4():
		return nat4
	case e.NATSrc.Is6() || e.NATDst.Is6():
		return nat6
	}
	return noNAT
}

// ends are addresses, ports and ICMP type and code, for which NetFlow v9 has one field and IPFIX one a family.
func ends(ipfix, v6 bool) []spec {
	src, dst, icmp, size := uint16(8), uint16(12), uint16(32), uint16(4)
	if v6 {
		src, dst, size = 27, 28, 16
	}
	if v6 && ipfix {
		icmp = 139
	}
	return []spec{
		{src, size, 0, address(func(e *event.Event) netip.Addr { return e.Src })},
		{dst, size, 0, address(func(e *event.Event) netip.Addr { return e.Dst })},
		{icmp, 2, 0, u16(typeCode)},
		{7, 2, 0, u16(func(e *event.Event) uint16 { p, _ := ports(e); return p })},
		{11, 2, 0, u16(func(e *event.Event) uint16 { _, p := ports(e); return p })},
	}
}

// translated are the fields of RFC 8158: addresses and ports after translation.
func translated(nat int) []spec {
	src, dst, size, none := uint16(225), uint16(226), uint16(4), netip.IPv4Unspecified()
	switch nat {
	case noNAT:
		return nil
	case nat6:
		src, dst, size, none = 281, 282, 16, netip.IPv6Unspecified()
	}
	pick := func(nat, plain netip.Addr) netip.Addr {
		for _, a := range []netip.Addr{nat, plain} {
			if a.BitLen() == none.BitLen() {
				return a
			}
		}
		return none
	}
	return []spec{
		{src, size, 0, address(func(e *event.Event) netip.Addr { return pick(e.NATSrc, e.Src) })},
		{dst, size, 0, address(func(e *event.Event) netip.Addr { return pick(e.NATDst, e.Dst) })},
		{227, 2, 0, u16(func(e *event.Event) uint16 { return e.NATSrcPort })},
		{228, 2, 0, u16(func(e *event.Event) uint16 { return e.NATDstPort })},
	}
}

// counters are the fields that every template has after those that tell the flow.
func counters(ipfix bool) []spec {
	fields := []spec{
		{4, 1, 0, u8(func(e *event.Event) uint8 { return e.Proto })},
		{6, 1, 0, u8(func(e *event.Event) uint8 { return e.TCPFlags })},
		{10, 4, 0, u32(func(e *event.Event) uint32 { return e.InIndex })},
		{14, 4, 0, u32(func(e *event.Event) uint32 { return e.OutIndex })},
		{2, 8, 0, u64(func(e *event.Event) uint64 { return e.Packets })},
		{1, 8, 0, u64(func(e *event.Event) uint64 { return e.Bytes })},
	}
	first, last := times(ipfix)
	return append(fields, first, last)
}

// times are the beginning and end of a flow: milliseconds since 1970 in IPFIX, of uptime in NetFlow v9.
func times(ipfix bool) (first, last spec) {
	if ipfix {
		return spec{152, 8, 0, u64(func(e *event.Event) uint64 { return uint64(e.Time / milli) })},
			spec{153, 8, 0, u64(func(e *event.Event) uint64 { return uint64(e.Last() / milli) })}
	}
	up := func(at func(*event.Event) int64) func(*Exporter, []byte, *event.Event) []byte {
		return func(x *Exporter, b []byte, e *event.Event) []byte {
			return binary.BigEndian.AppendUint32(b, x.uptime(at(e)))
		}
	}
	return spec{22, 4, 0, up(func(e *event.Event) int64 { return e.Time })}, spec{21, 4, 0, up((*event.Event).Last)}
}

// reversed are the counters of the other direction of a bidirectional flow.
func reversed() []spec {
	return []spec{
		{1, 8, reversePEN, u64(func(e *event.Event) uint64 { return e.RevBytes })},
		{2, 8, reversePEN, u64(func(e *event.Event) uint64 { return e.RevPackets })},
		{6, 1, reversePEN, u8(func(e *event.Event) uint8 { return e.RevTCPFlags })},
	}
}

func u8(f func(*event.Event) uint8) func(*Exporter, []byte, *event.Event) []byte {
	return func(_ *Exporter, b []byte, e *event.Event) []byte { return append(b, f(e)) }
}

func u16(f func(*event.Event) uint16) func(*Exporter, []byte, *event.Event) []byte {
	return func(_ *Exporter, b []byte, e *event.Event) []byte { return binary.BigEndian.AppendUint16(b, f(e)) }
}

func u32(f func(*event.Event) uint32) func(*Exporter, []byte, *event.Event) []byte {
	return func(_ *Exporter, b []byte, e *event.Event) []byte { return binary.BigEndian.AppendUint32(b, f(e)) }
}

func u64(f func(*event.Event) uint64) func(*Exporter, []byte, *event.Event) []byte {
	return func(_ *Exporter, b []byte, e *event.Event) []byte { return binary.BigEndian.AppendUint64(b, f(e)) }
}

func address(f func(*event.Event) netip.Addr) func(*Exporter, []byte, *event.Event) []byte {
	return func(_ *Exporter, b []byte, e *event.Event) []byte { return append(b, f(e).AsSlice()...) }
}
