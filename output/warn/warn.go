// Package warn says warnings to whoever should hear them: console, file, syslog, webhook, mail, program. Each way has
// its own bounded queue, retries and spool on disk, so that a slow or dead one neither slows the watch nor loses
// a warning in silence.
package warn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"

	"varde/event"
)

// Config is one way to warn: exactly one of the ways is set.
type Config struct {
	Name    string         `yaml:"name" doc:"What figures and the log call it; the way itself by default."`
	Min     string         `yaml:"min" doc:"Lowest severity that is said: info, low, medium, high or critical."`
	Console *ConsoleConfig `yaml:"console" doc:"On standard output."`
	File    *FileConfig    `yaml:"file" doc:"To a file."`
	Syslog  *SyslogConfig  `yaml:"syslog" doc:"To a syslog receiver (RFC 5424)."`
	Webhook *WebhookConfig `yaml:"webhook" doc:"By HTTP POST."`
	Exec    *ExecConfig    `yaml:"exec" doc:"To a program, which gets the warning as JSON on standard input."`
}

// Check says which value is impossible.
func (c *Config) Check() error {
	ways := 0
	for _, set := range []bool{c.Console != nil, c.File != nil, c.Syslog != nil, c.Webhook != nil, c.Exec != nil} {
		if set {
			ways++
		}
	}
	if ways != 1 {
		return errors.New("each entry under warn has exactly one of console, file, syslog, webhook and exec")
	}
	if _, ok := event.ParseSeverity(c.Min); c.Min != "" && !ok {
		return fmt.Errorf("min %q: use info, low, medium, high or critical", c.Min)
	}
	return nil
}

// sayer makes the way that is configured, and its name.
func (c *Config) sayer() (event.Sayer, error) {
	switch {
	case c.Console != nil:
		return newConsole(*c.Console, os.Stdout)
	case c.File != nil:
		return newFile(*c.File)
	case c.Syslog != nil:
		return newSyslog(*c.Syslog)
	case c.Webhook != nil:
		return newWebhook(*c.Webhook)
	}
	return newExec(*c.Exec)
}

// Hub hands every warning to every way.
type Hub struct {
	queues []*queue
}

// New makes a Hub. Dir is where warnings wait that cannot be said yet.
func New(cfgs []Config, dir string, log *slog.Logger) (*Hub, error) {
	h := &Hub{}
	names := []string{}
	for _, c := range cfgs {
		if err := c.Check(); err != nil {
			return nil, err
		}
		s, err := c.sayer()
		if err != nil {
			return nil, err
		}
		name := c.Name
		if name == "" {
			name = s.Name()
		}
		for base, n := name, 2; slices.Contains(names, name); n++ {
			name = fmt.Sprintf("%s-%d", base, n)
		}
		names = append(names, name)
		least, _ := event.ParseSeverity(c.Min)
		q, err := newQueue(name, s, least, dir, log)
		if err != nil {
			return nil, err
		}
		h.queues = append(h.queues, q)
	}
	return h, nil
}

// Say hands a warning to every way; it never blocks.
func (h *Hub) Say(w event.Warning) {
	for _, q := range h.queues {
		q.put(w)
	}
}

// Run delivers until ctx ends; what is still waiting then is kept in the spools.
func (h *Hub) Run(ctx context.Context) error {
	var group sync.WaitGroup
	for _, q := range h.queues {
		group.Go(func() { q.run(ctx) })
	}
	group.Wait()
	return nil
}

// Figures counts warnings for each way.
func (h *Hub) Figures(context.Context) ([]event.Figure, error) {
	var out []event.Figure
	for _, q := range h.queues {
		name := []string{"output", q.name}
		q.mu.Lock()
		out = append(out,
			event.Count("varde_output_said_total", "Warnings delivered.", q.said, name...),
			event.Count("varde_output_errors_total", "Attempts that failed; they are repeated.", q.errors, name...),
			event.Count("varde_output_lost_total", "Warnings that neither queue nor spool could hold.", q.lost, name...),
			event.Measure("varde_output_waiting", "Warnings that wait, in memory and on disk.", "", float64(len(q.waiting)+q.spooled), name...))
		q.mu.Unlock()
	}
	return out, nil
}

// Waiting is how many warnings wait in memory.
func (h *Hub) Waiting() int {
	n := 0
	for _, q := range h.queues {
		q.mu.Lock()
		n += len(q.waiting)
		q.mu.Unlock()
	}
	return n
}
