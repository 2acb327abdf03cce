package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"varde/cmd/config"
	"varde/core/detect"
	"varde/core/geo"
	"varde/event"
	"varde/input/follow"
	"varde/input/fwlog"
	"varde/input/syslog"
	"varde/output/web"
)

// firewall is everything about logs of firewalls: where lines come from and what they mean.
type firewall struct {
	lines     *fwlog.Collector
	server    *syslog.Server // nil where no address is configured
	followers []follower
}

type follower struct {
	name string
	*follow.Follower
}

// newFirewall wires what is configured of it.
func (d *daemon) newFirewall() (err error) {
	f := &d.firewall
	f.lines = fwlog.New(d.log)
	cfg := d.cfg.Syslog
	if len(cfg.UDP)+len(cfg.TCP)+len(cfg.TLS) > 0 {
		readers := sync.Pool{New: func() any { r, _ := f.lines.NewReader(d.cfg.Firewall, d.pipe.Emit); return r }}
		if _, err := f.lines.NewReader(d.cfg.Firewall, d.pipe.Emit); err != nil {
			return err
		}
		take := func(l *syslog.Line) {
			r := readers.Get().(*fwlog.Reader)
			r.Line(l)
			readers.Put(r)
		}
		if f.server, err = syslog.NewServer(cfg, take, d.log); err != nil {
			return err
		}
	}
	for _, l := range d.cfg.Logs {
		take, err := firewallLines(f.lines, readingOf(&d.cfg, &l), d.pipe.Emit)
		if err != nil {
			return fmt.Errorf("logs: %s: %w", l.Name, err)
		}
		one, err := follow.New(fileName(l.Name), l.Config, d.cfg.DataDir, take, d.log)
		if err != nil {
			return fmt.Errorf("logs: %s: %w", l.Name, err)
		}
		f.followers = append(f.followers, follower{l.Name, one})
	}
	return nil
}

// readingOf is how the lines of a log are to be read.
func readingOf(cfg *config.Config, l *config.Log) fwlog.Config {
	c := cfg.Firewall
	if l.Format != "" {
		c.Format = l.Format
	}
	if l.Zone != "" {
		c.Zone = l.Zone
	}
	return c
}

// firewallLines reads lines of files as events; each file has an envelope of its own.
func firewallLines(lines *fwlog.Collector, cfg fwlog.Config, emit event.Emit) (follow.Take, error) {
	reader, err := lines.NewReader(cfg, emit)
	if err != nil {
		return nil, err
	}
	parsers := map[string]*syslog.Parser{}
	var l syslog.Line
	return func(o *follow.Origin, line []byte) {
		p := parsers[o.Name]
		if p == nil {
			p = syslog.NewParser(o.Zone)
			parsers[o.Name] = p
		}
		received := o.Time
		if received.IsZero() {
			received = time.Now()
		}
		p.Parse(line, received, &l)
		reader.Line(&l)
	}, nil
}

var notInNames = regexp.MustCompile(`[^A-Za-z0-9_]+`)

// fileName makes a name that a file may have.
func fileName(name string) string { return "log" + notInNames.ReplaceAllString("-"+name, "-") }

func (f *firewall) listen(ctx context.Context) error {
	if f.server == nil {
		return nil
	}
	return f.server.Listen(ctx)
}

func (f *firewall) run(ctx context.Context, group *errgroup.Group) {
	if f.server != nil {
		group.Go(func() error { return f.server.Run(ctx) })
	}
	for _, one := range f.followers {
		group.Go(func() error { return one.Run(ctx) })
	}
}

func (f *firewall) parts() []web.Part {
	out := []web.Part{{Name: "firewall", Figures: f.lines}}
	if f.server != nil {
		out = append(out, web.Part{Name: "syslog", Figures: f.server})
	}
	for _, one := range f.followers {
		out = append(out, web.Part{Name: "log " + one.name, Figures: labelled{one, "log", one.name}})
	}
	return out
}

// probes are the detectors of who knocks: what is ours and used, scans, and ports on the rise.
type probes struct {
	ground *detect.Ground
	scans  *detect.Scans
	surges *detect.Surges
	places *geo.DB
}

func newProbes(cfg *config.Config, places *geo.DB) (probes, error) {
	own, err := cfg.Network.Prefixes()
	if err != nil {
		return probes{}, err
	}
	names, err := cfg.Network.HostNames()
	if err != nil {
		return probes{}, err
	}
	return probesOf(cfg, own, names, places), nil
}

func probesOf(cfg *config.Config, own []netip.Prefix, names map[netip.Addr]string, places *geo.DB) probes {
	ground := detect.NewGround(cfg.Detection.Ground, own)
	return probes{ground, detect.NewScans(cfg.Detection.Scans, ground, names), detect.NewSurges(cfg.Detection.Surges, ground), places}
}

// state is what a part keeps over a restart.
type state interface {
	Save(io.Writer) error
	Load(io.Reader) error
}

// states are the files of state by their names: what is open, so that it is not said anew, and what was learnt.
func (d *daemon) states() map[string]state {
	return map[string]state{"contacts": d.contacts, "ground": d.probes.ground, "scans": d.probes.scans, "surges": d.probes.surges}
}

func (d *daemon) loadStates() {
	for name, s := range d.states() {
		path := filepath.Join(d.cfg.DataDir, name+".state")
		f, err := os.Open(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			err = errors.Join(s.Load(f), f.Close())
		}
		if err != nil {
			d.log.Warn("what was learnt is not restored and is learnt anew", "file", path, "error", err)
		}
	}
}

func (d *daemon) saveStates() {
	for name, s := range d.states() {
		d.saveFile(name+".state", s.Save)
	}
}

// saveFile replaces a file of the data directory by what save writes.
func (d *daemon) saveFile(name string, save func(io.Writer) error) {
	path := filepath.Join(d.cfg.DataDir, name)
	f, err := os.CreateTemp(d.cfg.DataDir, "."+name+"-*")
	if err == nil {
		err = errors.Join(save(f), f.Sync(), f.Close())
		if err == nil {
			err = os.Rename(f.Name(), path)
		} else {
			os.Remove(f.Name())
		}
	}
	if err != nil {
		d.log.Warn("what was learnt is not saved", "file", path, "error", err)
	}
}
