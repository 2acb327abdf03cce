package detect

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"varde/event"
)

// weblog is the case of TCP/7547: nothing for days, then 1100 addresses in twelve hours, most of them from Brazil.
func weblog(rng *rand.Rand, start, length time.Duration) []*event.Event {
	var out []*event.Event
	for i := range 1100 {
		e := denied(start+time.Duration(i)*length/1100, "192.0.2.1", "192.0.2.7", 7547)
		e.Src, e.Country, e.ASN = addr4(0xf0000000|rng.Uint32N(1<<28)), "BR", 64512+rng.Uint32N(12)
		if i%2 == 1 {
			e.Country, e.ASN = []string{"GB", "IE", "TR", "IR", "FI", "IT", "CL", "TH", "US"}[rng.IntN(9)], 64600+rng.Uint32N(100)
		}
		out = append(out, e)
	}
	return out
}

// noise is what comes anyway: a probe of some port every minute.
func noise(s *Surges, from, to time.Duration, say func(event.Warning)) {
	rng := rand.New(rand.NewPCG(uint64(from), 3))
	for at := from; at < to; at += time.Minute {
		e := denied(at, "203.0.113.7", "192.0.2.7", 1+rng.IntN(7000))
		e.Src, e.ASN = addr4(0xf0000000|rng.Uint32N(1<<28)), 64512+rng.Uint32N(300)
		if w := s.Judge(e); w != nil {
			say(*w)
		}
	}
}

func newSurges(t *testing.T) *Surges {
	t.Helper()
	cfg := DefaultSurge()
	if err := cfg.Check(); err != nil {
		t.Fatal(err)
	}
	return NewSurges(cfg, NewGround(DefaultGround(), ours))
}

func TestTheWeblogsSurge(t *testing.T) {
	const day = 24 * time.Hour
	s := newSurges(t)
	never := func(w event.Warning) { t.Error("said of noise: " + w.Why) }
	noise(s, 0, 5*day, never)
	var said []event.Warning
	for _, e := range weblog(rand.New(rand.NewPCG(1, 1)), 5*day, 12*time.Hour) {
		if w := s.Judge(e); w != nil {
			said = append(said, *w)
		}
	}
	noise(s, 5*day+12*time.Hour, 7*day, never)
	s.Sweep(t0+int64(6*day+11*time.Hour), never)
	s.Sweep(t0+int64(7*day), func(w event.Warning) { said = append(said, w) })
	if len(said) < 3 {
		t.Fatalf("%d warnings, want the beginning, growth and the end", len(said))
	}
	first, last := said[0], said[len(said)-1]
	onset := t0 + int64(5*day)
	if first.State != event.Opened || first.Time-onset > int64(15*time.Minute) || math.Abs(float64(first.First-onset)) > float64(binLength) {
		t.Errorf("%v at %v, since %v after the onset", first.State, time.Duration(first.Time-onset), time.Duration(first.First-onset))
	}
	if last.State != event.Closed || last.Count != 1100 || last.Severity != event.High || last.ID != first.ID {
		t.Errorf("%v %v with %d sources, id %s, want closed, high, 1100 and %s", last.State, last.Severity, last.Count, last.ID, first.ID)
	}
	if !strings.HasPrefix(last.Why, "tcp/7547 (TR-069) is quiet again: 1,100 new sources came in 12 h, mostly BR 50 %, ") {
		t.Error(last.Why)
	}
	g := said[len(said)-2].Surge
	sum := uint64(0)
	for _, n := range g.Curve {
		sum += uint64(n)
	}
	if len(g.Curve) != 96 || sum != said[len(said)-2].Count {
		t.Errorf("a curve of %d bars with %d sources, want 96 with %d", len(g.Curve), sum, said[len(said)-2].Count)
	}
	if len(g.Countries) != 10 || g.Countries[0].Name != "BR" || len(g.ASes) != 10 || g.Meaning == "" || g.FirstSeen != onset {
		t.Errorf("%+v", g)
	}
	for i, w := range said {
		if i > 0 && w.Count < 3*said[i-1].Count && w.State != event.Closed {
			t.Errorf("said again at %d sources after %d", w.Count, said[i-1].Count)
		}
	}
}

// TestSurgeGates: the same sources say nothing where too little was watched, where one network sends them all, where
// everything has grown alike, and where the log was silent before.
func TestSurgeGates(t *testing.T) {
	const day = 24 * time.Hour
	for _, tc := range []struct {
		name  string
		said  bool
		judge func(s *Surges, say func(event.Warning))
	}{
		{"five days watched", true, func(s *Surges, say func(event.Warning)) {
			noise(s, 0, 5*day, say)
			burst(s, 5*day, 0, 443, say)
		}},
		{"a day watched", false, func(s *Surges, say func(event.Warning)) {
			noise(s, 0, day, say)
			burst(s, day, 0, 443, say)
		}},
		{"one network", false, func(s *Surges, say func(event.Warning)) {
			noise(s, 0, 5*day, say)
			burst(s, 5*day, 64500, 443, say)
		}},
		{"after an outage", false, func(s *Surges, say func(event.Warning)) {
			noise(s, 0, 5*day, say)
			noise(s, 6*day, 6*day+time.Hour, say)
			burst(s, 6*day+time.Hour, 0, 443, say)
		}},
		{"a day after it", true, func(s *Surges, say func(event.Warning)) {
			noise(s, 0, 5*day, say)
			noise(s, 6*day, 7*day+time.Hour, say)
			burst(s, 7*day+time.Hour, 0, 443, say)
		}},
		{"one clock that is years ahead", true, func(s *Surges, say func(event.Warning)) {
			noise(s, 0, 5*day, say)
			e := denied(5000*day, "203.0.113.7", "192.0.2.7", 80)
			s.Judge(e)
			burst(s, 5*day, 0, 443, say)
		}},
		{"the same sources again and again", false, func(s *Surges, say func(event.Warning)) {
			noise(s, 0, 5*day, say)
			for i := range 1000 {
				e := denied(5*day+time.Duration(i)*time.Second, fmt.Sprintf("203.0.113.%d", i%4), "192.0.2.7", 443)
				e.ASN = uint32(64512 + i%4)
				if w := s.Judge(e); w != nil {
					say(*w)
				}
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var said []string
			tc.judge(newSurges(t), func(w event.Warning) { said = append(said, w.Why) })
			if len(said) > 0 != tc.said {
				t.Errorf("said %q", said)
			}
		})
	}
}

// burst sends forty new sources to a port within half an hour, of one system or of many.
func burst(s *Surges, at time.Duration, asn uint32, port int, say func(event.Warning)) {
	for i := range 40 {
		e := denied(at+time.Duration(i)*45*time.Second, "203.0.113.7", "192.0.2.7", port)
		e.Src, e.ASN = netip.AddrFrom4([4]byte{241, byte(i), 0, 1}), asn
		if w := s.Judge(e); w != nil {
			say(*w)
		}
	}
}

// TestTail compares the sum with one that is computed term by term from the definition, and with the Poisson
// distribution, which it approaches where the shape is large.
func TestTail(t *testing.T) {
	for _, tc := range []struct {
		n                 int
		mean, shape, want float64
	}{
		{0, 3, 1, 1},
		{1, 3, 1, 0.75},
		{2, 3, 1, 0.5625},
		{10, 3, 1, math.Pow(0.75, 10)},
		{3, 1, 1e7, 1 - 2.5/math.E},
		{1, 1e-6, 0.5, 1 - math.Pow(0.5/(0.5+1e-6), 0.5)},
		{5, 0, 1, 0},
	} {
		if got := negativeBinomialTail(tc.n, tc.mean, tc.shape); math.Abs(got-tc.want) > 1e-6*max(tc.want, 1e-6) {
			t.Errorf("P(X >= %d), mean %v, shape %v: %v, want %v", tc.n, tc.mean, tc.shape, got, tc.want)
		}
	}
}

// TestSeason learns three weeks of a rhythm whose weekend differs, and knows the fourth.
func TestSeason(t *testing.T) {
	var s season
	rng := rand.New(rand.NewPCG(1, 9))
	truth := func(hour int64) float64 { return rhythm(hour * int64(time.Hour)) }
	const begin = simBegin / int64(time.Hour)
	for h := begin; h < begin+21*24; h++ {
		s.learn(h, 500*truth(h)+math.Sqrt(500)*rng.NormFloat64())
	}
	mean := 0.0
	for h := begin; h < begin+7*24; h++ {
		mean += truth(h) / (7 * 24)
	}
	for h := begin + 21*24; h < begin+28*24; h++ {
		if got, want := s.factor(h), truth(h)/mean; math.Abs(got-want) > 0.2*want {
			t.Errorf("hour %d: %.2f, want %.2f", h-begin, got, want)
		}
	}
}
