package store

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// recover makes files and tables agree after whatever happened: unfinished files go, a file that the tables do not
// know is a leftover of an interrupted sealing (its rows are still hot) or is taken over, and a file that is gone or
// was changed is no longer asked.
func (s *Store) recover(ctx context.Context) error {
	// New batches come after those that are hot from before, or these would wait with their sealing.
	if err := s.db.QueryRowContext(ctx, "SELECT coalesce(max(batch), 0)::UBIGINT FROM hot_rows").Scan(&s.batches.last); err != nil {
		return err
	}
	onDisk := map[string]int64{}
	for _, dir := range []string{archiveDir, seenDir} {
		err := filepath.WalkDir(filepath.Join(s.dir, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			if strings.HasSuffix(path, ".tmp") {
				return os.Remove(path)
			}
			info, err := d.Info()
			if err == nil && strings.HasSuffix(path, ".parquet") {
				rel, _ := filepath.Rel(s.dir, path)
				onDisk[rel] = info.Size()
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, table := range []string{"parts", "seen"} {
		known, err := s.known(ctx, table)
		if err != nil {
			return err
		}
		for path, size := range known {
			if now, ok := onDisk[path]; !ok || now != size {
				why := "is gone"
				if ok {
					why = fmt.Sprintf("has %d bytes, not %d", now, size)
				}
				if err := s.setAside(ctx, path, why); err != nil {
					return err
				}
			}
			delete(onDisk, path)
		}
	}
	if err := s.adopt(ctx, onDisk); err != nil {
		return err
	}
	return s.reindex(ctx)
}

func (s *Store) known(ctx context.Context, table string) (map[string]int64, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT path, size FROM "+table)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]int64{}
	for rows.Next() {
		var path string
		var size int64
		if err := rows.Scan(&path, &size); err != nil {
			return nil, err
		}
		out[path] = size
	}
	return out, rows.Err()
}

// setAside makes the store forget a file that cannot be read, and renames it so that a person can look at it.
func (s *Store) setAside(ctx context.Context, path, why string) error {
	s.aside.Add(1)
	s.log.Error("a file of the archive is set aside; what it held is not found any more", "file", path, "why", why)
	err := s.change(ctx, func(tx *sql.Tx) error {
		_, err := tx.Exec("DELETE FROM parts WHERE path = ?", path)
		if err == nil {
			_, err = tx.Exec("DELETE FROM seen WHERE path = ?", path)
		}
		return err
	})
	if err != nil {
		return err
	}
	full := filepath.Join(s.dir, path)
	return renameIfThere(full, full+".broken")
}

// adopt deals with files that the tables do not know.
func (s *Store) adopt(ctx context.Context, unknown map[string]int64) error {
	if len(unknown) == 0 {
		return nil
	}
	hours, err := s.hotHours(ctx, ^uint64(0)>>1)
	if err != nil {
		return err
	}
	hot := map[part]uint64{}
	for _, h := range hours {
		hot[part{kind: h.kind, hour: h.hour}] = h.count
	}
	for path, size := range unknown {
		full := filepath.Join(s.dir, path)
		p, err := parsePart(path)
		if err != nil || strings.HasPrefix(path, seenDir) { // what was seen is found out anew from the parts
			if err := os.Remove(full); err != nil {
				return err
			}
			continue
		}
		p.size = uint64(size)
		if err := s.describe(ctx, &p); err != nil {
			if err := s.setAside(ctx, path, err.Error()); err != nil {
				return err
			}
			continue
		}
		if hot[part{kind: p.kind, hour: p.hour}] >= p.count {
			err = os.Remove(full)
		} else {
			err = s.takeOver(ctx, p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// describe finds out how many rows a file has, and which columns it lacks.
func (s *Store) describe(ctx context.Context, p *part) error {
	from := s.files([]string{p.path})
	if err := s.db.QueryRowContext(ctx, "SELECT count(*)::UBIGINT FROM "+from).Scan(&p.count); err != nil {
		return err
	}
	var there string
	err := s.db.QueryRowContext(ctx, "SELECT string_agg(column_name, ' ') FROM (DESCRIBE SELECT * FROM "+from+")").Scan(&there)
	p.lacks = (1<<len(columns) - 1) &^ parseLacking(there)
	return err
}

// takeOver makes a file of the archive ours that the tables lost.
func (s *Store) takeOver(ctx context.Context, p part) error {
	s.log.Info("a file of the archive is taken over", "file", p.path, "events", p.count)
	from := s.files([]string{p.path})
	seen, size, err := s.exportSeen(ctx, from, "true", p.kind, p.hour, hourOfTime)
	if err != nil {
		return s.setAside(ctx, p.path, err.Error())
	}
	return s.change(ctx, func(tx *sql.Tx) error { return s.note(tx, from+" WHERE true", p, seen, size) })
}

// reindex finds out anew what was seen on the days whose index is missing.
func (s *Store) reindex(ctx context.Context) error {
	rows, err := s.db.QueryContext(ctx, `SELECT p.kind, p.day, string_agg(p.path, chr(10)), sum(p.count)::UBIGINT FROM
		(SELECT kind, hour // ? * ? AS day, path, count FROM parts) p GROUP BY p.kind, p.day
		HAVING sum(p.count) > (SELECT coalesce(sum(count), 0) FROM seen WHERE seen.kind = p.kind AND seen.day = p.day)`, dayMicros, dayMicros)
	if err != nil {
		return err
	}
	days, err := readDays(rows)
	if err != nil {
		return err
	}
	for _, d := range days {
		s.log.Info("the index of a day is made anew", "kind", d.kind, "day", time.UnixMicro(d.day).UTC().Format(time.DateOnly))
		path, size, err := s.exportSeen(ctx, s.files(d.paths), "true", d.kind, d.day, hourOfTime)
		if err != nil {
			return err
		}
		if err := s.replaceSeen(ctx, d, path, size); err != nil {
			return err
		}
	}
	return nil
}

// checkFiles reads the files that a question failed on and sets aside those that cannot be read.
func (s *Store) checkFiles(ctx context.Context, paths []string) (bad int) {
	s.sealing.Lock()
	defer s.sealing.Unlock()
	for _, path := range paths {
		_, err := s.db.ExecContext(ctx, "SELECT sum(hash(f)) FROM "+s.files([]string{path})+" f")
		if err == nil || ctx.Err() != nil {
			continue
		}
		bad++
		if err := s.setAside(ctx, path, err.Error()); err != nil {
			s.log.Error("a file of the archive cannot be set aside", "file", path, "error", err)
		}
	}
	if bad > 0 {
		if err := s.reindex(ctx); err != nil {
			s.log.Error("the index of the archive cannot be made anew", "error", err)
		}
	}
	return bad
}
