package flow

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"varde/event"
)

// File decodes a file of IPFIX messages one after the other (RFC 5655). Its records come from the exporter of the
// name given; what is held for want of a template at the end is counted as undecoded.
func (r *Reader) File(name string, src io.Reader) error {
	in := bufio.NewReaderSize(src, 1<<16)
	buf := make([]byte, 0xffff)
	x := &exporter{c: r.c, kept: true, name: name, domains: map[domainKey]*domain{}}
	defer func() { x.book(-x.memory) }()
	for offset := int64(0); ; {
		head, err := in.Peek(ipfixHeader)
		if len(head) == 0 && errors.Is(err, io.EOF) {
			x.expire(r.c, event.Nanos(time.Unix(1<<32, 0)))
			return nil
		}
		length := 0
		if len(head) == ipfixHeader {
			length = int(binary.BigEndian.Uint16(head[2:]))
		}
		if length < ipfixHeader || binary.BigEndian.Uint16(head) != uint16(IPFIX) {
			return fmt.Errorf("%s: no IPFIX message begins at byte %d", name, offset)
		}
		if _, err := io.ReadFull(in, buf[:length]); err != nil {
			return fmt.Errorf("%s: the IPFIX message at byte %d is cut short: it should have %d bytes", name, offset, length)
		}
		offset += int64(length)
		r.fileMessage(x, buf[:length])
	}
}

func (r *Reader) fileMessage(x *exporter, b []byte) {
	m := &r.rec.message
	*m = message{version: IPFIX, file: true, x: x}
	sets, id, seq, ok := r.header(m, b)
	if !ok {
		return
	}
	m.received = m.exported
	if m.d = x.domain(domainKey{version: IPFIX, id: id}); m.d == nil {
		r.c.reject(tooManyDomains, netip.AddrPort{}, m.received, maxDomains)
		return
	}
	m.s = m.d.stream(0, m.received)
	r.sets(m, sets)
	r.retry(m)
	r.follow(x, m.d, 0, m.received, 0, seq, m.records)
	m.s.held += m.holds
	if m.learned {
		r.release(m)
	}
}
