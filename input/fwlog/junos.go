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
		k := bytes.IndexByte(c.b, '=')
		if k < 0 {
			break
		}
		key := c.b[bytes.LastIndexByte(c.b[:k], ' ')+1 : k]
		c.b = c.b[k+1:]
		if !c.take(`"`) {
			continue
		}
		i := quoteEnd(c.b)
		value := c.b[:i]
		c.b = c.b[min(i+1, len(c.b)):]
		if !r.junosField(key, value) {
			return false
		}
	}
	return e.Src.IsValid() && e.Dst.IsValid()
}

// quoteEnd is where the next '"' is that has no backslash before it, or the end.
func quoteEnd(b []byte) int {
	for i := 0; i < len(b); i++ {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			break
		}
		if i += n; i == 0 || b[i-1] != '\\' {
			return i
		}
	}
	return len(b)
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

// junosPlain reads "session denied A/p->B/q [0xTAG] SERVICE proto(icmptype) POLICY FROM-ZONE TO-ZONE ...", in which for
// ICMP the numbers behind the slashes are no ports. Reason and tag may be missing, so that it is read from the arrow on.
func (r *Reader) junosPlain(c *cursor) (ok bool) {
	e := &r.ev
	arrow := bytes.Index(c.b, []byte("->"))
	if arrow < 0 {
		return false
	}
	left := c.b[:arrow]
	var n int
	left = left[bytes.LastIndexByte(left, ' ')+1:]
	if e.Src, e.SrcPort, n = endpoint(left, '/'); n == 0 || n != len(left) {
		return false
	}
	c.b = c.b[arrow+2:]
	if e.Dst, e.DstPort, n = endpoint(c.b, '/'); n == 0 {
		return false
	}
	c.b = c.b[n:]
	const most = 16 // words before the protocol; closed sessions have eight
	for range most {
		w := c.word()
		p, k := number(w)
		if k == 0 || k >= len(w) || w[k] != '(' || w[len(w)-1] != ')' {
			if len(w) == 0 {
				return false
			}
			continue
		}
		t, ok := whole(w[k+1:len(w)-1], math.MaxUint8)
		if !ok || p > math.MaxUint8 {
			return false
		}
		e.Proto = uint8(p)
		if e.Proto == event.ICMP || e.Proto == event.ICMPv6 {
			e.HasICMP, e.ICMPType = true, uint8(t)
		}
		e.Rule = r.texts.of(c.word())
		r.detail("src_zone", c.word())
		r.detail("dst_zone", c.word())
		return true
	}
	return false
}
