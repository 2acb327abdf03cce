package agentx

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"
)

// session is one connection to the master agent. Everything about it happens in one goroutine, since a walk is some
// hundred questions one after the other and handing each to another goroutine takes longer than answering it.
type session struct {
	*Agent
	conn net.Conn
	in   receiver
	enc  encoder
	vars []variable // of the answer that is being made

	id          uint32
	established bool
	packet      uint32             // the last number that a PDU of ours had
	pending     map[uint32]request // PDUs of ours that are not answered, by their number
	granted     []bool             // regions that are registered
	refused     map[int]time.Time  // regions that are not, and when that was last said
	heard       time.Time          // when the master last sent anything
}

// request is a PDU of ours that waits for its answer.
type request struct {
	kind   byte
	region int // of a Register
	sent   time.Time
}

const (
	tick          = 250 * time.Millisecond // how finely timeouts are kept
	registerAgain = 5 * time.Second        // after which a refused region is asked for again
	writeTimeout  = 5 * time.Second        // for a master that does not read

	sessionName = "varde"
)

// errClosed is a session that the master ended.
var errClosed = errors.New("the SNMP agent closed the session")

func newSession(a *Agent, conn net.Conn) *session {
	return &session{
		Agent: a, conn: conn, in: receiver{from: conn}, pending: map[uint32]request{}, refused: map[int]time.Time{},
		granted: make([]bool, len(a.collector.roots)),
	}
}

// run opens the session, registers all regions and answers until the session or ctx ends.
func (s *session) run(ctx context.Context) error {
	defer func() {
		s.conn.Close()
		s.stats.connected.Store(0)
		s.stats.granted.Store(0)
		s.stats.refused.Store(0)
	}()
	// The end of ctx ends a wait for the master at once.
	stop := context.AfterFunc(ctx, func() {
		if err := s.conn.SetReadDeadline(time.Unix(1, 0)); err != nil {
			s.log.Debug("wake AgentX session", "error", err)
		}
	})
	defer stop()
	s.keeper.forget()
	s.heard = time.Now()
	if err := s.deadlines(s.heard); err != nil {
		return err
	}
	open := s.request(pduOpen, 0)
	if err := s.send(s.enc.open(&open, byte(time.Duration(s.cfg.Timeout)/time.Second), s.collector.root, sessionName)); err != nil {
		return err
	}
	for ticked := s.heard; ctx.Err() == nil; {
		bad, err := s.in.next()
		now := time.Now()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			err = nil
		case err == nil || bad:
			s.heard = now
			err = s.take(ctx, &s.in.pdu, bad, err)
		}
		if err == nil && now.Sub(ticked) >= tick {
			ticked = now
			err = errors.Join(s.tick(now), s.deadlines(now))
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
	s.goodbye(closeShutdown)
	return ctx.Err()
}

// deadlines lets a wait for the master end at the next tick, and a write to a master that does not read before long.
func (s *session) deadlines(now time.Time) error {
	return errors.Join(s.conn.SetReadDeadline(now.Add(tick)), s.conn.SetWriteDeadline(now.Add(writeTimeout)))
}

// request makes the next PDU of ours and remembers that it waits for an answer.
func (s *session) request(kind byte, region int) pdu {
	s.packet++
	s.pending[s.packet] = request{kind, region, time.Now()}
	return pdu{kind: kind, flags: flagNetworkOrder, session: s.id, packet: s.packet}
}

func (s *session) send(b []byte) error {
	_, err := s.conn.Write(b)
	return err
}

// goodbye tells the master that the session ends. Whether it hears that no longer matters.
func (s *session) goodbye(reason byte) {
	p := pdu{kind: pduClose, flags: flagNetworkOrder, session: s.id, packet: s.packet + 1}
	if err := s.send(s.enc.close(&p, reason)); err != nil {
		s.log.Debug("close AgentX session", "error", err)
	}
}

// tick looks after what time brings: answers that stay away, silence, walks that ended, regions that may be free by now.
func (s *session) tick(now time.Time) error {
	s.keeper.tidy(now)
	for _, r := range s.pending {
		if now.Sub(r.sent) > time.Duration(s.cfg.Timeout) {
			s.goodbye(closeTimeouts)
			return fmt.Errorf("the SNMP agent did not answer for %s", s.cfg.Timeout)
		}
	}
	if !s.established {
		return nil
	}
	for i, since := range s.refused {
		if now.Sub(since) >= registerAgain {
			s.refused[i] = now
			if err := s.register(i); err != nil {
				return err
			}
		}
	}
	if len(s.pending) == 0 && now.Sub(s.heard) >= time.Duration(s.cfg.Keepalive) {
		p := s.request(pduPing, 0)
		return s.send(s.enc.bare(&p))
	}
	return nil
}

func (s *session) register(region int) error {
	p := s.request(pduRegister, region)
	return s.send(s.enc.register(&p, 0, byte(s.cfg.Priority), s.collector.roots[region]))
}

// take handles one PDU of the master. It is bad where its payload makes no sense, or, with an error, its header.
func (s *session) take(ctx context.Context, p *pdu, bad bool, err error) error {
	if bad {
		s.stats.bad.Add(1)
	}
	switch {
	case err != nil:
		s.goodbye(closeParseError)
		return err
	case p.kind == pduResponse && bad:
		s.goodbye(closeParseError)
		return errors.New("the SNMP agent sent a response that makes no sense")
	case p.kind == pduResponse:
		return s.response(p)
	case p.kind == pduClose:
		return fmt.Errorf("%w: %s", errClosed, closeReason(p.reason))
	}
	return s.answer(ctx, p, bad)
}

// response takes the answer to a PDU of ours.
func (s *session) response(p *pdu) error {
	r, ok := s.pending[p.packet]
	if !ok {
		s.stats.bad.Add(1) // late or never asked for
		return nil
	}
	delete(s.pending, p.packet)
	switch r.kind {
	case pduOpen:
		if p.err != errNone {
			return fmt.Errorf("open AgentX session: %s", errorName(p.err))
		}
		s.id, s.established = p.session, true
		s.stats.sessions.Add(1)
		s.stats.connected.Store(1)
		for i := range s.granted {
			if err := s.register(i); err != nil {
				return err
			}
		}
	case pduRegister:
		return s.registered(r.region, p.err)
	case pduPing:
		if p.err != errNone {
			return fmt.Errorf("ping the SNMP agent: %s", errorName(p.err))
		}
	}
	return nil
}

// registered takes the answer to a Register. A refused region is asked for again later; the others work meanwhile.
func (s *session) registered(region int, code uint16) error {
	if code == errNotOpen {
		return errors.New("the SNMP agent knows nothing of our session")
	}
	root := s.collector.roots[region]
	_, before := s.refused[region]
	if code == errNone {
		s.granted[region] = true
		delete(s.refused, region)
	} else {
		s.refused[region] = time.Now()
	}
	s.stats.granted.Store(int64(len(s.granted) - len(s.refused) - s.waiting()))
	s.stats.refused.Store(int64(len(s.refused)))
	switch {
	case code != errNone && !before:
		s.log.Warn("the SNMP agent refused a subtree; asking again every "+registerAgain.String(), "subtree", root.String(), "error", errorName(code))
	case code == errNone && before:
		s.log.Info("the SNMP agent granted a subtree after all", "subtree", root.String())
	}
	if !before && s.waiting() == 0 {
		s.log.Info("serving SNMP", slog.String("master", s.cfg.Master), slog.Int("subtrees", len(s.granted)-len(s.refused)), slog.Int("refused", len(s.refused)))
	}
	return nil
}

// waiting is how many regions the master has neither granted nor refused.
func (s *session) waiting() int {
	n := 0
	for i := range s.granted {
		if _, refused := s.refused[i]; !refused && !s.granted[i] {
			n++
		}
	}
	return n
}

func closeReason(reason byte) string {
	names := []string{"", "other", "parse error", "protocol error", "timeouts", "shutdown", "by its manager"}
	if int(reason) < len(names) && reason > 0 {
		return "reason " + names[reason]
	}
	return fmt.Sprintf("reason %d", reason)
}

// errorName says an error of a Response in words that help.
func errorName(code uint16) string {
	names := map[uint16]string{
		errOpenFailed:            "the SNMP agent takes no more sessions",
		errNotOpen:               "the SNMP agent knows nothing of our session",
		errUnsupportedContext:    "it does not know the context",
		errDuplicateRegistration: "another sub-agent has it with the same priority, such as amavisd-snmp-subagent: stop that, or set another priority",
		errUnknownRegistration:   "it does not know the registration",
		errParse:                 "it did not understand us",
		errRequestDenied:         "it does not want to",
		errProcessing:            "it could not",
	}
	if name, ok := names[code]; ok {
		return name
	}
	return fmt.Sprintf("AgentX error %d", code)
}
