package store

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"varde/event"
	"varde/event/query"
)

// noon is when the tests are.
var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// openStore opens a store whose Run goes until the test ends or the returned function is called.
func openStore(t testing.TB, cfg Config, dir string) (*Store, func()) {
	t.Helper()
	s, err := Open(cfg, dir, slog.New(slog.NewTextHandler(testLog{t}, nil)))
	if err != nil {
		t.Fatal(err)
	}
	s.now = func() time.Time { return noon }
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	ended := false
	stop := func() {
		if ended {
			return
		}
		ended = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return s, stop
}

type testLog struct{ t testing.TB }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Logf("%s", strings.TrimSpace(string(b)))
	return len(b), nil
}

// flows makes n flows of an ordinary network, evenly spread over a span; the same seed gives the same ones.
func flows(n int, from time.Time, span time.Duration, seed uint64, one func(*event.Event)) {
	r := rand.New(rand.NewPCG(seed, 1))
	out := rand.NewZipf(r, 1.1, 8, 1<<20)
	ports := []uint16{443, 443, 443, 80, 53, 53, 123, 22, 25, 3389, 8080, 7547, 445}
	var e event.Event
	for i := range n {
		at := from.Add(time.Duration(float64(span) * float64(i) / float64(n))).UnixMicro()
		far := netip.AddrFrom4([4]byte{byte(20 + out.Uint64()%180), byte(out.Uint64() >> 8), byte(out.Uint64()), byte(r.Uint32())})
		near := netip.AddrFrom4([4]byte{10, 0, byte(r.Uint32N(16)), byte(r.Uint32())})
		packets := uint64(1 + r.Uint32N(40))
		e = event.Event{
			Kind: event.Flow, Source: "netflow9", Exporter: "198.51.100.1", Proto: event.TCP, TCPFlags: 0x1b,
			Time: at * 1000, End: (at + int64(r.Uint32N(30_000_000))) * 1000, Src: near, Dst: far, Own: event.SideSrc,
			SrcPort: uint16(1024 + r.Uint32N(60000)), DstPort: ports[r.IntN(len(ports))],
			Packets: packets, Bytes: packets * uint64(40+r.Uint32N(1400)), Sampling: 1, InIndex: 1, OutIndex: 2,
		}
		if e.DstPort == 53 || e.DstPort == 123 {
			e.Proto, e.TCPFlags = event.UDP, 0
		}
		if r.IntN(2) == 0 {
			e.Src, e.Dst, e.SrcPort, e.DstPort, e.Own = e.Dst, e.Src, e.DstPort, e.SrcPort, event.SideDst
		}
		one(&e)
	}
}

func put(t testing.TB, s *Store, n int, from time.Time, span time.Duration, seed uint64) {
	t.Helper()
	flows(n, from, span, seed, s.Put)
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func count(t testing.TB, s *Store) uint64 {
	t.Helper()
	g, err := s.Top(t.Context(), query.Box{}, query.TopBy{Fields: []query.Field{query.FieldKind}, N: 1})
	if err != nil {
		t.Fatal(err)
	}
	return g.Total.Events
}

// TestSealAndReopen: what was taken is found hot, sealed, after a restart, and once only.
func TestSealAndReopen(t *testing.T) {
	dir := t.TempDir()
	s, stop := openStore(t, DefaultConfig(), dir)
	put(t, s, 20_000, noon.Add(-5*time.Hour), 5*time.Hour, 1)
	if n := count(t, s); n != 20_000 {
		t.Fatalf("%d events are hot", n)
	}
	if err := s.Seal(t.Context(), noon.Add(-lateness)); err != nil {
		t.Fatal(err)
	}
	parts, err := s.parts(t.Context())
	if err != nil || len(parts) != 4 {
		t.Fatalf("%d parts, %v", len(parts), err)
	}
	if n := count(t, s); n != 20_000 {
		t.Fatalf("%d events after sealing", n)
	}
	stop()
	s, stop = openStore(t, DefaultConfig(), dir)
	if n := count(t, s); n != 20_000 {
		t.Fatalf("%d events after a restart", n)
	}
	// Late ones make a new part.
	put(t, s, 1000, noon.Add(-5*time.Hour), time.Hour, 2)
	if err := s.Seal(t.Context(), noon); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "archive/flow/day=2026-03-04/07-0002.parquet")); err != nil {
		t.Error(err)
	}
	if n := count(t, s); n != 21_000 {
		t.Fatalf("%d events with the late ones", n)
	}
	stop()
	// Without the hot file the archive is taken over.
	if err := os.Remove(filepath.Join(dir, hotFile)); err != nil {
		t.Fatal(err)
	}
	s, _ = openStore(t, DefaultConfig(), dir)
	if n := count(t, s); n != 21_000 {
		t.Fatalf("%d events of the archive alone", n)
	}
	if c, err := s.Hunt(t.Context(), query.Box{}, []netip.Prefix{netip.MustParsePrefix("10.0.3.0/24")}); err != nil || len(c) == 0 {
		t.Errorf("%d contacts, %v", len(c), err)
	}
}

// TestPutAllocatesNothing: the hot path of the store.
func TestPutAllocatesNothing(t *testing.T) {
	s, _ := openStore(t, DefaultConfig(), t.TempDir())
	var events []event.Event
	flows(1000, noon, time.Minute, 1, func(e *event.Event) { events = append(events, e.Clone()) })
	i := 0
	if n := testing.AllocsPerRun(20_000, func() { s.Put(&events[i%1000]); i++ }); n != 0 {
		t.Errorf("%v allocations an event", n)
	}
}

func BenchmarkPut(b *testing.B) {
	s, _ := openStore(b, DefaultConfig(), b.TempDir())
	var events []event.Event
	flows(100_000, noon, time.Hour, 1, func(e *event.Event) { events = append(events, e.Clone()) })
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		s.Put(&events[i%len(events)])
		if i++; i%491_520 == 0 {
			if err := s.Flush(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := s.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(s.stored.Load())/b.Elapsed().Seconds(), "stored/s")
	if n := s.lost.Load(); n > 0 {
		b.Errorf("%d not stored", n)
	}
}

// BenchmarkSeal moves ten million rows of ten hours to the archive: all of a closed day at a busy site.
func BenchmarkSeal(b *testing.B) {
	const rows = 10_000_000
	for b.Loop() {
		b.StopTimer()
		s, _ := openStore(b, DefaultConfig(), b.TempDir())
		n := 0
		flows(rows, noon, 10*time.Hour, 1, func(e *event.Event) {
			s.Put(e)
			if n++; n%400_000 == 0 {
				if err := s.Flush(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
		if err := s.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if err := s.Seal(b.Context(), noon.Add(24*time.Hour)); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if n := s.sealed.Load(); n != rows {
			b.Fatalf("%d rows sealed", n)
		}
		b.StartTimer()
	}
}

func TestStoreConforms(t *testing.T) {
	conform(t, func(t *testing.T) subject {
		s, _ := openStore(t, DefaultConfig(), t.TempDir())
		return s
	})
}
