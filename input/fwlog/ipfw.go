package fwlog

import (
	"bytes"
	"math"

	"varde/event"
	"varde/input/syslog"
)

// ipfw reads the packet filter of FreeBSD: "ipfw: RULE Deny TCP A:p B:q in via IF", "ICMP:8.0 A B", "P:47 A B".
func (r *Reader) ipfw(l *syslog.Line) verdict {
	c := cursor{l.Text}
	switch {
	case string(l.Tag) == "ipfw":
		c.b = l.Body
	case !c.past("ipfw: "):
		return foreign
	}
	c.blanks()
	if len(c.b) == 0 || !isDigit(c.b[0]) {
		return ignored // "limit 100 reached on entry 65000", "Entry 5 cleared"
	}
	e := r.fresh(l)
	e.Rule = r.texts.of(c.word())
	c.blanks()
	action := ipfwAction(c.word())
	c.blanks()
	if c.take("MAC ") || c.take("ARP ") {
		return ignored
	}
	for first := c.word(); !r.ipfwProtocol(first); first = c.word() {
		if len(first) == 0 || !isDigit(first[0]) && first[0] != 't' {
			return broken // between action and protocol there is at most "to", an address or a number
		}
	}
	c.blanks()
	var ok bool
	if e.Src, e.SrcPort, ok = c.end(); !ok || !c.take(" ") {
		return broken
	}
	if e.Dst, e.DstPort, ok = c.end(); !ok || !c.take(" ") {
		return broken
	}
	for w := c.word(); len(w) > 0; w = c.word() {
		switch string(w) {
		case "in":
			r.note("direction", "in")
		case "out":
			r.note("direction", "out")
		case "via":
			if name := r.texts.of(c.word()); len(e.Detail) > 0 && e.Detail[0].Value == "out" {
				e.OutIf = name
			} else {
				e.InIf = name
			}
		case "(frag":
			frag := cursor{c.word()} // "123:20@0+)": identity, length, offset
			frag.upTo('@')
			if offset := bytes.TrimRight(frag.b, "+)"); string(offset) != "0" {
				r.detail("fragment", offset)
			}
		}
	}
	return r.finish(action, 0)
}

func ipfwAction(b []byte) event.Action {
	switch string(b) {
	case "Deny", "Reject", "Reset", "Unreach", "Abort", "Drop", "Denied", "Refuse":
		return event.Deny
	case "Accept", "Allow", "Pass", "Permit", "Forward", "Fwd", "Nat", "Reass":
		return event.Accept
	case "Count":
		return event.Audit
	}
	return event.UnknownAction
}

// ipfwProtocol reads "TCP", "UDP", "ICMP:8.0", "ICMPv6:128.0" and "P:47".
func (r *Reader) ipfwProtocol(w []byte) bool {
	e := &r.ev
	name, rest, cut := bytes.Cut(w, []byte(":"))
	if string(name) == "P" {
		p, ok := whole(rest, math.MaxUint8)
		e.Proto = uint8(p)
		return ok
	}
	p, ok := protocol(name)
	if !ok || isDigit(w[0]) {
		return false
	}
	e.Proto = p
	if !cut {
		return true
	}
	typ, code, _ := bytes.Cut(rest, []byte("."))
	t, ok1 := whole(typ, math.MaxUint8)
	k, ok2 := whole(code, math.MaxUint8)
	e.HasICMP, e.ICMPType, e.ICMPCode = true, uint8(t), uint8(k)
	return ok1 && ok2
}
