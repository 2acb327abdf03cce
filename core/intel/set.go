package intel

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Set keeps all lists and the table made of them.
type Set struct {
	lists    []*list
	allow    *allow
	dir      string
	log      *slog.Logger
	now      func() time.Time
	table    atomic.Pointer[merged]
	building sync.Mutex    // one table is made at a time
	changed  chan struct{} // to Run: a list has a new reading

	mu      sync.Mutex
	hooks   []func(Added)
	pending []Added // not told yet
}

// New makes a Set. Dir holds the last good copies of lists that are fetched; "" keeps none.
func New(cfgs []ListConfig, allowed AllowConfig, dir string, log *slog.Logger) (*Set, error) {
	a, err := newAllow(allowed)
	if err != nil {
		return nil, err
	}
	s := &Set{allow: a, dir: dir, log: log, now: time.Now, changed: make(chan struct{}, 1)}
	names := map[string]bool{}
	for _, c := range cfgs {
		if err := c.Check(); err != nil {
			return nil, err
		}
		if names[c.Name] {
			return nil, fmt.Errorf("two lists are called %q; give each a name of its own", c.Name)
		}
		names[c.Name] = true
		s.lists = append(s.lists, &list{cfg: c, reading: reading{content: &content{soonest: maxSeconds}}})
	}
	s.rebuild()
	return s, nil
}

// rebuild makes a fresh table of all lists and swaps it in.
func (s *Set) rebuild() {
	s.building.Lock()
	defer s.building.Unlock()
	contents := make([]*content, len(s.lists))
	for i, l := range s.lists {
		l.mu.Lock()
		contents[i] = l.content
		l.mu.Unlock()
	}
	s.table.Store(merge(s.lists, contents, &s.allow.never))
}
