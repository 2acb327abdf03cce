package detect

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"varde/event"
)

// maxMembers is how many sources of a neighbourhood are looked at together.
const maxMembers = 24

// group is a neighbourhood or an autonomous system of which several sources probe.
type group struct {
	members [maxMembers]uint64
	n, next uint8
}

// joint is a port that a member of a group tried.
type joint struct {
	source uint64
	pair
}

// neighbours is the key of the /24 or /48 around an address.
func neighbours(a netip.Addr) uint64 {
	key := sourceKey(a)
	if a.Is4() {
		return net4Key | key&^tagOfKey>>8
	}
	return net6Key | key>>16
}

// spread looks whether a probe completes a distributed scan, and opens it: sources of one neighbourhood or autonomous
// system that share the ports of one target between them. Each must have tried several ports, more in an autonomous
// system, which may be half a country.
func (s *Scans) spread(key, near uint64, e *event.Event, n noted, p pair) int32 {
	groups := [...]struct {
		key   uint64
		least int // ports that each source has tried
	}{{near, 2}, {asKey | uint64(e.ASN), 3}}
	for _, g := range groups {
		if g.key == asKey || len(n.pairs) < g.least || s.open.find(g.key) != 0 {
			continue
		}
		members := s.join(g.key, key)
		if len(members) < s.cfg.Sources || !s.shared(members, p, g.least) {
			continue
		}
		i := s.begin(g.key, e, distributed)
		c := s.open.at(i)
		slices.SortStableFunc(s.joint, func(a, b joint) int { return cmp.Compare(a.at, b.at) })
		for _, j := range s.joint {
			c.first = min(c.first, int64(j.at)*int64(time.Second))
			c.count++
			c.how |= 1 << j.how
			c.add(j.source, j.pair)
		}
		for _, j := range s.joint {
			s.forget(j.source)
		}
		s.groups.drop(s.groups.find(g.key))
		return i
	}
	return 0
}

// join makes a source a member of a group.
func (s *Scans) join(key, source uint64) []uint64 {
	i := s.groups.find(key)
	if i == 0 {
		i = s.groups.put(key)
	} else {
		s.groups.touch(i)
	}
	g := s.groups.at(i)
	switch {
	case slices.Contains(g.members[:g.n], source):
	case int(g.n) < maxMembers:
		g.members[g.n] = source
		g.n++
	default:
		g.members[g.next] = source
		g.next = (g.next + 1) % maxMembers
	}
	return g.members[:g.n]
}

// shared tells whether members of a group tried enough ports of the target of p together, nearly each port by one of
// them only. What they tried is left in s.joint.
func (s *Scans) shared(members []uint64, p pair, least int) bool {
	window := time.Duration(s.cfg.SlowWindow)
	all := s.joint[:0]
	sources := 0
	for _, m := range members {
		from := len(all)
		for _, o := range s.pairsOf(m) {
			if o.dst == p.dst && time.Duration(int64(p.at)-int64(o.at))*time.Second <= window {
				all = append(all, joint{m, o})
			}
		}
		if len(all)-from < least {
			all = all[:from]
			continue
		}
		sources++
	}
	s.joint = all
	if sources < s.cfg.Sources || len(all) < min(s.cfg.FastPorts, s.cfg.SlowPorts) {
		return false
	}
	slices.SortFunc(all, func(a, b joint) int {
		return cmp.Or(cmp.Compare(a.service(), b.service()), cmp.Compare(b.at, a.at))
	})
	slow, fast, twice := 0, 0, 0
	for i := range all {
		if i > 0 && all[i].service() == all[i-1].service() {
			twice++
			continue
		}
		slow++
		if time.Duration(int64(p.at)-int64(all[i].at))*time.Second <= time.Duration(s.cfg.FastWindow) {
			fast++
		}
	}
	return twice*10 <= slow && (fast >= s.cfg.FastPorts || slow >= s.cfg.SlowPorts)
}
