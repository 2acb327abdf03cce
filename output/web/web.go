// Package web serves the page of varde and the HTTP API behind it. It shows what the store keeps, what lists and parts
// say of themselves, and warnings as they are raised; it changes nothing but acknowledgements and mutes. By default it
// listens on loopback only; anywhere else it wants a login.
package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"varde/event"
	"varde/event/query"
)

// Config is the page and the API.
type Config struct {
	Listen string `yaml:"listen" doc:"Address and port of the page; empty is off. Anything but loopback needs users."`
	URL    string `yaml:"url" doc:"Address of the page as people type it, where a proxy stands in front; it needs users too."`
	Users  []User `yaml:"users" doc:"Who may log in; without any there is no login, and only loopback is served."`
	TLS    TLS    `yaml:"tls" doc:"Certificate and key; without them the page speaks plain HTTP."`
}

// User is a person who may log in.
type User struct {
	Name string `yaml:"name" doc:"Name to log in with; acknowledgements and mutes carry it."`
	Hash string `yaml:"hash" doc:"The password's argon2id hash, as varde passwd prints it."`
}

// TLS is where certificate and key are.
type TLS struct {
	Cert string `yaml:"cert_file" doc:"Certificate and its chain, PEM."`
	Key  string `yaml:"key_file" doc:"Private key, PEM."`
}

// DefaultConfig is the page on loopback without login.
func DefaultConfig() Config { return Config{Listen: "127.0.0.1:8098"} }

// Check says which value is impossible.
func (c *Config) Check() error {
	if c.Listen == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("listen %q is no address with a port: use 127.0.0.1:8098", c.Listen)
	}
	public := !loopbackName(host)
	where := "listen " + c.Listen
	if c.URL != "" {
		u, err := url.Parse(c.URL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return fmt.Errorf("url %q is no address of a page: use https://varde.example.net", c.URL)
		}
		if !public && !loopbackName(u.Hostname()) {
			public, where = true, "url "+c.URL
		}
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		return errors.New("tls needs both cert_file and key_file")
	}
	names := map[string]bool{}
	for _, u := range c.Users {
		switch _, err := parseHash(u.Hash); {
		case u.Name == "" || len(u.Name) > maxName:
			return fmt.Errorf("a user needs a name of 1 to %d bytes", maxName)
		case names[u.Name]:
			return fmt.Errorf("two users are called %q", u.Name)
		case err != nil:
			return fmt.Errorf("user %q: %w; make one with varde passwd", u.Name, err)
		}
		names[u.Name] = true
	}
	if public && len(c.Users) == 0 {
		return fmt.Errorf("%s can be reached from other machines and needs a login: add a user under users (varde passwd makes the hash), or listen on 127.0.0.1", where)
	}
	return nil
}

// loopbackName tells whether a name or address means this machine alone.
func loopbackName(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// Store is what the page asks of the store.
type Store interface {
	Tail(ctx context.Context, b query.Box, n int) ([]event.Event, error)
	Top(ctx context.Context, b query.Box, t query.TopBy) (query.Groups, error)
	Distinct(ctx context.Context, b query.Box, f query.Field) (uint64, error)
	Series(ctx context.Context, b query.Box, s query.SeriesBy) ([]query.Series, error)
	Pixels(ctx context.Context, b query.Box, g query.Grid) ([]query.Pixel, error)
	Points(ctx context.Context, b query.Box, n int) ([]query.Point, error)
	Address(ctx context.Context, b query.Box, a netip.Addr) (query.Address, error)
	Incidents(ctx context.Context, q query.IncidentBox) ([]query.Incident, error)
	Ack(ctx context.Context, id, by, why string) error
	AddMute(ctx context.Context, m query.Mute) (query.Mute, error)
	EndMute(ctx context.Context, id uint64) error
	Mutes(ctx context.Context) ([]query.Mute, error)
}

// Part is a part of varde that has figures, with the name it has on the page Health.
type Part struct {
	Name    string
	Figures event.Figures
}

// ListStatus is what the page says of one list.
type ListStatus struct {
	Name     string    `json:"name"`
	Source   string    `json:"source"`
	Format   string    `json:"format"`
	Entries  int       `json:"entries"`
	Rejected int       `json:"rejected"`
	Loaded   time.Time `json:"loaded,omitzero"`
	Next     time.Time `json:"next,omitzero"`
	Hits     uint64    `json:"hits"`
	Error    string    `json:"error,omitempty"`
}

// Deps are the parts that the page shows. All but Log may be left out; what needs them then says that it is not there.
type Deps struct {
	Store    Store
	Parts    []Part
	Lists    func() []ListStatus
	Evidence func(netip.Addr) []event.Evidence                   // what the lists say of an address now
	Prefixes func(list string) ([]netip.Prefix, bool)            // entries of a list, for filters
	HostName func(netip.Addr) string                             // what the operator calls an address
	SNMP     func(context.Context) ([]Variable, error)           // what a walk through the SNMP agent shows; nil where there is none
	Version  string                                              // of varde
	Log      *slog.Logger                                        // where requests that go wrong are noted
	Now      func() time.Time                                    // time.Now where it is left out
	Listen   func(network, address string) (net.Listener, error) // net.Listen where it is left out
}

// Server is the page and the API.
type Server struct {
	cfg      Config
	deps     Deps
	log      *slog.Logger
	started  time.Time
	listener net.Listener
	loopback bool // the listener is reached from this machine only
	secure   bool // people reach the page by https
	page     site
	handler  http.Handler
	doors    *doors
	live     *live
	tracks   *tracks
	past     *past
	slots    chan struct{} // one for each question that is being answered
	drawing  chan struct{} // one for the picture that is being drawn
}

// New makes a Server that does nothing yet.
func New(cfg Config, deps Deps) (*Server, error) {
	if err := cfg.Check(); err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Listen == nil {
		deps.Listen = net.Listen
	}
	s := &Server{
		cfg: cfg, deps: deps, log: deps.Log, started: deps.Now(),
		doors: newDoors(cfg.Users, deps.Now), live: newLive(deps.Now()), tracks: newTracks(), past: newPast(),
		slots: make(chan struct{}, maxQuestions), drawing: make(chan struct{}, 1),
		secure: cfg.TLS.Cert != "" || strings.HasPrefix(originOf(cfg.URL), "https:"),
	}
	if host, _, err := net.SplitHostPort(cfg.Listen); err == nil {
		s.loopback = loopbackName(host)
	}
	var err error
	if s.page, err = builtPage(); err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	s.handler = s.routes()
	return s, nil
}

// Listen binds the address, so that it can be done before privileges are dropped.
func (s *Server) Listen() error {
	if s.cfg.Listen == "" || s.listener != nil {
		return nil
	}
	var cert *tls.Config
	if s.cfg.TLS.Cert != "" {
		pair, err := tls.LoadX509KeyPair(s.cfg.TLS.Cert, s.cfg.TLS.Key)
		if err != nil {
			return fmt.Errorf("web: read certificate %s and key %s: %w", s.cfg.TLS.Cert, s.cfg.TLS.Key, err)
		}
		cert = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	}
	l, err := s.deps.Listen("tcp", s.cfg.Listen)
	if err != nil {
		return fmt.Errorf("serve the page on %s: %w; change web.listen", s.cfg.Listen, err)
	}
	l = newLimited(l, maxConnections)
	if cert != nil {
		l = tls.NewListener(l, cert)
	} else if !s.loopback {
		s.log.Warn("the page speaks plain http: passwords can be read on the way; set web.tls or web.url with a proxy in front", "listen", s.cfg.Listen)
	}
	s.listener = l
	return nil
}

// Addr is where the page is once Listen was called, nil before and where the page is off.
func (s *Server) Addr() net.Addr {
	if s.listener == nil {
		return nil
	}
	return s.listener.Addr()
}

// Bounds on a request, so that nobody holds what others need.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 15 * time.Second
	idleTimeout   = 2 * time.Minute
	askTimeout    = 30 * time.Second // for an answer of the store
	writeTimeout  = askTimeout + 30*time.Second
	shutdownFor   = time.Second
	maxHeader     = 32 << 10
	maxBody       = 16 << 10
	maxQuestions  = 8 // questions to the store at a time
)

// Run serves until ctx ends. Where the page is off it only waits.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	if s.listener == nil {
		<-ctx.Done()
		return nil
	}
	server := &http.Server{
		Handler: s.handler, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	sampled := make(chan struct{})
	go func() { defer close(sampled); s.sample(ctx) }()
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		s.live.close()
		quick, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownFor)
		defer cancel()
		if server.Shutdown(quick) != nil {
			server.Close()
		}
	})
	err := server.Serve(s.listener)
	if !stop() {
		<-ended
		<-sampled
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve the page on %s: %w", s.cfg.Listen, err)
}

// Say shows a warning to everybody who looks at the page right now.
func (s *Server) Say(_ context.Context, w event.Warning) error {
	i := query.Incident{Warning: w, Told: 1}
	s.live.publish("warning", appendIncident(nil, &i, w.Time))
	return nil
}
