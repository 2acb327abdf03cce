package mailgw

import (
	"context"
	"strings"
	"time"

	"varde/event"
)

// askPostfix makes figures of the queues. A queue of which nothing is known has no figure.
func (g *Gateway) askPostfix(ctx context.Context) ([]event.Figure, time.Time, error) {
	q, err := g.postfix.Snapshot(ctx)
	if err != nil {
		return nil, time.Time{}, err
	}
	return postfixFigures(&q), q.Read, nil
}

func postfixFigures(q *Queues) []event.Figure {
	var out []event.Figure
	for _, x := range q.Queues {
		known := 0.0
		if x.Known {
			known = 1
		}
		out = append(out, event.Measure("postfix_queue_known", "Whether the size of a queue is known.", "", known, "queue", x.Name))
		if !x.Known {
			continue
		}
		out = append(out,
			event.Measure("postfix_queue_messages", "Messages in a queue.", "", float64(x.Messages), "queue", x.Name),
			event.Measure("postfix_queue_bytes", "Bytes in a queue.", "bytes", float64(x.Bytes), "queue", x.Name))
		if x.AtLeast {
			out = append(out, event.Measure("postfix_queue_more", "The queue was too large to count in time: there are more.", "", 1, "queue", x.Name))
		}
		if x.Messages == 0 || !x.Oldest.IsZero() {
			age := 0.0
			if x.Messages > 0 {
				age = max(0, q.Read.Sub(x.Oldest).Seconds())
			}
			out = append(out, event.Measure("postfix_queue_oldest_age_seconds", "Age of the oldest message in a queue.", "seconds", age, "queue", x.Name))
		}
	}
	return out
}

func (g *Gateway) askRspamd(ctx context.Context) ([]event.Figure, time.Time, error) {
	v, err := g.rspamd.Snapshot(ctx)
	if err != nil {
		return nil, time.Time{}, err
	}
	out := []event.Figure{
		event.Measure("rspamd_uptime_seconds", "Time since rspamd was started.", "seconds", v.Uptime.Seconds()),
		event.Count("rspamd_scanned_total", "Messages scanned.", v.Scanned),
		event.Count("rspamd_learned_total", "Messages learned.", v.Learned),
		event.Count("rspamd_spam_total", "Messages found to be spam.", v.Spam),
		event.Count("rspamd_ham_total", "Messages found not to be spam.", v.Ham),
		event.Count("rspamd_connections_total", "Connections taken.", v.Connections),
		event.Measure("rspamd_allocated_bytes", "Memory that rspamd holds.", "bytes", float64(v.Allocated)),
	}
	for i, name := range RspamdActions {
		out = append(out, event.Count("rspamd_actions_total", "Messages by what rspamd advised.", v.Actions[i], "action", strings.ReplaceAll(name, " ", "_")))
	}
	if n := len(v.ScanTimes); n > 0 {
		var sum time.Duration
		for _, t := range v.ScanTimes {
			sum += t
		}
		out = append(out, event.Measure("rspamd_scan_seconds", "Time for one message, mean of the last ones.", "seconds", (sum/time.Duration(n)).Seconds()))
	}
	return out, v.Read, nil
}

func (g *Gateway) askClamAV(ctx context.Context) ([]event.Figure, time.Time, error) {
	s, err := g.clamav.Snapshot(ctx)
	if err != nil {
		return nil, time.Time{}, err
	}
	g.sample("clamd", s.Daemon.Err)
	g.sample("clamav upstream", s.Upstream.Err)
	g.sample("freshclam.dat", s.RetryErr)
	for _, d := range s.Databases {
		g.sample("clamav "+d.Name, d.Err)
	}
	return clamavFigures(&s), s.Read, nil
}

func clamavFigures(s *ClamAVState) []event.Figure {
	const known = "Whether it can be told how old the signatures are."
	var out []event.Figure
	for _, d := range s.Databases {
		if d.Err != nil {
			out = append(out, event.Measure("antivirus_known", known, "", 0, "scanner", "clamav", "database", d.Name))
			continue
		}
		out = append(out,
			event.Measure("antivirus_known", known, "", 1, "scanner", "clamav", "database", d.Name),
			event.Measure("antivirus_signatures_age_seconds", "Time since the signatures were made.", "seconds", s.Read.Sub(d.Built).Seconds(),
				"scanner", "clamav", "database", d.Name),
			event.Measure("clamav_database_version", "Version of a database on the disk.", "", float64(d.Version), "database", d.Name),
			event.Measure("clamav_database_signatures", "Signatures in a database on the disk.", "", float64(d.Count), "database", d.Name))
		if lag, ok := s.Lag(d.Name); ok {
			out = append(out, event.Measure("clamav_upstream_lag_versions", "Versions that the disk is behind upstream.", "", float64(lag), "database", d.Name))
		}
	}
	if s.Daemon.Asked {
		up := 1.0
		if s.Daemon.Err != nil {
			up = 0
		}
		out = append(out, event.Measure("clamd_up", "Whether clamd answers.", "", up))
	}
	if s.Daemon.Version != 0 {
		out = append(out, event.Measure("clamd_database_version", "Version of daily in the running clamd.", "", float64(s.Daemon.Version)))
	}
	if lag, ok := s.DaemonLag(); ok {
		out = append(out, event.Measure("clamd_lag_versions", "Versions of daily that the running clamd is behind the disk.", "", float64(lag)))
	}
	if s.Upstream.Asked {
		up := 1.0
		if s.Upstream.Err != nil {
			up = 0
		}
		out = append(out, event.Measure("clamav_upstream_up", "Whether the project's DNS record can be read and believed.", "", up))
	}
	if s.RetryErr != nil {
		return out
	}
	blocked := 0.0
	if !s.RetryAfter.IsZero() {
		blocked = s.RetryAfter.Sub(s.Read).Seconds()
	}
	return append(out, event.Measure("freshclam_blocked_seconds", "For how long the mirror still refuses freshclam.", "seconds", blocked))
}

func (g *Gateway) askScanners(ctx context.Context) ([]event.Figure, time.Time, error) {
	var out []event.Figure
	at := g.now()
	for _, s := range g.scanners.Snapshot(ctx) {
		g.sample(s.Name, s.Err)
		out = append(out, scannerFigures(&s)...)
	}
	return out, at, nil
}

func scannerFigures(s *ScannerState) []event.Figure {
	known, fresh := 1.0, 0.0
	if s.State == NotKnown {
		known = 0
	}
	if s.State == Current {
		fresh = 1
	}
	out := []event.Figure{event.Measure("antivirus_known", "Whether it can be told how old the signatures are.", "", known, "scanner", s.Name, "database", "")}
	if known == 0 {
		return out
	}
	if s.State != Dated {
		out = append(out, event.Measure("antivirus_current", "Whether the signatures are the newest, as the vendor says.", "", fresh, "scanner", s.Name))
	}
	if !s.Made.IsZero() {
		out = append(out, event.Measure("antivirus_signatures_age_seconds", "Time since the signatures were made.", "seconds",
			s.Read.Sub(s.Made).Seconds(), "scanner", s.Name, "database", ""))
	}
	if s.Value != nil {
		out = append(out, event.Measure("antivirus_probe_value", "Number that a probe found.", "", *s.Value, "scanner", s.Name))
	}
	return append(out, event.Measure("antivirus_issues", "Things that the scanner complains of.", "", float64(len(s.Issues)), "scanner", s.Name))
}

// sample logs what one part of a source complains of, when it begins and then now and again.
func (g *Gateway) sample(part string, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err == nil {
		delete(g.complained, part)
		return
	}
	if now := g.now(); now.Sub(g.complained[part]) >= repeatLog {
		g.complained[part] = now
		g.log.Warn("part of a mail source cannot be read", "part", part, "error", err)
	}
}
