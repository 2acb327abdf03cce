package web

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"varde/event"
)

// Counters are sampled, so that their rates can be told.
const (
	sampleEvery    = 10 * time.Second
	samplesKept    = 60
	maxTracks      = 5000 // counters that are followed
	figuresTimeout = 3 * time.Second
)

// track is one counter over time; rates[0] is the newest.
type track struct {
	count float64
	at    time.Time
	rates []float64
	seen  uint64 // the round that saw it last
}

// tracks follow all counters.
type tracks struct {
	mu    sync.Mutex
	round uint64
	all   map[string]*track
}

func newTracks() *tracks { return &tracks{all: map[string]*track{}} }

// add takes one round of figures and forgets the counters that are gone.
func (t *tracks) add(now time.Time, parts []partFigures) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.round++
	for _, p := range parts {
		for i := range p.figures {
			f := &p.figures[i]
			if f.Kind != event.Counter {
				continue
			}
			key := figureKey(f)
			x := t.all[key]
			if x == nil {
				if len(t.all) >= maxTracks {
					continue
				}
				x = &track{}
				t.all[key] = x
			} else if passed := now.Sub(x.at).Seconds(); passed > 0 {
				grown := f.Float() - x.count
				if grown < 0 {
					grown = f.Float() // it began again
				}
				x.rates = slices.Insert(x.rates, 0, grown/passed)
				x.rates = x.rates[:min(len(x.rates), samplesKept)]
			}
			x.count, x.at, x.seen = f.Float(), now, t.round
		}
	}
	for key, x := range t.all {
		if x.seen != t.round {
			delete(t.all, key)
		}
	}
}

// rates are those of a counter, oldest first, and the mean of the last minute; ok is false where none is known yet.
func (t *tracks) rates(f *event.Figure) (all []float64, minute float64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	x := t.all[figureKey(f)]
	if x == nil || len(x.rates) == 0 {
		return nil, 0, false
	}
	n := min(len(x.rates), int(time.Minute/sampleEvery))
	for _, r := range x.rates[:n] {
		minute += r
	}
	all = slices.Clone(x.rates)
	slices.Reverse(all)
	return all, minute / float64(n), true
}

func figureKey(f *event.Figure) string {
	var b strings.Builder
	b.WriteString(f.Name)
	for _, l := range f.Labels {
		b.WriteString("\x00" + l.Key + "\x00" + l.Value)
	}
	return b.String()
}

// partFigures is what one part said.
type partFigures struct {
	name    string
	figures []event.Figure
	err     error
}

// figures asks all parts at once; one that is slow or fails says so and keeps no other from being seen.
func (s *Server) figures(ctx context.Context) []partFigures {
	ctx, cancel := context.WithTimeout(ctx, figuresTimeout)
	defer cancel()
	out := make([]partFigures, len(s.deps.Parts))
	var wait sync.WaitGroup
	for i, p := range s.deps.Parts {
		wait.Go(func() {
			figures, err := p.Figures.Figures(ctx)
			figures = slices.DeleteFunc(figures, func(f event.Figure) bool { return math.IsNaN(f.Float()) || math.IsInf(f.Float(), 0) }) // not known
			out[i] = partFigures{p.Name, figures, err}
		})
	}
	wait.Wait()
	return out
}

// sample follows the counters until ctx ends.
func (s *Server) sample(ctx context.Context) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		figures := s.figures(ctx)
		s.tracks.add(s.deps.Now(), figures)
		s.past.add(s.deps.Now(), figures)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// figure is one figure as JSON.
type figure struct {
	Part   string            `json:"part"`
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels,omitempty"`
	Kind   string            `json:"kind"` // counter or gauge
	Unit   string            `json:"unit,omitempty"`
	Value  float64           `json:"value"`
	Rate   *float64          `json:"rate,omitempty"` // a second, of the last minute; counters only, once it is known
	Age    float64           `json:"age,omitempty"`  // seconds
	Help   string            `json:"help"`
}

// getFigures gives every figure of every part.
func (s *Server) getFigures(r *http.Request) (answer, error) {
	if _, err := format(r); err != nil {
		return answer{}, err
	}
	rows := []figure{}
	for _, p := range s.figures(r.Context()) {
		for i := range p.figures {
			f := &p.figures[i]
			row := figure{Part: p.name, Name: f.Name, Kind: "gauge", Unit: f.Unit, Value: f.Float(), Age: f.Age.Seconds(), Help: f.Help}
			for _, l := range f.Labels {
				if row.Labels == nil {
					row.Labels = map[string]string{}
				}
				row.Labels[l.Key] = l.Value
			}
			if f.Kind == event.Counter {
				row.Kind = "counter"
				if _, rate, ok := s.tracks.rates(f); ok {
					row.Rate = &rate
				}
			}
			rows = append(rows, row)
		}
	}
	return answer{body: struct {
		Rows []figure `json:"rows"`
	}{rows}, table: &table{
		name: "figures", columns: strings.Fields("part name labels kind unit value rate age"),
		rows: func(row func(...any)) {
			for _, f := range rows {
				var labels []string
				for k, v := range f.Labels {
					labels = append(labels, fmt.Sprintf("%s=%q", k, v))
				}
				slices.Sort(labels)
				var rate any = ""
				if f.Rate != nil {
					rate = *f.Rate
				}
				row(f.Part, f.Name, labels, f.Kind, f.Unit, f.Value, rate, f.Age)
			}
		},
	}}, nil
}
