package detect

import (
	"math"
	"time"
)

// Time is cut into bins. The windows that are watched, and the curve, are multiples of them.
const (
	binLength  = 5 * time.Minute
	binsPerDay = int64(24 * time.Hour / binLength)
	hourBins   = int64(time.Hour / binLength)
	windowBins = 72 // the longest window: six hours
	curveBins  = 288
	maxGap     = windowBins // a longer silence is taken for an outage of the log
	maxStrays  = 16         // events at an impossible time that are not believed before the clock is
)

// windows are what is compared with the baseline, in bins.
var windows = [...]int64{3, 12, windowBins}

// baseline is what all ports together bring: how long was watched, weighted by the rhythm of the week, and whether there
// is more of everything just now.
type baseline struct {
	halfLife float64 // days
	hourEnds func(hour int64)
	cur      int64 // the bin of now
	strays   int
	watched  float64 // days, without forgetting
	exposure float64 // days, weighted by season and forgetting: what rates are divided by
	total    float64 // learnt new sources of all ports, forgetting
	mute     int64   // nothing is said before this bin, after an outage
	hourSum  float64 // learnt in this hour
	hourFull bool    // the hour was watched from its beginning
	season   season
	learnt   [windowBins]float64 // new sources by bin
	factors  [windowBins]float64
	factor   float64 // of the bin of now

	// sums over the windows without the bin of now
	spans [len(windows)]float64 // weighted days
	sums  [len(windows)]float64
}

func binOf(at int64) int64 { return at / int64(binLength) }

// advance goes to the bin of an event, or tells that the event lies too far away to be believed. One clock that is wrong must not make everybody else's events late.
func (b *baseline) advance(bin int64) bool {
	if b.cur == 0 {
		b.restart(bin)
		return true
	}
	switch gap := bin - b.cur; {
	case gap > maxGap || gap <= -curveBins:
		if b.strays++; b.strays < maxStrays {
			return false
		}
		b.outage(bin)
	case gap > 0:
		for b.cur < bin {
			b.step()
		}
	}
	b.strays = 0
	return true
}

func (b *baseline) restart(bin int64) {
	b.cur, b.hourSum, b.hourFull = bin, 0, false
	b.factor = b.season.factor(bin / hourBins)
	b.learnt, b.factors = [windowBins]float64{}, [windowBins]float64{}
	b.spans, b.sums = [len(windows)]float64{}, [len(windows)]float64{}
}

// outage skips a time in which nothing was logged. Whoever comes regularly looks new after it, so nothing is said for as
// long as it lasted, at most a day.
func (b *baseline) outage(bin int64) {
	gap := max(bin-b.cur, 0)
	keep := math.Exp2(-float64(gap) / float64(binsPerDay) / b.halfLife)
	b.exposure *= keep
	b.total *= keep
	b.mute = bin + min(gap, binsPerDay)
	b.restart(bin)
}

// step ends the bin of now and begins the next.
func (b *baseline) step() {
	const day = 1 / float64(binsPerDay)
	keep := math.Exp2(-day / b.halfLife)
	b.exposure = b.exposure*keep + b.factor*day
	b.total *= keep
	b.watched += day
	at := b.cur % windowBins
	b.hourSum += b.learnt[at]
	b.factors[at] = b.factor
	b.cur++
	if b.cur%hourBins == 0 {
		hour := b.cur/hourBins - 1
		if b.hourFull {
			b.season.learn(hour, b.hourSum)
			b.hourEnds(hour)
		}
		b.hourSum, b.hourFull = 0, true
		b.factor = b.season.factor(hour + 1)
	}
	b.learnt[b.cur%windowBins] = 0
	for i, n := range windows {
		b.spans[i], b.sums[i] = 0, 0
		for bin := b.cur - n + 1; bin < b.cur; bin++ {
			b.spans[i] += b.factors[bin%windowBins] * day
			b.sums[i] += b.learnt[bin%windowBins]
		}
	}
}

// learn counts a new source of any port that a port was allowed to learn.
func (b *baseline) learn(bin int64) {
	b.total++
	if b.cur-bin >= windowBins {
		return
	}
	b.learnt[bin%windowBins]++
	if bin == b.cur {
		return
	}
	for i, n := range windows {
		if b.cur-bin < n {
			b.sums[i]++
		}
	}
}

// span is the time, in weighted days, of a window up to now.
func (b *baseline) span(window int, at int64) float64 {
	into := clamp(float64(at-b.cur*int64(binLength))/float64(binLength), 0, 1)
	return b.spans[window] + b.factor*into/float64(binsPerDay)
}

// rate turns what was learnt into new sources a day. Nothing at all still means a little.
func (b *baseline) rate(learnt float64) float64 { return (learnt + 0.5) / (b.exposure + 0.25) }

// commonPrior is how many events the assumption that nothing is unusual is worth.
const commonPrior = 10

// common is how many times more of everything but one port there is than usual, at least 1.
func (b *baseline) common(window int, span, own, ownExpected float64) float64 {
	seen := b.sums[window] + b.learnt[b.cur%windowBins] - own
	expected := b.rate(b.total)*span - ownExpected
	return max((seen+commonPrior)/(max(expected, 0)+commonPrior), 1)
}
