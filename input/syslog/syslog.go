// Package syslog reads what stands around a log line: RFC 3164 as it is really written, RFC 5424, times of RFC 3339,
// the variants of Cisco, RouterOS and Proxmox, and the journal's JSON. It also receives such lines over UDP, TCP and
// TLS. What the text of a line means is the business of others.
//
// The parser is written by hand, since libraries for the envelope alone are some ten times slower, insist on a
// priority, and leave the year and the zone to the caller.
package syslog

import (
	"bytes"
	"net/netip"
	"time"
)

// MaxLine is how much of a line is read; the rest is cut off. RFC 5424 asks receivers for at least 2048 bytes, and
// rsyslog cuts at 8 KiB too.
const MaxLine = 8 << 10

// Line is one line without its envelope. The slices point into the line, or into the parser for the journal's JSON,
// and are valid until the next call.
type Line struct {
	Time     time.Time  // when it happened, as well as that can be known; in the zone in which it was told
	Source   TimeSource // where Time comes from
	Unsynced bool       // the device says that its clock is not set ('*' of Cisco) or not in step ('.')
	Priority int        // facility times 8 plus severity, RFC 5424 section 6.2.1; -1 where not told
	Host     []byte     // who wrote it, by itself; empty where it does not say
	Tag      []byte     // the program
	PID      []byte     // its process number
	Body     []byte     // what it says
	Text     []byte     // Body with the tag before it as it was written: "forward: in:ether1" looks like a tag and is none
	MsgID    []byte     // RFC 5424 only
	Data     []byte     // structured data of RFC 5424 with its brackets, empty for "-"
	Raw      []byte     // the whole line without its end

	Received time.Time  // when it reached this machine, or the time of the file it stands in
	Peer     netip.Addr // who sent it; not valid for files
	PeerName string     // what the configuration calls that address
}

// TimeSource says how the time of a line became known.
type TimeSource uint8

// The sources of a time, the best last.
const (
	Arrival   TimeSource = iota // the line tells no time that can be believed: it is when the line came
	TimeOfDay                   // the line tells no date: it is the nearest such time
	NoYear                      // the line tells no year: it is the nearest such day
	NoZone                      // year and time are told, and the zone is that of the source
	Told                        // all of it is told
)

// Parser takes lines of one source. It must not be used by several goroutines at once.
type Parser struct {
	zone    *time.Location
	follows bool  // years follow the line before rather than the clock
	last    int64 // seconds since 1970 of the line before
	any     bool  // there was one
	day     day
	buf     []byte // where the journal's escaped texts are put
}

// NewParser makes a parser for a source whose times are in that zone where they tell none. Times without a year are the
// latest that is not more than a day after the line was received: right for what comes live and for a file that spans
// less than a year, where received is the time of the file.
func NewParser(zone *time.Location) *Parser {
	if zone == nil {
		zone = time.UTC
	}
	return &Parser{zone: zone}
}

// Anchor makes the parser infer years from the line before rather than from the time when a line was received, and
// begins near t: for files that are longer than a year. Years tells where to begin.
func (p *Parser) Anchor(t time.Time) {
	p.follows, p.any, p.last, p.day = true, true, t.Unix(), day{}
}

// Parse reads a line with or without its end, that came at the time received, into l. It takes everything: a line
// without an envelope is all Body, its time is received, and the answer is false.
func (p *Parser) Parse(line []byte, received time.Time, l *Line) bool {
	for len(line) > 0 && (line[len(line)-1] == '\n' || line[len(line)-1] == '\r' || line[len(line)-1] == 0) {
		line = line[:len(line)-1]
	}
	*l = Line{Raw: line, Time: received, Received: received, Priority: -1}
	if len(line) > 0 && line[0] == '{' && p.journal(line, l) {
		return true
	}
	b := priority(line, l)
	prefixed := len(b) < len(line)
	if len(b) > 2 && b[0] == '1' && b[1] == ' ' && p.rfc5424(b[2:], l) {
		return true
	}
	if rest, ok := p.proxmox(b, l); ok {
		l.Text, l.Body = rest, rest
		return true
	}
	rest, ok := p.device(b, l)
	if ok {
		rest = host(rest, l)
		rest = inner(rest)
	}
	l.Text, l.Body = rest, rest
	if ok || prefixed {
		tag(rest, l)
	}
	return ok || prefixed
}

// priority reads "<134>", at most 191.
func priority(b []byte, l *Line) []byte {
	if len(b) < 3 || b[0] != '<' {
		return b
	}
	v, n := number(b[1:], 3)
	if n == 0 || v > 191 || len(b) < n+2 || b[n+1] != '>' {
		return b
	}
	l.Priority = v
	return b[n+2:]
}

// maxHost is the longest name of a host, RFC 5424 section 6.
const maxHost = 255

// host takes the name of the host off, where there is one: many devices write none, RouterOS writes its topics there,
// Cisco puts a colon behind it, and key=value lines begin at once.
func host(b []byte, l *Line) []byte {
	i := bytes.IndexByte(b, ' ')
	if i <= 0 || i > maxHost {
		return b
	}
	w, rest := b[:i], blanks(b[i:])
	switch w[0] {
	case '%', '<', '{', '"', '*':
		return b
	}
	if w[i-1] == ':' {
		w = w[:i-1]
		if len(w) > 0 && (len(rest) > 0 && rest[0] == '%' || bytes.IndexByte(w, ',') > 0 || isAddr(w)) {
			l.Host = w
			return rest
		}
		return b
	}
	topics := false
	for k, c := range w {
		switch {
		case c == '[' && k > 0, c == '=':
			return b // program[123], SRC=192.0.2.1
		case c == ',':
			topics = true
		}
	}
	if topics && isTopics(w) {
		return b
	}
	l.Host = w
	if len(rest) > 2 && rest[0] == ':' && rest[1] == ' ' {
		rest = blanks(rest[1:]) // "fw : %ASA-4-106023: ..."
	}
	return rest
}

// isTopics knows "firewall,info" of RouterOS from "U7PG2,788a20aabbcc,v4.0.80" of UniFi.
func isTopics(w []byte) bool {
	for _, c := range w {
		if (c < 'a' || c > 'z') && c != ',' && c != '!' && c != '-' {
			return false
		}
	}
	return true
}

// isAddr knows an address by its characters.
func isAddr(w []byte) bool {
	marks := 0
	for _, c := range w {
		switch {
		case c == '.' || c == ':':
			marks++
		case !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'f'):
			return false
		}
	}
	return marks > 1
}

// maxTag is the longest program name that is believed; RFC 3164 says 32 and Postfix's are longer.
const maxTag = 64

// tag finds "program[123]: " at the beginning of b.
func tag(b []byte, l *Line) {
	for i := 0; i < len(b) && i < maxTag; i++ {
		switch b[i] {
		case ' ', '=', ',', '"', '<', '>', '{', '%', '*', ']':
			return
		case ':':
			if i > 0 && (i+1 == len(b) || b[i+1] == ' ') {
				l.Tag, l.Body = b[:i], blanks(b[i+1:])
				return
			}
		case '[':
			if i == 0 {
				return
			}
			n := process(b[i+1:])
			if n < 0 {
				return
			}
			rest := b[i+n+2:]
			if len(rest) > 0 && rest[0] == ':' {
				rest = rest[1:]
			} else if len(rest) > 0 && rest[0] != ' ' {
				return
			}
			l.Tag, l.PID, l.Body = b[:i], b[i+1:i+1+n], blanks(rest)
			return
		}
	}
}

// process is the length of a process number before its bracket, -1 where it is none.
func process(b []byte) int {
	const longest = 32
	for i, c := range b {
		switch {
		case c == ']':
			return i
		case i == longest || !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'z') && c != '.' && c != '-' && c != '_':
			return -1
		}
	}
	return -1
}

func blanks(b []byte) []byte {
	for len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	return b
}

func isDigit(c byte) bool { return c-'0' < 10 }

// number reads up to most digits and tells how many there were.
func number(b []byte, most int) (v, n int) {
	for n < len(b) && n < most && isDigit(b[n]) {
		v = v*10 + int(b[n]-'0')
		n++
	}
	return v, n
}
