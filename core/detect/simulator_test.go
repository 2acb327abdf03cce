package detect

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"varde/event"
)

// site is what a simulated network sees.
type site struct {
	name     string
	perPort  float64 // new sources for each TCP and UDP port and day, as a mean
	busy     int     // ports with far more
	own      netip.Prefix
	scanners int // labelled scans of each kind
	surges   int // labelled surges of each kind
}

var (
	quietSite = site{name: "quiet", perPort: 0.15, busy: 40, own: netip.MustParsePrefix("192.0.2.0/28")}
	busySite  = site{name: "busy", perPort: 1.5, busy: 220, own: netip.MustParsePrefix("192.0.2.0/24")}
)

// label is something that the simulator hid and the detectors shall find.
type label struct {
	kind       string
	port       uint32 // of a surge
	source     uint64 // of a scan, or the key of its group
	start, end int64
	found      int64
	as         string // how it was called
}

// process is something that goes on in the simulated network: it emits what happens between two times.
type process func(from, to int64) (over bool)

// simulator makes the probes of a site in the order of their times.
//
// The background differs from what the detectors assume where the world does: rates of ports are mixed by a gamma
// distribution and drift from day to day, the rhythm of the weekend is not that of other days at another level, sources
// come from autonomous systems of very unequal size, fleets of a single system come together, one hour in three days
// brings two and a half times of everything, and packets are sent again when nobody answers.
type simulator struct {
	site
	rng     *rand.Rand
	now     int64
	cum     []float64 // cumulative rates of ports
	busyOf  []busyPort
	systems []float64 // cumulative shares of autonomous systems
	running []process
	out     []knock
	labels  []*label
	ev      event.Event
}

type busyPort struct {
	key         uint32
	rate, drift float64
}

// knock is one probe before it becomes an event.
type knock struct {
	at  int64
	src netip.Addr
	dst uint32
	key uint32
	asn uint32
}

const (
	systems  = 400
	simStep  = int64(5 * time.Minute)
	simDay   = int64(24 * time.Hour)
	simBegin = int64(1_480_000_000) / 604_800 * 604_800 * int64(time.Second)
)

func newSimulator(s site, seed uint64) *simulator {
	m := &simulator{site: s, rng: rand.New(rand.NewPCG(seed, 7547)), now: simBegin}
	sum := 0.0
	for range 1 << 17 {
		g := m.rng.NormFloat64() // the square of a normal is gamma distributed with shape 1/2
		sum += s.perPort * g * g
		m.cum = append(m.cum, sum)
	}
	for range s.busy {
		m.busyOf = append(m.busyOf, busyPort{m.port(), 10 * math.Exp(1.2*m.rng.NormFloat64()+1), 1})
	}
	sum = 0
	for i := range systems {
		sum += 1 / float64(i+3)
		m.systems = append(m.systems, sum)
	}
	return m
}

func (m *simulator) port() uint32 {
	if m.rng.Float64() < 0.85 {
		return 1 + m.rng.Uint32N(65535)
	}
	return 1<<16 + 1 + m.rng.Uint32N(65535)
}

// source is a stranger of an autonomous system, by its size where none is given.
func (m *simulator) source(asn uint32) (netip.Addr, uint32) {
	if asn == 0 {
		i, _ := slices.BinarySearch(m.systems, m.rng.Float64()*m.systems[systems-1])
		asn = 64512 + uint32(min(i, systems-1))
	}
	block := 240<<8 + (asn-64512)*8 + m.rng.Uint32N(8) // 240.0.0.0/4 is nobody's
	return addr4(block<<16 | m.rng.Uint32N(1<<16)), asn
}

func (m *simulator) target() uint32 { return m.rng.Uint32N(1 << (32 - m.own.Bits())) }

func (m *simulator) poisson(mean float64) int {
	if mean > 50 {
		return max(int(mean+math.Sqrt(mean)*m.rng.NormFloat64()+0.5), 0)
	}
	n, p := 0, m.rng.ExpFloat64()
	for ; p < mean; n++ {
		p += m.rng.ExpFloat64()
	}
	return n
}

// rhythm is how busy the world is: more by day, and on weekends less and later.
func rhythm(at int64) float64 {
	t := time.Unix(0, at).UTC()
	hour := float64(t.Hour()) + float64(t.Minute())/60
	if wd := t.Weekday(); wd == time.Saturday || wd == time.Sunday {
		return 0.75 + 0.2*math.Sin((hour-12)*math.Pi/12)
	}
	return 1 + 0.4*math.Sin((hour-8)*math.Pi/12)
}

// knockAt notes a probe, and often that it is sent again.
func (m *simulator) knockAt(at int64, src netip.Addr, asn, key, dst uint32) {
	m.out = append(m.out, knock{at, src, dst, key, asn})
	if m.rng.IntN(10) == 0 {
		m.out = append(m.out, knock{at + int64(time.Second), src, dst, key, asn}, knock{at + 3*int64(time.Second), src, dst, key, asn})
	}
}

// strangers lets new sources of whatever network come to a port at a rate for each day that rises over a ramp.
func (m *simulator) strangers(key uint32, rate float64, start, end, ramp int64) process {
	return func(from, to int64) bool {
		level := 1.0
		if ramp > 0 {
			level = clamp(float64(from+simStep/2-start)/float64(ramp), 0, 1)
		}
		for range m.poisson(rate * level * float64(min(to, end)-max(from, start)) / float64(simDay)) {
			src, asn := m.source(0)
			m.knockAt(from+m.rng.Int64N(to-from), src, asn, key, m.target())
		}
		return to >= end
	}
}

// background is what comes on any day.
func (m *simulator) background(from, to int64) {
	part := float64(to-from) / float64(simDay) * rhythm(from)
	if day := (from - simBegin) / simDay; day%3 == 1 && (from-simBegin)%simDay/int64(time.Hour) == day*7%24 {
		part *= 2.5
	}
	for range m.poisson(m.cum[len(m.cum)-1] * part) {
		i, _ := slices.BinarySearch(m.cum, m.rng.Float64()*m.cum[len(m.cum)-1])
		src, asn := m.source(0)
		m.knockAt(from+m.rng.Int64N(to-from), src, asn, uint32(min(i, len(m.cum)-1)), m.target())
	}
	for i := range m.busyOf {
		b := &m.busyOf[i]
		if (from-simBegin)%simDay == 0 { // tomorrow is like today, more or less
			b.drift = math.Exp(0.7*math.Log(b.drift) + 0.12*m.rng.NormFloat64())
		}
		for range m.poisson(b.rate * b.drift * part) {
			src, asn := m.source(0)
			m.knockAt(from+m.rng.Int64N(to-from), src, asn, b.key, m.target())
		}
	}
	for range m.poisson(25 * part) { // a fleet: many sources of one network on one port
		start, length := from+m.rng.Int64N(to-from), int64(10*time.Minute)+m.rng.Int64N(int64(3*time.Hour))
		key, n := m.port(), 8+m.rng.IntN(33)
		_, asn := m.source(0)
		for range n {
			src, _ := m.source(asn)
			m.later(start+m.rng.Int64N(length), src, asn, key, m.target())
		}
	}
	for range m.poisson(40 * part) { // somebody curious, who tries some ports over a day
		src, asn := m.source(0)
		for range 2 + m.rng.IntN(9) {
			m.later(from+m.rng.Int64N(simDay), src, asn, m.port(), m.target())
		}
	}
}

// later notes a probe of the time to come.
func (m *simulator) later(at int64, src netip.Addr, asn, key, dst uint32) {
	m.running = append(m.running, func(_, to int64) bool {
		if at < to {
			m.knockAt(at, src, asn, key, dst)
		}
		return at < to
	})
}

// step makes the probes of five minutes and hands them on.
func (m *simulator) step(emit func(*event.Event)) {
	from, to := m.now, m.now+simStep
	m.background(from, to)
	running := m.running
	m.running = m.running[:0]
	for _, p := range running {
		if !p(from, to) {
			m.running = append(m.running, p)
		}
	}
	slices.SortStableFunc(m.out, func(a, b knock) int { return int(a.at - b.at) })
	n := 0
	for ; n < len(m.out) && m.out[n].at < to; n++ {
		emit(m.event(&m.out[n]))
	}
	m.out = append(m.out[:0], m.out[n:]...)
	m.now = to
}

func (m *simulator) event(k *knock) *event.Event {
	base := m.own.Addr().As4()
	base[3] += byte(k.dst)
	m.ev = event.Event{
		Kind: event.Probe, Action: event.Deny, Time: k.at, Received: k.at, Proto: event.TCP, TCPFlags: event.SYN, Own: event.SideDst,
		Src: k.src, Dst: netip.AddrFrom4(base), SrcPort: 40000, Country: "ZZ", ASN: k.asn,
	}
	var proto uint8
	if proto, m.ev.DstPort = portOf(k.key); proto == event.UDP {
		m.ev.Proto, m.ev.TCPFlags = event.UDP, 0
	}
	return &m.ev
}
