package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"varde/event"
)

const (
	hourMicros = int64(time.Hour / time.Microsecond)
	dayMicros  = 24 * hourMicros
)

// part is one sealed file: one kind in one hour (of the begin of its events).
type part struct {
	path  string // below the store's directory
	kind  event.Kind
	hour  int64 // begin, microseconds since 1970
	count uint64
	size  uint64
	lacks lacking
}

// hot tells what the hot table holds of one kind in one hour.
type hotHour struct {
	kind  event.Kind
	hour  int64
	count uint64
}

// keep seals, merges and forgets until ctx ends.
func (s *Store) keep(ctx context.Context) {
	tick := time.NewTicker(sealEvery)
	defer tick.Stop()
	for {
		if err := s.tidy(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("sealing events into the archive", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// tidy does once what is due.
func (s *Store) tidy(ctx context.Context) error {
	errs := []error{s.seal(ctx, s.now().Add(-lateness), sealAtOnce), s.mergeSeen(ctx), s.forget(ctx)}
	s.unlink(false)
	s.watchDisk(ctx)
	return errors.Join(errs...)
}

// Seal moves every hour that ended before the given time to the archive. What is taken while it runs stays hot.
func (s *Store) Seal(ctx context.Context, before time.Time) error {
	return s.seal(ctx, before, math.MaxInt)
}

// sealAtOnce is how many hours of all kinds are sealed in a row, so that a month that was read in does not keep the
// machine busy for long.
const sealAtOnce = 48

func (s *Store) seal(ctx context.Context, before time.Time, most int) error {
	s.sealing.Lock()
	defer s.sealing.Unlock()
	began := time.Now()
	batch := s.batches.complete()
	hours, err := s.hotHours(ctx, batch)
	if err != nil {
		return err
	}
	sealed := 0
	for _, h := range hours {
		if h.hour+hourMicros > before.UnixMicro() || sealed == most {
			continue
		}
		if err := s.sealHour(ctx, h, batch); err != nil {
			return fmt.Errorf("seal %s events of %s: %w", h.kind, time.UnixMicro(h.hour).UTC().Format("2006-01-02 15h"), err)
		}
		sealed++
	}
	if sealed > 0 {
		s.lastSeal.Store(int64(time.Since(began)))
		_, err = s.db.ExecContext(ctx, "CHECKPOINT") // gives the room of the sealed rows back
		s.reached(stepCheckpointed)
		if err != nil && strings.Contains(err.Error(), "Cannot CHECKPOINT") {
			err = nil // a question is running; the next seal will do
		}
	}
	return err
}

func (s *Store) hotHours(ctx context.Context, batch uint64) ([]hotHour, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT kind, epoch_us(time) // ? AS hour, count(*)::UBIGINT FROM hot_rows
		WHERE batch <= ? GROUP BY kind, hour ORDER BY hour, kind`, hourMicros, batch)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []hotHour
	for rows.Next() {
		var h hotHour
		if err := rows.Scan(&h.kind, &h.hour, &h.count); err != nil {
			return nil, err
		}
		h.hour *= hourMicros
		out = append(out, h)
	}
	return out, rows.Err()
}

// sealHour writes the file under a temporary name, makes it durable, gives it its name, and then lets one transaction
// note it and remove the hot rows. A kill before that leaves a file that nobody knows and recover removes; a kill
// after it leaves nothing to do.
func (s *Store) sealHour(ctx context.Context, h hotHour, batch uint64) error {
	at := time.UnixMicro(h.hour).UTC()
	dir := filepath.Join(archiveDir, h.kind.String(), "day="+at.Format(time.DateOnly))
	path, err := s.freeName(dir, at.Format("15"))
	if err != nil {
		return err
	}
	where := fmt.Sprintf("kind = %d AND time >= make_timestamp(%d) AND time < make_timestamp(%d) AND batch <= %d", h.kind, h.hour, h.hour+hourMicros, batch)
	lacks, err := s.lacking(ctx, where)
	if err != nil {
		return err
	}
	// The lists of rare values are not opened where there are none. Sorting takes nearly half of the time, and has a question
	// about some moments read a seventh of the hour instead of most of it.
	rows := "SELECT " + unlisted(false, lacks) + " FROM hot_rows WHERE " + where
	if anyRare&^lacks != 0 {
		rows += " AND " + noneRare + " UNION ALL SELECT " + unlisted(true, lacks) + " FROM hot_rows WHERE " + where + " AND NOT " + noneRare
	}
	size, err := s.export(ctx, "SELECT * FROM ("+rows+") ORDER BY time", path)
	if err != nil {
		return err
	}
	seen, seenSize, err := s.exportSeen(ctx, "hot", where, h.kind, h.hour, strconv.Itoa(1<<at.Hour()))
	if err != nil {
		return err
	}
	err = s.change(ctx, func(tx *sql.Tx) error {
		p := part{path: path, kind: h.kind, hour: h.hour, count: h.count, size: uint64(size), lacks: lacks}
		if err := s.note(tx, "hot WHERE "+where, p, seen, seenSize); err != nil {
			return err
		}
		_, err := tx.Exec("DELETE FROM hot_rows WHERE " + where)
		s.reached(stepNoted)
		return err
	})
	if err == nil {
		s.reached(stepSealed)
		s.sealed.Add(h.count)
	}
	return err
}

// noneRare holds for a row without any rare value.
const noneRare = "(" + numbersList + " IS NULL AND " + textsList + " IS NULL)"

// lacking finds the columns that no row has, of those that a file may lack.
func (s *Store) lacking(ctx context.Context, where string) (lacks lacking, err error) {
	lacks = mayLack
	find := func(of lacking, where string) error {
		var counts []string
		var found []any
		for i, c := range columns {
			if of&(1<<i) == 0 {
				continue
			}
			name := c.name
			if c.rare > 0 {
				name = c.listed()
			}
			counts = append(counts, "count("+name+") > 0")
			found = append(found, new(bool))
		}
		if err := s.db.QueryRowContext(ctx, "SELECT "+strings.Join(counts, ", ")+" FROM hot_rows WHERE "+where).Scan(found...); err != nil {
			return err
		}
		for i := range columns {
			if of&(1<<i) != 0 {
				if *found[0].(*bool) {
					lacks &^= 1 << i
				}
				found = found[1:]
			}
		}
		return nil
	}
	if err := find(mayLack&^anyRare, where); err != nil {
		return 0, err
	}
	err = find(anyRare, where+" AND NOT "+noneRare) // not in the return, where it is open which of both is evaluated first
	return lacks, err
}

// hourOfTime is the bit of the hour of a row.
const hourOfTime = "bit_or(1::UINTEGER << (epoch_us(time) // 3600000000 % 24)::INTEGER)"

// exportSeen writes which addresses the rows of a day hold, and in which hours, as a bit each.
func (s *Store) exportSeen(ctx context.Context, from, where string, kind event.Kind, micros int64, hours string) (path string, size int64, err error) {
	if path, err = s.freeName(filepath.Join(seenDir, kind.String()), time.UnixMicro(micros).UTC().Format(time.DateOnly)); err != nil {
		return "", 0, err
	}
	size, err = s.export(ctx, fmt.Sprintf(`SELECT hi, lo, count(*)::UINTEGER AS n, (%s)::UINTEGER AS hours FROM (
		SELECT src_hi AS hi, src_lo AS lo, time FROM %[2]s WHERE %[3]s AND src_hi IS NOT NULL
		UNION ALL SELECT dst_hi, dst_lo, time FROM %[2]s WHERE %[3]s AND dst_hi IS NOT NULL) GROUP BY hi, lo ORDER BY hi, lo`, hours, from, where), path)
	return path, size, err
}

// note enters a part and what was seen in it; rows is where its events stand now.
func (s *Store) note(tx *sql.Tx, rows string, p part, seen string, seenSize int64) error {
	_, err := tx.Exec("INSERT INTO parts SELECT ?, ?, ?, min(time), max(time), count(*), ?, now()::TIMESTAMP, ? FROM "+rows, p.path, p.kind, p.hour, p.size, p.lacks.String())
	if err == nil {
		_, err = tx.Exec("INSERT INTO seen VALUES (?, ?, ?, ?, ?, false)", seen, p.kind, p.hour/dayMicros*dayMicros, p.count, seenSize)
	}
	return err
}

// freeName finds a name that no file has: base-0001.parquet and on.
func (s *Store) freeName(dir, base string) (string, error) {
	if err := os.MkdirAll(filepath.Join(s.dir, dir), 0o700); err != nil {
		return "", err
	}
	for n := 1; n < 1_000_000; n++ {
		path := filepath.Join(dir, fmt.Sprintf("%s-%04d.parquet", base, n))
		if _, err := os.Lstat(filepath.Join(s.dir, path)); errors.Is(err, fs.ErrNotExist) {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s/%s: too many parts", dir, base)
}

// rowGroup is how many rows of a file are unpacked together at least. Small groups cost a tenth of the size and make
// reading a few rows out of an hour many times faster.
const rowGroup = 20_480

// export writes the rows of a SELECT to a Parquet file that is complete and on disk when its name appears.
func (s *Store) export(ctx context.Context, rows, path string) (size int64, err error) {
	full := filepath.Join(s.dir, path)
	temp := full + ".tmp"
	defer func() {
		if err != nil {
			os.Remove(temp)
		}
	}()
	if _, err := s.db.ExecContext(ctx, fmt.Sprintf("COPY (%s) TO %s (FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2, ROW_GROUP_SIZE %d)", rows, quote(temp), rowGroup)); err != nil {
		return 0, err
	}
	f, err := os.OpenFile(temp, os.O_RDWR, 0o600)
	if err != nil {
		return 0, err
	}
	s.reached(stepWritten)
	info, err := f.Stat()
	if err := errors.Join(err, f.Chmod(0o600), f.Sync(), f.Close()); err != nil {
		return 0, err
	}
	if err := os.Rename(temp, full); err != nil {
		return 0, err
	}
	s.reached(stepNamed)
	return info.Size(), syncDir(filepath.Dir(full))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// quote makes a text a literal of SQL.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// mergeSeen makes one file of what was seen on a day that is over, of each kind.
func (s *Store) mergeSeen(ctx context.Context) error {
	s.sealing.Lock()
	defer s.sealing.Unlock()
	rows, err := s.db.QueryContext(ctx, `SELECT kind, day, string_agg(path, chr(10)), sum(count)::UBIGINT FROM seen WHERE day < ?
		GROUP BY kind, day HAVING count(*) > 1`, s.now().Add(-lateness).UnixMicro()/dayMicros*dayMicros)
	if err != nil {
		return err
	}
	days, err := readDays(rows)
	if err != nil {
		return err
	}
	for _, d := range days {
		path, err := s.freeName(filepath.Join(seenDir, d.kind.String()), time.UnixMicro(d.day).UTC().Format(time.DateOnly))
		if err != nil {
			return err
		}
		size, err := s.export(ctx, `SELECT hi, lo, sum(n)::UINTEGER AS n, bit_or(hours)::UINTEGER AS hours FROM `+s.files(d.paths)+` GROUP BY hi, lo ORDER BY hi, lo`, path)
		if err != nil {
			return err
		}
		if err := s.replaceSeen(ctx, d, path, size); err != nil {
			return err
		}
		s.reached(stepMerged)
		s.doom(d.paths...)
	}
	return nil
}

// dayFiles are files of one kind and day, and how many events they speak of.
type dayFiles struct {
	kind  event.Kind
	day   int64 // begin, microseconds since 1970
	paths []string
	count uint64
}

func readDays(rows *sql.Rows) (out []dayFiles, err error) {
	defer rows.Close()
	for rows.Next() {
		var d dayFiles
		var paths string
		if err := rows.Scan(&d.kind, &d.day, &paths, &d.count); err != nil {
			return nil, err
		}
		d.paths = strings.Split(paths, "\n")
		out = append(out, d)
	}
	return out, rows.Err()
}

// replaceSeen makes one file the index of a day.
func (s *Store) replaceSeen(ctx context.Context, d dayFiles, path string, size int64) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		if _, err := tx.Exec("DELETE FROM seen WHERE kind = ? AND day = ?", d.kind, d.day); err != nil {
			return err
		}
		_, err := tx.Exec("INSERT INTO seen VALUES (?, ?, ?, ?, ?, true)", path, d.kind, d.day, d.count, size)
		return err
	})
}

// files is read_parquet of files below the store's directory.
func (s *Store) files(paths []string) string {
	var b strings.Builder
	b.WriteString("read_parquet([")
	for i, p := range paths {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(quote(filepath.Join(s.dir, p)))
	}
	b.WriteString("], hive_partitioning = false)")
	return b.String()
}

// table is sealed files that lack the same columns, with all columns.
func (s *Store) table(paths []string, lacks lacking) string {
	if lacks == 0 {
		return s.files(paths)
	}
	var b strings.Builder
	b.WriteString("(SELECT *")
	for i, c := range columns {
		if lacks&(1<<i) != 0 {
			b.WriteString(", " + c.nothing())
		}
	}
	return b.String() + " FROM " + s.files(paths) + ")"
}

// parsePart reads kind and hour off the path of a part.
func parsePart(path string) (part, error) {
	fields := strings.Split(filepath.ToSlash(path), "/")
	if len(fields) != 4 {
		return part{}, fmt.Errorf("%s is no part of the archive", path)
	}
	kind, ok := event.ParseKind(fields[1])
	day, err := time.Parse("day="+time.DateOnly, fields[2])
	hour, herr := strconv.Atoi(strings.SplitN(fields[3], "-", 2)[0])
	if !ok && fields[1] != event.Unknown.String() || err != nil || herr != nil || hour < 0 || hour > 23 {
		return part{}, fmt.Errorf("%s is no part of the archive", path)
	}
	return part{path: path, kind: kind, hour: day.UnixMicro() + int64(hour)*hourMicros}, nil
}
