package check

import "fmt"

// rspamd judges whether rspamd answers and how long it takes for a message.
func rspamd() *Check {
	return &Check{
		Name: "rspamd", Reads: Mail, Judge: judgeRspamd,
		Help:    "whether rspamd answers, and how long it takes for a message",
		Long:    `The thresholds are for the mean time of the last messages that it scanned. One that has scanned none yet is OK.`,
		Example: "varde check rspamd --rspamd http://127.0.0.1:11334/stat -w 5 -c 20",
		Flags: append(thresholds(Limit, "number of seconds for a message", "5", "20"),
			Flag{Name: "rspamd", Default: "http://127.0.0.1:11334/stat", Hint: "URL", Help: "its page of statistics"}),
	}
}

func judgeRspamd(r *Reading, v *Values) Result {
	var out Result
	if up, ok := r.value("rspamd_up"); !ok || up != 1 {
		return unknown("rspamd cannot be read%s", r.problem())
	}
	scanned, ok := r.value("rspamd_scanned_total")
	if !ok {
		return unknown("rspamd does not tell what it scanned")
	}
	out.Summary = fmt.Sprintf("%s scanned", plural(int(scanned), "message"))
	out.Perf = append(out.Perf, Perf{Label: "scanned", Value: scanned, Unit: "c"})
	if mean, ok := r.value("rspamd_scan_seconds"); ok {
		out.judge(Perf{Label: "scan", Value: round(mean), Unit: "s", Warn: v.Range("warning"), Crit: v.Range("critical")},
			fmt.Sprintf("a message takes %s s", decimal(round(mean))))
	} else if scanned > 0 {
		out.detail("no message was scanned since rspamd was started")
	}
	for _, f := range r.all("rspamd_actions_total") {
		out.Perf = append(out.Perf, Perf{Label: tag(f, "action"), Value: f.Float(), Unit: "c"})
	}
	return out
}
