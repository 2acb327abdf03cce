package syslog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	controlSize = 64                    // room for the kernel's count of drops
	drainTime   = 50 * time.Millisecond // how long is still read after the end was asked for
)

// openUDP binds n sockets to one address. The first is bound alone and shared only afterwards: otherwise a second
// varde would silently take half of the lines away from the first.
func openUDP(ctx context.Context, address string, n int) (conns []*net.UDPConn, err error) {
	for i := range n {
		conn, err := listenUDP(ctx, address, i > 0)
		if err != nil {
			for _, c := range conns {
				c.Close()
			}
			return nil, err
		}
		conns = append(conns, conn)
		address = conn.LocalAddr().String()
	}
	return conns, nil
}

func listenUDP(ctx context.Context, address string, join bool) (*net.UDPConn, error) {
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		err := option(raw, unix.SO_RXQ_OVFL)
		if err == nil && join {
			err = option(raw, unix.SO_REUSEPORT)
		}
		return err
	}}
	pc, err := lc.ListenPacket(ctx, network("udp", address), address)
	if err != nil {
		return nil, err
	}
	conn := pc.(*net.UDPConn)
	raw, err := conn.SyscallConn()
	if err == nil {
		err = option(raw, unix.SO_REUSEPORT)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// option switches an option of a socket on.
func option(raw syscall.RawConn, name int) (err error) {
	cerr := raw.Control(func(fd uintptr) {
		err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, name, 1))
	})
	return errors.Join(cerr, err)
}

// setBuffer asks for a receive buffer, past net.core.rmem_max where we may (CAP_NET_ADMIN), and tells what was granted.
func setBuffer(conn *net.UDPConn, want int) (granted int) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0
	}
	if raw.Control(func(fd uintptr) {
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, want) != nil {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, want)
		}
		granted, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
	}) != nil || err != nil {
		return 0
	}
	return granted / 2 // the kernel doubles what it is asked for, for its own bookkeeping
}

// datagrams reads one socket until ctx ends and a moment longer, for what is in it already. A datagram is one line
// (RFC 5426); what is over MaxLine is cut by the kernel.
func (s *Server) datagrams(ctx context.Context, conn *net.UDPConn) error {
	stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Now().Add(drainTime)) })
	defer stop()
	r := s.reader(overUDP)
	buf, control := make([]byte, MaxLine), make([]byte, controlSize)
	drops := uint32(0)
	for {
		n, c, flags, from, err := conn.ReadMsgUDPAddrPort(buf, control)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("receive syslog on %s: %w", conn.LocalAddr(), err)
		}
		if total, ok := overflow(control[:c]); ok && total != drops {
			s.dropped.Add(uint64(total - drops))
			drops = total
		}
		addr := from.Addr().Unmap().WithZone("")
		if r.from(addr, time.Now()) {
			r.take(buf[:n], flags&unix.MSG_TRUNC != 0, addr)
		}
	}
}

// overflow reads how many datagrams the socket has dropped so far (SO_RXQ_OVFL), once it has.
func overflow(control []byte) (drops uint32, ok bool) {
	for len(control) > 0 {
		h, data, rest, err := unix.ParseOneSocketControlMessage(control)
		if err != nil {
			return 0, false
		}
		if h.Level == unix.SOL_SOCKET && h.Type == unix.SO_RXQ_OVFL && len(data) >= 4 {
			return binary.NativeEndian.Uint32(data), true
		}
		control = rest
	}
	return 0, false
}
