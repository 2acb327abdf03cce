package store

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"varde/event"
	"varde/event/human"
	"varde/event/query"
)

// sealedStore is a store with events in five sealed hours.
func sealedStore(t *testing.T, cfg Config, dir string) (*Store, func()) {
	t.Helper()
	s, stop := openStore(t, cfg, dir)
	put(t, s, 10_000, noon.Add(-6*time.Hour), 5*time.Hour, 1)
	if err := s.Seal(t.Context(), noon); err != nil {
		t.Fatal(err)
	}
	return s, stop
}

func partFiles(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "archive/flow/*/*.parquet"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	return files
}

// spoil overwrites the middle of a file, as a bad disk does: its length stays.
func spoil(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copy(b[len(b)/3:], bytes.Repeat([]byte{0xa5}, len(b)/2))
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestSpoiledPart: a file of the archive that cannot be read is set aside at the first question that meets it, and the
// rest is answered.
func TestSpoiledPart(t *testing.T) {
	dir := t.TempDir()
	_, stop := sealedStore(t, DefaultConfig(), dir)
	stop()
	files := partFiles(t, dir)
	spoil(t, files[1])
	s, _ := openStore(t, DefaultConfig(), dir)
	put(t, s, 500, noon.Add(-time.Minute), time.Minute, 2)
	g, err := s.Top(t.Context(), query.Box{}, query.TopBy{Fields: []query.Field{query.FieldSrc}, N: 10})
	if err != nil {
		t.Fatal(err)
	}
	if g.Total.Events != 8500 {
		t.Errorf("%d events are answered, 8500 can be", g.Total.Events)
	}
	if _, err := os.Stat(files[1] + ".broken"); err != nil {
		t.Error(err)
	}
	if s.aside.Load() != 1 {
		t.Errorf("%d files are counted as set aside", s.aside.Load())
	}
}

// TestSpoiledIndex: an index that cannot be read, or is gone, is made anew; a hunt misses nothing.
func TestSpoiledIndex(t *testing.T) {
	dir := t.TempDir()
	s, stop := sealedStore(t, DefaultConfig(), dir)
	prey := []netip.Prefix{netip.MustParsePrefix("10.0.3.0/24")}
	hunt := func(s *Store) (n uint64) {
		t.Helper()
		contacts, err := s.Hunt(t.Context(), query.Box{}, prey)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range contacts {
			n += c.Events
		}
		return n
	}
	want := hunt(s)
	stop()
	for _, ruin := range []func(string){func(p string) { spoil(t, p) }, func(p string) { _ = os.Remove(p) }, func(p string) { _ = os.Truncate(p, 10) }} {
		files, err := filepath.Glob(filepath.Join(dir, "seen/flow/*.parquet"))
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		ruin(files[0])
		s, stop = openStore(t, DefaultConfig(), dir)
		if got := hunt(s); got != want || want == 0 {
			t.Errorf("the hunt finds %d events of %d", got, want)
		}
		stop()
	}
}

// TestSpoiledHotFile: the newest events are lost with their file, which is set aside; the archive is kept and the
// store works.
func TestSpoiledHotFile(t *testing.T) {
	for name, ruin := range map[string]func(string){
		"overwritten": func(p string) { spoil(t, p) },
		"cut":         func(p string) { _ = os.Truncate(p, 5000) },
		"empty":       func(p string) { _ = os.WriteFile(p, []byte("no database\n"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s, stop := sealedStore(t, DefaultConfig(), dir)
			put(t, s, 50_000, noon.Add(-time.Minute), time.Minute, 2)
			if _, err := s.db.Exec("CHECKPOINT"); err != nil {
				t.Fatal(err)
			}
			stop()
			ruin(filepath.Join(dir, hotFile))
			s, _ = openStore(t, DefaultConfig(), dir)
			if n := count(t, s); n != 10_000 {
				t.Errorf("%d events of the archive, 10000 were there", n)
			}
			put(t, s, 100, noon, time.Second, 3)
			if n := count(t, s); n != 10_100 {
				t.Errorf("%d events with new ones", n)
			}
			if broken, _ := filepath.Glob(filepath.Join(dir, hotFile+".broken-*")); len(broken) == 0 {
				t.Error("the file is not set aside")
			}
		})
	}
}

// TestFilesLackColumns: a file has no column that would be empty, and questions over files that lack different ones are
// answered as if all had all, also after the tables and the indexes were lost.
func TestFilesLackColumns(t *testing.T) {
	dir := t.TempDir()
	s, stop := openStore(t, DefaultConfig(), dir)
	odd := []func(*event.Event){ // in the hours 6, 7 and 8
		func(*event.Event) {},
		func(e *event.Event) { e.Proto, e.HasICMP, e.ICMPType, e.ICMPCode = event.ICMP, true, 3, 1 },
		func(e *event.Event) { e.HasReverse, e.RevBytes, e.Country, e.InIf = true, 5000, "NO", "wan0" },
	}
	for i, mark := range odd {
		n := 0
		flows(500, noon.Add(time.Duration(i-6)*time.Hour), time.Hour, uint64(i), func(e *event.Event) {
			if n++; n%50 == 0 {
				mark(e)
			}
			s.Put(e)
		})
	}
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	box := query.Box{From: noon.Add(-6*time.Hour + 10*time.Minute).UnixNano()}
	type answers struct {
		Tail []event.Event
		Top  query.Groups
		Hunt []query.Contact
	}
	ask := func(s *Store) (a answers) {
		t.Helper()
		var errs [3]error
		a.Tail, errs[0] = s.Tail(t.Context(), box, 2000)
		a.Top, errs[1] = s.Top(t.Context(), box, query.TopBy{Fields: []query.Field{query.FieldCountry}, N: 9})
		a.Hunt, errs[2] = s.Hunt(t.Context(), box, []netip.Prefix{netip.MustParsePrefix("10.0.3.0/24")})
		if err := errors.Join(errs[:]...); err != nil {
			t.Fatal(err)
		}
		return a
	}
	want := ask(s)
	if err := s.Seal(t.Context(), noon); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, ask(s), cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
		t.Errorf("after sealing:\n%s", diff)
	}
	rare := "rev_packets rev_bytes rev_tcp_flags nat_src_hi nat_src_lo nat_dst_hi nat_dst_lo nat_sport nat_dport nat_event"
	plain := "icmp " + rare + " in_if out_if country rule session lists detail"
	for i, lacks := range []string{
		plain, strings.Replace(plain, "icmp ", "", 1),
		strings.NewReplacer("rev_packets rev_bytes rev_tcp_flags ", "", "in_if ", "", "country ", "").Replace(plain),
	} {
		var got string
		if err := s.db.QueryRow("SELECT lacks FROM parts ORDER BY hour LIMIT 1 OFFSET ?", i).Scan(&got); err != nil || got != lacks {
			t.Errorf("file %d lacks %q, %v; want %q", i, got, err, lacks)
		}
	}
	stop()
	spoil(t, filepath.Join(dir, hotFile))
	if err := os.RemoveAll(filepath.Join(dir, seenDir)); err != nil {
		t.Fatal(err)
	}
	s, stop = openStore(t, DefaultConfig(), dir)
	if diff := cmp.Diff(want, ask(s), cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
		t.Errorf("after the tables were lost:\n%s", diff)
	}
	stop()
	if err := os.RemoveAll(filepath.Join(dir, seenDir)); err != nil {
		t.Fatal(err)
	}
	s, _ = openStore(t, DefaultConfig(), dir)
	if diff := cmp.Diff(want, ask(s), cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
		t.Errorf("after the index was lost:\n%s", diff)
	}
}

// TestSecondProcess: the store has one owner, and says so to the next.
func TestSecondProcess(t *testing.T) {
	dir := t.TempDir()
	s, _ := openStore(t, DefaultConfig(), dir)
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), killed+"="+dir, killed+"_FIRST=0")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "another process has "+filepath.Join(dir, hotFile)+" open") {
		t.Errorf("the second process ends with %v and says %s", err, out)
	}
	put(t, s, 100, noon, time.Second, 3)
	if n := count(t, s); n != 100 {
		t.Errorf("%d events with the first", n)
	}
}

// TestClockJumps: a clock that goes back a day loses nothing, and one that goes ahead ten years makes the store forget
// nothing until it has held for a day.
func TestClockJumps(t *testing.T) {
	s, _ := sealedStore(t, DefaultConfig(), t.TempDir())
	var ran time.Duration
	s.ran = func() time.Duration { return ran }
	at := func(clock time.Time, passed time.Duration, want uint64) {
		t.Helper()
		s.now = func() time.Time { return clock }
		ran += passed
		if err := s.tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := count(t, s); n != want {
			t.Errorf("at %s, %s on: %d events, want %d", clock.Format(time.DateTime), ran, n, want)
		}
	}
	at(noon, 0, 10_000)
	at(noon.AddDate(0, 0, -1), time.Minute, 10_000)
	put(t, s, 1000, noon.AddDate(0, 0, -1), time.Minute, 4)
	at(noon.Add(time.Minute), time.Minute, 11_000)
	at(noon.AddDate(10, 0, 0), time.Minute, 11_000)
	at(noon.AddDate(10, 0, 0).Add(23*time.Hour), 23*time.Hour, 11_000)
	at(noon.AddDate(10, 0, 2), 25*time.Hour, 0) // it was right
}

// TestKeep: events leave when they are older than their kind is kept, and the oldest hours of a kind that takes too much.
func TestKeep(t *testing.T) {
	dir := t.TempDir()
	cfg := DefaultConfig()
	cfg.Keep = map[string]human.Duration{"flow": human.Duration(4 * time.Hour), "default": human.Duration(1000 * time.Hour)}
	s, _ := sealedStore(t, cfg, dir)
	flows(3000, noon.Add(-6*time.Hour), 3*time.Hour, 9, func(e *event.Event) {
		e.Kind = event.Probe
		s.Put(e)
	})
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := count(t, s); n != 6000+3000 { // the hours of 8, 9 and 10 o'clock, and the probes
		t.Errorf("%d events are kept for their age", n)
	}
	s.cfg.MaxSize = map[string]human.Size{"flow": 0, "probe": 1 << 30}
	parts, err := s.parts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts[len(parts)-1:] {
		s.cfg.MaxSize["flow"] = human.Size(p.size)
	}
	if err := s.tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := count(t, s); n != 2000+3000 {
		t.Errorf("%d events are kept for their size", n)
	}
	s.unlink(true)
	if files := partFiles(t, dir); len(files) != 1 {
		t.Errorf("%d files of flows are left", len(files))
	}
}

// TestDiskFull: on a disk that is full the oldest hours go first, then storing pauses and counts, the watch goes on, and
// with room again storing goes on by itself. The disk is a small one in memory, which needs root.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=48m"); err != nil {
		t.Skipf("mounting a small disk needs root: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	cfg := DefaultConfig()
	cfg.Free = 4 << 20
	s, stop := sealedStore(t, cfg, dir)
	ballast := filepath.Join(dir, "ballast")
	free, err := freeBytes(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ballast, make([]byte, free-2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	s.log = slog.New(slog.NewTextHandler(&said, nil))
	s.watchDisk(t.Context())
	if !strings.Contains(said.String(), "the oldest hour of the archive goes") || !strings.Contains(said.String(), "storing pauses, warnings go on") {
		t.Errorf("it does not say what it does:\n%s", said.String())
	}
	flows(1000, noon, time.Minute, 5, s.Put)
	if s.lost.Load() != 1000 {
		t.Errorf("%d events are counted as not stored", s.lost.Load())
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	s.watchDisk(t.Context())
	put(t, s, 700, noon, time.Minute, 6)
	if n := count(t, s); n != 700 {
		t.Errorf("%d events once there is room", n)
	}
	// Full without any warning: the engine's own error is counted and does not end anything.
	s.cfg.Free = 0
	if free, err = freeBytes(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ballast, make([]byte, free-64<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	before := s.lost.Load()
	flows(300_000, noon, time.Minute, 7, s.Put)
	_ = s.Flush(t.Context())
	lost := s.lost.Load() - before
	if lost == 0 {
		t.Error("nothing is counted as not stored on a full disk")
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	put(t, s, 900, noon, time.Minute, 8)
	if n, want := count(t, s), 700+300_000-lost+900; n != want {
		t.Errorf("%d events after the disk was full, want %d", n, want)
	}
	stop()
	s, _ = openStore(t, cfg, dir)
	if n, want := count(t, s), 700+300_000-lost+900; n != want {
		t.Errorf("%d events after a restart, want %d", n, want)
	}
}

// TestAsksWhileItStores: a cancelled question ends at once and leaves nothing behind.
func TestAsksWhileItStores(t *testing.T) {
	s, _ := sealedStore(t, DefaultConfig(), t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Top(ctx, query.Box{}, query.TopBy{Fields: []query.Field{query.FieldSrc}, N: 10}); err == nil {
		t.Error("a cancelled question is answered")
	}
	if n := count(t, s); n != 10_000 {
		t.Errorf("%d events", n)
	}
}

// TestBrokenOff: whenever questions were broken off, the file is closed with the store.
func TestBrokenOff(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(DefaultConfig(), dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s.db.SetMaxIdleConns(-1) // so that each question has a connection of its own, which is closed
	broken := 0
	for i := range 400 {
		ctx, stop := context.WithTimeout(t.Context(), time.Duration(i%100)*20*time.Microsecond)
		var n int
		if err := s.db.QueryRowContext(ctx, "SELECT count(*) FROM range(100)").Scan(&n); err != nil {
			broken++
		}
		stop()
	}
	if broken < 20 {
		t.Errorf("only %d questions were broken off", broken)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range open {
		if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, dir) {
			t.Fatalf("%s is still open", to)
		}
	}
}
