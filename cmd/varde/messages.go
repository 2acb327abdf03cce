package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"varde/event/human"
)

// plain is a log for people at a terminal: a line for each message, without times, that begins with what it is about.
type plain struct {
	out   io.Writer
	where func() string
	attrs []slog.Attr
}

// plainLog tells what is wrong, from warnings on.
func plainLog(out io.Writer, where func() string) *slog.Logger {
	return slog.New(&plain{out: out, where: where})
}

// Enabled is part of slog.Handler.
func (p *plain) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// Handle is part of slog.Handler.
func (p *plain) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", human.Safe(p.where()), r.Message)
	sep := ": "
	each := func(a slog.Attr) bool {
		fmt.Fprintf(&b, "%s%s %s", sep, a.Key, human.Safe(a.Value.Resolve().String()))
		sep = ", "
		return true
	}
	for _, a := range p.attrs {
		each(a)
	}
	r.Attrs(each)
	_, err := fmt.Fprintln(p.out, b.String())
	return err
}

// WithAttrs is part of slog.Handler.
func (p *plain) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &plain{p.out, p.where, append(p.attrs[:len(p.attrs):len(p.attrs)], attrs...)}
}

// WithGroup is part of slog.Handler; nothing here groups.
func (p *plain) WithGroup(string) slog.Handler { return p }
