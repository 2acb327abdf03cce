package flow

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/gaissmai/bart"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"varde/event"
)

// Server receives export datagrams: for each address one SO_REUSEPORT socket a core, read in batches. The kernel
// chooses the socket by the exporter's address and port, so one exporter keeps its order.
type Server struct {
	cfg   Config
	c     *Collector
	emit  event.Emit
	log   *slog.Logger
	conns []*net.UDPConn
}

// NewServer makes a Server that decodes with c; emit is called by several goroutines at once.
func NewServer(cfg Config, c *Collector, emit event.Emit, log *slog.Logger) *Server {
	return &Server{cfg: cfg, c: c, emit: emit, log: log}
}

// Listen binds all addresses, or none and says which one cannot be. What arrives from then on waits for Run, and the
// rights that binding takes are not needed any more.
func (s *Server) Listen(ctx context.Context) error {
	sockets := s.cfg.Sockets
	if sockets == 0 {
		sockets = runtime.NumCPU()
	}
	for _, address := range s.cfg.Listen {
		opened, err := open(ctx, address, sockets)
		if err != nil {
			s.close()
			return explainBind(address, err)
		}
		s.conns = append(s.conns, opened...)
		granted := 0
		for _, conn := range opened {
			granted = setBuffer(conn, int(s.cfg.Buffer))
		}
		sayBuffer(s.log, opened[0].LocalAddr(), sockets, granted, int(s.cfg.Buffer))
	}
	return nil
}

func (s *Server) close() {
	for _, c := range s.conns {
		c.Close()
	}
	s.conns = nil
}

// Run receives until ctx ends, and then what is already in the sockets. It binds the addresses where Listen has not.
func (s *Server) Run(ctx context.Context) error {
	if s.conns == nil {
		if err := s.Listen(ctx); err != nil {
			return err
		}
	}
	defer s.close()
	listed := s.listed()
	group, ctx := errgroup.WithContext(ctx)
	for _, conn := range s.conns {
		rx := &receiver{s: s, conn: conn, listed: listed, b: newBatchReader(), r: s.c.Reader(s.emit)}
		group.Go(func() error { return rx.run(ctx) })
	}
	return group.Wait()
}

// TryListen tells what of cfg could not be bound, but for the ports that a running server of old has.
func TryListen(ctx context.Context, cfg, old Config) error {
	var taken []string
	for _, address := range old.Listen {
		if _, port, err := net.SplitHostPort(address); err == nil {
			taken = append(taken, port)
		}
	}
	for _, address := range cfg.Listen {
		if _, port, err := net.SplitHostPort(address); err == nil && slices.Contains(taken, port) {
			continue
		}
		conn, err := listen(ctx, address, false)
		if err != nil {
			return explainBind(address, err)
		}
		conn.Close()
	}
	return nil
}

// listed is the table of exporters that may send; nil is everybody.
func (s *Server) listed() *bart.Lite {
	if !s.cfg.OnlyListed {
		return nil
	}
	t := &bart.Lite{}
	for _, k := range s.c.known {
		t.Insert(k.prefix)
	}
	return t
}

// receiver reads one socket.
type receiver struct {
	s      *Server
	conn   *net.UDPConn
	listed *bart.Lite
	b      *batchReader
	r      *Reader
	drops  uint32     // what the kernel has counted for this socket so far
	last   netip.Addr // the last sender asked for, and whether it is listed
	may    bool
}

// maxDrain bounds the batches that are still read after the end was asked for: more than a buffer of 32 MiB holds.
const maxDrain = 512

// run reads until ctx ends. Go's poller waits for the socket. One call of Read spans all of that: a batch that is
// not full has emptied the socket, and whatever arrives from then on wakes the poller again.
func (rx *receiver) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { rx.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	raw, err := rx.conn.SyscallConn()
	if err != nil {
		return rx.wrap(err)
	}
	var errno syscall.Errno
	err = raw.Read(func(fd uintptr) (done bool) {
		for n := batch; n == batch && ctx.Err() == nil; {
			if n, errno = rx.b.read(fd); errno != 0 {
				return errno != unix.EAGAIN
			}
			rx.take(n)
		}
		return ctx.Err() != nil
	})
	switch {
	case ctx.Err() != nil:
		return rx.wrap(raw.Control(rx.drain))
	case err != nil:
		return rx.wrap(err)
	}
	return rx.wrap(errno)
}

func (rx *receiver) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("receive flows on %s: %w", rx.conn.LocalAddr(), err)
}

// drain reads what the socket still holds, and how many datagrams it has dropped since the last that was read.
func (rx *receiver) drain(fd uintptr) {
	for range maxDrain {
		n, errno := rx.b.read(fd)
		if n == 0 || errno != 0 {
			break
		}
		rx.take(n)
	}
	if drops, ok := socketDrops(fd); ok {
		rx.dropped(drops)
	}
}

// take hands the n datagrams of a batch on.
func (rx *receiver) take(n int) {
	now := time.Now().UnixNano()
	for i := range n {
		rx.datagram(i, now)
	}
}

func (rx *receiver) datagram(i int, now int64) {
	h := &rx.b.headers[i]
	from := rx.b.sender(i)
	received, drops, ok := rx.b.ancillary(i, now)
	if ok {
		rx.dropped(drops)
	}
	switch {
	case !rx.allowed(from.Addr()):
		rx.s.c.unlisted.Add(1)
	case h.hdr.Flags&unix.MSG_TRUNC != 0:
		rx.s.c.reject(truncatedDatagram, from, received, maxDatagram)
	default:
		rx.r.Packet(from, rx.b.data[i][:h.n], received)
	}
}

// dropped books the kernel's count of drops of this socket.
func (rx *receiver) dropped(total uint32) {
	if total != rx.drops {
		rx.r.Dropped(total - rx.drops)
		rx.drops = total
	}
}

// allowed tells whether a sender is listed, if it must be.
func (rx *receiver) allowed(from netip.Addr) bool {
	if rx.listed == nil {
		return true
	}
	if from != rx.last {
		rx.last, rx.may = from, rx.listed.Contains(from)
	}
	return rx.may
}
