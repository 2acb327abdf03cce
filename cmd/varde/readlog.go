package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"varde/event"
	"varde/event/human"
	"varde/input/follow"
	"varde/input/fwlog"
)

// logs reads firewall logs among other files.
type logs struct {
	format, zone string
	firewall     fwlog.Config // what the lines mean; the defaults where nothing is configured

	at     *time.Location
	take   follow.Take
	events uint64 // of all logs so far
}

func (l *logs) flags(cmd *cobra.Command) {
	l.firewall = fwlog.DefaultConfig()
	cmd.Flags().StringVar(&l.zone, "tz", "", "zone of times in logs that tell none, as Europe/Oslo; that of this machine when left out")
}

// open makes ready to read.
func (l *logs) open(emit event.Emit, log *slog.Logger) (err error) {
	l.at = time.Local
	if l.zone != "" {
		l.firewall.Zone = l.zone
		if l.at, err = time.LoadLocation(l.zone); err != nil {
			return fmt.Errorf("--tz: %w; use a name as Europe/Oslo", err)
		}
	}
	if l.format != "" {
		l.firewall.Format = l.format
	}
	l.take, err = firewallLines(fwlog.New(log), l.firewall, func(e *event.Event) {
		l.events++
		emit(e)
	})
	return err
}

func (l *logs) readPath(ctx context.Context, path string, messages io.Writer) error {
	before := l.events
	total, err := follow.Read(ctx, []string{path}, l.at, l.take)
	return l.judge(path, total, l.events-before, messages, err)
}

func (l *logs) readStdin(ctx context.Context, in io.Reader, messages io.Writer) error {
	before := l.events
	total, err := follow.ReadFrom(ctx, in, &follow.Origin{Name: "-", File: "standard input", Zone: l.at}, l.take)
	return l.judge("standard input", total, l.events-before, messages, err)
}

// judge says how many lines are no packets, and that all are none is an error.
func (l *logs) judge(name string, total follow.Total, events uint64, messages io.Writer, err error) error {
	switch {
	case err != nil:
		return err
	case events == 0:
		return fmt.Errorf("%s: neither a capture, nor IPFIX, nor events as JSON lines, nor a log of a firewall that says of a packet", name)
	case events < total.Lines:
		fmt.Fprintf(messages, "%s: %s of %s lines tell of no packet\n", name, human.Count(total.Lines-events), human.Count(total.Lines))
	}
	return nil
}
