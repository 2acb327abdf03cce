package syslog

import "bytes"

// rfc5424 reads what follows "<134>1 ": time, host, program, process, message id, structured data, message. It is
// lenient where devices are: the time may lack its zone (Juniper), and structured data that never ends is the message.
func (p *Parser) rfc5424(b []byte, l *Line) bool {
	if len(b) < 2 {
		return false
	}
	if b[0] == '-' && b[1] == ' ' {
		b = b[2:]
	} else {
		var s stamp
		if len(b) < 20 || b[4] != '-' {
			return false
		}
		n := s.iso(b[:min(len(b), maxStamp)])
		if n == 0 || n >= len(b) || b[n] != ' ' {
			return false
		}
		b = b[n+1:]
		p.told(&s, l)
	}
	for _, field := range [...]*[]byte{&l.Host, &l.Tag, &l.PID, &l.MsgID} {
		i := bytes.IndexByte(b, ' ')
		if i < 0 {
			i = len(b)
		}
		if w := b[:i]; string(w) != "-" {
			*field = w
		}
		b = at(b, i+1)
	}
	n := structured(b)
	if n > 0 && b[0] == '[' {
		l.Data = b[:n]
	}
	b = b[n:]
	b = blanks(b)
	b = blanks(bytes.TrimPrefix(b, []byte("\ufeff"))) // rsyslog keeps the blank that stood behind the tag in RFC 3164
	l.Body, l.Text = b, b
	return true
}

// structured is the length of "-" or of all elements "[id name="value"]" together, 0 where there is neither. Within a
// value a backslash takes the meaning from quotes, brackets and backslashes.
func structured(b []byte) int {
	if len(b) > 0 && b[0] == '-' && (len(b) == 1 || b[1] == ' ') {
		return 1
	}
	end, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case end == i && !quoted && c != '[':
			return end
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == ']' && !quoted:
			end = i + 1
		}
	}
	return end
}
