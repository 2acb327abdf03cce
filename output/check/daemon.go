package check

import (
	"fmt"
	"time"
)

const daemonName = "daemon"

// daemon judges the running varde itself.
func daemon() *Check {
	flags := thresholds(Limit, "number of seconds that the answer takes", "2", "5")
	flags = append(flags, more(Limit, "memory", "number of MB of memory", "", "")...)
	return &Check{
		Name: daemonName, Reads: Daemon, Judge: judgeDaemon,
		Help: "whether varde runs, answers and stores",
		Long: `A varde that does not run is CRITICAL here and UNKNOWN to the other checks. So is a store that pauses for want of disk
space, and events that were not stored since the last call of this check.`,
		Example: "varde check daemon --memory-warning 2000",
		Flags:   flags,
	}
}

func judgeDaemon(r *Reading, v *Values) Result {
	var out Result
	took := r.took.Seconds()
	events, ok := r.grown("varde_events_total")
	if !ok {
		return unknown("what answers is not varde: it has no figure varde_events_total")
	}
	out.Summary = fmt.Sprintf("%s %s", plural(int(events), "event"), r.since())
	if start, ok := r.value("process_start_time_seconds"); ok {
		up := time.Since(time.Unix(int64(start), 0)).Seconds()
		out.Summary = fmt.Sprintf("up for %s, %s", span(up), out.Summary)
		out.Perf = append(out.Perf, Perf{Label: "uptime", Value: float64(int64(up)), Unit: "s"})
	}
	out.judge(Perf{Label: "answer", Value: float64(int64(took*1e6)) / 1e6, Unit: "s", Warn: v.Range("warning"), Crit: v.Range("critical")},
		fmt.Sprintf("the answer took %s", span(took)))
	if b, ok := r.value("process_resident_memory_bytes"); ok {
		out.judge(Perf{Label: "memory", Value: round(b / 1e6), Unit: "MB", Warn: v.Range("memory-warning"), Crit: v.Range("memory-critical")},
			fmt.Sprintf("varde takes %s MB of memory", decimal(round(b/1e6))))
	} else if v.Text("memory-warning")+v.Text("memory-critical") != "" {
		out.find(Unknown, "it is not known how much memory varde takes")
	}
	out.Perf = append(out.Perf, Perf{Label: "events", Value: r.sum("varde_events_total"), Unit: "c"})
	if paused, _ := r.value("varde_store_paused"); paused != 0 {
		out.find(Critical, "storing pauses for want of disk space; warning goes on")
	}
	if n, _ := r.grown("varde_store_not_stored_total"); n > 0 {
		out.find(Critical, "%s lost on the way to the store %s", plural(int(n), "event"), r.since())
	}
	if n, _ := r.grown("varde_store_warnings_not_kept_total"); n > 0 {
		out.find(Warning, "%s went out and were not kept %s", plural(int(n), "warning"), r.since())
	}
	for _, f := range r.all("varde_figures_errors_total") {
		if n, _ := r.grown("varde_figures_errors_total", "part", tag(f, "part")); n > 0 {
			out.find(Warning, "the part %s gave no figures", tag(f, "part"))
		}
	}
	if n, _ := r.grown("varde_store_set_aside_total"); n > 0 {
		out.find(Warning, "%s of the store could not be read and were set aside", plural(int(n), "file"))
	}
	return out
}
