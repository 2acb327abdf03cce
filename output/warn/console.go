package warn

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"varde/event"
)

// ConsoleConfig writes warnings to standard output.
type ConsoleConfig struct {
	Format string `yaml:"format" doc:"line (the default), classic or json."`
}

// FileConfig appends warnings to a file.
type FileConfig struct {
	Path   string `yaml:"path" doc:"Where to; it is opened anew when it was renamed or removed."`
	Format string `yaml:"format" doc:"json (the default), line or classic."`
}

// Check says which value is impossible.
func (c *ConsoleConfig) Check() error { return checkFormat(c.Format) }

// Check says which value is impossible.
func (c *FileConfig) Check() error {
	if c.Path == "" {
		return fmt.Errorf("a file needs a path")
	}
	return checkFormat(c.Format)
}

func checkFormat(f string) error {
	switch f {
	case "", "line", "classic", "json":
		return nil
	}
	return fmt.Errorf("format %q: use line, classic or json", f)
}

// Append appends a warning in the format of that name.
func Append(b []byte, w *event.Warning, format string, look Look) []byte {
	switch format {
	case "classic":
		return AppendClassic(b, w, zoneOf(look))
	case "json":
		return append(w.AppendJSON(b, time.Now().UnixNano()), '\n')
	}
	return AppendLine(b, w, look)
}

func zoneOf(look Look) *time.Location {
	if look.Zone == nil {
		return time.Local
	}
	return look.Zone
}

type console struct {
	format string
	look   Look
	to     io.Writer
}

func newConsole(c ConsoleConfig, to *os.File) (event.Sayer, error) {
	return &console{c.Format, LookFor(to), to}, c.Check()
}

// LookFor is short and coloured on a terminal, unless NO_COLOR is set, and dated elsewhere.
func LookFor(f *os.File) Look {
	if !term.IsTerminal(int(f.Fd())) {
		return Look{Dated: true}
	}
	return Look{Colour: os.Getenv("NO_COLOR") == ""}
}

// Name is console.
func (c *console) Name() string { return "console" }

// Say writes the warning.
func (c *console) Say(_ context.Context, w event.Warning) error {
	_, err := c.to.Write(Append(nil, &w, c.format, c.look))
	return err
}

type file struct {
	FileConfig
	f    *os.File
	stat os.FileInfo
}

func newFile(c FileConfig) (event.Sayer, error) {
	if c.Format == "" {
		c.Format = "json"
	}
	return &file{FileConfig: c}, c.Check()
}

// Name is file.
func (f *file) Name() string { return "file" }

// Say appends the warning, to a new file where the old one was rotated away.
func (f *file) Say(_ context.Context, w event.Warning) error {
	if f.f != nil {
		if now, err := os.Stat(f.Path); err != nil || !os.SameFile(now, f.stat) {
			f.f.Close()
			f.f = nil
		}
	}
	if f.f == nil {
		opened, err := os.OpenFile(f.Path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
		if err != nil {
			return err
		}
		f.f = opened
		if f.stat, err = opened.Stat(); err != nil {
			return err
		}
	}
	_, err := f.f.Write(Append(nil, &w, f.Format, Look{Dated: true}))
	return err
}
