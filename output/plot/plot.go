// Package plot draws Fireplots: time by the logarithm of the destination port, a colour for each class, as PNG, as a
// page of its own and as text. The picture does not depend on the order in which events come.
package plot

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"varde/event"
	"varde/event/query"
)

// Options describe a picture.
type Options struct {
	From, To      int64 // [From, To), nanoseconds since 1970
	Width, Height int   // of the whole picture in pixels; 0 is 1600 by 1000
	Zone          *time.Location
	Palette       string // a name of Palettes, "" for the first
	Title         string
	Details       bool // keep sources and countries of each cell, for the page
	Outlines      []Outline
}

// Outline is a part of the picture with a name, as a scan that was detected.
type Outline struct {
	ID        string // a later one with the same replaces an earlier one
	From, To  int64  // nanoseconds since 1970
	Low, High uint16
	Label     string
}

// Bounds of a picture and of what is kept of it.
const (
	usualWidth, usualHeight = 1600, 1000
	minSide, maxSide        = 200, 8000
	maxPixels               = 16_000_000
	maxCells                = 30_000 // whose details are kept
	maxSources              = 3      // of a cell
	maxOutlines             = 100
)

// Margins around the grid, in pixels.
const (
	marginLeft   = 56
	marginRight  = 18
	marginTop    = 34
	marginBottom = 30
)

// classCount is how many classes have a colour.
const classCount = int(query.OtherClass) + 1

// Plot gathers events as a grid of counts.
type Plot struct {
	o        Options
	grid     query.Grid
	counts   [classCount][]uint32 // by row from the bottom, then column; nil without events
	packed   [classCount][]dot    // the same where it is packed
	total    [classCount]uint64
	rowOf    []uint16 // of a port
	outside  uint64
	cells    map[uint32]*cell
	dropped  bool  // cells were left out of cells
	from     int64 // of the span, microseconds
	span     int64
	perMicro float64 // columns
}

// cell is what the page tells of a place.
type cell struct {
	ports     [2]uint16 // lowest and highest
	sources   []netip.Addr
	countries []string
	more      bool // there are other sources
}

// New makes an empty picture.
func New(o Options) (*Plot, error) {
	if o.To <= o.From {
		return nil, fmt.Errorf("plot: the span ends %s before it begins", time.Duration(o.From-o.To))
	}
	if o.Width == 0 {
		o.Width = usualWidth
	}
	if o.Height == 0 {
		o.Height = usualHeight
	}
	if o.Width < minSide || o.Height < minSide || o.Width > maxSide || o.Height > maxSide || o.Width*o.Height > maxPixels {
		return nil, fmt.Errorf("plot: a picture of %d by %d pixels: use %d to %d each, at most %d in all", o.Width, o.Height, minSide, maxSide, maxPixels)
	}
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	if _, ok := paletteOf(o.Palette); !ok {
		return nil, fmt.Errorf("plot: there is no palette %q: use %s", o.Palette, paletteNames())
	}
	if len(o.Outlines) > maxOutlines {
		o.Outlines = o.Outlines[:maxOutlines]
	}
	p := &Plot{o: o, grid: GridOf(o.Width, o.Height), rowOf: make([]uint16, math.MaxUint16+1)}
	p.from, p.span = o.From/1000, max((o.To-o.From)/1000, 1)
	p.perMicro = float64(p.grid.Width) / float64(p.span)
	for port := range p.rowOf {
		p.rowOf[port] = uint16(p.grid.Row(uint16(port)))
	}
	if o.Details {
		p.cells = map[uint32]*cell{}
	}
	return p, nil
}

// GridOf is the grid within a picture of that size, as a store should be asked for it.
func GridOf(width, height int) query.Grid {
	return query.Grid{Width: width - marginLeft - marginRight, Height: height - marginTop - marginBottom}
}

// Add takes an event.
func (p *Plot) Add(e *event.Event) {
	if e.Time < p.o.From || e.Time >= p.o.To {
		p.outside++
		return
	}
	var port uint16
	if query.HasPort(e.Proto, e.DstPort) {
		port = e.DstPort
	}
	x := p.column(e.Time)
	y := int(p.rowOf[port])
	p.count(query.ClassOf(e), x, y, e.Hits())
	if p.cells != nil {
		p.detail(uint32(y*p.grid.Width+x), e, port)
	}
}

// column is the place of a moment within the span; both are microseconds, as a store has them.
func (p *Plot) column(t int64) int {
	d := t/1000 - p.from
	x := int64(float64(d) * p.perMicro) // at most one off, and without a division
	for w := d * int64(p.grid.Width); x*p.span > w; x-- {
	}
	for w := d * int64(p.grid.Width); (x+1)*p.span <= w; x++ {
	}
	return min(int(x), p.grid.Width-1)
}

// AddPixels takes what a store says of the same span and GridOf.
func (p *Plot) AddPixels(pixels []query.Pixel) {
	for _, q := range pixels {
		if int(q.X) < p.grid.Width && int(q.Y) < p.grid.Height && int(q.Class) < classCount {
			p.count(q.Class, int(q.X), int(q.Y), q.Count)
		}
	}
}

func (p *Plot) count(class query.Class, x, y int, n uint64) {
	c := p.counts[class]
	if c == nil {
		c = p.grown(int(class))
	}
	at := &c[y*p.grid.Width+x]
	*at = uint32(min(uint64(*at)+n, math.MaxUint32))
	p.total[class] += n
}

// detail keeps the lowest source addresses of a cell, so that the order of events does not matter.
func (p *Plot) detail(at uint32, e *event.Event, port uint16) {
	c := p.cells[at]
	if c == nil {
		if len(p.cells) >= maxCells {
			p.dropped = true
			return
		}
		c = &cell{ports: [2]uint16{port, port}}
		p.cells[at] = c
	}
	c.ports[0], c.ports[1] = min(c.ports[0], port), max(c.ports[1], port)
	c.sources, c.more = insert(c.sources, e.Src, netip.Addr.Compare, c.more)
	if e.Country != "" {
		c.countries, _ = insert(c.countries, e.Country, compareText, false)
	}
}

// insert puts v into a short sorted list; more tells that something was left out.
func insert[T comparable](list []T, v T, compare func(T, T) int, more bool) ([]T, bool) {
	i := 0
	for ; i < len(list); i++ {
		switch c := compare(v, list[i]); {
		case c == 0:
			return list, more
		case c < 0:
			list = append(list, v)
			copy(list[i+1:], list[i:])
			list[i] = v
			if len(list) > maxSources {
				return list[:maxSources], true
			}
			return list, more
		}
	}
	if len(list) == maxSources {
		return list, true
	}
	return append(list, v), more
}

func compareText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Options are those of the picture.
func (p *Plot) Options() Options { return p.o }

// Outline adds an outline, or replaces that with the same ID.
func (p *Plot) Outline(o Outline) {
	if i := slices.IndexFunc(p.o.Outlines, func(old Outline) bool { return o.ID != "" && old.ID == o.ID }); i >= 0 {
		p.o.Outlines[i] = o
	} else if len(p.o.Outlines) < maxOutlines {
		p.o.Outlines = append(p.o.Outlines, o)
	}
}

// Total is how many events are in the picture.
func (p *Plot) Total() (n uint64) {
	for _, t := range p.total {
		n += t
	}
	return n
}

// Outside is how many events were not within the span.
func (p *Plot) Outside() uint64 { return p.outside }

// at is what lies in a place: how many of each class.
func (p *Plot) at(x, y int) (counts [classCount]uint32, sum uint64) {
	for class, c := range p.counts {
		if c != nil {
			counts[class] = c[y*p.grid.Width+x]
			sum += uint64(counts[class])
		}
	}
	return counts, sum
}

// winner is the class whose colour a place takes: each as likely as the logarithm of its count says, by a hash of the
// place, so that a few of one class do not repaint many of another and the picture stays the same.
func winner(counts *[classCount]uint32, x, y int) int {
	weight := 0.0
	first := -1
	several := false
	for k, n := range counts {
		if n > 0 {
			several = first >= 0
			if first < 0 {
				first = k
			}
			weight += math.Log1p(float64(n))
		}
	}
	if !several {
		return first
	}
	left := float64(uint32(x)*73856093^uint32(y)*19349663) / (1 << 32) * weight
	last := first
	for k, n := range counts {
		if n > 0 {
			last = k
			if left -= math.Log1p(float64(n)); left < 0 {
				break
			}
		}
	}
	return last
}

// survey is how many places have a dot, and the most events in one.
func (p *Plot) survey() (dots int, most uint64) {
	for at := range p.grid.Width * p.grid.Height {
		var sum uint64
		for _, c := range p.counts {
			if c != nil {
				sum += uint64(c[at])
			}
		}
		if sum > 0 {
			dots++
			most = max(most, sum)
		}
	}
	return dots, most
}

// dotSize is how many pixels wide and high a place is drawn: a picture of few dots has bigger ones.
func (p *Plot) dotSize(dots int) int {
	switch area := p.grid.Width * p.grid.Height; {
	case dots < area/400:
		return 3
	case dots < area/70:
		return 2
	}
	return 1
}
