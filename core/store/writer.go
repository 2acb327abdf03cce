package store

import (
	"context"
	"errors"
	"sync"
	"time"
)

// writers is how many write at a time: with two, one compresses while the other is at the disk.
const writers = 2

// writer appends blocks to the hot file in batches; a batch is one transaction.
type writer struct {
	s      *Store
	number int
	app    *appender
	batch  uint64 // of what is pending, 0 for nothing
	flush  chan chan error
}

// batches numbers the transactions of all writers. Sealing takes only batches that are complete and have no open one
// before them, so that what it wrote and what it removes are the same rows.
type batches struct {
	mu   sync.Mutex
	last uint64
	open [writers]uint64 // 0 for none
}

func (b *batches) begin(writer int) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last++
	b.open[writer] = b.last
	return b.last
}

func (b *batches) end(writer int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open[writer] = 0
}

// complete is the newest batch before which none is open.
func (b *batches) complete() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.last
	for _, open := range b.open {
		if open != 0 {
			n = min(n, open-1)
		}
	}
	return n
}

// Run writes what Put took, seals and forgets, until ctx ends; then everything taken so far is written.
func (s *Store) Run(ctx context.Context) error {
	var wait sync.WaitGroup
	defer wait.Wait()
	wait.Go(func() {
		stepBack()
		s.keep(ctx)
	})
	errs := make([]error, writers)
	var writing sync.WaitGroup
	for i, w := range s.writers {
		writing.Go(func() {
			stepBack()
			errs[i] = w.run(ctx)
		})
	}
	writing.Wait()
	return errors.Join(errs...)
}

// Flush waits until everything that Put took before is on disk. Run must be running.
func (s *Store) Flush(ctx context.Context) error {
	s.rotate()
	done := make(chan error, writers)
	for _, w := range s.writers {
		select {
		case w.flush <- done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	var errs []error
	for range writers {
		errs = append(errs, <-done)
	}
	return errors.Join(errs...)
}

func (w *writer) run(ctx context.Context) error {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case b := <-w.s.full:
			w.write(b)
		case <-tick.C:
			w.s.rotate()
			_ = w.drain() // counted and said
		case done := <-w.flush:
			done <- w.drain()
		case <-ctx.Done():
			w.s.rotate()
			return w.drain()
		}
	}
}

// drain writes all that waits and flushes.
func (w *writer) drain() error {
	for {
		select {
		case b := <-w.s.full:
			w.write(b)
			continue
		default:
		}
		return w.sync()
	}
}

// write appends a block; a full batch is flushed.
func (w *writer) write(b *block) {
	n := uint64(b.n)
	if w.batch == 0 {
		w.batch = w.s.batches.begin(w.number)
	}
	err := w.app.append(b, w.batch)
	w.s.giveBack(b)
	if err != nil {
		w.lose(n+w.app.pending, err)
	} else if w.app.pending >= flushRows {
		_ = w.sync() // counted and said
	}
}

// sync makes what was appended durable.
func (w *writer) sync() error {
	n := w.app.pending
	if n == 0 {
		return nil
	}
	w.s.reached(stepAppended)
	if err := w.app.flush(); err != nil {
		w.lose(n, err)
		return err
	}
	w.s.reached(stepFlushed)
	w.batch = 0
	w.s.batches.end(w.number)
	w.s.stored.Add(n)
	w.s.flushed.Store(w.s.now().UnixNano())
	return nil
}

// lose counts events that the disk refused, and begins anew.
func (w *writer) lose(n uint64, err error) {
	w.batch = 0
	w.s.batches.end(w.number)
	w.s.lost.Add(n)
	w.s.log.Error("events are not stored; warnings go on", "events", n, "error", err)
	if err := w.app.renew(); err != nil {
		w.s.log.Error("the store cannot be written", "error", err)
	}
}
