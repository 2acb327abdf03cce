package flow

// Bounds that tell loss, reordering and restart apart.
const (
	maxGap      = 1 << 22 // a larger step is a restart, not a loss
	maxReorder  = 1 << 16 // how far behind a late datagram may be
	maxOpenGaps = 16      // gaps that a late datagram can still fill
)

// sequence follows the numbers of one stream of datagrams.
type sequence struct {
	started bool
	next    uint32
	gaps    [maxOpenGaps]gap // newest last, empty ones first
}

// gap is a run of sequence numbers that did not come.
type gap struct {
	from, n uint32
}

// step is what one datagram tells of its stream.
type step struct {
	lost      uint64 // numbers missing before it
	repaid    uint64 // numbers counted as lost before that it brings after all
	restarted bool
	duplicate bool
}

// advance takes a datagram whose first number is seq and that takes n numbers.
func (s *sequence) advance(seq, n uint32) (st step) {
	d := int32(seq - s.next)
	switch {
	case !s.started:
		s.started = true
	case d == 0:
	case d > 0 && d <= maxGap:
		st.lost = uint64(d)
		copy(s.gaps[:], s.gaps[1:])
		s.gaps[maxOpenGaps-1] = gap{s.next, uint32(d)}
	case d < 0 && d >= -maxReorder:
		if n == 0 {
			return st
		}
		st.repaid = s.fill(seq, n)
		st.duplicate = st.repaid == 0
		if st.duplicate && int32(seq+n-s.next) > 0 {
			// It overlaps what is expected: the exporter counts otherwise or began again.
			*s = sequence{started: true, next: seq + n}
			return step{restarted: true}
		}
		return st
	default:
		*s = sequence{started: true, next: seq + n}
		return step{restarted: true}
	}
	s.next = seq + n
	return st
}

// fill takes the numbers of a late datagram out of the gap that it lies in and tells how many those are.
func (s *sequence) fill(seq, n uint32) uint64 {
	for i := range s.gaps {
		g := &s.gaps[i]
		at := seq - g.from
		if g.n == 0 || at >= g.n {
			continue
		}
		n = min(n, g.n-at)
		if after := g.n - at - n; after > 0 && at > 0 {
			// The gap falls in two; the smaller first part is kept in the oldest place.
			s.gaps[0] = gap{seq + n, after}
			if i == 0 {
				return uint64(n)
			}
			g.n = at
		} else if at > 0 {
			g.n = at
		} else {
			*g = gap{seq + n, g.n - n}
		}
		return uint64(n)
	}
	return 0
}

// restart forgets the stream, since the exporter began again.
func (s *sequence) restart() { *s = sequence{} }
