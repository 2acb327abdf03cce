package warn

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"varde/event"
)

// FileConfig appends warnings to a file.
type FileConfig struct {
	Path   string `yaml:"path" doc:"Where to; it is opened anew when it was renamed or removed, as logrotate does."`
	Format string `yaml:"format" doc:"json (the default), line, compact or classic."`
	Zone   string `yaml:"zone" doc:"Time zone of the times in line and classic, such as UTC or Europe/Oslo; that of this machine by default."`
}

// Check says which value is impossible.
func (c *FileConfig) Check() error {
	if c.Path == "" {
		return errors.New("a file needs a path")
	}
	if _, err := zone(c.Zone); err != nil {
		return err
	}
	return checkFormat(c.Format, "json, line, compact or classic")
}

// fileMode lets a group of readers see warnings.
const fileMode = 0o640

type file struct {
	path   string
	format string
	zone   *time.Location
	reopen atomic.Bool
	f      *os.File
	stat   os.FileInfo
	buf    []byte
}

func newFile(c FileConfig) (event.Sayer, error) {
	if c.Format == "" {
		c.Format = "json"
	}
	in, err := zone(c.Zone)
	return &file{path: c.Path, format: c.Format, zone: in}, errors.Join(err, c.Check())
}

// Name is file.
func (f *file) Name() string { return "file" }

// Say appends the warning, to a new file where the old one was rotated away. A disk that is full is left without half
// a warning.
func (f *file) Say(_ context.Context, w event.Warning) error {
	if err := f.open(); err != nil {
		return err
	}
	f.buf = Append(f.buf[:0], &w, f.format, Look{Zone: f.zone, Dated: true})
	n, err := f.f.Write(f.buf)
	if err != nil && n > 0 && f.stat.Mode().IsRegular() {
		if now, statErr := f.f.Stat(); statErr == nil {
			err = errors.Join(err, f.f.Truncate(now.Size()-int64(n)))
		}
	}
	return err
}

// open makes sure that the file is open and still the one of that name.
func (f *file) open() error {
	if f.f != nil {
		now, err := os.Stat(f.path)
		if err == nil && os.SameFile(now, f.stat) && !f.reopen.Swap(false) {
			return nil
		}
		f.f.Close()
		f.f = nil
	}
	f.reopen.Store(false)
	opened, err := os.OpenFile(f.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, fileMode)
	if err != nil {
		return fmt.Errorf("write warnings: %w", err)
	}
	if f.stat, err = opened.Stat(); err != nil {
		return errors.Join(err, opened.Close())
	}
	f.f = opened
	return nil
}
