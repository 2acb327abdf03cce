package syslog

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds on what senders can make us remember. Anybody can spoof the address of a datagram.
const (
	maxPeers   = 1024             // those remembered by themselves
	idlePeer   = 10 * time.Minute // a silent one makes room after that
	sweepEvery = time.Minute
	clockAhead = 5 * time.Minute // a line from so far in the future has a wrong clock or zone
)

// peer is one sender, or the rest of a prefix for whom there is no room.
type peer struct {
	addr   netip.Addr // not valid for the rest
	name   string     // as configured
	zone   *time.Location
	listed bool
	open   int // connections, guarded by peers.mu

	lines, cut, ahead atomic.Uint64
	last, lag         atomic.Int64 // nanoseconds
}

// book counts a line.
func (p *peer) book(l *Line, cut bool) {
	p.lines.Add(1)
	if cut {
		p.cut.Add(1)
	}
	p.last.Store(l.Received.UnixNano())
	if l.Source == Arrival {
		return
	}
	lag := l.Received.Sub(l.Time)
	p.lag.Store(int64(lag))
	if lag < -clockAhead {
		p.ahead.Add(1)
	}
}

// peers is the table of senders.
type peers struct {
	mu    sync.Mutex
	m     map[netip.Addr]*peer
	known []known
	rests []peer // one for each of known, and one for strangers
	swept time.Time
}

func newPeers(k []known, zone *time.Location) *peers {
	t := &peers{m: map[netip.Addr]*peer{}, known: k, rests: make([]peer, len(k)+1)}
	for i := range k {
		t.rests[i].name, t.rests[i].zone, t.rests[i].listed = k[i].name, k[i].zone, true
	}
	t.rests[len(k)].zone = zone
	return t
}

// find is the peer of an address. Where the table is full, silent ones make room, and otherwise all the rest of a
// configured prefix counts as one.
func (t *peers) find(addr netip.Addr, now time.Time) *peer {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.m[addr]; p != nil {
		return p
	}
	i := slices.IndexFunc(t.known, func(k known) bool { return k.prefix.Contains(addr) })
	if i < 0 {
		i = len(t.known)
	}
	rest := &t.rests[i]
	if len(t.m) >= maxPeers && now.Sub(t.swept) > sweepEvery {
		t.swept = now
		for a, p := range t.m {
			if p.open == 0 && now.UnixNano()-p.last.Load() > int64(idlePeer) {
				delete(t.m, a)
			}
		}
	}
	if len(t.m) >= maxPeers {
		return rest
	}
	p := &peer{addr: addr, name: rest.name, zone: rest.zone, listed: rest.listed}
	p.last.Store(now.UnixNano())
	t.m[addr] = p
	return p
}

// connect counts a connection of a peer, if it may have one more.
func (t *peers) connect(p *peer, most int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.open >= most {
		return false
	}
	p.open++
	return true
}

func (t *peers) disconnect(p *peer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.open--
}

// all are the peers that are remembered, those with the most lines first.
func (t *peers) all() []*peer {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]*peer, 0, len(t.m))
	for _, p := range t.m {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b *peer) int {
		if x, y := a.lines.Load(), b.lines.Load(); x != y {
			if x > y {
				return -1
			}
			return 1
		}
		return a.addr.Compare(b.addr)
	})
	return out
}
