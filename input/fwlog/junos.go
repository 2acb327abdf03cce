package fwlog

import (
	"bytes"
	"math"
	"net/netip"

	"varde/event"
	"varde/input/syslog"
)

// junos reads the session messages of Juniper's SRX. A session that opens is a flow without packets, and has them when it
// closes, so that nothing counts twice.
func (r *Reader) junos(l *syslog.Line) verdict {
	c := cursor{l.MsgID}
	data := cursor{l.Data}
	if !c.take("RT_FLOW_SESSION_") {
		if hasPrefix(c.b, "APPTRACK_") || hasPrefix(c.b, "RT_") {
			return ignored
		}
		c.b = l.Text
		if !c.past("RT_FLOW_SESSION_") {
			return foreign
		}
		data.b = nil
	}
	i := 0
	for i < len(c.b) && c.b[i] != ':' && c.b[i] != ' ' {
		i++
	}
	kind := bytes.TrimSuffix(c.b[:i], []byte("_LS"))
	c.b = c.b[i:]
	if len(data.b) == 0 {
		if k := bytes.Index(c.b, []byte("[junos@")); k >= 0 {
			data.b = c.b[k:]
		}
	}
	action := event.Accept
	switch string(kind) {
	case "DENY":
		action = event.Deny
	case "CREATE", "CLOSE":
	default:
		return ignored
	}
	e := r.fresh(l)
	ok := false
	if len(data.b) > 0 {
		ok = r.junosFields(&data)
	} else {
		ok = r.junosPlain(&c)
	}
	if !ok {
		return broken
	}
	if e.Proto == event.ICMP || e.Proto == event.ICMPv6 {
		e.SrcPort, e.DstPort, e.NATSrcPort, e.NATDstPort = 0, 0, 0, 0
	}
	if e.NATSrc == e.Src && e.NATSrcPort == e.SrcPort {
		e.NATSrc, e.NATSrcPort = netip.Addr{}, 0
	}
	if e.NATDst == e.Dst && e.NATDstPort == e.DstPort {
		e.NATDst, e.NATDstPort = netip.Addr{}, 0
	}
	v := r.finish(action, 0)
	if string(kind) == "CREATE" {
		e.Packets, e.RawPackets = 0, 0
	}
	return v
}

// junosFields reads key="value" pairs. Some devices write typographic quotes around some values, which hold nothing that is
// needed, and some lines are cut.
func (r *Reader) junosFields(c *cursor) bool {
	e := &r.ev
	for {
		key, value, ok := c.pair()
		if !ok {
			break
		}
		if !r.junosField(key, value) {
			return false
		}
	}
	return e.Src.IsValid() && e.Dst.IsValid()
}

func (r *Reader) junosField(key, value []byte) (ok bool) {
	e := &r.ev
	ok = true
	var v uint64
	switch string(key) {
	case "source-address":
		e.Src, ok = wholeAddress(value)
	case "destination-address":
		e.Dst, ok = wholeAddress(value)
	case "source-port":
		v, ok = whole(value, math.MaxUint16)
		e.SrcPort = uint16(v)
	case "destination-port":
		v, ok = whole(value, math.MaxUint16)
		e.DstPort = uint16(v)
	case "nat-source-address":
		e.NATSrc, _ = wholeAddress(value)
	case "nat-destination-address":
		e.NATDst, _ = wholeAddress(value)
	case "nat-source-port":
		v, _ = whole(value, math.MaxUint16)
		e.NATSrcPort = uint16(v)
	case "nat-destination-port":
		v, _ = whole(value, math.MaxUint16)
		e.NATDstPort = uint16(v)
	case "protocol-id":
		v, ok = whole(value, math.MaxUint8)
		e.Proto = uint8(v)
	case "icmp-type":
		if e.Proto == event.ICMP || e.Proto == event.ICMPv6 {
			v, ok = whole(value, math.MaxUint8)
			e.HasICMP, e.ICMPType = ok, uint8(v)
		}
	case "policy-name":
		e.Rule = r.texts.of(value)
	case "packet-incoming-interface":
		e.InIf = r.texts.of(value)
	case "source-zone-name":
		r.detail("src_zone", value)
	case "destination-zone-name":
		r.detail("dst_zone", value)
	case "reason":
		r.detail("reason", value)
	case "username":
		if string(value) != "N/A" {
			r.detail("user", value)
		}
	case "packets-from-client":
		e.Packets, _ = whole(value, math.MaxUint64)
	case "bytes-from-client":
		e.Bytes, _ = whole(value, math.MaxUint64)
	case "packets-from-server":
		e.RevPackets, e.HasReverse = wholeOr(value, e.HasReverse)
	case "bytes-from-server":
		e.RevBytes, e.HasReverse = wholeOr(value, e.HasReverse)
	}
	return ok
}

func wholeOr(b []byte, before bool) (uint64, bool) {
	v, ok := whole(b, math.MaxUint64)
	return v, ok || before
}

// junosPlain reads, where brackets mean what may be missing,
//
//	session denied A/p->B/q [0xTAG] SERVICE PROTO(icmptype) POLICY FROM-ZONE TO-ZONE ...
//	session created A/p->B/q [0xTAG] SERVICE a/p->b/q [0xTAG] RULES PROTO POLICY FROM-ZONE TO-ZONE ID ...
//	session closed REASON: A/p->B/q ... PROTO POLICY FROM-ZONE TO-ZONE ID PACKETS(BYTES) PACKETS(BYTES) ...
//
// For ICMP the numbers behind the slashes are no ports.
func (r *Reader) junosPlain(c *cursor) (ok bool) {
	e := &r.ev
	if e.Src, e.SrcPort, e.Dst, e.DstPort, ok = c.slashes(); !ok {
		return false
	}
	var w [junosWords][]byte
	n := 0
	for n < len(w) {
		before := *c
		word := c.word()
		if len(word) == 0 {
			break
		}
		if bytes.Contains(word, []byte("->")) {
			if e.NATSrc, e.NATSrcPort, e.NATDst, e.NATDstPort, ok = before.slashes(); !ok {
				return false
			}
		}
		w[n] = word
		n++
	}
	for i := 0; i+3 < n; i++ {
		p, k := number(w[i])
		if k == 0 || p > math.MaxUint8 {
			continue
		}
		if k < len(w[i]) {
			t, ok := bracketed(w[i][k:])
			if !ok || t > math.MaxUint8 {
				continue
			}
			if p == event.ICMP || p == event.ICMPv6 {
				e.HasICMP, e.ICMPType = true, uint8(t)
			}
		} else if id, ok := whole(w[min(i+4, n-1)], math.MaxUint64); !ok || id == 0 {
			continue // the name of a rule, which may be a number
		} else if i+6 < n {
			r.junosCounts(w[i+5], w[i+6])
		}
		e.Proto, e.Rule = uint8(p), r.texts.of(w[i+1])
		r.detail("src_zone", w[i+2])
		r.detail("dst_zone", w[i+3])
		return true
	}
	return false
}

const junosWords = 24 // of a closed session the last that is needed is the 18th

// junosCounts reads "6(337)" and "4(535)": packets and bytes of both directions.
func (r *Reader) junosCounts(client, server []byte) {
	e := &r.ev
	p, k := number(client)
	if b, ok := bracketed(client[k:]); k > 0 && ok {
		e.Packets, e.Bytes = p, b
		p, k = number(server)
		e.RevPackets = p
		e.RevBytes, e.HasReverse = bracketed(server[k:])
	}
}

// bracketed reads "(8)".
func bracketed(b []byte) (uint64, bool) {
	if len(b) < 3 || b[0] != '(' || b[len(b)-1] != ')' {
		return 0, false
	}
	return whole(b[1:len(b)-1], math.MaxUint64)
}

// slashes takes the next "A/p->B/q".
func (c *cursor) slashes() (src netip.Addr, sport uint16, dst netip.Addr, dport uint16, ok bool) {
	arrow := bytes.Index(c.b, []byte("->"))
	if arrow < 0 {
		return src, 0, dst, 0, false
	}
	left := c.b[:arrow]
	left = left[bytes.LastIndexByte(left, ' ')+1:]
	n := 0
	if src, sport, n = endpoint(left, '/'); n == 0 || n != len(left) {
		return src, 0, dst, 0, false
	}
	c.b = c.b[arrow+len("->"):]
	if dst, dport, n = endpoint(c.b, '/'); n == 0 {
		return src, 0, dst, 0, false
	}
	c.b = c.b[n:]
	return src, sport, dst, dport, true
}
