package flow

import (
	"encoding/binary"
	"net/netip"

	"varde/event"
	"varde/input/frame"
)

// Formats of sFlow v5 (sflow.org, enterprise 0).
const (
	sampleFlow       = 1
	sampleExpanded   = 3
	recordRaw        = 1
	recordIPv4       = 3
	recordIPv6       = 4
	headerEthernet   = 1
	headerIPv4       = 11
	headerIPv6       = 12
	maxSamples       = 512
	maxRecords       = 64
	unknownInterface = 0x3fffffff
	interfaceFormat  = 30 // bits of an interface number below its format
	sampleSize       = 32 // before its records
	expandedSize     = 44
	rawSize          = 16 // before the header of the packet
	sampledIPv4Size  = 32
	sampledIPv6Size  = 56
)

// xdr reads big-endian words off a buffer; a read past its end gives 0 and marks it short.
type xdr struct {
	b     []byte
	short bool
}

func (x *xdr) word() uint32 {
	if len(x.b) < 4 {
		x.b, x.short = nil, true
		return 0
	}
	v := binary.BigEndian.Uint32(x.b)
	x.b = x.b[4:]
	return v
}

func (x *xdr) bytes(n uint32) []byte {
	if uint64(n) > uint64(len(x.b)) {
		x.b, x.short = nil, true
		return nil
	}
	v := x.b[:n]
	x.b = x.b[n:]
	return v
}

// sflow decodes an sFlow v5 datagram: each flow sample is one event that stands for sampling-rate packets. Its time is
// that of its arrival, since sFlow has no clock. Counter samples are skipped.
func (r *Reader) sflow(from netip.AddrPort, b []byte, received int64) {
	in := xdr{b: b[4:]}
	agent := netip.Addr{}
	switch in.word() {
	case 1:
		if v := in.bytes(4); v != nil {
			agent = addr4(v)
		}
	case 2:
		if v := in.bytes(16); v != nil {
			agent = addr16(v)
		}
	}
	sub, seq, uptime, samples := in.word(), in.word(), in.word(), in.word()
	if in.short || !agent.IsValid() {
		r.c.reject(tooShort, from, received, len(b))
		return
	}
	x := r.exporter(from, received)
	if x == nil {
		return
	}
	defer x.mu.Unlock()
	d := x.domain(domainKey{version: SFlow, id: sub, agent: agent})
	if d == nil {
		r.c.reject(tooManyDomains, from, received, maxDomains)
		return
	}
	x.version = SFlow
	r.follow(x, d, 0, received, uptime, seq, 1)
	r.prepare(nil, x, SFlow, sub)
	r.e.Received, r.e.Exported = received, 0
	for range min(samples, maxSamples) {
		format, length := in.word(), in.word()
		body := in.bytes(length)
		if in.short {
			r.c.reject(badSample, from, received, int(length))
			return
		}
		if format == sampleFlow || format == sampleExpanded {
			if !r.sample(x, body, format == sampleExpanded, received) {
				r.c.reject(badSample, from, received, int(format))
			}
		}
	}
}

// sample decodes one flow sample and emits its event.
func (r *Reader) sample(x *exporter, b []byte, expanded bool, received int64) bool {
	be := binary.BigEndian
	var rate, records uint32
	var ifs [2]uint32
	switch {
	case expanded && len(b) >= expandedSize: // sequence, source in two words, rate, pool, drops, interfaces in two words each
		rate, records = be.Uint32(b[12:]), be.Uint32(b[40:])
		for i := range ifs {
			if v := b[24+8*i:]; be.Uint32(v) == 0 { // else its format is not a plain ifIndex
				ifs[i] = be.Uint32(v[4:])
			}
		}
		b = b[expandedSize:]
	case !expanded && len(b) >= sampleSize: // sequence, source, rate, pool, drops, interfaces
		rate, records = be.Uint32(b[8:]), be.Uint32(b[28:])
		for i := range ifs {
			if v := be.Uint32(b[20+4*i:]); v>>interfaceFormat == 0 && v != unknownInterface {
				ifs[i] = v
			}
		}
		b = b[sampleSize:]
	default:
		return false
	}
	in := xdr{b: b}
	found := false
	for range min(records, maxRecords) {
		format, length := in.word(), in.word()
		body := in.bytes(length)
		if in.short {
			return false
		}
		if found {
			continue
		}
		if found, in.short = r.sampled(format, body); in.short {
			return false
		}
	}
	if !found {
		return true // a sample of something that is not IP
	}
	e := &r.e
	e.Time, e.End = received, received
	e.InIndex, e.OutIndex = ifs[0], ifs[1]
	if x.force {
		rate = x.static
	}
	rate = max(rate, 1)
	e.Sampling, e.RawPackets = rate, 1
	e.Packets, e.Bytes = uint64(rate), scale(e.RawBytes, rate)
	x.maxRate = max(x.maxRate, rate)
	x.records++
	r.c.records.Add(1)
	r.emit(e)
	return true
}

// sampled takes what one record says of the packet, if it says anything; short is a record that claims more than it has.
func (r *Reader) sampled(format uint32, b []byte) (found, short bool) {
	e, be := &r.e, binary.BigEndian
	switch {
	case format == recordRaw && len(b) >= rawSize:
		protocol, length, stripped, captured := be.Uint32(b), be.Uint32(b[4:]), be.Uint32(b[8:]), be.Uint32(b[12:])
		header := b[rawSize:]
		if uint64(captured) > uint64(len(header)) {
			return false, true
		}
		header = header[:captured]
		p := &r.rec.packet
		ok := false
		switch protocol {
		case headerEthernet:
			ok = p.Ethernet(header)
		case headerIPv4, headerIPv6:
			ok = p.IP(header)
		}
		if !ok {
			return false, false
		}
		e.RawBytes = uint64(length - min(stripped, length))
		r.setPacket(p)
		return true, false
	case format == recordIPv4 && len(b) >= sampledIPv4Size, format == recordIPv6 && len(b) >= sampledIPv6Size:
		p, in := &r.rec.packet, xdr{b: b}
		*p = frame.Packet{}
		e.RawBytes = uint64(in.word())
		p.Proto = uint8(in.word())
		if format == recordIPv4 {
			p.Src, p.Dst = addr4(in.bytes(4)), addr4(in.bytes(4))
		} else {
			p.Src, p.Dst = addr16(in.bytes(16)), addr16(in.bytes(16))
		}
		p.SrcPort, p.DstPort, p.TCPFlags = uint16(in.word()), uint16(in.word()), uint8(in.word())
		if p.Proto == event.ICMP || p.Proto == event.ICMPv6 {
			p.ICMPType, p.ICMPCode = uint8(p.SrcPort), uint8(p.DstPort)
			p.SrcPort, p.DstPort = 0, 0
		}
		r.setPacket(p)
		return true, false
	}
	return false, format == recordRaw || format == recordIPv4 || format == recordIPv6
}

func (r *Reader) setPacket(p *frame.Packet) {
	e := &r.e
	e.Src, e.Dst, e.SrcPort, e.DstPort, e.Proto, e.TCPFlags = p.Src, p.Dst, p.SrcPort, p.DstPort, p.Proto, p.TCPFlags
	e.HasICMP = (p.Proto == event.ICMP || p.Proto == event.ICMPv6) && !p.Short && !p.Fragment
	e.ICMPType, e.ICMPCode = p.ICMPType, p.ICMPCode
}
