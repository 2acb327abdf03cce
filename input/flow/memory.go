package flow

import "time"

// Bounds on what all exporters together, and each of them, may make us remember beside held data sets, and what each
// thing is taken to need on the heap, rather too much than too little.
const (
	maxMemory         = 128 << 20
	maxExporterMemory = 16 << 20
	exporterMemory    = 700
	domainMemory      = 700
	streamMemory      = 220
	templateMemory    = 320 // and fieldMemory for each field
	fieldMemory       = 16
	rateMemory        = 40
	interfaceMemory   = 120
	searchAgain       = time.Second
)

// grow books memory for what a locked exporter teaches; false when there is none left for it. Exporters that never sent
// a record, or are silent, are forgotten first. Those listed by their address have room of their own.
func (x *exporter) grow(n int) bool {
	if x.memory+n > maxExporterMemory || !x.kept && !x.c.room(n, x.last) {
		return false
	}
	x.book(n)
	return true
}

func (x *exporter) book(n int) {
	x.memory += n
	x.c.memory.Add(int64(n))
}

// room makes sure that there is memory left, if need be by forgetting exporters. Where none is found, a flood does not
// have us search again for a while.
func (c *Collector) room(n int, now int64) bool {
	left := func() bool { return c.memory.Load()+int64(n) <= maxMemory }
	if left() {
		return true
	}
	if full := c.full.Load(); full != 0 && now-full < int64(searchAgain) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for !left() {
		if !c.evict(now) {
			c.full.Store(now)
			return false
		}
	}
	return true
}

// grow and book are those of the exporter; the domain knows its part, to be given back when it is forgotten.
func (d *domain) grow(n int) bool {
	if !d.x.grow(n) {
		return false
	}
	d.memory += n
	return true
}

func (d *domain) shrink(n int) {
	d.memory -= n
	d.x.book(-n)
}

// forget drops the domain that has been silent for longest, if that is long.
func (x *exporter) forget(now int64) bool {
	var oldest *domain
	for _, d := range x.domains {
		if oldest == nil || d.last < oldest.last {
			oldest = d
		}
	}
	if oldest == nil || now-oldest.last < int64(idleExporter) {
		return false
	}
	x.book(-oldest.memory)
	delete(x.domains, oldest.key)
	x.recent = nil
	return true
}
