package check

import "fmt"

// amavis judges whether amavis works, by its own counters and processes.
func amavis() *Check {
	flags := thresholds(Limit, "percentage of busy processes", "80", "95")
	flags = append(flags, more(Ages, "stage", "time that a process has been at one stage of its work", "5m", "30m")...)
	flags = append(flags, more(Ages, "age", "age of amavis's figures", "10m", "1h")...)
	return &Check{
		Name: "amavis", Reads: Mail, Judge: judgeAmavis,
		Help:    "processes of amavis: how many are busy, and whether one hangs",
		Long:    `No process at all is CRITICAL. Files that amavis has not written for long tell nothing of now and are UNKNOWN.`,
		Example: "varde check amavis -w 80 -c 95 --stage-critical 10m",
		Flags:   append(flags, Flag{Name: "amavis", Default: "/var/lib/amavis/db", Hint: "DIR", Help: "folder of amavis's databases"}),
	}
}

func judgeAmavis(r *Reading, v *Values) Result {
	var out Result
	if up, ok := r.value("amavis_up"); !ok || up != 1 {
		return unknown("amavis cannot be read%s", r.problem())
	}
	if stale, ok := r.value("amavis_data_stale"); !ok || stale != 0 {
		out.find(Unknown, "only amavis's files on the disk can be read, which it leaves behind what it does")
	}
	if age, ok := r.value("amavis_data_age_seconds"); ok {
		out.judge(Perf{Label: "data age", Value: float64(int64(age)), Unit: "s", Warn: v.Range("age-warning"), Crit: v.Range("age-critical")},
			"amavis's figures are "+span(age)+" old")
	} else {
		out.find(Unknown, "it is not known how old amavis's figures are")
	}
	idle, ok1 := r.value("amavis_processes", "state", "idle")
	busy, ok2 := r.value("amavis_processes", "state", "busy")
	switch hidden, _ := r.value("amavis_processes_hidden"); {
	case !ok1 || !ok2:
		out.find(Unknown, "nothing is known of amavis's processes%s", r.problem())
		return out
	case hidden == 1:
		out.find(Unknown, "amavis's processes cannot be seen from here, so it is not known whether they live")
	case idle+busy == 0:
		out.find(Critical, "amavis has no process")
		return out
	}
	text := fmt.Sprintf("%s of %s busy", decimal(busy), plural(int(idle+busy), "process"))
	percent := 0.0
	if idle+busy > 0 {
		percent = 100 * busy / (idle + busy)
	}
	out.judge(Perf{Label: "busy", Value: round(percent), Unit: "%", Warn: v.Range("warning"), Crit: v.Range("critical"), Max: 100}, text)
	if stage, ok := r.value("amavis_busy_oldest_seconds"); ok {
		out.judge(Perf{Label: "stage", Value: round(stage), Unit: "s", Warn: v.Range("stage-warning"), Crit: v.Range("stage-critical")},
			"a process has been at one stage for "+span(stage))
	}
	for _, f := range r.all("amavis_messages_all_total") {
		out.Perf = append(out.Perf, Perf{Label: tag(f, "content"), Value: f.Float(), Unit: "c"})
	}
	out.Summary = text
	return out
}

// round keeps two digits behind the point.
func round(v float64) float64 { return float64(int64(v*100+0.5)) / 100 }
