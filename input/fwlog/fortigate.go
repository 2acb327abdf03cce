package fwlog

import (
	"bytes"
	"math"
	"time"

	"varde/event"
	"varde/input/syslog"
)

// fortigate reads the traffic log of FortiOS: key=value, where a value with blanks stands in quotes. What other logs say
// of addresses (web filter, virus, VPN) is no packet that a rule denied.
func (r *Reader) fortigate(l *syslog.Line) verdict {
	b := l.Text
	if !fortigateHead(b) {
		return foreign
	}
	e := r.fresh(l)
	f := fortigateLine{}
	c := cursor{b}
	for {
		key, value, ok := c.pair()
		if !ok {
			break
		}
		if string(key) == "type" && string(value) != "traffic" {
			return ignored
		}
		if !r.fortigateField(key, value, &f) {
			return broken
		}
	}
	if !e.Src.IsValid() || !e.Dst.IsValid() || len(f.action) == 0 {
		return broken
	}
	if ns, ok := f.at(&r.wall); ok {
		e.Time = ns
	}
	if e.Proto == event.ICMP || e.Proto == event.ICMPv6 {
		e.SrcPort, e.DstPort = 0, 0
	}
	if e.Rule == "" {
		e.Rule = r.texts.of(f.policy)
	} else {
		r.detail("policy", f.policy)
	}
	action := fortigateAction(f.action)
	if action == event.Deny && e.RevPackets == 0 && e.RevBytes == 0 {
		e.HasReverse = false // there was no session whose counts these are
	}
	return r.finish(action, 0)
}

// fortigateLine is what needs more than one field.
type fortigateLine struct{ date, clock, zone, epoch, action, policy []byte }

// fortigateHead knows a line by fields that only these devices write near the beginning.
func fortigateHead(b []byte) bool {
	const near = 200 // bytes before logid: date, time, names of the device
	b = b[:min(len(b), near)]
	return bytes.Contains(b, []byte("logid=")) || bytes.Contains(b, []byte("devid="))
}

func (r *Reader) fortigateField(key, value []byte, f *fortigateLine) (ok bool) {
	e := &r.ev
	ok = true
	var v uint64
	switch string(key) {
	case "date":
		f.date = value
	case "time":
		f.clock = value
	case "tz":
		f.zone = value
	case "eventtime":
		f.epoch = value
	case "action":
		f.action = value
	case "policyid":
		f.policy = value
	case "policyname":
		e.Rule = r.texts.of(value)
	case "devname":
		if e.Exporter == "" {
			e.Exporter = r.texts.of(value)
		}
	case "srcip":
		e.Src, ok = wholeAddress(value)
	case "dstip":
		e.Dst, ok = wholeAddress(value)
	case "srcport":
		v, ok = whole(value, math.MaxUint16)
		e.SrcPort = uint16(v)
	case "dstport":
		v, ok = whole(value, math.MaxUint16)
		e.DstPort = uint16(v)
	case "srcintf":
		e.InIf = r.texts.of(value)
	case "dstintf":
		e.OutIf = r.texts.of(value)
	case "proto":
		v, ok = whole(value, math.MaxUint8)
		e.Proto = uint8(v)
	case "subtype":
		r.detail("chain", value)
	case "transip":
		e.NATSrc, _ = wholeAddress(value)
	case "transport":
		v, _ = whole(value, math.MaxUint16)
		e.NATSrcPort = uint16(v)
	case "tranip":
		e.NATDst, _ = wholeAddress(value)
	case "tranport":
		v, _ = whole(value, math.MaxUint16)
		e.NATDstPort = uint16(v)
	case "sentpkt":
		e.Packets, _ = whole(value, math.MaxUint64)
	case "sentbyte":
		e.Bytes, _ = whole(value, math.MaxUint64)
	case "rcvdpkt":
		e.RevPackets, e.HasReverse = wholeOr(value, e.HasReverse)
	case "rcvdbyte":
		e.RevBytes, e.HasReverse = wholeOr(value, e.HasReverse)
	case "user":
		r.detail("user", value)
	}
	return ok
}

// at is the time of the line: eventtime, which counts seconds since 1970 in FortiOS 6.0 and nanoseconds later, or date
// and time with the zone beside them, or in that of the configuration.
func (f *fortigateLine) at(w *wall) (int64, bool) {
	const nanoseconds = 1e17 // more than seconds, milliseconds and microseconds of this century
	if v, ok := whole(f.epoch, math.MaxInt64); ok {
		switch {
		case v >= nanoseconds:
			return int64(v), true
		case v < math.MaxUint32:
			return int64(v) * int64(time.Second), true
		}
	}
	if len(f.date) != len("2016-06-07") || len(f.clock) != len("12:38:20") {
		return 0, false
	}
	var b [stampLength]byte
	copy(b[:], f.date)
	copy(b[len("2016-06-07 "):], f.clock)
	if len(f.zone) != len("+0200") || f.zone[0] != '+' && f.zone[0] != '-' {
		return w.at(b[:])
	}
	h, ok1 := two(f.zone[1:], 14)
	m, ok2 := two(f.zone[3:], 59)
	offset := int64(h*3600 + m*60)
	if f.zone[0] == '-' {
		offset = -offset
	}
	y, mo, d, hh, mm, ok3 := civil(b[:])
	s, ok4 := two(b[minuteLength+1:], 60)
	t := time.Date(y, time.Month(mo), d, hh, mm, s, 0, time.UTC).Unix() - offset
	return t * int64(time.Second), ok1 && ok2 && ok3 && ok4
}

func fortigateAction(b []byte) event.Action {
	switch string(b) {
	case "deny", "denied", "block", "blocked", "drop", "dropped", "reject", "rejected":
		return event.Deny
	case "accept", "start", "close", "timeout", "client-rst", "server-rst", "ip-conn", "dns", "pass", "passthrough":
		return event.Accept
	}
	return event.UnknownAction
}
