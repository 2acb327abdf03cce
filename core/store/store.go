// Package store keeps events for months and answers questions about them. New rows go into one DuckDB file; each hour
// that is over is sealed into a Parquet file of the archive, which any program can read while varde runs. Whoever
// hands events in never waits: a bounded ring stands in front, and what does not fit is counted.
package store

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/duckdb/duckdb-go/v2/mapping"

	"varde/event"
	"varde/event/human"
	"varde/event/query"
)

// Config is how much is kept and what it may take.
type Config struct {
	Off     bool                      `yaml:"off" doc:"Store nothing."`
	Keep    map[string]human.Duration `yaml:"keep" doc:"How long events are kept, by kind (flow, probe, login ...) or for all others as default; flow: 90d, default: 365d where left out."`
	MaxSize map[string]human.Size     `yaml:"max_size" doc:"How much of the archive a kind may take, or default; the oldest hours go first. No limit when left out."`
	Free    human.Size                `yaml:"free" doc:"So much of the disk stays free: the oldest hours go, and then storing pauses, before less is left."`
	Memory  human.Size                `yaml:"memory" doc:"What questions and sealing may take together; more is done on disk."`
	Ring    human.Size                `yaml:"ring" doc:"What may wait in memory while the disk is slow; 64MiB hold about 150,000 flows."`
	Threads int                       `yaml:"threads" doc:"How many cores questions and sealing may use; all when left out."`
}

// DefaultConfig keeps flows for three months and everything else for a year.
func DefaultConfig() Config {
	return Config{
		Keep: map[string]human.Duration{"flow": human.Duration(90 * 24 * time.Hour), "default": human.Duration(365 * 24 * time.Hour)},
		Free: 1 << 30, Memory: 1 << 30, Ring: 256 << 20,
	}
}

// Check says which value is impossible. What keep leaves out is kept as long as by default.
func (c *Config) Check() error {
	for name, d := range DefaultConfig().Keep {
		if _, told := c.Keep[name]; !told && c.Keep != nil {
			c.Keep[name] = d
		}
	}
	for name, d := range c.Keep {
		if err := knownKind("keep", name); err != nil {
			return err
		}
		if d < human.Duration(time.Hour) {
			return fmt.Errorf("keep %s: %s is less than an hour", name, d)
		}
	}
	for name := range c.MaxSize {
		if err := knownKind("max_size", name); err != nil {
			return err
		}
	}
	if c.Memory != 0 && c.Memory < 64<<20 {
		return fmt.Errorf("memory %s: use 64MiB or more", c.Memory)
	}
	return nil
}

func knownKind(key, name string) error {
	if _, ok := event.ParseKind(name); !ok && name != "default" {
		return fmt.Errorf("%s: there is no kind %q; use flow, probe, connect, login ... or default", key, name)
	}
	return nil
}

// The rhythm of the store.
const (
	flushEvery = 250 * time.Millisecond
	flushRows  = 245_760
	sealEvery  = time.Minute
	lateness   = 10 * time.Minute // an hour is over so long after its end
	blockBytes = 480 << 10        // what a block takes, for the size of the ring
)

// Store is an open store. Put may be called by many; the questions of query.Reader too.
type Store struct {
	cfg     Config
	dir     string
	log     *slog.Logger
	now     func() time.Time
	db      *sql.DB
	raw     mapping.Database // the same, for questions that read vectors
	writers [writers]*writer

	mu      sync.Mutex
	filled  *block   // the one that Put fills
	spare   []*block // empty ones
	made    int
	most    int
	full    chan *block
	batches batches

	paused   atomic.Pointer[string]
	taken    atomic.Uint64 // by Put
	lost     atomic.Uint64 // not stored: the ring was full, or the disk refused them
	stored   atomic.Uint64 // on disk
	sealed   atomic.Uint64 // rows moved to the archive
	aside    atomic.Uint64 // files set aside
	flushed  atomic.Int64  // when the last flush ended
	lastSeal atomic.Int64  // how long the last seal took

	sealing sync.Mutex // one seal, compaction or removal at a time
	doomed  []doomed

	ran      func() time.Duration // since the start, whatever the clock does
	lastWall time.Time            // the clock when it was last compared with ran
	lastRan  time.Duration
	distrust time.Duration // until then by ran nothing is forgotten

	onStep func(step) // nil but in tests, which end the process there
}

// step is a moment of appending or sealing at which the process may end without a loss or a double.
type step string

// The steps in their order.
const (
	stepAppended     step = "appended"     // rows handed to the engine, not flushed
	stepFlushed      step = "flushed"      // rows on disk, not acknowledged
	stepWritten      step = "written"      // a Parquet file under its temporary name
	stepNamed        step = "named"        // the file has its name, nobody knows it
	stepNoted        step = "noted"        // noted and hot rows removed, not committed
	stepSealed       step = "sealed"       // committed
	stepCheckpointed step = "checkpointed" // the log of the hot file is folded in
	stepMerged       step = "merged"       // a day's index is one file, the old ones still there
)

func (s *Store) reached(at step) {
	if s.onStep != nil {
		s.onStep(at)
	}
}

var _ query.Reader = (*Store)(nil)

// Open opens or makes the store in a directory. One process at a time has it; a file that cannot be read is set aside
// with its name in the log, and the archive is taken over by the new one.
func Open(cfg Config, dir string, log *slog.Logger) (*Store, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	for _, sub := range []string{"", archiveDir, seenDir, tempDir} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
	}
	began := time.Now()
	s := &Store{cfg: cfg, dir: dir, log: log, now: time.Now, ran: func() time.Duration { return time.Since(began) }}
	s.most = max(int(cfg.Ring/blockBytes), 4)
	s.full = make(chan *block, s.most)
	if err := steppedBack(s.open); err != nil {
		return nil, err
	}
	return s, nil
}

// Put stores a copy of an event. It never waits for the disk.
func (s *Store) Put(e *event.Event) {
	s.taken.Add(1)
	if s.paused.Load() != nil {
		s.lost.Add(1)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.filled == nil && !s.take() {
		s.lost.Add(1)
		return
	}
	s.filled.add(e)
	if s.filled.full() {
		s.full <- s.filled // never waits: it has room for every block there is
		s.filled = nil
	}
}

// take gets an empty block to fill.
func (s *Store) take() bool {
	switch {
	case len(s.spare) > 0:
		s.filled = s.spare[len(s.spare)-1]
		s.spare = s.spare[:len(s.spare)-1]
	case s.made < s.most:
		s.filled = newBlock()
		s.made++
	default:
		return false
	}
	return true
}

// maxSpare is how many empty blocks are kept when little comes.
const maxSpare = 4

// giveBack returns a block that was written.
func (s *Store) giveBack(b *block) {
	b.clear()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.spare) >= maxSpare && len(s.full) == 0 {
		b.destroy()
		s.made--
		return
	}
	s.spare = append(s.spare, b)
}

// rotate hands the block that is being filled on as it is.
func (s *Store) rotate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.filled != nil && s.filled.n > 0 {
		s.full <- s.filled
		s.filled = nil
	}
}

// Close writes nothing more; Run must have ended.
func (s *Store) Close() error {
	s.mu.Lock()
	for _, b := range s.spare {
		b.destroy()
	}
	if s.filled != nil {
		s.filled.destroy()
		s.filled = nil
	}
	s.spare = nil
	s.mu.Unlock()
	return s.closeFile()
}

// Figures tells what came in, what is kept and what is missing.
func (s *Store) Figures(ctx context.Context) ([]event.Figure, error) {
	out := []event.Figure{
		event.Count("varde_store_events_total", "Events handed to the store.", s.taken.Load()),
		event.Count("varde_store_stored_total", "Events written to disk.", s.stored.Load()),
		event.Count("varde_store_not_stored_total", "Events that were not stored: the disk was too slow, full or refused them.", s.lost.Load()),
		event.Count("varde_store_sealed_total", "Events moved to the archive.", s.sealed.Load()),
		event.Count("varde_store_set_aside_total", "Files that could not be read and were set aside.", s.aside.Load()),
		event.Measure("varde_store_paused", "1 while storing pauses for want of disk space.", "", yes(s.paused.Load() != nil)),
		event.Measure("varde_store_seal_seconds", "How long the last sealing took.", "seconds", time.Duration(s.lastSeal.Load()).Seconds()),
	}
	sizes, err := s.sizes(ctx)
	return append(out, sizes...), err
}

func yes(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
