package fwlog

import (
	"bytes"
	"math"
	"strings"

	"varde/event"
	"varde/input/syslog"
)

// mikrotik reads RouterOS, old and v7:
//
//	[topics ][PREFIX ]chain: in:IF out:IF, [connection-state:S ][src-mac M, ]proto P[ (FLAGS)], S:sp->D:dp[, NAT ...], len N
//
// Names of interfaces hold blanks and angle brackets, so that only the comma ends them. What belongs to a connection that
// the router knows, and of which the prefix does not say that it was dropped, was only watched.
func (r *Reader) mikrotik(l *syslog.Line) verdict {
	b := l.Text
	at := bytes.Index(b, []byte(": in:"))
	if at >= 0 {
		at += 2
	} else if !hasPrefix(b, "in:") {
		return foreign
	} else {
		at = 0
	}
	out := bytes.Index(b[at:], []byte(" out:"))
	if out < 0 {
		return foreign
	}
	c := cursor{b[at+out+len(" out:"):]}
	proto := bytes.Index(c.b, []byte("proto "))
	if proto < 0 {
		return foreign
	}
	comma := bytes.IndexByte(c.b[:proto], ',')
	if comma < 0 {
		return foreign
	}
	e := r.fresh(l)
	e.InIf = r.texts.of(noInterface(b[at+len("in:") : at+out]))
	e.OutIf = r.texts.of(noInterface(c.b[:comma]))
	state := cursor{c.b[comma:proto]}
	var known []byte
	if state.past("connection-state:") {
		known = bytes.TrimSuffix(state.word(), []byte(","))
		r.detail("state", known)
	}
	c.b = c.b[proto+len("proto "):]
	if !r.routerProtocol(&c) || !r.arrow(&c) {
		return broken
	}
	if !c.past(", len ") {
		return broken // each line ends so: the address or port before it may be cut
	}
	v, _ := c.number()
	e.Bytes = min(v, math.MaxUint32)
	action := r.rule(r.heads.of(b[:max(at-2, 0)], (*Reader).judgeHead, r))
	if action == event.UnknownAction && (hasPrefix(known, "established") || hasPrefix(known, "related")) {
		action = event.Audit
	}
	return r.finish(action, 0)
}

// noInterface makes "(none)" and "(unknown 0)" empty.
func noInterface(b []byte) []byte {
	if len(b) > 0 && b[0] == '(' {
		return nil
	}
	return b
}

// routerProtocol reads "TCP (SYN,ACK), ", "ICMP (type 8, code 0), ", "UDP, " and "47, ".
func (r *Reader) routerProtocol(c *cursor) bool {
	e := &r.ev
	n := 0
	for n < len(c.b) && c.b[n] != ' ' && c.b[n] != ',' {
		n++
	}
	var ok bool
	if e.Proto, ok = protocol(c.b[:n]); !ok {
		return false
	}
	c.b = c.b[n:]
	c.blanks()
	if !c.take("(") {
		return c.take(",")
	}
	inside := cursor{c.upTo(')')}
	switch {
	case e.Proto == event.TCP:
		flags := uint8(0)
		for len(inside.b) > 0 {
			flags |= flagWord(inside.upTo(','))
		}
		r.flagsTold(flags)
	case inside.take("type "):
		t, ok := inside.number()
		if !ok || t > math.MaxUint8 || !inside.take(", code ") {
			return false
		}
		code, ok := inside.number()
		if !ok || code > math.MaxUint8 {
			return false
		}
		e.HasICMP, e.ICMPType, e.ICMPCode = true, uint8(t), uint8(code)
	}
	c.blanks()
	return c.take(",")
}

// arrow reads "S:sp->D:dp" and the translation behind it, of which there are two shapes: "(S->s)->D" for a translated
// source and "S->(d->D)" for a translated destination. What stands before the translation is what was sent, so it is
// the address of the event.
func (r *Reader) arrow(c *cursor) bool {
	e := &r.ev
	c.blanks()
	var ok bool
	if e.Src, e.SrcPort, ok = c.end(); !ok || !c.take("->") {
		return false
	}
	if e.Dst, e.DstPort, ok = c.end(); !ok {
		return false
	}
	if !c.take(", NAT ") {
		return true
	}
	if c.take("(") {
		if e.Src, e.SrcPort, ok = c.end(); !ok || !c.take("->") {
			return false
		}
		if e.NATSrc, e.NATSrcPort, ok = c.end(); !ok || !c.take(")->") {
			return false
		}
		if c.take("(") { // both ends
			return r.translated(c)
		}
		e.Dst, e.DstPort, ok = c.end()
		return ok
	}
	if e.Src, e.SrcPort, ok = c.end(); !ok || !c.take("->(") {
		return false
	}
	return r.translated(c)
}

func (r *Reader) translated(c *cursor) (ok bool) {
	e := &r.ev
	if e.Dst, e.DstPort, ok = c.end(); !ok || !c.take("->") {
		return false
	}
	if e.NATDst, e.NATDstPort, ok = c.end(); !ok {
		return false
	}
	return c.take(")")
}

// judgeHead reads what stands before the interface: "firewall,info PREFIX: PREFIX chain". The prefix may stand there
// twice, once as the name of the program.
func (r *Reader) judgeHead(text string) ruling {
	head := strings.TrimSpace(text)
	i := strings.LastIndexByte(head, ' ') + 1
	p := ruling{text: text, chain: head[i:]}
	prefix := strings.TrimSpace(head[:i])
	if first, rest, _ := strings.Cut(prefix, " "); strings.HasPrefix(first, "firewall") {
		prefix = rest
	}
	if a, b, ok := strings.Cut(prefix, ": "); ok && a == strings.TrimSuffix(b, ":") {
		prefix = a
	}
	p.rule = strings.Trim(prefix, " :")
	if p.action = r.action(prefix); p.action == event.NoAction {
		p.action = words(prefix)
	}
	return p
}
