package query

import (
	"math"
	"math/bits"

	"varde/event"
)

// Add adds o to t. What does not fit is the largest number. Sources, which do not add up, stay as they are.
func (t *Totals) Add(o Totals) {
	if o.Events == 0 {
		return
	}
	if t.Events == 0 || o.First < t.First {
		t.First = o.First
	}
	t.Last = max(t.Last, o.Last)
	t.Events, t.Packets, t.Bytes = sum(t.Events, o.Events), sum(t.Packets, o.Packets), sum(t.Bytes, o.Bytes)
	t.Sampled = t.Sampled || o.Sampled
}

func sum(a, b uint64) uint64 {
	n, carry := bits.Add64(a, b, 0)
	if carry != 0 {
		return math.MaxUint64
	}
	return n
}

// Add adds the totals of one kind and direction.
func (a *Address) Add(k event.Kind, target bool, t Totals) {
	i := 0
	for i < len(a.ByKind) && a.ByKind[i].Kind != k {
		i++
	}
	if i == len(a.ByKind) {
		a.ByKind = append(a.ByKind, KindTotals{Kind: k})
	}
	if target {
		a.ByKind[i].AsTarget.Add(t)
	} else {
		a.ByKind[i].AsSource.Add(t)
	}
}
