package warn

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"golang.org/x/term"

	"varde/event"
)

// ConsoleConfig writes warnings to standard output.
type ConsoleConfig struct {
	Format string `yaml:"format" doc:"line (the default), compact, classic or json."`
	Zone   string `yaml:"zone" doc:"Time zone of the times, such as UTC or Europe/Oslo; that of this machine by default."`
}

// Check says which value is impossible.
func (c *ConsoleConfig) Check() error {
	if _, err := zone(c.Zone); err != nil {
		return err
	}
	return checkFormat(c.Format, formats)
}

// formats are the forms of a warning, the default first.
const formats = "line, compact, classic or json"

func checkFormat(f, known string) error {
	if f == "" || slices.Contains([]string{"line", "compact", "classic", "json"}, f) {
		return nil
	}
	return fmt.Errorf("format %q: use %s", f, known)
}

// zone is a time zone by name; none is that of this machine.
func zone(name string) (*time.Location, error) {
	if name == "" {
		return time.Local, nil
	}
	z, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("zone %q: use UTC or a name such as Europe/Oslo", name)
	}
	return z, nil
}

// Append appends a warning in the format of that name.
func Append(b []byte, w *event.Warning, format string, look Look) []byte {
	switch format {
	case "classic":
		return AppendClassic(b, w, look.zone())
	case "compact":
		b = event.Stamp(w.Time).In(look.zone()).AppendFormat(b, time.RFC3339)
		return append(appendCompact(append(b, ' '), w, len(w.Evidence)), '\n')
	case "json":
		return append(w.AppendJSON(b, w.Time), '\n')
	}
	return AppendLine(b, w, look)
}

// LookFor is short, coloured and as wide as the window on a terminal, and dated elsewhere. NO_COLOR and TERM=dumb turn
// colours off.
func LookFor(f *os.File) Look {
	if !term.IsTerminal(int(f.Fd())) {
		return Look{Dated: true}
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		width = 0
	}
	return Look{Colour: os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb", Width: width}
}

// Printer writes warnings one after the other. Where times stand without their date, it names day and zone before the
// first and wherever they change.
type Printer struct {
	format string
	day    string
}

// NewPrinter makes a Printer for the format of that name.
func NewPrinter(format string) *Printer { return &Printer{format: format} }

// Append appends a warning and what has to stand before it.
func (p *Printer) Append(b []byte, w *event.Warning, look Look) []byte {
	if (p.format == "" || p.format == "line") && !look.Dated {
		day := string(appendDay(nil, event.Stamp(w.Time).In(look.zone())))
		if day != p.day {
			p.day = day
			b = append(b, day...)
		}
	}
	return Append(b, w, p.format, look)
}

type console struct {
	to      io.Writer
	look    func() Look
	printer *Printer
	buf     []byte
}

func newConsole(c ConsoleConfig, to *os.File) (event.Sayer, error) {
	in, err := zone(c.Zone)
	if err != nil {
		return nil, err
	}
	look := func() Look {
		l := LookFor(to) // each time, since windows are resized
		l.Zone = in
		return l
	}
	return &console{to: to, look: look, printer: NewPrinter(c.Format)}, c.Check()
}

// Name is console.
func (c *console) Name() string { return "console" }

// Say writes the warning.
func (c *console) Say(_ context.Context, w event.Warning) error {
	c.buf = c.printer.Append(c.buf[:0], &w, c.look())
	_, err := c.to.Write(c.buf)
	return err
}
