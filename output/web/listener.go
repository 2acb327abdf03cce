package web

import (
	"net"
	"net/netip"
	"sync"
)

// Bounds on connections.
const (
	maxConnections = 512
	maxOfOne       = 64 // of one address or /64; this machine, where a proxy may stand for many, may have all
)

// limited lets in so many connections at a time; the others wait in the kernel's queue. A stranger who has many already
// is turned away.
type limited struct {
	net.Listener
	slots chan struct{}
	gone  chan struct{}
	once  sync.Once

	mu sync.Mutex
	of map[netip.Addr]int // open connections of each caller
}

func newLimited(l net.Listener, n int) *limited {
	return &limited{Listener: l, slots: make(chan struct{}, n), gone: make(chan struct{}), of: map[netip.Addr]int{}}
}

// Accept waits for room, then for a connection.
func (l *limited) Accept() (net.Conn, error) {
	for {
		select {
		case l.slots <- struct{}{}:
		case <-l.gone:
			return nil, net.ErrClosed
		}
		c, err := l.Listener.Accept()
		if err != nil {
			<-l.slots
			return nil, err
		}
		who := callerOf(c.RemoteAddr().String())
		if l.enter(who) {
			return &limitedConn{Conn: c, free: sync.OnceFunc(func() { l.leave(who) })}, nil
		}
		_ = c.Close() // nothing was said yet
		<-l.slots
	}
}

func (l *limited) enter(who netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of[who] >= maxOfOne && !who.IsLoopback() {
		return false
	}
	l.of[who]++
	return true
}

func (l *limited) leave(who netip.Addr) {
	l.mu.Lock()
	if l.of[who]--; l.of[who] == 0 {
		delete(l.of, who)
	}
	l.mu.Unlock()
	<-l.slots
}

// Close ends an Accept that waits.
func (l *limited) Close() error {
	l.once.Do(func() { close(l.gone) })
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn
	free func()
}

// Close makes room for the next.
func (c *limitedConn) Close() error {
	defer c.free()
	return c.Conn.Close()
}

// callerOf is who is at an address with a port; of IPv6 it is the /64, which one customer has whole.
func callerOf(addr string) netip.Addr {
	p, err := netip.ParseAddrPort(addr)
	if err != nil {
		return netip.Addr{}
	}
	return customer(p.Addr())
}

func customer(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if p, err := a.Prefix(64); a.Is6() && !a.IsLoopback() && err == nil {
		return p.Addr()
	}
	return a
}
