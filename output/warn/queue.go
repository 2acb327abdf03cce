package warn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"varde/event"
)

// Bounds and patience of one way to warn.
const (
	maxWaiting  = 4096            // warnings in memory
	spillAt     = 256             // from so many on they go to disk
	slowAfter   = 2 * time.Second // and when an attempt takes so long
	hangsAfter  = sayTimeout + 10*time.Second
	lastGrace   = 2 * time.Second // for what is under way when the program ends
	firstWait   = 500 * time.Millisecond
	longestWait = time.Minute
	longestHold = time.Hour // of what a receiver may ask for
)

// queue is the way of warnings to one Sayer: memory first, then, where it is slow or down, a spool on disk, in order. A
// warning is taken off only after it was delivered, so everything arrives at least once; what can be lost, and is
// counted, is what neither memory nor disk has room for.
//
// Two goroutines serve it, so that put never waits for a disk or a network: deliver says what waits, keep moves it to
// disk. What is in memory is always younger than what is on disk. Locks are taken in the order disk, mu.
type queue struct {
	name   string
	to     event.Sayer
	wanted func(*event.Warning) bool
	log    *slog.Logger
	wake   chan struct{} // for deliver
	nudge  chan struct{} // for keep

	disk  sync.Mutex
	spool *spool

	mu      sync.Mutex
	waiting []event.Warning
	flying  int // how many of the oldest, in memory when that began, are being said
	moved   int // how many of those went to disk meanwhile
	failing bool
	slow    bool
	held    bool
	urgent  bool // a critical warning came
	counts  counts
}

// counts are the figures of a queue.
type counts struct {
	said, errors, refused, lost, unreadable uint64
	lostNow                                 uint64 // since it was last said
	spooled                                 int
	bytes                                   int64
}

func newQueue(name string, to event.Sayer, s *spool, wanted func(*event.Warning) bool, log *slog.Logger) *queue {
	q := &queue{
		name: name, to: to, wanted: wanted, spool: s, log: log.With("output", name),
		wake: make(chan struct{}, 1), nudge: make(chan struct{}, 1),
	}
	q.counts.spooled, q.counts.bytes = s.count, s.bytes()
	return q
}

// signal wakes the goroutine behind a channel of one place.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// put queues a warning that this way wants to hear. It never waits.
func (q *queue) put(w event.Warning) {
	if !q.wanted(&w) {
		return
	}
	q.mu.Lock()
	first := false
	if len(q.waiting) < maxWaiting {
		q.waiting = append(q.waiting, w)
		q.urgent = q.urgent || w.Severity == event.Critical
	} else {
		q.counts.lost++
		q.counts.lostNow++
		first = q.counts.lostNow == 1
	}
	spill := q.spills()
	q.mu.Unlock()
	if first {
		q.log.Error("the queue is full and its spool takes no more: warnings are lost", "queue", maxWaiting)
	}
	if spill {
		signal(q.nudge)
	}
	signal(q.wake)
}

// spills tells whether what is in memory belongs on disk.
func (q *queue) spills() bool {
	return q.failing || q.slow || q.held || len(q.waiting) >= spillAt
}

// run serves the queue until ctx ends, then leaves on disk what still waits.
func (q *queue) run(ctx context.Context) {
	if q.counts.spooled > 0 {
		q.log.Info("warnings of an earlier run wait in the spool", "warnings", q.counts.spooled)
	}
	var group sync.WaitGroup
	group.Go(func() { q.keep(ctx) })
	q.deliver(ctx)
	group.Wait()
	q.store(true)
	q.mu.Lock()
	rest := len(q.waiting)
	q.counts.lost += uint64(rest)
	q.mu.Unlock()
	if rest > 0 {
		q.log.Error("warnings are lost: they could not be said before the end, and there is no room in the spool", "warnings", rest)
	}
	q.disk.Lock()
	q.spool.close()
	q.disk.Unlock()
}

// keep moves to disk what cannot be said soon.
func (q *queue) keep(ctx context.Context) {
	complained := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-q.nudge:
		}
		err := q.store(false)
		if err != nil && !complained && !errors.Is(err, errNoSpool) {
			q.log.Error("warnings cannot be spooled; they wait in memory", "error", err)
		}
		complained = err != nil
	}
}

// store moves what is in memory to the spool, where it belongs there or all is wanted.
func (q *queue) store(all bool) error {
	q.disk.Lock()
	defer q.disk.Unlock()
	q.mu.Lock()
	ws := slices.Clip(q.waiting)
	if !all && !q.spills() {
		ws = nil
	}
	q.mu.Unlock()
	if len(ws) == 0 {
		return nil
	}
	n, err := q.spool.add(ws...)
	q.mu.Lock()
	q.takeOff(n)
	q.moved = min(q.flying, q.moved+n)
	q.counts.spooled, q.counts.bytes = q.spool.count, q.spool.bytes()
	q.mu.Unlock()
	return errors.Join(err, q.spool.sync())
}

// takeOff removes the n oldest from memory.
func (q *queue) takeOff(n int) {
	if q.waiting = q.waiting[n:]; len(q.waiting) == 0 {
		q.waiting = nil // gives the memory back
	}
}

// deliver says what waits until ctx ends.
func (q *queue) deliver(ctx context.Context) {
	wait := firstWait
	for ctx.Err() == nil {
		b := q.next()
		if b == nil {
			select {
			case <-ctx.Done():
			case <-q.wake:
			}
			continue
		}
		n, err := q.attempt(ctx, b)
		q.done(b, n, err)
		if n > 0 || err == nil || is[refused](err) || is[hold](err) {
			wait = firstWait
		}
		switch held, ok := errors.AsType[hold](err); {
		case err == nil || is[refused](err):
		case ok:
			q.pause(ctx, held.wait, held.urgent)
		default:
			pause := wait + time.Duration((rand.Float64()-0.5)*float64(wait)/2)
			if later, ok := errors.AsType[notBefore](err); ok {
				pause = max(pause, min(later.wait, longestHold))
			}
			wait = min(2*wait, longestWait)
			q.pause(ctx, pause, false)
		}
	}
}

// is tells whether an error is, or wraps, one of that type.
func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// pause waits, but no longer than until a critical warning comes where that may end it.
func (q *queue) pause(ctx context.Context, d time.Duration, urgent bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		wake := q.wake
		if !urgent {
			wake = nil
		}
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			q.store(false) // so that the next attempt has all
			return
		case <-wake:
			q.mu.Lock()
			came := q.urgent
			q.urgent = false
			q.mu.Unlock()
			if came {
				q.store(false)
				return
			}
		}
	}
}

// batch is what an attempt may say: from the spool, or else from memory.
type batch struct {
	memory []event.Warning
	spool  *reading
	lines  []int // by how many lines of the spool a warning, and what is before it, is done
	passed int   // lines seen
}

// next is what waits, oldest first, or nil.
func (q *queue) next() *batch {
	q.disk.Lock()
	defer q.disk.Unlock()
	if q.spool.count > 0 {
		r, err := q.spool.read()
		if err == nil {
			return &batch{spool: r}
		}
		q.unreadable(err)
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return nil
	}
	q.flying, q.moved = len(q.waiting), 0
	return &batch{memory: slices.Clip(q.waiting)}
}

// unreadable deals with a spool that gives an error: one that is gone is forgotten, any other is tried again.
func (q *queue) unreadable(err error) {
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, io.ErrUnexpectedEOF) {
		q.log.Error("the spool cannot be read; it is tried again", "error", err)
		time.AfterFunc(longestWait, func() { signal(q.wake) })
		return
	}
	lost, tidyErr := q.spool.forget()
	q.log.Error("the spool was removed or cut: warnings are lost", "warnings", lost, "error", errors.Join(err, tidyErr))
	q.mu.Lock()
	q.counts.lost += uint64(lost)
	q.counts.spooled, q.counts.bytes = 0, 0
	q.mu.Unlock()
	signal(q.wake)
}

// all gives the warnings of the batch.
func (b *batch) all() iter.Seq[event.Warning] {
	if b.spool == nil {
		return slices.Values(b.memory)
	}
	return func(yield func(event.Warning) bool) {
		for it := range b.spool.all() {
			b.passed++
			if !it.ok {
				continue
			}
			b.lines = append(b.lines, b.passed)
			if !yield(it.w) {
				return
			}
		}
	}
}

// errAbandoned is what an attempt ends with that does not return when the program ends.
var errAbandoned = errors.New("it did not return before the end")

// errHangs is said of an attempt that neither succeeds nor fails.
var errHangs = fmt.Errorf("it has not returned for %s", hangsAfter)

// attempt says a batch. A way that does not return is waited for, since nobody could say where it stands; meanwhile
// warnings go to disk.
func (q *queue) attempt(ctx context.Context, b *batch) (int, error) {
	type result struct {
		n   int
		err error
	}
	back := make(chan result, 1)
	go func() {
		n, err := sayAll(ctx, q.to, b.all())
		if b.spool != nil {
			b.spool.close()
		}
		back <- result{n, err}
	}()
	since := time.NewTimer(slowAfter)
	defer since.Stop()
	long := time.NewTimer(hangsAfter)
	defer long.Stop()
	for {
		select {
		case r := <-back:
			return r.n, r.err
		case <-since.C:
			q.mu.Lock()
			q.slow = true
			q.mu.Unlock()
			signal(q.nudge)
		case <-long.C:
			q.failed(errHangs)
		case <-ctx.Done():
			long.Reset(lastGrace)
			select {
			case r := <-back:
				return r.n, r.err
			case <-long.C:
				return 0, errAbandoned
			}
		}
	}
}

// done books an attempt: n warnings are said, and perhaps some after them refused.
func (q *queue) done(b *batch, n int, err error) {
	no, _ := errors.AsType[refused](err)
	off := n + no.warnings
	q.disk.Lock()
	advanced := q.takeDone(b, off, err)
	q.mu.Lock()
	q.flying, q.moved, q.slow = 0, 0, false
	q.held = is[hold](err)
	q.counts.said += uint64(n)
	q.counts.spooled, q.counts.bytes = q.spool.count, q.spool.bytes()
	q.mu.Unlock()
	q.disk.Unlock()
	switch {
	case advanced != nil:
		q.log.Error("the spool cannot be marked: warnings may be said again", "error", advanced)
	case off > n:
		q.mu.Lock()
		q.counts.refused += uint64(no.warnings)
		q.mu.Unlock()
		q.log.Error("the receiver refuses for good", "warnings", no.warnings, "error", err)
	case err == nil || q.isHeld():
		q.works()
	case !errors.Is(err, context.Canceled) && !errors.Is(err, errAbandoned):
		q.failed(err)
	}
	if q.isHeld() {
		signal(q.nudge)
	}
}

// takeDone takes warnings that are done off their queue. Lines of the spool that are no warnings go with them.
func (q *queue) takeDone(b *batch, off int, err error) error {
	if b.spool == nil {
		q.mu.Lock()
		moved := min(off, q.moved)
		q.takeOff(off - moved)
		q.mu.Unlock()
		return q.spool.advance(moved)
	}
	if errors.Is(err, errAbandoned) {
		return nil // it is still reading
	}
	lines := 0
	switch {
	case off > 0:
		lines = b.lines[off-1]
	case len(b.lines) == 0:
		lines = b.passed
	}
	if bad := lines - off; bad > 0 {
		q.mu.Lock()
		q.counts.unreadable += uint64(bad)
		q.mu.Unlock()
		q.log.Error("the spool held lines that are no warnings, as a crash may leave one", "lines", bad)
	}
	failure := q.spool.advance(lines)
	if failure == nil {
		failure = b.spool.err
	}
	if failure == nil && b.passed == 0 && err == nil {
		failure = io.ErrUnexpectedEOF // fewer lines than were counted
	}
	if failure != nil {
		q.unreadable(failure)
	}
	return nil
}

func (q *queue) isHeld() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.held
}

// failed books a failure and says the first.
func (q *queue) failed(err error) {
	q.mu.Lock()
	q.counts.errors++
	first := !q.failing
	q.failing = true
	q.mu.Unlock()
	if first {
		q.log.Warn("it cannot be said: warnings wait", "error", err)
	}
	signal(q.nudge)
}

// works books a success and says the end of a failure, and what it cost.
func (q *queue) works() {
	q.mu.Lock()
	was, lost, waiting := q.failing, q.counts.lostNow, len(q.waiting)+q.counts.spooled
	q.failing, q.counts.lostNow = false, 0
	q.mu.Unlock()
	if was {
		q.log.Info("it works again", "waiting", waiting)
	}
	if lost > 0 {
		q.log.Error("warnings were lost, since neither the queue nor the spool had room", "lost", lost)
	}
}
