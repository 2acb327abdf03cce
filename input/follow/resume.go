package follow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"
)

// plan is what is to be read of a log, given how far it was read.
type plan struct {
	live   *source   // the file at the path
	goOn   bool      // it is the one that was read, and is read on from there
	rest   *source   // the rotated file that was read in part, nil for none
	unread []*source // rotated files that were never read, the oldest first
	before head      // the newest rotated file
	beside []sibling // all rotated files
	lost   bool      // the file that was read is nowhere any more
	closed []error   // why rotated files cannot be read
}

func (p *plan) close() {
	for _, s := range append(p.unread, p.live, p.rest) {
		if s != nil {
			s.Close()
		}
	}
}

// resume finds what has not been read, reads what was rotated away, and opens the file at the path, if it is there.
func (t *tail) resume(ctx context.Context, now time.Time) (opened bool, err error) {
	p, err := t.look()
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // renamed away and not made again yet, or much is going on: the next round will see
	}
	if err != nil {
		return false, err
	}
	defer p.close()
	if t.pos.head.whole && !p.goOn && p.live.id == t.pos.id {
		t.f.counters.truncations.Add(1)
	}
	if t.file != nil && p.live.id == t.pos.id {
		t.forget()
	}
	if t.file != nil {
		// What is left of the renamed file, also when it was compressed since, is read where it is open.
		if p.rest != nil {
			p.rest.Close()
			p.rest = nil
		}
		p.lost = false
		p.unread = slices.DeleteFunc(p.unread, func(s *source) bool {
			own := s.id == t.pos.id || isPart(s, t.file)
			if own {
				s.Close()
			}
			return own
		})
		t.retire(now)
	}
	if len(p.closed) > 0 && t.started && !p.goOn {
		t.f.counters.gaps.Add(1)
		t.f.log.Warn("rotated log files cannot be read; what was not read before they were rotated is lost",
			"file", t.path, "files", len(p.closed), "first", p.closed[0])
	} else if p.lost {
		t.f.counters.gaps.Add(1)
		t.f.log.Warn("a log file was truncated or rotated, and what was in it is nowhere beside it; what was not read yet is lost",
			"file", t.path, "read_to", t.pos.offset)
	}
	if p.rest != nil {
		if err := t.leftover(ctx, p.rest, p.rest, now); err != nil {
			return false, err
		}
	}
	for _, s := range p.unread {
		if err := t.leftover(ctx, s, p.rest, now); err != nil {
			return false, err
		}
	}
	t.open(p, now)
	return true, nil
}

// open goes on with the file at the path.
func (t *tail) open(p *plan, now time.Time) {
	t.f.mu.Lock()
	defer t.f.mu.Unlock()
	switch {
	case p.goOn:
	case t.atEnd:
		t.pos = position{offset: lastLine(p.live.File, p.live.size), began: p.live.modified}
	default:
		t.pos = position{began: p.live.modified}
	}
	t.pos.id, t.pos.before = p.live.id, p.before
	t.start = p.live.start // also what was not taken yet tells the file from the next
	t.pos.head = makeHead(t.start)
	t.file = p.live.keep()
	t.at, t.lines, t.grew = t.pos.offset, lines{}, now
	t.started, t.atEnd, t.beside = true, false, p.beside
	t.origin.File, t.origin.Time = t.path, time.Time{}
}

// lastLine is where the last line begins that has no end yet, so that it is read whole when it has.
func lastLine(f io.ReaderAt, size int64) int64 {
	b := make([]byte, min(size, MaxLine))
	n, _ := f.ReadAt(b, size-int64(len(b)))
	for i := n - 1; i >= 0; i-- {
		if b[i] == '\n' {
			return size - int64(len(b)) + int64(i) + 1
		}
	}
	return size
}

// look makes a plan of a moment when nothing was being rotated: all that it needs is open, and the folder has not
// changed since it was listed.
func (t *tail) look() (*plan, error) {
	for range tries {
		p, stable, err := t.tryLook()
		if err == nil && stable {
			return p, nil
		}
		if p != nil {
			p.close()
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err != nil {
			if _, serr := os.Stat(t.path); serr != nil {
				return nil, serr
			}
		}
	}
	return nil, fs.ErrNotExist
}

func (t *tail) tryLook() (p *plan, stable bool, err error) {
	p = &plan{}
	if p.beside, err = siblings(t.path); err != nil {
		return nil, false, err
	}
	if p.live, err = openSource(t.path); err != nil {
		return nil, false, err
	}
	if p.live.packed {
		p.close()
		return nil, false, fmt.Errorf("%s is compressed and cannot be followed", t.path)
	}
	if err = t.walk(p); err != nil {
		return p, false, err
	}
	again, err := siblings(t.path)
	if err != nil || !sameSiblings(again, p.beside) {
		return p, false, err
	}
	now, err := openSource(t.path)
	if err != nil {
		return p, false, err
	}
	defer now.Close()
	return p, now.id == p.live.id && now.size >= p.live.size && bytes.HasPrefix(now.start, p.live.start), nil
}

// walk goes from the newest rotated file back to the one that was read last.
func (t *tail) walk(p *plan) error {
	pos := &t.pos
	p.goOn = t.started && p.live.id == pos.id && p.live.size >= pos.offset && pos.head.whole && pos.head.of(p.live.start)
	p.before = pos.before
	known := false
	first := true
	for _, b := range p.beside {
		s, err := openSource(b.path)
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return err
			}
			p.closed = append(p.closed, err)
			continue
		}
		if s.id != b.id {
			s.Close()
			return fs.ErrNotExist // renamed between the two looks
		}
		if copyOf(s, p.live) {
			s.Close() // it is being copied just now, before it is truncated
			continue
		}
		if first && len(s.start) > 0 {
			p.before, first = makeHead(s.start), false
		}
		if len(s.start) == 0 && !t.hasRetired(s) {
			s.Close() // a copy that has just begun, or nothing to read yet
			continue
		}
		if !t.started || p.goOn {
			s.Close() // only the newest was of interest
			if !first {
				return nil
			}
			continue
		}
		if known = t.hasRetired(s) || !pos.isIn(s) && pos.before.ofDone(s.start); known {
			s.Close()
			break
		}
		if pos.isIn(s) {
			p.rest = s
			break
		}
		p.unread = append(p.unread, s)
	}
	p.lost = t.started && !p.goOn && !known && p.rest == nil && pos.head.whole
	if !known && p.rest == nil {
		// Nothing tells where the unread ones begin but when they were last written to.
		p.unread = slices.DeleteFunc(p.unread, func(s *source) bool {
			old := s.modified.Before(pos.began)
			if old {
				s.Close()
			}
			return old
		})
	}
	slices.Reverse(p.unread)
	return nil
}

// isIn tells whether the position is in that rotated file: it was renamed, or is a copy. Before a whole line was read,
// there is no position in any.
func (pos *position) isIn(s *source) bool {
	return pos.head.whole && pos.head.of(s.start) && (s.packed || s.size >= pos.offset)
}

// hasRetired tells whether a rotated file is one that is still read where it is open, or a copy of it.
func (t *tail) hasRetired(s *source) bool {
	return slices.ContainsFunc(t.retired, func(r *reading) bool { return r.pos.id == s.id || r.pos.isIn(s) }) ||
		slices.ContainsFunc(t.owed, func(p position) bool { return p.isIn(s) })
}

// copyOf tells whether a rotated file is a copy of the live one, perhaps not finished. The live one is looked at again,
// since it may have grown before it was copied.
func copyOf(s, live *source) bool { return s.id != live.id && isPart(s, live.File) }

// isPart tells whether a file holds a beginning of another and no more, as far as beginnings are looked at.
func isPart(s *source, of io.ReaderAt) bool {
	b, err := start(io.NewSectionReader(of, 0, headSize))
	return err == nil && len(s.start) > 0 && bytes.HasPrefix(b, s.start)
}

// leftover reads a rotated file from an offset to its end. The position goes along, so that it can be broken off. One
// that was renamed may still be written to and stays open.
func (t *tail) leftover(ctx context.Context, s, rest *source, now time.Time) error {
	offset := int64(0)
	if s == rest {
		offset = t.pos.offset
	}
	renamed := !s.packed && (s != rest || s.id == t.pos.id)
	pos := position{id: s.id, offset: offset, head: makeHead(s.start), before: t.pos.before, began: t.pos.began}
	if s != rest && t.pos.head.whole {
		pos.before = t.pos.head // the one before was read to its end
	}
	t.f.mu.Lock()
	t.reading = reading{pos: pos, at: offset, start: s.start}
	t.f.mu.Unlock()
	t.f.counters.leftovers.Add(1)
	if err := t.finishFile(ctx, s, &t.reading, !renamed); err != nil {
		return err
	}
	if renamed {
		t.file = s.keep()
		t.retire(now)
	}
	return nil
}

// owing reads the rest of files that were renamed away before an earlier run ended.
func (t *tail) owing(ctx context.Context, now time.Time) error {
	if len(t.owed) == 0 {
		return nil
	}
	beside, err := siblings(t.path)
	if err != nil {
		return err
	}
	var missing []position
	for i := range t.owed {
		found, err := t.payBack(ctx, beside, &t.owed[i], now)
		if err != nil {
			t.f.mu.Lock()
			defer t.f.mu.Unlock()
			t.owed = append(missing, t.owed[i:]...)
			return err
		}
		if !found {
			missing = append(missing, t.owed[i])
		}
	}
	if len(missing) > 0 {
		again, err := siblings(t.path)
		if err != nil {
			return err
		}
		if sameSiblings(again, beside) {
			missing = nil // deleted, and read as far as they were then
		}
	}
	t.f.mu.Lock()
	defer t.f.mu.Unlock()
	t.owed = missing
	return nil
}

// payBack finds a retired file and reads on in it: it is kept open where it is the same file, as before, and a copy is
// read to its end. One of which no line was read is known only by when it was made.
func (t *tail) payBack(ctx context.Context, beside []sibling, pos *position, now time.Time) (found bool, err error) {
	for _, b := range beside {
		s, err := openSource(b.path)
		if err != nil {
			continue
		}
		same := s.id == pos.id && pos.born != 0 && bornAt(s.File) == pos.born
		if !same && !pos.isIn(s) {
			s.Close()
			continue
		}
		r := &reading{pos: *pos, file: s.File, at: pos.offset, start: s.start, grew: now}
		if s.id == pos.id && !s.packed {
			t.f.mu.Lock()
			defer t.f.mu.Unlock()
			t.retired = append(t.retired, r)
			return true, nil
		}
		defer s.Close()
		err = t.finishFile(ctx, s, r, true)
		t.f.mu.Lock()
		defer t.f.mu.Unlock()
		*pos = r.pos
		return true, err
	}
	return false, nil
}

// finishFile reads a rotated file from where its reading has stopped to its end, and the last line where it has none. A
// file that is broken is read as far as that goes; only the end of ctx is an error.
func (t *tail) finishFile(ctx context.Context, s *source, r *reading, lastLine bool) error {
	o := Origin{Name: t.path, File: s.path, Zone: t.f.zone, Time: s.modified}
	src, err := s.from(r.at)
	if err == nil {
		err = readAll(ctx, src, t.f.buf, func(b []byte) {
			r.accept(t.f, b, &o, time.Time{})
			if serr := t.f.saved.due(time.Now(), t.f.encode); serr != nil {
				t.f.log.Warn("cannot keep the position in a log", "err", serr)
			}
		})
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		t.f.counters.gaps.Add(1)
		t.f.log.Warn("a rotated log file is broken; what follows in it is lost", "file", s.path, "err", err)
	}
	if lastLine {
		t.f.finish(&r.lines, &o)
		t.f.mu.Lock()
		defer t.f.mu.Unlock()
		r.pos.offset = r.at
	}
	return nil
}
