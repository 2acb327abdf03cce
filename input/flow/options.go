package flow

import (
	"strings"
	"time"
	"unicode/utf8"
)

// Information elements that only options records use.
const (
	ieSamplingInterval = 34
	ieSamplerID        = 48
	ieSamplerRandom    = 50
	ieIngress          = 10
	ieEgress           = 14
	ieInterfaceName    = 82
	ieInterfaceDesc    = 83
	ieSystemInit       = 160
	ieIngressPhysical  = 252
	ieSelectorID       = 302
	ieSampleInterval   = 305
	ieSampleSpace      = 306
	scopeInterface     = 2 // NetFlow v9 scope type, RFC 3954 section 6.1
)

// told is what one options record says.
type told struct {
	sampler         uint64 // 0 none
	rate            uint64
	interval, space uint64
	boot            int64 // when the exporter started, nanoseconds since 1970
	index           uint32
	name, desc      string
}

// options takes the records of an options data set: sampling rates and interface names.
func (r *Reader) options(m *message, t *template, b []byte) {
	n := uint32(0)
	for len(b) >= t.size {
		size, ok := r.measure(t, b)
		if !ok {
			r.c.reject(shortRecord, m.from, m.received, len(b))
			break
		}
		var o told
		for i, f := range t.fields {
			v := b[r.rec.at[2*i]:r.rec.at[2*i+1]]
			if i < t.scope && m.version == NetFlow9 {
				if f.ID == scopeInterface && len(v) >= 1 && len(v) <= 8 {
					o.index = clamp32(number(v, len(v)))
				}
				continue
			}
			if f.PEN == 0 && len(v) > 0 {
				o.take(f.ID, v)
			}
		}
		if !m.d.learn(&o) {
			r.c.reject(tooManyNames, m.from, m.received, len(m.d.interfaces))
		}
		b = b[size:]
		n++
	}
	m.records += n
}

func (o *told) take(id uint16, v []byte) {
	switch id {
	case ieInterfaceName:
		o.name = cleanName(v)
		return
	case ieInterfaceDesc:
		o.desc = cleanName(v)
		return
	}
	if len(v) > 8 {
		return
	}
	n := number(v, len(v))
	switch id {
	case ieSamplingInterval, ieSamplerRandom:
		o.rate = n
	case ieSamplerID, ieSelectorID:
		o.sampler = n
	case ieSampleInterval:
		o.interval = n
	case ieSampleSpace:
		o.space = n
	case ieSystemInit:
		o.boot = clampNanos(n, time.Millisecond)
	case ieIngress, ieEgress, ieIngressPhysical:
		o.index = clamp32(n)
	}
}

// learn books what an options record said; false where there is no room.
func (d *domain) learn(o *told) (ok bool) {
	ok = true
	if o.interval > 0 {
		o.rate = (o.interval + min(o.space, 1<<32)) / o.interval
	}
	switch {
	case o.rate == 0:
	case o.sampler == 0 && o.index != 0:
		ok = keep(d, d.interfaceRates, o.index, clamp32(o.rate), maxInterfaces, rateMemory)
	default:
		ok = keep(d, d.rates, o.sampler, clamp32(o.rate), maxSamplers, rateMemory)
	}
	if o.boot != 0 {
		d.boot = o.boot
	}
	name := o.name
	if name == "" {
		name = o.desc
	}
	if name != "" && o.index != 0 {
		ok = keep(d, d.interfaces, o.index, name, maxInterfaces, interfaceMemory) && ok
	}
	return ok
}

// keep books what is told of k, unless it is new and there is no room for it.
func keep[K comparable, V any](d *domain, m map[K]V, k K, v V, most, memory int) bool {
	if _, ok := m[k]; !ok && (len(m) >= most || !d.grow(memory)) {
		return false
	}
	m[k] = v
	return true
}

// cleanName is a name as text: padding zeros cut, length bounded, broken UTF-8 replaced.
func cleanName(b []byte) string {
	s := strings.TrimRight(string(b[:min(len(b), maxNameLength)]), "\x00 ")
	if s, _, _ = strings.Cut(s, "\x00"); utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\ufffd")
}
