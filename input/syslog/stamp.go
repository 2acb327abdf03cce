package syslog

import "bytes"

// stamp is a time as a line tells it, in parts.
type stamp struct {
	year     int // 0 not told
	month    int // 0 not told: only the time of day is
	day      int
	second   int // of the day; 86400 is a leap second at midnight
	nanos    int
	zoned    bool // offset is told
	offset   int  // seconds east of UTC
	name     []byte
	unsynced byte // '*' or '.' of Cisco, 0
}

// maxStamp is longer than any time with its zone.
const maxStamp = 64

// read finds a time at the beginning of b in any of the ways that devices write it and gives its length, 0 for none.
func (s *stamp) read(b []byte) int {
	if len(b) > maxStamp {
		b = b[:maxStamp]
	}
	if len(b) < len("12:33:18") {
		return 0
	}
	if !isDigit(b[0]) {
		if b[0] == '*' || b[0] == '.' {
			n := s.monthFirst(b[1:])
			if n == 0 {
				return 0
			}
			s.unsynced = b[0]
			return n + 1
		}
		return s.monthFirst(b)
	}
	if b[2] == ':' {
		return s.clock(b)
	}
	if b[4] == '-' {
		return s.iso(b)
	}
	// "2013 Jul  3 19:10:30" of NX-OS.
	y, n := number(b, 4)
	if n == 4 && b[4] == ' ' {
		if m := s.monthFirst(b[5:]); m > 0 && s.year == 0 {
			s.year = y
			return m + 5
		}
	}
	return 0
}

// monthFirst reads "Jul  3 19:10:30", "Jul 3 2013 19:10:30", and RouterOS's "jul/03 19:10:30" and "jul/03/2013 19:10:30".
func (s *stamp) monthFirst(b []byte) int {
	if len(b) < len("Jul 3 19:10:30") {
		return 0
	}
	sep := b[3]
	if s.month = month(b); s.month == 0 || sep != ' ' && sep != '/' {
		return 0
	}
	i := 4
	if b[i] == ' ' && sep == ' ' {
		i++
	}
	d, n := number(b[i:], 2)
	if i += n; n == 0 || d < 1 || d > 31 {
		return 0
	}
	s.day = d
	if y, n := number(at(b, i+1), 4); n == 4 && b[i] == sep {
		s.year = y
		i += 5
	}
	if i >= len(b) || b[i] != ' ' {
		return 0
	}
	i++
	n = s.clock(b[i:])
	if n == 0 || !s.valid() {
		return 0
	}
	return i + n
}

// at is b from i on, empty past its end.
func at(b []byte, i int) []byte {
	if i >= len(b) {
		return nil
	}
	return b[i:]
}

// iso reads "2013-07-03T19:10:30.123456+02:00" with a blank for the T, a comma for the point, and the zone with or
// without its colon, as an hour alone, behind a blank, or missing.
func (s *stamp) iso(b []byte) int {
	if len(b) < len("2013-07-03T19:10:30") || b[4] != '-' || b[7] != '-' || b[10] != 'T' && b[10] != ' ' && b[10] != 't' {
		return 0
	}
	var n, m, k int
	s.year, n = number(b, 4)
	s.month, m = number(b[5:], 2)
	s.day, k = number(b[8:], 2)
	if n != 4 || m != 2 || k != 2 || !s.valid() {
		return 0
	}
	c := s.clock(b[11:])
	if c == 0 {
		return 0
	}
	i := 11 + c
	if i < len(b) && (b[i] == 'Z' || b[i] == 'z') {
		s.zoned = true
		return i + 1
	}
	if n := s.numericZone(at(b, i)); n > 0 {
		return i + n
	}
	if i < len(b) && b[i] == ' ' {
		// Not an hour alone: "-12 packets" is no zone.
		if n := s.numericZone(b[i+1:]); n >= len("+0200") {
			return i + 1 + n
		}
		s.zoned, s.offset = false, 0
	}
	return i
}

// numericZone reads +02:00, +0200 and +02 where no digit follows.
func (s *stamp) numericZone(b []byte) int {
	if len(b) < 3 || b[0] != '+' && b[0] != '-' {
		return 0
	}
	h, n := number(b[1:], 2)
	if n != 2 || h > 23 {
		return 0
	}
	i, m := 3, 0
	if j := i; j < len(b) {
		if b[j] == ':' {
			j++
		}
		if v, n := number(at(b, j), 2); n == 2 && v < 60 {
			m, i = v, j+2
		}
	}
	if i < len(b) && isDigit(b[i]) {
		return 0
	}
	s.zoned, s.offset = true, h*3600+m*60
	if b[0] == '-' {
		s.offset = -s.offset
	}
	return i
}

// clock reads "19:10:30" and a fraction of up to nine digits behind a point or a comma; more digits are skipped. A
// leap second counts as the first of the next minute.
func (s *stamp) clock(b []byte) int {
	if len(b) < 8 || b[2] != ':' || b[5] != ':' {
		return 0
	}
	h, n := number(b, 2)
	m, k := number(b[3:], 2)
	sec, j := number(b[6:], 2)
	if n != 2 || k != 2 || j != 2 || h > 23 || m > 59 || sec > 60 {
		return 0
	}
	s.second = h*3600 + m*60 + sec
	if len(b) < 10 || b[8] != '.' && b[8] != ',' || !isDigit(b[9]) {
		return 8
	}
	i := 9
	for scale := 100_000_000; i < len(b) && isDigit(b[i]); i++ {
		s.nanos += int(b[i]-'0') * scale
		scale /= 10
	}
	return i
}

func (s *stamp) valid() bool {
	if s.month < 1 || s.month > 12 || s.day < 1 {
		return false
	}
	if s.year == 0 {
		return s.day <= daysIn(4, s.month)
	}
	return s.year >= 1970 && s.day <= daysIn(s.year, s.month)
}

// month reads the first three letters of an English month, whatever their case.
func month(b []byte) int {
	switch [3]byte{b[0] | 0x20, b[1] | 0x20, b[2] | 0x20} {
	case [3]byte{'j', 'a', 'n'}:
		return 1
	case [3]byte{'f', 'e', 'b'}:
		return 2
	case [3]byte{'m', 'a', 'r'}:
		return 3
	case [3]byte{'a', 'p', 'r'}:
		return 4
	case [3]byte{'m', 'a', 'y'}:
		return 5
	case [3]byte{'j', 'u', 'n'}:
		return 6
	case [3]byte{'j', 'u', 'l'}:
		return 7
	case [3]byte{'a', 'u', 'g'}:
		return 8
	case [3]byte{'s', 'e', 'p'}:
		return 9
	case [3]byte{'o', 'c', 't'}:
		return 10
	case [3]byte{'n', 'o', 'v'}:
		return 11
	case [3]byte{'d', 'e', 'c'}:
		return 12
	}
	return 0
}

// namedZone reads the zone that Cisco writes behind the time and before a colon, "EDT:" or "UTC+1:", and gives its
// length without the colon.
func (s *stamp) namedZone(b []byte) int {
	const longest = 5
	i := 0
	for i < len(b) && i < longest && b[i] >= 'A' && b[i] <= 'Z' {
		i++
	}
	if i < 2 || i == len(b) {
		return 0
	}
	name := b[:i]
	if b[i] == ':' {
		if _, known := nameOffset(name); !known && !bytes.HasPrefix(b[i:], []byte(": %")) {
			return 0 // "CRON: ..." is a program
		}
		s.name = name
		return i
	}
	if (b[i] != '+' && b[i] != '-') || string(name) != "UTC" && string(name) != "GMT" {
		return 0
	}
	h, n := number(b[i+1:], 2)
	m, j := 0, i+1+n
	if v, k := number(at(b, j+1), 2); k == 2 && b[j] == ':' && v < 60 {
		m, j = v, j+3
	}
	if n == 0 || h > 14 {
		return 0
	}
	s.zoned, s.offset = true, h*3600+m*60
	if b[i] == '-' {
		s.offset = -s.offset
	}
	return j
}

// nameOffset is what a zone's name means wherever it is written; names that mean different things in different
// countries, as CST, IST and BST, count only where the source's own zone has them.
func nameOffset(name []byte) (seconds int, ok bool) {
	const hour = 3600
	switch string(name) {
	case "UTC", "GMT", "WET":
		return 0, true
	case "CET", "MET", "WEST":
		return hour, true
	case "CEST", "MEST", "EET":
		return 2 * hour, true
	case "EEST", "MSK":
		return 3 * hour, true
	case "JST", "KST":
		return 9 * hour, true
	case "EDT":
		return -4 * hour, true
	case "EST", "CDT":
		return -5 * hour, true
	case "MDT":
		return -6 * hour, true
	case "MST", "PDT":
		return -7 * hour, true
	case "PST":
		return -8 * hour, true
	}
	return 0, false
}
