package fwlog

import (
	"math"
	"strconv"
	"time"

	"varde/event"
	"varde/input/syslog"
)

// ulogd reads what the JSON output of ulogd2 writes: one flat object a line. Numbers are texts in old versions.
func (r *Reader) ulogd(l *syslog.Line) verdict {
	b := l.Body
	if len(b) == 0 || b[0] != '{' {
		return foreign
	}
	e := r.fresh(l)
	u := ulogdLine{action: event.UnknownAction}
	s := object{b: b, i: 1}
	for {
		key, value, ok := s.member()
		if !ok {
			break
		}
		if !r.ulogdField(key, value, &u) {
			return u.ifOwn(broken)
		}
	}
	switch {
	case !u.own:
		return foreign
	case !e.Src.IsValid() && !e.Dst.IsValid() && u.family != 0 && u.family != inet && u.family != inet6:
		return ignored // ARP and what else a bridge sees
	case !e.Src.IsValid() || !e.Dst.IsValid() || !s.ended:
		return broken
	}
	if u.fragment > 0 { // ulogd takes what stands in it for ports and flags
		e.SrcPort, e.DstPort, u.hasFlags = 0, 0, false
		r.buf = strconv.AppendUint(r.buf[:0], u.fragment, 10)
		r.detail("fragment", r.buf)
	}
	if u.sec > 0 {
		e.Time = int64(u.sec)*int64(time.Second) + int64(u.usec)*int64(time.Microsecond)
	} else if ns, ok := r.ulogdStamp(u.stamp); ok {
		e.Time = ns
	}
	if e.Proto == event.TCP && u.hasFlags {
		r.flagsTold(u.flags)
	}
	p := r.prefixes.of(r.unescape(u.prefix), (*Reader).judge, r)
	if a := r.rule(p); u.action == event.UnknownAction {
		u.action = a
	}
	return r.finish(u.action, u.hits)
}

// Address families as Linux numbers them.
const (
	inet  = 2
	inet6 = 10
)

// ulogdLine is what needs more than one member.
type ulogdLine struct {
	stamp, prefix   []byte
	sec, usec, hits uint64
	family          uint64
	fragment        uint64 // where in its packet a later fragment belongs
	flags           uint8
	hasFlags        bool
	own             bool // it has a key that only ulogd writes
	action          event.Action
}

func (u *ulogdLine) ifOwn(v verdict) verdict {
	if u.own {
		return v
	}
	return foreign
}

func (r *Reader) ulogdField(key, value []byte, u *ulogdLine) (ok bool) {
	e := &r.ev
	ok = true
	var v uint64
	if hasPrefix(key, "oob.") {
		u.own = true
	}
	switch string(key) {
	case "timestamp":
		u.stamp = value
	case "oob.time.sec":
		u.sec, ok = whole(value, math.MaxUint32)
	case "oob.time.usec":
		u.usec, ok = whole(value, 999_999)
	case "oob.prefix":
		u.prefix = value
	case "oob.in":
		e.InIf = r.texts.of(value)
	case "oob.out":
		e.OutIf = r.texts.of(value)
	case "oob.family":
		u.family, _ = whole(value, math.MaxUint8)
	case "action":
		switch string(value) {
		case "blocked":
			u.action = event.Deny
		case "allowed":
			u.action = event.Accept
		}
	case "src_ip":
		e.Src, ok = wholeAddress(value)
	case "dest_ip":
		e.Dst, ok = wholeAddress(value)
	case "src_port":
		v, ok = whole(value, math.MaxUint16)
		e.SrcPort = uint16(v)
	case "dest_port":
		v, ok = whole(value, math.MaxUint16)
		e.DstPort = uint16(v)
	case "ip.protocol", "ip6.nexthdr":
		if v, ok = whole(value, math.MaxUint8); e.Proto == 0 {
			e.Proto = uint8(v)
		}
	case "ip.fragoff":
		const offset = 1<<13 - 1 // beside the flags, RFC 791
		v, _ = whole(value, math.MaxUint16)
		u.fragment = v & offset
	case "ip6.fragoff":
		v, _ = whole(value, math.MaxUint16)
		u.fragment = v &^ 7 // in bytes, beside the flags
	case "raw.pktlen":
		e.Bytes, _ = whole(value, math.MaxUint32)
	case "raw.pktcount":
		if v, ok = whole(value, math.MaxUint32); v > 1 {
			u.hits = v
		}
	case "icmp.type", "icmpv6.type":
		v, ok = whole(value, math.MaxUint8)
		e.HasICMP, e.ICMPType = true, uint8(v)
	case "icmp.code", "icmpv6.code":
		v, ok = whole(value, math.MaxUint8)
		e.ICMPCode = uint8(v)
	default:
		u.flag(key, value)
	}
	return ok
}

// flag reads "tcp.syn": 1.
func (u *ulogdLine) flag(key, value []byte) {
	if len(key) != len("tcp.syn") || !hasPrefix(key, "tcp.") {
		return
	}
	var f uint8
	switch string(key[4:]) {
	case "syn":
		f = event.SYN
	case "ack":
		f = event.ACK
	case "fin":
		f = event.FIN
	case "rst":
		f = event.RST
	case "psh":
		f = event.PSH
	case "urg":
		f = event.URG
	case "ece":
		f = event.ECE
	case "cwr":
		f = event.CWR
	default:
		return
	}
	u.hasFlags = true
	if s := string(value); s == "1" || s == "true" {
		u.flags |= f
	}
}

// ulogdStamp reads "2022-07-25T15:01:58.947620+0200", where fraction and zone may be missing.
func (r *Reader) ulogdStamp(b []byte) (int64, bool) {
	if len(b) < stampLength {
		return 0, false
	}
	c := cursor{b[stampLength:]}
	ns := int64(0)
	if c.take(".") {
		unit := int64(time.Second)
		for len(c.b) > 0 && isDigit(c.b[0]) {
			unit /= 10
			ns += int64(c.b[0]-'0') * unit
			c.b = c.b[1:]
		}
	}
	if len(c.b) == 0 {
		t, ok := r.wall.at(b[:stampLength])
		return t + ns, ok
	}
	f := fortigateLine{date: b[:10], clock: b[11:stampLength], zone: c.b}
	t, ok := f.at(&r.wall)
	return t + ns, ok
}
