package follow

import (
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// headSize is how much of its beginning tells a file from others. Log lines begin with their time, so two files that
// begin alike are copies of each other.
const headSize = 1024

// head is what is remembered of the beginning of a file.
type head struct {
	n     int // bytes, 0 for nothing known
	sum   [sha256.Size]byte
	whole bool // it holds a whole line, or all of headSize, and can be trusted
}

func makeHead(b []byte) head {
	b = b[:min(len(b), headSize)]
	if len(b) == 0 {
		return head{}
	}
	return head{len(b), sha256.Sum256(b), len(b) == headSize || bytes.IndexByte(b, '\n') >= 0}
}

// of tells whether b begins as the file did.
func (h head) of(b []byte) bool {
	return h.n > 0 && len(b) >= h.n && sha256.Sum256(b[:h.n]) == h.sum
}

// ofDone is of for a file that was done when its head was taken: one without a whole line must be all there is.
func (h head) ofDone(b []byte) bool { return h.of(b) && (h.whole || len(b) == h.n) }

// fileID names a file as long as it exists, whatever it is called.
type fileID struct{ dev, inode uint64 }

func idOf(st os.FileInfo) fileID {
	s := st.Sys().(*syscall.Stat_t)
	return fileID{s.Dev, s.Ino}
}

// bornAt is when a file was made, in nanoseconds since 1970, where its file system tells (statx(2), Linux 4.11); 0 where
// it does not. It tells a file from another that got its number later.
func bornAt(f *os.File) int64 {
	var st unix.Statx_t
	if err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_BTIME, &st); err != nil || st.Mask&unix.STATX_BTIME == 0 {
		return 0
	}
	return st.Btime.Sec*int64(time.Second) + int64(st.Btime.Nsec)
}

// source is an open file, which may be compressed.
type source struct {
	*os.File
	path     string
	id       fileID
	size     int64
	modified time.Time // for a compressed file, of what is in it, where it tells
	start    []byte    // at most headSize
	packed   bool
}

// openSource opens a file and looks at its beginning.
func openSource(path string) (*source, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe must not make us wait
	if err != nil {
		return nil, err
	}
	s := &source{File: f, path: path}
	if err := s.look(); err != nil {
		f.Close()
		return nil, err
	}
	return s, nil
}

func (s *source) look() error {
	st, err := s.Stat()
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return fmt.Errorf("%s is no file", s.path)
	}
	s.id, s.size, s.modified = idOf(st), st.Size(), st.ModTime()
	r, packed, err := s.unpack()
	if err != nil {
		return err
	}
	s.packed = packed
	s.start, err = start(r)
	return err
}

func start(r io.Reader) ([]byte, error) {
	b := make([]byte, headSize)
	n, err := io.ReadFull(r, b)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return b[:n], err
}

// unpack is a reader of what the file holds from its beginning on, known by its first bytes rather than by its name.
func (s *source) unpack() (r io.Reader, packed bool, err error) {
	magic := make([]byte, 6)
	n, err := s.ReadAt(magic, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, false, err
	}
	magic = magic[:n]
	plain := io.NewSectionReader(s.File, 0, 1<<62)
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b, 8}): // RFC 1952
		z, err := gzip.NewReader(plain)
		if err != nil {
			return nil, true, fmt.Errorf("%s: %w", s.path, err)
		}
		if t := z.ModTime; !t.IsZero() && t.Before(s.modified.Add(-time.Minute)) {
			s.modified = t // copying loses the time of the file, not this one
		}
		return z, true, nil
	case bytes.HasPrefix(magic, []byte("BZh")):
		return bzip2.NewReader(plain), true, nil
	case bytes.HasPrefix(magic, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		return nil, true, fmt.Errorf("%s is compressed by xz; unpack it first (xz -dk)", s.path)
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return nil, true, fmt.Errorf("%s is compressed by zstd; unpack it first (zstd -dk)", s.path)
	}
	return plain, false, nil
}

// from is a reader of what the file holds behind the first skip bytes.
func (s *source) from(skip int64) (io.Reader, error) {
	if !s.packed {
		return io.NewSectionReader(s.File, skip, 1<<62-skip), nil
	}
	r, _, err := s.unpack()
	if err == nil && skip > 0 {
		_, err = io.CopyN(io.Discard, r, skip)
	}
	return r, err
}

// linksOf is how many names a file has, 0 once it was deleted.
func linksOf(st os.FileInfo) uint64 { return uint64(st.Sys().(*syscall.Stat_t).Nlink) }

// keep takes the open file over; closing the source does nothing then.
func (s *source) keep() *os.File {
	f := s.File
	s.File = nil
	return f
}

// Close closes the file unless it was kept.
func (s *source) Close() error {
	if s.File == nil {
		return nil
	}
	return s.File.Close()
}
