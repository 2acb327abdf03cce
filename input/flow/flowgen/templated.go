package flowgen

import (
	"encoding/binary"
	"time"

	"varde/event"
)

// Headers of NetFlow v9 (RFC 3954) and IPFIX (RFC 7011), and of a set in either.
const (
	header9     = 20
	headerIPFIX = 16
	headerSet   = 4
)

// flushTemplated writes NetFlow v9 or IPFIX: a data datagram holds one set of one template.
func (x *Exporter) flushTemplated(now int64, send func([]byte)) (left int) {
	queues := make([][]*event.Event, len(x.layouts))
	for i := range x.waiting {
		if j := x.layoutOf(&x.waiting[i]); j >= 0 {
			queues[j] = append(queues[j], &x.waiting[i])
		} else {
			left++
		}
	}
	for j := range x.layouts {
		l := &x.layouts[j]
		most := (x.cfg.Payload - header9 - headerSet) / l.size
		for todo := queues[j]; len(todo) > 0; {
			if x.sent%x.cfg.TemplateEvery == 0 {
				x.sendTemplates(now, send)
			}
			n := min(most, len(todo))
			send(x.data(now, l, todo[:n]))
			todo = todo[n:]
		}
	}
	return left
}

func (x *Exporter) layoutOf(e *event.Event) int {
	for j := range x.layouts {
		if x.layouts[j].suits(e) {
			return j
		}
	}
	return -1
}

// open begins a datagram with an empty header.
func (x *Exporter) open() []byte {
	if x.cfg.Protocol == IPFIX {
		return make([]byte, headerIPFIX, x.cfg.Payload)
	}
	return make([]byte, header9, x.cfg.Payload)
}

// openSet begins a set; closeSet pads it to four bytes and writes its length.
func openSet(b []byte, id uint16) (start int, with []byte) {
	return len(b), append(b, byte(id>>8), byte(id), 0, 0)
}

func closeSet(b []byte, start int) []byte {
	for (len(b)-start)%4 != 0 {
		b = append(b, 0)
	}
	binary.BigEndian.PutUint16(b[start+2:], uint16(len(b)-start))
	return b
}

// seal fills the header in. Count is the number of records and templates, which NetFlow v9 tells; records is the
// number of data records, options included, by which IPFIX advances its sequence. NetFlow v9 counts datagrams.
func (x *Exporter) seal(b []byte, now int64, count, records int) []byte {
	be := binary.BigEndian
	x.sent++
	if x.cfg.Protocol == IPFIX {
		be.PutUint16(b, 10)
		be.PutUint16(b[2:], uint16(len(b)))
		be.PutUint32(b[4:], uint32(now/int64(time.Second)))
		be.PutUint32(b[8:], x.sequence)
		be.PutUint32(b[12:], x.cfg.Domain)
		x.sequence += uint32(records)
		return b
	}
	be.PutUint16(b, 9)
	be.PutUint16(b[2:], uint16(count))
	be.PutUint32(b[4:], x.uptime(now))
	be.PutUint32(b[8:], uint32(now/int64(time.Second)))
	be.PutUint32(b[12:], x.sequence)
	be.PutUint32(b[16:], x.cfg.Domain)
	x.sequence++
	return b
}

func (x *Exporter) data(now int64, l *layout, events []*event.Event) []byte {
	if x.cfg.Protocol == NetFlow9 {
		now = wholeSecond(now, events)
	}
	start, b := openSet(x.open(), l.id)
	for _, e := range events {
		for i := range l.fields {
			b = l.fields[i].put(x, b, e)
		}
	}
	return x.seal(closeSet(b, start), now, len(events), len(events))
}

// wholeSecond is the time for a header of NetFlow v9, which tells whole seconds beside an uptime in milliseconds:
// the uptime must be that of the whole second, or the flows would move by the rest. It is the second that has begun,
// or the next where a flow ended after it, since an end beyond the uptime reads as one from before the last wrap.
func wholeSecond(now int64, events []*event.Event) int64 {
	second := now - now%int64(time.Second)
	for _, e := range events {
		if e.Last() > second {
			return second + int64(time.Second)
		}
	}
	return second
}

// sendTemplates writes all templates, in as many datagrams as they need, and the sampling rate where there is one to
// tell.
func (x *Exporter) sendTemplates(now int64, send func([]byte)) {
	if x.cfg.Protocol == NetFlow9 {
		now = wholeSecond(now, nil)
	}
	set := uint16(0)
	if x.cfg.Protocol == IPFIX {
		set = 2
	}
	start, b := openSet(x.open(), set)
	count := 0
	for i := range x.layouts {
		t := x.layouts[i].template()
		if len(b)+len(t) > x.cfg.Payload {
			send(x.seal(closeSet(b, start), now, count, 0))
			start, b = openSet(x.open(), set)
			count = 0
		}
		b = append(b, t...)
		count++
	}
	b = closeSet(b, start)
	switch o := x.options(); {
	case x.cfg.Sampling == 0:
		send(x.seal(b, now, count, 0))
	case len(b)+len(o) <= x.cfg.Payload:
		send(x.seal(append(b, o...), now, count+2, 1))
	default:
		send(x.seal(b, now, count, 0))
		send(x.seal(append(x.open(), o...), now, 2, 1))
	}
	x.sendNames(now, send)
}

// template is the template record of a layout.
func (l *layout) template() []byte {
	be := binary.BigEndian
	b := be.AppendUint16(nil, l.id)
	b = be.AppendUint16(b, uint16(len(l.fields)))
	for _, f := range l.fields {
		if f.pen == 0 {
			b = be.AppendUint16(b, f.id)
			b = be.AppendUint16(b, f.len)
			continue
		}
		b = be.AppendUint16(b, f.id|0x8000)
		b = be.AppendUint16(b, f.len)
		b = be.AppendUint32(b, f.pen)
	}
	return b
}

// options is an options template with its one record: samplingInterval (34) of the whole domain. Most collectors take
// samplingAlgorithm (35, where 2 is random) beside it, but nfcapd 1.7.1 then ignores both, so it is told only on demand.
// NetFlow v9 gives the lengths of scope and options in bytes, IPFIX their number of fields.
func (x *Exporter) options() []byte {
	be := binary.BigEndian
	fields := []spec{{34, 4, 0, nil}}
	if x.algorithm {
		fields = append(fields, spec{35, 1, 0, nil})
	}
	set, scope, head := uint16(1), uint16(1), []uint16{4, uint16(4 * len(fields))} // scope: system (1)
	if x.cfg.Protocol == IPFIX {
		set, scope, head = 3, 149, []uint16{uint16(1 + len(fields)), 1} // scope: observationDomainId (149)
	}
	start, b := openSet(nil, set)
	for _, v := range []uint16{optionsTemplate, head[0], head[1], scope, 4} {
		b = be.AppendUint16(b, v)
	}
	for _, f := range fields {
		b = be.AppendUint16(b, f.id)
		b = be.AppendUint16(b, f.len)
	}
	start, b = openSet(closeSet(b, start), optionsTemplate)
	b = be.AppendUint32(b, x.cfg.Domain)
	b = be.AppendUint32(b, x.cfg.Sampling)
	if x.algorithm {
		b = append(b, 2)
	}
	return closeSet(b, start)
}
