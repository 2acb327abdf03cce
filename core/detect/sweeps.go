package detect

import (
	"time"

	"varde/event"
)

// Who tries one port of many addresses is the noise of the Internet: a site of some hundred addresses sees thousands of
// such sources a day, which nobody can read one by one. So a horizontal scan belongs to its port rather than to its source:
// whoever sweeps the same port is counted into the same warning, until nobody did for a day. A source that goes on to
// more ports has a scan of its own.

// maxSweepers is how many pairs of source and port are remembered as parts of a sweep: a quarter of a MiB.
const maxSweepers = 1 << 15

// sweepKey is the key of the sweep that a probe may belong to. It stands where sourceKey has IPv6 multicast.
func sweepKey(proto uint8, p pair) uint64 {
	return portTag | uint64(proto)<<16 | uint64(p.port)
}

// sweep counts a probe into the sweep of its port, where its source is a part of that or has just become one.
func (s *Scans) sweep(key uint64, e *event.Event, n noted, p pair, at int64, shape pattern) *event.Warning {
	k := sweepKey(e.Proto, p)
	i := s.open.find(k)
	if i == 0 && shape != horizontal {
		return nil
	}
	hash, now := mix(mix(key)+k), minute(at)
	age, member := s.sweepers.age(hash, now)
	member = member && i != 0 && age <= uint32(time.Duration(s.cfg.HostWindow)/time.Minute)
	if !member && shape != horizontal {
		return nil
	}
	s.sweepers.mark(hash, now)
	if member {
		return s.goOn(i, e, p, at)
	}
	fresh := i == 0
	if fresh {
		i = s.begin(k, e, horizontal)
	}
	c := s.open.at(i)
	for _, o := range n.pairs {
		if o.port == p.port && o.udp == p.udp && o.dst != p.dst && time.Duration(int64(p.at)-int64(o.at))*time.Second <= time.Duration(s.cfg.HostWindow) {
			c.first = min(c.first, int64(o.at)*int64(time.Second))
			c.count++
			c.how |= 1 << o.how
			c.add(key, o)
		}
	}
	if !fresh {
		return s.goOn(i, e, p, at)
	}
	c.count += e.Hits()
	c.how |= 1 << p.how
	c.add(key, p)
	return s.say(i, e, "")
}

// swept finds the sweep that a source is a part of, 0 where it is none.
func (s *Scans) swept(e *event.Event) int32 {
	key := sweepKey(e.Proto, pair{port: e.DstPort})
	i := s.open.find(key)
	if i == 0 {
		return 0
	}
	age, known := s.sweepers.age(mix(mix(sourceKey(e.Src))+key), minute(moment(e)))
	if !known || age > uint32(time.Duration(s.cfg.HostWindow)/time.Minute) {
		return 0
	}
	return i
}
