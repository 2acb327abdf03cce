package flow

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// Headers of NetFlow v9 (RFC 3954 section 5.1) and IPFIX (RFC 7011 section 3.1).
const (
	v9Header    = 20
	ipfixHeader = 16
	maxSets     = 1024 // sets of one message; a datagram of 64 KiB of empty sets would hold 16,000
)

// message is what the records of one v9 or IPFIX message share.
type message struct {
	version  Version
	from     netip.AddrPort
	received int64
	exported int64
	uptime   uint32 // milliseconds; v9 only
	boot     int64  // when the exporter started, nanoseconds since 1970; v9 only
	x        *exporter
	d        *domain
	s        *stream
	file     bool
	records  uint32 // data records so far, of options templates too: IPFIX counts both in its sequence
	holds    int    // sets of this message that wait for their template
	learned  bool   // a template is new or has changed
}

// templated decodes a v9 or IPFIX datagram.
func (r *Reader) templated(from netip.AddrPort, b []byte, received int64) {
	x := (*exporter)(nil)
	m := &r.rec.message
	*m = message{version: Version(b[1]), from: from, received: received}
	sets, id, seq, ok := r.header(m, b)
	if !ok {
		return
	}
	if x = r.exporter(from, received); x == nil {
		return
	}
	defer x.mu.Unlock()
	d := x.domain(domainKey{version: m.version, id: id})
	if d == nil {
		r.c.reject(tooManyDomains, from, received, maxDomains)
		return
	}
	m.x, m.d = x, d
	x.version, x.exportLag = m.version, received-m.exported
	if m.version == NetFlow9 {
		m.s = r.follow(x, d, from.Port(), received, m.uptime, seq, 1)
		r.sets(m, sets)
	} else {
		m.s = d.stream(from.Port(), received)
		r.sets(m, sets)
		r.retry(m)
		r.follow(x, d, from.Port(), received, 0, seq, m.records)
	}
	m.s.held += m.holds
	if m.learned {
		r.release(m)
	}
	x.expire(r.c, received)
}

// header reads either header.
func (r *Reader) header(m *message, b []byte) (sets []byte, domain, seq uint32, ok bool) {
	if m.version == NetFlow9 {
		if len(b) < v9Header {
			r.c.reject(tooShort, m.from, m.received, len(b))
			return nil, 0, 0, false
		}
		m.uptime = binary.BigEndian.Uint32(b[4:])
		m.exported = int64(binary.BigEndian.Uint32(b[8:])) * int64(time.Second)
		m.boot = m.exported - int64(m.uptime)*int64(time.Millisecond)
		return b[v9Header:], binary.BigEndian.Uint32(b[16:]), binary.BigEndian.Uint32(b[12:]), true
	}
	if len(b) < ipfixHeader {
		r.c.reject(tooShort, m.from, m.received, len(b))
		return nil, 0, 0, false
	}
	length := int(binary.BigEndian.Uint16(b[2:]))
	if length < ipfixHeader || length > len(b) {
		r.c.reject(lyingLength, m.from, m.received, length)
		return nil, 0, 0, false
	}
	m.exported = int64(binary.BigEndian.Uint32(b[4:])) * int64(time.Second)
	return b[ipfixHeader:length], binary.BigEndian.Uint32(b[12:]), binary.BigEndian.Uint32(b[8:]), true
}

// sets walks the sets of a message. A tail of zeros after the last set is padding that some routers send.
func (r *Reader) sets(m *message, b []byte) {
	templates, options := uint16(0), uint16(1)
	if m.version == IPFIX {
		templates, options = 2, 3
	}
	for n := 0; len(b) >= 4; n++ {
		id, length := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		if id == 0 && length == 0 {
			return
		}
		if length < 4 || length > len(b) || n >= maxSets {
			r.c.reject(badSet, m.from, m.received, length)
			return
		}
		body := b[4:length]
		b = b[length:]
		switch {
		case id == templates:
			r.parseTemplates(m, body, false)
		case id == options:
			r.parseTemplates(m, body, true)
		case id >= 256:
			r.data(m, id, body)
		default:
			r.c.reject(badSet, m.from, m.received, int(id))
		}
	}
}

// data decodes a data set, or holds it until its template is known.
func (r *Reader) data(m *message, id uint16, body []byte) {
	t := r.c.template(m.d, m.from.Port(), id)
	switch {
	case t == nil:
		if m.x.hold(r.c, m, id, body) {
			m.holds++
		} else {
			m.s.blind = true
		}
	case t.scope > 0:
		r.options(m, t, body)
	case t.vary:
		r.varying(m, t, body)
	default:
		r.fixed(m, t, body)
	}
}
