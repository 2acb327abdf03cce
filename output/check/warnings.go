package check

import "fmt"

// warnings judges what varde warns of, and whether its warnings reach anybody.
func warnings() *Check {
	return &Check{
		Name: "warnings", Reads: Daemon, Judge: judgeWarnings,
		Help: "open incidents, and whether warnings are delivered",
		Long: `An incident is open until its traffic has been quiet for a while. A receiver of warnings that is down is a WARNING, and
warnings lost since the last call of this check are CRITICAL.`,
		Example: "varde check warnings -w 0 -c 10",
		Flags: append(thresholds(Limit, "number of open incidents", "0", "10"),
			more(Limit, "waiting", "number of warnings that wait for their receiver", "100", "10000")...),
	}
}

func judgeWarnings(r *Reading, v *Values) Result {
	var out Result
	if len(r.all("varde_incidents_open")) == 0 {
		return unknown("varde does not tell how many incidents are open")
	}
	open := r.sum("varde_incidents_open")
	said, ok := r.grown("varde_warnings_total")
	if !ok {
		out.find(Unknown, "varde does not tell how many warnings it raised")
	}
	text := fmt.Sprintf("%s open, %s %s", plural(int(open), "incident"), plural(int(said), "warning"), r.since())
	out.judge(Perf{Label: "open", Value: open, Warn: v.Range("warning"), Crit: v.Range("critical")}, text)
	out.Perf = append(out.Perf, Perf{Label: "warnings", Value: r.sum("varde_warnings_total"), Unit: "c"})
	outputs := r.tags("output", "varde_output_said_total", "varde_output_waiting")
	if len(outputs) == 0 {
		out.find(Unknown, "varde has nowhere to warn")
	}
	for _, name := range outputs {
		if down, _ := r.value("varde_output_failing", "output", name); down != 0 {
			out.find(Warning, "warnings cannot be delivered by %s", name)
		}
		if n, _ := r.grown("varde_output_lost_total", "output", name); n > 0 {
			out.find(Critical, "%s lost %s %s", name, plural(int(n), "warning"), r.since())
		}
		if n, _ := r.grown("varde_output_refused_total", "output", name); n > 0 {
			out.find(Warning, "the receiver of %s refused %s %s", name, plural(int(n), "warning"), r.since())
		}
		waiting, ok := r.value("varde_output_waiting", "output", name)
		if !ok {
			out.find(Unknown, "it is not known how many warnings wait for %s", name)
			continue
		}
		out.judge(Perf{Label: name + " waiting", Value: waiting, Warn: v.Range("waiting-warning"), Crit: v.Range("waiting-critical")},
			fmt.Sprintf("%s for %s", plural(int(waiting), "waiting warning"), name))
	}
	out.Summary = text
	return out
}
