package syslog

import (
	"bytes"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// maxNumber is the longest number that the journal writes into a field that is read here: 64 bits in decimal.
const maxNumber = 20

// journal reads one line of journalctl -o json: an object of strings, where a field that is not UTF-8 is an array of
// byte values, one that is given several times an array of strings, and one that is too long null.
func (p *Parser) journal(b []byte, l *Line) bool {
	p.buf = p.buf[:0]
	var micros, level, facility []byte
	var comm, pid []byte
	s := jsonText{b: b, i: 1}
	for {
		key, ok := s.key()
		if !ok {
			break
		}
		var field *[]byte
		switch string(key) {
		case "__REALTIME_TIMESTAMP":
			field = &micros
		case "MESSAGE":
			field = &l.Body
		case "_HOSTNAME":
			field = &l.Host
		case "SYSLOG_IDENTIFIER":
			field = &l.Tag
		case "_COMM":
			field = &comm
		case "SYSLOG_PID":
			field = &l.PID
		case "_PID":
			field = &pid
		case "PRIORITY":
			field = &level
		case "SYSLOG_FACILITY":
			field = &facility
		}
		v, ok := p.value(&s, field != nil)
		if !ok {
			break
		}
		if field != nil {
			*field = v
		}
	}
	us, n := number64(micros)
	if n == 0 {
		*l = Line{Raw: l.Raw, Time: l.Time, Received: l.Received, Priority: -1}
		return false
	}
	l.Time, l.Source = time.UnixMicro(us).In(p.zone), Told
	p.last, p.any = us/1e6, true
	if len(l.Tag) == 0 {
		l.Tag = comm
	}
	if len(l.PID) == 0 {
		l.PID = pid
	}
	if v, n := number(level, 1); n == 1 && v < 8 {
		f, n := number(facility, 3)
		if n == 0 || f > 23 {
			f = 1 // user-level messages
		}
		l.Priority = f*8 + v
	}
	l.Text = l.Body
	return true
}

func number64(b []byte) (v int64, n int) {
	for n < len(b) && n < maxNumber && isDigit(b[n]) {
		v = v*10 + int64(b[n]-'0')
		n++
	}
	if n < len(b) || v < 0 {
		return 0, 0
	}
	return v, n
}

// jsonText is a place in the text of an object.
type jsonText struct {
	b []byte
	i int
}

// next is the next byte that is no blank, 0 at the end.
func (s *jsonText) next() byte {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t':
			s.i++
		default:
			return s.b[s.i]
		}
	}
	return 0
}

// take goes past c, if it comes next.
func (s *jsonText) take(c byte) bool {
	if s.next() != c {
		return false
	}
	s.i++
	return true
}

// key goes past a comma, a name and the colon behind it.
func (s *jsonText) key() ([]byte, bool) {
	s.take(',')
	if !s.take('"') {
		return nil, false
	}
	k, _, ok := s.text()
	return k, ok && s.take(':')
}

// text goes past what is left of a string and gives it as it is written.
func (s *jsonText) text() (raw []byte, escaped, ok bool) {
	begin := s.i
	for s.i < len(s.b) {
		n := bytes.IndexByte(s.b[s.i:], '"')
		if n < 0 {
			return nil, false, false
		}
		s.i += n + 1
		slashes := 0
		for i := s.i - 2; i >= begin && s.b[i] == '\\'; i-- {
			slashes++
		}
		if slashes%2 == 0 {
			raw = s.b[begin : s.i-1]
			return raw, bytes.IndexByte(raw, '\\') >= 0, true
		}
	}
	return nil, false, false
}

// value goes past a value and, if it is wanted, gives it as bytes: of an array of strings the first.
func (p *Parser) value(s *jsonText, wanted bool) ([]byte, bool) {
	switch c := s.next(); {
	case c == '"':
		s.i++
		raw, escaped, ok := s.text()
		if ok && wanted && escaped {
			raw = p.unescape(raw)
		}
		return raw, ok
	case c == '[':
		return p.array(s, wanted)
	case c == '{' || c == 0:
		return nil, false // the journal nests nothing
	}
	begin := s.i
	for s.i < len(s.b) && s.b[s.i] != ',' && s.b[s.i] != '}' && s.b[s.i] != ']' {
		s.i++
	}
	raw := s.b[begin:s.i]
	if len(raw) > 0 && raw[0] == 'n' {
		raw = nil
	}
	return raw, true
}

// array reads byte values, or takes the first of several values.
func (p *Parser) array(s *jsonText, wanted bool) ([]byte, bool) {
	s.i++
	var first []byte
	begin := len(p.buf)
	for n := 0; ; n++ {
		switch c := s.next(); {
		case c == ']':
			s.i++
			if len(p.buf) > begin {
				first = p.buf[begin:]
			}
			return first, true
		case c == ',' && n > 0:
			s.i++
		case isDigit(c):
			v, k := number(s.b[s.i:], 3)
			s.i += k
			if wanted && v < 256 && len(p.buf)-begin < MaxLine {
				p.buf = append(p.buf, byte(v))
			}
		case c == '"':
			s.i++
			raw, escaped, ok := s.text()
			if !ok {
				return nil, false
			}
			if first == nil && wanted {
				if first = raw; escaped {
					first = p.unescape(raw)
					begin = len(p.buf)
				}
			}
		default:
			return nil, false // bytes inside an array of values: nobody's message
		}
	}
}

// unescape puts a string without its backslashes into the parser's memory.
func (p *Parser) unescape(raw []byte) []byte {
	begin := len(p.buf)
	for i := 0; i < len(raw) && len(p.buf)-begin < MaxLine; i++ {
		if n := bytes.IndexByte(raw[i:], '\\'); n != 0 {
			if n < 0 {
				n = len(raw) - i
			}
			p.buf = append(p.buf, raw[i:i+n]...)
			i += n - 1
			continue
		}
		if i+1 == len(raw) {
			break
		}
		i++
		switch raw[i] {
		case 'n':
			p.buf = append(p.buf, '\n')
		case 't':
			p.buf = append(p.buf, '\t')
		case 'r':
			p.buf = append(p.buf, '\r')
		case 'b':
			p.buf = append(p.buf, '\b')
		case 'f':
			p.buf = append(p.buf, '\f')
		case 'u':
			r := hex4(at(raw, i+1))
			i += 4
			if utf16.IsSurrogate(r) && i+2 < len(raw) && raw[i+1] == '\\' && raw[i+2] == 'u' {
				r = utf16.DecodeRune(r, hex4(at(raw, i+3)))
				i += 6
			}
			p.buf = utf8.AppendRune(p.buf, r)
		default:
			p.buf = append(p.buf, raw[i])
		}
	}
	return p.buf[begin:len(p.buf):len(p.buf)]
}

// hex4 reads four hexadecimal digits; what is none is the replacement character.
func hex4(b []byte) rune {
	if len(b) < 4 {
		return utf8.RuneError
	}
	v, err := strconv.ParseUint(string(b[:4]), 16, 16)
	if err != nil {
		return utf8.RuneError
	}
	return rune(v)
}
