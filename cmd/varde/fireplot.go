package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"varde/cmd/config"
	"varde/core/detect"
	"varde/core/geo"
	"varde/event"
	"varde/event/query"
	"varde/input/follow"
	"varde/input/fwlog"
	"varde/output/plot"
)

// outlined is how many ports a scan must have tried to be outlined.
const outlined = 50

// maxDays is how many pictures are drawn at once; each takes some megabytes while logs are read.
const maxDays = 400

// fireplot is what the command is asked for.
type fireplot struct {
	config, out, day, zone, proto, country, palette, title, filter string
	width, height                                                  int
	yesterday, text, each, outlines                                bool
	firewall                                                       fwlog.Config

	at     *time.Location
	where  query.Expr
	places *geo.DB
	days   map[string]*plot.Plot // by date
	lost   int                   // probes of days beyond maxDays
}

func fireplotCommand() *cobra.Command {
	f := fireplot{firewall: fwlog.DefaultConfig()}
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
	flags.BoolVar(&f.each, "each", false, "a picture of every day in the logs, into the folder of -o")
	flags.StringVar(&f.zone, "tz", "", "zone of the days and of times in logs that tell none, as Europe/Oslo; that of this machine when left out")
	flags.StringVar(&f.proto, "proto", "", "only this protocol: tcp, udp ...")
	flags.StringVar(&f.country, "country", "", "only sources of this country, two letters")
	flags.StringVar(&f.filter, "filter", "", "only what this filter lets through; see varde flows --help")
	flags.StringVar(&f.palette, "palette", "", "classic, safe (for all eyes) or light")
	flags.StringVar(&f.title, "title", "", "title; the day when left out")
	flags.StringVar(&f.firewall.Format, "format", fwlog.Auto, "format of the lines: "+strings.Join(fwlog.Formats(), ", "))
	flags.IntVar(&f.width, "width", 1600, "width in pixels")
	flags.IntVar(&f.height, "height", 1000, "height in pixels")
	flags.BoolVar(&f.text, "txt", false, "as text, in the colours of a terminal where it is one")
	flags.BoolVar(&f.outlines, "outlines", false, "outline scans that are found, with their names")
	return cmd
}

func (f *fireplot) run(cmd *cobra.Command, args []string) (err error) {
	cfg, err := loadOrDefault(f.config)
	if err != nil {
		return err
	}
	if f.at, err = time.LoadLocation(f.zone); err != nil {
		return fmt.Errorf("tz: %w", err)
	}
	if f.zone == "" {
		f.at = time.Local
	}
	f.firewall.Zone = f.zone
	if f.yesterday {
		f.day = time.Now().In(f.at).AddDate(0, 0, -1).Format(time.DateOnly)
	} else if f.day == "today" {
		f.day = time.Now().In(f.at).Format(time.DateOnly)
	}
	if f.where, err = f.condition(cmd); err != nil {
		return err
	}
	f.days = map[string]*plot.Plot{}
	if len(args) == 0 {
		err = f.ask(cmd.Context(), &cfg)
	} else {
		err = f.read(cmd.Context(), &cfg, args, cmd.ErrOrStderr())
	}
	if err != nil {
		return err
	}
	return f.write(cmd.OutOrStdout(), cmd.ErrOrStderr())
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

// picture is that of a day, by its date.
func (f *fireplot) picture(date string) (*plot.Plot, error) {
	if p := f.days[date]; p != nil {
		return p, nil
	}
	from, err := time.ParseInLocation(time.DateOnly, date, f.at)
	if err != nil {
		return nil, fmt.Errorf("day %q: write it as 2026-11-20", date)
	}
	p, err := plot.New(plot.Options{
		From: from.UnixNano(), To: from.AddDate(0, 0, 1).UnixNano(), Width: f.width, Height: f.height, Zone: f.at,
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
	if f.day == "" {
		newest, err := facts.Tail(ctx, box, 1)
		if err != nil || len(newest) == 0 {
			return errors.Join(err, errors.New("no probe is stored; name a log, or let varde run read one"))
		}
		f.day = event.Stamp(newest[0].Time).In(f.at).Format(time.DateOnly)
	}
	p, err := f.picture(f.day)
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

// read draws what stands in logs.
func (f *fireplot) read(ctx context.Context, cfg *config.Config, paths []string, messages io.Writer) error {
	log := slog.New(slog.NewTextHandler(messages, &slog.HandlerOptions{Level: slog.LevelWarn}))
	var err error
	if f.places, err = geo.Open(cfg.Geo, log); err != nil {
		return err
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
		f.places.Fill(e)
		if f.where != nil && !query.Match(f.where, e) {
			return
		}
		if err := f.add(e); err != nil && failed == nil {
			failed = err
		}
		if f.outlines {
			if w, ok := who.scans.Judge(e); ok {
				f.outline(&w)
			}
		}
	}
	lines := fwlog.New(log)
	take, err := firewallLines(lines, f.firewall, emit)
	if err != nil {
		return err
	}
	total, err := follow.Read(ctx, paths, f.at, take)
	who.scans.Sweep(math.MaxInt64, func(w event.Warning) { f.outline(&w) }) // how far each went
	if total.Files > 0 && len(f.days) == 0 && failed == nil && err == nil {
		return fmt.Errorf("none of %d lines tells of a probe that is asked for; varde read shows what they are", total.Lines)
	}
	return errors.Join(err, failed)
}

func (f *fireplot) add(e *event.Event) error {
	date := event.Stamp(e.Time).In(f.at).Format(time.DateOnly)
	if f.day != "" && date != f.day {
		return nil
	}
	if f.days[date] == nil && len(f.days) >= maxDays {
		f.lost++
		return nil
	}
	p, err := f.picture(date)
	if err == nil {
		p.Add(e)
	}
	return err
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
		dir := f.out
		if dir == "" {
			dir = "."
		}
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return err
		}
		for _, date := range dates {
			path := filepath.Join(dir, "fireplot-"+date+".png")
			if err := writeTo(path, f.days[date].PNG); err != nil {
				return err
			}
			fmt.Fprintf(messages, "%s: %d probes\n", path, f.days[date].Total())
		}
		return nil
	}
	if len(dates) == 0 {
		return errors.New("there is nothing to draw")
	}
	date := dates[len(dates)-1]
	p := f.days[date]
	if f.text || strings.HasSuffix(f.out, ".txt") {
		return f.writeText(p, out)
	}
	switch path := f.out; {
	case path == "-":
		return p.PNG(out)
	case strings.HasSuffix(path, ".html"):
		return writeTo(path, func(w io.Writer) error { return p.HTML(w, portName) })
	case path == "":
		f.out = "fireplot-" + date + ".png"
		fallthrough
	default:
		if err := writeTo(f.out, p.PNG); err != nil {
			return err
		}
		fmt.Fprintf(messages, "%s: %d probes\n", f.out, p.Total())
		return nil
	}
}

func (f *fireplot) writeText(p *plot.Plot, out io.Writer) error {
	if f.out != "" && f.out != "-" {
		return writeTo(f.out, func(w io.Writer) error { return p.Text(w, 100, 36, false) })
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
