package detect

import (
	"io"
	"math"
)

// Save writes what the detector remembers.
func (s *Surges) Save(w io.Writer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return save(w, "surges", s.walk)
}

// Load reads what Save wrote. After an error the detector is empty, as if it had just been made.
func (s *Surges) Load(r io.Reader) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.empty()
	err := load(r, "surges", s.walk)
	if err != nil {
		s.empty()
	}
	return err
}

// Save writes what was learnt of our own side.
func (g *Ground) Save(w io.Writer) error { return save(w, "ground", g.walk) }

// Load reads what Save wrote. After an error nothing is known. It is not for use beside Judge.
func (g *Ground) Load(r io.Reader) error {
	g.empty()
	err := load(r, "ground", g.walk)
	if err != nil {
		g.empty()
	}
	return err
}

func (g *Ground) empty() {
	g.used, g.served = newStamps(len(g.used.slots)), newStamps(len(g.served.slots))
	g.began.Store(0)
	g.serving.Store(false)
}

func (g *Ground) walk(c *codec) {
	began := g.began.Load()
	number(c, &began)
	g.began.Store(began)
	c.stamps(&g.used)
	c.stamps(&g.served)
	if c.reading() {
		g.serving.Store(true) // as far as is known
	}
}

func (s *Surges) walk(c *codec) {
	c.baseline(&s.base)
	c.stamps(&s.seen)
	pages := 0
	for _, p := range s.pages {
		pages += b2i(p != nil)
	}
	pages = c.count(pages, len(s.pages))
	for i := 0; pages > 0 && c.err == nil; i++ {
		if !c.reading() && s.pages[i] == nil {
			continue
		}
		if number(c, &i); i < 0 || i >= len(s.pages) {
			c.fail("a port is too large")
			return
		}
		if c.reading() {
			s.pages[i] = new([portPage]port)
		}
		for j := range s.pages[i] {
			c.port(&s.pages[i][j])
		}
		pages--
	}
	saved(c, s.hot, c.hot)
	if c.reading() && c.err == nil {
		s.relink(c)
	}
}

// relink gives ports their curves again, and counts what is open.
func (s *Surges) relink(c *codec) {
	for i := s.hot.oldest(); i != 0; i = s.hot.newer(i) {
		key := s.hot.key(i)
		if key >= uint64(len(s.pages))*portPage {
			c.fail("a port is too large")
			return
		}
		s.port(uint32(key)).hot = i
		if s.hot.at(i).surge != nil {
			s.open++
		}
	}
	if s.open > maxSurges {
		c.fail("a table is too long")
	}
}

func (c *codec) mean(m *mean) { c.float(&m.sum, &m.weight) }

// bin holds a time to where bins can be counted back from it.
func (c *codec) bin(bin *int64) {
	if c.reading() && (*bin < binOf(earliest) || *bin > binOf(math.MaxInt64)) {
		*bin = binOf(earliest)
		c.fail("a time is impossible")
	}
}

func (c *codec) baseline(b *baseline) {
	number(c, &b.cur, &b.mute)
	if b.cur != 0 {
		c.bin(&b.cur)
	}
	number(c, &b.strays)
	c.float(&b.watched, &b.exposure, &b.total, &b.hourSum, &b.factor)
	c.flag(&b.hourFull)
	for i := range b.season.hours {
		c.mean(&b.season.hours[i])
	}
	for i := range b.season.days {
		c.mean(&b.season.days[i])
	}
	for i := range b.season.week {
		c.mean(&b.season.week[i])
	}
	for i := range windowBins {
		c.float(&b.learnt[i], &b.factors[i])
	}
	for i := range windows {
		c.float(&b.spans[i], &b.sums[i])
	}
}

func (c *codec) float32(values ...*float32) {
	for _, v := range values {
		d := float64(*v)
		c.float(&d)
		if *v = float32(d); c.reading() && d > math.MaxFloat32 {
			*v = 0
			c.fail("a number is too large")
		}
	}
}

// port writes one byte for a port that nobody tried.
func (c *codec) port(p *port) {
	used := p.updated != 0
	if c.flag(&used); !used {
		return
	}
	c.float32(&p.learnt, &p.tokens)
	number(c, &p.updated, &p.first)
	c.small(&p.n, fewSeen)
	c.below(&p.next, fewSeen)
	c.visitors(p.recent[:p.n])
}

func (c *codec) visitors(all []visitor) {
	for i := range all {
		v := &all[i]
		number(c, &v.at, &v.network)
		c.flag(&v.system)
		c.bytes(v.country[:])
		if v.country != [2]byte{} && (!letter(v.country[0]) || !letter(v.country[1])) {
			v.country = [2]byte{}
			c.fail("a country is none")
		}
	}
}

func (c *codec) tally(t *tally) {
	c.small(&t.n, tallyRows)
	for i := range t.rows[:t.n] {
		c.u64(&t.rows[i].key)
		number(c, &t.rows[i].count, &t.rows[i].last)
	}
}

func (c *codec) hot(h *hot) {
	for i := range h.bins {
		number(c, &h.bins[i])
	}
	c.small(&h.n, manySeen)
	c.below(&h.next, manySeen)
	c.visitors(h.recent[:h.n])
	number(c, &h.last, &h.turned)
	c.bin(&h.last)
	for i := range h.networks {
		c.tally(&h.networks[i])
		c.tally(&h.countries[i])
		for j := range h.countries[i].rows {
			if r := &h.countries[i].rows[j]; c.reading() && r.key != 0 && (!letter(byte(r.key>>8)) || !letter(byte(r.key)) || r.key > math.MaxUint16) {
				r.key = 0
				c.fail("a country is none")
			}
		}
	}
	if c.float(&h.dispersion, &h.cusum); c.reading() && h.dispersion < 1 {
		c.fail("a dispersion is too small")
	}
	open := h.surge != nil
	if c.flag(&open); !open {
		return
	}
	if h.surge == nil {
		h.surge = &surge{}
	}
	g := h.surge
	number(c, &g.first, &g.said, &g.high, &g.touched)
	for _, v := range []*uint64{&g.total, &g.saidTotal, &g.sources} {
		c.u64(v)
	}
	if number(c, &g.window); g.window < 0 || g.window >= len(windows) {
		g.window = 0
		c.fail("an index is too large")
	}
	c.float(&g.expected)
	number(c, &g.networks)
	c.flag(&g.busy)
	c.event(&g.raised)
}

func b2i(b bool) int { return int(b2u(b)) }
