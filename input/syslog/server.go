package syslog

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"varde/event/human"
)

// Take takes one line, which is valid only during the call.
type Take func(*Line)

// transport is how a line came.
type transport int

const (
	overUDP transport = iota
	overTCP
	overTLS
	transports
)

var transportNames = [transports]string{"udp", "tcp", "tls"}

// Server receives lines: over UDP with one SO_REUSEPORT socket a core for each address, over TCP and TLS.
type Server struct {
	cfg   Config
	take  Take
	log   *slog.Logger
	peers *peers
	udp   []*net.UDPConn
	tcp   []streams
	open  atomic.Int64 // connections

	got                                          [transports]atomic.Uint64
	octets                                       atomic.Uint64
	cut, empty, bare, unlisted, dropped          atomic.Uint64
	accepted, refused, silent, handshakes, broke atomic.Uint64
	complaint                                    complaint
}

// streams is one listening socket for connections.
type streams struct {
	net.Listener
	tls *tls.Config // nil without TLS
}

// NewServer makes a server. take is called by several goroutines at once.
func NewServer(cfg Config, take Take, log *slog.Logger) (*Server, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	zone, err := loadZone(cfg.Zone, time.Local)
	if err != nil {
		return nil, err
	}
	k, err := cfg.knownPeers(zone)
	if err != nil {
		return nil, err
	}
	return &Server{cfg: cfg, take: take, log: log, peers: newPeers(k, zone)}, nil
}

// Listen binds all addresses, or none and says which one cannot be. What arrives from then on waits for Run, and the
// rights that binding takes are not needed any more.
func (s *Server) Listen(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	sockets := s.cfg.Sockets
	if sockets == 0 {
		sockets = runtime.NumCPU()
	}
	for _, address := range s.cfg.UDP {
		conns, err := openUDP(ctx, address, sockets)
		if err != nil {
			return explainBind("udp", address, err)
		}
		s.udp = append(s.udp, conns...)
		granted := 0
		for _, c := range conns {
			granted = setBuffer(c, int(s.cfg.Buffer))
		}
		s.sayBuffer(conns[0].LocalAddr(), sockets, granted)
	}
	for _, address := range s.cfg.TCP {
		if err := s.listen(ctx, address, "tcp", nil); err != nil {
			return err
		}
	}
	if len(s.cfg.TLS) == 0 {
		return nil
	}
	secure, err := s.secure()
	if err != nil {
		return err
	}
	for _, address := range s.cfg.TLS {
		if err := s.listen(ctx, address, "tls", secure); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) listen(ctx context.Context, address, key string, secure *tls.Config) error {
	lc := net.ListenConfig{}
	l, err := lc.Listen(ctx, network("tcp", address), address)
	if err != nil {
		return explainBind(key, address, err)
	}
	s.tcp = append(s.tcp, streams{l, secure})
	s.log.Info("receiving syslog", "over", key, "address", l.Addr())
	return nil
}

// network keeps Go from listening on IPv6 too where 0.0.0.0 is asked for.
func network(name, address string) string {
	if ap, err := netip.ParseAddrPort(address); err == nil && ap.Addr().Is4() {
		return name + "4"
	}
	return name
}

func (s *Server) close() {
	for _, c := range s.udp {
		c.Close()
	}
	for _, l := range s.tcp {
		l.Close()
	}
	s.udp, s.tcp = nil, nil
}

// Run receives until ctx ends, and then what is already in the sockets. It binds the addresses where Listen has not.
func (s *Server) Run(ctx context.Context) error {
	if s.udp == nil && s.tcp == nil {
		if err := s.Listen(ctx); err != nil {
			return err
		}
	}
	defer s.close()
	group, ctx := errgroup.WithContext(ctx)
	for _, conn := range s.udp {
		group.Go(func() error { return s.datagrams(ctx, conn) })
	}
	for _, l := range s.tcp {
		group.Go(func() error { return s.connections(ctx, l) })
	}
	return group.Wait()
}

// reader is what one goroutine reads with: the line it reuses, and a parser for each zone that it meets.
type reader struct {
	s       *Server
	over    transport
	line    Line
	parsers map[*time.Location]*Parser
	last    *peer     // who the lines are from
	found   time.Time // when it was looked up
	parser  *Parser   // the one of its zone
	now     time.Time
}

func (s *Server) reader(over transport) *reader {
	return &reader{s: s, over: over, parsers: map[*time.Location]*Parser{}}
}

// from sets who the next lines are from and tells whether they are wanted.
func (r *reader) from(addr netip.Addr, now time.Time) bool {
	r.now = now
	if r.last == nil || r.last.addr != addr || now.Sub(r.found) > sweepEvery {
		r.last, r.found = r.s.peers.find(addr, now), now
		if r.parser = r.parsers[r.last.zone]; r.parser == nil {
			r.parser = NewParser(r.last.zone)
			r.parsers[r.last.zone] = r.parser
		}
	}
	if r.s.cfg.OnlyListed && !r.last.listed {
		r.s.unlisted.Add(1)
		return false
	}
	return true
}

// take parses and hands on one line.
func (r *reader) take(raw []byte, cut bool, addr netip.Addr) {
	s := r.s
	if cut {
		s.cut.Add(1)
	}
	ok := r.parser.Parse(raw, r.now, &r.line)
	if len(r.line.Raw) == 0 {
		s.empty.Add(1)
		return
	}
	s.got[r.over].Add(1)
	s.octets.Add(uint64(len(raw)))
	if !ok {
		s.bare.Add(1)
	}
	r.line.Peer, r.line.PeerName = addr, r.last.name
	r.last.book(&r.line, cut)
	s.take(&r.line)
}

// explainBind says in one sentence why an address cannot be listened on and what to do.
func explainBind(key, address string, err error) error {
	what := fmt.Sprintf("receive syslog on %s", address)
	change := "change syslog." + key
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("%s: another program has this port (`ss -lntup` as root tells which); stop it or %s: %w", what, change, unix.EADDRINUSE)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%s: a port below 1024 needs CAP_NET_BIND_SERVICE; grant it or %s: %w", what, change, os.ErrPermission)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("%s: no interface of this machine has that address; %s: %w", what, change, unix.EADDRNOTAVAIL)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// sayBuffer logs what is received where, and when the kernel granted less than wanted, what to do.
func (s *Server) sayBuffer(addr net.Addr, sockets, granted int) {
	wanted := int(s.cfg.Buffer)
	if granted >= wanted {
		s.log.Info("receiving syslog", "over", "udp", "address", addr, "sockets", sockets, "buffer", human.Bytes(uint64(granted)))
		return
	}
	s.log.Warn("receiving syslog with a smaller buffer than wanted: bursts may be lost",
		"address", addr, "sockets", sockets, "buffer", human.Bytes(uint64(granted)), "wanted", human.Bytes(uint64(wanted)),
		"mend", fmt.Sprintf("sysctl -w net.core.rmem_max=%d", wanted))
}
