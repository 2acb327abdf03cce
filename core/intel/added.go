package intel

import (
	"net/netip"
)

// Added are addresses and prefixes that came into a list.
type Added struct {
	List     string
	Prefixes []netip.Prefix // sorted, at most maxAdded
	Left     int            // how many more there were
}

// maxAdded bounds the prefixes of one Added.
const maxAdded = 200_000

// OnAdded has f called with what came into a list after each change of it, once the new table is in use. The first
// reading of a list that was never read before adds nothing; after a restart only the difference to what the last run
// knew does. Calls come from Run, one at a time; what a call has returned from is not told again.
func (s *Set) OnAdded(f func(Added)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks = append(s.hooks, f)
}

// tell calls the hooks, and then remembers that they were called.
func (s *Set) tell() {
	// The digests are taken first: what comes while the hooks run is told the next time, and not yet remembered.
	type unsaved struct {
		*list
		digest *digest
	}
	var save []unsaved
	for _, l := range s.lists {
		l.mu.Lock()
		if l.unsaved {
			save = append(save, unsaved{l, l.digest})
		}
		l.mu.Unlock()
	}
	s.mu.Lock()
	pending, hooks := s.pending, s.hooks
	s.pending = nil
	s.mu.Unlock()
	for _, a := range pending {
		for _, f := range hooks {
			f(a)
		}
	}
	if s.dir == "" {
		return
	}
	for _, u := range save {
		if err := u.digest.save(s.path(u.list, ".seen")); err != nil {
			s.log.Warn("what is in a list could not be remembered; after a restart it may be searched for again", "list", u.cfg.Name, "error", err)
			continue
		}
		u.mu.Lock()
		if u.list.digest == u.digest {
			u.list.unsaved = false
		}
		u.mu.Unlock()
	}
}

// added gives the prefixes of a list that an older digest does not know. What never alerts is nothing to look for.
func (s *Set) added(name string, c *content, old *digest) Added {
	a := Added{List: name}
	if old == nil {
		return a
	}
	var last netip.Prefix
	for i := range c.addresses {
		x := &c.addresses[i]
		p := x.prefix()
		if p == last {
			continue
		}
		last = p
		if _, known := old.first(sumOf(x.key())); known || s.allow.never.LookupPrefix(p) {
			continue
		}
		if len(a.Prefixes) >= maxAdded {
			a.Left++
			continue
		}
		a.Prefixes = append(a.Prefixes, p)
	}
	return a
}
