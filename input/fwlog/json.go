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
	if c := o.next(); c == ',' {
		o.i++
	}
	if o.next() == '}' {
		o.i++
		o.ended = true
		return nil, nil, false
	}
	if key, ok = o.text(); !ok || o.next() != ':' {
		return nil, nil, false
	}
	o.i++
	switch o.next() {
	case '"':
		value, ok = o.text()
		return key, value, ok
	case '{', '[', 0:
		return nil, nil, false
	}
	start := o.i
	for o.i < len(o.b) && o.b[o.i] != ',' && o.b[o.i] != '}' && o.b[o.i] != ' ' {
		o.i++
	}
	return key, o.b[start:o.i], true
}

// next is the next character that is no blank, 0 at the end.
func (o *object) next() byte {
	for o.i < len(o.b) && (o.b[o.i] == ' ' || o.b[o.i] == '\t') {
		o.i++
	}
	if o.i == len(o.b) {
		return 0
	}
	return o.b[o.i]
}

func (o *object) text() ([]byte, bool) {
	if o.next() != '"' {
		return nil, false
	}
	b, i := o.b, o.i+1
	for i < len(b) && b[i] != '"' {
		if b[i] == '\\' {
			i++
		}
		i++
	}
	if i >= len(b) {
		return nil, false
	}
	s := b[o.i+1 : i]
	o.i = i + 1
	return s, true
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
