package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"varde/input/flow/flowgen"
)

const (
	sendBatch = 32
	ahead     = time.Millisecond       // how far the sender may run ahead of its pace
	settle    = 300 * time.Millisecond // between the templates and the first data
)

var errNotLoopback = errors.New("flows are sent to loopback only")

// mmsghdr is struct mmsghdr of sendmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// sender sends a mix at a steady pace.
type sender struct {
	conn    *net.UDPConn
	raw     syscall.RawConn
	stream  *flowgen.Stream
	headers [sendBatch]mmsghdr
	vectors [sendBatch]unix.Iovec
	after   func() error // is called after each batch, nil for nothing
}

// sent is what a sender has sent.
type sent struct {
	datagrams, records int
	took               time.Duration
}

// newSender connects to a collector and sends it the templates.
func newSender(to netip.AddrPort, m *flowgen.Mix) (*sender, error) {
	if !to.Addr().IsLoopback() {
		return nil, fmt.Errorf("send to %s: %w", to, errNotLoopback)
	}
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return nil, err
	}
	s := &sender{conn: conn, stream: m.Stream()}
	if s.raw, err = conn.SyscallConn(); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	for i := range s.headers {
		s.headers[i].hdr.Iov = &s.vectors[i]
		s.headers[i].hdr.SetIovlen(1)
	}
	if m.Templates != nil {
		b, _ := s.stream.Next()
		if _, err := conn.Write(b); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		time.Sleep(settle)
	}
	return s, nil
}

// run sends rate records a second for so long, or until ctx ends; rate 0 is as fast as it goes.
func (s *sender) run(ctx context.Context, rate int, d time.Duration) (out sent, err error) {
	start := time.Now()
	for time.Since(start) < d && ctx.Err() == nil {
		records := s.fill()
		if err := s.flush(); err != nil {
			return out, err
		}
		if s.after != nil {
			if err := s.after(); err != nil {
				return out, err
			}
		}
		out.datagrams += sendBatch
		out.records += records
		if rate > 0 {
			due := time.Duration(float64(out.records) / float64(rate) * float64(time.Second))
			if early := due - time.Since(start); early > ahead {
				time.Sleep(early)
			}
		}
	}
	out.took = time.Since(start)
	return out, ctx.Err()
}

// fill points the batch at the next datagrams and tells how many records those hold.
func (s *sender) fill() (records int) {
	for i := range s.vectors {
		b, n := s.stream.Next()
		records += n
		s.vectors[i].Base = &b[0]
		s.vectors[i].SetLen(len(b))
	}
	return records
}

// flush sends the batch.
func (s *sender) flush() error {
	for done := 0; done < sendBatch; {
		n, errno := 0, syscall.Errno(0)
		err := s.raw.Write(func(fd uintptr) bool {
			r, _, e := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&s.headers[done])), uintptr(sendBatch-done), unix.MSG_DONTWAIT, 0, 0)
			n, errno = int(r), e
			return e != unix.EAGAIN
		})
		switch {
		case err != nil:
			return err
		case errno != 0 && errno != unix.EINTR:
			return fmt.Errorf("send: %w", errno)
		case errno == 0:
			done += n
		}
	}
	return nil
}
