package detect

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"varde/event"
)

// recorded is some hours of the busy site, and the detectors that know the days before.
func recorded(tb testing.TB, days int) (*simulator, *Ground, *Scans, *Surges, []knock) {
	tb.Helper()
	m := newSimulator(busySite, 1)
	ground := NewGround(DefaultGround(), nil)
	scans, surges := NewScans(DefaultScan(), ground, nil), NewSurges(DefaultSurge(), ground)
	for range int64(days) * simDay / simStep {
		m.step(func(e *event.Event) {
			scans.Judge(e)
			surges.Judge(e)
		})
	}
	var all []knock
	for len(all) < 100_000 {
		m.step(func(e *event.Event) {
			all = append(all, knock{e.Time, e.Src, uint32(e.Dst.As4()[3]), portKey(e.Proto, e.DstPort), e.ASN})
		})
	}
	return m, ground, scans, surges, all
}

// BenchmarkJudge takes probes past Ground and both detectors: as they come at the busy site, where one in seven was sent
// before, and the same ones with every source ten times in a row, as where somebody knocks for longer.
func BenchmarkJudge(b *testing.B) {
	for _, bc := range []struct {
		name   string
		repeat int
	}{{"new", 1}, {"repeated", 10}} {
		b.Run(bc.name, func(b *testing.B) {
			m, ground, scans, surges, all := recorded(b, 2)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				k := &all[i/bc.repeat%len(all)]
				e := m.event(k)
				if i%bc.repeat == bc.repeat-1 {
					k.at += simDay // the same again a day later
				}
				ground.Judge(e)
				scans.Judge(e)
				surges.Judge(e)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkPassing takes flows that are no probes past them, as most flows of a router are.
func BenchmarkPassing(b *testing.B) {
	_, ground, scans, surges, _ := recorded(b, 1)
	var all []event.Event
	for i := range 1024 {
		h := half{i%2 == 0, event.TCP, uint16(40000 + i), 443, whole, 20, 9000}
		if !h.out {
			h.sport, h.dport = h.dport, h.sport
		}
		e := h.event(t0)
		e.Evidence = nil
		all = append(all, *e)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		e := &all[i%len(all)]
		ground.Judge(e)
		scans.Judge(e)
		surges.Judge(e)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func TestJudgeAllocatesNothing(t *testing.T) {
	m, ground, scans, surges, all := recorded(t, 1)
	i := 0
	n := testing.AllocsPerRun(20_000, func() {
		e := m.event(&all[i])
		i++
		ground.Judge(e)
		scans.Judge(e)
		surges.Judge(e)
	})
	if n != 0 {
		t.Errorf("%v allocations an event, want 0", n)
	}
}

// maxFlooded is what ground, scans and surges may take together, whatever is sent.
const maxFlooded = 48 << 20

// TestFloodOfSources sends packets from two million invented sources to random ports and holds the memory to its bound;
// a slow scan that began before is found all the same.
func TestFloodOfSources(t *testing.T) {
	if testing.Short() {
		t.Skip("judges two million probes in one goroutine")
	}
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	ground := NewGround(DefaultGround(), ours)
	scans, surges := NewScans(DefaultScan(), ground, nil), NewSurges(DefaultSurge(), ground)
	rng := rand.New(rand.NewPCG(1, 2))
	found := false
	for i := range 2_000_000 {
		at := time.Duration(i) * 3 * time.Millisecond // a third of a thousand a second
		e := denied(at, "198.51.100.9", "192.0.2.7", 1+i/50_000)
		if i%50_000 != 0 {
			e.Src, e.DstPort = addr4(rng.Uint32()%0xdf000000+0x01000000), uint16(rng.Uint32())
			e.ASN = rng.Uint32N(60_000)
		}
		ground.Judge(e)
		if w := scans.Judge(e); w != nil && w.Scan.Pattern != "horizontal" {
			found = found || w.Foreign.Addr.String() == "198.51.100.9"
		}
		surges.Judge(e)
	}
	if used := heap() - before; used > maxFlooded {
		t.Errorf("%d MiB after the flood, want at most %d", used>>20, maxFlooded>>20)
	} else {
		t.Logf("%.1f MiB", float64(used)/(1<<20))
	}
	if !found {
		t.Error("the flood hid a slow scan")
	}
	runtime.KeepAlive(scans)
	runtime.KeepAlive(surges)
}

// TestManyReaders lets four goroutines judge at once, for the race detector, and counts that nothing got lost.
func TestManyReaders(t *testing.T) {
	d := newDetectors()
	var group sync.WaitGroup
	for reader := range 4 {
		group.Go(func() {
			for i := range 5000 {
				e := denied(time.Duration(i)*time.Second, fmt.Sprintf("198.51.100.%d", reader), "192.0.2.7", 1+i%1000)
				d.judge(e, func(event.Warning) {})
				if i%100 == 0 {
					d.judge(half{true, event.TCP, 2222, 50000, whole, 9, 4000}.event(e.Time), func(event.Warning) {})
					d.sweep(e.Time, func(event.Warning) {})
				}
			}
		})
	}
	group.Wait()
	if d.scans.probes != 20_000 || d.scans.open.n != 4 {
		t.Errorf("%d probes, %d scans open; want 20000 and 4", d.scans.probes, d.scans.open.n)
	}
}
