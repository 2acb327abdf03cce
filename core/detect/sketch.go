package detect

import (
	"math"
	"math/bits"
	"slices"
	"sync/atomic"
)

// sketchSize is the number of registers of a sketch: 256 give an error of 6.5 percent in 256 bytes.
const sketchSize = 256

// sketch estimates how many distinct keys it was shown (HyperLogLog, Flajolet et al. 2007).
type sketch [sketchSize]uint8

func (s *sketch) add(key uint64) {
	h := mix(key)
	rank := uint8(bits.LeadingZeros64(h<<8|1<<7)) + 1
	if at := &s[h>>56]; *at < rank {
		*at = rank
	}
}

func (s *sketch) estimate() uint32 {
	const alpha = 0.7213 / (1 + 1.079/sketchSize)
	sum, empty := 0.0, 0
	for _, r := range s {
		sum += math.Ldexp(1, -int(r))
		if r == 0 {
			empty++
		}
	}
	n := alpha * sketchSize * sketchSize / sum
	if n < 2.5*sketchSize && empty > 0 {
		n = sketchSize * math.Log(sketchSize/float64(empty)) // linear counting is better for few
	}
	return uint32(math.Round(n))
}

// exact is how many keys a tally of distinct keys holds before it estimates.
const exact = 16

// distinct counts distinct keys: exactly while they are few, by a sketch beyond.
type distinct struct {
	few  [exact]uint64
	n    uint8
	many sketch
}

// add tells whether the key is new as far as is known.
func (d *distinct) add(key uint64) bool {
	for _, k := range d.few[:d.n] {
		if k == key {
			return false
		}
	}
	d.many.add(key)
	if d.n < exact {
		d.few[d.n] = key
		d.n++
		return true
	}
	return false
}

// holds tells whether a key is among the first.
func (d *distinct) holds(key uint64) bool { return slices.Contains(d.few[:d.n], key) }

func (d *distinct) count() uint32 {
	if d.n < exact {
		return uint32(d.n)
	}
	return max(d.many.estimate(), exact)
}

// stamps remember when keys were seen last, in a table of fixed size without locks. A slot holds 40 bits of the key's
// hash and the minute, so one key in 10^11 is taken for another; where a bucket is full the key unseen for longest leaves.
type stamps struct {
	slots []atomic.Uint64
}

const (
	bucket     = 8 // slots that a key may stand in: one line of the processor's cache
	minuteBits = 24
	minuteMask = 1<<minuteBits - 1 // minutes since 1970 are taken modulo 31 years
)

func newStamps(size int) stamps {
	n := bucket
	for n < size {
		n *= 2
	}
	return stamps{slots: make([]atomic.Uint64, n)}
}

// age tells how many minutes before now a key was marked.
func (s stamps) age(hash uint64, now uint32) (minutes uint32, known bool) {
	slots, tag := s.bucket(hash)
	for i := range slots {
		v := slots[i].Load()
		if v>>minuteBits == tag {
			return since(v, now), true
		}
		if v == 0 {
			break // slots are filled in their order and never emptied
		}
	}
	return 0, false
}

// since is how long ago a slot was marked; what comes late finds marks of its future, which are as good as now.
func since(slot uint64, now uint32) uint32 {
	age := (now - uint32(slot)) & minuteMask
	if age > minuteMask/2 {
		return 0
	}
	return age
}

// mark notes a key as seen now, and tells how many minutes before it was marked last.
func (s stamps) mark(hash uint64, now uint32) (minutes uint32, known bool) {
	slots, tag := s.bucket(hash)
	at, oldest := 0, uint32(0)
	for i := range slots {
		v := slots[i].Load()
		if v>>minuteBits == tag {
			age := since(v, now)
			if age > 0 {
				slots[i].Store(tag<<minuteBits | uint64(now&minuteMask))
			}
			return age, true
		}
		if v == 0 {
			at = i
			break
		}
		if age := since(v, now); age > oldest {
			at, oldest = i, age
		}
	}
	slots[at].Store(tag<<minuteBits | uint64(now&minuteMask))
	return 0, false
}

func (s stamps) bucket(hash uint64) (slots []atomic.Uint64, tag uint64) {
	i := hash & uint64(len(s.slots)/bucket-1) * bucket
	return s.slots[i : i+bucket : i+bucket], hash>>minuteBits | 1
}
