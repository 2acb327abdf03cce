package syslog

import (
	"context"
	"sync"
	"time"

	"varde/event"
)

const (
	maxFigured    = 200              // peers that have figures of their own; the totals count all
	complainEvery = 10 * time.Second // at most one line in the log
)

// complaint keeps a hostile sender from filling our own log.
type complaint struct {
	mu      sync.Mutex
	last    time.Time
	skipped int
}

// complain logs, at most once in a while, and says how much it kept back.
func (s *Server) complain(message string, args ...any) {
	c := &s.complaint
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if now.Sub(c.last) < complainEvery {
		c.skipped++
		return
	}
	if c.skipped > 0 {
		args = append(args, "and_more", c.skipped)
	}
	c.last, c.skipped = now, 0
	s.log.Warn(message, args...)
}

// Figures gives totals and what is known of each peer.
func (s *Server) Figures(context.Context) ([]event.Figure, error) {
	all := s.peers.all()
	var out []event.Figure
	for t := range transports {
		out = append(out, event.Count("varde_syslog_lines_total", "Lines received.", s.got[t].Load(), "over", transportNames[t]))
	}
	out = append(out,
		event.Count("varde_syslog_octets_total", "Bytes of these lines.", s.octets.Load()),
		event.Count("varde_syslog_cut_total", "Lines over 8 KiB or broken off, read in part.", s.cut.Load()),
		event.Count("varde_syslog_bare_total", "Lines without an envelope; their time is when they came.", s.bare.Load()),
		event.Count("varde_syslog_empty_total", "Lines and datagrams in which nothing stands.", s.empty.Load()),
		event.Count("varde_syslog_unlisted_total", "Datagrams and connections of senders that the configuration does not list.", s.unlisted.Load()),
		event.Count("varde_syslog_socket_dropped_total", "Datagrams that our own sockets dropped.", s.dropped.Load()),
		event.Measure("varde_syslog_connections", "Open connections.", "", float64(s.open.Load())),
		event.Count("varde_syslog_accepted_total", "Connections accepted.", s.accepted.Load()),
		event.Count("varde_syslog_refused_total", "Connections refused, since too many were open.", s.refused.Load()),
		event.Count("varde_syslog_silent_total", "Connections closed, since nothing came or a line did not end.", s.silent.Load()),
		event.Count("varde_syslog_broken_total", "Connections that broke.", s.broke.Load()),
		event.Count("varde_syslog_handshake_failed_total", "Connections that did not get through the TLS handshake.", s.handshakes.Load()),
		event.Measure("varde_syslog_peers", "Senders remembered.", "", float64(len(all))),
	)
	now := time.Now()
	for _, p := range all[:min(len(all), maxFigured)] {
		out = append(out, p.figures(p.addr.String(), now)...)
	}
	for i := range s.peers.rests {
		p := &s.peers.rests[i]
		if p.lines.Load() == 0 {
			continue
		}
		label := "others"
		if i < len(s.peers.known) {
			label += " of " + s.peers.known[i].prefix.String()
		}
		out = append(out, p.figures(label, now)...)
	}
	return out, nil
}

func (p *peer) figures(label string, now time.Time) []event.Figure {
	l := []string{"peer", label}
	if p.name != "" {
		l = append(l, "name", p.name)
	}
	return []event.Figure{
		event.Count("varde_syslog_peer_lines_total", "Lines of one sender.", p.lines.Load(), l...),
		event.Count("varde_syslog_peer_cut_total", "Lines of one sender that were cut.", p.cut.Load(), l...),
		event.Count("varde_syslog_peer_ahead_total", "Lines of one sender from the future: its clock or its zone is wrong.", p.ahead.Load(), l...),
		event.Measure("varde_syslog_peer_lag_seconds", "Received minus told, of the sender's last line with a time.", "seconds", time.Duration(p.lag.Load()).Seconds(), l...),
		event.Measure("varde_syslog_peer_silent_seconds", "Since the last line of one sender.", "seconds", now.Sub(time.Unix(0, p.last.Load())).Seconds(), l...),
	}
}
