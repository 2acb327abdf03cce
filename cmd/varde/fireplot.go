package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"golang.org/x/term"

	"varde/cmd/config"
	"varde/core/detect"
	"varde/core/geo"
	"varde/event"
	"varde/event/query"
	"varde/output/plot"
)

// outlined is how many ports a scan must have tried to be outlined.
const outlined = 50

// Bounds of what is drawn at once. A picture takes up to 40 MB while logs are read, and a little once it is packed.
const (
	maxDays = 400
	maxOpen = 4
)

// fireplot is what the command is asked for.
type fireplot struct {
	config, out, day, proto, country, palette, title, filter string
	width, height                                            int
	yesterday, text, each, outlines                          bool
	logs

	span    [2]int64 // of the day that is asked for
	where   query.Expr
	places  *geo.DB
	days    map[string]*plot.Plot // by date
	drawing []drawn               // those that are not packed, the last used first
	lost    int                   // probes of days beyond maxDays
}

// drawn is a picture that is being drawn, with the time that it spans.
type drawn struct {
	*plot.Plot
	from, to int64
}

func fireplotCommand() *cobra.Command {
	var f fireplot
	cmd := &cobra.Command{
		Use: "fireplot [LOG...]", Short: "a day of probes as a picture: time by port",
		Long: `fireplot draws what firewalls refused: time from left to right, the destination port from 1 to 65535
on a logarithmic scale, a colour for each protocol. Lines of the same height are ports that many try,
curves are scans.

LOG are firewall logs in any format that varde reads, compressed or not, folders of them, or - for standard input;
without LOG the stored probes are drawn. The picture is PNG, a page with what lies under the pointer (.html), or text.
Without --day it is the last day on which there were probes.`,
		Example: `  varde fireplot /var/log/ufw.log
  varde fireplot --yesterday -o fireplot.png
  varde fireplot --each -o pictures/ /var/log/router/
  varde fireplot --txt --country CN kern.log | mail -s 'probes' root`,
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.config, "config", "c", "", "configuration file, for own networks, places and the store")
	flags.StringVarP(&f.out, "output", "o", "", "file: .png, .html or .txt; - writes PNG to standard output; a folder with --each")
	flags.StringVar(&f.day, "day", "", "the day to draw, as 2026-11-20 or today")
	flags.BoolVar(&f.yesterday, "yesterday", false, "draw yesterday")
	flags.BoolVar(&f.each, "each", false, "a picture of every day, into the folder of -o")
	flags.StringVar(&f.zone, "tz", "", "zone of the days and of times in logs that tell none, as Europe/Oslo; that of this machine when left out")
	flags.StringVar(&f.proto, "proto", "", "only this protocol: tcp, udp ...")
	flags.StringVar(&f.country, "country", "", "only sources of this country, two letters")
	flags.StringVar(&f.filter, "filter", "", "only what this filter lets through; see varde flows --help")
	flags.StringVar(&f.palette, "palette", "", "classic, safe (for all eyes) or light")
	flags.StringVar(&f.title, "title", "", "title; the day when left out")
	flags.StringVar(&f.format, "format", "", formatHelp())
	flags.IntVar(&f.width, "width", 1600, "width in pixels")
	flags.IntVar(&f.height, "height", 1000, "height in pixels")
	flags.BoolVar(&f.text, "txt", false, "as text, in the colours of a terminal where it is one")
	flags.BoolVar(&f.outlines, "outlines", false, "outline scans that are found, with their names")
	return cmd
}

func (f *fireplot) run(cmd *cobra.Command, args []string) (err error) {
	load := loadOrDefault
	if len(args) == 0 {
		load = loadUsual
	}
	cfg, err := load(f.config)
	if err != nil {
		return err
	}
	if err := f.configure(cfg.Firewall); err != nil {
		return err
	}
	if err := f.checkOutput(); err != nil {
		return err
	}
	if f.yesterday {
		f.day = time.Now().In(f.at).AddDate(0, 0, -1).Format(time.DateOnly)
	} else if f.day == "today" {
		f.day = time.Now().In(f.at).Format(time.DateOnly)
	}
	if f.day != "" {
		if f.span, err = f.spanOf(f.day); err != nil {
			return err
		}
	}
	if f.where, err = f.condition(cmd); err != nil {
		return err
	}
	f.days = map[string]*plot.Plot{}
	if len(args) == 0 {
		err = f.ask(cmd.Context(), &cfg)
	} else {
		err = f.draw(cmd.Context(), &cfg, args, cmd.ErrOrStderr())
	}
	if err != nil {
		return err
	}
	return f.write(cmd.OutOrStdout(), cmd.ErrOrStderr())
}

// checkOutput finds what cannot be written before anything is read.
func (f *fireplot) checkOutput() error {
	ending := filepath.Ext(f.out)
	switch {
	case f.each && (f.text || f.out == "-"):
		return errors.New("--each writes PNG pictures into the folder of -o")
	case f.out == "" || f.out == "-":
		return nil
	case f.text && ending != ".txt":
		return fmt.Errorf("output %q: with --txt the name must end in .txt", f.out)
	case f.each:
		if st, err := os.Stat(f.out); err == nil && !st.IsDir() {
			return fmt.Errorf("output %q: --each writes a picture for each day into a folder, and this is a file", f.out)
		}
		return nil
	case ending != ".png" && ending != ".html" && ending != ".txt":
		return fmt.Errorf("output %q: the name must end in .png, .html or .txt", f.out)
	}
	return nil
}

// condition joins --filter, --proto and --country.
func (f *fireplot) condition(cmd *cobra.Command) (query.Expr, error) {
	var parts []string
	if f.filter != "" {
		parts = append(parts, "("+f.filter+")")
	}
	if f.proto != "" {
		parts = append(parts, "proto "+f.proto)
	}
	if f.country != "" {
		parts = append(parts, "country "+f.country)
	}
	x, err := query.Parse(strings.Join(parts, " and "))
	if err != nil {
		return nil, shownError(cmd.ErrOrStderr(), err)
	}
	return x, nil
}

// spanOf is from when to when a day lasts, which is 23 or 25 hours where the clock is changed.
func (f *fireplot) spanOf(date string) (span [2]int64, err error) {
	from, err := time.ParseInLocation(time.DateOnly, date, f.at)
	if err != nil {
		return span, fmt.Errorf("day %q: write it as 2026-11-20", date)
	}
	return [2]int64{from.UnixNano(), from.AddDate(0, 0, 1).UnixNano()}, nil
}

// picture is that of a day, by its date.
func (f *fireplot) picture(date string) (*plot.Plot, error) {
	if p := f.days[date]; p != nil {
		return p, nil
	}
	span, err := f.spanOf(date)
	if err != nil {
		return nil, err
	}
	p, err := plot.New(plot.Options{
		From: span[0], To: span[1], Width: f.width, Height: f.height, Zone: f.at,
		Palette: f.palette, Title: f.title, Details: strings.HasSuffix(f.out, ".html"),
	})
	if err == nil {
		f.days[date] = p
	}
	return p, err
}

// ask draws what is stored.
func (f *fireplot) ask(ctx context.Context, cfg *config.Config) error {
	facts, done, err := openFacts(cfg, newLog(true))
	if err != nil {
		return err
	}
	defer done()
	box := query.Box{Kinds: []event.Kind{event.Probe}, Filter: f.where}
	if f.day != "" {
		return f.askDay(ctx, facts, box, f.day)
	}
	for len(f.days) < maxDays {
		newest, err := facts.Tail(ctx, box, 1)
		if err != nil {
			return err
		}
		if len(newest) == 0 {
			break
		}
		date := event.Stamp(newest[0].Time).In(f.at).Format(time.DateOnly)
		if err := f.askDay(ctx, facts, box, date); err != nil || !f.each {
			return err
		}
		box.To = f.days[date].Options().From // the day before
		f.days[date].Pack()
	}
	if len(f.days) == 0 {
		return errors.New("no probe is stored; name a log, or let varde run read one")
	}
	return nil
}

// askDay draws a day that is stored.
func (f *fireplot) askDay(ctx context.Context, facts facts, box query.Box, date string) error {
	p, err := f.picture(date)
	if err != nil {
		return err
	}
	o := p.Options()
	box.From, box.To = o.From, o.To
	pixels, err := facts.Pixels(ctx, box, plot.GridOf(f.width, f.height))
	if err != nil {
		return err
	}
	p.AddPixels(pixels)
	if f.outlines {
		found, err := facts.Incidents(ctx, query.IncidentBox{From: o.From, To: o.To, Limit: query.MaxRows})
		if err != nil {
			return err
		}
		for i := range found {
			f.outline(&found[i].Warning)
		}
	}
	return nil
}

// draw draws what stands in logs.
func (f *fireplot) draw(ctx context.Context, cfg *config.Config, paths []string, messages io.Writer) error {
	var err error
	if f.where != nil || f.outlines || strings.HasSuffix(f.out, ".html") { // otherwise nobody asks where sources are
		if f.places, err = geo.Open(cfg.Geo, plainLog(messages, func() string { return "varde" })); err != nil {
			return err
		}
	}
	who, err := newProbes(cfg, f.places)
	if err != nil {
		return err
	}
	var failed error
	emit := func(e *event.Event) {
		if e.Kind != event.Probe {
			return
		}
		e.Own = event.SideDst
		if f.places != nil {
			f.places.Fill(e)
		}
		if f.where != nil && !query.Match(f.where, e) {
			return
		}
		if err := f.add(e); err != nil && failed == nil {
			failed = err
		}
		if f.outlines {
			if w := who.scans.Judge(e); w != nil {
				f.outline(w)
			}
		}
	}
	if err := f.open(messages, emit); err != nil {
		return err
	}
	_, err = f.read(ctx, paths)
	who.scans.Sweep(math.MaxInt64, func(w event.Warning) { f.outline(&w) }) // how far each went
	if f.total.Files > 0 && len(f.days) == 0 && failed == nil && err == nil {
		return fmt.Errorf("none of %s tells of a probe that is asked for; varde read shows what they are", plural(int(f.total.Lines), "line"))
	}
	return errors.Join(err, failed, f.summary(ctx, messages))
}

func (f *fireplot) add(e *event.Event) error {
	if f.day != "" && (e.Time < f.span[0] || e.Time >= f.span[1]) {
		return nil
	}
	for i := range f.drawing {
		if d := f.drawing[i]; e.Time >= d.from && e.Time < d.to {
			if i > 0 {
				copy(f.drawing[1:], f.drawing[:i])
				f.drawing[0] = d
			}
			d.Add(e)
			return nil
		}
	}
	date := event.Stamp(e.Time).In(f.at).Format(time.DateOnly)
	if f.days[date] == nil && len(f.days) >= maxDays {
		f.lost++
		return nil
	}
	p, err := f.picture(date)
	if err != nil {
		return err
	}
	if len(f.drawing) == maxOpen {
		f.drawing[maxOpen-1].Pack()
		f.drawing = f.drawing[:maxOpen-1]
	}
	o := p.Options()
	f.drawing = slices.Insert(f.drawing, 0, drawn{p, o.From, o.To})
	p.Add(e)
	return nil
}

// outline puts a scan into the pictures of its days.
func (f *fireplot) outline(w *event.Warning) {
	s := w.Scan
	if s == nil || s.Ports < outlined {
		return
	}
	for _, p := range f.days {
		p.Outline(plot.Outline{ID: w.ID, From: w.First, To: w.Last, Low: s.Low, High: s.High, Label: s.Pattern + " scan by " + w.Foreign.Addr.String()})
	}
}

// write writes the picture that is asked for, or all.
func (f *fireplot) write(out, messages io.Writer) error {
	dates := slices.Sorted(maps.Keys(f.days))
	if f.lost > 0 {
		fmt.Fprintf(messages, "%d probes are of days beyond the first %d and are not drawn; use --day\n", f.lost, maxDays)
	}
	if f.each {
		return f.writeEach(dates, messages)
	}
	if len(dates) == 0 {
		return errors.New("there is nothing to draw")
	}
	date := dates[len(dates)-1]
	p := f.days[date]
	if f.text || strings.HasSuffix(f.out, ".txt") {
		return f.writeText(p, out, messages)
	}
	if f.out == "-" {
		return p.PNG(out)
	}
	form := p.PNG
	if strings.HasSuffix(f.out, ".html") {
		form = func(w io.Writer) error { return p.HTML(w, portName) }
	}
	path := cmp.Or(f.out, "fireplot-"+date+".png")
	if err := writeTo(path, form); err != nil {
		return err
	}
	return f.wrote(messages, path, p.Total())
}

// wrote says what was written.
func (f *fireplot) wrote(messages io.Writer, path string, probes uint64) error {
	_, err := fmt.Fprintf(messages, "%s: %s\n", path, plural(int(probes), "probe"))
	return err
}

// writeEach writes a picture of every day, as many at once as there are processors.
func (f *fireplot) writeEach(dates []string, messages io.Writer) error {
	if len(dates) == 0 {
		return errors.New("there is nothing to draw")
	}
	f.drawing = nil
	dir := cmp.Or(f.out, ".")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	path := func(date string) string { return filepath.Join(dir, "fireplot-"+date+".png") }
	probes := make([]uint64, len(dates))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, date := range dates {
		p := f.days[date]
		delete(f.days, date) // so that its grid can go once it is drawn
		group.Go(func() error {
			probes[i] = p.Total()
			return writeTo(path(date), p.PNG)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for i, date := range dates {
		if err := f.wrote(messages, path(date), probes[i]); err != nil {
			return err
		}
	}
	return nil
}

func (f *fireplot) writeText(p *plot.Plot, out, messages io.Writer) error {
	if f.out != "" && f.out != "-" {
		if err := writeTo(f.out, func(w io.Writer) error { return p.Text(w, 100, 36, false) }); err != nil {
			return err
		}
		return f.wrote(messages, f.out, p.Total())
	}
	width, height, colour := 100, 36, false
	if file, ok := out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		if w, h, err := term.GetSize(int(file.Fd())); err == nil {
			width, height = max(w, 40), max(h-2, 12)
		}
		colour = os.Getenv("NO_COLOR") == ""
	}
	return p.Text(out, width, height, colour)
}

func portName(port uint16) string { return detect.PortName(event.TCP, port) }

// writeTo replaces a file by what write writes.
func writeTo(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".fireplot-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := errors.Join(write(f), f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
