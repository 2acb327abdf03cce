package detect

import (
	"cmp"
	"math"
	"slices"
	"time"

	"varde/event"
)

// Bounds of what is remembered of ports.
const (
	portPage  = 256  // ports whose memory is allocated together
	maxHot    = 2048 // ports with a curve
	maxSurges = 256  // open at a time
	fewSeen   = 8    // new sources that a port without a curve remembers
	manySeen  = 64   // and one with a curve
	tallyRows = 32
)

// port is what is known of a port that few come to.
type port struct {
	learnt  float32 // new sources, forgetting
	tokens  float32 // how many it may learn just now
	updated uint32  // seconds since 1970
	first   uint32  // when anybody came
	hot     int32   // where its curve is, 0 for none
	n, next uint8
	recent  [fewSeen]visitor
}

// visitor is a source that was new to a port.
type visitor struct {
	at      uint32
	network uint32 // the number of its autonomous system, or the /16 or /32 around it
	system  bool   // which of the two
	country [2]byte
}

// from tells whose a visitor is, by the key of a tally.
func (v *visitor) from() uint64 {
	if v.system {
		return asKey | uint64(v.network)
	}
	return uint64(v.network)
}

// refresh forgets by the time that passed, and allows to learn more.
func (p *port) refresh(now uint32, b *baseline, clip float64) {
	if p.updated == 0 {
		p.first, p.updated, p.tokens = now, now, float32(clip)
		return
	}
	if now <= p.updated {
		return
	}
	days := float64(now-p.updated) / float64(24*time.Hour/time.Second)
	p.learnt *= float32(math.Exp2(-days / b.halfLife))
	daily := max(clip*b.rate(float64(p.learnt)), clip)
	p.tokens = float32(min(float64(p.tokens)+daily*days, daily))
	p.updated = now
}

// hot is a port that many come to, with its curve and where they come from.
type hot struct {
	bins      [curveBins]uint16
	last      int64 // the newest bin
	turned    int64 // when the older tallies were last dropped
	networks  [2]tally
	countries [2]tally
	recent    [manySeen]visitor // the last ones, oldest at next once all are in use
	n, next   uint8

	// For a lasting rise of a port that is busy anyway: a cumulative sum of log likelihoods (Page 1954), scaled by how much
	// more than chance the port varies.
	dispersion float64
	cusum      float64

	surge *surge
}

// surge is one that goes on.
type surge struct {
	first, said, high int64 // onset, last said, last time of more sources than usual
	touched           int64 // the same by the clock of this machine
	total, saidTotal  uint64
	window            int
	sources           uint64
	expected          float64
	networks          uint32
	busy              bool
	raised            event.Event
}

// add counts a new source.
func (h *hot) add(bin int64, v visitor) {
	if bin > h.last {
		for b := max(h.last+1, bin-curveBins+1); b <= bin; b++ {
			h.bins[b%curveBins] = 0
		}
		h.last = bin
	}
	if h.surge == nil && bin-h.turned >= windowBins {
		h.networks[1], h.countries[1] = h.networks[0], h.countries[0]
		h.networks[0], h.countries[0] = tally{}, tally{}
		if bin-h.turned >= 2*windowBins {
			h.networks[1], h.countries[1] = tally{}, tally{}
		}
		h.turned = bin
	}
	if h.last-bin < curveBins && h.bins[bin%curveBins] < math.MaxUint16 {
		h.bins[bin%curveBins]++
	}
	if h.n < manySeen {
		h.recent[h.n] = v
		h.n++
	} else {
		h.recent[h.next] = v
		h.next = (h.next + 1) % manySeen
	}
	h.networks[0].add(v.from(), v.at)
	h.countries[0].add(uint64(v.country[0])<<8|uint64(v.country[1]), v.at)
}

// count sums the bins of a window that ends now.
func (h *hot) count(cur, bins int64) int {
	sum := 0
	for b := max(cur-bins+1, h.last-curveBins+1); b <= min(cur, h.last); b++ {
		sum += int(h.bins[b%curveBins])
	}
	return sum
}

// spread tells from how many networks visitors came since a time, and which part of them from the largest of these.
func spread(all []visitor, from int64) (networks int, largest float64) {
	n, most := 0, 0
	for i := range all {
		if int64(all[i].at) < from {
			continue
		}
		n++
		before, same := 0, 0
		for j := range all {
			if int64(all[j].at) >= from && all[j].network == all[i].network && all[j].system == all[i].system {
				same++
				before += b2i(j < i)
			}
		}
		most = max(most, same)
		networks += b2i(before == 0)
	}
	return networks, float64(most) / float64(max(n, 1))
}

// tally counts values, of which it holds so many; the rarest make room, so counts of rare values are too low.
type tally struct {
	rows [tallyRows]row
	n    uint8
}

type row struct {
	key   uint64
	count uint32
	last  uint32
}

func (t *tally) add(key uint64, at uint32) {
	rarest := 0
	for i := range t.rows[:t.n] {
		r := &t.rows[i]
		if r.key == key {
			r.count++
			r.last = max(r.last, at)
			return
		}
		if o := &t.rows[rarest]; r.count < o.count || r.count == o.count && r.last < o.last {
			rarest = i
		}
	}
	if t.n < tallyRows {
		rarest = int(t.n)
		t.n++
	}
	t.rows[rarest] = row{key, 1, at}
}

// topShares is how many countries and systems a warning names.
const topShares = 10

// shares are the most frequent values of two tallies together.
func shares(tallies *[2]tally, name func(uint64) string) []event.Share {
	sum := map[uint64]uint64{}
	for i := range tallies {
		for _, r := range tallies[i].rows[:tallies[i].n] {
			sum[r.key] += uint64(r.count)
		}
	}
	var out []event.Share
	for key, n := range sum {
		if s := name(key); s != "" {
			out = append(out, event.Share{Name: s, Count: n})
		}
	}
	slices.SortFunc(out, func(a, b event.Share) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name)) })
	return out[:min(len(out), topShares)]
}
