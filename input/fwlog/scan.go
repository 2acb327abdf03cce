package fwlog

import (
	"bytes"
	"math"

	"varde/event"
)

func isDigit(c byte) bool { return c-'0' < 10 }

// number reads digits and tells how many there were. What is too large for 64 bits is the largest there is.
func number(b []byte) (v uint64, n int) {
	for n < len(b) && isDigit(b[n]) {
		if d := uint64(b[n] - '0'); v < (math.MaxUint64-9)/10 {
			v = v*10 + d
		} else {
			v = math.MaxUint64
		}
		n++
	}
	return v, n
}

// whole reads a text that is a number up to most, and nothing else.
func whole(b []byte, most uint64) (uint64, bool) {
	v, n := number(b)
	return v, n > 0 && n == len(b) && v <= most
}

// port reads a port number that ends where the digits end.
func port(b []byte) (p uint16, n int) {
	v, n := number(b)
	if v > math.MaxUint16 {
		return 0, 0
	}
	return uint16(v), n
}

// cursor is what is still to be read of a line.
type cursor struct{ b []byte }

// word takes everything up to the next blank, and the blanks before it.
func (c *cursor) word() []byte {
	c.blanks()
	i := bytes.IndexByte(c.b, ' ')
	if i < 0 {
		i = len(c.b)
	}
	w := c.b[:i]
	c.b = c.b[i:]
	return w
}

func (c *cursor) blanks() {
	for len(c.b) > 0 && c.b[0] == ' ' {
		c.b = c.b[1:]
	}
}

// upTo takes everything before the next sep, and sep; where there is none all that is left.
func (c *cursor) upTo(sep byte) []byte {
	i := bytes.IndexByte(c.b, sep)
	if i < 0 {
		w := c.b
		c.b = nil
		return w
	}
	w := c.b[:i]
	c.b = c.b[i+1:]
	return w
}

// past moves behind the next s, if there is one.
func (c *cursor) past(s string) bool {
	i := bytes.Index(c.b, []byte(s))
	if i >= 0 {
		c.b = c.b[i+len(s):]
	}
	return i >= 0
}

// take moves behind s, if it comes next.
func (c *cursor) take(s string) bool {
	if len(c.b) < len(s) || string(c.b[:len(s)]) != s {
		return false
	}
	c.b = c.b[len(s):]
	return true
}

// pair takes the next key=value. A value in quotes ends at the quote that has no backslash before it, or with the line.
// Words without a value are passed over.
func (c *cursor) pair() (key, value []byte, ok bool) {
	b, start, i := c.b, 0, 0
	for i < len(b) && b[i] != '=' {
		if b[i] == ' ' {
			start = i + 1
		}
		i++
	}
	if i == len(b) {
		return nil, nil, false
	}
	key = b[start:i]
	i++
	if i == len(b) || b[i] != '"' {
		start = i
		for i < len(b) && b[i] != ' ' {
			i++
		}
		c.b = b[i:]
		return key, b[start:i], true
	}
	i++
	start = i
	for i < len(b) && (b[i] != '"' || b[i-1] == '\\') {
		i++
	}
	c.b = b[min(i+1, len(b)):]
	return key, b[start:i], true
}

// number takes digits.
func (c *cursor) number() (uint64, bool) {
	v, n := number(c.b)
	c.b = c.b[n:]
	return v, n > 0
}

func hasPrefix(b []byte, s string) bool { return len(b) >= len(s) && string(b[:len(s)]) == s }

// fold tells whether b is the lower-case word s, in whatever case.
func fold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i := range b {
		c := b[i]
		if c-'A' < 26 {
			c |= 0x20
		}
		if c != s[i] {
			return false
		}
	}
	return true
}

// protocols are the names that firewalls use for numbers of IANA.
var protocols = [...]struct {
	name   string
	number uint8
}{
	{"tcp", event.TCP},
	{"udp", event.UDP},
	{"icmp", event.ICMP},
	{"icmpv6", event.ICMPv6},
	{"ipv6-icmp", event.ICMPv6},
	{"icmp6", event.ICMPv6},
	{"igmp", 2},
	{"ipencap", 4},
	{"ipip", 4},
	{"ipinip", 4},
	{"igrp", 9},
	{"dccp", 33},
	{"gre", 47},
	{"esp", 50},
	{"ah", 51},
	{"ahp", 51},
	{"eigrp", 88},
	{"ospf", 89},
	{"ospfigp", 89},
	{"nos", 94},
	{"pim", 103},
	{"pcp", 108},
	{"vrrp", 112},
	{"carp", 112},
	{"l2tp", 115},
	{"sctp", 132},
	{"udplite", 136},
	{"ip", 0},
	{"ipv4", 0},
	{"ipv6", 0}, // Cisco's word for any IPv6 packet, not for IPv6 in IPv4
}

// protocol reads a name or number; 0 is a packet of which the protocol is not told.
func protocol(b []byte) (uint8, bool) {
	if len(b) > 0 && isDigit(b[0]) {
		v, ok := whole(b, math.MaxUint8)
		return uint8(v), ok
	}
	for i := range protocols {
		if fold(b, protocols[i].name) {
			return protocols[i].number, true
		}
	}
	return 0, false
}

// flagLetters reads TCP flags as the letters S, A, F, R, P, U, E and C or W.
func flagLetters(b []byte) (flags uint8, ok bool) {
	for _, c := range b {
		switch c {
		case 'F', 'f':
			flags |= event.FIN
		case 'S', 's':
			flags |= event.SYN
		case 'R', 'r':
			flags |= event.RST
		case 'P', 'p':
			flags |= event.PSH
		case 'A', 'a', '.':
			flags |= event.ACK
		case 'U', 'u':
			flags |= event.URG
		case 'E', 'e':
			flags |= event.ECE
		case 'C', 'W', 'c', 'w':
			flags |= event.CWR
		default:
			return 0, false
		}
	}
	return flags, true
}

// flagWord reads one TCP flag by its name.
func flagWord(b []byte) uint8 {
	switch string(b) {
	case "SYN":
		return event.SYN
	case "ACK":
		return event.ACK
	case "FIN":
		return event.FIN
	case "RST":
		return event.RST
	case "PSH", "PUSH":
		return event.PSH
	case "URG":
		return event.URG
	case "ECE":
		return event.ECE
	case "CWR":
		return event.CWR
	}
	return 0
}
