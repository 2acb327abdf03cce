package intel

import (
	"encoding/hex"
	"net/netip"

	"varde/event"
)

// Match sets the evidence of an event: every entry of every list that covers one of its addresses. It is safe for
// concurrent use with different events and allocates nothing unless an entry is hit.
func (s *Set) Match(e *event.Event) {
	t := s.table.Load()
	v := e.Evidence[:0]
	if t.may(e.Src) {
		v = s.match(t, e, v, e.Src, e.SrcPort, event.SideSrc)
	}
	if t.may(e.Dst) {
		v = s.match(t, e, v, e.Dst, e.DstPort, event.SideDst)
	}
	if e.NATSrc.IsValid() && e.NATSrc != e.Src {
		v = s.match(t, e, v, e.NATSrc, e.NATSrcPort, event.SideNATSrc)
	}
	if e.NATDst.IsValid() && e.NATDst != e.Dst {
		v = s.match(t, e, v, e.NATDst, e.NATDstPort, event.SideNATDst)
	}
	e.Evidence = v
}

func (s *Set) match(t *merged, e *event.Event, v []event.Evidence, a netip.Addr, port uint16, side event.Side) []event.Evidence {
	from := len(v)
	v = t.lookup(a, port, side, e.Last(), v)
	if len(v) > from {
		v = s.allow.filter(v, a, port, from, e.Last())
	}
	return v
}

// Lookup gives the evidence for one address, exceptions applied.
func (s *Set) Lookup(a netip.Addr, port uint16) []event.Evidence {
	e := event.Event{Time: s.now().UnixNano()}
	return s.match(s.table.Load(), &e, nil, a, port, event.SideSrc)
}

// Domain gives the evidence for a host name at a time: its own entry and those of its parents that stand for what is
// below them too. Of the exceptions those count that name a list.
func (s *Set) Domain(name string, now int64) []event.Evidence {
	return s.allow.filter(s.table.Load().domain(name, now, nil), netip.Addr{}, 0, 0, now)
}

// URL gives the evidence for a URL and for the host name in it.
func (s *Set) URL(text string, now int64) []event.Evidence {
	plain, u, err := plainURL(refang(text))
	if err != nil {
		return nil
	}
	t := s.table.Load()
	v := t.text(func(c *content) *texts { return &c.urls }, []byte(plain), false, now, nil)
	for i := range v {
		v[i].Text = plain
	}
	return s.allow.filter(t.domain(u.Hostname(), now, v), netip.Addr{}, 0, 0, now)
}

// Hash gives the evidence for the raw MD5, SHA-1 or SHA-256 of a file.
func (s *Set) Hash(raw []byte, now int64) []event.Evidence {
	v := s.table.Load().text(func(c *content) *texts { return &c.hashes }, raw, false, now, nil)
	for i := range v {
		v[i].Text = hex.EncodeToString(raw)
	}
	return s.allow.filter(v, netip.Addr{}, 0, 0, now)
}

// Prefixes gives the live address entries of a list, sorted, each once; ok is false where no list has that name.
func (s *Set) Prefixes(name string) (all []netip.Prefix, ok bool) {
	for _, l := range s.lists {
		if l.cfg.Name != name {
			continue
		}
		l.mu.Lock()
		c := l.content
		l.mu.Unlock()
		now := seconds(s.now().UnixNano())
		for i := range c.addresses {
			if a := &c.addresses[i]; a.expires > now {
				if p := a.prefix(); len(all) == 0 || all[len(all)-1] != p {
					all = append(all, p)
				}
			}
		}
		return all, true
	}
	return nil, false
}
