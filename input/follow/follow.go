// Package follow reads log files as they grow and are rotated, standard input and the journal, and hands on each line
// once. Whatever has been rotated away before it was read, or while varde did not run, is looked for beside the file.
//
// It is written by hand, since the followers that can be had lose lines at a plain rotation by renaming. Polling is the
// truth here: each look asks the file itself whether it is still the one that was read, and inotify only tells when to
// look sooner.
package follow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"varde/event/human"
)

// MaxLine is how much of a line is read; the rest is cut off.
const MaxLine = 8 << 10

const (
	maxFiles   = 1024                   // followed at a time
	pollEvery  = 250 * time.Millisecond // how long a line may wait where inotify does not work
	globEvery  = 2 * time.Second        // how often patterns are looked at for new files
	saveEvery  = time.Second
	roundBytes = 4 << 20 // read of one file before the others have their turn
)

// Config is the part of the configuration that is about log files.
type Config struct {
	Paths     human.List     `yaml:"paths" doc:"Files to follow, or patterns as /var/log/fw/*.log; rotated files beside them are found by themselves. \"-\" is standard input."`
	Journal   *JournalConfig `yaml:"journal" doc:"Follow the journal too; {} for all of it."`
	Zone      string         `yaml:"zone" doc:"Zone of times that tell none, as Europe/Berlin; empty is that of this machine."`
	FromStart bool           `yaml:"from_start" doc:"The first time, read also what is in the files and the journal already."`
}

// DefaultConfig follows nothing.
func DefaultConfig() Config { return Config{} }

// Check says which value is impossible.
func (c *Config) Check() error {
	for _, p := range c.Paths {
		if p == "-" {
			continue
		}
		if _, err := filepath.Match(p, ""); err != nil {
			return fmt.Errorf("path %q is no pattern: %w", p, err)
		}
		if !filepath.IsAbs(p) {
			return fmt.Errorf("path %q must begin with a slash", p)
		}
		if packed(p) {
			return fmt.Errorf("path %q is compressed and will not grow; name the file that is written to, its rotated ones are found", p)
		}
	}
	_, err := loadZone(c.Zone)
	return err
}

func loadZone(name string) (*time.Location, error) {
	if name == "" {
		return time.Local, nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("zone %q is unknown; use a name like Europe/Berlin or UTC (Debian's package tzdata has them)", name)
	}
	return zone, nil
}

// Origin says where a line comes from.
type Origin struct {
	Name string         // the followed file, "journal" or "-"
	File string         // the file that it stands in, which may be a rotated one
	Zone *time.Location // of times that tell none
	Time time.Time      // when the file was last changed, for lines that may be old; zero for what is read as it is written
}

// Take takes one line without its newline. Both arguments are valid only during the call.
type Take func(o *Origin, line []byte)

// Follower follows all that one Config names.
type Follower struct {
	cfg   Config
	zone  *time.Location
	state string // the file where positions are kept
	take  Take
	log   *slog.Logger

	taking   sync.Mutex // one line at a time: files, standard input and the journal have a goroutine each
	mu       sync.Mutex // guards tails and positions, which one goroutine changes and Figures reads
	tails    map[string]*tail
	found    []string // patterns that have been looked at before, in this run or an earlier one
	buf      []byte
	saved    saver
	journal  *journal
	globbed  time.Time
	tooMany  bool
	counters counters
}

type counters struct {
	lines, octets, cut, rotations, truncations, leftovers, gaps, unreadable, refused atomic.Uint64
}

// New makes a follower that keeps its positions in dir under a name of its own, which must not change. take is called
// for one line at a time.
func New(name string, cfg Config, dir string, take Take, log *slog.Logger) (*Follower, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	zone, err := loadZone(cfg.Zone)
	if err != nil {
		return nil, err
	}
	f := &Follower{
		cfg: cfg, zone: zone, state: filepath.Join(dir, "follow-"+name+".json"), log: log,
		tails: map[string]*tail{}, buf: make([]byte, 64<<10),
	}
	f.take = func(o *Origin, line []byte) {
		f.taking.Lock()
		defer f.taking.Unlock()
		f.counters.lines.Add(1)
		take(o, line)
	}
	if cfg.Journal != nil {
		f.journal = &journal{cfg: *cfg.Journal, f: f}
	}
	return f, nil
}

// Run follows until ctx ends, and then keeps how far it came. A kill makes what was read in the last two seconds come
// again: positions are written a second late, so that whoever took the lines has kept them by then.
func (f *Follower) Run(ctx context.Context) error {
	if err := f.load(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var others sync.WaitGroup
	if f.journal != nil {
		others.Go(func() { f.journal.run(ctx) })
	}
	if slices.Contains(f.cfg.Paths, "-") {
		go f.stdin() // it cannot be interrupted, and ends with the process
	}
	wake := newWaker(f.log)
	err := f.follow(ctx, wake)
	cancel()
	others.Wait()
	wake.close()
	err = errors.Join(err, f.saved.write(f.encode()))
	for _, t := range f.tails {
		t.close()
	}
	return err
}

func (f *Follower) stdin() {
	o := &Origin{Name: "-", File: "-", Zone: f.zone}
	var l lines
	if err := readAll(context.Background(), os.Stdin, make([]byte, 64<<10), func(b []byte) { f.count(&l, b, o) }); err != nil {
		f.log.Warn("standard input ended", "err", err)
	}
	f.finish(&l, o)
}

// count takes bytes of a source.
func (f *Follower) count(l *lines, b []byte, o *Origin) {
	f.counters.octets.Add(uint64(len(b)))
	before := l.cut
	l.feed(b, func(line []byte) { f.take(o, line) })
	f.counters.cut.Add(l.cut - before)
}

// finish takes what stands at the end without a newline.
func (f *Follower) finish(l *lines, o *Origin) {
	before := l.cut
	l.finish(func(line []byte) { f.take(o, line) })
	f.counters.cut.Add(l.cut - before)
}

// follow looks at the files again and again.
func (f *Follower) follow(ctx context.Context, wake *waker) error {
	for ctx.Err() == nil {
		more := f.round(ctx, time.Now())
		for _, t := range f.tails {
			wake.watch(filepath.Dir(t.path))
		}
		if err := f.saved.due(time.Now(), f.encode); err != nil {
			return err
		}
		if !more {
			wake.wait(ctx, pollEvery)
		}
	}
	return nil
}

// round looks once at every file and tells whether one has more to read.
func (f *Follower) round(ctx context.Context, now time.Time) (more bool) {
	if now.Sub(f.globbed) >= globEvery {
		f.globbed = now
		f.find()
	}
	for _, path := range f.paths() {
		t := f.tails[path]
		if t.poll(ctx, now) {
			more = true
		}
		if t.gone(now) {
			t.close()
			f.mu.Lock()
			delete(f.tails, path)
			f.mu.Unlock()
		}
	}
	return more
}

func (f *Follower) paths() []string {
	out := make([]string, 0, len(f.tails))
	for p := range f.tails {
		out = append(out, p)
	}
	slices.Sort(out)
	return out
}

// find looks which files there are. One that is new since the pattern was first looked at is read from its start.
func (f *Follower) find() {
	for _, pattern := range f.cfg.Paths {
		if pattern == "-" {
			continue
		}
		fresh := !slices.Contains(f.found, pattern)
		literal := !strings.ContainsAny(pattern, `*?[\`)
		paths := []string{pattern}
		if !literal {
			paths, _ = filepath.Glob(pattern) // Check has seen that it is a pattern
		}
		for _, path := range paths {
			f.add(path, literal, fresh && !f.cfg.FromStart)
		}
		if fresh {
			f.found = append(f.found, pattern)
		}
	}
}

// add begins to follow a file. What a pattern finds must not be a rotated one.
func (f *Follower) add(path string, literal, atEnd bool) {
	if f.tails[path] != nil {
		return
	}
	if !literal {
		st, err := os.Stat(path)
		if err != nil || !st.Mode().IsRegular() || isRotated(path) || f.knows(idOf(st)) {
			return
		}
	}
	if len(f.tails) >= maxFiles {
		f.counters.refused.Add(1)
		if !f.tooMany {
			f.tooMany = true
			f.log.Warn("too many log files to follow; the rest is not read: use a narrower pattern", "files", maxFiles, "first", path)
		}
		return
	}
	t := newTail(f, path, literal)
	t.atEnd = atEnd
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tails[path] = t
}

// knows tells whether a file is followed under another name already: it was renamed within the pattern.
func (f *Follower) knows(id fileID) bool {
	for _, t := range f.tails {
		if t.file != nil && t.pos.id == id || slices.ContainsFunc(t.retired, func(r *reading) bool { return r.pos.id == id }) {
			return true
		}
	}
	return false
}
