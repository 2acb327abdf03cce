package warn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"varde/event"
	"varde/event/human"
)

// Hub hands every warning to every way.
type Hub struct {
	queues []*queue
}

// New makes a Hub. Dir is where warnings wait that cannot be said yet, "" for nowhere.
func New(cfgs []Config, dir string, log *slog.Logger) (*Hub, error) {
	h := &Hub{}
	if dir != "" {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("spool of warnings: %w; set data_dir to a directory that can be written", err)
		}
	}
	var names []string
	for _, c := range cfgs {
		if err := c.Check(); err != nil {
			return nil, err
		}
		s, err := c.sayer(log)
		if err != nil {
			return nil, err
		}
		name := cmp.Or(c.Name, s.Name())
		for base, n := name, 2; slices.Contains(names, name); n++ {
			name = fmt.Sprintf("%s-%d", base, n)
		}
		names = append(names, name)
		path := ""
		if dir != "" {
			path = filepath.Join(dir, name+".jsonl")
		}
		waiting, err := openSpool(path, int64(cmp.Or(c.Spool, defaultSpool)))
		if err != nil {
			return nil, err
		}
		h.queues = append(h.queues, newQueue(name, s, waiting, c.wants, log))
	}
	return h, orphans(dir, names, log)
}

// orphans says which spools belong to no output any more.
func orphans(dir string, names []string, log *slog.Logger) error {
	if dir == "" {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("spool of warnings: %w", err)
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".jsonl")
		name = strings.TrimSuffix(name, ".older")
		if !ok || slices.Contains(names, name) {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		log.Warn("warnings wait for an output that is not configured any more; name one so, or remove the file",
			"output", name, "file", filepath.Join(dir, e.Name()), "size", human.Bytes(uint64(info.Size())))
	}
	return nil
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

// Reopen makes files open anew at the next warning, as after a rotation that moved them.
func (h *Hub) Reopen() {
	for _, q := range h.queues {
		if f, ok := q.to.(*file); ok {
			f.reopen.Store(true)
		}
	}
}

// Figures counts warnings for each way.
func (h *Hub) Figures(context.Context) ([]event.Figure, error) {
	var out []event.Figure
	for _, q := range h.queues {
		q.mu.Lock()
		c, waiting, failing := q.counts, len(q.waiting)+q.counts.spooled, 0.0
		if q.failing {
			failing = 1
		}
		q.mu.Unlock()
		label := []string{"output", q.name}
		out = append(out,
			event.Count("varde_output_said_total", "Warnings delivered.", c.said, label...),
			event.Count("varde_output_errors_total", "Attempts that failed; they are repeated.", c.errors, label...),
			event.Count("varde_output_refused_total", "Warnings that the receiver will never take.", c.refused, label...),
			event.Count("varde_output_lost_total", "Warnings that neither queue nor spool could hold.", c.lost, label...),
			event.Count("varde_output_unreadable_total", "Lines of the spool that were no warnings, as a crash may leave one.", c.unreadable, label...),
			event.Measure("varde_output_waiting", "Warnings that wait, in memory and on disk.", "", float64(waiting), label...),
			event.Measure("varde_output_spool_bytes", "Size of the spool on disk.", "bytes", float64(c.bytes), label...),
			event.Measure("varde_output_failing", "1 while the receiver is down.", "", failing, label...))
	}
	return out, nil
}

// Waiting is how many warnings wait in memory for outputs that work, so that an end can wait for them.
func (h *Hub) Waiting() int {
	n := 0
	for _, q := range h.queues {
		q.mu.Lock()
		if !q.failing && !q.held {
			n += len(q.waiting)
		}
		q.mu.Unlock()
	}
	return n
}
