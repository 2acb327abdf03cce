package fwlog

import (
	"bytes"
	"unicode/utf8"
)

// object is a flat JSON object while it is read.
type object struct {
	b     []byte
	i     int
	ended bool // its closing bracket was met
}

// member is the next key and its value. A string is given as it is written, without its quotes; an object or an array
// in place of a value ends the reading, since ulogd writes none.
func (o *object) member() (key, value []byte, ok bool) {
	b, i := o.b, o.i
	for i < len(b) && (b[i] == ' ' || b[i] == ',') {
		i++
	}
	if i < len(b) && b[i] == '}' {
		o.ended = true
	}
	if key, i = jsonString(b, i); i == 0 {
		return nil, nil, false
	}
	for i < len(b) && (b[i] == ' ' || b[i] == ':') {
		i++
	}
	if i == len(b) || b[i] == '{' || b[i] == '[' {
		return nil, nil, false
	}
	if b[i] == '"' {
		value, o.i = jsonString(b, i)
		return key, value, o.i > 0
	}
	start := i
	for i < len(b) && b[i] != ',' && b[i] != '}' && b[i] != ' ' {
		i++
	}
	o.i = i
	return key, b[start:i], true
}

// jsonString is the string that begins at i, and where its end is; 0 where there is none.
func jsonString(b []byte, i int) ([]byte, int) {
	if i >= len(b) || b[i] != '"' {
		return nil, 0
	}
	i++
	start := i
	for i < len(b) && b[i] != '"' {
		if b[i] == '\\' {
			i++
		}
		i++
	}
	if i >= len(b) {
		return nil, 0
	}
	return b[start:i], i + 1
}

// unescape takes the backslashes out of a string. It uses the Reader's memory until the next line.
func (r *Reader) unescape(b []byte) []byte {
	if bytes.IndexByte(b, '\\') < 0 {
		return b
	}
	r.buf = r.buf[:0]
	for i := 0; i < len(b) && len(r.buf) < maxText; i++ {
		if b[i] != '\\' || i+1 == len(b) {
			r.buf = append(r.buf, b[i])
			continue
		}
		i++
		switch b[i] {
		case 'n', 't', 'r', 'b', 'f':
			r.buf = append(r.buf, ' ')
		case 'u':
			x := rune(0)
			for k := 1; k <= 4 && i+k < len(b); k++ {
				x = x<<4 | rune(hexDigit(b[i+k])&15)
			}
			i += 4
			r.buf = utf8.AppendRune(r.buf, x)
		default:
			r.buf = append(r.buf, b[i])
		}
	}
	return r.buf
}
