package agentx

import (
	"errors"
	"fmt"
)

// errShort is a PDU that ends before what it promises.
var errShort = errors.New("it ends too early")

// decodeHeader reads the header into p, of which all else is emptied, and how many bytes follow it.
func decodeHeader(p *pdu, b []byte) (payload int, err error) {
	*p = pdu{ranges: p.ranges[:0], vars: p.vars[:0], arcs: p.arcs[:0]}
	if len(b) < headerSize {
		return 0, errShort
	}
	if b[0] != version {
		return 0, fmt.Errorf("version %d instead of %d", b[0], version)
	}
	p.kind, p.flags = b[1], b[2]
	order := p.order()
	p.session, p.transaction, p.packet = order.Uint32(b[4:]), order.Uint32(b[8:]), order.Uint32(b[12:])
	n := order.Uint32(b[16:])
	if n > maxPayload || n%4 != 0 {
		return 0, fmt.Errorf("a payload of %d bytes; it is at most %d and a multiple of 4", n, maxPayload)
	}
	return int(n), nil
}

// decodePayload reads what follows the header of p. Nothing in p points into b afterwards.
func decodePayload(p *pdu, b []byte) error {
	d := decoder{b: b, order: p.order(), arcs: p.arcs}
	defer func() { p.arcs = d.arcs }()
	if p.flags&flagContext != 0 && p.kind != pduClose && p.kind != pduResponse {
		p.context = d.octets()
	}
	switch p.kind {
	case pduClose:
		p.reason = d.take(4)[0]
	case pduGet, pduGetNext:
		d.ranges(p)
	case pduGetBulk:
		h := d.take(4)
		p.nonRepeaters, p.maxRepetitions = d.order.Uint16(h), d.order.Uint16(h[2:])
		d.ranges(p)
	case pduTestSet:
		d.variables(p)
	case pduResponse:
		h := d.take(8)
		p.uptime, p.err, p.index = d.order.Uint32(h), d.order.Uint16(h[4:]), d.order.Uint16(h[6:])
		d.variables(p)
	case pduCommitSet, pduUndoSet, pduCleanupSet, pduPing:
	default:
		return fmt.Errorf("type %d is not one that a master sends", p.kind)
	}
	if d.err == nil && len(d.b) > 0 {
		return fmt.Errorf("%d bytes are left over", len(d.b))
	}
	return d.err
}

// decoder reads numbers and texts off the front of b. After an error it gives zeros.
type decoder struct {
	b     []byte
	order byteOrder
	arcs  []uint32 // of all identifiers; those already given stay where they are when it grows
	err   error
}

// take gives the next n bytes, or as many zeros where there are not enough. n is small or known to be there.
func (d *decoder) take(n int) []byte {
	if d.err == nil && n > len(d.b) {
		d.err = errShort
	}
	if d.err != nil {
		d.b = nil
		return make([]byte, n)
	}
	out := d.b[:n]
	d.b = d.b[n:]
	return out
}

// octets reads an octet string (RFC 2741 section 5.3): a length, the bytes, zeros up to a multiple of four.
func (d *decoder) octets() string {
	n := d.order.Uint32(d.take(4))
	padded := (uint64(n) + 3) &^ 3
	if padded > uint64(len(d.b)) {
		d.err, d.b = errShort, nil
		return ""
	}
	return string(d.take(int(padded))[:n])
}

// oid reads an object identifier (RFC 2741 section 5.1) and its include bit. A prefix other than 0 stands for
// 1.3.6.1.prefix.
func (d *decoder) oid() (oid, bool) {
	h := d.take(4)
	n, prefix, include := int(h[0]), uint32(h[1]), h[2] != 0
	if n > len(d.b)/4 {
		d.err, d.b = errShort, nil
		return nil, false
	}
	from := len(d.arcs)
	if prefix != 0 {
		d.arcs = append(d.arcs, 1, 3, 6, 1, prefix)
	}
	if arcs := len(d.arcs) - from + n; arcs > maxArcs {
		d.err, d.b = fmt.Errorf("an object identifier of %d arcs; there are at most %d", arcs, maxArcs), nil
		return nil, false
	}
	for range n {
		d.arcs = append(d.arcs, d.order.Uint32(d.take(4)))
	}
	return d.arcs[from:len(d.arcs):len(d.arcs)], include
}

func (d *decoder) ranges(p *pdu) {
	for len(d.b) > 0 && d.err == nil {
		var r searchRange
		r.start, r.include = d.oid()
		r.end, _ = d.oid()
		p.ranges = append(p.ranges, r)
		d.bound(len(p.ranges))
	}
}

func (d *decoder) variables(p *pdu) {
	for len(d.b) > 0 && d.err == nil {
		var v variable
		v.typ = valueType(d.order.Uint16(d.take(4)))
		v.name, _ = d.oid()
		switch v.typ {
		case typeInteger, typeCounter32, typeGauge32, typeTimeTicks:
			v.number = uint64(d.order.Uint32(d.take(4)))
		case typeCounter64:
			v.number = d.order.Uint64(d.take(8))
		case typeOctets, typeIPAddress, typeOpaque:
			v.octets = d.octets()
		case typeOID:
			v.oid, _ = d.oid()
		case typeNull, noSuchObject, noSuchInstance, endOfMIBView:
		default:
			if d.err == nil {
				d.err = fmt.Errorf("a value of the unknown type %d", v.typ)
			}
		}
		p.vars = append(p.vars, v)
		d.bound(len(p.vars))
	}
}

func (d *decoder) bound(n int) {
	if n > maxRanges && d.err == nil {
		d.err = fmt.Errorf("more than %d names", maxRanges)
	}
}
