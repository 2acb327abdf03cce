package flow

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"varde/event"
	"varde/event/human"
)

// Sizes of one batch of datagrams.
const (
	batch       = 64
	maxDatagram = 1 << 14 // exporters keep below the path's MTU; what is larger is counted as truncated
	controlSize = 128
)

// Server receives export datagrams: for each address one SO_REUSEPORT socket a core, read in batches.
type Server struct {
	cfg  Config
	c    *Collector
	emit event.Emit
	log  *slog.Logger
}

// NewServer makes a Server that decodes with c; emit is called by several goroutines at once.
func NewServer(cfg Config, c *Collector, emit event.Emit, log *slog.Logger) *Server {
	return &Server{cfg, c, emit, log}
}

// Run receives until ctx ends. An address that cannot be bound is an error.
func (s *Server) Run(ctx context.Context) error {
	sockets := s.cfg.Sockets
	if sockets == 0 {
		sockets = runtime.NumCPU()
	}
	var conns []*net.UDPConn
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	for _, address := range s.cfg.Listen {
		for i := range sockets {
			conn, err := listen(ctx, address)
			if err != nil {
				return explainBind(address, err)
			}
			conns = append(conns, conn)
			granted := setBuffer(conn, int(s.cfg.Buffer))
			if i == 0 {
				s.sayBuffer(conn.LocalAddr(), sockets, granted)
			}
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, conn := range conns {
		group.Go(func() error { return s.receive(ctx, conn) })
	}
	return group.Wait()
}

func (s *Server) sayBuffer(addr net.Addr, sockets, granted int) {
	s.log.Info("receiving flows", "address", addr, "sockets", sockets, "buffer", human.Bytes(uint64(granted)))
	if wanted := int(s.cfg.Buffer); granted < wanted {
		s.log.Warn("the kernel grants a smaller receive buffer than wanted; bursts may be lost",
			"granted", human.Bytes(uint64(granted)), "wanted", human.Bytes(uint64(wanted)),
			"mend", fmt.Sprintf("sysctl -w net.core.rmem_max=%d", wanted))
	}
}

func listen(ctx context.Context, address string) (*net.UDPConn, error) {
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		cerr := raw.Control(func(fd uintptr) {
			err = errors.Join(
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1),
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1),
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
			)
		})
		return errors.Join(cerr, err)
	}}
	pc, err := lc.ListenPacket(ctx, "udp", address)
	if err != nil {
		return nil, err
	}
	return pc.(*net.UDPConn), nil
}

func explainBind(address string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("receive flows on %s: another program has this port; stop it or change netflow.listen (ss -lunp tells which)", address)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("receive flows on %s: permission denied; use a port above 1023 or give the program CAP_NET_BIND_SERVICE", address)
	}
	return fmt.Errorf("receive flows on %s: %w", address, err)
}

// setBuffer asks for a receive buffer, past net.core.rmem_max where we may, and tells what was granted.
func setBuffer(conn *net.UDPConn, want int) (granted int) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0
	}
	cerr := raw.Control(func(fd uintptr) {
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, want) != nil {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, want)
		}
		var got int
		got, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
		granted = got / 2 // the kernel doubles what it is asked for, for its own bookkeeping
	})
	if cerr != nil || err != nil {
		return 0
	}
	return granted
}

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
	_   [4]byte
}

// batchReader holds the buffers of one socket.
type batchReader struct {
	headers [batch]mmsghdr
	vectors [batch]unix.Iovec
	names   [batch]unix.RawSockaddrInet6
	control [batch][controlSize]byte
	data    [batch][maxDatagram]byte
	drops   uint32 // what the kernel has counted so far
}

func newBatchReader() *batchReader {
	b := &batchReader{}
	for i := range batch {
		b.vectors[i].Base = &b.data[i][0]
		b.vectors[i].SetLen(maxDatagram)
		h := &b.headers[i].hdr
		h.Iov, h.Name, h.Control = &b.vectors[i], (*byte)(unsafe.Pointer(&b.names[i])), &b.control[i][0]
		h.SetIovlen(1)
	}
	return b
}

// receive reads one socket until ctx ends.
func (s *Server) receive(ctx context.Context, conn *net.UDPConn) error {
	stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	b, r := newBatchReader(), s.c.Reader(s.emit)
	n, errno := 0, syscall.Errno(0)
	poll := func(fd uintptr) bool {
		n, errno = b.recvmmsg(fd)
		return errno != unix.EAGAIN && errno != unix.EINTR
	}
	for {
		if err := raw.Read(poll); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("receive flows on %s: %w", conn.LocalAddr(), err)
		}
		if errno != 0 {
			return fmt.Errorf("receive flows on %s: %w", conn.LocalAddr(), errno)
		}
		now := time.Now().UnixNano()
		for i := range n {
			s.datagram(b, i, r, now)
		}
	}
}

func (b *batchReader) recvmmsg(fd uintptr) (int, syscall.Errno) {
	for i := range b.headers {
		h := &b.headers[i].hdr
		h.Namelen = unix.SizeofSockaddrInet6
		h.SetControllen(controlSize)
		h.Flags = 0
	}
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&b.headers[0])), batch, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

func (s *Server) datagram(b *batchReader, i int, r *Reader, now int64) {
	h := &b.headers[i]
	from := sender(&b.names[i])
	received, drops := b.ancillary(i, int(h.hdr.Controllen), now)
	if drops != b.drops {
		r.Dropped(drops - b.drops)
		b.drops = drops
	}
	if h.hdr.Flags&unix.MSG_TRUNC != 0 {
		s.c.reject(truncatedDatagram, from, received, maxDatagram)
		return
	}
	r.Packet(from, b.data[i][:h.n], received)
}

// sender is the address of a datagram; IPv4 comes mapped into IPv6 on a dual-stack socket.
func sender(sa *unix.RawSockaddrInet6) netip.AddrPort {
	if sa.Family == unix.AF_INET {
		sa4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(sa4.Addr), networkOrder(sa4.Port))
	}
	return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), networkOrder(sa.Port))
}

func networkOrder(port uint16) uint16 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], port)
	return binary.BigEndian.Uint16(b[:])
}

// ancillary reads when the kernel received datagram i, and how many the socket had dropped by then (SO_RXQ_OVFL).
func (b *batchReader) ancillary(i, length int, now int64) (received int64, drops uint32) {
	received, drops = now, b.drops
	const header = unix.SizeofCmsghdr
	for c := b.control[i][:min(length, controlSize)]; len(c) >= header; {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&c[0]))
		size := int(h.Len)
		if size < header || size > len(c) {
			break
		}
		data := c[header:size]
		switch {
		case h.Level != unix.SOL_SOCKET:
		case h.Type == unix.SO_RXQ_OVFL && len(data) >= 4:
			drops = binary.NativeEndian.Uint32(data)
		case h.Type == unix.SO_TIMESTAMPNS && len(data) >= 16:
			received = int64(binary.NativeEndian.Uint64(data))*int64(time.Second) + int64(binary.NativeEndian.Uint64(data[8:]))
		}
		c = c[min((size+7)&^7, len(c)):]
	}
	return received, drops
}
