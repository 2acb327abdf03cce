package flow

import (
	"encoding/binary"
	"net/netip"
	"time"

	"varde/event"
)

// NetFlow v5: a 24-byte header and records of 48 bytes, all at fixed places.
const (
	v5Header = 24
	v5Record = 48
)

// netflow5 decodes a NetFlow v5 datagram. Its sequence counts flows.
func (r *Reader) netflow5(from netip.AddrPort, b []byte, received int64) {
	if len(b) < v5Header {
		r.c.reject(tooShort, from, received, len(b))
		return
	}
	count := int(binary.BigEndian.Uint16(b[2:]))
	if count == 0 || v5Header+count*v5Record > len(b) {
		r.c.reject(lyingCount, from, received, count)
		return
	}
	x := r.exporter(from, received)
	if x == nil {
		return
	}
	defer x.mu.Unlock()
	engine := uint32(b[20])<<8 | uint32(b[21])
	d := x.domain(domainKey{version: NetFlow5, id: engine})
	if d == nil {
		r.c.reject(tooManyDomains, from, received, maxDomains)
		return
	}
	uptime := binary.BigEndian.Uint32(b[4:])
	exported := int64(binary.BigEndian.Uint32(b[8:]))*int64(time.Second) + int64(binary.BigEndian.Uint32(b[12:]))
	r.follow(x, d, from.Port(), received, uptime, binary.BigEndian.Uint32(b[16:]), uint32(count))
	x.version, x.exportLag = NetFlow5, received-exported

	rate := uint32(binary.BigEndian.Uint16(b[22:]) & 0x3fff)
	if rate == 0 || x.force {
		rate = max(x.static, 1)
	}
	x.maxRate = max(x.maxRate, rate)
	r.prepare(nil, x, NetFlow5, engine)
	e := &r.e
	e.Exported, e.Received, e.Sampling = exported, received, rate
	boot := exported - int64(uptime)*int64(time.Millisecond)
	for b = b[v5Header : v5Header+count*v5Record]; len(b) > 0; b = b[v5Record:] {
		v5(e, b[:v5Record:v5Record], boot, uptime)
		if rate > 1 {
			e.Packets, e.Bytes = e.RawPackets*uint64(rate), e.RawBytes*uint64(rate)
		}
		r.emit(e)
	}
	x.records += uint64(count)
	r.c.records.Add(uint64(count))
}

// v5 decodes one record. Uptimes are compared as signed 32-bit differences, since they wrap after 49.7 days.
func v5(e *event.Event, b []byte, boot int64, uptime uint32) {
	_ = b[v5Record-1]
	e.Src = netip.AddrFrom4([4]byte(b[0:4]))
	e.Dst = netip.AddrFrom4([4]byte(b[4:8]))
	e.InIndex = uint32(binary.BigEndian.Uint16(b[12:]))
	e.OutIndex = uint32(binary.BigEndian.Uint16(b[14:]))
	e.RawPackets = uint64(binary.BigEndian.Uint32(b[16:]))
	e.RawBytes = uint64(binary.BigEndian.Uint32(b[20:]))
	e.Packets, e.Bytes = e.RawPackets, e.RawBytes
	e.Time = uptimeStamp(boot, uptime, binary.BigEndian.Uint32(b[24:]))
	e.End = uptimeStamp(boot, uptime, binary.BigEndian.Uint32(b[28:]))
	e.SrcPort = binary.BigEndian.Uint16(b[32:])
	e.DstPort = binary.BigEndian.Uint16(b[34:])
	e.TCPFlags, e.Proto = b[37], b[38]
	e.HasICMP, e.ICMPType, e.ICMPCode = false, 0, 0
	if e.Proto == event.ICMP {
		e.HasICMP, e.ICMPType, e.ICMPCode = true, uint8(e.DstPort>>8), uint8(e.DstPort)
		e.SrcPort, e.DstPort = 0, 0
	}
}

// uptimeStamp turns milliseconds of uptime into nanoseconds since 1970.
func uptimeStamp(boot int64, now, then uint32) int64 {
	return boot + (int64(now)+int64(int32(then-now)))*int64(time.Millisecond)
}

// follow books the sequence of a datagram whose first number is seq and that takes n numbers. Uptime is 0 for
// protocols without; where it falls back by more than a second the exporter has restarted and nothing was lost.
func (r *Reader) follow(x *exporter, d *domain, port uint16, received int64, uptime, seq, n uint32) *stream {
	s := d.stream(port, received)
	if s.started && uptime != 0 && int32(uptime-s.uptime) < -1000 {
		s.restart()
		x.restarts++
	}
	s.uptime = uptime
	st := s.advance(seq, n)
	switch {
	case st.lost > 0 && s.held > 0 && d.key.version == IPFIX:
		s.vague += st.lost // the held sets may hold these records
	case st.lost > 0 && s.blind && d.key.version == IPFIX: // NetFlow v9 counts datagrams, decoded or not
		s.blind = false
	case st.lost > 0:
		r.lose(x, st.lost, n)
	case st.repaid > 0:
		x.lost -= min(x.lost, st.repaid)
	case st.restarted:
		x.restarts++
	case st.duplicate:
		x.duplicates++
	}
	return s
}
