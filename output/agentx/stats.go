package agentx

import (
	"sync/atomic"
	"time"

	"varde/event"
)

// stats counts what happens.
type stats struct {
	connected, granted, refused   atomic.Int64
	sessions, bad, errors, values atomic.Uint64
	asked                         [pduPing + 1]atomic.Uint64 // requests by type
}

// askedNames are the requests that are counted apart.
func askedNames() map[byte]string {
	return map[byte]string{
		pduGet: "get", pduGetNext: "getnext", pduGetBulk: "getbulk", pduTestSet: "set",
	}
}

func (s *stats) figures(a *Agent) []event.Figure {
	out := []event.Figure{
		event.Measure("varde_agentx_connected", "1 while there is a session with the SNMP agent.", "", float64(s.connected.Load())),
		event.Measure("varde_agentx_subtrees", "Subtrees that the SNMP agent has granted.", "", float64(s.granted.Load())),
		event.Measure("varde_agentx_subtrees_refused", "Subtrees that it has refused, as where another sub-agent has them.", "", float64(s.refused.Load())),
		event.Count("varde_agentx_sessions_total", "Sessions begun.", s.sessions.Load()),
		event.Count("varde_agentx_values_total", "Values answered.", s.values.Load()),
		event.Count("varde_agentx_errors_total", "Requests answered with an error.", s.errors.Load()),
		event.Count("varde_agentx_bad_total", "PDUs that were not understood.", s.bad.Load()),
		event.Count("varde_agentx_part_errors_total", "How often a part had no figures.", a.collector.failures.Load()),
	}
	for kind, name := range askedNames() {
		out = append(out, event.Count("varde_agentx_requests_total", "Requests of the SNMP agent.", s.asked[kind].Load(), "request", name))
	}
	k := a.keeper
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.now != nil {
		out = append(out,
			event.Measure("varde_agentx_snapshot_seconds", "How long making the last snapshot took.", "seconds", k.took.Seconds()),
			event.Measure("varde_agentx_snapshot_age_seconds", "Age of the newest snapshot; it is renewed when somebody asks.", "seconds", time.Since(k.now.made).Seconds()))
	}
	return out
}
