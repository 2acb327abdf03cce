package syslog

import "time"

// device reads what stands before the host: the time, with what Cisco puts around it, which is a sequence number, its
// own name, a mark for its clock and the name of the zone: "46: R1: *Mar  1 18:48:50.483 UTC: %SYS-5-CONFIG_I: ...".
func (p *Parser) device(b []byte, l *Line) ([]byte, bool) {
	var s stamp
	n := s.read(b)
	if n > 0 {
		rest := s.after(b[n:])
		p.told(&s, l)
		return rest, true
	}
	name, rest := sequence(b)
	if len(rest) == len(b) {
		return b, false
	}
	if n = s.read(rest); n == 0 {
		if len(rest) == 0 || rest[0] != '%' {
			return b, false
		}
		l.Host = name // "46: R1: %SYS-5-CONFIG_I: ..." with time stamps switched off
		return rest, true
	}
	rest = s.after(rest[n:])
	p.told(&s, l)
	l.Host = name
	return rest, true
}

// sequence takes "46: ", "000123: " and ": " off, and behind them a name "R1: ".
func sequence(b []byte) (name, rest []byte) {
	const longest = 10 // digits of a number of 32 bits
	_, n := number(b, longest)
	if n+1 >= len(b) || b[n] != ':' || b[n+1] != ' ' {
		return nil, b
	}
	rest = blanks(b[n+1:])
	for i, c := range rest {
		switch {
		case c == ':' && i > 0 && i+1 < len(rest) && rest[i+1] == ' ':
			return rest[:i], blanks(rest[i+1:])
		case c == ' ' || c == '%' || c == '*' || i > maxHost:
			return nil, rest
		}
	}
	return nil, rest
}

// after takes the zone and the colon off that follow a time.
func (s *stamp) after(b []byte) []byte {
	b = blanks(b)
	if !s.zoned {
		if n := s.namedZone(b); n > 0 {
			b = b[n:]
		}
	}
	if len(b) > 1 && b[0] == ':' && (b[1] == ' ' || b[1] == '%') {
		b = b[1:]
	}
	return blanks(b)
}

// inner takes the time off that Cisco wrote, where a relay has put its own before it: "46: *Oct  9 11:59:59.483: %SEC".
// The relay's time is kept, since its clock is set.
func inner(b []byte) []byte {
	if len(b) == 0 || !isDigit(b[0]) && b[0] != '*' && b[0] != '.' && b[0] != ':' && (b[0] < 'A' || b[0] > 'Z') {
		return b
	}
	_, rest := sequence(b)
	var s stamp
	if n := s.read(rest); n > 0 {
		rest = s.after(rest[n:])
	}
	if len(rest) > 0 && rest[0] == '%' {
		return rest
	}
	return b
}

// proxmox reads "101 6 tap101i0-IN 15/Mar/2014:12:11:59 +0100 policy DROP: IN=...": the guest, the level, the chain
// and the time. The chain is the tag.
func (p *Parser) proxmox(b []byte, l *Line) (rest []byte, ok bool) {
	const longest = 10
	_, n := number(b, longest)
	if n == 0 || n+4 > len(b) || b[n] != ' ' || !isDigit(b[n+1]) || b[n+2] != ' ' {
		return b, false
	}
	chain := b[n+3:]
	i := 0
	for i < len(chain) && i < maxTag && chain[i] != ' ' {
		i++
	}
	t := at(chain, i+1)
	if len(t) < len("15/Mar/2014:12:11:59 +0100") || t[2] != '/' || t[6] != '/' || t[11] != ':' {
		return b, false
	}
	var s stamp
	var d, y int
	s.day, d = number(t, 2)
	s.month = month(t[3:])
	s.year, y = number(t[7:], 4)
	c := s.clock(t[12:])
	if d != 2 || y != 4 || c == 0 || !s.valid() {
		return b, false
	}
	t = blanks(t[12+c:])
	t = t[s.numericZone(t):]
	p.told(&s, l)
	l.Tag = chain[:i]
	return blanks(t), true
}

// told puts the time of a stamp into the line. A clock that was never set ('*') is not believed as long as it is known
// when the line came.
func (p *Parser) told(s *stamp, l *Line) {
	l.Unsynced = s.unsynced != 0
	if s.unsynced == '*' && !p.follows {
		return
	}
	sec, source := p.instant(s, l.Received.Unix())
	l.Source = source
	zone := p.zone
	if s.zoned && s.offset == 0 {
		zone = time.UTC
	}
	l.Time = time.Unix(sec, int64(s.nanos)).In(zone)
}
