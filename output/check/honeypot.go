package check

import (
	"fmt"
	"slices"
)

// honeypot judges whether the honeypot still listens and is still visited.
func honeypot() *Check {
	flags := thresholds(Ages, "time since the last visit", "1d", "7d")
	return &Check{
		Name: "honeypot", Reads: Daemon, Judge: judgeHoneypot,
		Help: "whether the services of the honeypot listen, and when it was last visited",
		Long: `A honeypot that nobody visits is most often one that nobody can reach. A service that is configured and does not listen is
CRITICAL.`,
		Example: "varde check honeypot --service ssh --service telnet -w 6h -c 2d",
		Flags:   append(flags, Flag{Name: "service", Repeat: true, Hint: "NAME", Help: "a service that must listen; those of the configuration when left out"}),
	}
}

func judgeHoneypot(r *Reading, v *Values) Result {
	var out Result
	listening := r.tags("service", "varde_honeypot_listening")
	for _, name := range v.Texts("service") {
		if !slices.Contains(listening, name) {
			out.find(Unknown, "varde has no service %s", name)
		}
	}
	if len(listening) == 0 {
		return unknown("varde has no honeypot")
	}
	for _, name := range listening {
		if len(v.Texts("service")) > 0 && !slices.Contains(v.Texts("service"), name) {
			continue
		}
		if on, _ := r.value("varde_honeypot_listening", "service", name); on != 1 {
			out.find(Critical, "%s does not listen", name)
		}
		out.Perf = append(out.Perf, Perf{Label: name, Value: r.sum("varde_honeypot_sessions_total", "service", name), Unit: "c"})
	}
	visits, ok := r.grown("varde_honeypot_sessions_total")
	if !ok {
		out.find(Unknown, "varde does not tell how often the honeypot was visited")
	}
	silent, ok := r.value("varde_honeypot_silent_seconds")
	if ok {
		out.judge(Perf{Label: "silent", Value: float64(int64(silent)), Unit: "s", Warn: v.Range("warning"), Crit: v.Range("critical")},
			"nobody came for "+span(silent))
	} else {
		out.find(Unknown, "it is not known when somebody last came")
	}
	out.Summary = fmt.Sprintf("%s listen, %s %s", plural(len(listening), "service"), plural(int(visits), "visit"), r.since())
	return out
}
