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

// row takes the fields of one record. The usual ones stand here, so that they cost no call.
func (r *Reader) row(ops []op, row []byte) {
	e, be := &r.e, binary.BigEndian
	for i := range ops {
		o := ops[i]
		b := row[o.at:]
		switch o.do {
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
		case in4:
			e.InIndex = be.Uint32(b)
		case out4:
			e.OutIndex = be.Uint32(b)
		case typeCode2:
			r.rec.typeCode = be.Uint16(b)
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
			from, to := r.rec.at[2*o.at], r.rec.at[2*o.at+1]
			if o.do.fits(uint16(to - from)) {
				r.take(o.do.sized(uint16(to-from)), b[from:], to-from)
			}
		}
		r.finish(m, t)
		n++
		b = b[size:]
	}
	r.count(m, n)
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
	if n.sampler || n.rate {
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
	if n.uptimes || n.delta || !n.hasTime || !n.hasEnd {
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

// sampling finds the rate of a record that names its sampler or its own rate.
func (r *Reader) sampling(m *message, n *needs) {
	rec, rate := &r.rec, r.rec.rate
	if n.sampler {
		rate = m.x.rate(m.d, rec.sampler)
	}
	if n.rate && !m.x.force {
		switch {
		case rec.interval > 0:
			rate = clamp32((rec.interval + min(rec.space, math.MaxUint32)) / rec.interval)
		case r.e.Sampling > 0:
			rate = r.e.Sampling
		}
		rec.interval, rec.space = 0, 0
	}
	r.e.Sampling = rate
}

// times completes the beginning and end of a record.
func (r *Reader) times(m *message, n *needs) {
	e, rec := &r.e, &r.rec
	switch {
	case n.uptimes && m.version == NetFlow9:
		e.Time, e.End = uptimeStamp(m.boot, m.uptime, rec.start), uptimeStamp(m.boot, m.uptime, rec.end)
	case n.uptimes && rec.init != 0:
		boot := clampNanos(rec.init, time.Millisecond)
		e.Time, e.End = boot+int64(rec.start)*int64(time.Millisecond), boot+int64(rec.end)*int64(time.Millisecond)
	case n.uptimes:
		e.Time, e.End = m.exported, m.exported
	case n.delta:
		e.Time, e.End = m.exported-int64(rec.start)*int64(time.Microsecond), m.exported-int64(rec.end)*int64(time.Microsecond)
	}
	if !n.hasTime {
		e.Time = m.exported
		if n.hasEnd {
			e.Time = e.End
		}
	}
	if !n.hasEnd {
		e.End = e.Time
	}
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
