package check

import (
	"fmt"
	"slices"
	"strings"
)

// intake is one way in, and the figures that tell what came and what did not.
type intake struct {
	name, what string
	came       string
	lost       []string // never seen by varde, or given up unread
	bad        []string // seen and not understood
	silent     string   // seconds since something came, of each sender or file
}

// intakes are all ways in.
func intakes() []intake {
	return []intake{
		{"flow", "datagram", "varde_flow_datagrams_total", []string{"varde_flow_socket_dropped_total", "varde_flow_exporters_refused_total"}, []string{"varde_flow_bad_total"}, "varde_flow_silent_seconds"},
		{"syslog", "line", "varde_syslog_lines_total", []string{"varde_syslog_socket_dropped_total"}, []string{"varde_syslog_cut_total"}, "varde_syslog_peer_silent_seconds"},
		{"firewall", "line", "varde_firewall_lines_total", []string{"varde_firewall_lost_total"}, []string{"varde_firewall_unparsed_total", "varde_firewall_cut_total"}, ""},
		{"files", "line", "varde_follow_lines_total", []string{"varde_follow_gaps_total"}, []string{"varde_follow_cut_total"}, "varde_follow_silent_seconds"},
		{"mail", "line", "varde_mail_log_lines_total", nil, []string{"varde_mail_log_cut_total"}, ""},
	}
}

// inputs judges what came in against what was lost or not understood on the way.
func inputs() *Check {
	flags := thresholds(Limit, "percentage that was lost or not understood", "1", "5")
	flags = append(flags, more(Ages, "silent", "time since anything came in", "", "")...)
	return &Check{
		Name: "input", Reads: Daemon, Judge: judgeInput,
		Help: "what was lost or not understood on its way in",
		Long: `Losses are counted since the last call of this check, and since varde's start for the first. Without --input all ways
in are judged that got anything at all; one that is named and got nothing is UNKNOWN. A source of mail figures that
cannot be read is a WARNING.`,
		Example: "varde check input --input flow --input syslog --silent-critical 15m",
		Flags:   append(flags, Flag{Name: "input", Repeat: true, Hint: "NAME", Help: "flow, syslog, firewall, files or mail; may be given more than once"}),
	}
}

func judgeInput(r *Reading, v *Values) Result {
	var out Result
	named := v.Texts("input")
	all := intakes()
	for _, name := range named {
		if !slices.ContainsFunc(all, func(i intake) bool { return i.name == name }) {
			out.find(Unknown, "there is no input %s; use flow, syslog, firewall, files or mail", name)
		}
	}
	var words []string
	for _, in := range all {
		asked := slices.Contains(named, in.name)
		total := r.sum(in.came)
		switch {
		case len(named) > 0 && !asked, total == 0 && !asked:
			continue
		case len(r.all(in.came)) == 0:
			out.find(Unknown, "varde has no input %s", in.name)
			continue
		case total == 0:
			out.find(Unknown, "%s: nothing came in since varde was started", in.name)
		}
		words = append(words, out.intake(r, v, &in))
	}
	for _, f := range r.all("varde_mail_source_up") {
		if f.Float() != 1 && (len(named) == 0 || slices.Contains(named, "mail")) {
			out.find(Warning, "%s cannot be read", tag(f, "source"))
		}
	}
	if len(words) == 0 && len(out.findings) == 0 {
		out.find(Unknown, "nothing came in since varde was started")
	}
	out.Summary = strings.Join(words, ", ") + " " + r.since()
	return out
}

// intake judges one way in and says what came.
func (out *Result) intake(r *Reading, v *Values, in *intake) string {
	came, _ := r.grown(in.came)
	lost, bad := uint64(0), uint64(0)
	for _, name := range in.lost {
		n, _ := r.grown(name)
		lost += n
	}
	for _, name := range in.bad {
		n, _ := r.grown(name)
		bad += n
	}
	share := 0.0
	if lost+bad > 0 {
		share = min(100, 100*float64(lost+bad)/float64(max(came+lost, 1)))
	}
	text := fmt.Sprintf("%s: %s", in.name, plural(int(came), in.what))
	out.judge(Perf{Label: in.name + " lost", Value: round(share), Unit: "%", Warn: v.Range("warning"), Crit: v.Range("critical"), Max: 100},
		fmt.Sprintf("%s, %d lost and %d not understood %s", text, lost, bad, r.since()))
	out.Perf = append(out.Perf, Perf{Label: in.name, Value: r.sum(in.came), Unit: "c"})
	if silent := r.all(in.silent); in.silent != "" && len(silent) > 0 {
		least := silent[0].Float()
		for _, f := range silent {
			least = min(least, f.Float())
		}
		out.judge(Perf{Label: in.name + " silent", Value: round(least), Unit: "s", Warn: v.Range("silent-warning"), Crit: v.Range("silent-critical")},
			fmt.Sprintf("%s: nothing came in for %s", in.name, span(least)))
	}
	return text
}

// sum adds up all figures of a name.
func (r *Reading) sum(name string, labels ...string) float64 {
	sum := 0.0
	for _, f := range r.all(name, labels...) {
		sum += f.Float()
	}
	return sum
}
