package flowgen

import (
	"encoding/binary"
	"math"
	"time"

	"varde/event"
)

// NetFlow v5 has a header of 24 bytes and at most 30 records of 48 bytes.
const (
	header5   = 24
	record5   = 48
	most5     = 30
	sampling5 = 0x3fff // the rate has 14 bits, the mode before it two
)

// flush5 writes NetFlow v5, which knows IPv4 alone. Its sequence counts flows.
func (x *Exporter) flush5(now int64, send func([]byte)) (left int) {
	b := make([]byte, header5, header5+record5*most5)
	for i := range x.waiting {
		e := &x.waiting[i]
		if !is4(e) {
			left++
			continue
		}
		if b = x.record5(b, e); len(b) == cap(b) {
			send(x.seal5(b, now))
			b = b[:header5]
		}
	}
	if len(b) > header5 {
		send(x.seal5(b, now))
	}
	return left
}

func (x *Exporter) seal5(b []byte, now int64) []byte {
	be, n := binary.BigEndian, (len(b)-header5)/record5
	be.PutUint16(b, 5)
	be.PutUint16(b[2:], uint16(n))
	be.PutUint32(b[4:], x.uptime(now))
	be.PutUint32(b[8:], uint32(now/int64(time.Second)))
	be.PutUint32(b[12:], uint32(now%int64(time.Second)/milli*milli)) // the moment of the uptime
	be.PutUint32(b[16:], x.sequence)
	be.PutUint16(b[20:], uint16(x.cfg.Domain))
	be.PutUint16(b[22:], 0)
	if x.cfg.Sampling > 1 {
		be.PutUint16(b[22:], 1<<14|uint16(min(x.cfg.Sampling, sampling5)))
	}
	x.sequence += uint32(n)
	x.sent++
	return b
}

func (x *Exporter) record5(b []byte, e *event.Event) []byte {
	be := binary.BigEndian
	src, dst := e.Src.As4(), e.Dst.As4()
	sport, dport := ports(e)
	b = append(append(append(b, src[:]...), dst[:]...), 0, 0, 0, 0) // next hop
	b = be.AppendUint16(b, uint16(min(e.InIndex, math.MaxUint16)))
	b = be.AppendUint16(b, uint16(min(e.OutIndex, math.MaxUint16)))
	b = be.AppendUint32(b, uint32(min(e.Packets, math.MaxUint32)))
	b = be.AppendUint32(b, uint32(min(e.Bytes, math.MaxUint32)))
	b = be.AppendUint32(b, x.uptime(e.Time))
	b = be.AppendUint32(b, x.uptime(e.Last()))
	b = be.AppendUint16(b, sport)
	b = be.AppendUint16(b, dport)
	b = append(b, 0, e.TCPFlags, e.Proto, 0)
	return append(b, make([]byte, 8)...) // AS numbers, prefix lengths, padding
}
