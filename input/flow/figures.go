package flow

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"

	"varde/event"
)

// maxFigured bounds the exporters that have figures of their own; the totals count all of them.
const maxFigured = 500

// ExporterStatus is what the page Health says of one exporter.
type ExporterStatus struct {
	Addr       netip.Addr
	Name       string
	Version    Version
	First      time.Time
	Last       time.Time
	Datagrams  uint64
	Records    uint64
	LostBefore uint64        // before us: records for NetFlow v5 and IPFIX, datagrams for v9 and sFlow
	LostHere   uint64        // in our socket, same unit
	Undecoded  uint64        // data sets given up for want of a template
	Held       int           // data sets that wait for their template
	HeldBytes  int           // what they take
	HeldSince  time.Time     // when the oldest of them came
	Templates  int           // known templates
	Sampling   uint32        // highest rate met; 0 none yet
	Unsampled  bool          // records came whose sampling rate nobody has told; they count as unsampled
	Restarts   uint64        // how often it began again
	Duplicates uint64        // datagrams that came twice
	ExportLag  time.Duration // its clock and the way: received minus exported of the last datagram
}

// Exporters is the state of every exporter, by name.
func (c *Collector) Exporters() []ExporterStatus {
	var out []ExporterStatus
	for _, x := range c.all() {
		x.mu.Lock()
		s := ExporterStatus{
			Addr: x.addr, Name: x.name, Version: x.version, First: event.Stamp(x.first), Last: event.Stamp(x.last),
			Datagrams: x.datagrams, Records: x.records, LostBefore: x.lost, LostHere: x.lostHere, Undecoded: x.undecoded,
			Held: len(x.pending.sets), HeldBytes: x.pending.bytes, Sampling: x.maxRate, Unsampled: x.unsampled,
			Restarts: x.restarts, Duplicates: x.duplicates, ExportLag: time.Duration(x.exportLag),
		}
		if s.Held > 0 {
			s.HeldSince = event.Stamp(x.pending.sets[0].received)
		}
		for _, d := range x.domains {
			s.Templates += d.taught
		}
		x.mu.Unlock()
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b ExporterStatus) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), a.Addr.Compare(b.Addr))
	})
	return out
}

// Figures gives totals, bad input by reason, and the figures of each exporter.
func (c *Collector) Figures(context.Context) ([]event.Figure, error) {
	all := c.Exporters()
	out := []event.Figure{
		event.Count("varde_flow_datagrams_total", "Export datagrams received.", c.datagram.Load()),
		event.Count("varde_flow_records_total", "Flow records decoded.", c.records.Load()),
		event.Count("varde_flow_socket_dropped_total", "Datagrams that our own sockets dropped.", c.dropped.Load()),
		event.Count("varde_flow_template_fallback_total", "Data sets decoded by a template of another source port.", c.fallback.Load()),
		event.Count("varde_flow_exporters_refused_total", "Datagrams of exporters for which there was no room.", c.refused.Load()),
		event.Count("varde_flow_exporters_evicted_total", "Exporters forgotten to make room.", c.evicted.Load()),
		event.Count("varde_flow_exporters_unlisted_total", "Datagrams of exporters that the configuration does not list.", c.unlisted.Load()),
		event.Measure("varde_flow_exporters", "Exporters remembered.", "", float64(len(all))),
		event.Measure("varde_flow_memory_bytes", "Bytes that what exporters have taught takes, estimated.", "bytes", float64(c.memory.Load())),
		event.Measure("varde_flow_held_bytes", "Bytes of data sets that wait for their template.", "bytes", float64(c.held.Load())),
	}
	for why := range numReasons {
		out = append(out, event.Count("varde_flow_bad_total", "Datagrams, sets and records not understood, by reason.",
			c.bad[why].Load(), "reason", reasonNames[why]))
	}
	slices.SortStableFunc(all, func(a, b ExporterStatus) int { return cmp.Compare(b.Records, a.Records) })
	now := time.Now()
	seen := map[string]bool{}
	for _, x := range all[:min(len(all), maxFigured)] {
		label := x.Name
		if seen[label] {
			label += " " + x.Addr.String()
		}
		seen[label] = true
		l := []string{"exporter", label}
		out = append(out,
			event.Count("varde_flow_exporter_datagrams_total", "Datagrams of one exporter.", x.Datagrams, l...),
			event.Count("varde_flow_exporter_records_total", "Records of one exporter.", x.Records, l...),
			event.Count("varde_flow_lost_before_total", "Lost before us by the sequence: records (v5, IPFIX) or datagrams (v9, sFlow).", x.LostBefore, l...),
			event.Count("varde_flow_lost_here_total", "Lost in our own socket, same unit.", x.LostHere, l...),
			event.Count("varde_flow_undecoded_sets_total", "Data sets given up for want of a template.", x.Undecoded, l...),
			event.Count("varde_flow_exporter_restarts_total", "How often the exporter began again.", x.Restarts, l...),
			event.Measure("varde_flow_held_sets", "Data sets of one exporter that wait for their template.", "", float64(x.Held), l...),
			event.Measure("varde_flow_templates", "Templates known of one exporter.", "", float64(x.Templates), l...),
			event.Measure("varde_flow_sampling_rate", "Highest sampling rate of one exporter, 0 when not told.", "", float64(x.Sampling), l...),
			event.Measure("varde_flow_export_lag_seconds", "Received minus exported, by the exporter's clock.", "seconds", x.ExportLag.Seconds(), l...),
			event.Measure("varde_flow_silent_seconds", "Since the last datagram of one exporter.", "seconds", now.Sub(x.Last).Seconds(), l...),
		)
	}
	return out, nil
}
