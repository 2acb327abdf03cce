package flow

import (
	"encoding/binary"
	"math"
	"math/bits"
	"net/netip"
	"time"

	"varde/event"
	"varde/input/frame"
)

// record is the reader's scratch space: what the fields of one record say that is no field of an event.
type record struct {
	message
	fields []field
	at     []int // offsets of the fields of one record with variable lengths

	sampler         uint64
	rate            uint32
	interval, space uint64
	start, end      uint32       // uptime milliseconds or microseconds before export
	duration        int64        // nanoseconds
	init            uint64       // milliseconds since 1970 when the exporter started
	typeCode        uint16       // ICMP type and code
	packet          frame.Packet // of an sFlow sample
	firewall        uint8
}

// fixed decodes a set whose records all have the same size.
func (r *Reader) fixed(m *message, t *template, b []byte) {
	r.begin(m, t)
	n := uint32(0)
	for ; len(b) >= t.size; b = b[t.size:] {
		r.row(t.ops, b[:t.size:t.size])
		r.finish(m, t)
		n++
	}
	r.count(m, n)
}

// row takes the fields of one record. The usual ones stand here, so that they cost no call, and pairs of them are taken
// at once.
func (r *Reader) row(ops []op, row []byte) {
	e, be := &r.e, binary.BigEndian
	for i := range ops {
		o := ops[i]
		b := row[o.at:]
		switch o.do {
		case ends4:
			b = b[:8]
			e.Src, e.Dst = netip.AddrFrom4([4]byte(b)), netip.AddrFrom4([4]byte(b[4:]))
		case ends6:
			b = b[:32]
			e.Src, e.Dst = addr16(b[:16]), addr16(b[16:])
		case ports:
			v := be.Uint32(b)
			e.SrcPort, e.DstPort = uint16(v>>16), uint16(v)
		case interfaces:
			v := be.Uint64(b)
			e.InIndex, e.OutIndex = uint32(v>>32), uint32(v)
		case packetsBytes8:
			b = b[:16]
			e.RawPackets, e.RawBytes = be.Uint64(b), be.Uint64(b[8:])
		case bytesPackets8:
			b = b[:16]
			e.RawBytes, e.RawPackets = be.Uint64(b), be.Uint64(b[8:])
		case packetsBytes4:
			v := be.Uint64(b)
			e.RawPackets, e.RawBytes = v>>32, uint64(uint32(v))
		case bytesPackets4:
			v := be.Uint64(b)
			e.RawBytes, e.RawPackets = v>>32, uint64(uint32(v))
		case startEndUptime:
			v := be.Uint64(b)
			r.rec.start, r.rec.end = uint32(v>>32), uint32(v)
		case endStartUptime:
			v := be.Uint64(b)
			r.rec.end, r.rec.start = uint32(v>>32), uint32(v)
		case startEndMilli:
			b = b[:16]
			e.Time, e.End = clampNanos(be.Uint64(b), time.Millisecond), clampNanos(be.Uint64(b[8:]), time.Millisecond)
		case src4:
			e.Src = netip.AddrFrom4([4]byte(b))
		case dst4:
			e.Dst = netip.AddrFrom4([4]byte(b))
		case srcPort2:
			e.SrcPort = be.Uint16(b)
		case dstPort2:
			e.DstPort = be.Uint16(b)
		case protocol:
			e.Proto = b[o.len-1]
		case tcpFlags:
			e.TCPFlags = b[o.len-1]
		case bytes4:
			e.RawBytes = uint64(be.Uint32(b))
		case packets4:
			e.RawPackets = uint64(be.Uint32(b))
		case bytes8:
			e.RawBytes = be.Uint64(b)
		case packets8:
			e.RawPackets = be.Uint64(b)
		case typeCode2:
			r.rec.typeCode = be.Uint16(b)
		case orElse:
			if !empty(b[:o.len]) {
				r.take(o.then, b, int(o.len))
			}
		case startUptime4:
			r.rec.start = be.Uint32(b)
		case endUptime4:
			r.rec.end = be.Uint32(b)
		case startMilli8:
			e.Time = clampNanos(be.Uint64(b), time.Millisecond)
		case endMilli8:
			e.End = clampNanos(be.Uint64(b), time.Millisecond)
		default:
			r.take(o.do, b, int(o.len))
		}
	}
}

// varying decodes a set whose records have fields that state their own length.
func (r *Reader) varying(m *message, t *template, b []byte) {
	r.begin(m, t)
	n := uint32(0)
	for len(b) >= t.size {
		size, ok := r.measure(t, b)
		if !ok {
			r.c.reject(shortRecord, m.from, m.received, len(b))
			break
		}
		for i := range t.ops {
			o := &t.ops[i]
			r.takeVarying(o, b[r.rec.at[2*o.at]:r.rec.at[2*o.at+1]])
		}
		r.finish(m, t)
		n++
		b = b[size:]
	}
	r.count(m, n)
}

// takeVarying takes a field of the length that it has in this record. One without length, or of a length that it
// cannot have, is zero: the event may still hold that of the record before.
func (r *Reader) takeVarying(o *op, b []byte) {
	do := o.do
	if do == orElse {
		if do = o.then; empty(b) {
			return
		}
	}
	if n := len(b); n > 0 && do.fits(uint16(n)) {
		r.take(do.sized(uint16(n)), b, n)
		return
	}
	var none [1]byte
	r.take(do, none[:], 1)
}

// empty tells whether all bytes of a field are zero.
func empty(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// measure finds where each field of the record at the start of b begins and ends.
func (r *Reader) measure(t *template, b []byte) (size int, ok bool) {
	at, pos := r.rec.at[:0], 0
	for i := range t.fields {
		length := int(t.fields[i].Length)
		if length == variable {
			if pos >= len(b) {
				return 0, false
			}
			length = int(b[pos])
			pos++
			if length == 255 {
				if pos+2 > len(b) {
					return 0, false
				}
				length = int(binary.BigEndian.Uint16(b[pos:]))
				pos += 2
			}
		}
		if length > len(b)-pos {
			return 0, false
		}
		at = append(at, pos, pos+length)
		pos += length
	}
	r.rec.at = at
	return pos, pos > 0
}

// begin prepares the event for the records of a set: whatever is the same for all of them.
func (r *Reader) begin(m *message, t *template) {
	r.prepare(t, m.x, m.version, m.d.key.id)
	e := &r.e
	e.Exported, e.Received = m.exported, m.received
	rate := m.x.rate(m.d, 0)
	r.rec.rate = rate
	e.Sampling = rate
}

func (r *Reader) count(m *message, n uint32) {
	m.records += n
	m.x.records += uint64(n)
	r.c.records.Add(uint64(n))
}

// finish completes the event after its fields were taken, and emits it.
func (r *Reader) finish(m *message, t *template) {
	e, n := &r.e, &t.needs
	if n.sampler || n.rate || len(m.d.interfaceRates) > 0 {
		r.sampling(m, n)
	}
	rate := e.Sampling
	if rate == 0 {
		m.x.unsampled = true
	} else if rate > m.x.maxRate {
		m.x.maxRate = rate
	}
	e.Packets, e.Bytes = e.RawPackets, e.RawBytes
	if rate > 1 {
		e.Packets, e.Bytes = scale(e.Packets, rate), scale(e.Bytes, rate)
		if n.reverse {
			e.RevPackets, e.RevBytes = scale(e.RevPackets, rate), scale(e.RevBytes, rate)
		}
	}
	e.HasReverse = n.reverse && e.RevPackets|e.RevBytes != 0
	if n.start != absolute || n.end != absolute || !n.hasTime || !n.hasEnd {
		r.times(m, n)
	}
	e.HasICMP, e.ICMPType, e.ICMPCode = false, 0, 0
	if e.Proto == event.ICMP || e.Proto == event.ICMPv6 {
		r.icmp(n)
	}
	if n.firewall {
		e.Action = firewallAction(r.rec.firewall)
	}
	if len(m.d.interfaces) > 0 {
		e.InIf, e.OutIf = m.d.interfaces[e.InIndex], m.d.interfaces[e.OutIndex]
	}
	r.emit(e)
}

// sampling finds the rate of a record that names its sampler or its own rate, or whose interface has one.
func (r *Reader) sampling(m *message, n *needs) {
	rec, rate := &r.rec, r.rec.rate
	if n.sampler {
		rate = m.x.rate(m.d, rec.sampler)
	} else if own := m.d.interfaceRate(r.e.InIndex, r.e.OutIndex); own != 0 && !m.x.force {
		rate = own
	}
	if n.rate && !m.x.force {
		switch {
		case rec.interval > 0:
			rate = clamp32((rec.interval + min(rec.space, math.MaxUint32)) / rec.interval)
		case r.e.Sampling > 0:
			rate = r.e.Sampling
		}
	}
	rec.interval, rec.space = 0, 0
	r.e.Sampling = rate
}

// times completes the beginning and end of a record.
func (r *Reader) times(m *message, n *needs) {
	e, rec := &r.e, &r.rec
	if n.start != absolute {
		e.Time = r.stamp(m, n, n.start, rec.start)
	}
	if n.end != absolute {
		e.End = r.stamp(m, n, n.end, rec.end)
	}
	length := int64(0)
	if n.duration {
		length = rec.duration
	}
	switch {
	case !n.hasTime && !n.hasEnd:
		e.Time, e.End = m.exported-length, m.exported
	case !n.hasTime:
		e.Time = e.End - length
	case !n.hasEnd:
		e.End = e.Time + length
	}
}

// stamp is the time that a clock shows. An IPFIX exporter says in the record or in its options when its uptime began;
// where it has not, the flow is taken to have ended when it was exported.
func (r *Reader) stamp(m *message, n *needs, c clock, v uint32) int64 {
	if c == delta {
		return m.exported - int64(v)*int64(time.Microsecond)
	}
	boot := m.d.boot
	switch {
	case m.version == NetFlow9:
		return uptimeStamp(m.boot, m.uptime, v)
	case n.init:
		boot = clampNanos(r.rec.init, time.Millisecond)
	case boot == 0 && n.end == uptime:
		return uptimeStamp(m.exported, r.rec.end, v) - int64(r.rec.end)*int64(time.Millisecond)
	case boot == 0:
		return m.exported
	}
	elapsed := (m.exported - boot) / int64(time.Millisecond)
	return boot + (elapsed+int64(int32(v-uint32(elapsed))))*int64(time.Millisecond)
}

// icmp sets type and code, which most exporters put into the destination port.
func (r *Reader) icmp(n *needs) {
	e := &r.e
	e.HasICMP = true
	if n.icmp {
		e.ICMPType, e.ICMPCode = uint8(r.rec.typeCode>>8), uint8(r.rec.typeCode)
	} else {
		e.ICMPType, e.ICMPCode = uint8(e.DstPort>>8), uint8(e.DstPort)
	}
	e.SrcPort, e.DstPort = 0, 0
}

// firewallAction reads firewallEvent (IE 233, and 40005 of Cisco ASA).
func firewallAction(v uint8) event.Action {
	switch v {
	case 1, 2, 5:
		return event.Accept
	case 3:
		return event.Deny
	case 0:
		return event.NoAction
	}
	return event.UnknownAction
}

func scale(v uint64, rate uint32) uint64 {
	hi, lo := bits.Mul64(v, uint64(rate))
	if hi != 0 {
		return math.MaxUint64
	}
	return lo
}

func clamp32(v uint64) uint32 { return uint32(min(v, math.MaxUint32)) }

// clampNanos turns a count of units into nanoseconds that fit.
func clampNanos(v uint64, unit time.Duration) int64 {
	return int64(min(v, uint64(math.MaxInt64)/uint64(unit))) * int64(unit)
}

// number reads an unsigned integer of 1 to 8 bytes (reduced-size encoding, RFC 7011 section 6.2).
func number(b []byte, n int) uint64 {
	switch n {
	case 4:
		return uint64(binary.BigEndian.Uint32(b))
	case 2:
		return uint64(binary.BigEndian.Uint16(b))
	case 1:
		return uint64(b[0])
	case 8:
		return binary.BigEndian.Uint64(b)
	}
	v := uint64(0)
	for _, c := range b[:n] {
		v = v<<8 | uint64(c)
	}
	return v
}

// ntp turns an NTP timestamp (seconds since 1900 and a fraction) into nanoseconds since 1970.
func ntp(v uint64) int64 {
	const era = 2208988800 // seconds from 1900 to 1970
	seconds, fraction := int64(v>>32)-era, v&math.MaxUint32
	return seconds*int64(time.Second) + int64(fraction*uint64(time.Second)>>32)
}

func addr4(b []byte) netip.Addr  { return netip.AddrFrom4([4]byte(b)) }
func addr16(b []byte) netip.Addr { return netip.AddrFrom16([16]byte(b)).Unmap() }
