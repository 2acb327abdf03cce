package web

import (
	"math"
	"slices"
	"sync"
	"time"

	"varde/event"
)

// followed are the figures of the mail gateway whose past is kept, so that the page Mail can show any span. The label
// tells the figures of one name apart.
var followed = map[string]string{
	"amavis_messages_all_total":        "content",
	"amavis_received_all_total":        "",
	"amavis_stage_seconds_total":       "stage",
	"amavis_processes":                 "state",
	"rspamd_actions_total":             "action",
	"rspamd_scanned_total":             "",
	"postfix_queue_messages":           "queue",
	"postfix_queue_oldest_age_seconds": "queue",
}

// pastLevels are how finely the past is kept, and how long: half an hour, seven hours, and 31 days. One figure takes
// 28 kB.
var pastLevels = [...]struct {
	step  time.Duration
	slots int64
}{{10 * time.Second, 181}, {time.Minute, 421}, {15 * time.Minute, 31*96 + 1}}

const (
	maxFollowed = 64               // figures whose past is kept
	maxGap      = 20 * time.Minute // between two readings; what was in a longer one is not known
)

// past is what the followed figures were. Of a counter it keeps how much it grew, of a gauge what it was; both with for how
// long that is known, so that a source that could not be read leaves a gap and no zero.
type past struct {
	mu    sync.Mutex
	all   map[string]*pastFigure
	began time.Time // of what is known, zero while nothing is
}

// pastFigure is one figure over time.
type pastFigure struct {
	value  float64
	at     time.Time // when value was true
	levels [len(pastLevels)]pastRing
}

// pastRing holds the newest slots of a level; newest is the number of the last, counted from 1970.
type pastRing struct {
	newest int64
	slots  []pastSlot
}

// pastSlot is a sum over the seconds that are covered.
type pastSlot struct{ sum, covered float32 }

func newPast() *past { return &past{all: map[string]*pastFigure{}} }

// add takes one round of figures.
func (p *past) add(now time.Time, parts []partFigures) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, part := range parts {
		for i := range part.figures {
			f := &part.figures[i]
			if _, ok := followed[f.Name]; !ok {
				continue
			}
			key := figureKey(f)
			x := p.all[key]
			if x == nil && len(p.all) < maxFollowed {
				x = &pastFigure{}
				p.all[key] = x
			}
			if x == nil {
				continue
			}
			at := now.Add(-f.Age)
			if p.began.IsZero() || at.Before(p.began) {
				p.began = at
			}
			x.add(at, f)
		}
	}
}

// add takes what the figure was at a time. The same reading again says nothing new.
func (x *pastFigure) add(at time.Time, f *event.Figure) {
	passed := at.Sub(x.at)
	switch {
	case x.at.IsZero():
	case passed < -maxGap: // somebody set the clock back
		*x = pastFigure{}
	case passed < sampleEvery/2:
		return
	}
	v := f.Float()
	if !x.at.IsZero() && passed <= maxGap {
		rate := v
		if f.Kind == event.Counter {
			grown := v - x.value
			if grown < 0 {
				grown = v // it began again
			}
			rate = grown / passed.Seconds()
		}
		for i := range x.levels {
			x.levels[i].fill(pastLevels[i].step, pastLevels[i].slots, x.at, at, rate)
		}
	}
	x.value, x.at = v, at
}

// fill spreads so much a second over the slots between two times.
func (r *pastRing) fill(step time.Duration, slots int64, from, to time.Time, rate float64) {
	if r.slots == nil {
		r.slots = make([]pastSlot, slots)
		r.newest = from.UnixNano()/int64(step) - 1
	}
	for t := from.UnixNano(); t < to.UnixNano(); {
		n := t / int64(step)
		for k := max(r.newest+1, n-slots+1); k <= n; k++ {
			r.slots[k%slots] = pastSlot{}
		}
		r.newest = max(r.newest, n)
		next := min((n+1)*int64(step), to.UnixNano())
		s := &r.slots[n%slots]
		seconds := float64(next-t) / 1e9
		s.sum += float32(rate * seconds)
		s.covered += float32(seconds)
		t = next
	}
}

// stretch is a span of the past in steps that a level can tell.
type stretch struct {
	from, to, step int64 // nanoseconds; from and to are whole steps
	level          int
}

func (s stretch) steps() int { return int((s.to - s.from) / s.step) }

// stretchOf chooses the finest level that reaches back to the begin of a span, and steps of which there are not too many.
func stretchOf(now time.Time, from, to int64) stretch {
	s := stretch{from: from, to: to, level: len(pastLevels) - 1}
	for i, l := range pastLevels {
		if now.UnixNano()-from < int64(l.step)*(l.slots-1) {
			s.level = i
			break
		}
	}
	finest := int64(pastLevels[s.level].step)
	s.step = max(int64(stepFor(time.Duration(to-from))), finest)
	for _, d := range steps {
		if int64(d) >= s.step && int64(d)%finest == 0 {
			s.step = int64(d)
			break
		}
	}
	s.from -= s.from % s.step
	if s.to%s.step != 0 {
		s.to += s.step - s.to%s.step
	}
	return s
}

// over is how much a figure grew a second, or what a gauge was in the mean, in each step; NaN where it is not known. The
// total is what a counter grew in all, as far as that is known; ok is false where nothing is.
func (p *past) over(s stretch, f *event.Figure) (values []float64, total float64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	values = slices.Repeat([]float64{math.NaN()}, s.steps())
	x := p.all[figureKey(f)]
	if x == nil || x.levels[s.level].slots == nil {
		return values, 0, false
	}
	r, l := &x.levels[s.level], pastLevels[s.level]
	step := int64(l.step)
	for i := range values {
		var sum, covered float64
		begin := (s.from + int64(i)*s.step) / step
		for n := max(begin, r.newest-l.slots+1); n < begin+s.step/step && n <= r.newest; n++ {
			one := r.slots[n%l.slots]
			sum += float64(one.sum)
			covered += float64(one.covered)
		}
		if covered > 0 {
			values[i] = sum / covered
			total += sum
			ok = true
		}
	}
	return values, total, ok
}

// since is from when on something is known, zero where nothing is.
func (p *past) since() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.began
}

// last is when a figure was read last, zero where it never was.
func (p *past) last(f *event.Figure) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if x := p.all[figureKey(f)]; x != nil {
		return x.at
	}
	return time.Time{}
}
