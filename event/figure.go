package event

import (
	"context"
	"time"
)

// Figure is one measured value: a counter that only grows, or a gauge. SNMP, Prometheus, Munin, the checks and the
// page Health are views of the same figures.
type Figure struct {
	Name   string // like varde_flow_records_total
	Help   string // one sentence
	Labels []Pair
	Unit   string // seconds, bytes, "" for plain numbers
	Kind   FigureKind
	Count  uint64        // the value of a Counter, exact
	Scale  float64       // what a Counter's Count is times, to be in Unit, as 0.001 for milliseconds; 0 is 1
	Value  float64       // the value of a Gauge
	Age    time.Duration // how old the value is, 0 for now
}

// FigureKind tells a counter from a gauge.
type FigureKind uint8

// The kinds of figures.
const (
	Counter FigureKind = iota
	Gauge
)

// Float is the value of either kind.
func (f *Figure) Float() float64 {
	if f.Kind == Counter {
		if f.Scale != 0 {
			return float64(f.Count) * f.Scale
		}
		return float64(f.Count)
	}
	return f.Value
}

// Figures is what inputs, lists, outputs and the store give to whoever shows their health.
type Figures interface {
	Figures(context.Context) ([]Figure, error)
}

// Count makes a counter; labels come as name, value, name, value.
func Count(name, help string, n uint64, labels ...string) Figure {
	return Figure{Name: name, Help: help, Kind: Counter, Count: n, Labels: pairs(labels)}
}

// Measure makes a gauge; labels come as name, value, name, value.
func Measure(name, help, unit string, v float64, labels ...string) Figure {
	return Figure{Name: name, Help: help, Unit: unit, Kind: Gauge, Value: v, Labels: pairs(labels)}
}

func pairs(labels []string) []Pair {
	out := make([]Pair, 0, len(labels)/2)
	for i := 0; i+1 < len(labels); i += 2 {
		out = append(out, Pair{labels[i], labels[i+1]})
	}
	return out
}
