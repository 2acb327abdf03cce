package munin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"varde/event"
)

// Config is the part of the configuration that is about the node.
type Config struct {
	Listen string   `yaml:"listen" doc:"Address of the built-in munin node, such as 127.0.0.1:4949; empty is off."`
	Name   string   `yaml:"name" doc:"Name of the node; the host's name when left out."`
	Allow  []string `yaml:"allow" doc:"Addresses and prefixes that may ask besides this machine."`
}

// DefaultConfig is a node that is off.
func DefaultConfig() Config { return Config{} }

// Check says which value is impossible.
func (c *Config) Check() error {
	if c.Listen != "" {
		if _, _, err := net.SplitHostPort(c.Listen); err != nil {
			return fmt.Errorf("listen is %q; use an address and a port such as 127.0.0.1:4949", c.Listen)
		}
	}
	if strings.ContainsAny(c.Name, " \t\r\n") {
		return fmt.Errorf("name %q holds white space", c.Name)
	}
	_, err := c.allowed()
	return err
}

func (c *Config) allowed() ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range c.Allow {
		p, err := netip.ParsePrefix(s)
		if a, err2 := netip.ParseAddr(s); err2 == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("allow %q is no address or prefix: use 192.0.2.10 or 192.0.2.0/24", s)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// Bounds on those who ask.
const (
	maxConnections = 16
	maxCommand     = 1024
	idleTimeout    = 60 * time.Second
	writeTimeout   = 10 * time.Second
	askTimeout     = 8 * time.Second // munin-update waits 10 s by default
	freshFor       = 2 * time.Second // a round of graphs is answered from one reading
)

// Node answers a Munin server by itself, without munin-node.
type Node struct {
	cfg     Config
	name    string
	version string
	allow   []netip.Prefix
	figures event.Figures
	log     *slog.Logger

	mu   sync.Mutex
	last []event.Figure
	at   time.Time
}

// NewNode makes a node that shows figures; it opens nothing yet.
func NewNode(cfg Config, figures event.Figures, version string, log *slog.Logger) (*Node, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, name: cfg.Name, version: version, figures: figures, log: log}
	if n.name == "" {
		n.name, _ = os.Hostname()
	}
	n.allow, _ = cfg.allowed()
	return n, nil
}

// Run listens and answers until ctx ends.
func (n *Node) Run(ctx context.Context) error {
	if n.cfg.Listen == "" {
		<-ctx.Done()
		return nil
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", n.cfg.Listen)
	if err != nil {
		return fmt.Errorf("munin node on %s: %w; change munin.listen", n.cfg.Listen, err)
	}
	return n.Serve(ctx, l)
}

// Serve answers on a listener until ctx ends.
func (n *Node) Serve(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	var all sync.WaitGroup
	defer all.Wait()
	places := make(chan struct{}, maxConnections)
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("munin node: %w", err)
		}
		if !n.may(c) {
			c.Close()
			continue
		}
		select {
		case places <- struct{}{}:
		default:
			n.log.Warn("munin node: too many connections", "peer", c.RemoteAddr(), "most", maxConnections)
			c.Close()
			continue
		}
		all.Go(func() {
			defer func() { <-places }()
			defer c.Close()
			end := context.AfterFunc(ctx, func() { c.Close() })
			defer end()
			n.talk(ctx, c)
		})
	}
}

// may tells whether the peer may ask: this machine, and who is allowed to.
func (n *Node) may(c net.Conn) bool {
	peer, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return false
	}
	a := peer.Addr().Unmap().WithZone("")
	if a.IsLoopback() || slices.ContainsFunc(n.allow, func(p netip.Prefix) bool { return p.Contains(a) }) {
		return true
	}
	n.log.Warn("munin node: not allowed to ask", "peer", a.String())
	return false
}

func (n *Node) talk(ctx context.Context, c net.Conn) {
	say := func(s string) bool {
		c.SetWriteDeadline(time.Now().Add(writeTimeout))
		_, err := io.WriteString(c, s)
		return err == nil
	}
	if !say("# munin node at " + n.name + "\n") {
		return
	}
	var caps Caps
	sc := bufio.NewScanner(c)
	sc.Buffer(make([]byte, 0, 256), maxCommand)
	for {
		c.SetReadDeadline(time.Now().Add(idleTimeout))
		if !sc.Scan() {
			if errors.Is(sc.Err(), bufio.ErrTooLong) {
				say("# Line too long\n")
			}
			return
		}
		words := strings.Fields(sc.Text())
		if len(words) == 0 {
			continue
		}
		if words[0] == "quit" || words[0] == "." {
			return
		}
		if !say(n.answer(ctx, words, &caps)) {
			return
		}
	}
}

// answer is the answer to one command.
func (n *Node) answer(ctx context.Context, words []string, caps *Caps) string {
	arg := ""
	if len(words) > 1 {
		arg = words[1]
	}
	switch words[0] {
	case "cap":
		caps.Multigraph, caps.DirtyConfig = slices.Contains(words, "multigraph"), slices.Contains(words, "dirtyconfig")
		return "cap multigraph dirtyconfig\n"
	case "version":
		return "munin node on " + n.name + " version: varde " + n.version + "\n"
	case "nodes":
		return n.name + "\n.\n"
	case "list":
		if arg != "" && arg != n.name {
			return "\n"
		}
		figures, err := n.read(ctx)
		if err != nil {
			return "\n"
		}
		names := Suggest(figures)
		for i := range names {
			names[i] = Prefix + names[i]
		}
		return strings.Join(names, " ") + "\n"
	case "config", "fetch":
		g := Find(arg)
		if g == nil || !strings.HasPrefix(arg, Prefix) {
			return "# Unknown service\n.\n"
		}
		figures, err := n.read(ctx)
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			return "# Timed out\n.\n"
		case err != nil:
			return "# Bad exit\n.\n"
		case words[0] == "config":
			return g.Config(figures, *caps) + ".\n"
		}
		return g.Fetch(figures, *caps) + ".\n"
	}
	return "# Unknown command. Try cap, list, nodes, config, fetch, version or quit\n"
}

// read gives figures that are at most freshFor old. Those who come at the same time wait for one reading.
func (n *Node) read(ctx context.Context) ([]event.Figure, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if time.Since(n.at) < freshFor {
		return n.last, nil
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	figures, err := n.figures.Figures(ctx)
	if err != nil {
		n.log.Warn("munin node: no figures", "error", err)
		return nil, err
	}
	n.last, n.at = figures, time.Now()
	return figures, nil
}
