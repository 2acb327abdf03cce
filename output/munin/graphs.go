package munin

// Graph is one entry of the table.
type Graph struct {
	Name     string // of the plugin, behind the prefix
	Title    string
	Label    string // of the axis
	Category string // the group in which Munin shows it
	Help     string
	Bytes    bool
	Split    string // a label: besides the sum there is a graph for each of its values
	Series   []series
}

// series is one line, or with by one for each value of a label.
type series struct {
	figure      string
	name        string // of the line; before the value with by
	label       string
	by          string
	values      []string // of by that are always drawn
	with        []string // labels that the figures must have: name, value, name, value
	gauge       bool
	stack       bool
	thousandths bool    // a counter of seconds, which is given in milliseconds
	unit        float64 // what a gauge is divided by
	help        string
}

const (
	perMinute = " per ${graph_period}"
	day       = 86400
)

// Graphs are all that can be drawn.
func Graphs() []Graph {
	return append(append(honeypot(), network()...), append(mail(), self()...)...)
}

func honeypot() []Graph {
	return []Graph{
		{"tunnels", "Tunnelling attempts", "attempts" + perMinute, "honeypot", "Requests of intruders to be forwarded to another host.", false, "", []series{
			{figure: "varde_events_kind_total", name: "tunnels", label: "attempts", with: []string{"kind", "tunnel"}},
		}},
		{"logins", "Logins at the honeypot", "logins" + perMinute, "honeypot", "Names and passwords that were tried.", false, "", []series{
			{figure: "varde_logins_total", by: "result", values: []string{"accepted", "rejected"}, stack: true},
		}},
		{"honeypot", "Visits to the honeypot", "events" + perMinute, "honeypot", "What intruders did.", false, "", []series{
			{figure: "varde_events_kind_total", name: "sessions", label: "sessions", with: []string{"kind", "connect"}},
			{figure: "varde_events_kind_total", name: "commands", label: "commands", with: []string{"kind", "command"}},
			{figure: "varde_events_kind_total", name: "payloads", label: "payloads", with: []string{"kind", "payload"}},
			{figure: "varde_events_kind_total", name: "files", label: "files", with: []string{"kind", "file"}},
		}},
	}
}

func network() []Graph {
	return []Graph{
		{"probes", "Probes", "probes" + perMinute, "network", "Packets that firewalls logged, by protocol, and all probes of our side, which flows tell of too.", false, "", []series{
			{figure: "varde_probe_events_total", by: "proto", values: []string{"tcp", "udp", "icmp", "other"}, stack: true},
			{figure: "varde_probes_total", name: "all", label: "all"},
		}},
		{"flows", "Flow records", "records" + perMinute, "network", "Records decoded, and what was lost.", false, "exporter", []series{
			{figure: "varde_flow_exporter_records_total", name: "records", label: "records"},
			{figure: "varde_flow_lost_before_total", name: "before", label: "lost on the way", help: "By the sequence numbers: records of NetFlow v5 and IPFIX, datagrams of NetFlow v9 and sFlow."},
			{figure: "varde_flow_lost_here_total", name: "here", label: "lost here", help: "In varde's own socket, in the same unit."},
		}},
		{"warnings", "Warnings", "warnings" + perMinute, "network", "Warnings raised, and incidents begun.", false, "", []series{
			{figure: "varde_warnings_total", name: "warnings", label: "warnings"},
			{figure: "varde_incidents_opened_total", name: "opened", label: "incidents begun"},
		}},
		{"incidents", "Open incidents", "incidents", "network", "Incidents that are not quiet yet.", false, "", []series{
			{figure: "varde_incidents_open", name: "open", label: "open", gauge: true},
		}},
		{"lists", "Lists of indicators", "days", "network", "Since the server of each list last answered well.", false, "", []series{
			{figure: "varde_list_checked_seconds", by: "list", gauge: true, unit: day},
		}},
		{"hits", "Hits of lists", "hits" + perMinute, "network", "Addresses of events that an entry of a list covered.", false, "", []series{
			{figure: "varde_list_hits_total", by: "list", stack: true},
		}},
	}
}

func mail() []Graph {
	content := []string{"clean", "spammy", "spam", "virus", "banned", "bad_header", "unchecked", "oversized", "mta_failed"}
	queues := []string{"maildrop", "incoming", "active", "deferred", "hold", "corrupt"}
	actions := []string{"no_action", "greylist", "add_header", "rewrite_subject", "soft_reject", "reject"}
	return []Graph{
		{"mail", "Mail by content", "messages" + perMinute, "mail", "Messages that went through amavis, by what was in them.", false, "", []series{
			{figure: "amavis_messages_all_total", by: "content", values: content, stack: true},
		}},
		{"queues", "Mail queues", "messages", "mail", "Messages in the queues of Postfix. A queue that cannot be read has no value.", false, "", []series{
			{figure: "postfix_queue_messages", by: "queue", values: queues, gauge: true, stack: true},
		}},
		{"queue_ages", "Oldest mail in the queues", "days", "mail", "Age of the oldest message.", false, "", []series{
			{figure: "postfix_queue_oldest_age_seconds", by: "queue", values: queues, gauge: true, unit: day},
		}},
		{"amavis", "Processes of amavis", "processes", "mail", "Processes by what they do.", false, "", []series{
			{figure: "amavis_processes", by: "state", values: []string{"busy", "idle"}, gauge: true, stack: true},
		}},
		{"stages", "Time for mail in amavis", "seconds" + perMinute, "mail", "Where the time goes.", false, "", []series{
			{
				figure: "amavis_stage_seconds_total", by: "stage", values: []string{"receiving", "decoding", "viruscheck", "spamcheck", "penpals", "sending"},
				thousandths: true,
			},
		}},
		{"rspamd", "Actions of rspamd", "messages" + perMinute, "mail", "Messages by what rspamd advised.", false, "", []series{
			{figure: "rspamd_actions_total", by: "action", values: actions, stack: true},
		}},
		{"signatures", "Age of virus signatures", "days", "mail", "Since the signatures were made.", false, "", []series{
			{figure: "antivirus_signatures_age_seconds", label: "clamav", name: "clamav_", by: "database", with: []string{"scanner", "clamav"}, gauge: true, unit: day},
			{figure: "antivirus_signatures_age_seconds", by: "scanner", with: []string{"database", ""}, gauge: true, unit: day},
		}},
	}
}

func self() []Graph {
	return []Graph{
		{"events", "Events in varde", "events" + perMinute, "varde", "Events taken, stored, and not stored.", false, "", []series{
			{figure: "varde_events_total", name: "taken", label: "taken"},
			{figure: "varde_events_matched_total", name: "matched", label: "matched by a list"},
			{figure: "varde_store_not_stored_total", name: "lost", label: "not stored"},
		}},
		{"store", "Disk space of varde", "bytes", "varde", "Events kept on disk.", true, "", []series{
			{figure: "varde_store_hot_bytes", name: "newest", label: "newest", gauge: true, stack: true},
			{figure: "varde_store_archive_bytes", by: "kind", gauge: true, stack: true},
		}},
	}
}
