// Package pipe is the order in which an event meets everything: own side, lists, detectors, store. They are plain
// calls in the goroutine of the reader; only a warning, which is rare, goes on to anybody else.
package pipe

import (
	"context"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gaissmai/bart"

	"varde/event"
)

// Detector judges events. It is safe for concurrent use and takes its time from them, so that replay equals live.
type Detector interface {
	Judge(*event.Event) *event.Warning // nil where there is nothing to say
}

// Sweeper is a Detector that also speaks when time passes: of what went quiet.
type Sweeper interface {
	Sweep(now int64, say func(event.Warning))
}

// Options says what a Pipe is made of; Match, Store and Say may be nil.
type Options struct {
	Own       []netip.Prefix     // our networks
	Match     func(*event.Event) // sets the evidence of an event
	Place     func(*event.Event) // sets country and autonomous system of the foreign end
	Store     func(*event.Event) // keeps every event, whether anything is known of it or not
	Watchers  []Detector         // judge every event
	Detectors []Detector         // judge events with evidence of which one end is not ours
	Say       func(event.Warning)
}

// Pipe is safe for concurrent use with different events.
type Pipe struct {
	Options
	own     bart.Lite
	hasOwn  bool
	newest  atomic.Int64 // latest time that an event was received
	events  atomic.Uint64
	matched atomic.Uint64
	inside  atomic.Uint64 // matched, but both ends are ours
	said    atomic.Uint64
}

// New makes a Pipe.
func New(o Options) *Pipe {
	p := &Pipe{Options: o, hasOwn: len(o.Own) > 0}
	for _, prefix := range o.Own {
		p.own.Insert(prefix)
	}
	return p
}

// Emit takes one event through all stations.
func (p *Pipe) Emit(e *event.Event) {
	p.events.Add(1)
	if p.Match != nil {
		p.Match(e)
	}
	e.Own = p.side(e)
	if p.Place != nil {
		p.Place(e)
	}
	if p.Store != nil {
		p.Store(e)
	}
	if e.Received > p.newest.Load() {
		p.newest.Store(e.Received)
	}
	for _, d := range p.Watchers {
		if w := d.Judge(e); w != nil {
			p.say(*w)
		}
	}
	if p.Match != nil && len(e.Evidence) == 0 {
		return
	}
	p.matched.Add(1)
	if e.Own == event.SideSrc|event.SideDst {
		p.inside.Add(1)
		return
	}
	for _, d := range p.Detectors {
		if w := d.Judge(e); w != nil {
			p.say(*w)
		}
	}
}

// side tells which ends are ours. Without own networks it is the end that no list speaks of, and of a probe the target.
func (p *Pipe) side(e *event.Event) event.Side {
	var own event.Side
	if p.hasOwn {
		if p.own.Contains(e.Src) || e.NATSrc.IsValid() && p.own.Contains(e.NATSrc) {
			own |= event.SideSrc
		}
		if p.own.Contains(e.Dst) || e.NATDst.IsValid() && p.own.Contains(e.NATDst) {
			own |= event.SideDst
		}
		return own
	}
	if e.Kind == event.Probe {
		return event.SideDst
	}
	if len(e.Evidence) == 0 {
		return 0
	}
	own = event.SideSrc | event.SideDst
	for i := range e.Evidence {
		switch e.Evidence[i].Side {
		case event.SideSrc, event.SideNATSrc:
			own &^= event.SideSrc
		case event.SideDst, event.SideNATDst:
			own &^= event.SideDst
		}
	}
	return own
}

func (p *Pipe) say(w event.Warning) {
	p.said.Add(1)
	if p.Say != nil {
		p.Say(w)
	}
}

// Sweep lets detectors speak of what went quiet before now.
func (p *Pipe) Sweep(now int64) {
	for _, d := range slices.Concat(p.Watchers, p.Detectors) {
		if s, ok := d.(Sweeper); ok {
			s.Sweep(now, p.say)
		}
	}
}

// Newest is when the latest event was received, for sweeping a replay.
func (p *Pipe) Newest() int64 { return p.newest.Load() }

// sweepEvery is how often a live pipe looks for what went quiet.
const sweepEvery = time.Second

// Run sweeps by the clock until ctx ends.
func (p *Pipe) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			p.Sweep(now.UnixNano())
		}
	}
}

// Figures counts events and what became of them.
func (p *Pipe) Figures(context.Context) ([]event.Figure, error) {
	return []event.Figure{
		event.Count("varde_events_total", "Events taken through the pipe.", p.events.Load()),
		event.Count("varde_events_matched_total", "Events with an address that some list names.", p.matched.Load()),
		event.Count("varde_events_inside_total", "Matched events whose both ends are ours; they are left alone.", p.inside.Load()),
		event.Count("varde_warnings_total", "Warnings raised.", p.said.Load()),
	}, nil
}
