package fwlog

import (
	"bytes"
	"math"
	"net/netip"

	"varde/event"
	"varde/input/syslog"
)

// asa reads what ASA, FTD, PIX and FWSM deny, and the hit counts of their access lists. All other messages, which are
// nearly all, are passed over.
func (r *Reader) asa(l *syslog.Line) verdict {
	i := bytes.IndexByte(l.Text, '%')
	if i < 0 {
		return foreign
	}
	c := cursor{l.Text[i:]}
	if !c.take("%ASA-") && !c.take("%FTD-") && !c.take("%PIX-") && !c.take("%FWSM-") {
		return foreign
	}
	name := c.word()
	name = bytes.TrimSuffix(name, []byte(":"))
	id, ok := whole(name[bytes.LastIndexByte(name, '-')+1:], 999999)
	if !ok || !asaKnown(id) {
		return ignored
	}
	c.blanks()
	c.take(": ")
	e := r.fresh(l)
	action := event.Deny
	switch id {
	case 106001, 106006, 106007, 106015, 106016, 106021, 106022, 710003, 710005:
		ok = r.asaFrom(&c, id >= 710000)
	case 106010, 106014, 106023:
		ok = r.asaSrc(&c, id == 106010)
	case 106100, 106102, 106103:
		action, ok = r.asaHits(&c)
	case 313001, 313004, 313008:
		ok = r.asaICMP(&c, id == 313004)
	}
	if !ok || !e.Src.IsValid() && !e.Dst.IsValid() && len(e.Detail) == 0 {
		return broken
	}
	return r.finish(action, uint64(e.Count))
}

func asaKnown(id uint64) bool {
	switch id {
	case 106001, 106006, 106007, 106010, 106014, 106015, 106016, 106021, 106022, 106023, 106100, 106102, 106103,
		313001, 313004, 313008, 710003, 710005:
		return true
	}
	return false
}

// asaFrom reads
//
//	106001 Inbound TCP connection denied from A/p to B/q flags F on interface I
//	106006 Deny inbound UDP from A/p to B/q on interface I          106007 ... due to DNS Query
//	106015 Deny TCP (no connection) from A/p to B/q flags F  on interface I
//	106016 Deny IP spoof from (A) to B on interface I               106022 Deny tcp connection spoof from A to B ...
//	106021 Deny UDP reverse path check from A to B on interface I
//	710003 TCP access denied by ACL from A/p to I:B/q               710005 UDP request discarded from A/p to I:B/q
//
// Those of which last tells that B ends the line are believed even though it may be cut.
func (r *Reader) asaFrom(c *cursor, last bool) bool {
	e := &r.ev
	before := c.b
	if !c.past(" from ") {
		return false
	}
	words := cursor{before[:len(before)-len(c.b)]}
	for range 3 {
		if p, ok := protocol(words.word()); ok {
			e.Proto = p
			break
		}
	}
	c.take("(")
	src, ok := r.asaEnd(c)
	if !ok || !c.past(" to ") {
		return false
	}
	dst, ok := r.asaEnd(c)
	if !ok || len(c.b) == 0 && !last {
		return false
	}
	r.asaEnds(src, dst)
	switch rest := *c; {
	case c.past(" flags "):
		flags := uint8(0)
		for w := c.word(); len(w) > 0 && string(w) != "on"; w = c.word() {
			flags |= flagWord(w)
		}
		r.flagsTold(flags)
		r.asaInterface(c)
	default:
		r.asaInterface(&rest)
	}
	if c.past(" due to ") {
		r.detail("reason", c.b)
	}
	return true
}

// asaInterface reads "on interface I".
func (r *Reader) asaInterface(c *cursor) {
	if c.past("interface ") {
		r.ev.InIf = r.texts.of(bytes.TrimSuffix(c.word(), []byte(".")))
	}
}

// asaSrc reads
//
//	106010 Deny inbound P src I:A/p dst J:B/q
//	106014 Deny inbound icmp src I:A dst J:B (type t, code c)
//	106023 Deny [protocol] P src I:A/p[(user)] dst J:B/q[(user)] [(type t, code c)] by access-group "X" [0x0, 0x0]
func (r *Reader) asaSrc(c *cursor, last bool) bool {
	e := &r.ev
	if !c.take("Deny ") {
		return false
	}
	w := c.word()
	if string(w) == "inbound" || string(w) == "protocol" {
		w = c.word()
	}
	p, ok := protocol(w)
	if !ok || !c.past(" src ") {
		return false
	}
	e.Proto = p
	src, ok := r.asaEnd(c)
	if !ok || !c.past(" dst ") {
		return false
	}
	dst, ok := r.asaEnd(c)
	if !ok || len(c.b) == 0 && !last {
		return false
	}
	r.asaEnds(src, dst)
	if rest := *c; rest.past("type ") {
		t, ok1 := rest.number()
		if !ok1 || !rest.take(", code ") {
			return false
		}
		code, ok2 := rest.number()
		if e.Proto == event.ICMP || e.Proto == event.ICMPv6 {
			e.HasICMP, e.ICMPType, e.ICMPCode = true, uint8(t), uint8(code)
		}
		if *c = rest; !ok2 || t > math.MaxUint8 || code > math.MaxUint8 {
			return false
		}
	}
	if c.past(`access-group "`) {
		e.Rule = r.texts.of(c.upTo('"'))
	}
	return true
}

// asaHits reads
//
//	106100 access-list X denied P I/A(p)[(user)] -> J/B(q)[(user)] hit-cnt N first hit [0x0, 0x0]
//	106102 access-list X denied P for user U I/A(p) -> J/B(q) hit-cnt N 300-second interval
//
// where N packets are meant and not one. For ICMP the numbers in brackets are type and code, the one at the source's
// side and the other at the destination's.
func (r *Reader) asaHits(c *cursor) (event.Action, bool) {
	e := &r.ev
	if !c.past("access-list ") {
		return 0, false
	}
	e.Rule = r.texts.of(c.word())
	action := event.Accept
	switch string(c.word()) {
	case "denied":
		action = event.Deny
	case "permitted", "est-allowed":
	default:
		return 0, false
	}
	p, ok := protocol(c.word())
	if !ok {
		return 0, false
	}
	e.Proto = p
	c.blanks()
	if c.take("for user ") {
		r.detail("user", bytes.Trim(c.word(), `'"`))
		c.blanks()
	}
	src, ok := r.asaEnd(c)
	if !ok || !c.past("-> ") {
		return 0, false
	}
	dst, ok := r.asaEnd(c)
	if !ok {
		return 0, false
	}
	r.asaEnds(src, dst)
	if e.Proto == event.ICMP || e.Proto == event.ICMPv6 {
		e.SrcPort, e.DstPort = 0, 0
		if src.port <= math.MaxUint8 && dst.port <= math.MaxUint8 {
			e.HasICMP, e.ICMPType, e.ICMPCode = true, uint8(src.port), uint8(dst.port)
		}
	}
	if !c.past("hit-cnt ") {
		return 0, false
	}
	n, ok := c.number()
	e.Count = uint32(min(n, maxHits))
	return action, ok
}

// asaICMP reads
//
//	313001 Denied ICMP type=t, code=c from A on interface I         313008 Denied IPv6-ICMP type=t, code=c from A ...
//	313004 Denied ICMP type=t, from laddr A on interface I to B: no matching session
func (r *Reader) asaICMP(c *cursor, hasDst bool) bool {
	e := &r.ev
	if !c.take("Denied ") {
		return false
	}
	p, ok := protocol(c.word())
	if !ok || !c.past("type=") {
		return false
	}
	e.Proto = p
	t, ok := c.number()
	if !ok || t > math.MaxUint8 {
		return false
	}
	e.HasICMP, e.ICMPType = true, uint8(t)
	if c.take(", code=") {
		code, ok := c.number()
		if !ok || code > math.MaxUint8 {
			return false
		}
		e.ICMPCode = uint8(code)
	}
	if !c.past(" from ") {
		return false
	}
	c.take("laddr ")
	src, ok := r.asaEnd(c)
	if !ok || !c.take(" on interface ") {
		return false
	}
	r.asaEnds(src, asaEnd{})
	e.InIf = r.texts.of(bytes.TrimSuffix(c.word(), []byte(".")))
	if !hasDst {
		return e.InIf != ""
	}
	if !c.take(" to ") {
		return false
	}
	dst, found := bytes.CutSuffix(c.word(), []byte(":"))
	e.Dst, ok = wholeAddress(dst)
	return ok && found
}

// asaEnd is one end of a connection.
type asaEnd struct {
	addr  netip.Addr
	port  uint16
	iface []byte
	name  []byte // where the device writes a name in place of the address
}

// asaEnd reads I:A/p, I/A(p), A/p and A, where A may be a name and I may hold colons. Names of users may follow in
// brackets.
func (r *Reader) asaEnd(c *cursor) (x asaEnd, ok bool) {
	c.blanks()
	w := c.b
	for i := 0; i < len(w) && w[i] != ' '; i++ {
		if i > 0 && w[i-1] != ':' && w[i-1] != '/' {
			continue
		}
		a, n := address(w[i:])
		if n == 0 || i+n < len(w) && !asaAfter(w[i+n]) {
			continue
		}
		x.addr, x.iface = a, w[:max(i-1, 0)]
		c.b = w[i+n:]
		return x, x.asaPort(c)
	}
	// A name: everything up to the port.
	word := c.word()
	if i := bytes.IndexByte(word, ':'); i > 0 {
		x.iface, word = word[:i], word[i+1:]
	}
	mark := bytes.LastIndexAny(word, "/(")
	if mark < 0 {
		if mark = len(word); len(c.b) == 0 {
			return x, false // it may be cut
		}
	}
	x.name = word[:mark]
	rest := cursor{word[mark:]}
	return x, len(x.name) > 0 && x.asaPort(&rest)
}

func asaAfter(c byte) bool {
	return c == ' ' || c == '/' || c == '(' || c == ')' || c == ',' || c == ':' || c == '%'
}

func (x *asaEnd) asaPort(c *cursor) bool {
	if len(c.b) > 0 && (c.b[0] == '/' || c.b[0] == '(' && len(c.b) > 1 && isDigit(c.b[1])) {
		v, n := port(c.b[1:])
		x.port = v
		c.b = c.b[1+n:]
		return n > 0
	}
	return true
}

// asaEnds puts both ends into the event.
func (r *Reader) asaEnds(src, dst asaEnd) {
	e := &r.ev
	e.Src, e.SrcPort, e.Dst, e.DstPort = src.addr, src.port, dst.addr, dst.port
	e.InIf, e.OutIf = r.texts.of(src.iface), r.texts.of(dst.iface)
	r.detail("src_name", src.name)
	r.detail("dst_name", dst.name)
	if e.Proto == event.ICMP || e.Proto == event.ICMPv6 {
		e.SrcPort, e.DstPort = 0, 0
	}
}
