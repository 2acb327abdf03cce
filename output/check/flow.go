package check

import "fmt"

// flow judges the routers that export flows, one by one.
func flow() *Check {
	flags := thresholds(Ages, "time since the last datagram of an exporter", "5m", "15m")
	flags = append(flags, more(Limit, "lost", "percentage of records or datagrams lost, on the way or here", "1", "5")...)
	flags = append(flags, more(Ages, "lag", "time from export to arrival, by the exporter's clock", "", "")...)
	return &Check{
		Name: "flow", Reads: Daemon, Judge: judgeFlow,
		Help: "routers that export flows: silent, losing, without templates",
		Long: `Losses are counted since the last call of this check, and since varde's start for the first. An exporter that is named
and has sent nothing since varde was started is CRITICAL. Datagrams that wait for their template, and those given up for
want of one, are a WARNING.`,
		Example: "varde check flow --exporter edge-router -w 2m -c 10m --lost-critical 2",
		Flags:   append(flags, Flag{Name: "exporter", Repeat: true, Hint: "NAME", Help: "an exporter, by name or address; all when left out"}),
	}
}

func judgeFlow(r *Reading, v *Values) Result {
	var out Result
	names := v.Texts("exporter")
	if len(names) == 0 {
		if names = r.tags("exporter", "varde_flow_silent_seconds"); len(names) == 0 {
			return unknown("no router has sent anything since varde was started")
		}
	}
	records := uint64(0)
	for _, name := range names {
		records += out.exporter(r, v, name)
	}
	out.Summary = fmt.Sprintf("%s, %s %s", plural(len(names), "exporter"), plural(int(records), "record"), r.since())
	return out
}

// exporter judges one of them and tells how many records it has sent.
func (out *Result) exporter(r *Reading, v *Values, name string) uint64 {
	who := []string{"exporter", name}
	silent, there := r.value("varde_flow_silent_seconds", who...)
	if !there {
		out.find(Critical, "%s has sent nothing since varde was started", name)
		return 0
	}
	out.judge(Perf{Label: name + " silent", Value: round(silent), Unit: "s", Warn: v.Range("warning"), Crit: v.Range("critical")},
		fmt.Sprintf("%s has sent nothing for %s", name, span(silent)))
	records, ok := r.grown("varde_flow_exporter_records_total", who...)
	if !ok {
		out.find(Unknown, "it is not known how many records %s has sent", name)
	}
	before, _ := r.grown("varde_flow_lost_before_total", who...)
	here, _ := r.grown("varde_flow_lost_here_total", who...)
	// Losses are in records or in datagrams, depending on the protocol, so the share is by whichever came in less.
	came := records
	if datagrams, ok := r.grown("varde_flow_exporter_datagrams_total", who...); ok && datagrams > 0 {
		came = min(records, datagrams)
	}
	share := 0.0
	if before+here > 0 {
		share = 100 * float64(before+here) / float64(came+before+here)
	}
	out.judge(Perf{Label: name + " lost", Value: round(share), Unit: "%", Warn: v.Range("lost-warning"), Crit: v.Range("lost-critical"), Max: 100},
		fmt.Sprintf("%s lost %d on the way and %d here %s", name, before, here, r.since()))
	if n, ok := r.grown("varde_flow_undecoded_sets_total", who...); ok && n > 0 {
		out.find(Warning, "%s sent %s for which no template came", name, plural(int(n), "set"))
	}
	if n, ok := r.value("varde_flow_held_sets", who...); ok && n > 0 {
		out.find(Warning, "%s: %s wait for their template", name, plural(int(n), "set"))
	}
	if lag, ok := r.value("varde_flow_export_lag_seconds", who...); ok {
		out.judge(Perf{Label: name + " lag", Value: round(lag), Unit: "s", Warn: v.Range("lag-warning"), Crit: v.Range("lag-critical"), Signed: true},
			fmt.Sprintf("%s sends what is %s old", name, span(lag)))
	}
	out.Perf = append(out.Perf, Perf{Label: name, Value: r.sum("varde_flow_exporter_records_total", who...), Unit: "c"})
	return records
}
