package warn

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strconv"
	"strings"

	"varde/event"
)

// maxSpoolLine bounds one warning on disk; an incident holds at most some dozens of entries of some hundred bytes.
const maxSpoolLine = 1 << 20

// errSpoolFull says that a spool has as many bytes as it may.
var errSpoolFull = errors.New("the spool is full")

// errNoSpool says that there is nowhere to spool.
var errNoSpool = errors.New("there is no spool")

// spool keeps warnings on disk in order: JSON lines in NAME.jsonl, and, once that has half of the bytes allowed, an
// older file before it that leaves as a whole. How far the oldest file was delivered stands in NAME.done, so that a
// kill repeats what was under way and nothing else. It is no stranger's file: mode 0600. Not safe for concurrent use.
type spool struct {
	path  string // of NAME.jsonl, "" for no spool
	most  int64  // bytes
	count int    // warnings that wait
	old   int64  // bytes of the older file, 0 when there is none
	fresh int64  // bytes of NAME.jsonl
	done  int64  // bytes delivered of the oldest file
	f     *os.File
}

// openSpool finds what an earlier run has left. A line that a crash has torn is ended, so that it spoils no other.
func openSpool(path string, most int64) (*spool, error) {
	s := &spool{path: path, most: most}
	if path == "" {
		return s, nil
	}
	for _, part := range []struct {
		path string
		size *int64
	}{{s.older(), &s.old}, {s.path, &s.fresh}} {
		n, lines, err := measure(part.path)
		if err != nil {
			return nil, fmt.Errorf("spool %s: %w", part.path, err)
		}
		*part.size = n
		s.count += lines
	}
	if err := s.resume(); err != nil {
		return nil, fmt.Errorf("spool %s: %w", s.path, err)
	}
	return s, nil
}

func (s *spool) older() string  { return strings.TrimSuffix(s.path, ".jsonl") + ".older.jsonl" }
func (s *spool) marker() string { return strings.TrimSuffix(s.path, ".jsonl") + ".done" }

// measure counts bytes and lines, and ends a torn last line.
func measure(path string) (size int64, lines int, err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	buf := make([]byte, 1<<16)
	last := byte('\n')
	for {
		n, err := f.Read(buf)
		if n > 0 {
			size += int64(n)
			lines += bytes.Count(buf[:n], []byte{'\n'})
			last = buf[n-1]
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return 0, 0, err
		}
	}
	if last != '\n' {
		if _, err := f.WriteAt([]byte{'\n'}, size); err != nil {
			return 0, 0, err
		}
		size, lines = size+1, lines+1
	}
	return size, lines, nil
}

// resume takes up where the mark of an earlier run stands, unless it cannot be of these files.
func (s *spool) resume() error {
	b, err := os.ReadFile(s.marker())
	if errors.Is(err, os.ErrNotExist) || s.count == 0 {
		return s.tidy()
	}
	if err != nil {
		return err
	}
	mark, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil || mark <= 0 || mark > s.oldest() {
		return nil
	}
	f, err := os.Open(s.front())
	if err != nil {
		return err
	}
	defer f.Close()
	ends := make([]byte, 1)
	if _, err := f.ReadAt(ends, mark-1); err != nil || ends[0] != '\n' {
		return err
	}
	passed, err := countLines(io.LimitReader(f, mark))
	s.done, s.count = mark, s.count-passed
	if err == nil && mark == s.oldest() {
		err = s.drop() // the crash came before that
	}
	return errors.Join(err, s.tidy())
}

func countLines(r io.Reader) (int, error) {
	n, buf := 0, make([]byte, 1<<16)
	for {
		k, err := r.Read(buf)
		n += bytes.Count(buf[:k], []byte{'\n'})
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// front is the file that is delivered first.
func (s *spool) front() string {
	if s.old > 0 {
		return s.older()
	}
	return s.path
}

// oldest is the size of that file.
func (s *spool) oldest() int64 {
	if s.old > 0 {
		return s.old
	}
	return s.fresh
}

func (s *spool) bytes() int64 { return s.old + s.fresh }

// add appends warnings, all or as many as there is room for.
func (s *spool) add(ws ...event.Warning) (n int, err error) {
	if s.path == "" {
		return 0, errNoSpool
	}
	var line []byte
	for i := range ws {
		line = append(ws[i].AppendJSON(line[:0], ws[i].Time), '\n')
		if err := s.write(line); err != nil {
			return i, err
		}
		s.count++
	}
	return len(ws), nil
}

func (s *spool) write(line []byte) error {
	if s.bytes()+int64(len(line)) > s.most || len(line) > maxSpoolLine {
		return errSpoolFull
	}
	if s.fresh > s.most/2 && s.old == 0 {
		if err := os.Rename(s.path, s.older()); err != nil {
			return err
		}
		s.old, s.fresh = s.fresh, 0
		s.close()
	}
	if s.f == nil {
		f, err := os.OpenFile(s.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		s.f = f
	}
	n, err := s.f.Write(line)
	if err != nil && n > 0 {
		err = errors.Join(err, s.f.Truncate(s.fresh)) // no half lines on a full disk
	} else if err == nil {
		s.fresh += int64(n)
	}
	return err
}

// sync makes what waits survive a power cut too.
func (s *spool) sync() error {
	if s.f == nil {
		return nil
	}
	return s.f.Sync()
}

func (s *spool) close() {
	if s.f != nil {
		s.f.Close()
		s.f = nil
	}
}

// item is one line of a spool; ok is false where it is no warning.
type item struct {
	w  event.Warning
	ok bool
}

// reading is what a spool held at one moment. Its files stay open, so that renaming or growing does not disturb it.
type reading struct {
	files  []*os.File
	offset int64
	err    error // what ended all early
}

func (s *spool) read() (*reading, error) {
	v := &reading{offset: s.done}
	paths := []string{s.older(), s.path}
	if s.old == 0 {
		paths = paths[1:]
	}
	for _, path := range paths {
		f, err := os.Open(path)
		if errors.Is(err, os.ErrNotExist) && len(v.files) > 0 {
			break // the older file was just set apart, and nothing came since
		}
		if err != nil {
			v.close()
			return nil, err
		}
		v.files = append(v.files, f)
	}
	return v, nil
}

func (v *reading) close() {
	for _, f := range v.files {
		f.Close()
	}
}

// all gives the lines in order.
func (v *reading) all() iter.Seq[item] {
	return func(yield func(item) bool) {
		offset := v.offset
		for _, f := range v.files {
			more := false
			if more, v.err = linesOf(f, offset, yield); !more {
				return
			}
			offset = 0
		}
	}
}

func linesOf(f *os.File, offset int64, yield func(item) bool) (more bool, err error) {
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return false, err
	}
	r := bufio.NewReaderSize(f, 1<<16)
	for {
		line, err := readLine(r)
		if err == io.EOF {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		w, err := event.ParseWarning(line)
		if !yield(item{w, err == nil}) {
			return false, nil
		}
	}
}

// readLine gives a whole line; what follows the last newline is still being written. Of a line that is longer than
// any of ours only a beginning is given, which then is no warning.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line) < maxSpoolLine {
			line = append(line, part...)
		}
		if err == nil {
			return line, nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
	}
}

// advance takes n lines off the front.
func (s *spool) advance(n int) error {
	if n == 0 {
		return nil
	}
	for n > 0 && s.count > 0 {
		size, lines, err := s.skip(n)
		if err != nil {
			return err
		}
		s.done += size
		s.count -= lines
		n -= lines
		if s.done < s.oldest() {
			break
		}
		if err := s.drop(); err != nil {
			return err
		}
	}
	return s.mark()
}

// skip measures up to n lines of the front file from where it is delivered to.
func (s *spool) skip(n int) (size int64, lines int, err error) {
	f, err := os.Open(s.front())
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	if _, err := f.Seek(s.done, io.SeekStart); err != nil {
		return 0, 0, err
	}
	r := bufio.NewReaderSize(f, 1<<16)
	for lines < n {
		part, err := r.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) && err != io.EOF {
			return size, lines, err
		}
		if err == io.EOF {
			break
		}
		size += int64(len(part))
		if err == nil {
			lines++
		}
	}
	if lines == 0 {
		return 0, 0, io.ErrUnexpectedEOF
	}
	return size, lines, nil
}

// drop removes the front file. The mark is taken back first: a crash in between repeats, and never skips.
func (s *spool) drop() error {
	front := s.front()
	s.done = 0
	if err := s.mark(); err != nil {
		return err
	}
	if s.old > 0 {
		s.old = 0
	} else {
		s.fresh = 0
		s.close()
	}
	if err := os.Remove(front); err != nil {
		return err
	}
	return s.tidy()
}

// mark writes how far the front file was delivered, in place and always as long.
func (s *spool) mark() error {
	if s.path == "" || s.bytes() == 0 {
		return nil
	}
	f, err := os.OpenFile(s.marker(), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%020d\n", s.done)
	return errors.Join(err, f.Close())
}

// tidy removes the files of an empty spool.
func (s *spool) tidy() error {
	if s.count > 0 {
		return nil
	}
	s.close()
	s.old, s.fresh, s.done = 0, 0, 0
	var errs error
	for _, path := range []string{s.marker(), s.older(), s.path} {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = errors.Join(errs, err)
		}
	}
	return errs
}

// forget gives up what waits, when its files are gone or cut by someone else, and says how many warnings that were.
func (s *spool) forget() (lost int, err error) {
	lost, s.count = s.count, 0
	return lost, s.tidy()
}
