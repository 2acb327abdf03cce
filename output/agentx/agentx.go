// Package agentx hands varde's figures and amavis's counters to a running SNMP agent, by AgentX (RFC 2741). It serves
// all objects that amavisd-snmp-subagent serves, under the same identifiers, and a subtree of varde's own, of which it
// prints the MIB. Everything is read-only.
package agentx

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"varde/event"
	"varde/event/human"
)

// Config says where the master agent is and what it is given.
type Config struct {
	Master    string         `yaml:"master" doc:"Where the SNMP agent listens for AgentX, such as /var/agentx/master or tcp:127.0.0.1:705; empty is off."`
	Root      string         `yaml:"root" doc:"Object identifier below which varde's own figures are."`
	Amavis    bool           `yaml:"amavis" doc:"Whether the objects of AMAVIS-MIB are served too, where amavis is read."`
	Every     human.Duration `yaml:"every" doc:"How old what is answered may be."`
	Keepalive human.Duration `yaml:"keepalive" doc:"After how long a silence the SNMP agent is asked whether it lives."`
	Timeout   human.Duration `yaml:"timeout" doc:"How long the SNMP agent should wait for an answer, and varde for one of it."`
	Priority  int            `yaml:"priority" doc:"Rank among sub-agents with the same objects, 1 to 255; the lowest answers."`
}

// DefaultConfig is off until it is told where the SNMP agent is. The root lies in what Net-SNMP keeps free for
// private use.
func DefaultConfig() Config {
	return Config{
		Root: "1.3.6.1.4.1.8072.9999.9999.82733", Amavis: true, Every: human.Duration(4 * time.Second),
		Keepalive: human.Duration(15 * time.Second), Timeout: human.Duration(3 * time.Second), Priority: 127,
	}
}

// Check says which value is impossible.
func (c *Config) Check() error {
	if c.Master != "" {
		if _, _, err := splitMaster(c.Master); err != nil {
			return err
		}
	}
	root, err := parseOID(c.Root)
	if err != nil {
		return fmt.Errorf("root: %w", err)
	}
	if root.under(amavisRoot()) || amavisRoot().under(root) || len(root) > maxRootArcs || !root.under(oid{1, 3, 6, 1}) {
		return fmt.Errorf("root %s: use one below 1.3.6.1, of at most %d numbers, apart from amavis's %s", c.Root, maxRootArcs, amavisRoot())
	}
	for _, d := range []struct {
		name        string
		value       human.Duration
		least, most time.Duration
	}{
		{"every", c.Every, 100 * time.Millisecond, walkLimit},
		{"keepalive", c.Keepalive, time.Second, time.Hour},
		{"timeout", c.Timeout, time.Second, 255 * time.Second}, // one byte on the wire
	} {
		if time.Duration(d.value) < d.least || time.Duration(d.value) > d.most {
			return fmt.Errorf("%s %s: use %s to %s", d.name, d.value, human.Duration(d.least), human.Duration(d.most))
		}
	}
	if c.Priority < 1 || c.Priority > 255 {
		return fmt.Errorf("priority %d: use 1 to 255", c.Priority)
	}
	return nil
}

// maxRootArcs leaves room below the root for the longest index: two texts with their lengths and what names a column.
const maxRootArcs = 16

// splitMaster reads the forms in which snmpd.conf has agentXSocket.
func splitMaster(s string) (network, address string, err error) {
	switch rest, ok := strings.CutPrefix(s, "tcp:"); {
	case ok:
		host, port, err := net.SplitHostPort(rest)
		if err != nil || port == "" {
			return "", "", fmt.Errorf("master %q: use tcp:host:port, such as tcp:127.0.0.1:705", s)
		}
		if host == "" {
			host = "localhost"
		}
		return "tcp", net.JoinHostPort(host, port), nil
	case strings.HasPrefix(s, "/"):
		return "unix", s, nil
	case strings.HasPrefix(s, "unix:/"):
		return "unix", s[len("unix:"):], nil
	}
	return "", "", fmt.Errorf("master %q: use the path of a socket, such as /var/agentx/master, or tcp:host:port", s)
}

// Deps is what the sub-agent works with.
type Deps struct {
	Log     *slog.Logger
	Sources []Source // their figures are shown
	Amavis  Amavis   // nil where amavis is not read
}

// Agent is a sub-agent. It keeps a session with the master agent for as long as it runs.
type Agent struct {
	cfg       Config
	log       *slog.Logger
	collector *collector
	keeper    *keeper
	stats     stats
}

// New makes a sub-agent; it connects to nothing yet.
func New(cfg Config, deps Deps) (*Agent, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	if cfg.Master == "" {
		return nil, errors.New("no SNMP agent is configured: set master, such as to /var/agentx/master")
	}
	if !cfg.Amavis {
		deps.Amavis = nil
	}
	root, err := parseOID(cfg.Root)
	if err != nil {
		return nil, err
	}
	c, err := newCollector(root, deps)
	if err != nil {
		return nil, err
	}
	return &Agent{
		cfg: cfg, log: deps.Log, collector: c,
		keeper: &keeper{every: time.Duration(cfg.Every), make: c.picture},
	}, nil
}

// Connecting again begins at firstPause and comes to be longestPause apart, so that a master agent which is started
// again has us back in less than two seconds.
const (
	firstPause   = 50 * time.Millisecond
	longestPause = time.Second

	repeatLog = 10 * time.Minute // a master agent that stays away is logged again after so long
)

// Run keeps a session with the master agent until ctx ends.
func (a *Agent) Run(ctx context.Context) error {
	defer a.keeper.makers.Wait()
	if !a.keeper.first(ctx) {
		return nil
	}
	pause := firstPause
	var logged time.Time
	for {
		begun := time.Now()
		established, err := a.once(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if established {
			pause, logged = firstPause, time.Time{}
		}
		if now := time.Now(); now.Sub(logged) >= repeatLog {
			logged = now
			a.log.Warn("no session with the SNMP agent", "master", a.cfg.Master, "error", err)
			for _, line := range a.cfg.Advice(err) {
				a.log.Warn(line)
			}
		}
		if time.Since(begun) > longestPause {
			pause = firstPause
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
		pause = min(2*pause, longestPause)
	}
}

// once connects, and serves one session to its end.
func (a *Agent) once(ctx context.Context) (established bool, err error) {
	network, address, err := splitMaster(a.cfg.Master)
	if err != nil {
		return false, err
	}
	d := net.Dialer{Timeout: time.Duration(a.cfg.Timeout)}
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return false, err
	}
	s := newSession(a, conn)
	err = s.run(ctx)
	return s.established, err
}

// Figures tells how the sub-agent fares.
func (a *Agent) Figures(context.Context) ([]event.Figure, error) { return a.stats.figures(a), nil }
