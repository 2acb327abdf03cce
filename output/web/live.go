package web

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bounds on those who listen.
const (
	maxListeners = 64
	maxBehind    = 64  // messages that one may be late before it is cut off; it comes back and asks for the rest
	maxKept      = 256 // messages for those who come back
	commentEvery = 15 * time.Second
	sendTimeout  = 10 * time.Second
)

// message is one server-sent event.
type message struct {
	id   uint64
	name string
	data []byte
}

// live hands messages to everybody who listens.
type live struct {
	run string // tells this run from the ones before, whose numbers mean nothing here

	mu     sync.Mutex
	last   uint64
	kept   []message
	ears   map[chan message]struct{}
	closed bool
}

func newLive(now time.Time) *live {
	return &live{run: strconv.FormatInt(now.UnixMilli(), 36), ears: map[chan message]struct{}{}}
}

// publish never waits: who is too far behind is cut off.
func (l *live) publish(name string, data []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.last++
	m := message{l.last, name, visible(data)}
	if len(l.kept) == maxKept {
		l.kept = append(l.kept[:0], l.kept[1:]...)
	}
	l.kept = append(l.kept, m)
	for ear := range l.ears {
		select {
		case ear <- m:
		default:
			delete(l.ears, ear)
			close(ear)
		}
	}
}

// listen gives what was missed since the message lastID, a channel of what comes, and whether some of what was missed is
// gone. The channel is nil where nobody more may listen.
func (l *live) listen(lastID string) (missed []message, ear chan message, gap bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.ears) >= maxListeners {
		return nil, nil, false
	}
	ear = make(chan message, maxBehind)
	l.ears[ear] = struct{}{}
	if lastID == "" {
		return nil, ear, false
	}
	run, number, _ := strings.Cut(lastID, "-")
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil || run != l.run || n > l.last {
		return nil, ear, true
	}
	for i := range l.kept {
		if l.kept[i].id > n {
			missed = append(missed, l.kept[i])
		}
	}
	return missed, ear, uint64(len(missed)) < l.last-n
}

func (l *live) leave(ear chan message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, there := l.ears[ear]; there {
		delete(l.ears, ear)
		close(ear)
	}
}

// close ends all streams, so that the server can end.
func (l *live) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for ear := range l.ears {
		delete(l.ears, ear)
		close(ear)
	}
}

// serveLive streams warnings, and that something of them has changed, as server-sent events.
func (s *Server) serveLive(w http.ResponseWriter, r *http.Request) {
	if err := s.allowed(r); err != nil {
		s.refuse(w, r, err)
		return
	}
	missed, ear, gap := s.live.listen(r.Header.Get("Last-Event-ID"))
	if ear == nil {
		s.refuse(w, r, &problem{status: http.StatusServiceUnavailable, retry: "30", Message: "too many pages listen already"})
		return
	}
	defer s.live.leave(ear)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would hold it back
	out := http.NewResponseController(w)
	send := func(format string, args ...any) bool {
		if out.SetWriteDeadline(time.Now().Add(sendTimeout)) != nil {
			return false
		}
		if _, err := fmt.Fprintf(w, format, args...); err != nil {
			return false
		}
		return out.Flush() == nil
	}
	if !send("retry: 2000\n\n") || gap && !send("event: changed\ndata: {}\n\n") {
		return
	}
	say := func(m message) bool {
		return send("id: %s-%d\nevent: %s\ndata: %s\n\n", s.live.run, m.id, m.name, m.data)
	}
	for _, m := range missed {
		if !say(m) {
			return
		}
	}
	tick := time.NewTicker(commentEvery)
	defer tick.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case m, open := <-ear:
			if !open || !say(m) {
				return
			}
		case <-tick.C:
			if s.allowed(r) != nil || !send(": still here\n\n") {
				return
			}
		}
	}
}
