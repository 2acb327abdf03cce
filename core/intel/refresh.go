package intel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
)

// Run keeps the lists fresh until ctx ends: local files are watched, URLs are fetched when they are due, each list by
// itself so that a slow server delays no other.
func (s *Set) Run(ctx context.Context) error {
	done := make(chan struct{})
	for _, l := range s.lists {
		go func() {
			defer func() { done <- struct{}{} }()
			s.keep(ctx, l)
		}()
	}
	s.tell()
	for running := len(s.lists); running > 0 || ctx.Err() == nil; {
		select {
		case <-s.changed:
			s.rebuild()
			s.tell()
		case <-done:
			running--
		case <-ctx.Done():
			for ; running > 0; running-- {
				<-done
			}
		}
	}
	return nil
}

// keep keeps one list fresh.
func (s *Set) keep(ctx context.Context, l *list) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		if s.refresh(ctx, l, false) {
			s.wake()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// wake tells Run that a list has changed.
func (s *Set) wake() {
	select {
	case s.changed <- struct{}{}:
	default: // told already
	}
}

// Refresh asks for what is new in the lists of these names, or in all, without waiting for their time. Only a server
// that wants to be left alone is: Spared names such lists, with the time. The error names all that could not be read.
func (s *Set) Refresh(ctx context.Context, names ...string) (spared map[string]time.Time, err error) {
	chosen := s.lists
	if len(names) > 0 {
		chosen = nil
	}
	for _, name := range names {
		i := slices.IndexFunc(s.lists, func(l *list) bool { return l.cfg.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no list called %q", name)
		}
		chosen = append(chosen, s.lists[i])
	}
	spared = map[string]time.Time{}
	var group sync.WaitGroup
	for _, l := range chosen {
		l.mu.Lock()
		if l.cfg.URL != "" && s.now().Before(l.leave) {
			spared[l.cfg.Name] = l.leave
		}
		l.mu.Unlock()
		if _, ok := spared[l.cfg.Name]; !ok {
			group.Go(func() { s.refresh(ctx, l, true) })
		}
	}
	group.Wait()
	s.rebuild()
	s.wake()
	errs := []error{ctx.Err()}
	for _, l := range chosen {
		l.mu.Lock()
		if l.failed != "" {
			errs = append(errs, fmt.Errorf("list %q: %s", l.cfg.Name, l.failed))
		}
		l.mu.Unlock()
	}
	return spared, errors.Join(errs...)
}

// refresh reads one list again if it has changed, is due or is wished for, and tells whether the table must be made anew.
func (s *Set) refresh(ctx context.Context, l *list, wished bool) bool {
	l.fetching.Lock()
	defer l.fetching.Unlock()
	var err error
	l.mu.Lock()
	due, stat, failed := !s.now().Before(l.next) || wished && !s.now().Before(l.leave), l.stat, l.failed != ""
	l.mu.Unlock()
	if l.cfg.File != "" {
		now, statErr := statLocal(l.cfg.File)
		same := statErr == nil && stat != nil && os.SameFile(now, stat) && now.Size() == stat.Size() && now.ModTime().Equal(stat.ModTime())
		if same || statErr != nil && failed {
			return false
		}
		err = s.readLocal(l, true)
	} else {
		if !due {
			return false
		}
		var fresh bool
		fresh, err = s.fetch(ctx, l)
		if err = l.fail(err); err == nil && !fresh {
			return false
		}
	}
	if err != nil {
		if ctx.Err() == nil {
			s.log.Warn("list not refreshed; the last good copy stays", "error", err)
		}
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.log.Info("list read", "list", l.cfg.Name, "format", l.format.Name, "entries", l.total-l.expired-l.duplicates, "rejected", l.rejected)
	return true
}
