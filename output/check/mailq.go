package check

import (
	"fmt"
	"slices"
	"strings"
)

// mailq judges the queues of Postfix. A queue that cannot be read is UNKNOWN and never empty.
func mailq() *Check {
	return &Check{
		Name: "mailq", Reads: Mail, Judge: judgeMailq,
		Help: "messages in the queues of Postfix, and the age of the oldest",
		Long: `All queues named by --queue are added up for the first two thresholds. It works for users that may open the showq
service (group postdrop) or run postqueue; where neither can be, the result is UNKNOWN and not an empty queue.`,
		Example: "varde check mailq -w 100 -c 500 --age-warning 6h --age-critical 2d",
		Flags: append(
			append(thresholds(Limit, "number of messages", "100", "500"),
				more(Ages, "age", "age of the oldest message", "1d", "3d")...),
			Flag{Name: "queue", Repeat: true, Hint: "NAME", Help: "a queue to judge; maildrop, incoming, active and deferred when left out"},
			Flag{Name: "queue-dir", Default: "/var/spool/postfix", Hint: "DIR", Help: "queue_directory of Postfix"},
			Flag{Name: "postqueue", Default: "postqueue", Hint: "PROGRAM", Help: "postqueue of this Postfix"}),
	}
}

func judgeMailq(r *Reading, v *Values) Result {
	var out Result
	queues := v.Texts("queue")
	if len(queues) == 0 {
		queues = []string{"maildrop", "incoming", "active", "deferred"}
	}
	if up, ok := r.value("postfix_up"); !ok || up != 1 {
		return unknown("the queues of Postfix cannot be read%s", r.problem())
	}
	total, oldest, whole := 0.0, 0.0, true
	var words []string
	for _, name := range r.tags("queue", "postfix_queue_known") {
		n, known := r.value("postfix_queue_messages", "queue", name)
		if known {
			out.Perf = append(out.Perf, Perf{Label: name, Value: n})
		}
		if !slices.Contains(queues, name) {
			continue
		}
		if !known {
			out.find(Unknown, "nothing is known of the queue %s%s", name, r.problem(name))
			continue
		}
		total += n
		words = append(words, fmt.Sprintf("%s %s", decimal(n), name))
		if more, _ := r.value("postfix_queue_more", "queue", name); more == 1 {
			whole = false
		}
		switch age, dated := r.value("postfix_queue_oldest_age_seconds", "queue", name); {
		case dated:
			oldest = max(oldest, age)
		case v.Text("age-warning")+v.Text("age-critical") != "":
			out.find(Unknown, "it is not known how old the oldest message in %s is", name)
		}
	}
	for _, name := range queues {
		if len(r.all("postfix_queue_known", "queue", name)) == 0 {
			out.find(Unknown, "there is no queue %s", name)
		}
	}
	text := plural(int(total), "message") + " (" + strings.Join(words, ", ") + ")"
	n := len(out.findings)
	out.judge(Perf{Label: "messages", Value: total, Warn: v.Range("warning"), Crit: v.Range("critical")}, text)
	if !whole && len(out.findings) == n {
		out.find(Unknown, "more than %s: counting took too long", text)
	}
	out.judge(Perf{Label: "oldest", Value: float64(int64(oldest)), Unit: "s", Warn: v.Range("age-warning"), Crit: v.Range("age-critical")},
		"the oldest message is "+span(oldest)+" old")
	out.Summary = text
	return out
}
