package fwlog

import (
	"math"
	"net/netip"

	"varde/event"
	"varde/input/syslog"
)

// filterlog reads the lines of pf that pfSense and OPNsense make. The fields are counted from the front alone, as their
// number differs by protocol:
//
//	rule,sub,anchor,tracker,if,reason,action,dir,4,tos,ecn,ttl,id,offset,flags,protonum,protoname,len,src,dst,...
//	rule,sub,anchor,tracker,if,reason,action,dir,6,class,flow,hoplimit,protoname,protonum,len,src,dst,...
func (r *Reader) filterlog(l *syslog.Line) verdict {
	c := cursor{l.Text}
	named := string(l.Tag) == "filterlog"
	if named {
		c.b = l.Body
	} else if len(c.b) == 0 || !isDigit(c.b[0]) {
		return foreign
	}
	bad := foreign // for a line that does not say that it is of pf
	if named {
		bad = broken
	}
	var head [9][]byte
	for i := range head {
		head[i] = c.upTo(',')
	}
	action, ok := pfAction(head[6])
	if _, number := whole(head[0], math.MaxUint32); !number || !ok || len(c.b) == 0 {
		return bad
	}
	e := r.fresh(l)
	e.Rule, e.InIf = r.texts.of(head[3]), r.texts.of(head[4])
	switch string(head[7]) {
	case "in":
		r.note("direction", "in")
	case "out":
		r.note("direction", "out")
		e.InIf, e.OutIf = "", e.InIf
	default:
		return bad
	}
	if e.Rule == "" || e.Rule == "0" {
		e.Rule = r.texts.of(head[0])
	}
	if reason := head[5]; string(reason) != "match" {
		r.detail("reason", reason)
	}
	switch string(head[8]) {
	case "4":
		ok = r.pf4(&c)
	case "6":
		ok = r.pf6(&c)
	default:
		return bad
	}
	if !ok || !r.pfPacket(&c) {
		return broken
	}
	return r.finish(action, 0)
}

func pfAction(b []byte) (event.Action, bool) {
	switch string(b) {
	case "block", "reject":
		return event.Deny, true
	case "pass":
		return event.Accept, true
	case "match":
		return event.Audit, true
	case "rdr", "nat", "binat", "nordr", "nonat", "nobinat", "scrub", "noscrub", "synproxy-drop", "unkn(8)":
		return event.UnknownAction, true
	}
	return event.UnknownAction, false
}

func (c *cursor) skip(fields int) {
	for range fields {
		c.upTo(',')
	}
}

func (r *Reader) pf4(c *cursor) bool {
	c.skip(4) // tos, ecn, ttl, id
	if offset := c.upTo(','); string(offset) != "0" {
		r.detail("fragment", offset)
	}
	c.skip(1) // flags
	v, ok := whole(c.upTo(','), math.MaxUint8)
	c.skip(1) // protoname
	r.ev.Proto = uint8(v)
	return ok
}

func (r *Reader) pf6(c *cursor) bool {
	c.skip(4) // class, flow, hoplimit, protoname
	v, ok := whole(c.upTo(','), math.MaxUint8)
	r.ev.Proto = uint8(v)
	return ok
}

// pfPacket reads what both versions of IP have.
func (r *Reader) pfPacket(c *cursor) (ok bool) {
	e := &r.ev
	length, ok := whole(c.upTo(','), math.MaxUint32)
	if !ok {
		return false
	}
	e.Bytes = length
	if e.Src, ok = wholeAddress(c.upTo(',')); !ok {
		return false
	}
	if e.Dst, ok = c.wholeAddress(); !ok {
		return false
	}
	switch {
	case e.Proto != event.TCP && e.Proto != event.UDP:
		r.pfICMP(c)
		return true
	case len(c.b) == 0:
		return e.Detail.Get("fragment") != ""
	}
	s, ok1 := whole(c.upTo(','), math.MaxUint16)
	d, ok2 := whole(c.upTo(','), math.MaxUint16)
	if !ok1 || !ok2 || len(c.b) == 0 {
		return false
	}
	e.SrcPort, e.DstPort = uint16(s), uint16(d)
	if e.Proto == event.TCP {
		c.skip(1) // length of the data
		if len(c.b) == 0 {
			return false
		}
		flags, ok := flagLetters(c.upTo(','))
		r.flagsTold(flags)
		return ok
	}
	return true
}

// wholeAddress takes an address with the comma behind it. Something follows always; without the comma it may be cut.
func (c *cursor) wholeAddress() (netip.Addr, bool) {
	b := c.upTo(',')
	a, ok := wholeAddress(b)
	return a, ok && c.b != nil
}

// pfICMP reads the word that pf has in place of type and code, where it tells both.
func (r *Reader) pfICMP(c *cursor) {
	e := &r.ev
	var t, code uint8
	word := string(c.upTo(','))
	switch {
	case e.Proto == event.ICMPv6 && word == "request":
		t = 128
	case e.Proto == event.ICMPv6 && word == "reply":
		t = 129
	case e.Proto != event.ICMP:
		return
	case word == "request":
		t = 8
	case word == "reply":
		t = 0
	case word == "unreachproto":
		t, code = 3, 2
	case word == "unreachport":
		t, code = 3, 3
	case word == "needfrag":
		t, code = 3, 4
	case word == "tstamp":
		t = 13
	case word == "tstampreply":
		t = 14
	default:
		return
	}
	e.HasICMP, e.ICMPType, e.ICMPCode = true, t, code
}
