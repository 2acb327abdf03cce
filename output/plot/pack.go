package plot

// dot is a place with its count.
type dot struct{ at, count uint32 }

// Pack makes a picture small while others are drawn: the grid of a class takes 6 MB at the usual size, and most of it is
// empty. Whatever needs the grid brings it back.
func (p *Plot) Pack() {
	for class, c := range p.counts {
		if c == nil {
			continue
		}
		var dots []dot
		for at, v := range c {
			if v > 0 {
				dots = append(dots, dot{uint32(at), v})
			}
		}
		p.packed[class], p.counts[class] = dots, nil
	}
}

// grown is the grid of a class, as it was packed or empty.
func (p *Plot) grown(class int) []uint32 {
	c := make([]uint32, p.grid.Width*p.grid.Height)
	for _, d := range p.packed[class] {
		c[d.at] = d.count
	}
	p.packed[class], p.counts[class] = nil, c
	return c
}

func (p *Plot) unpack() {
	for class, dots := range p.packed {
		if dots != nil {
			p.grown(class)
		}
	}
}
