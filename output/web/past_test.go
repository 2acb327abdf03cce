package web

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"varde/event"
)

func received(n uint64, age time.Duration) []partFigures {
	f := event.Count("amavis_received_all_total", "Messages received.", n)
	f.Age = age
	return []partFigures{{"mail", []event.Figure{f}, nil}}
}

// look gives what a counter was over the last so long, in each step.
func look(p *past, now time.Time, length time.Duration) ([]float64, float64, time.Duration) {
	f := event.Count("amavis_received_all_total", "", 0)
	s := stretchOf(now, now.Add(-length).UnixNano(), now.UnixNano())
	values, total, _ := p.over(s, &f)
	return values, total, time.Duration(s.step)
}

func unknowns(values []float64) (n int) {
	for _, v := range values {
		if math.IsNaN(v) {
			n++
		}
	}
	return n
}

// TestPastRates: a counter that grows by two a second is so in every span, and what was before is not known.
func TestPastRates(t *testing.T) {
	p := newPast()
	now := moment.Truncate(time.Hour)
	for i := range 4 * 360 {
		now = now.Add(sampleEvery)
		p.add(now, received(uint64(20*i), 0))
	}
	for _, c := range []struct {
		length, step time.Duration
		known        int
	}{
		{15 * time.Minute, 10 * time.Second, 90},
		{time.Hour, time.Minute, 60},
		{6 * time.Hour, 5 * time.Minute, 48},
		{24 * time.Hour, 15 * time.Minute, 16},
		{30 * 24 * time.Hour, 6 * time.Hour, 1},
	} {
		values, total, step := look(p, now, c.length)
		if step != c.step || len(values)-unknowns(values) < c.known || len(values)-unknowns(values) > c.known+1 {
			t.Errorf("%v: steps of %v, %d of %d known; want %v and %d", c.length, step, len(values)-unknowns(values), len(values), c.step, c.known)
		}
		for i, v := range values {
			if !math.IsNaN(v) && math.Abs(v-2) > 1e-4 {
				t.Fatalf("%v: step %d is %v a second, not 2", c.length, i, v)
			}
		}
		if most := 2 * min(c.length.Seconds()+2*step.Seconds(), 4*3600); total > most+1 || total < 2*min(c.length.Seconds(), 4*3600-10)-1 {
			t.Errorf("%v: %v in all, at most %v", c.length, total, most)
		}
	}
}

// TestPastGap: what a source did while it could not be read is not known, and never zero.
func TestPastGap(t *testing.T) {
	p := newPast()
	begin := moment.Truncate(time.Hour)
	now, n := begin, uint64(1000)
	read := func(minutes int, age func(i int) time.Duration, grows uint64) {
		for i := range minutes * 6 {
			now = now.Add(sampleEvery)
			n += grows
			p.add(now, received(n, age(i)))
		}
	}
	fresh := func(int) time.Duration { return 0 }
	read(20, fresh, 10)
	read(9, func(i int) time.Duration { return time.Duration(i+1) * sampleEvery }, 0) // the last good one grows old
	now = now.Add(30 * time.Minute)                                                   // and goes away
	n = 5                                                                             // amavis was started anew meanwhile
	read(20, fresh, 10)
	n = 2 // and again, without a gap
	read(5, fresh, 10)
	values, total, step := look(p, now, now.Sub(begin))
	if step != time.Minute || len(values) < 84 {
		t.Fatalf("%d steps of %v", len(values), step)
	}
	for i, v := range values {
		switch in := i; {
		case in > 21 && in < 58:
			if !math.IsNaN(v) {
				t.Errorf("minute %d is %v, nobody can know", in, v)
			}
		case in > 0 && in < 19, in > 60 && in < 84:
			if math.IsNaN(v) || v < 0.8 || v > 1.05 {
				t.Errorf("minute %d is %v a second, not 1", in, v)
			}
		}
	}
	if total < 2600 || total > 2720 {
		t.Errorf("%v messages in all, about 2660 are known of", total)
	}
}

// TestPastGauge: a gauge is what it was in the mean.
func TestPastGauge(t *testing.T) {
	p := newPast()
	now := moment.Truncate(time.Hour)
	var f event.Figure
	for i := range 60 * 6 {
		now = now.Add(sampleEvery)
		f = event.Measure("postfix_queue_messages", "", "", float64(10+10*(i%2)), "queue", "active")
		p.add(now, []partFigures{{"mail", []event.Figure{f}, nil}})
	}
	values, _, ok := p.over(stretchOf(now, now.Add(-30*time.Minute).UnixNano(), now.UnixNano()), &f)
	for i, v := range values[1 : len(values)-1] {
		if !ok || math.Abs(v-15) > 1 {
			t.Errorf("minute %d is %v, not 15", i, v)
		}
	}
	other := event.Measure("postfix_queue_messages", "", "", 0, "queue", "hold")
	if values, _, ok := p.over(stretchOf(now, now.Add(-time.Hour).UnixNano(), now.UnixNano()), &other); ok || unknowns(values) != len(values) {
		t.Error("a queue that nobody read is known")
	}
}

// TestPastBounds: whatever figures come, at whatever times, only so many are kept, and only so much of each.
func TestPastBounds(t *testing.T) {
	p := newPast()
	rng := rand.New(rand.NewPCG(1, 2))
	now := moment
	for range 3000 {
		var many []event.Figure
		for range 3 {
			many = append(many, event.Count("rspamd_actions_total", "", rng.Uint64()>>rng.IntN(64), "action", string(rune('a'+rng.IntN(500)))))
		}
		p.add(now, []partFigures{{"mail", many, nil}})
		now = now.Add(time.Duration(rng.Int64N(int64(time.Hour))) - 10*time.Minute)
	}
	if len(p.all) != maxFollowed {
		t.Errorf("%d figures are followed, at most %d", len(p.all), maxFollowed)
	}
	for _, x := range p.all {
		for i, l := range x.levels {
			if l.slots != nil && int64(len(l.slots)) != pastLevels[i].slots {
				t.Errorf("a level has %d slots", len(l.slots))
			}
		}
	}
}

// TestStretch: any span gives few steps, which cover it and are whole steps of a level.
func TestStretch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		to := moment.Add(-time.Duration(rapid.Int64Range(0, int64(60*24*time.Hour)).Draw(t, "ago"))).UnixNano()
		from := to - rapid.Int64Range(1, int64(2*365*24*time.Hour)).Draw(t, "length")
		s := stretchOf(moment, from, to)
		if s.from > from || s.to < to || s.from%s.step != 0 || s.to%s.step != 0 || s.step%int64(pastLevels[s.level].step) != 0 || s.steps() < 1 || s.steps() > barsInAll+2 {
			t.Fatalf("%v to %v gives %+v, %d steps", from, to, s, s.steps())
		}
	})
}
