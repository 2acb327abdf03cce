// Package frame finds where addresses and ports stand in a packet: Ethernet with VLAN tags and MPLS, IPv4 and IPv6 with
// extension headers, TCP, UDP and ICMP. Captures and sampled headers share it.
package frame

import (
	"encoding/binary"
	"net/netip"
)

// Bounds on headers before the transport header.
const (
	maxTags       = 8 // VLAN tags and MPLS labels together
	maxExtensions = 8 // IPv6 extension headers
)

// Packet is what the headers of a packet say. Payload is what follows the transport header, as far as it was captured.
type Packet struct {
	Src, Dst         netip.Addr
	SrcPort, DstPort uint16
	Proto            uint8
	TCPFlags         uint8
	ICMPType         uint8
	ICMPCode         uint8
	Fragment         bool // not the first or not the last piece of its packet
	Short            bool // the transport header was not captured
	Payload          []byte
}

// EtherTypes that lead on.
const (
	etherIPv4    = 0x0800
	etherIPv6    = 0x86dd
	etherVLAN    = 0x8100
	etherQinQ    = 0x88a8
	etherOldQinQ = 0x9100
	etherMPLS    = 0x8847
	etherMPLSUp  = 0x8848
)

// Ethernet decodes a packet that begins with an Ethernet header; ok is false where it holds no IP.
func (p *Packet) Ethernet(b []byte) (ok bool) {
	if len(b) < 14 {
		return false
	}
	return p.EtherType(binary.BigEndian.Uint16(b[12:]), b[14:])
}

// EtherType decodes what follows an EtherType.
func (p *Packet) EtherType(t uint16, b []byte) (ok bool) {
	for range maxTags {
		switch t {
		case etherIPv4, etherIPv6:
			return p.IP(b)
		case etherVLAN, etherQinQ, etherOldQinQ:
			if len(b) < 4 {
				return false
			}
			t, b = binary.BigEndian.Uint16(b[2:]), b[4:]
		case etherMPLS, etherMPLSUp:
			if len(b) < 4 {
				return false
			}
			bottom := b[2]&1 != 0
			b = b[4:]
			if bottom {
				return p.IP(b)
			}
		default:
			return false
		}
	}
	return false
}

// IP decodes a packet that begins with an IPv4 or IPv6 header.
func (p *Packet) IP(b []byte) (ok bool) {
	*p = Packet{}
	if len(b) < 20 {
		return false
	}
	switch b[0] >> 4 {
	case 4:
		header := int(b[0]&15) * 4
		if header < 20 || header > len(b) {
			return false
		}
		if total := int(binary.BigEndian.Uint16(b[2:])); total >= header && total < len(b) {
			b = b[:total] // padding of short Ethernet frames
		}
		p.Src, p.Dst, p.Proto = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20])), b[9]
		p.Fragment = binary.BigEndian.Uint16(b[6:])&0x3fff != 0
		if binary.BigEndian.Uint16(b[6:])&0x1fff != 0 {
			return true // not the first piece: no transport header
		}
		p.transport(b[header:])
		return true
	case 6:
		return p.ip6(b)
	}
	return false
}

func (p *Packet) ip6(b []byte) bool {
	if len(b) < 40 {
		return false
	}
	if total := 40 + int(binary.BigEndian.Uint16(b[4:])); total > 40 && total < len(b) {
		b = b[:total]
	}
	p.Src, p.Dst = netip.AddrFrom16([16]byte(b[8:24])).Unmap(), netip.AddrFrom16([16]byte(b[24:40])).Unmap()
	next := b[6]
	b = b[40:]
	for range maxExtensions {
		switch next {
		case 0, 43, 60, 135, 139, 140, 51: // hop-by-hop, routing, destination options, mobility, HIP, Shim6, authentication
			size := 8
			if len(b) >= size {
				size += int(b[1]) * 8
				if next == 51 { // counts in words of four bytes, less two (RFC 4302 section 2.2)
					size = (int(b[1]) + 2) * 4
				}
			}
			if len(b) < size {
				p.Proto, p.Short = next, true
				return true
			}
			next, b = b[0], b[size:]
		case 44: // fragment
			if len(b) < 8 {
				p.Proto, p.Short = next, true
				return true
			}
			p.Fragment = true
			first := binary.BigEndian.Uint16(b[2:])&^7 == 0
			next, b = b[0], b[8:]
			if !first {
				p.Proto = next
				return true
			}
		default:
			p.Proto = next
			p.transport(b)
			return true
		}
	}
	p.Proto, p.Short = next, true
	return true
}

func (p *Packet) transport(b []byte) {
	switch p.Proto {
	case 6:
		if p.Short = len(b) < 14; p.Short {
			return
		}
		p.SrcPort, p.DstPort, p.TCPFlags = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]), b[13]
	case 17:
		if p.Short = len(b) < 8; p.Short {
			return
		}
		p.SrcPort, p.DstPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
		if n := int(binary.BigEndian.Uint16(b[4:])); n >= 8 && n <= len(b) {
			p.Payload = b[8:n]
		} else {
			p.Short = n > len(b)
			p.Payload = b[8:]
		}
	case 132:
		if p.Short = len(b) < 4; !p.Short {
			p.SrcPort, p.DstPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
		}
	case 1, 58:
		if p.Short = len(b) < 2; !p.Short {
			p.ICMPType, p.ICMPCode = b[0], b[1]
		}
	}
}
