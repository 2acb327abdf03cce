package agentx

// encoder writes PDUs into a buffer that is used again.
type encoder struct {
	b     []byte
	order byteOrder
}

// begin writes the header; end fills in the length.
func (e *encoder) begin(p *pdu) {
	e.order = p.order()
	e.b = append(e.b[:0], version, p.kind, p.flags, 0)
	e.u32(p.session)
	e.u32(p.transaction)
	e.u32(p.packet)
	e.u32(0)
}

func (e *encoder) end() []byte {
	e.order.PutUint32(e.b[16:], uint32(len(e.b)-headerSize))
	return e.b
}

func (e *encoder) u16(n uint16) { e.b = e.order.AppendUint16(e.b, n) }
func (e *encoder) u32(n uint32) { e.b = e.order.AppendUint32(e.b, n) }

// bytes writes four bytes of which the last ones are reserved.
func (e *encoder) bytes(b ...byte) {
	e.b = append(e.b, b...)
	e.b = append(e.b, make([]byte, 4-len(b))...)
}

func (e *encoder) octets(s string) {
	e.u32(uint32(len(s)))
	e.b = append(e.b, s...)
	for len(e.b)%4 != 0 {
		e.b = append(e.b, 0)
	}
}

// oid writes an object identifier, 1.3.6.1.x shortened to the prefix x where that fits a byte.
func (e *encoder) oid(o oid, include bool) {
	var prefix, inc byte
	if len(o) > 4 && o[0] == 1 && o[1] == 3 && o[2] == 6 && o[3] == 1 && o[4] > 0 && o[4] < 256 {
		prefix, o = byte(o[4]), o[5:]
	}
	if include {
		inc = 1
	}
	e.bytes(byte(len(o)), prefix, inc)
	for _, a := range o {
		e.u32(a)
	}
}

func (e *encoder) variable(v *variable) {
	e.u16(uint16(v.typ))
	e.u16(0)
	e.oid(v.name, false)
	switch v.typ {
	case typeInteger, typeCounter32, typeGauge32, typeTimeTicks:
		e.u32(uint32(v.number))
	case typeCounter64:
		e.b = e.order.AppendUint64(e.b, v.number)
	case typeOctets, typeIPAddress, typeOpaque:
		e.octets(v.octets)
	case typeOID:
		e.oid(v.oid, false)
	}
}

// open asks for a session. timeout is how many seconds the master waits for our answers, 0 as it likes.
func (e *encoder) open(p *pdu, timeout byte, id oid, description string) []byte {
	e.begin(p)
	e.bytes(timeout)
	e.oid(id, false)
	e.octets(description)
	return e.end()
}

// register asks for a subtree. Lower priorities come first.
func (e *encoder) register(p *pdu, timeout, priority byte, root oid) []byte {
	e.begin(p)
	e.bytes(timeout, priority, 0)
	e.oid(root, false)
	return e.end()
}

// close ends a session.
func (e *encoder) close(p *pdu, reason byte) []byte {
	e.begin(p)
	e.bytes(reason)
	return e.end()
}

// bare is a PDU without anything behind the header, such as Ping.
func (e *encoder) bare(p *pdu) []byte {
	e.begin(p)
	return e.end()
}

// response answers a request. sysUpTime is the master's to fill in (RFC 2741 section 6.2.16).
func (e *encoder) response(p *pdu) []byte {
	e.begin(p)
	e.u32(p.uptime)
	e.u16(p.err)
	e.u16(p.index)
	for i := range p.vars {
		e.variable(&p.vars[i])
	}
	return e.end()
}
