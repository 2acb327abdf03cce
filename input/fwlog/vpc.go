package fwlog

import (
	"math"
	"time"

	"varde/event"
	"varde/input/syslog"
)

// vpc reads flow logs of AWS, version 2, which have no envelope:
//
//	version account interface src dst sport dport protocol packets bytes start end action status
//
// The packets came at some time from start to end, which may be ten minutes.
func (r *Reader) vpc(l *syslog.Line) verdict {
	c := cursor{l.Raw}
	if c.take("version account-id interface-id") {
		return ignored
	}
	if !c.take("2 ") {
		return foreign
	}
	var f [13][]byte
	for i := range f {
		f[i] = c.word()
	}
	account, network, status := f[0], f[1], f[12]
	if _, ok := whole(account, math.MaxUint64); !ok && string(account) != "unknown" || !hasPrefix(network, "eni-") && string(network) != "-" {
		return foreign
	}
	switch string(status) {
	case "OK":
	case "NODATA":
		return ignored
	case "SKIPDATA":
		r.lost = 1
		return ignored
	default:
		return broken
	}
	e := r.fresh(l)
	var ok1, ok2 bool
	e.Src, ok1 = wholeAddress(f[2])
	e.Dst, ok2 = wholeAddress(f[3])
	if !ok1 || !ok2 {
		return broken
	}
	var v [7]uint64
	for i, most := range [...]uint64{math.MaxUint16, math.MaxUint16, math.MaxUint8, math.MaxUint64, math.MaxUint64, math.MaxUint32, math.MaxUint32} {
		var ok bool
		if v[i], ok = whole(f[4+i], most); !ok {
			return broken
		}
	}
	e.SrcPort, e.DstPort, e.Proto = uint16(v[0]), uint16(v[1]), uint8(v[2])
	e.Packets, e.Bytes = v[3], v[4]
	e.Time, e.End = int64(v[5])*int64(time.Second), int64(v[6])*int64(time.Second)
	e.InIf = r.texts.of(network)
	r.detail("account", account)
	switch string(f[11]) {
	case "ACCEPT":
		return r.finish(event.Accept, 0)
	case "REJECT":
		return r.finish(event.Deny, v[3])
	}
	return broken
}
