package fwlog

import "time"

// wall turns what a clock on the wall shows into nanoseconds since 1970, for formats that write the time of their own
// zone. It remembers the minute before.
type wall struct {
	zone   *time.Location
	minute [minuteLength]byte // "2016-06-07 12:38"
	start  int64              // seconds since 1970 of that minute
	known  bool
	last   int64 // seconds since 1970 of the time before
}

const (
	minuteLength = len("2016-06-07 12:38")
	stampLength  = len("2016-06-07 12:38:20")
)

// at reads "2016-06-07 12:38:20"; the character in the middle may be any.
func (w *wall) at(b []byte) (int64, bool) {
	if len(b) < stampLength || b[stampLength-3] != ':' {
		return 0, false
	}
	sec, ok := two(b[stampLength-2:], 60)
	if !ok {
		return 0, false
	}
	if !w.known || string(w.minute[:]) != string(b[:minuteLength]) {
		if w.known = w.begin(b); !w.known {
			return 0, false
		}
		copy(w.minute[:], b)
	}
	w.last = w.start + int64(sec)
	return w.last * int64(time.Second), true
}

// begin finds a minute. In the hour that is shown twice when the clock is put back it is the first one, unless that would
// go back behind the line before.
func (w *wall) begin(b []byte) bool {
	y, mo, d, h, m, ok := civil(b)
	if !ok {
		return false
	}
	const shift = time.Hour // by which clocks are put back, nearly everywhere
	t := time.Date(y, time.Month(mo), d, h, m, 0, 0, w.zone)
	if before := t.Add(-shift); before.Hour() == h {
		t = before
	}
	w.start = t.Unix()
	back := w.last - (w.start + 59) // how far that is before the line before
	if again := t.Add(shift); again.Hour() == h && back > 0 && back < 2*int64(shift/time.Second) {
		w.start = again.Unix()
	}
	return true
}

// civil reads "2016-06-07 12:38".
func civil(b []byte) (y, mo, d, h, m int, ok bool) {
	if b[4] != '-' || b[7] != '-' || b[13] != ':' {
		return 0, 0, 0, 0, 0, false
	}
	century, ok1 := two(b, 99)
	year, ok2 := two(b[2:], 99)
	mo, ok3 := two(b[5:], 12)
	d, ok4 := two(b[8:], 31)
	h, ok5 := two(b[11:], 23)
	m, ok6 := two(b[14:], 59)
	return century*100 + year, mo, d, h, m, ok1 && ok2 && ok3 && ok4 && ok5 && ok6 && mo > 0 && d > 0
}

func two(b []byte, most int) (int, bool) {
	if !isDigit(b[0]) || !isDigit(b[1]) {
		return 0, false
	}
	v := int(b[0]-'0')*10 + int(b[1]-'0')
	return v, v <= most
}
