package detect

import "io"

// Save writes what the detector remembers.
func (s *Scans) Save(w io.Writer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return save(w, "scans", s.walk)
}

// Load reads what Save wrote. After an error the detector is empty, as if it had just been made.
func (s *Scans) Load(r io.Reader) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.empty()
	err := load(r, "scans", s.walk)
	if err != nil {
		s.empty()
	}
	s.active.Store(int64(s.open.n))
	return err
}

func (s *Scans) walk(c *codec) {
	saved(c, s.faint, func(f *faint) { c.trace(&f.trace, f.pairs[:]) })
	saved(c, s.known, func(k *known) { c.trace(&k.trace, k.pairs[:]) })
	saved(c, s.groups, func(g *group) {
		c.small(&g.n, maxMembers)
		c.below(&g.next, maxMembers)
		for i := range g.members[:g.n] {
			c.u64(&g.members[i])
		}
	})
	saved(c, s.open, c.scan)
	c.stamps(&s.sweepers)
}

func (c *codec) trace(t *trace, ring []pair) {
	number(c, &t.first, &t.last)
	c.u64(&t.count)
	number(c, &t.how)
	c.small(&t.n, len(ring))
	c.below(&t.next, len(ring))
	for i := range ring[:t.n] {
		p := &ring[i]
		number(c, &p.at, &p.dst)
		number(c, &p.port)
		c.technique(&p.how)
		c.flag(&p.udp)
	}
}

func (c *codec) technique(t *technique) {
	number(c, t)
	if *t >= letIn {
		*t = bySYN
		c.fail("a technique is unknown")
	}
}

func (c *codec) pattern(p *pattern) {
	number(c, p)
	if *p > distributed {
		*p = noPattern
		c.fail("a pattern is unknown")
	}
}

func (c *codec) distinct(d *distinct) {
	c.small(&d.n, exact)
	for i := range d.few[:d.n] {
		c.u64(&d.few[i])
	}
	c.bytes(d.many[:])
}

func (c *codec) scan(s *scan) {
	number(c, &s.first, &s.last, &s.touched, &s.began, &s.said)
	c.u64(&s.count)
	number(c, &s.how, &s.low, &s.high)
	c.pattern(&s.shape)
	c.pattern(&s.saidShape)
	number(c, &s.ports, &s.stride, &s.saidPorts, &s.saidTargets, &s.saidSources)
	if s.stride == 0 || s.stride > 1<<16 || s.ports > 1<<16 {
		s.stride = 1
		c.fail("a scan is impossible")
	}
	number(c, &s.saidSeverity)
	number(c, &s.proto)
	c.small(&s.nReached, maxReached)
	for i := range s.reached {
		number(c, &s.reached[i])
	}
	for i := range s.tried {
		number(c, &s.tried[i])
	}
	c.distinct(&s.sources)
	c.distinct(&s.targets)
	c.addr(&s.source)
	c.addr(&s.target)
	c.small(&s.nPath, maxPath)
	for i := range s.path[:s.nPath] {
		number(c, &s.path[i].at)
		number(c, &s.path[i].port)
	}
	if c.reading() {
		s.bits = new(portMap)
	}
	for i := range s.bits {
		c.u64(&s.bits[i])
	}
	c.event(&s.raised)
}
