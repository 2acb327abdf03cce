package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"varde/event"
)

// doomed is a file that nothing refers to any more; questions that run may still read it for a while.
type doomed struct {
	path  string
	since time.Time
}

const doomedFor = time.Minute

func (s *Store) doom(paths ...string) {
	for _, p := range paths {
		s.doomed = append(s.doomed, doomed{p, s.now()})
	}
}

// unlink removes doomed files, all or those that have been so long enough.
func (s *Store) unlink(all bool) {
	s.sealing.Lock()
	defer s.sealing.Unlock()
	s.doomed = slices.DeleteFunc(s.doomed, func(d doomed) bool {
		if !all && s.now().Sub(d.since) < doomedFor {
			return false
		}
		if err := os.Remove(filepath.Join(s.dir, d.path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("an old file of the archive is not removed", "error", err)
		}
		return true
	})
}

// forget removes what is older than it is kept, and the oldest hours of a kind that takes too much.
func (s *Store) forget(ctx context.Context) error {
	s.sealing.Lock()
	defer s.sealing.Unlock()
	if !s.clockHolds() {
		return nil
	}
	parts, err := s.parts(ctx)
	if err != nil {
		return err
	}
	taken := map[event.Kind]uint64{}
	for _, p := range parts {
		taken[p.kind] += p.size
	}
	var gone []part
	for _, p := range parts { // oldest first
		most, limited := s.maxSize(p.kind)
		if p.hour+hourMicros <= s.oldest(p.kind) || limited && taken[p.kind] > most {
			taken[p.kind] -= p.size
			gone = append(gone, p)
		}
	}
	return s.drop(ctx, gone)
}

const (
	clockJump = time.Hour      // the clock gained so much against the time that passed
	clockWait = 24 * time.Hour // so long nothing is forgotten then
)

// clockHolds is false for a day after the clock jumped ahead: a wrong clock would make everything too old to be kept.
func (s *Store) clockHolds() bool {
	wall, ran := s.now(), s.ran()
	if s.lastWall.IsZero() {
		s.lastWall, s.lastRan = wall, ran
	}
	gained := wall.Round(0).Sub(s.lastWall.Round(0)) - (ran - s.lastRan)
	s.lastWall, s.lastRan = wall, ran
	if gained > clockJump {
		s.log.Error("the clock jumped ahead: nothing is forgotten for a day; set it right, or leave it if it is right now", "by", gained.Round(time.Second))
		s.distrust = ran + clockWait
	}
	return ran >= s.distrust
}

// oldest is the begin of what is kept of a kind, in microseconds.
func (s *Store) oldest(k event.Kind) int64 {
	keep, ok := s.cfg.Keep[k.String()]
	if !ok {
		if keep, ok = s.cfg.Keep["default"]; !ok {
			return 0
		}
	}
	return s.now().Add(-time.Duration(keep)).UnixMicro()
}

func (s *Store) maxSize(k event.Kind) (uint64, bool) {
	most, ok := s.cfg.MaxSize[k.String()]
	if !ok {
		most, ok = s.cfg.MaxSize["default"]
	}
	return uint64(most), ok
}

// drop takes parts out of the archive, and what was seen of days that have none left.
func (s *Store) drop(ctx context.Context, gone []part) error {
	if len(gone) == 0 {
		return nil
	}
	var paths []string
	err := s.change(ctx, func(tx *sql.Tx) error {
		for _, p := range gone {
			if _, err := tx.Exec("DELETE FROM parts WHERE path = ?", p.path); err != nil {
				return err
			}
			paths = append(paths, p.path)
		}
		rows, err := tx.Query(`DELETE FROM seen WHERE NOT EXISTS (SELECT 1 FROM parts WHERE parts.kind = seen.kind
			AND parts.hour >= seen.day AND parts.hour < seen.day + ?) RETURNING path`, dayMicros)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var path string
			if err := rows.Scan(&path); err != nil {
				return err
			}
			paths = append(paths, path)
		}
		return rows.Err()
	})
	if err == nil {
		s.doom(paths...)
	}
	return err
}

// parts are all sealed files, oldest first.
func (s *Store) parts(ctx context.Context) ([]part, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT path, kind, hour, count, size FROM parts ORDER BY hour, path")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []part
	for rows.Next() {
		var p part
		if err := rows.Scan(&p.path, &p.kind, &p.hour, &p.count, &p.size); err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, rows.Err()
}

// watchDisk pauses storing while too little of the disk is free, after the oldest hours have been given up.
func (s *Store) watchDisk(ctx context.Context) {
	for range 1000 {
		free, err := freeBytes(s.dir)
		if err != nil || free >= uint64(s.cfg.Free) {
			if s.paused.Swap(nil) != nil {
				s.log.Info("storing goes on: the disk has room again", "free", free)
			}
			return
		}
		parts, err := s.parts(ctx)
		if err != nil || len(parts) == 0 {
			why := fmt.Sprintf("only %d bytes of the disk are free, %d should stay so", free, s.cfg.Free)
			if s.paused.Swap(&why) == nil {
				s.log.Error("storing pauses, warnings go on", "why", why, "dir", s.dir)
			}
			return
		}
		s.log.Warn("the disk is nearly full: the oldest hour of the archive goes", "file", parts[0].path)
		s.sealing.Lock()
		err = s.drop(ctx, parts[:1])
		s.sealing.Unlock()
		if err != nil {
			return
		}
		s.unlink(true)
	}
}

func freeBytes(dir string) (uint64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return st.Bavail * uint64(st.Bsize), nil
}

// sizes are figures of the archive by kind, and of the hot file.
func (s *Store) sizes(ctx context.Context) ([]event.Figure, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT kind, sum(count)::DOUBLE, sum(size)::DOUBLE, count(*)::DOUBLE, min(hour) FROM parts GROUP BY kind ORDER BY kind")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []event.Figure
	for rows.Next() {
		var kind event.Kind
		var count, size, files float64
		var oldest int64
		if err := rows.Scan(&kind, &count, &size, &files, &oldest); err != nil {
			return nil, err
		}
		k := kind.String()
		out = append(out,
			event.Measure("varde_store_archived_events", "Events in the archive.", "", count, "kind", k),
			event.Measure("varde_store_archive_bytes", "Size of the archive.", "bytes", size, "kind", k),
			event.Measure("varde_store_archive_files", "Files of the archive.", "", files, "kind", k),
			event.Measure("varde_store_archive_oldest_seconds", "Begin of the oldest hour, since 1970.", "seconds", float64(oldest)/1e6, "kind", k))
	}
	if info, err := os.Stat(filepath.Join(s.dir, hotFile)); err == nil {
		out = append(out, event.Measure("varde_store_hot_bytes", "Size of the file of the newest events.", "bytes", float64(info.Size())))
	}
	return out, rows.Err()
}
