package follow

import (
	"bytes"
	"context"
	"errors"
	"io"
)

// lines cuts a stream of bytes into lines. A line is handed on when its end has come, at most MaxLine of it.
type lines struct {
	part []byte // the beginning of a line whose end has not come
	held int64  // bytes of the stream since the last line's end, of which part is what is kept
	most int    // MaxLine where 0
	cut  uint64 // lines that were longer
}

// feed takes the next bytes. NUL before a line is passed over: a file that was truncated under a writer who does not
// append has a hole there.
func (l *lines) feed(b []byte, take func([]byte)) {
	for len(b) > 0 {
		if len(l.part) == 0 && b[0] == 0 {
			n := len(b) - len(bytes.TrimLeft(b, "\x00"))
			l.held += int64(n)
			b = b[n:]
			continue
		}
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			l.held += int64(len(b))
			l.keep(b)
			return
		}
		line := b[:end]
		if len(l.part) > 0 {
			l.keep(line)
			line = l.part
		}
		b = b[end+1:]
		l.hand(line, take)
	}
}

// finish hands on what has no end.
func (l *lines) finish(take func([]byte)) {
	if len(l.part) > 0 {
		l.hand(l.part, take)
	}
	l.held = 0
}

func (l *lines) limit() int {
	if l.most == 0 {
		return MaxLine
	}
	return l.most
}

func (l *lines) hand(line []byte, take func([]byte)) {
	if len(line) > l.limit() {
		l.cut++
		line = line[:l.limit()]
	}
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	take(line)
	l.part, l.held = l.part[:0], 0
}

// keep keeps one byte more than the limit, to know that there was more.
func (l *lines) keep(b []byte) {
	l.part = append(l.part, b[:min(len(b), l.limit()+1-len(l.part))]...)
}

// readAll gives all that src holds, piece by piece.
func readAll(ctx context.Context, src io.Reader, buf []byte, each func([]byte)) error {
	for {
		n, err := src.Read(buf)
		each(buf[:n])
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		}
	}
}
