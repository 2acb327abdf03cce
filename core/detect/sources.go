package detect

import (
	"math"
	"slices"
	"time"
)

// Most sources try a thing or two and are never seen again: they get little memory. Who tries more is promoted to a
// table of its own, so that a flood of invented sources cannot make it forgotten.
const (
	fewPairs  = 8
	manyPairs = 64
	knownPart = 8 // one in so many of the sources that are remembered may be a known one
)

// pair is a port of a target that a source tried.
type pair struct {
	at   uint32 // seconds since 1970
	dst  uint32 // hash of the target
	port uint16
	how  technique
	udp  bool
}

// service is the port and its protocol, in the order of ports.
func (p *pair) service() uint32 {
	if p.udp {
		return uint32(p.port)<<1 | 1
	}
	return uint32(p.port) << 1
}

func (p pair) same(o pair) bool { return p.dst == o.dst && p.port == o.port && p.udp == o.udp }

// trace is what is counted of a source beside its pairs.
type trace struct {
	first, last int64
	count       uint64
	how         uint16 // set of techniques
	n, next     uint8  // pairs in use, and which is written next when all are
}

// faint is a source that tried little, known one that tried more.
type faint struct {
	trace
	pairs [fewPairs]pair
}

type known struct {
	trace
	pairs [manyPairs]pair
}

// add notes a pair in ring and tells whether it is new, or old enough to count anew.
func (t *trace) add(ring []pair, p pair, fresh time.Duration) bool {
	for i := range ring[:t.n] {
		if ring[i].same(p) {
			if int64(p.at)-int64(ring[i].at) <= int64(fresh/time.Second) {
				return false // a packet sent again does not change the order in which ports were tried
			}
			ring[i].at, ring[i].how = p.at, p.how
			return true
		}
	}
	if int(t.n) < len(ring) {
		ring[t.n] = p
		t.n++
		return true
	}
	ring[t.next] = p
	t.next = uint8((int(t.next) + 1) % len(ring))
	return true
}

// noted is the source of a probe with its pairs, after the probe was added.
type noted struct {
	*trace
	pairs []pair
	fresh bool // the pair is new
}

// note adds a probe to its source.
func (s *Scans) note(key uint64, p pair, at int64, hits uint64) noted {
	var t *trace
	var ring []pair
	if i := s.known.find(key); i != 0 {
		k := s.known.at(i)
		s.known.touch(i)
		t, ring = &k.trace, k.pairs[:]
	} else {
		i := s.faint.find(key)
		if i == 0 {
			if s.faint.n >= s.faint.most {
				s.evicted++
			}
			i = s.faint.put(key)
			s.faint.at(i).first = at
		} else {
			s.faint.touch(i)
		}
		f := s.faint.at(i)
		t, ring = &f.trace, f.pairs[:]
		if int(f.n) == fewPairs && !slices.ContainsFunc(ring, p.same) {
			if s.known.n >= s.known.most {
				s.evicted++
			}
			k := s.known.at(s.known.put(key))
			k.trace = f.trace
			copy(k.pairs[:], f.pairs[:])
			k.next = 0
			s.faint.drop(i)
			t, ring = &k.trace, k.pairs[:]
		}
	}
	fresh := t.add(ring, p, time.Duration(s.cfg.FastWindow))
	t.count += hits
	t.how |= 1 << p.how
	t.first, t.last = min(t.first, at), max(t.last, at)
	return noted{t, ring[:t.n], fresh}
}

// pairsOf gives what is remembered of a source without touching it.
func (s *Scans) pairsOf(key uint64) []pair {
	if i := s.known.find(key); i != 0 {
		k := s.known.at(i)
		return k.pairs[:k.n]
	}
	if i := s.faint.find(key); i != 0 {
		f := s.faint.at(i)
		return f.pairs[:f.n]
	}
	return nil
}

// forget drops a source that has become a scan.
func (s *Scans) forget(key uint64) {
	if i := s.known.find(key); i != 0 {
		s.known.drop(i)
	}
	if i := s.faint.find(key); i != 0 {
		s.faint.drop(i)
	}
}

// pattern is the shape of a scan; a higher one says more.
type pattern uint8

const (
	noPattern pattern = iota
	horizontal
	vertical
	slowVertical
	diagonal
	block
	distributed
)

var patternNames = [...]string{"", "horizontal", "vertical", "slow vertical", "diagonal", "block", "distributed"}

// shape tells the pattern of one source's pairs, after p was added to them.
func (s *Scans) shape(pairs []pair, p pair) pattern {
	c := &s.cfg
	if len(pairs) < min(c.FastPorts, c.SlowPorts, s.hosts, c.OddProbes) {
		return noPattern
	}
	fast, slow, hosts, odds, recent := 0, 0, 0, 0, 0
	for i := range pairs {
		o := &pairs[i]
		age := time.Duration(int64(p.at)-int64(o.at)) * time.Second
		if o.dst == p.dst {
			if age <= time.Duration(c.FastWindow) {
				fast++
			}
			if age <= time.Duration(c.SlowWindow) {
				slow++
			}
		}
		if age <= time.Duration(c.HostWindow) {
			recent++
			if o.port == p.port && o.udp == p.udp {
				hosts++
			}
			if o.how.odd() {
				odds++
			}
		}
	}
	up, across := fast >= c.FastPorts, hosts >= s.hosts
	switch {
	case up && across, recent >= c.FastPorts && s.isBlock(pairs, p.at):
		return block
	case up:
		return vertical
	case across:
		return horizontal
	case slow >= c.SlowPorts:
		if rho := s.rho(pairs, p); rho >= c.Rho || rho <= -c.Rho {
			return diagonal
		}
		return slowVertical
	case odds >= c.OddProbes:
		return vertical
	}
	return noPattern
}

// isBlock tells many ports and many targets together, whichever port went to whichever target.
func (s *Scans) isBlock(pairs []pair, now uint32) bool {
	ports, hosts := 0, 0
	window := uint32(time.Duration(s.cfg.HostWindow) / time.Second)
	for i := range pairs {
		p := &pairs[i]
		if int64(now)-int64(p.at) > int64(window) {
			continue
		}
		newPort, newHost := 1, 1
		for j := range pairs[:i] {
			o := &pairs[j]
			if int64(now)-int64(o.at) > int64(window) {
				continue
			}
			if o.port == p.port && o.udp == p.udp {
				newPort = 0
			}
			if o.dst == p.dst {
				newHost = 0
			}
		}
		ports, hosts = ports+newPort, hosts+newHost
	}
	return ports >= s.cfg.FastPorts && hosts >= s.hosts
}

// step is a port that was tried at a time.
type step struct {
	at   uint32
	port uint16
}

// rho is the rank correlation of time and port over the pairs of one target.
func (s *Scans) rho(pairs []pair, p pair) float64 {
	steps := s.steps[:0]
	for i := range pairs {
		if pairs[i].dst == p.dst {
			steps = append(steps, step{pairs[i].at, pairs[i].port})
		}
	}
	s.steps = steps
	return s.spearman(steps)
}

// spearman is the rank correlation (Spearman 1904) of time and port, with mean ranks for ties. It sorts steps by time.
func (s *Scans) spearman(steps []step) float64 {
	n := len(steps)
	if n < 3 {
		return 0
	}
	slices.SortFunc(steps, func(a, b step) int { return int(int64(a.at) - int64(b.at)) })
	byTime := ranks(s.ranks[0][:0], n, func(i, j int) bool { return steps[i].at == steps[j].at })
	order := s.order[:0]
	for i := range n {
		order = append(order, i)
	}
	slices.SortFunc(order, func(a, b int) int { return int(steps[a].port) - int(steps[b].port) })
	sorted := ranks(s.ranks[1][:0], n, func(i, j int) bool { return steps[order[i]].port == steps[order[j]].port })
	s.ranks[0], s.ranks[1], s.order = byTime, sorted, order
	mean := float64(n-1) / 2
	var xy, xx, yy float64
	for r, i := range order {
		x, y := byTime[i]-mean, sorted[r]-mean
		xy, xx, yy = xy+x*y, xx+x*x, yy+y*y
	}
	if xx == 0 || yy == 0 {
		return 0
	}
	return xy / math.Sqrt(xx*yy)
}

// ranks appends the ranks of n sorted things, ties sharing their mean.
func ranks(out []float64, n int, same func(i, j int) bool) []float64 {
	for i := 0; i < n; {
		j := i + 1
		for j < n && same(i, j) {
			j++
		}
		for range j - i {
			out = append(out, float64(i+j-1)/2)
		}
		i = j
	}
	return out
}
