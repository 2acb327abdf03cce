package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/duckdb/duckdb-go/v2"
	"github.com/duckdb/duckdb-go/v2/mapping"
)

// Names within the directory of a store.
const (
	hotFile    = "varde.duckdb"
	archiveDir = "archive"
	seenDir    = "seen"
	tempDir    = "tmp"
)

// schemaVersion is that of the tables; migrations holds what leads from each version to the next.
const schemaVersion = 2

var migrations = [schemaVersion]string{0: createState, 1: addLacks}

// lockedFor is how long a file that another process has is waited for: one that was killed holds it a moment longer.
const lockedFor = 5 * time.Second

// open opens the hot file, makes its tables and takes the archive over.
func (s *Store) open() error {
	path := filepath.Join(s.dir, hotFile)
	err := s.openFile(path)
	for deadline := time.Now().Add(lockedFor); isLocked(err) && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		err = s.openFile(path)
	}
	if isLocked(err) {
		return fmt.Errorf("store: another process has %s open: %w", path, err)
	}
	if err != nil && isBroken(err) {
		to := path + ".broken-" + s.now().UTC().Format("20060102T150405")
		s.log.Error("the newest events cannot be read: their file is set aside and a new one begun; the archive is kept", "file", to, "error", err)
		s.aside.Add(1)
		if err := errors.Join(os.Rename(path, to), renameIfThere(path+".wal", to+".wal")); err != nil {
			return fmt.Errorf("store: %w", err)
		}
		err = s.openFile(path)
	}
	if err != nil {
		return fmt.Errorf("store: open %s: %w", path, err)
	}
	return nil
}

func renameIfThere(from, to string) error {
	if err := os.Rename(from, to); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// isLocked tells that another process has the file.
func isLocked(err error) bool { return err != nil && strings.Contains(err.Error(), "lock on file") }

// isBroken tells that the content of the file is at fault, not the way to it.
func isBroken(err error) bool {
	for _, word := range []string{"not a valid DuckDB database file", "orrupt", "hecksum", "erializ", "WAL", "INTERNAL Error", "end of file", "header", "not read enough bytes"} {
		if strings.Contains(err.Error(), word) {
			return true
		}
	}
	return false
}

// options are those of DuckDB. Extensions are never looked for: that would be a request to another host.
func (s *Store) options() url.Values {
	v := url.Values{
		"autoinstall_known_extensions": {"false"}, "autoload_known_extensions": {"false"},
		"temp_directory":           {filepath.Join(s.dir, tempDir)},
		"preserve_insertion_order": {"false"}, "checkpoint_threshold": {"1GiB"},
	}
	if s.cfg.Memory > 0 {
		v.Set("memory_limit", fmt.Sprint(uint64(s.cfg.Memory)>>10)+"KiB")
	}
	if s.cfg.Threads > 0 {
		v.Set("threads", strconv.Itoa(s.cfg.Threads))
	}
	return v
}

func (s *Store) openFile(path string) (err error) {
	options := s.options()
	connector, err := duckdb.NewConnector(path+"?"+options.Encode(), func(c driver.ExecerContext) error {
		for _, set := range []string{"SET TimeZone='UTC'", "SET parquet_metadata_cache=true"} {
			if _, err := c.ExecContext(context.Background(), set, nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.db = sql.OpenDB(tidyConnector{connector})
	if err := s.db.Ping(); err != nil {
		return errors.Join(err, s.db.Close())
	}
	if err := s.migrate(); err != nil {
		return errors.Join(err, s.db.Close())
	}
	if s.raw, err = sameInstance(path, options); err != nil {
		return errors.Join(err, s.db.Close())
	}
	for i := range s.writers {
		db, err := sameInstance(path, options)
		if err != nil {
			return errors.Join(err, s.closeFile())
		}
		app, err := newAppender(db)
		if err != nil {
			return errors.Join(err, s.closeFile())
		}
		s.writers[i] = &writer{s: s, number: i, app: app, flush: make(chan chan error)}
	}
	if err := s.recover(context.Background()); err != nil {
		return errors.Join(err, s.closeFile())
	}
	return nil
}

// tidyConnector makes connections that leave nothing behind.
type tidyConnector struct{ *duckdb.Connector }

// Connect is part of driver.Connector.
func (c tidyConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if plain, ok := conn.(*duckdb.Conn); ok {
		return tidyConn{plain}, err
	}
	return conn, err
}

// tidyConn ends a question that was broken off before it is closed. Otherwise what was planned for it would keep the
// connection's memory and the file open until the end of the process: only the next statement throws it away.
type tidyConn struct{ *duckdb.Conn }

// Close is part of driver.Conn.
func (c tidyConn) Close() error {
	_, _ = c.ExecContext(context.Background(), "SELECT 1", nil) // what comes of it is of no interest
	return c.Conn.Close()
}

func (s *Store) closeFile() error {
	var errs []error
	for i, w := range s.writers {
		if w != nil {
			errs = append(errs, w.app.close())
		}
		s.writers[i] = nil
	}
	mapping.Close(&s.raw)
	return errors.Join(append(errs, s.db.Close())...)
}

// sameInstance is this process' open database, for the interfaces that database/sql does not have. The options must be
// the same as there.
func sameInstance(path string, options url.Values) (mapping.Database, error) {
	var cfg mapping.Config
	var db mapping.Database
	if mapping.CreateConfig(&cfg) == mapping.StateError {
		return db, errors.New("no configuration of the database")
	}
	defer mapping.DestroyConfig(&cfg)
	options.Set("duckdb_api", "go")
	for k := range options {
		if mapping.SetConfig(cfg, k, options.Get(k)) == mapping.StateError {
			return db, fmt.Errorf("the database knows no option %s=%s", k, options.Get(k))
		}
	}
	var text string
	if mapping.GetOrCreateFromCache(duckdb.GetInstanceCache(), path, &db, cfg, &text) == mapping.StateError {
		return db, errors.New(text)
	}
	return db, nil
}

// migrate brings the tables to this version, each step in a transaction of its own.
func (s *Store) migrate() error {
	version, err := s.version()
	if err != nil {
		return err
	}
	if version > schemaVersion {
		return fmt.Errorf("it was written by a newer varde (schema %d, this one knows %d); use that one or another data_dir", version, schemaVersion)
	}
	for ; version < schemaVersion; version++ {
		steps := migrations[version]
		if version == 0 {
			steps += createHot()
		}
		err := s.change(context.Background(), func(tx *sql.Tx) error {
			if _, err := tx.Exec(steps); err != nil {
				return err
			}
			_, err := tx.Exec("INSERT OR REPLACE INTO meta VALUES ('version', ?)", strconv.Itoa(version+1))
			return err
		})
		if err != nil {
			return fmt.Errorf("bring the tables from version %d to %d: %w", version, version+1, err)
		}
	}
	return nil
}

func (s *Store) version() (int, error) {
	var there bool
	if err := s.db.QueryRow("SELECT count(*) > 0 FROM duckdb_tables() WHERE table_name = 'meta'").Scan(&there); err != nil || !there {
		return 0, err
	}
	var text string
	if err := s.db.QueryRow("SELECT value FROM meta WHERE key = 'version'").Scan(&text); err != nil {
		return 0, err
	}
	return strconv.Atoi(text)
}

// change runs a transaction that writes.
func (s *Store) change(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}
