// Package mailgw reads what a mail gateway tells: the counters and process states of amavis, the queues of Postfix,
// rspamd, the mail log, and how fresh the signatures of virus scanners are.
//
// Each part can be asked by itself: Amavis, Postfix, Rspamd, ClamAV and Scanners have a Snapshot. A Gateway asks all
// that are configured over and over and gives their figures. What cannot be read is unknown, never zero.
package mailgw

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	"varde/event"
	"varde/event/human"
)

// Config is the part of the configuration that is about the mail gateway.
type Config struct {
	Every    human.Duration `yaml:"every" doc:"How often counters and queues are read."`
	Scanners human.Duration `yaml:"every_signatures" doc:"How often the age of virus signatures is looked at."`
	Amavis   AmavisConfig   `yaml:"amavis" doc:"Counters and processes of amavis."`
	Postfix  PostfixConfig  `yaml:"postfix" doc:"Queues of Postfix."`
	Rspamd   RspamdConfig   `yaml:"rspamd" doc:"Statistics of rspamd."`
	ClamAV   ClamAVConfig   `yaml:"clamav" doc:"Signatures of ClamAV."`
	Sophos   SophosConfig   `yaml:"sophos" doc:"Signatures of Sophos, by its status file."`
	Defender DefenderConfig `yaml:"defender" doc:"Health of Microsoft Defender."`
	Probes   []ProbeConfig  `yaml:"probes" doc:"Ages of whatever else must stay fresh."`
}

// DefaultConfig reads nothing: every part is off until it is told where to look.
func DefaultConfig() Config {
	return Config{
		Every: human.Duration(10 * time.Second), Scanners: human.Duration(5 * time.Minute),
		Amavis:  AmavisConfig{DBDump: "db_dump"},
		Postfix: PostfixConfig{Postqueue: "postqueue"},
		ClamAV:  ClamAVConfig{Databases: human.List{"main", "daily", "bytecode"}, Record: "current.cvd.clamav.net"},
	}
}

// Check says which value is impossible.
func (c *Config) Check() error {
	if c.Every < human.Duration(time.Second) || c.Scanners < human.Duration(time.Second) {
		return fmt.Errorf("every is %s and every_signatures %s; use at least 1s", c.Every, c.Scanners)
	}
	if len(c.Probes) > maxProbes {
		return fmt.Errorf("%d probes are more than %d", len(c.Probes), maxProbes)
	}
	for i := range c.Probes {
		if slices.ContainsFunc(c.Probes[:i], func(p ProbeConfig) bool { return p.Name == c.Probes[i].Name }) {
			return fmt.Errorf("two probes are called %q", c.Probes[i].Name)
		}
	}
	return nil
}

const (
	// slowFactor stretches the pause after a source that takes long, so that reading a huge queue costs at most an
	// eighth of the time; longestPause ends that.
	slowFactor   = 8
	longestPause = 20 * time.Minute

	repeatLog = 10 * time.Minute // a source that stays down is logged again after so long
)

// Gateway asks the configured sources over and over and gives their figures.
type Gateway struct {
	log      *slog.Logger
	now      func() time.Time
	sources  []*source
	amavis   *Amavis
	postfix  *Postfix
	rspamd   *Rspamd
	clamav   *ClamAV
	scanners *Scanners

	mu         sync.Mutex
	complained map[string]time.Time // when a part of a source was last logged; parts are those of the configuration
}

// source is one thing that is asked, and what it said last.
type source struct {
	name  string
	every time.Duration
	ask   func(context.Context) ([]event.Figure, time.Time, error) // figures and when they were true

	mu      sync.Mutex
	figures []event.Figure
	at      time.Time // when figures were true
	err     error     // of the last attempt
	asked   bool
	failed  uint64
	logged  time.Time
}

// New makes a Gateway of what is configured; it opens nothing yet. texts is asked for ClamAV's DNS record, open for
// pages.
func New(cfg Config, texts Texts, open Open, log *slog.Logger) *Gateway {
	g := NewMTA(cfg, log)
	g.rspamd, g.clamav, g.scanners = NewRspamd(cfg.Rspamd, open), NewClamAV(cfg.ClamAV, texts), NewScanners(cfg, open)
	g.add(cfg.Rspamd.URL != "", "rspamd", cfg.Every, g.askRspamd)
	g.add(cfg.ClamAV.Dir != "", "clamav", cfg.Scanners, g.askClamAV)
	g.add(len(g.scanners.probes) > 0, "antivirus", cfg.Scanners, g.askScanners)
	return g
}

// NewMTA makes a Gateway of amavis and Postfix alone. It leaves the rest out of a program that has nothing else to do.
func NewMTA(cfg Config, log *slog.Logger) *Gateway {
	g := &Gateway{log: log, now: time.Now, complained: map[string]time.Time{}, amavis: NewAmavis(cfg.Amavis), postfix: NewPostfix(cfg.Postfix)}
	g.add(cfg.Amavis.Dir != "", "amavis", cfg.Every, g.askAmavis)
	g.add(cfg.Postfix.QueueDir != "", "postfix", cfg.Every, g.askPostfix)
	return g
}

func (g *Gateway) add(on bool, name string, every human.Duration, ask func(context.Context) ([]event.Figure, time.Time, error)) {
	if on {
		g.sources = append(g.sources, &source{name: name, every: time.Duration(every), ask: ask})
	}
}

// Amavis is the reader of amavis, for who needs its values by name.
func (g *Gateway) Amavis() *Amavis { return g.amavis }

// Postfix is the reader of the queues.
func (g *Gateway) Postfix() *Postfix { return g.postfix }

// Rspamd is the reader of rspamd.
func (g *Gateway) Rspamd() *Rspamd { return g.rspamd }

// ClamAV is the reader of ClamAV's signatures.
func (g *Gateway) ClamAV() *ClamAV { return g.clamav }

// Scanners is the reader of the other scanners and the probes.
func (g *Gateway) Scanners() *Scanners { return g.scanners }

// Run asks every source in its own time until ctx ends.
func (g *Gateway) Run(ctx context.Context) error {
	var all sync.WaitGroup
	for _, s := range g.sources {
		all.Go(func() {
			for {
				begun := time.Now()
				g.ask(ctx, s)
				if pause(ctx, min(max(s.every, slowFactor*time.Since(begun)), max(s.every, longestPause))) != nil {
					return
				}
			}
		})
	}
	all.Wait()
	return nil
}

// Refresh asks every source once, for commands that do not run on.
func (g *Gateway) Refresh(ctx context.Context) {
	var all sync.WaitGroup
	for _, s := range g.sources {
		all.Go(func() { g.ask(ctx, s) })
	}
	all.Wait()
}

func (g *Gateway) ask(ctx context.Context, s *source) {
	figures, at, err := s.ask(ctx)
	if ctx.Err() != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked && err == nil && s.err != nil {
		g.log.Info("mail source can be read again", "source", s.name)
		s.logged = time.Time{}
	}
	s.asked, s.err = true, err
	if err == nil {
		s.figures, s.at = figures, at
		return
	}
	s.failed++
	if now := g.now(); now.Sub(s.logged) >= repeatLog {
		s.logged = now
		g.log.Warn("mail source cannot be read", "source", s.name, "error", err, "attempts", s.failed)
	}
}

// maxFigureAge is how long the figures of a source that can no longer be read are still given.
const maxFigureAge = 10 * time.Minute

// Figures gives what the sources said last, each with its age, and of every source whether it can be read. Where it
// cannot, its figures go away after a while rather than turn into zeros.
func (g *Gateway) Figures(context.Context) ([]event.Figure, error) {
	var out []event.Figure
	now := g.now()
	for _, s := range g.sources {
		s.mu.Lock()
		if !s.asked {
			s.mu.Unlock()
			continue
		}
		up := 1.0
		if s.err != nil {
			up = 0
			out = append(out, event.Measure("varde_mail_source_problem", "Why a source could not be read.", "", 1,
				"source", s.name, "reason", reason(s.err)))
		}
		age := max(0, now.Sub(s.at))
		out = append(out,
			event.Measure(s.name+"_up", "Whether it could be read when it was last asked.", "", up),
			event.Measure("varde_mail_source_up", "Whether a source could be read when it was last asked.", "", up, "source", s.name),
			event.Count("varde_mail_source_errors_total", "How often a source could not be read.", s.failed, "source", s.name))
		if s.err == nil || age <= maxFigureAge {
			for _, f := range s.figures {
				f.Age += age
				out = append(out, f)
			}
		}
		s.mu.Unlock()
	}
	return out, nil
}

// reason puts an error into one of few words, fit for a label.
func reason(err error) string {
	var timeout interface{ Timeout() bool }
	var dns *net.DNSError
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "permission"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, exec.ErrNotFound):
		return "missing"
	case errors.As(err, &dns):
		return "name"
	case errors.Is(err, errBusy):
		return "busy"
	}
	return "invalid"
}

// Scanners looks at the virus scanners other than ClamAV, and at the probes.
type Scanners struct {
	probes []func(context.Context) ScannerState
}

// NewScanners makes a reader of what is configured; it opens nothing yet.
func NewScanners(cfg Config, open Open) *Scanners {
	s := &Scanners{}
	if cfg.Sophos.Status != "" {
		s.probes = append(s.probes, func(ctx context.Context) ScannerState { return sophos(ctx, cfg.Sophos, open, time.Now()) })
	}
	if len(cfg.Defender.Run) > 0 || cfg.Defender.File != "" {
		s.probes = append(s.probes, func(ctx context.Context) ScannerState { return defender(ctx, cfg.Defender, time.Now()) })
	}
	for _, p := range cfg.Probes {
		s.probes = append(s.probes, func(ctx context.Context) ScannerState { return probe(ctx, p, open, time.Now()) })
	}
	return s
}

// Snapshot asks all of them at once. What cannot be known says why in its own place.
func (s *Scanners) Snapshot(ctx context.Context) []ScannerState {
	out := make([]ScannerState, len(s.probes))
	var all sync.WaitGroup
	for i, p := range s.probes {
		all.Go(func() { out[i] = p(ctx) })
	}
	all.Wait()
	return out
}
