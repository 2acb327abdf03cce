package check

import "fmt"

// feed judges the lists of indicators: whether they come, are whole and are fresh.
func feed() *Check {
	flags := thresholds(Ages, "time since the list's server last answered well", "1d", "7d")
	flags = append(flags, more(Ages, "changed", "time since the list last changed", "", "")...)
	flags = append(flags, more(Limit, "entries", "number of entries", "", "1:")...)
	return &Check{
		Name: "feed", Reads: Daemon, Judge: judgeFeed,
		Help: "lists of indicators: age, size, and whether they could be read",
		Long: `A list that has never been read is CRITICAL. A list that could not be read last time is a WARNING until the thresholds
for its age say more: the last good copy goes on being matched.`,
		Example: "varde check feed --list threatfox -w 6h -c 2d --entries-critical 1000:",
		Flags:   append(flags, Flag{Name: "list", Repeat: true, Hint: "NAME", Help: "a list to judge; all when left out"}),
	}
}

func judgeFeed(r *Reading, v *Values) Result {
	var out Result
	lists := v.Texts("list")
	if len(lists) == 0 {
		if lists = r.tags("list", "varde_list_entries"); len(lists) == 0 {
			return unknown("varde has no list")
		}
	}
	total := 0.0
	for _, name := range lists {
		entries, there := r.value("varde_list_entries", "list", name)
		if !there {
			out.find(Unknown, "varde has no list %s", name)
			continue
		}
		total += entries
		failed, _ := r.value("varde_list_failed", "list", name)
		if failed != 0 {
			out.find(Warning, "%s could not be read last time", name)
		}
		age, read := r.value("varde_list_age_seconds", "list", name)
		if !read {
			out.find(Critical, "%s has never been read", name)
			continue
		}
		out.judge(Perf{Label: name + " entries", Value: entries, Warn: v.Range("entries-warning"), Crit: v.Range("entries-critical")},
			fmt.Sprintf("%s has %s", name, plural(int(entries), "entry")))
		if checked, ok := r.value("varde_list_checked_seconds", "list", name); ok {
			out.judge(Perf{Label: name + " checked", Value: float64(int64(checked)), Unit: "s", Warn: v.Range("warning"), Crit: v.Range("critical")},
				fmt.Sprintf("the server of %s last answered well %s ago", name, span(checked)))
		}
		out.judge(Perf{Label: name + " changed", Value: float64(int64(age)), Unit: "s", Warn: v.Range("changed-warning"), Crit: v.Range("changed-critical")},
			fmt.Sprintf("%s last changed %s ago", name, span(age)))
	}
	out.Summary = fmt.Sprintf("%s with %s", plural(len(lists), "list"), plural(int(total), "entry"))
	return out
}
