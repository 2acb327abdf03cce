package syslog

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"varde/event/human"
)

const (
	handshakeTime = 10 * time.Second // for TLS
	partialTime   = time.Minute      // from the beginning of a line to its end
	acceptPause   = 100 * time.Millisecond
)

// connections accepts until ctx ends and waits for those that are open.
func (s *Server) connections(ctx context.Context, l streams) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	var open sync.WaitGroup
	defer open.Wait()
	for {
		conn, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				conn.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("receive syslog on %s: %w", l.Addr(), err)
		case err != nil: // no file descriptors left, or a connection that went away: nothing that ends the rest
			s.complain("cannot accept syslog connections", "address", l.Addr(), "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(acceptPause):
			}
			continue
		}
		s.accept(ctx, conn, l.tls, &open)
	}
}

// accept starts reading a connection, if its peer may have one more.
func (s *Server) accept(ctx context.Context, conn net.Conn, secure *tls.Config, open *sync.WaitGroup) {
	over := overTCP
	if secure != nil {
		over = overTLS
		conn = tls.Server(conn, secure)
	}
	r := s.reader(over)
	addr := peerOf(conn)
	if !r.from(addr, time.Now()) {
		conn.Close()
		return
	}
	if s.open.Add(1) > int64(s.cfg.Connections) || !s.peers.connect(r.last, max(s.cfg.Connections/4, 1)) {
		s.open.Add(-1)
		s.refused.Add(1)
		s.complain("refused a syslog connection: too many are open; raise syslog.max_connections", "peer", addr)
		conn.Close()
		return
	}
	s.accepted.Add(1)
	open.Go(func() {
		defer s.open.Add(-1)
		defer s.peers.disconnect(r.last)
		defer conn.Close()
		// The end of ctx wakes a connection that waits, and what has come by then is still read.
		stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Now().Add(drainTime)) })
		defer stop()
		s.stream(ctx, conn, r, addr)
	})
}

func peerOf(conn net.Conn) netip.Addr {
	ap, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// stream reads a connection to its end.
func (s *Server) stream(ctx context.Context, conn net.Conn, r *reader, addr netip.Addr) {
	if t, ok := conn.(*tls.Conn); ok {
		if err := shake(ctx, t); err != nil {
			if ctx.Err() == nil {
				s.handshakes.Add(1)
				s.complain("a syslog sender did not get through the TLS handshake", "peer", addr, "err", human.Safe(err.Error()))
			}
			return
		}
	}
	var f framer
	for began := time.Now(); ; {
		if ctx.Err() == nil {
			deadline := time.Now().Add(time.Duration(s.cfg.Idle))
			if f.partial() {
				deadline = began.Add(partialTime)
			}
			conn.SetReadDeadline(deadline)
			if ctx.Err() != nil { // it ended meanwhile, and its deadline was just overwritten
				conn.SetReadDeadline(time.Now().Add(drainTime))
			}
		}
		n, err := conn.Read(f.space())
		f.took(n)
		if s.lines(&f, r, addr) || !f.partial() {
			began = time.Now()
		}
		if err == nil {
			continue
		}
		switch {
		case ctx.Err() != nil || errors.Is(err, io.EOF):
		case errors.Is(err, os.ErrDeadlineExceeded):
			s.silent.Add(1)
		default:
			s.broke.Add(1)
		}
		if line, cut := f.rest(); len(line) > 0 {
			r.take(line, cut || !errors.Is(err, io.EOF), addr)
		}
		return
	}
}

// shake does the TLS handshake in its time.
func shake(ctx context.Context, conn *tls.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	return conn.HandshakeContext(ctx)
}

// lines hands on all lines that are whole and tells whether there was one.
func (s *Server) lines(f *framer, r *reader, addr netip.Addr) (some bool) {
	r.now = time.Now()
	for {
		line, cut, ok := f.next()
		if !ok {
			return some
		}
		some = true
		r.take(line, cut, addr)
	}
}
