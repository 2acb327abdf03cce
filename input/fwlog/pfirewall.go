package fwlog

import (
	"bytes"
	"math"

	"varde/event"
	"varde/input/syslog"
)

// The columns of pfirewall.log that are read.
const (
	colDate = iota
	colTime
	colAction
	colProtocol
	colSrc
	colDst
	colSrcPort
	colDstPort
	colSize
	colFlags
	colType
	colCode
	colInfo
	colPath
	cols
)

const maxColumns = 32 // of a header; Windows writes 17 or 18

// columns says for each column of the file which of those above it is, or cols.
type columns struct {
	is [maxColumns]uint8
	n  int
}

// defaultColumns are those that Windows writes, for lines of which the header was not seen.
var defaultColumns = columns{
	is: [maxColumns]uint8{
		colDate, colTime, colAction, colProtocol, colSrc, colDst, colSrcPort, colDstPort, colSize, colFlags, cols, cols, cols,
		colType, colCode, colInfo, colPath,
	},
	n: 17,
}

// pfirewall reads pfirewall.log of Windows. It has no envelope, its times are local, and its header names the columns.
func (r *Reader) pfirewall(l *syslog.Line) verdict {
	b := bytes.TrimPrefix(l.Raw, []byte("\xef\xbb\xbf"))
	if len(b) > 0 && b[0] == '#' {
		return r.pfirewallHeader(b)
	}
	if len(b) < stampLength+2 || b[4] != '-' || b[10] != ' ' || b[stampLength] != ' ' || b[stampLength+1]-'A' > 25 {
		return foreign
	}
	c := cursor{b}
	var f [cols + 1][]byte
	missing := false
	for i := range r.columns.n {
		w := c.word()
		missing = len(w) == 0
		if string(w) != "-" {
			f[r.columns.is[i]] = w
		}
	}
	action, hasPacket, ok := pfirewallAction(f[colAction])
	if !ok {
		return foreign
	}
	if !hasPacket {
		if v, ok := whole(f[colInfo], math.MaxUint64); ok && string(f[colAction]) == "INFO-EVENTS-LOST" {
			r.lost = v
		}
		return ignored
	}
	if missing {
		return broken
	}
	e := r.fresh(l)
	e.Exporter = r.exporter(l, nil) // what stands where an envelope has the host is the action
	var stamp [stampLength]byte
	copy(stamp[:], f[colDate])
	copy(stamp[len("2016-06-07 "):], f[colTime])
	if e.Time, ok = r.wall.at(stamp[:]); !ok {
		return broken
	}
	if e.Proto, ok = protocol(f[colProtocol]); !ok {
		return broken
	}
	if e.Src, ok = wholeAddress(f[colSrc]); !ok {
		return broken
	}
	if e.Dst, ok = wholeAddress(f[colDst]); !ok {
		return broken
	}
	if !r.pfirewallRest(&f) {
		return broken
	}
	return r.finish(action, 0)
}

// pfirewallRest reads the columns that may hold "-".
func (r *Reader) pfirewallRest(f *[cols + 1][]byte) bool {
	e := &r.ev
	for col, most := range [cols]uint64{colSrcPort: math.MaxUint16, colDstPort: math.MaxUint16, colSize: math.MaxUint32} {
		if most == 0 || len(f[col]) == 0 {
			continue
		}
		v, ok := whole(f[col], most)
		if !ok {
			return false
		}
		switch col {
		case colSrcPort:
			e.SrcPort = uint16(v)
		case colDstPort:
			e.DstPort = uint16(v)
		case colSize:
			e.Bytes = v
		}
	}
	if e.Proto == event.TCP && len(f[colFlags]) > 0 {
		flags, ok := flagLetters(f[colFlags])
		if !ok {
			return false
		}
		e.TCPFlags = flags
	}
	t, ok1 := whole(f[colType], math.MaxUint8)
	code, ok2 := whole(f[colCode], math.MaxUint8)
	if ok1 && ok2 {
		e.HasICMP, e.ICMPType, e.ICMPCode = true, uint8(t), uint8(code)
	}
	switch string(f[colPath]) {
	case "RECEIVE":
		r.note("direction", "in")
	case "SEND":
		r.note("direction", "out")
	}
	return true
}

// pfirewallAction tells whether there is a packet, and whether the word is one of Windows's.
func pfirewallAction(b []byte) (a event.Action, packet, ok bool) {
	switch string(b) {
	case "DROP":
		return event.Deny, true, true
	case "ALLOW", "OPEN", "OPEN-INBOUND":
		return event.Accept, true, true
	case "CLOSE", "INFO-EVENTS-LOST":
		return 0, false, true
	}
	return 0, false, false
}

// pfirewallHeader reads "#Version: 1.5", "#Software: Microsoft Windows Firewall", "#Time Format: Local", "#Fields: ...".
func (r *Reader) pfirewallHeader(b []byte) verdict {
	c := cursor{b}
	switch {
	case c.take("#Version:"), c.take("#Software: Microsoft Windows Firewall"), c.take("#Time Format:"):
		return ignored
	case !c.take("#Fields: date time action protocol"):
		return foreign
	}
	k := columns{is: [maxColumns]uint8{colDate, colTime, colAction, colProtocol}, n: 4}
	for w := c.word(); len(w) > 0 && k.n < maxColumns; w = c.word() {
		k.is[k.n] = pfirewallColumn(w)
		k.n++
	}
	r.columns = k
	return ignored
}

func pfirewallColumn(w []byte) uint8 {
	switch string(w) {
	case "src-ip":
		return colSrc
	case "dst-ip":
		return colDst
	case "src-port":
		return colSrcPort
	case "dst-port":
		return colDstPort
	case "size":
		return colSize
	case "tcpflags":
		return colFlags
	case "icmptype":
		return colType
	case "icmpcode":
		return colCode
	case "info":
		return colInfo
	case "path":
		return colPath
	}
	return cols
}
