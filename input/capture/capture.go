// Package capture reads pcap and pcapng files and gives the UDP datagrams in them.
package capture

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"varde/input/frame"
)

// Bounds on what a file may claim.
const (
	maxPacket     = 1 << 18
	maxBlock      = 1 << 24
	maxInterfaces = 1 << 12
)

// Datagram is one UDP datagram, valid during the call that gives it.
type Datagram struct {
	Time     int64 // nanoseconds since 1970
	Src, Dst netip.AddrPort
	Payload  []byte
}

// Stats counts the packets of a file by what became of them.
type Stats struct {
	Packets, Datagrams          uint64
	Other, Fragments, Truncated uint64
}

// Is tells whether a file that begins with head is a capture.
func Is(head []byte) bool {
	if len(head) < 4 {
		return false
	}
	m := binary.LittleEndian.Uint32(head)
	_, _, ok := magic(m)
	return ok || m == blockSection
}

// magic reads the first word of a pcap file as a little-endian number.
func magic(m uint32) (order binary.ByteOrder, unit time.Duration, ok bool) {
	switch m {
	case 0xa1b2c3d4:
		return binary.LittleEndian, time.Microsecond, true
	case 0xd4c3b2a1:
		return binary.BigEndian, time.Microsecond, true
	case 0xa1b23c4d:
		return binary.LittleEndian, time.Nanosecond, true
	case 0x4d3cb2a1:
		return binary.BigEndian, time.Nanosecond, true
	}
	return nil, 0, false
}

// reader holds one file while it is read.
type reader struct {
	name   string
	in     *bufio.Reader
	offset int64
	each   func(Datagram)
	stats  Stats
	packet frame.Packet
	buf    []byte
}

// Read gives each datagram of the file src, called name in errors. What comes before an error was given.
func Read(name string, src io.Reader, each func(Datagram)) (Stats, error) {
	r := &reader{name: name, in: bufio.NewReaderSize(src, 1<<16), each: each}
	head, err := r.in.Peek(4)
	if err != nil {
		return r.stats, fmt.Errorf("%s: no capture: it has %d bytes", name, len(head))
	}
	m := binary.LittleEndian.Uint32(head)
	if m == blockSection {
		return r.stats, r.blocks()
	}
	order, unit, ok := magic(m)
	if !ok {
		return r.stats, fmt.Errorf("%s: no pcap or pcapng file", name)
	}
	err = r.classic(order, unit)
	return r.stats, err
}

// next reads n bytes, valid until the next call; io.EOF at the end of the file.
func (r *reader) next(n int, what string) ([]byte, error) {
	if cap(r.buf) < n {
		r.buf = make([]byte, n)
	}
	b := r.buf[:n]
	got, err := io.ReadFull(r.in, b)
	if errors.Is(err, io.EOF) {
		return nil, io.EOF
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %s at byte %d is cut short: %d of %d bytes", r.name, what, r.offset, got, n)
	}
	r.offset += int64(n)
	return b, nil
}

// classic reads a pcap file.
func (r *reader) classic(order binary.ByteOrder, unit time.Duration) error {
	b, err := r.next(24, "file header")
	if err != nil {
		return fmt.Errorf("%s: file header cut short", r.name)
	}
	link := uint16(order.Uint32(b[20:]))
	for {
		b, err := r.next(16, "packet header")
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		at := int64(order.Uint32(b))*int64(time.Second) + int64(order.Uint32(b[4:]))*int64(unit)
		captured, length := order.Uint32(b[8:]), order.Uint32(b[12:])
		if captured > maxPacket {
			return fmt.Errorf("%s: packet at byte %d claims %d bytes, at most %d", r.name, r.offset, captured, maxPacket)
		}
		if b, err = r.next(int(captured), "packet"); err != nil && captured > 0 {
			if errors.Is(err, io.EOF) {
				err = fmt.Errorf("%s: packet at byte %d is cut short", r.name, r.offset)
			}
			return err
		}
		r.give(link, at, b, captured < length)
	}
}

// give decodes one packet.
func (r *reader) give(link uint16, at int64, b []byte, cut bool) {
	r.stats.Packets++
	p := &r.packet
	switch {
	case !decode(p, link, b):
		r.stats.Other++
	case p.Fragment:
		r.stats.Fragments++
	case p.Proto != 17:
		r.stats.Other++
	case p.Short || cut && len(p.Payload) == 0:
		r.stats.Truncated++
	default:
		r.stats.Datagrams++
		r.each(Datagram{at, netip.AddrPortFrom(p.Src, p.SrcPort), netip.AddrPortFrom(p.Dst, p.DstPort), p.Payload})
	}
}

// decode finds the IP packet by the link type (the numbers of the tcpdump project).
func decode(p *frame.Packet, link uint16, b []byte) bool {
	switch link {
	case 1:
		return p.Ethernet(b)
	case 12, 14, 101, 228, 229:
		return p.IP(b)
	case 0, 108:
		return len(b) > 4 && p.IP(b[4:])
	case 113: // Linux cooked
		return len(b) > 16 && p.EtherType(binary.BigEndian.Uint16(b[14:]), b[16:])
	case 276: // Linux cooked v2
		return len(b) > 20 && p.EtherType(binary.BigEndian.Uint16(b), b[20:])
	}
	return false
}
