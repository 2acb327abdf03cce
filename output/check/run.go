package check

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// Source reads the figures that a check judges.
type Source func(context.Context, *Check, *Values) (*Reading, error)

// ErrDown is that varde does not run, which is known and therefore no missing data for the check that asks just that.
var ErrDown = errors.New("varde does not run")

// Run reads and judges within the timeout. It returns whatever happens: a source that hangs, in a call that nothing can
// end, is left behind, since the plugin ends right after.
func (c *Check) Run(ctx context.Context, v *Values, s Source) Result {
	timeout := v.Span("timeout")
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	done := make(chan Result, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil { // an uncaught panic would exit with 2, which is CRITICAL
				r := unknown("a fault of varde itself: %v", p)
				r.Details = strings.Split(string(debug.Stack()), "\n")
				done <- r
			}
		}()
		done <- c.once(ctx, v, s)
	}()
	select {
	case r := <-done:
		return r
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return unknown("no answer within %s; -t gives it longer", timeout)
		}
		return unknown("ended from outside before there was an answer")
	}
}

func (c *Check) once(ctx context.Context, v *Values, s Source) Result {
	begun := time.Now()
	r, err := s(ctx, c, v)
	switch {
	case err != nil && c.Name == daemonName && errors.Is(err, ErrDown):
		var down Result
		down.find(Critical, "%s", err)
		return down
	case err != nil && ctx.Err() != nil:
		return unknown("no answer within %s; -t gives it longer", v.Span("timeout"))
	case err != nil:
		return unknown("%s", err)
	}
	r.took = time.Since(begun)
	r.past(v.Text("state"), c.Name)
	out := c.Judge(r, v)
	if err := r.keep(); err != nil {
		out.detail("losses are counted from varde's start each time: %s", err)
	}
	if len(out.findings) == 0 && out.Summary == "" {
		out.find(Unknown, "there was nothing to judge")
	}
	if out.Status() != OK || v.On("verbose") {
		for _, p := range r.Problems {
			if !slices.ContainsFunc(out.findings, func(f finding) bool { return strings.Contains(f.text, p) }) {
				out.detail("%s", p)
			}
		}
	}
	if v.On("verbose") {
		out.detail("%d figures read in %s", len(r.Figures), span(r.took.Seconds()))
	}
	return out
}

// Usage is the output for a call that cannot be meant.
func Usage(service string, err error) string {
	command := "check " + service
	if service == "check" {
		command = service
	}
	r := unknown("%s; see varde %s --help", err, command)
	return r.Text(service)
}

// plural writes a number with its word.
func plural(n int, word string) string {
	switch {
	case n == 1:
		return "1 " + word
	case strings.HasSuffix(word, "s"):
		return fmt.Sprintf("%d %ses", n, word)
	case strings.HasSuffix(word, "ry"):
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(word, "y"))
	}
	return fmt.Sprintf("%d %ss", n, word)
}
