package fwlog

import (
	"bytes"
	"math"
	"net/netip"

	"varde/event"
	"varde/input/syslog"
)

// ios reads the messages of access lists of Cisco's routers:
//
//	%SEC-6-IPACCESSLOGP: list 102 denied tcp A(p) [(IF MAC)] -> B(q), 3 packets
//	%SEC-6-IPACCESSLOGDP: list 102 denied icmp A -> B (t/c), 1 packet        NP, RP, SP: no ports
//	%SEC-6-IPACCESSLOGS: list 1 denied A 1 packet
//	%SEC-6-IPACCESSLOGRL: access-list logging rate-limited or missed 18 packets
//	%IPV6-6-ACCESSLOGP: list X/10 permitted tcp A(p) -> B(q), 9 packets
//	%FMANFP-6-IPACCESSLOGP: F0/0: fman_fp_image: list X denied tcp MAC A(p) IF-> B(q), 1 packet
//
// A line stands for as many packets as it says, since the router counts for minutes.
func (r *Reader) ios(l *syslog.Line) verdict {
	i := bytes.IndexByte(l.Text, '%')
	if i < 0 {
		return foreign
	}
	c := cursor{l.Text[i:]}
	k := bytes.Index(c.b[:min(len(c.b), maxPrefix)], []byte("ACCESSLOG"))
	if k < 0 {
		return foreign
	}
	c.b = c.b[k+len("ACCESSLOG"):]
	kind := c.upTo(':')
	if string(kind) == "RL" {
		if !c.past("missed ") {
			return broken
		}
		n, ok := c.number()
		if !ok {
			return broken
		}
		r.lost = n
		return ignored
	}
	if !c.past("list ") {
		return broken
	}
	e := r.fresh(l)
	e.Rule = r.texts.of(c.word())
	action := event.Accept
	switch string(c.word()) {
	case "denied":
		action = event.Deny
	case "permitted":
	default:
		return broken
	}
	var ok bool
	if string(kind) == "S" {
		e.Src, ok = wholeAddress(c.word())
	} else {
		ok = r.iosPacket(&c)
	}
	if !ok {
		return broken
	}
	n, ok := iosCount(&c)
	if !ok {
		return broken
	}
	return r.finish(action, n)
}

// iosCount reads "3 packets", with or without a comma before it.
func iosCount(c *cursor) (uint64, bool) {
	c.take(",")
	c.blanks()
	n, ok := c.number()
	return n, ok && c.take(" packet")
}

func (r *Reader) iosPacket(c *cursor) (ok bool) {
	e := &r.ev
	if e.Proto, ok = protocol(c.word()); !ok {
		return false
	}
	arrow := bytes.Index(c.b, []byte("->"))
	if arrow < 0 {
		return false
	}
	left := cursor{c.b[:arrow]}
	c.b = c.b[arrow+2:]
	for w := left.word(); len(w) > 0; w = left.word() {
		if a, p, n := iosEnd(w); n > 0 && !e.Src.IsValid() {
			if n < len(w) {
				return false
			}
			e.Src, e.SrcPort = a, p
			continue
		}
		if w = bytes.Trim(w, "()*"); len(w) > 0 && !isMAC(w) {
			e.InIf = r.texts.of(w)
		}
	}
	if !e.Src.IsValid() {
		return false
	}
	c.blanks()
	n := 0
	for n < len(c.b) && c.b[n] != ' ' && c.b[n] != ',' {
		n++
	}
	var k int
	if e.Dst, e.DstPort, k = iosEnd(c.b[:n]); k == 0 || k < n {
		return false
	}
	c.b = c.b[n:]
	c.blanks()
	if !c.take("(") {
		return true
	}
	t, ok1 := c.number()
	if c.take("/") && (e.Proto == event.ICMP || e.Proto == event.ICMPv6) {
		code, ok2 := c.number()
		if !ok1 || !ok2 || t > math.MaxUint8 || code > math.MaxUint8 {
			return false
		}
		e.HasICMP, e.ICMPType, e.ICMPCode = true, uint8(t), uint8(code)
	}
	c.upTo(')')
	return true
}

// iosEnd reads "A(p)" or "A" and tells how long it is.
func iosEnd(w []byte) (a netip.Addr, p uint16, n int) {
	a, n = address(w)
	if n == 0 || n == len(w) || w[n] != '(' {
		return a, 0, n
	}
	p, k := port(w[n+1:])
	if k == 0 || n+1+k >= len(w) || w[n+1+k] != ')' {
		return a, 0, n
	}
	return a, p, n + k + len("()")
}

// isMAC knows 0000.5e00.5323 and 00-00-5E-00-53-23.
func isMAC(w []byte) bool {
	marks := 0
	for _, c := range w {
		switch {
		case c == '.' || c == '-' || c == ':':
			marks++
		case hexDigit(c) > 15:
			return false
		}
	}
	return marks == 2 || marks == 5
}
