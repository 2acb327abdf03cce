package flow

import (
	"encoding/binary"
	"time"
)

// action is what taking one field of a record does. The numbers behind are IANA information elements; NetFlow v9
// field types have the same.
type action uint8

const (
	skip             action = iota
	bytesField              // 1
	packetsField            // 2
	totalBytes              // 85
	totalPackets            // 86
	postBytes               // 23
	postPackets             // 24
	initiatorBytes          // 231
	initiatorPackets        // 298
	responderBytes          // 232
	responderPackets        // 299
	reverseBytes            // 1, 85 of PEN 29305 (RFC 5103)
	reversePackets          // 2, 86
	reverseFlags            // 6
	protocol                // 4
	tcpFlags                // 6
	srcPort                 // 7
	dstPort                 // 11
	ofSrcPort               // 180, 182: those of UDP and of TCP, 0 where the flow is of the other
	ofDstPort               // 181, 183
	src4                    // 8
	dst4                    // 12
	src6                    // 27
	dst6                    // 28
	inIf                    // 10
	outIf                   // 14
	inPhysical              // 252
	outPhysical             // 253
	icmp4                   // 32
	icmp6                   // 139
	icmpType                // 176, 178
	icmpCode                // 177, 179
	natSrc4                 // 225, 40001
	natDst4                 // 226, 40002
	natSrc6                 // 281
	natDst6                 // 282
	natSrcPort              // 227, 40003
	natDstPort              // 228, 40004
	natEvent                // 230
	firewallEvent           // 233, 40005
	samplerID               // 48, 302
	recordRate              // 34, 50
	recordInterval          // 305
	recordSpace             // 306
	startUptime             // 22
	endUptime               // 21
	initMilli               // 160
	startSecond             // 150
	endSecond               // 151
	startMilli              // 152
	endMilli                // 153
	startMicro              // 154
	endMicro                // 155
	startNano               // 156
	endNano                 // 157
	startDelta              // 158
	endDelta                // 159
	durationMilli           // 161
	durationMicro           // 162
	observed                // 323
	station4                // 366: the host that a wireless controller tells of
	moreFlags               // flags beside others of the same record
	moreReverseFlags        // the same for the other direction
	orElse                  // a field that counts only where it is not zero, since another tells the same
	srcPort2                // fields in their usual size, taken without a second look at it
	dstPort2
	bytes4
	packets4
	bytes8
	packets8
	in4
	out4
	startUptime4
	endUptime4
	startMilli8
	endMilli8
	typeCode2
	ends4 // two fields in a row that usually stand so, taken at once
	ends6
	ports
	interfaces
	packetsBytes8
	bytesPackets8
	packetsBytes4
	bytesPackets4
	startEndUptime
	endStartUptime
	startEndMilli
	numActions
)

// Private enterprise numbers: that which marks the reverse direction of a biflow (RFC 5103 section 6.1), and that of
// YAF, which tells the TCP flags of the first packet (14) apart from those of all others (15).
const (
	reversePEN = 29305
	yafPEN     = 6871
	yafReverse = 0x4000 // in the number of an element: it is about the reverse direction
)

// action is what a field means to us; skip where its length is none that it can have.
func (f field) action() action {
	if a := f.meaning(); f.Length > 0 && a.fits(f.Length) {
		return a
	}
	return skip
}

func (f field) meaning() action {
	switch f.PEN {
	case 0:
		return elementAction(f.ID)
	case reversePEN:
		switch f.ID {
		case 1, 85:
			return reverseBytes
		case 2, 86:
			return reversePackets
		case 6:
			return reverseFlags
		}
	case yafPEN:
		switch f.ID {
		case 14, 15:
			return tcpFlags
		case yafReverse | 14, yafReverse | 15:
			return reverseFlags
		}
	}
	return skip
}

func elementAction(id uint16) action {
	if int(id) < len(elements) {
		return elements[id]
	}
	if i := int(id) - firstASA; i >= 0 && i < len(elementsASA) {
		return elementsASA[i]
	}
	return skip
}

var elements = [...]action{
	1: bytesField, 2: packetsField, 85: totalBytes, 86: totalPackets, 23: postBytes, 24: postPackets,
	231: initiatorBytes, 298: initiatorPackets, 232: responderBytes, 299: responderPackets,
	4: protocol, 6: tcpFlags, 7: srcPort, 180: ofSrcPort, 182: ofSrcPort, 11: dstPort, 181: ofDstPort, 183: ofDstPort,
	8: src4, 12: dst4, 27: src6, 28: dst6, 366: station4, 10: inIf, 252: inPhysical, 14: outIf, 253: outPhysical,
	32: icmp4, 139: icmp6, 176: icmpType, 178: icmpType, 177: icmpCode, 179: icmpCode,
	225: natSrc4, 226: natDst4, 281: natSrc6, 282: natDst6, 227: natSrcPort, 228: natDstPort, 230: natEvent, 233: firewallEvent,
	48: samplerID, 302: samplerID, 34: recordRate, 50: recordRate, 305: recordInterval, 306: recordSpace,
	22: startUptime, 21: endUptime, 160: initMilli, 150: startSecond, 151: endSecond, 152: startMilli, 153: endMilli,
	154: startMicro, 155: endMicro, 156: startNano, 157: endNano, 158: startDelta, 159: endDelta,
	161: durationMilli, 162: durationMicro, 323: observed,
}

// elementsASA are Cisco ASA's own numbers, from 40001 on: it told translations and firewall events so before there
// were elements for them.
var elementsASA = [...]action{natSrc4, natDst4, natSrcPort, natDstPort, firewallEvent}

const firstASA = 40001

// fits tells whether a field of that length can be read: addresses and NTP times have one length, numbers 1 to 8 bytes.
func (a action) fits(length uint16) bool {
	switch a {
	case src4, dst4, natSrc4, natDst4, station4:
		return length == 4
	case src6, dst6, natSrc6, natDst6:
		return length == 16
	case startMicro, endMicro, startNano, endNano:
		return length == 8
	}
	return length >= 1 && (length <= 8 || length == variable)
}

// sized is the action for a field of its usual size.
func (a action) sized(length uint16) action {
	switch {
	case a == srcPort && length == 2:
		return srcPort2
	case a == dstPort && length == 2:
		return dstPort2
	case a == bytesField && length == 4:
		return bytes4
	case a == bytesField && length == 8:
		return bytes8
	case a == packetsField && length == 4:
		return packets4
	case a == packetsField && length == 8:
		return packets8
	case a == inIf && length == 4:
		return in4
	case a == outIf && length == 4:
		return out4
	case a == startUptime && length == 4:
		return startUptime4
	case a == endUptime && length == 4:
		return endUptime4
	case a == startMilli && length == 8:
		return startMilli8
	case (a == icmp4 || a == icmp6) && length == 2:
		return typeCode2
	case a == endMilli && length == 8:
		return endMilli8
	}
	return a
}

// take puts the field at the start of b, n bytes long, into the event or the scratch space.
func (r *Reader) take(do action, b []byte, n int) {
	e := &r.e
	switch do {
	case src4:
		e.Src = addr4(b[:4])
	case dst4:
		e.Dst = addr4(b[:4])
	case srcPort2:
		e.SrcPort = binary.BigEndian.Uint16(b)
	case dstPort2:
		e.DstPort = binary.BigEndian.Uint16(b)
	case bytes4:
		e.RawBytes = uint64(binary.BigEndian.Uint32(b))
	case packets4:
		e.RawPackets = uint64(binary.BigEndian.Uint32(b))
	case bytes8:
		e.RawBytes = binary.BigEndian.Uint64(b)
	case packets8:
		e.RawPackets = binary.BigEndian.Uint64(b)
	case in4:
		e.InIndex = binary.BigEndian.Uint32(b)
	case out4:
		e.OutIndex = binary.BigEndian.Uint32(b)
	case typeCode2:
		r.rec.typeCode = binary.BigEndian.Uint16(b)
	case startUptime4:
		r.rec.start = binary.BigEndian.Uint32(b)
	case endUptime4:
		r.rec.end = binary.BigEndian.Uint32(b)
	case startMilli8:
		e.Time = clampNanos(binary.BigEndian.Uint64(b), time.Millisecond)
	case endMilli8:
		e.End = clampNanos(binary.BigEndian.Uint64(b), time.Millisecond)
	case src6:
		e.Src = addr16(b[:16])
	case dst6:
		e.Dst = addr16(b[:16])
	case protocol:
		e.Proto = b[n-1]
	case tcpFlags:
		e.TCPFlags = b[n-1]
	case natSrc4:
		e.NATSrc = addr4(b[:4])
	case natDst4:
		e.NATDst = addr4(b[:4])
	case natSrc6:
		e.NATSrc = addr16(b[:16])
	case natDst6:
		e.NATDst = addr16(b[:16])
	case startMicro, startNano:
		e.Time = ntp(binary.BigEndian.Uint64(b))
	case endMicro, endNano:
		e.End = ntp(binary.BigEndian.Uint64(b))
	default:
		r.takeNumber(do, number(b, n))
	}
}

// takeNumber is take for what is an unsigned integer of any size.
func (r *Reader) takeNumber(do action, v uint64) {
	e, rec := &r.e, &r.rec
	switch do {
	case startUptime, startDelta:
		rec.start = uint32(v)
	case endUptime, endDelta:
		rec.end = uint32(v)
	case startMilli:
		e.Time = clampNanos(v, time.Millisecond)
	case durationMilli:
		rec.duration = clampNanos(v, time.Millisecond)
	case durationMicro:
		rec.duration = clampNanos(v, time.Microsecond)
	case endMilli:
		e.End = clampNanos(v, time.Millisecond)
	case startSecond:
		e.Time = clampNanos(v, time.Second)
	case endSecond:
		e.End = clampNanos(v, time.Second)
	case initMilli:
		rec.init = v
	case bytesField:
		e.RawBytes = v
	case packetsField:
		e.RawPackets = v
	case reverseBytes:
		e.RevBytes = v
	case reversePackets:
		e.RevPackets = v
	case reverseFlags:
		e.RevTCPFlags = uint8(v)
	case moreFlags:
		e.TCPFlags |= uint8(v)
	case moreReverseFlags:
		e.RevTCPFlags |= uint8(v)
	case srcPort:
		e.SrcPort = uint16(v)
	case dstPort:
		e.DstPort = uint16(v)
	case inIf:
		e.InIndex = clamp32(v)
	case outIf:
		e.OutIndex = clamp32(v)
	case natSrcPort:
		e.NATSrcPort = uint16(v)
	case natDstPort:
		e.NATDstPort = uint16(v)
	case natEvent:
		e.NATEvent = uint8(v)
	case firewallEvent:
		rec.firewall = uint8(v)
	case icmp4, icmp6:
		rec.typeCode = uint16(v)
	case icmpType:
		rec.typeCode = rec.typeCode&0xff | uint16(uint8(v))<<8
	case icmpCode:
		rec.typeCode = rec.typeCode&0xff00 | uint16(uint8(v))
	case samplerID:
		rec.sampler = v
	case recordRate:
		e.Sampling = clamp32(v)
	case recordInterval:
		rec.interval = v
	case recordSpace:
		rec.space = v
	}
}
