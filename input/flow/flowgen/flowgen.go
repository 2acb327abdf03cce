// Package flowgen is an exporter: it writes events as export datagrams of NetFlow v5, v9, IPFIX and sFlow v5, for the
// demo, for tests and for measurements.
package flowgen

import (
	"encoding/binary"
	"net/netip"
	"time"

	"varde/event"
)

// Protocol is what an Exporter speaks.
type Protocol uint8

// The protocols.
const (
	NetFlow5 Protocol = iota
	NetFlow9
	IPFIX
	SFlow
)

// Config describes an Exporter.
type Config struct {
	Protocol      Protocol
	Domain        uint32     // observation domain, source id, engine or sub-agent
	Agent         netip.Addr // sFlow: the agent's address
	Boot          int64      // when the exporter started, nanoseconds since 1970
	Sampling      uint32     // one in so many packets; 0 says nothing, 1 says every packet
	TemplateEvery int        // templates come again after so many datagrams; 0 is 20
	Payload       int        // largest datagram in bytes; 0 is 1400
}

// Exporter gathers events and writes them as datagrams.
type Exporter struct {
	cfg      Config
	waiting  []event.Event
	sequence uint32
	samples  uint32 // sFlow: sequence of flow samples
	sent     int    // datagrams
}

// New makes an Exporter.
func New(cfg Config) *Exporter {
	if cfg.TemplateEvery == 0 {
		cfg.TemplateEvery = 20
	}
	if cfg.Payload == 0 {
		cfg.Payload = 1400
	}
	return &Exporter{cfg: cfg}
}

// Add takes an event to be exported with the next Flush. Its Packets and Bytes are written as they are.
func (x *Exporter) Add(e *event.Event) { x.waiting = append(x.waiting, *e) }

// Flush writes what waits as datagrams of the time now and hands each to send; they are valid only during the call.
func (x *Exporter) Flush(now int64, send func([]byte)) {
	if len(x.waiting) == 0 {
		return
	}
	switch x.cfg.Protocol {
	case NetFlow5:
		x.flush5(now, send)
	case SFlow:
		x.flushSFlow(now, send)
	default:
		x.flushTemplated(now, send)
	}
	x.waiting = x.waiting[:0]
}

func (x *Exporter) uptime(t int64) uint32 { return uint32((t - x.cfg.Boot) / int64(time.Millisecond)) }

// flush5 writes NetFlow v5; events that are not IPv4 are left out, as such a router does.
func (x *Exporter) flush5(now int64, send func([]byte)) {
	const most = 30
	be := binary.BigEndian
	for todo := x.waiting; len(todo) > 0; {
		b, n := make([]byte, 24, 24+48*most), 0
		for ; len(todo) > 0 && n < most; todo = todo[1:] {
			e := &todo[0]
			if !e.Src.Is4() || !e.Dst.Is4() {
				continue
			}
			b, n = x.record5(b, e), n+1
		}
		if n == 0 {
			return
		}
		be.PutUint16(b, 5)
		be.PutUint16(b[2:], uint16(n))
		be.PutUint32(b[4:], x.uptime(now))
		be.PutUint32(b[8:], uint32(now/int64(time.Second)))
		be.PutUint32(b[12:], uint32(now%int64(time.Second)))
		be.PutUint32(b[16:], x.sequence)
		b[20], b[21] = byte(x.cfg.Domain>>8), byte(x.cfg.Domain)
		if x.cfg.Sampling > 1 {
			be.PutUint16(b[22:], 1<<14|uint16(x.cfg.Sampling&0x3fff))
		}
		x.sequence += uint32(n)
		x.sent++
		send(b)
	}
}

func (x *Exporter) record5(b []byte, e *event.Event) []byte {
	be := binary.BigEndian
	src, dst := e.Src.As4(), e.Dst.As4()
	b = append(append(append(b, src[:]...), dst[:]...), 0, 0, 0, 0)
	b = be.AppendUint16(b, uint16(e.InIndex))
	b = be.AppendUint16(b, uint16(e.OutIndex))
	b = be.AppendUint32(b, uint32(e.Packets))
	b = be.AppendUint32(b, uint32(e.Bytes))
	b = be.AppendUint32(b, x.uptime(e.Time))
	b = be.AppendUint32(b, x.uptime(e.End))
	dport := e.DstPort
	if e.HasICMP {
		dport = uint16(e.ICMPType)<<8 | uint16(e.ICMPCode)
	}
	b = be.AppendUint16(b, e.SrcPort)
	b = be.AppendUint16(b, dport)
	b = append(b, 0, e.TCPFlags, e.Proto, 0)
	b = be.AppendUint32(b, 0) // AS numbers
	return append(b, 0, 0, 0, 0)
}

// spec is one field of a template.
type spec struct {
	id, len uint16
	pen     uint32
	put     func(x *Exporter, b []byte, e *event.Event) []byte
}

const optionsTemplate = 999

// layout is a template: which events it is for, and its fields.
type layout struct {
	id     uint16
	suits  func(e *event.Event) bool
	fields []spec
}

func u8(f func(*event.Event) uint8) func(*Exporter, []byte, *event.Event) []byte {
	return func(_ *Exporter, b []byte, e *event.Event) []byte { return append(b, f(e)) }
}

func u16(f func(*event.Event) uint16) func(*Exporter, []byte, *event.Event) []byte {
	return func(_ *Exporter, b []byte, e *event.Event) []byte { return binary.BigEndian.AppendUint16(b, f(e)) }
}

func u32(f func(*event.Event) uint32) func(*Exporter, []byte, *event.Event) []byte {
	return func(_ *Exporter, b []byte, e *event.Event) []byte { return binary.BigEndian.AppendUint32(b, f(e)) }
}

func u64(f func(*event.Event) uint64) func(*Exporter, []byte, *event.Event) []byte {
	return func(_ *Exporter, b []byte, e *event.Event) []byte { return binary.BigEndian.AppendUint64(b, f(e)) }
}

func address(f func(*event.Event) netip.Addr) func(*Exporter, []byte, *event.Event) []byte {
	return func(_ *Exporter, b []byte, e *event.Event) []byte { return append(b, f(e).AsSlice()...) }
}

const reversePEN = 29305 // RFC 5103

// layouts are the templates of a protocol: the first that suits an event takes it.
func layouts(ipfix bool) []layout {
	v4 := []spec{
		{8, 4, 0, address(func(e *event.Event) netip.Addr { return e.Src })},
		{12, 4, 0, address(func(e *event.Event) netip.Addr { return e.Dst })},
		{32, 2, 0, u16(typeCode)},
	}
	v6 := []spec{
		{27, 16, 0, address(func(e *event.Event) netip.Addr { return e.Src })},
		{28, 16, 0, address(func(e *event.Event) netip.Addr { return e.Dst })},
		{139, 2, 0, u16(typeCode)},
	}
	nat := []spec{
		{225, 4, 0, address(func(e *event.Event) netip.Addr { return e.NATSrc })},
		{226, 4, 0, address(func(e *event.Event) netip.Addr { return e.NATDst })},
		{227, 2, 0, u16(func(e *event.Event) uint16 { return e.NATSrcPort })},
		{228, 2, 0, u16(func(e *event.Event) uint16 { return e.NATDstPort })},
	}
	reverse := []spec{
		{1, 8, reversePEN, u64(func(e *event.Event) uint64 { return e.RevBytes })},
		{2, 8, reversePEN, u64(func(e *event.Event) uint64 { return e.RevPackets })},
		{6, 1, reversePEN, u8(func(e *event.Event) uint8 { return e.RevTCPFlags })},
	}
	rest := common(ipfix)
	is4 := func(e *event.Event) bool { return e.Src.Is4() && e.Dst.Is4() }
	out := []layout{{258, func(e *event.Event) bool { return is4(e) && e.NATSrc.Is4() && e.NATDst.Is4() }, join(v4, nat, rest)}}
	if ipfix {
		out = append(out,
			layout{259, func(e *event.Event) bool { return is4(e) && e.HasReverse }, join(v4, rest, reverse)},
			layout{260, func(e *event.Event) bool { return !is4(e) && e.HasReverse }, join(v6, rest, reverse)})
	}
	return append(out, layout{256, is4, join(v4, rest)}, layout{257, func(e *event.Event) bool { return e.Src.Is6() && e.Dst.Is6() }, join(v6, rest)})
}

// common are the fields that every template has.
func common(ipfix bool) []spec {
	fields := []spec{
		{7, 2, 0, u16(func(e *event.Event) uint16 { return e.SrcPort })},
		{11, 2, 0, u16(func(e *event.Event) uint16 { return e.DstPort })},
		{4, 1, 0, u8(func(e *event.Event) uint8 { return e.Proto })},
		{6, 1, 0, u8(func(e *event.Event) uint8 { return e.TCPFlags })},
		{10, 4, 0, u32(func(e *event.Event) uint32 { return e.InIndex })},
		{14, 4, 0, u32(func(e *event.Event) uint32 { return e.OutIndex })},
		{2, 8, 0, u64(func(e *event.Event) uint64 { return e.Packets })},
		{1, 8, 0, u64(func(e *event.Event) uint64 { return e.Bytes })},
	}
	if ipfix {
		return append(fields,
			spec{152, 8, 0, u64(func(e *event.Event) uint64 { return uint64(e.Time / int64(time.Millisecond)) })},
			spec{153, 8, 0, u64(func(e *event.Event) uint64 { return uint64(e.End / int64(time.Millisecond)) })})
	}
	be := binary.BigEndian
	return append(fields,
		spec{22, 4, 0, func(x *Exporter, b []byte, e *event.Event) []byte { return be.AppendUint32(b, x.uptime(e.Time)) }},
		spec{21, 4, 0, func(x *Exporter, b []byte, e *event.Event) []byte { return be.AppendUint32(b, x.uptime(e.End)) }})
}

func typeCode(e *event.Event) uint16 { return uint16(e.ICMPType)<<8 | uint16(e.ICMPCode) }

func join(parts ...[]spec) []spec {
	var all []spec
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func (l *layout) size() int {
	n := 0
	for _, f := range l.fields {
		n += int(f.len)
	}
	return n
}

// flushTemplated writes NetFlow v9 or IPFIX: a datagram holds the sets of one template.
func (x *Exporter) flushTemplated(now int64, send func([]byte)) {
	all := layouts(x.cfg.Protocol == IPFIX)
	queues := make([][]*event.Event, len(all))
	for i := range x.waiting {
		e := &x.waiting[i]
		for j := range all {
			if all[j].suits(e) {
				queues[j] = append(queues[j], e)
				break
			}
		}
	}
	for j := range all {
		l := &all[j]
		most := (x.cfg.Payload - 24) / l.size()
		for todo := queues[j]; len(todo) > 0; {
			if x.sent%x.cfg.TemplateEvery == 0 {
				send(x.templates(now, all))
			}
			n := min(most, len(todo))
			send(x.data(now, l, todo[:n]))
			todo = todo[n:]
		}
	}
}

func (x *Exporter) header(now int64) []byte {
	if x.cfg.Protocol == IPFIX {
		return make([]byte, 16, x.cfg.Payload)
	}
	return make([]byte, 20, x.cfg.Payload)
}

// seal fills the header in: count is the number of records and templates, records those that IPFIX numbers.
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
	b := x.header(now)
	start := len(b)
	b = append(b, byte(l.id>>8), byte(l.id), 0, 0)
	for _, e := range events {
		for i := range l.fields {
			b = l.fields[i].put(x, b, e)
		}
	}
	return x.seal(closeSet(b, start), now, len(events), len(events))
}

// closeSet pads the set that began at start to four bytes and writes its length.
func closeSet(b []byte, start int) []byte {
	for (len(b)-start)%4 != 0 {
		b = append(b, 0)
	}
	binary.BigEndian.PutUint16(b[start+2:], uint16(len(b)-start))
	return b
}

// templates is a datagram with all templates, and the sampling rate where there is one to tell.
func (x *Exporter) templates(now int64, all []layout) []byte {
	be := binary.BigEndian
	ipfix := x.cfg.Protocol == IPFIX
	b := x.header(now)
	start := len(b)
	b = append(b, 0, 0, 0, 0)
	if ipfix {
		b[start+1] = 2
	}
	for _, l := range all {
		b = be.AppendUint16(b, l.id)
		b = be.AppendUint16(b, uint16(len(l.fields)))
		for _, f := range l.fields {
			id := f.id
			if f.pen != 0 {
				id |= 0x8000
			}
			b = be.AppendUint16(b, id)
			b = be.AppendUint16(b, f.len)
			if f.pen != 0 {
				b = be.AppendUint32(b, f.pen)
			}
		}
	}
	b = closeSet(b, start)
	if x.cfg.Sampling == 0 {
		return x.seal(b, now, len(all), 0)
	}
	start = len(b)
	if ipfix { // scope: observationDomainId; then samplingInterval and samplingAlgorithm
		b = append(b, 0, 3, 0, 0, optionsTemplate>>8, optionsTemplate&0xff, 0, 3, 0, 1, 0, 149, 0, 4, 0, 34, 0, 4, 0, 35, 0, 1)
	} else { // scope: system
		b = append(b, 0, 1, 0, 0, optionsTemplate>>8, optionsTemplate&0xff, 0, 4, 0, 8, 0, 1, 0, 4, 0, 34, 0, 4, 0, 35, 0, 1)
	}
	b = closeSet(b, start)
	start = len(b)
	b = append(b, optionsTemplate>>8, optionsTemplate&0xff, 0, 0)
	b = be.AppendUint32(b, x.cfg.Domain)
	b = be.AppendUint32(b, x.cfg.Sampling)
	b = append(b, 2)
	return x.seal(closeSet(b, start), now, len(all)+2, 1)
}
