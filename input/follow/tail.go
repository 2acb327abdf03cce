package follow

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"
)

const (
	maxRetired = 4                // files that were renamed away and may still be written to
	linger     = 10 * time.Second // how long one is kept that has been deleted
	idleOld    = 10 * time.Minute // and one that has not, and after which another came
	tries      = 20               // looks at a folder that changes meanwhile, before the next round
)

// position is how far a log has been read, in whichever of its files, so that it can be found again.
type position struct {
	id     fileID
	offset int64     // behind the last whole line; for compressed files of what is in them
	head   head      // of the file, as far as it was read
	before head      // of the newest rotated file that was done when this one began
	born   int64     // of a retired file, bornAt
	began  time.Time // when it was last changed before it was read: all that is newer was changed since
}

// reading is one file and how far it has been read.
type reading struct {
	pos   position
	file  *os.File // nil where it is not open
	at    int64    // bytes read of it, past the last whole line
	start []byte   // the first of them: what pos.head is made of
	lines lines
	grew  time.Time
}

// tail follows one path.
type tail struct {
	reading // of the file that was at the path last
	f       *Follower
	path    string
	literal bool // named, not found by a pattern
	atEnd   bool // begin at the end: it is looked at for the first time
	started bool // pos is of a file, or of the empty beginning of one
	origin  Origin
	beside  []sibling  // what was beside it when its first bytes were waited for
	retired []*reading // renamed away, and its writer may not have noticed yet
	owed    []position // retired ones of an earlier run
	problem string
	missing time.Time // since when there is no such path
}

func newTail(f *Follower, path string, literal bool) *tail {
	return &tail{f: f, path: path, literal: literal, origin: Origin{Name: path, File: path, Zone: f.zone}}
}

func (t *tail) close() {
	if t.file != nil {
		t.file.Close()
		t.file = nil
	}
	for _, r := range t.retired {
		r.file.Close()
	}
	t.retired = nil
}

// gone tells that a file which a pattern found was deleted long enough ago to be forgotten.
func (t *tail) gone(now time.Time) bool {
	return !t.literal && !t.missing.IsZero() && now.Sub(t.missing) > idleOld && len(t.retired) == 0
}

// poll reads what is new and tells whether there is more.
func (t *tail) poll(ctx context.Context, now time.Time) (more bool) {
	err := t.owing(ctx, now)
	if err == nil {
		more, err = t.step(ctx, now)
	}
	for _, r := range slices.Clone(t.retired) {
		if t.drainRetired(r, now) {
			more = true
		}
	}
	t.tell(err)
	return more && err == nil
}

// tell logs a problem when it begins and when it is another one.
func (t *tail) tell(err error) {
	problem := ""
	if err != nil && !errors.Is(err, context.Canceled) {
		problem = err.Error()
		t.f.counters.unreadable.Add(1)
	}
	if problem != t.problem && problem != "" {
		t.f.log.Warn("cannot follow a log file; trying again", "file", t.path, "err", err)
	}
	t.problem = problem
}

// step drains the file that is read and looks whether the path still leads to it.
func (t *tail) step(ctx context.Context, now time.Time) (more bool, err error) {
	if t.file != nil {
		whole, err := t.drain(ctx, now)
		if err != nil {
			return false, err
		}
		if !whole {
			t.forget()
			return t.resume(ctx, now)
		}
	}
	st, err := os.Stat(t.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		t.away(now)
		return false, nil
	case err != nil:
		return false, err
	}
	t.missing = time.Time{}
	if t.file != nil && idOf(st) == t.pos.id {
		return t.at < st.Size(), nil
	}
	if t.file != nil {
		whole, err := t.drain(ctx, now)
		if err != nil {
			return false, err
		}
		if !whole {
			t.forget()
		}
	}
	return t.resume(ctx, now)
}

// forget lets go of a file that does not hold any more what was read of it. What was not taken yet is looked for in
// its copies.
func (t *tail) forget() {
	t.file.Close()
	t.file = nil
}

// away notes that there is no such path, and after a while lets go of a deleted file, which takes room on the disk.
func (t *tail) away(now time.Time) {
	if t.missing.IsZero() {
		t.missing = now
	}
	if t.file != nil && now.Sub(t.missing) > linger && now.Sub(t.grew) > linger && unlinked(t.file) {
		t.f.finish(&t.lines, &t.origin)
		t.f.mu.Lock()
		t.pos.offset = t.at
		t.f.mu.Unlock()
		t.forget()
	}
}

func unlinked(f *os.File) bool {
	st, err := f.Stat()
	return err == nil && linksOf(st) == 0
}

// drain reads the open file to its end, or for a while, and tells whether it is still the one that it was. Each piece
// counts only if the file still begins as before after the piece was read.
func (t *tail) drain(ctx context.Context, now time.Time) (whole bool, err error) {
	for read := 0; read < roundBytes && ctx.Err() == nil; {
		n, err := t.file.ReadAt(t.f.buf, t.at)
		if err != nil && !errors.Is(err, io.EOF) {
			return true, err
		}
		same, err := t.same(t.at + int64(n))
		if err != nil || !same {
			return false, err
		}
		if n == 0 {
			return true, nil
		}
		if !t.pos.head.whole {
			fine, err := t.settled()
			if err != nil {
				return true, err
			}
			if !fine {
				return false, nil
			}
		}
		t.accept(t.f, t.f.buf[:n], &t.origin, now)
		read += n
	}
	return true, nil
}

// same tells whether the open file still has so many bytes and begins as it did.
func (t *tail) same(size int64) (bool, error) {
	st, err := t.file.Stat()
	if err != nil || st.Size() < size {
		return false, err
	}
	if t.pos.head.n == 0 {
		return true, nil
	}
	b, err := start(io.NewSectionReader(t.file, 0, headSize))
	return t.pos.head.of(b), err
}

// settled tells whether nothing was rotated since the first bytes of this file were waited for. Until a whole line of
// it is known, nothing else would show that it was copied away, truncated and written again. A file that was renamed
// keeps what is in it.
func (t *tail) settled() (bool, error) {
	beside, err := siblings(t.path)
	if err != nil || sameSiblings(beside, t.beside) {
		return err == nil, err
	}
	st, err := os.Stat(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return err == nil && idOf(st) != t.pos.id, err
}

func sameSiblings(a, b []sibling) bool {
	return slices.EqualFunc(a, b, func(a, b sibling) bool { return a.path == b.path && a.id == b.id })
}

// accept takes the next bytes of the file.
func (r *reading) accept(f *Follower, b []byte, o *Origin, now time.Time) {
	if have := int64(len(r.start)); have < headSize && r.at <= have && r.at+int64(len(b)) > have {
		more := b[have-r.at:]
		r.start = append(r.start, more[:min(len(more), headSize-len(r.start))]...)
	}
	r.at += int64(len(b))
	r.grew = now
	f.count(&r.lines, b, o)
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.pos.head.n < len(r.start) {
		r.pos.head = makeHead(r.start)
	}
	r.pos.offset = r.at - r.lines.held
}

// retire keeps the open file for what its writer may still write to it.
func (t *tail) retire(now time.Time) {
	t.f.counters.rotations.Add(1)
	r := t.reading
	r.grew, r.pos.born = now, bornAt(r.file)
	t.f.mu.Lock()
	t.retired = append(t.retired, &r)
	t.reading = reading{pos: t.pos}
	t.f.mu.Unlock()
	if len(t.retired) > maxRetired {
		t.drop(t.retired[0])
	}
}

// drop lets go of a retired file. Its last line gets no end any more.
func (t *tail) drop(r *reading) {
	for t.readOn(r, r.grew) {
	}
	t.f.finish(&r.lines, &t.origin)
	r.file.Close()
	t.f.mu.Lock()
	defer t.f.mu.Unlock()
	t.retired = slices.DeleteFunc(t.retired, func(x *reading) bool { return x == r })
}

// drainRetired reads what was still written to a renamed file, and tells whether there is more.
func (t *tail) drainRetired(r *reading, now time.Time) (more bool) {
	more = t.readOn(r, now)
	quiet := now.Sub(r.grew)
	newest := r == t.retired[len(t.retired)-1]
	if !more && (quiet > linger && unlinked(r.file) || quiet > idleOld && !newest) {
		t.drop(r)
	}
	return more
}

// readOn reads a renamed file for a while and tells whether it has not come to its end.
func (t *tail) readOn(r *reading, now time.Time) (more bool) {
	for read := 0; read < roundBytes; {
		n, _ := r.file.ReadAt(t.f.buf, r.at) // an error is as an end: the next round sees it again
		if n == 0 {
			return false
		}
		read += n
		r.accept(t.f, t.f.buf[:n], &t.origin, now)
	}
	return true
}
