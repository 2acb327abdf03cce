package warn

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"varde/event"
)

// Bounds and patience of one way to warn.
const (
	maxWaiting   = 1024
	maxSpool     = 64 << 20 // bytes on disk
	maxSpoolLine = 1 << 20
	sayTimeout   = 30 * time.Second
	firstWait    = 500 * time.Millisecond
	longestWait  = time.Minute
)

// queue is the way of warnings to one Sayer: memory first, then a spool on disk, in order. A warning is taken off only
// after it was delivered, so a crash can repeat one but not lose one that was spooled.
type queue struct {
	name  string
	to    event.Sayer
	least event.Severity
	path  string // of the spool, "" for none
	log   *slog.Logger
	wake  chan struct{}

	mu      sync.Mutex
	waiting []event.Warning
	spooled int   // warnings in the spool
	size    int64 // bytes of the spool
	offset  int64 // how far it was delivered
	said    uint64
	errors  uint64
	lost    uint64
	failing bool
}

func newQueue(name string, to event.Sayer, least event.Severity, dir string, log *slog.Logger) (*queue, error) {
	q := &queue{name: name, to: to, least: least, log: log, wake: make(chan struct{}, 1)}
	if dir == "" {
		return q, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("spool of output %s: %w", name, err)
	}
	q.path = filepath.Join(dir, filepath.Base(filepath.Clean("/"+name))+".jsonl")
	q.recount()
	return q, nil
}

// recount finds what an earlier run has left in the spool.
func (q *queue) recount() {
	f, err := os.Open(q.path)
	if err != nil {
		return
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	sc.Buffer(make([]byte, 0, 1<<16), maxSpoolLine)
	for sc.Scan() {
		q.spooled++
		q.size += int64(len(sc.Bytes())) + 1
	}
}

// put queues a warning. Once the spool is in use everything goes through it, so that the order is kept.
func (q *queue) put(w event.Warning) {
	if w.Severity < q.least {
		return
	}
	q.mu.Lock()
	if q.spooled == 0 && len(q.waiting) < maxWaiting {
		q.waiting = append(q.waiting, w)
	} else if err := q.spool(&w); err != nil {
		if q.lost++; q.lost == 1 || q.lost%1000 == 0 {
			q.log.Error("warnings lost: the queue is full and they cannot be spooled", "output", q.name, "lost", q.lost, "error", err)
		}
	}
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

var errNoSpool = errors.New("there is no room for a spool")

func (q *queue) spool(w *event.Warning) error {
	if q.path == "" || q.size >= maxSpool {
		return errNoSpool
	}
	f, err := os.OpenFile(q.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	line := append(w.AppendJSON(nil, w.Time), '\n')
	_, err = f.Write(line)
	if err = errors.Join(err, f.Close()); err == nil {
		q.spooled++
		q.size += int64(len(line))
	}
	return err
}

// run delivers until ctx ends, then keeps what waits.
func (q *queue) run(ctx context.Context) {
	defer q.keep()
	wait := firstWait
	for {
		w, n, ok := q.next()
		if !ok {
			select {
			case <-ctx.Done():
				return
			case <-q.wake:
			}
			continue
		}
		attempt, cancel := context.WithTimeout(ctx, sayTimeout)
		err := q.to.Say(attempt, w)
		cancel()
		q.done(err, n)
		if err == nil {
			wait = firstWait
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait + time.Duration(rand.Int64N(int64(wait)/4))):
			wait = min(2*wait, longestWait)
		}
	}
}

// next is the oldest warning that waits; n is its length in the spool, 0 when it is in memory.
func (q *queue) next() (w event.Warning, n int, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) > 0 {
		return q.waiting[0], 0, true
	}
	for q.spooled > 0 {
		line, err := q.line()
		if err != nil {
			q.log.Error("spool unreadable; it is set aside", "output", q.name, "error", err, "warnings", q.spooled)
			q.lost += uint64(q.spooled)
			os.Rename(q.path, q.path+".bad")
			q.spooled, q.size, q.offset = 0, 0, 0
			break
		}
		if w, err = event.ParseWarning(line); err == nil {
			return w, len(line) + 1, true
		}
		q.lost++ // a line torn by a crash
		q.advance(len(line) + 1)
	}
	return event.Warning{}, 0, false
}

func (q *queue) line() ([]byte, error) {
	f, err := os.Open(q.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := f.Seek(q.offset, 0); err != nil {
		return nil, err
	}
	sc := bufio.NewScanner(f)
	sc.Buffer(make([]byte, 0, 1<<14), maxSpoolLine)
	if !sc.Scan() {
		return nil, errors.Join(errors.New("it is shorter than expected"), sc.Err())
	}
	return sc.Bytes(), nil
}

func (q *queue) advance(n int) {
	q.spooled--
	q.offset += int64(n)
	if q.spooled == 0 {
		os.Remove(q.path)
		q.size, q.offset = 0, 0
	}
}

// done books an attempt.
func (q *queue) done(err error, n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err != nil {
		if q.errors++; !q.failing {
			q.log.Warn("output fails; warnings wait", "output", q.name, "error", err)
		}
		q.failing = true
		return
	}
	if q.failing {
		q.failing = false
		q.log.Info("output works again", "output", q.name, "waiting", len(q.waiting)+q.spooled)
	}
	q.said++
	if n == 0 {
		q.waiting = q.waiting[1:]
	} else {
		q.advance(n)
	}
}

// keep moves what waits in memory to the spool when the program ends.
func (q *queue) keep() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 || q.path == "" {
		return
	}
	rest, _ := os.ReadFile(q.path) // what is behind the memory in order
	if q.spooled == 0 {
		rest = nil
	}
	var b []byte
	for i := range q.waiting {
		b = append(q.waiting[i].AppendJSON(b, q.waiting[i].Time), '\n')
	}
	if err := os.WriteFile(q.path, append(b, rest[min(int(q.offset), len(rest)):]...), 0o600); err != nil {
		q.log.Error("warnings lost at the end", "output", q.name, "warnings", len(q.waiting), "error", err)
	}
}
