package warn

import (
	"context"
	"errors"
	"iter"
	"time"

	"varde/event"
)

// sayTimeout is how long one warning may take to be said.
const sayTimeout = 30 * time.Second

// atATime is how many warnings are said before it is written down that they were. A kill repeats at most so many.
const atATime = 16

// way is a way to warn that says several warnings at once. It takes as many as it likes from the front of those that
// wait and tells how many are done; after an error the rest comes again.
type way interface {
	event.Sayer
	sayAll(context.Context, iter.Seq[event.Warning]) (int, error)
}

// refused is the error of a receiver that will never take this warning, or these where several go together.
type refused struct {
	error
	warnings int
}

// refuse is the refusal of one.
func refuse(err error) error { return refused{err, 1} }

// Unwrap is the receiver's reason.
func (r refused) Unwrap() error { return r.error }

// notBefore is the error of a receiver that says when to come again.
type notBefore struct {
	error
	wait time.Duration
}

// Unwrap is the receiver's reason.
func (n notBefore) Unwrap() error { return n.error }

// hold is no failure: the way wants to collect for a while. A critical warning ends the wait where urgent is set.
type hold struct {
	wait   time.Duration
	urgent bool
}

// Error says how long.
func (h hold) Error() string { return "collecting for another " + h.wait.String() }

// sayAll says warnings with any Sayer.
func sayAll(ctx context.Context, s event.Sayer, ws iter.Seq[event.Warning]) (n int, err error) {
	if many, ok := s.(way); ok {
		return many.sayAll(ctx, ws)
	}
	for w := range ws {
		one, cancel := context.WithTimeout(ctx, sayTimeout)
		err = s.Say(one, w)
		cancel()
		if err != nil {
			return n, err
		}
		if n++; n == atATime {
			break
		}
	}
	return n, nil
}

// sayOne is Say of a way that says many.
func sayOne(ctx context.Context, s way, w event.Warning) error {
	_, err := s.sayAll(ctx, func(yield func(event.Warning) bool) { yield(w) })
	if wait := (hold{}); errors.As(err, &wait) {
		return notBefore{err, wait.wait}
	}
	return err
}
