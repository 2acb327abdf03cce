package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"varde/event"
	"varde/event/human"
	"varde/input/follow"
	"varde/input/fwlog"
)

// logs reads firewall logs, for every command that takes some.
type logs struct {
	format, zone string       // flags; they go before what is configured
	firewall     fwlog.Config // what the lines mean

	at    *time.Location // of times that tell no zone
	lines *fwlog.Collector
	take  follow.Take

	file   string // that is being read, with its newest line
	line   uint64
	total  follow.Total
	events uint64
}

const zoneHelp = "zone of times in logs that tell none, as Europe/Oslo; that of this machine when left out"

func formatHelp() string {
	return "format of firewall logs, where it is not to be found by content: " + strings.Join(fwlog.Formats(), ", ")
}

// configure takes what is configured, unless flags say something else.
func (l *logs) configure(cfg fwlog.Config) (err error) {
	l.firewall, l.at = cfg, time.Local
	if l.format != "" {
		l.firewall.Format = l.format
	}
	if l.zone != "" {
		l.firewall.Zone = l.zone
		if l.at, err = time.LoadLocation(l.zone); err != nil {
			return fmt.Errorf("tz: %w; use a name as Europe/Oslo", err)
		}
	}
	return nil
}

// open makes ready to read; what cannot be read is said with file and line.
func (l *logs) open(messages io.Writer, emit event.Emit) error {
	l.lines = fwlog.New(plainLog(messages, func() string { return fmt.Sprintf("%s:%d", l.file, l.line) }))
	take, err := firewallLines(l.lines, l.firewall, func(e *event.Event) {
		l.events++
		emit(e)
	})
	l.take = func(o *follow.Origin, line []byte) {
		if o.File != l.file {
			l.file, l.line = o.File, 0
		}
		l.line++
		take(o, line)
	}
	return err
}

// read reads files and folders, those of one log in the order of time. Told is false where no line of them became an event.
func (l *logs) read(ctx context.Context, paths []string) (told bool, err error) {
	before := l.events
	total, err := follow.Read(ctx, paths, l.at, l.take)
	return l.count(total, before), err
}

// readOpen reads what is open already.
func (l *logs) readOpen(ctx context.Context, name string, in io.Reader) (told bool, err error) {
	before := l.events
	total, err := follow.ReadFrom(ctx, in, &follow.Origin{Name: name, File: name, Zone: l.at}, l.take)
	return l.count(total, before), err
}

func (l *logs) count(t follow.Total, before uint64) (told bool) {
	l.total.Files += t.Files
	l.total.Lines += t.Lines
	l.total.Cut += t.Cut
	return t.Lines == 0 || l.events > before
}

// summary says how many lines are not told of by events.
func (l *logs) summary(ctx context.Context, messages io.Writer) error {
	all, err := l.lines.Figures(ctx)
	if err != nil {
		return err
	}
	broken := uint64(0)
	for i := range all {
		if all[i].Name == "varde_firewall_unparsed_total" {
			broken += all[i].Count
		}
	}
	if l.events < l.total.Lines {
		fmt.Fprintf(messages, "%s of %s of logs tell of no packet", human.Count(l.total.Lines-l.events), plural(int(l.total.Lines), "line"))
		if broken > 0 {
			fmt.Fprintf(messages, "; %s of them should, but cannot be read", human.Count(broken))
		}
		fmt.Fprintln(messages)
	}
	if l.total.Cut > 0 {
		fmt.Fprintf(messages, "%s too long and read in part\n", plural(int(l.total.Cut), "line"))
	}
	return nil
}
