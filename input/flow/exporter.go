package flow

import (
	"math"
	"net/netip"
	"slices"
	"sync"

	"varde/event"
)

// exporter is one router, known by its address without the port, since a reload of the router changes the port.
type exporter struct {
	c       *Collector
	mu      sync.Mutex // held while one datagram of it is decoded
	gone    bool       // it was forgotten; a reader that still knows it looks for another
	addr    netip.Addr
	name    string
	listed  bool   // by its address or a prefix
	kept    bool   // listed by its address: never forgotten, and with room of its own
	static  uint32 // sampling rate by configuration, 0 none
	force   bool   // static counts whatever the exporter says; only where there is a static rate
	domains map[domainKey]*domain
	recent  *domain // the one that was asked for last
	pending pending
	memory  int // what it takes, estimated

	first, last int64 // received
	version     Version
	exportLag   int64 // of the last datagram: received minus exported
	datagrams   uint64
	records     uint64
	lost        uint64 // before us, in the unit of the sequence: packets for NetFlow v9 and sFlow, records otherwise
	lostHere    uint64 // in our socket, same unit
	undecoded   uint64 // data sets without a template, given up
	restarts    uint64
	duplicates  uint64
	unsampled   bool // a record came whose sampling rate is not known
	maxRate     uint32
}

// domainKey names an observation domain (IPFIX), source id (v9), engine (v5), or agent and sub-agent (sFlow).
type domainKey struct {
	version Version
	id      uint32
	agent   netip.Addr // sFlow only
}

// domain is what one observation domain has taught us.
type domain struct {
	x              *exporter
	key            domainKey
	memory         int                 // its part of the exporter's
	last           int64               // received
	templates      map[uint16][]taught // by template id
	taught         int                 // templates over all ids
	rates          map[uint64]uint32   // sampler id to rate; id 0 is the rate of a domain without samplers
	interfaceRates map[uint32]uint32   // ifIndex to rate, where each interface has its own
	interfaces     map[uint32]string   // ifIndex to name
	streams        map[uint16]*stream
	recent         *stream // the one that was asked for last
	boot           int64   // when the exporter started, as IPFIX options tell it, nanoseconds since 1970; 0 unknown
}

// taught is a template with the source port that it came from: RFC 7011 section 8 scopes templates by session.
type taught struct {
	port uint16
	*template
}

// stream is the sequence of one source port of one domain.
type stream struct {
	sequence
	port   uint16
	uptime uint32 // milliseconds, of the last datagram; v5 and v9
	last   int64
	held   int    // sets of it that wait for their template
	vague  uint64 // sequence numbers that those sets, or losses, account for
	blind  bool   // a set was given up: the next gap is its records, or losses
}

// exporter finds or admits the sender of a datagram, locked; nil when it is refused.
func (r *Reader) exporter(from netip.AddrPort, received int64) *exporter {
	addr := from.Addr()
	x := r.last
	if x == nil || x.addr != addr {
		if x = r.c.find(addr, received); x == nil {
			return nil
		}
		r.last = x
	}
	x.mu.Lock()
	for x.gone { // another reader has just forgotten it
		x.mu.Unlock()
		if x = r.c.find(addr, received); x == nil {
			r.last = nil
			return nil
		}
		r.last = x
		x.mu.Lock()
	}
	x.last = received
	x.datagrams++
	return x
}

func (c *Collector) find(addr netip.Addr, now int64) *exporter {
	c.mu.RLock()
	x := c.exporters[addr]
	c.mu.RUnlock()
	if x == nil {
		x = c.admit(addr, now)
	}
	return x
}

// admit makes room for a new exporter: those listed by their address always, others up to the maximum, in place of one
// that has been silent for long or never sent a record. Spoofed senders can so take the free places, but no place of a
// real one.
func (c *Collector) admit(addr netip.Addr, now int64) *exporter {
	x := &exporter{c: c, addr: addr, name: addr.String(), first: now, last: now, domains: map[domainKey]*domain{}}
	for i := range c.known {
		k := &c.known[i]
		if !k.prefix.Contains(addr) {
			continue
		}
		if !x.listed || k.prefix.IsSingleIP() {
			x.listed, x.kept, x.static, x.force = true, k.prefix.IsSingleIP(), k.Sampling, k.Force && k.Sampling != 0
			if k.Name != "" && (k.prefix.IsSingleIP() || x.name == addr.String()) {
				x.name = k.Name
			}
		}
	}
	if c.cfg.OnlyListed && !x.listed {
		c.unlisted.Add(1)
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.exporters[addr]; old != nil {
		return old
	}
	if len(c.exporters) >= c.cfg.Max && !x.kept && !c.evict(now) {
		c.refused.Add(1)
		return nil
	}
	x.book(exporterMemory)
	c.exporters[addr] = x
	return x
}

// evictTries bounds the search for an exporter to forget; a map's iteration begins at a random place.
const evictTries = 32

func (c *Collector) evict(now int64) bool {
	tries := evictTries
	for addr, x := range c.exporters {
		if tries--; tries < 0 {
			return false
		}
		if x.kept || !x.mu.TryLock() {
			continue
		}
		if x.gone = x.records == 0 || now-x.last > int64(idleExporter); x.gone {
			c.held.Add(-int64(x.pending.bytes))
			x.book(-x.memory)
			delete(c.exporters, addr)
			c.evicted.Add(1)
		}
		x.mu.Unlock()
		if x.gone {
			return true
		}
	}
	return false
}

// domain finds or makes a domain of a locked exporter; nil when it has too many, or no memory for one more.
func (x *exporter) domain(key domainKey) *domain {
	if d := x.recent; d != nil && d.key == key {
		return d
	}
	d := x.domains[key]
	if d != nil {
		x.recent = d
		return d
	}
	if len(x.domains) >= maxDomains && !x.forget(x.last) || !x.grow(domainMemory) {
		return nil
	}
	d = &domain{
		x: x, key: key, memory: domainMemory, last: x.last, streams: map[uint16]*stream{},
		templates: map[uint16][]taught{}, rates: map[uint64]uint32{}, interfaceRates: map[uint32]uint32{}, interfaces: map[uint32]string{},
	}
	x.domains[key], x.recent = d, d
	return d
}

// stream finds or makes the sequence of a source port; the longest silent one leaves when there are too many, or no
// memory for one more.
func (d *domain) stream(port uint16, now int64) *stream {
	d.last = now
	s := d.recent
	if s == nil || s.port != port {
		s = d.streams[port]
	}
	if s == nil {
		if n := len(d.streams); n >= maxStreams || n > 0 && !d.grow(streamMemory) { // the first one came with the domain
			delete(d.streams, d.silent())
		}
		s = &stream{port: port}
		d.streams[port] = s
	}
	s.last, d.recent = now, s
	return s
}

// silent is the source port that has been silent for longest.
func (d *domain) silent() (port uint16) {
	least := int64(math.MaxInt64)
	for p, s := range d.streams {
		if s.last < least {
			port, least = p, s.last
		}
	}
	return port
}

// template finds the template of a set: by source port as it was taught, else under other ports of the same domain
// when all that have this id agree on its layout.
func (c *Collector) template(d *domain, port, id uint16) *template {
	all := d.templates[id]
	for i := range all {
		if all[i].port == port {
			return all[i].template
		}
	}
	if len(all) == 0 {
		return nil
	}
	for i := range all[1:] {
		if !all[0].sameLayout(all[i+1].template) {
			return nil
		}
	}
	c.fallback.Add(1)
	return all[0].template
}

// teach stores a template, in place of the one with the same id and port; false when there is no room. An exporter that
// changes its port with each restart loses what it taught first.
func (d *domain) teach(port uint16, t *template) bool {
	all := d.templates[t.id]
	at := slices.IndexFunc(all, func(o taught) bool { return o.port == port })
	if at < 0 && len(all) >= maxStreams {
		at = 0
		for i := range all {
			if all[i].seen < all[at].seen {
				at = i
			}
		}
	}
	if at >= 0 {
		d.shrink(all[at].memory())
		d.taught--
		all = slices.Delete(all, at, at+1)
	}
	ok := d.taught < maxTemplates && d.grow(t.memory())
	if ok {
		d.taught++
		all = append(all, taught{port, t})
	}
	if len(all) > 0 {
		d.templates[t.id] = all
	} else {
		delete(d.templates, t.id)
	}
	return ok
}

// rate is the sampling rate of a record with that sampler id, 0 when nobody said.
func (x *exporter) rate(d *domain, sampler uint64) uint32 {
	if x.force {
		return x.static
	}
	rate := d.rates[sampler]
	if rate == 0 && len(d.rates) == 1 {
		for _, only := range d.rates {
			rate = only
		}
	}
	if rate == 0 {
		rate = x.static
	}
	return rate
}

// interfaceRate is the sampling rate of the interfaces that a record names, 0 when nobody said.
func (d *domain) interfaceRate(in, out uint32) uint32 {
	if rate := d.interfaceRates[in]; rate != 0 {
		return rate
	}
	return d.interfaceRates[out]
}

// lose books a sequence gap: what our socket dropped just before explains it first, the rest was lost before us.
// Each is how many sequence numbers a datagram of this exporter takes.
func (r *Reader) lose(x *exporter, gap uint64, each uint32) {
	here := min(gap, uint64(r.pool)*uint64(max(each, 1)))
	r.pool -= min(r.pool, uint32((here+uint64(max(each, 1))-1)/uint64(max(each, 1))))
	x.lostHere += here
	x.lost += gap - here
}

// prepare resets the reader's event for a layout, unless the last record had the same.
func (r *Reader) prepare(t *template, x *exporter, v Version, domain uint32) {
	if r.layout != t || t == nil {
		r.e.Reset()
		r.layout = t
	}
	r.e.Kind = event.Flow
	r.e.Source, r.e.Exporter, r.e.Domain = v.String(), x.name, domain
}
