package check

import (
	"context"
	"crypto/md5" // lists publish all three; a match is no proof of identity but a reason to look
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"varde/event"
)

// Known tells what the lists say of files by their raw MD5, SHA-1 and SHA-256. The answer has as many entries as the
// question, in the same order.
type Known interface {
	Hashes(ctx context.Context, sums [][]byte) ([][]event.Evidence, error)
}

// Files looks for files that lists name by their checksum. It only reads.
type Files struct {
	Known      Known
	MinSize    int64 // smaller files never match: lists hold checksums of nothing and of a line feed
	MaxSize    int64 // larger files are not read, which is an error
	MaxFiles   int
	Confidence uint8 // of a list's entry, at least
}

// Bounds of Files that a command has when nothing else is said.
const (
	DefaultMinSize  = 32
	DefaultMaxSize  = 512 << 20
	DefaultMaxFiles = 20000
)

const (
	maxFolders = 64  // folders within folders
	perFolder  = 256 // entries read at a time
	perAsking  = 64  // files asked about at a time
	maxErrors  = 20
)

// FileMatch is a file that a list names.
type FileMatch struct {
	Path     string
	Size     int64
	Hash     string // the kind: MD5, SHA-1 or SHA-256
	Evidence event.Evidence
}

// FileCount is what a look at files came to.
type FileCount struct {
	Files, Small, Matched int
	Bytes                 int64
}

type fileLook struct {
	*Files
	found   func(FileMatch)
	count   FileCount
	waiting []hashed
	errs    []error
}

type hashed struct {
	path string
	size int64
	sums [3][]byte
}

// Scan looks at files, and at all that is in folders, without following links in them. Every match is told at once,
// one for each file. The error says what could not be looked at: without one, and without a match, the files are clean.
func (f *Files) Scan(ctx context.Context, paths []string, found func(FileMatch)) (FileCount, error) {
	l := fileLook{Files: f, found: found}
	for _, path := range paths {
		real, err := filepath.EvalSymlinks(path) // what a person names may be a link
		if err == nil {
			err = l.walk(ctx, real, 0)
		}
		if err != nil && !l.fail(err) {
			break
		}
	}
	if err := l.ask(ctx); err != nil {
		l.errs = append(l.errs, err)
	}
	return l.count, errors.Join(l.errs...)
}

var errEnough = errors.New("the rest was not looked at")

// fail keeps an error and tells whether to go on.
func (l *fileLook) fail(err error) bool {
	if len(l.errs) < maxErrors {
		l.errs = append(l.errs, err)
	}
	return !errors.Is(err, errEnough) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// walk looks at a path. The errors that it returns end everything; others are kept.
func (l *fileLook) walk(ctx context.Context, path string, depth int) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		if errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENXIO) {
			return nil // a link, a socket or a pipe that nobody writes to
		}
		l.fail(err)
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		l.fail(err)
	case info.IsDir() && depth == maxFolders:
		l.fail(fmt.Errorf("%s: more than %d folders within folders", path, maxFolders))
	case info.IsDir():
		return l.folder(ctx, f, path, depth)
	case info.Mode().IsRegular():
		return l.file(ctx, f, path, info.Size())
	}
	return nil
}

func (l *fileLook) folder(ctx context.Context, f *os.File, path string, depth int) error {
	for {
		entries, err := f.ReadDir(perFolder)
		for _, e := range entries {
			if !e.IsDir() && !e.Type().IsRegular() {
				continue
			}
			if err := l.walk(ctx, filepath.Join(path, e.Name()), depth+1); err != nil {
				return err
			}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				l.fail(err)
			}
			return nil
		}
	}
}

func (l *fileLook) file(ctx context.Context, f io.Reader, path string, size int64) error {
	if l.count.Files == l.MaxFiles {
		return fmt.Errorf("%s: more than %d files: %w", path, l.MaxFiles, errEnough)
	}
	l.count.Files++
	if size > l.MaxSize {
		l.fail(fmt.Errorf("%s has %d bytes, more than %d, and was not read", path, size, l.MaxSize))
		return nil
	}
	md, s1, s2 := md5.New(), sha1.New(), sha256.New()
	n, err := io.Copy(io.MultiWriter(md, s1, s2), io.LimitReader(lasting{ctx, f}, l.MaxSize+1))
	l.count.Bytes += n
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", path, ctx.Err())
	case err != nil:
		l.fail(&fs.PathError{Op: "read", Path: path, Err: err})
		return nil
	case n > l.MaxSize:
		l.fail(fmt.Errorf("%s grows beyond %d bytes and was not read to its end", path, l.MaxSize))
		return nil
	case n < max(l.MinSize, 1):
		l.count.Small++
		return nil
	}
	l.waiting = append(l.waiting, hashed{path, n, [3][]byte{md.Sum(nil), s1.Sum(nil), s2.Sum(nil)}})
	if len(l.waiting) == perAsking {
		return l.ask(ctx)
	}
	return nil
}

// lasting ends a long read with its context.
type lasting struct {
	ctx context.Context
	r   io.Reader
}

// Read reads while the context lasts.
func (r lasting) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(b)
}

// ask asks about the files that wait. An answer that is none means that nothing is known of any file to come either.
func (l *fileLook) ask(ctx context.Context) error {
	if len(l.waiting) == 0 {
		return nil
	}
	var sums [][]byte
	for _, h := range l.waiting {
		sums = append(sums, h.sums[:]...)
	}
	answers, err := l.Known.Hashes(ctx, sums)
	if err == nil && len(answers) != len(sums) {
		err = fmt.Errorf("%d answers to %d questions", len(answers), len(sums))
	}
	if err != nil {
		return fmt.Errorf("ask the lists: %w: %w", err, errEnough)
	}
	for i, h := range l.waiting {
		if m, ok := l.strongest(h, answers[3*i:3*i+3]); ok {
			l.count.Matched++
			l.found(m)
		}
	}
	l.waiting = l.waiting[:0]
	return nil
}

// strongest is the entry with the most confidence, of the longest checksum that matches. Entries that tell a role, and
// those that an exception makes weak, are no reason to hold a file.
func (l *fileLook) strongest(h hashed, answers [][]event.Evidence) (best FileMatch, ok bool) {
	for i, kind := range [...]string{"MD5", "SHA-1", "SHA-256"} {
		for _, v := range answers[i] {
			if v.Info || v.Downgraded || v.Confidence < l.Confidence || ok && v.Confidence < best.Evidence.Confidence {
				continue
			}
			best, ok = FileMatch{h.path, h.size, kind, v}, true
		}
	}
	return best, ok
}
