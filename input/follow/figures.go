package follow

import (
	"context"
	"os"
	"time"

	"varde/event"
)

// maxFigured bounds the files that have figures of their own.
const maxFigured = 200

// Figures gives totals and how far behind each file is.
func (f *Follower) Figures(context.Context) ([]event.Figure, error) {
	c := &f.counters
	out := []event.Figure{
		event.Count("varde_follow_lines_total", "Lines read.", c.lines.Load()),
		event.Count("varde_follow_octets_total", "Bytes read.", c.octets.Load()),
		event.Count("varde_follow_cut_total", "Lines that were too long and read in part.", c.cut.Load()),
		event.Count("varde_follow_rotations_total", "Files that were renamed away.", c.rotations.Load()),
		event.Count("varde_follow_truncations_total", "Files that were truncated.", c.truncations.Load()),
		event.Count("varde_follow_leftovers_total", "Rotated files read, in whole or from where their reading had stopped.", c.leftovers.Load()),
		event.Count("varde_follow_gaps_total", "Times that lines may be lost: truncated without a copy, or the copy cannot be found or read.", c.gaps.Load()),
		event.Count("varde_follow_unreadable_total", "Looks at files that could not be read.", c.unreadable.Load()),
		event.Count("varde_follow_refused_total", "Files not followed, since there are too many.", c.refused.Load()),
	}
	if f.journal != nil {
		out = append(out, event.Count("varde_follow_journal_restarts_total", "Times that journalctl ended and was started again.", f.journal.restarts.Load()))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	paths := f.paths()
	out = append(out, event.Measure("varde_follow_files", "Files followed.", "", float64(len(paths))))
	now := time.Now()
	for _, path := range paths[:min(len(paths), maxFigured)] {
		st, err := os.Stat(path)
		if err != nil {
			continue
		}
		behind := st.Size()
		if t := f.tails[path]; idOf(st) == t.pos.id {
			behind = max(behind-t.pos.offset, 0)
		}
		out = append(out,
			event.Measure("varde_follow_behind_bytes", "Bytes of a file that were not read yet.", "bytes", float64(behind), "file", path),
			event.Measure("varde_follow_silent_seconds", "Since a file was last written to.", "seconds", now.Sub(st.ModTime()).Seconds(), "file", path))
	}
	return out, nil
}
