package flowgen

import (
	"encoding/binary"
	"math"

	"varde/event"
)

// Sizes in sFlow v5. A sample here is at most: its header, one raw header record, and Ethernet, IPv6 and TCP headers
// padded to four bytes.
const (
	sflowHeader = 28 + 12 // with an IPv6 agent
	sampleSize  = 8 + 32 + 8 + 16 + 76
	ethernet    = 14
	checksumLen = 4 // the frame check sequence, which counts for the frame's length but is stripped
)

// flushSFlow writes one flow sample with a raw packet header for each event.
func (x *Exporter) flushSFlow(now int64, send func([]byte)) (left int) {
	most := (x.cfg.Payload - sflowHeader) / sampleSize
	b, n := x.openSFlow(now), 0
	for i := range x.waiting {
		e := &x.waiting[i]
		if !is4(e) && !is6(e) {
			left++
			continue
		}
		b = x.sample(b, e)
		if n++; n == most {
			send(x.sealSFlow(b, n))
			b, n = x.openSFlow(now), 0
		}
	}
	if n > 0 {
		send(x.sealSFlow(b, n))
	}
	return left
}

// openSFlow begins a datagram; the number of samples, its last word, is filled in by sealSFlow.
func (x *Exporter) openSFlow(now int64) []byte {
	be := binary.BigEndian
	b := be.AppendUint32(make([]byte, 0, x.cfg.Payload), 5)
	family := uint32(1)
	if x.cfg.Agent.Is6() {
		family = 2
	}
	b = append(be.AppendUint32(b, family), x.cfg.Agent.AsSlice()...)
	b = be.AppendUint32(b, x.cfg.Domain)
	b = be.AppendUint32(b, x.sequence)
	b = be.AppendUint32(b, x.uptime(now))
	return be.AppendUint32(b, 0)
}

func (x *Exporter) sealSFlow(b []byte, samples int) []byte {
	binary.BigEndian.PutUint32(b[20+x.cfg.Agent.BitLen()/8:], uint32(samples))
	x.sequence++
	x.sent++
	return b
}

func (x *Exporter) sample(b []byte, e *event.Event) []byte {
	be := binary.BigEndian
	packet := rawPacket(e)
	padded := (len(packet) + 3) &^ 3
	rate := max(x.cfg.Sampling, 1)
	b = be.AppendUint32(b, 1) // flow sample
	b = be.AppendUint32(b, uint32(32+8+16+padded))
	b = be.AppendUint32(b, x.samples)
	b = be.AppendUint32(b, e.InIndex&0xffffff) // the source: an interface
	b = be.AppendUint32(b, rate)
	b = be.AppendUint32(b, x.samples*rate) // pool
	b = be.AppendUint32(b, 0)              // drops
	b = be.AppendUint32(b, e.InIndex)
	b = be.AppendUint32(b, e.OutIndex)
	b = be.AppendUint32(b, 1) // records
	b = be.AppendUint32(b, 1) // raw packet header
	b = be.AppendUint32(b, uint32(16+padded))
	b = be.AppendUint32(b, 1) // Ethernet
	b = be.AppendUint32(b, uint32(min(e.Bytes, math.MaxUint16))+ethernet+checksumLen)
	b = be.AppendUint32(b, checksumLen)
	b = be.AppendUint32(b, uint32(len(packet)))
	b = append(b, packet...)
	x.samples++
	return append(b, make([]byte, padded-len(packet))...)
}

// rawPacket is the beginning of a packet as the event tells of it: Ethernet, IP, and a transport header.
func rawPacket(e *event.Event) []byte {
	const ip4, ip6 = 20, 40
	be := binary.BigEndian
	transport := transportHeader(e)
	length := min(e.Bytes, math.MaxUint16)
	b := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}
	if e.Src.Is4() {
		b = append(b, 8, 0, 0x45, 0)
		b = be.AppendUint16(b, uint16(length))
		b = append(b, 0, 0, 0x40, 0, 64, e.Proto, 0, 0)
		b = append(append(b, e.Src.AsSlice()...), e.Dst.AsSlice()...)
		checksum(b[ethernet : ethernet+ip4])
	} else {
		b = append(b, 0x86, 0xdd, 0x60, 0, 0, 0)
		b = be.AppendUint16(b, uint16(max(length, ip6)-ip6))
		b = append(b, e.Proto, 64)
		b = append(append(b, e.Src.AsSlice()...), e.Dst.AsSlice()...)
	}
	return append(b, transport...)
}

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
