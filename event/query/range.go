package query

import (
	"fmt"
	"math"
	"strings"
	"time"

	"varde/event"
)

// Range reads a span of time as people write it and gives it as the From and To of a Box, where 0 is unbounded:
//
//	90d, -24h               from so long ago until now
//	today, yesterday        the whole day, in the zone of now
//	2026-11-01, 2026-11     the whole day or month, in the zone of now
//	2026-11-01T12:00        the whole minute; T12 is the hour, T12:00:05 the second, T12:00:05.25 that much of it;
//	                        a blank may stand for the T, and Z or +01:00 behind it is another zone
//	A..B                    from the begin of A to the end of B, where -24h and now are single moments
//	A.., ..B                without an end, without a begin
//
// A day is from its first moment to the first of the next, also where clocks change; 1d is 24 hours.
func Range(text string, now time.Time) (from, to int64, err error) {
	text = strings.TrimSpace(text)
	first, last, ok := strings.Cut(text, "..")
	if !ok {
		begin, end, err := moment(text, now)
		if err != nil {
			return 0, 0, err
		}
		if begin.Equal(end) {
			end = now
		}
		last = text
		from, to = event.Nanos(begin), event.Nanos(end)
	}
	if ok && strings.TrimSpace(first) != "" {
		begin, _, err := moment(first, now)
		if err != nil {
			return 0, 0, err
		}
		from = event.Nanos(begin)
	}
	if ok && strings.TrimSpace(last) != "" {
		_, end, err := moment(last, now)
		if err != nil {
			return 0, 0, err
		}
		to = event.Nanos(end)
	}
	from = max(from, 0) // before 1970 there is nothing
	if to < 0 || to != 0 && to <= from {
		return 0, 0, fmt.Errorf("time %q: its end is not after its begin", text)
	}
	return from, to, nil
}

// layouts are the forms of a time of day, with the unit that each spans. Seconds may have a fraction.
var layouts = [...]struct {
	layout string
	unit   time.Duration
}{
	{"2006-01-02T15", time.Hour},
	{"2006-01-02T15:04", time.Minute},
	{"2006-01-02T15:04:05", time.Second},
}

// moment is the begin and the end of one form of time; they are equal for those that count from now.
func moment(text string, now time.Time) (begin, end time.Time, err error) {
	text = strings.TrimSpace(text)
	word := strings.ToLower(text)
	switch word {
	case "now":
		return now, now, nil
	case "today":
		return days(now, 0, 1)
	case "yesterday":
		return days(now, -1, 0)
	}
	if d, ok := parseSpan(strings.TrimPrefix(word, "-")); ok {
		at := now.Add(-time.Duration(d))
		return at, at, inRange(text, at)
	}
	if t, err := time.Parse("2006-01-02", text); err == nil {
		y, m, d := t.Date()
		return within(text, dayBegin(y, m, d, now.Location()), dayBegin(y, m, d+1, now.Location()))
	}
	if t, err := time.Parse("2006-01", text); err == nil {
		y, m, _ := t.Date()
		return within(text, dayBegin(y, m, 1, now.Location()), dayBegin(y, m+1, 1, now.Location()))
	}
	clock := strings.ToUpper(strings.Replace(text, " ", "T", 1))
	for _, l := range layouts {
		for _, zone := range []string{"", "Z07:00"} {
			if t, err := time.ParseInLocation(l.layout+zone, clock, now.Location()); err == nil {
				return within(text, t, t.Add(fraction(clock, l.unit)))
			}
		}
	}
	return now, now, fmt.Errorf("%q is no time: use 90d, -24h, 2026-11-01, 2026-11-01T12:00, today, yesterday or A..B", text)
}

// fraction is the unit of the last digit of the seconds, or unit where they have no fraction.
func fraction(clock string, unit time.Duration) time.Duration {
	_, digits, _ := strings.Cut(clock, ".")
	for i := 0; i < len(digits) && digits[i] >= '0' && digits[i] <= '9'; i++ {
		unit = max(unit/10, 1)
	}
	return unit
}

// days are whole days, counted from the one of now.
func days(now time.Time, first, last int) (begin, end time.Time, err error) {
	y, m, d := now.Date()
	return dayBegin(y, m, d+first, now.Location()), dayBegin(y, m, d+last, now.Location()), nil
}

// dayBegin is the first moment of a day. Where clocks are changed at midnight, midnight is twice or never, and time.Date
// may give either.
func dayBegin(y int, m time.Month, d int, loc *time.Location) time.Time {
	const step, most = 15 * time.Minute, 12 // clocks are changed by at most three hours
	noon := time.Date(y, m, d, 12, 0, 0, 0, loc)
	y, m, d = noon.Date()
	at := time.Date(y, m, d, 0, 0, 0, 0, loc)
	for i := 0; i < most && at.Day() != d; i++ {
		at = at.Add(step)
	}
	for i := 0; i < most && at.Add(-step).Day() == d; i++ {
		at = at.Add(-step)
	}
	return at
}

func within(text string, begin, end time.Time) (time.Time, time.Time, error) {
	if err := inRange(text, begin); err != nil {
		return begin, end, err
	}
	return begin, end, inRange(text, end)
}

// inRange refuses times that nanoseconds since 1970 cannot tell.
func inRange(text string, t time.Time) error {
	if t.Before(time.Unix(0, math.MinInt64)) || t.After(time.Unix(0, math.MaxInt64)) {
		return fmt.Errorf("time %q: use the years 1970 to 2261", text)
	}
	return nil
}
