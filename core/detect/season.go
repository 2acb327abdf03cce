package detect

import "math"

// season is the rhythm of the week, learnt from all ports together, since a single port sees too few. It is the product
// of the hour of the day and the day of the week, both of which are learnt within days, corrected by the hour of the
// week, which takes weeks.
type season struct {
	hours [24]mean
	days  [7]mean // relative to the hour of the day
	week  [168]mean
}

// mean is an average that forgets.
type mean struct{ sum, weight float64 }

func (m *mean) add(v, keep float64) { m.sum, m.weight = m.sum*keep+v, m.weight*keep+1 }

// pull is the average, drawn towards prior as if that had been seen n times.
func (m *mean) pull(prior, n float64) float64 { return (m.sum + prior*n) / (m.weight + n) }

const (
	keepHour    = 0.9  // of yesterday's, for an hour of the day
	keepDay     = 0.98 // of the hour's before, for a day of the week
	keepWeek    = 0.7  // of last week's, for an hour of the week
	seasonPrior = 10   // events that the assumption of no rhythm is worth
	leastFactor = 0.2
	mostFactor  = 5
)

// hourOfWeek counts from Thursday, 1970-01-01, in UTC.
func hourOfWeek(hour int64) int { return int(((hour % 168) + 168) % 168) }

// learn takes the number of new sources in an hour that has passed.
func (s *season) learn(hour int64, n float64) {
	how := hourOfWeek(hour)
	level := s.level()
	if level > 0 {
		s.days[how/24].add(n/(level*s.ofDay(how%24, level)), keepDay)
	}
	s.hours[how%24].add(n, keepHour)
	s.week[how].add(n, keepWeek)
}

// level is the mean number of an hour, 0 until every hour of the day was seen.
func (s *season) level() float64 {
	sum := 0.0
	for i := range s.hours {
		if s.hours[i].weight == 0 {
			return 0
		}
		sum += s.hours[i].sum / s.hours[i].weight
	}
	return sum / 24
}

func (s *season) ofDay(hour int, level float64) float64 {
	return clamp(s.hours[hour].pull(level, seasonPrior/level)/level, leastFactor, mostFactor)
}

// factor is how many times the mean an hour is expected to bring.
func (s *season) factor(hour int64) float64 {
	level := s.level()
	if level <= 0 {
		return 1
	}
	how := hourOfWeek(hour)
	f := s.ofDay(how%24, level) * s.days[how/24].pull(1, 6)
	f = s.week[how].pull(f*level, 1+seasonPrior/level) / level
	return clamp(f, leastFactor, mostFactor)
}

func clamp(v, low, high float64) float64 {
	if math.IsNaN(v) {
		return low
	}
	return min(max(v, low), high)
}
