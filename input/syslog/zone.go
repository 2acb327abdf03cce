package syslog

import "time"

const (
	daySeconds = 24 * 60 * 60
	ahead      = daySeconds // a time without a year may lie so far in the future: zones and clocks differ
	aheadToday = 60 * 60    // and one without a date so far
	nearFold   = 2 * 60 * 60
	leapYears  = 8 // there is a 29 February among so many years, always
)

// day remembers the date of the line before: most lines are of the same day.
type day struct {
	year, month, day int   // as told; year 0 is not told
	offset           int   // as told
	zoned            bool  // offset was told
	hour             int64 // hours since 1970 of what the year was inferred from
	start            int64 // seconds since 1970 of its midnight
	known            bool
}

// instant is the time of a stamp in seconds since 1970, and how far it was told. What is not told is inferred from when
// the line was received or, for a parser that follows, from the line before.
func (p *Parser) instant(s *stamp, received int64) (int64, TimeSource) {
	ref := received
	if p.follows {
		ref = p.last
	}
	if len(s.name) > 0 {
		p.byName(s, ref)
	}
	source := NoZone
	switch {
	case s.month == 0:
		source = TimeOfDay
	case s.year == 0:
		source = NoYear
	case s.zoned:
		source = Told
	}
	d := &p.day
	var t int64
	if d.known && s.month == d.month && s.day == d.day && s.year == d.year && s.zoned == d.zoned && s.offset == d.offset &&
		(s.year != 0 || ref/3600 == d.hour) {
		t = d.start + int64(s.second)
	} else {
		t = p.infer(s, ref, received)
	}
	p.last, p.any = t, true
	return t, source
}

// infer finds the day that is meant and remembers it.
func (p *Parser) infer(s *stamp, ref, received int64) int64 {
	year, mon, d := s.year, s.month, s.day
	switch {
	case s.month == 0:
		return p.today(s, ref, received)
	case s.year == 0:
		year = p.year(s, ref)
	}
	start := civil(year, mon, d)
	t, plain := p.local(start+int64(s.second), s, received)
	if plain {
		p.day = day{s.year, s.month, s.day, s.offset, s.zoned, ref / 3600, t - int64(s.second), true}
	}
	return t
}

// year is the one that brings the day nearest to ref; where ref is a clock, not more than a day after it.
func (p *Parser) year(s *stamp, ref int64) int {
	now := time.Unix(ref, 0).UTC().Year()
	best, least := now, int64(1)<<62
	for y := now + leapYears; y >= now-leapYears; y-- {
		if s.day > daysIn(y, s.month) {
			continue
		}
		t, _ := p.local(civil(y, s.month, s.day)+int64(s.second), s, ref)
		if !p.follows && t > ref+ahead {
			continue
		}
		if off := max(t-ref, ref-t); off < least {
			best, least = y, off
		}
	}
	return best
}

// today is the latest such time of day that is not in the future, or the nearest to the line before.
func (p *Parser) today(s *stamp, ref, received int64) int64 {
	_, offset := time.Unix(ref, 0).In(p.zone).Zone()
	if s.zoned {
		offset = s.offset
	}
	midnight := floorDay(ref + int64(offset))
	best, least := int64(0), int64(1)<<62
	for i := int64(1); i >= -1; i-- {
		t, _ := p.local(midnight+i*daySeconds+int64(s.second), s, received)
		if !p.follows && t > ref+aheadToday {
			continue
		}
		if off := max(t-ref, ref-t); off < least {
			best, least = t, off
		}
	}
	return best
}

// local turns seconds of a wall clock into seconds since 1970. When the hour before the clock was put back is meant
// twice, it is the one nearest to when the line was received, if it is fresh, and otherwise to the line before, which
// keeps the order. Times that the clock skipped count as if it had not. Plain tells that no such change is near.
func (p *Parser) local(wall int64, s *stamp, received int64) (t int64, plain bool) {
	if s.zoned {
		return wall - int64(s.offset), true
	}
	before, after := p.offset(wall-2*daySeconds), p.offset(wall+2*daySeconds)
	first, second := wall-before, wall-after
	if before == after {
		return first, true
	}
	isFirst, isSecond := p.offset(first) == before, p.offset(second) == after
	switch {
	case isFirst && isSecond:
		ref := received
		if p.any && (p.follows || max(received-second, first-received) > nearFold) {
			ref = p.last
		}
		if max(first-ref, ref-first) > max(second-ref, ref-second) {
			return second, false
		}
		return first, false
	case isSecond:
		return second, false
	}
	return first, false
}

// offset is how far the zone is east of UTC at a time.
func (p *Parser) offset(t int64) int64 {
	_, seconds := time.Unix(t, 0).In(p.zone).Zone()
	return int64(seconds)
}

// byName turns the name of a zone into its offset: as the source's own zone uses it near ref, or as everybody does. A
// name that nobody knows is passed over.
func (p *Parser) byName(s *stamp, ref int64) {
	for _, halves := range [...]int64{0, -26, 26} {
		name, seconds := time.Unix(ref+halves*7*daySeconds, 0).In(p.zone).Zone()
		if string(s.name) == name {
			s.zoned, s.offset = true, seconds
			return
		}
	}
	s.offset, s.zoned = nameOffset(s.name)
}

// civil is the number of seconds from 1970 to the midnight of a date in the Gregorian calendar, without a zone. It
// counts years from March on, so that the leap day is the last.
func civil(y, m, d int) int64 {
	if m < 3 {
		y--
		m += 12
	}
	days := 365*y + y/4 - y/100 + y/400 + (153*(m-3)+2)/5 + d - 1
	const to1970 = 719468 // from 1 March of the year 0
	return int64(days-to1970) * daySeconds
}

func floorDay(t int64) int64 {
	r := t % daySeconds
	if r < 0 {
		r += daySeconds
	}
	return t - r
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}
