package flowgen

import (
	"encoding/binary"
	"net/netip"

	"varde/event"
)

// flushSFlow writes one flow sample with a raw packet header for each event.
func (x *Exporter) flushSFlow(now int64, send func([]byte)) {
	const sampleSize = 160 // more than any sample written here
	be := binary.BigEndian
	for todo := x.waiting; len(todo) > 0; {
		n := min(max((x.cfg.Payload-40)/sampleSize, 1), len(todo))
		b := be.AppendUint32(make([]byte, 0, x.cfg.Payload), 5)
		if agent := x.cfg.Agent; agent.Is6() {
			b = append(be.AppendUint32(b, 2), agent.AsSlice()...)
		} else {
			b = append(be.AppendUint32(b, 1), agent.AsSlice()...)
		}
		b = be.AppendUint32(b, x.cfg.Domain)
		b = be.AppendUint32(b, x.sequence)
		b = be.AppendUint32(b, x.uptime(now))
		b = be.AppendUint32(b, uint32(n))
		for i := range n {
			b = x.sample(b, &todo[i])
		}
		x.sequence++
		x.sent++
		send(b)
		todo = todo[n:]
	}
}

func (x *Exporter) sample(b []byte, e *event.Event) []byte {
	be := binary.BigEndian
	packet := rawPacket(e)
	padded := (len(packet) + 3) &^ 3
	b = be.AppendUint32(b, 1) // flow sample
	b = be.AppendUint32(b, uint32(32+8+16+padded))
	b = be.AppendUint32(b, x.samples)
	b = be.AppendUint32(b, e.InIndex)
	b = be.AppendUint32(b, max(x.cfg.Sampling, 1))
	b = be.AppendUint32(b, x.samples*max(x.cfg.Sampling, 1))
	b = be.AppendUint32(b, 0) // drops
	b = be.AppendUint32(b, e.InIndex)
	b = be.AppendUint32(b, e.OutIndex)
	b = be.AppendUint32(b, 1) // records
	b = be.AppendUint32(b, 1) // raw packet header
	b = be.AppendUint32(b, uint32(16+padded))
	b = be.AppendUint32(b, 1) // Ethernet
	b = be.AppendUint32(b, uint32(e.Bytes)+18)
	b = be.AppendUint32(b, 4) // the frame check sequence was stripped
	b = be.AppendUint32(b, uint32(len(packet)))
	b = append(b, packet...)
	x.samples++
	return append(b, make([]byte, padded-len(packet))...)
}

// rawPacket is the beginning of a packet as the event tells of it: Ethernet, IP, and a transport header.
func rawPacket(e *event.Event) []byte {
	be := binary.BigEndian
	b := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}
	transport := transportHeader(e)
	if e.Src.Is4() {
		b = append(b, 8, 0, 0x45, 0)
		b = be.AppendUint16(b, uint16(min(e.Bytes, 0xffff)))
		b = append(b, 0, 0, 0x40, 0, 64, e.Proto, 0, 0)
		src, dst := e.Src.As4(), e.Dst.As4()
		b = append(append(b, src[:]...), dst[:]...)
		checksum(b[14:34])
	} else {
		b = append(b, 0x86, 0xdd, 0x60, 0, 0, 0)
		b = be.AppendUint16(b, uint16(max(min(e.Bytes, 0xffff), 40)-40))
		b = append(b, e.Proto, 64)
		b = append(append(b, as16(e.Src)...), as16(e.Dst)...)
	}
	return append(b, transport...)
}

func as16(a netip.Addr) []byte { v := a.As16(); return v[:] }

func transportHeader(e *event.Event) []byte {
	be := binary.BigEndian
	switch e.Proto {
	case event.TCP:
		b := be.AppendUint16(nil, e.SrcPort)
		b = be.AppendUint16(b, e.DstPort)
		return append(b, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, e.TCPFlags, 0xff, 0xff, 0, 0, 0, 0)
	case event.UDP:
		b := be.AppendUint16(nil, e.SrcPort)
		b = be.AppendUint16(b, e.DstPort)
		return append(b, 0, 8, 0, 0)
	case event.ICMP, event.ICMPv6:
		return []byte{e.ICMPType, e.ICMPCode, 0, 0, 0, 0, 0, 0}
	}
	return make([]byte, 8)
}

// checksum writes the checksum of an IPv4 header (RFC 791).
func checksum(h []byte) {
	sum := uint32(0)
	for i := 0; i < len(h); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(h[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(h[10:], ^uint16(sum))
}
