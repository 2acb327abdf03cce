package detect

import (
	"math"
	"net/netip"
	"time"
)

// surgeKinds are the surges that the simulator hides.
var surgeKinds = []struct {
	name   string
	rate   float64 // new sources a day
	ramp   time.Duration
	length time.Duration
}{
	{"like 7547, 2000 a day", 2000, 10 * time.Minute, 12 * time.Hour},
	{"like 37777, 200 a day", 200, time.Hour, 24 * time.Hour},
	{"60 a day", 60, time.Hour, 24 * time.Hour},
	{"a busy port, twice as many", 0, time.Hour, 48 * time.Hour},
}

// hideSurges spreads labelled surges over the days from start on.
func (m *simulator) hideSurges(start int64, days int) {
	for _, k := range surgeKinds {
		for i := range m.surges {
			at := start + (int64(i)*int64(days)*simDay+m.rng.Int64N(simDay))/int64(m.surges)
			key, rate := m.port(), k.rate
			if rate == 0 {
				rate = 60 * math.Exp(2*m.rng.Float64()) // fewer cannot be told from chance within days
				m.busyOf = append(m.busyOf, busyPort{key, rate, 1})
			}
			end := at + int64(k.length)
			m.labels = append(m.labels, &label{kind: k.name, port: key, start: at, end: end})
			m.at(at, m.strangers(key, rate, at, end, int64(k.ramp)))
		}
	}
}

// at lets a process begin at a time.
func (m *simulator) at(start int64, p process) {
	m.running = append(m.running, func(from, to int64) bool { return to > start && p(max(from, start), to) })
}

// tries lets a source try the i-th of n ports and targets every so often.
func (m *simulator) tries(start int64, n int, gap time.Duration, what func(i int) (src netip.Addr, key, dst uint32)) process {
	i := 0
	next := start
	return func(_, to int64) bool {
		for ; i < n && next < to; i++ {
			src, key, dst := what(i)
			m.knockAt(next, src, 1<<20|uint32(sourceKey(src))>>8&0xffff, key, dst) // each scan has a system of its own
			next += int64(gap)/2 + m.rng.Int64N(int64(gap))                        // as regular as nmap is with a delay
		}
		return i >= n
	}
}

// scanKinds are the scans that the simulator hides, with what the source does.
var scanKinds = []struct {
	name string
	make func(m *simulator, start int64, src netip.Addr) (process, int64)
}{
	{"vertical", func(m *simulator, start int64, src netip.Addr) (process, int64) {
		n, gap := 20+m.rng.IntN(980), time.Duration(10+m.rng.IntN(8000))*time.Millisecond
		dst := m.target()
		return m.tries(start, n, gap, func(int) (netip.Addr, uint32, uint32) { return src, m.port(), dst }), int64(n) * int64(gap)
	}},
	{"slow vertical", func(m *simulator, start int64, src netip.Addr) (process, int64) {
		n, gap := 40+m.rng.IntN(200), time.Duration(60+m.rng.IntN(1200))*time.Second
		dst := m.target()
		return m.tries(start, n, gap, func(int) (netip.Addr, uint32, uint32) { return src, m.port(), dst }), int64(n) * int64(gap)
	}},
	{"diagonal", func(m *simulator, start int64, src netip.Addr) (process, int64) {
		n, gap := 40+m.rng.IntN(200), time.Duration(60+m.rng.IntN(1200))*time.Second
		dst, down := m.target(), m.rng.IntN(2) == 0
		first, every := uint32(1+m.rng.IntN(1000)), uint32(1+m.rng.IntN(200))
		return m.tries(start, n, gap, func(i int) (netip.Addr, uint32, uint32) {
			if down {
				return src, 65535 - uint32(i)*every, dst
			}
			return src, first + uint32(i)*every, dst
		}), int64(n) * int64(gap)
	}},
	{"horizontal", func(m *simulator, start int64, src netip.Addr) (process, int64) {
		n, gap := 1<<(32-m.own.Bits()), time.Duration(10+m.rng.IntN(60_000))*time.Millisecond
		key := m.port()
		return m.tries(start, n, gap, func(i int) (netip.Addr, uint32, uint32) { return src, key, uint32(i) }), int64(n) * int64(gap)
	}},
	{"block", func(m *simulator, start int64, src netip.Addr) (process, int64) {
		n, gap := 200+m.rng.IntN(400), time.Duration(10+m.rng.IntN(4000))*time.Millisecond
		return m.tries(start, n, gap, func(int) (netip.Addr, uint32, uint32) { return src, m.port(), m.target() }), int64(n) * int64(gap)
	}},
	{"distributed", func(m *simulator, start int64, src netip.Addr) (process, int64) {
		n, gap := 60+m.rng.IntN(200), time.Duration(5+m.rng.IntN(600))*time.Second
		dst, sources := m.target(), uint32(6+m.rng.IntN(10))
		first := uint32(sourceKey(src)) &^ 0xff
		return m.tries(start, n, gap, func(i int) (netip.Addr, uint32, uint32) { return addr4(first + 1 + uint32(i)%sources), m.port(), dst }), int64(n) * int64(gap)
	}},
}

// hideScans spreads labelled scans over the days from start on.
func (m *simulator) hideScans(start int64, days int) {
	for ki, k := range scanKinds {
		for i := range m.scanners {
			at := start + (int64(i)*int64(days)*simDay+m.rng.Int64N(simDay))/int64(m.scanners)
			src := addr4(0xf8000000 | uint32(ki)<<20 | uint32(i)<<8 | 9) // where nobody else of the simulation lives
			p, length := k.make(m, at, src)
			l := &label{kind: k.name, source: sourceKey(src), start: at, end: at + length + int64(2*time.Hour)}
			if k.name == "distributed" {
				l.source = neighbours(src)
			}
			m.labels = append(m.labels, l)
			m.at(at, p)
		}
	}
}
