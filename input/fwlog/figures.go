package fwlog

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"varde/event"
	"varde/event/human"
)

// counts are of one format. They are padded to a cache line, since readers on several processors add to them.
type counts struct {
	parsed, unparsed, ignored, lost atomic.Uint64

	_ [32]byte
}

type totals struct {
	lines, foreign, cut atomic.Uint64

	complaint complaint
}

const (
	complainEvery = 10 * time.Second // at most one line in the log
	sampleLength  = 240              // bytes of a bad line that are shown
)

// complaint keeps hostile lines from filling our own log.
type complaint struct {
	mu      sync.Mutex
	last    time.Time
	skipped int
}

// complain logs a sample, at most one in a while, and says how many it kept back.
func (c *Collector) complain(format string, line []byte) {
	p := &c.totals.complaint
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if now.Sub(p.last) < complainEvery {
		p.skipped++
		return
	}
	args := []any{"format", format, "line", human.Safe(string(line[:min(len(line), sampleLength)]))}
	if p.skipped > 0 {
		args = append(args, "and_more", p.skipped)
	}
	p.last, p.skipped = now, 0
	c.log.Warn("firewall line cannot be read", args...)
}

// Figures gives what became of the lines. Formats that were never met have no figures.
func (c *Collector) Figures(context.Context) ([]event.Figure, error) {
	out := []event.Figure{
		event.Count("varde_firewall_lines_total", "Lines handed in.", c.totals.lines.Load()),
		event.Count("varde_firewall_other_total", "Lines that are of no firewall.", c.totals.foreign.Load()),
		event.Count("varde_firewall_cut_total", "Lines over 8 KiB, read in part.", c.totals.cut.Load()),
	}
	for i := range formats {
		n, name := &c.counts[i], formats[i].name
		read, bad, ignored, lost := n.parsed.Load(), n.unparsed.Load(), n.ignored.Load(), n.lost.Load()
		if read|bad|ignored|lost == 0 {
			continue
		}
		out = append(out,
			event.Count("varde_firewall_parsed_total", "Lines that became events.", read, "format", name),
			event.Count("varde_firewall_unparsed_total", "Lines of that format that cannot be read.", bad, "format", name),
			event.Count("varde_firewall_ignored_total", "Lines of that format that are about no packet.", ignored, "format", name),
			event.Count("varde_firewall_lost_total", "Packets that the firewall says it did not log.", lost, "format", name))
	}
	return out, nil
}
