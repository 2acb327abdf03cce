package syslog

import "bytes"

// frameBuffer is what a connection may have read ahead.
const frameBuffer = 16 << 10

// framer finds lines in a stream. Both framings of RFC 6587 are seen by themselves for each line, as they cannot be
// mixed up: a line begins with its priority, a count with a digit and the priority behind it. Lines without a priority
// end at the newline. Some devices end lines with NUL.
type framer struct {
	buf        [frameBuffer]byte
	begin, end int
	skip       int  // octets of a counted line that are still to come and not wanted
	toEnd      bool // what comes up to the end of the line is not wanted
}

// space is where to read to; took says how much was.
func (f *framer) space() []byte {
	if f.begin > 0 {
		f.end = copy(f.buf[:], f.buf[f.begin:f.end])
		f.begin = 0
	}
	return f.buf[f.end:]
}

func (f *framer) took(n int) { f.end += n }

// partial tells that a line has begun and not ended.
func (f *framer) partial() bool { return f.end > f.begin || f.skip > 0 || f.toEnd }

// next is the next line, valid until space is called. A line longer than MaxLine comes once, cut.
func (f *framer) next() (line []byte, cut, ok bool) {
	if !f.between() {
		return nil, false, false
	}
	b := f.buf[f.begin:f.end]
	size, head, decided := counted(b)
	if !decided {
		return nil, false, false
	}
	if head > 0 {
		n := min(size, MaxLine)
		if len(b) < head+n {
			return nil, false, false
		}
		f.begin += head + n
		f.skip = size - n
		return b[head : head+n], size > n, true
	}
	n := lineEnd(b[:min(len(b), MaxLine+1)])
	switch {
	case n >= 0:
		f.begin += n + 1
		return b[:n], false, true
	case len(b) > MaxLine:
		f.begin += MaxLine
		f.toEnd = true
		return b[:MaxLine], true, true
	}
	return nil, false, false
}

// rest is what stands at the end of a stream without an end of its own, and whether part of it is known to be missing.
func (f *framer) rest() (line []byte, cut bool) {
	if f.skip > 0 || f.toEnd {
		return nil, false
	}
	b := f.buf[f.begin:f.end]
	_, head, _ := counted(b)
	return b[head:], head > 0
}

// between drops what is not wanted before the next line and tells whether one has begun.
func (f *framer) between() bool {
	n := min(f.skip, f.end-f.begin)
	f.begin += n
	f.skip -= n
	if f.toEnd {
		n := lineEnd(f.buf[f.begin:f.end])
		if n < 0 {
			f.begin = f.end
			return false
		}
		f.begin += n + 1
		f.toEnd = false
	}
	for f.begin < f.end {
		switch f.buf[f.begin] {
		case '\n', '\r', 0:
			f.begin++
		default:
			return true
		}
	}
	return false
}

// counted reads the length before a line, "123 <". decided is false as long as that cannot be known.
func counted(b []byte) (size, head int, decided bool) {
	const digits = 7 // nobody sends a line of 10 MB
	if len(b) == 0 || b[0] == '0' {
		return 0, 0, true
	}
	v, n := number(b, digits)
	switch {
	case n == 0:
		return 0, 0, true
	case n == len(b):
		return 0, 0, n == digits
	case b[n] != ' ':
		return 0, 0, true
	case n+1 == len(b):
		return 0, 0, false
	case b[n+1] != '<':
		return 0, 0, true
	}
	return v, n + 1, true
}

// lineEnd is where the first newline or NUL stands.
func lineEnd(b []byte) int {
	n := bytes.IndexByte(b, '\n')
	if n >= 0 {
		b = b[:n]
	}
	if z := bytes.IndexByte(b, 0); z >= 0 {
		return z
	}
	return n
}
