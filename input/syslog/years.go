package syslog

import "time"

// Years counts how often the year turns in the lines of one file, for a file that tells no years and may be longer than
// one. Its last line is of about when the file was changed, so the first is so many years before.
type Years struct {
	zone   *time.Location
	before int // day of a leap year of the line before, 0 none
	first  stamp
	last   stamp
	turns  int
}

// NewYears makes a counter for a source in that zone.
func NewYears(zone *time.Location) *Years { return &Years{zone: zone} }

// Line looks at the date of the next line. Dates are compared only with the one before: a step of more than half a year
// back is a new year, and one of half a year forward is a line out of order from the old one.
func (y *Years) Line(line []byte) {
	var l Line
	b := priority(line, &l)
	_, b = sequence(b)
	var s stamp
	if s.read(b) == 0 || s.month == 0 || s.year != 0 {
		return
	}
	const half = 183
	d := int((civil(2000, s.month, s.day)-civil(2000, 1, 1))/daySeconds) + 1
	switch {
	case y.before == 0:
		y.first = s
	case d < y.before-half:
		y.turns++
	case d > y.before+half:
		y.turns--
	}
	y.before, y.last = d, s
}

// First is about when the first line was written, for Parser.Anchor, given when the file was changed. It is the zero
// time where no line told a date without a year.
func (y *Years) First(changed time.Time) time.Time {
	if y.before == 0 {
		return time.Time{}
	}
	p := NewParser(y.zone)
	year := p.year(&y.last, changed.Unix())
	return time.Unix(civil(year-y.turns, y.first.month, y.first.day)+int64(y.first.second), 0)
}
