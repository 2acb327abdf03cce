package agentx

// syntax is what an object's value is, in the words of SMIv2.
type syntax uint8

const (
	counter64 syntax = iota
	gauge32
	gauge64 // CounterBasedGauge64 of RFC 2856
	truth   // TruthValue of RFC 2579: 1 is true, 2 is false
	text    // SnmpAdminString of RFC 3411
	ticks   // TimeTicks
	kinds   // counter(1), gauge(2)
)

// object is one scalar or one column of a table: where, what it is called in the MIB, and which figure it shows.
// Numbers and names that were once given stay: a manager has them in its configuration.
type object struct {
	arc    uint32
	name   string // behind the name of its group
	syntax syntax
	units  string
	figure string // its values are added up over all labels that are no index; empty for what the agent says itself
	help   string
}

// group is a branch of scalars.
type group struct {
	arc     uint32
	name    string
	help    string
	objects []object
}

// table has a row for each value that the labels of its index take.
type table struct {
	arc     uint32
	name    string // of the table and its row without Table and Entry
	help    string
	index   []index
	columns []object // their arcs follow those of the index
}

// index is a part of the index of a table.
type index struct {
	name  string
	label string
	words []string // numbered from 1; without them the label's text is the index
	help  string
}

// ownGroups are the scalars below root.1.
func ownGroups() []group { return append(edgeGroups(), gatewayGroups()...) }

// edgeGroups are about the sub-agent and what the edge of the network tells.
func edgeGroups() []group {
	return []group{
		{1, "vardeAgent", "What the sub-agent says of itself.", []object{
			{1, "UpTime", ticks, "", "", "Time since varde was started."},
			{2, "Snapshot", counter64, "", "", "Number of the snapshot from which this was answered. All answers with one number are from one moment."},
			{3, "Figures", gauge32, "", "", "Figures in vardeFigureTable."},
			{4, "LeftOut", gauge32, "", "", "Figures and rows that are left out here since they are too many or their names too long."},
			{5, "Unanswered", gauge32, "", "", "Parts of varde that gave no figures for this snapshot."},
		}},
		{2, "vardeEvents", "Events of all inputs.", []object{
			{1, "Taken", counter64, "events", "varde_events_total", "Events taken through the pipe."},
			{2, "Matched", counter64, "events", "varde_events_matched_total", "Events with an address that some list names."},
			{3, "Inside", counter64, "events", "varde_events_inside_total", "Matched events whose both ends are ours."},
			{4, "Warnings", counter64, "warnings", "varde_warnings_total", "Warnings raised."},
		}},
		{3, "vardeFlows", "Export datagrams of routers.", []object{
			{1, "Datagrams", counter64, "datagrams", "varde_flow_datagrams_total", "Export datagrams received."},
			{2, "Records", counter64, "records", "varde_flow_records_total", "Flow records decoded."},
			{3, "Dropped", counter64, "datagrams", "varde_flow_socket_dropped_total", "Datagrams that our own sockets dropped."},
			{4, "Bad", counter64, "", "varde_flow_bad_total", "Datagrams, sets and records not understood."},
			{5, "Fallback", counter64, "sets", "varde_flow_template_fallback_total", "Data sets decoded by a template of another source port."},
			{6, "Refused", counter64, "datagrams", "varde_flow_exporters_refused_total", "Datagrams of exporters for which there was no room."},
			{7, "Unlisted", counter64, "datagrams", "varde_flow_exporters_unlisted_total", "Datagrams of exporters that the configuration does not list."},
			{8, "Evicted", counter64, "exporters", "varde_flow_exporters_evicted_total", "Exporters forgotten to make room."},
			{9, "Exporters", gauge32, "exporters", "varde_flow_exporters", "Exporters remembered."},
			{10, "Memory", gauge64, "bytes", "varde_flow_memory_bytes", "Memory that what exporters have taught takes, estimated."},
			{11, "Held", gauge64, "bytes", "varde_flow_held_bytes", "Data sets that wait for their template."},
		}},
		{4, "vardeIncidents", "Incidents with listed addresses.", []object{
			{1, "Open", gauge32, "incidents", "varde_incidents_open", "Incidents that are not quiet yet."},
			{2, "Opened", counter64, "incidents", "varde_incidents_opened_total", "Incidents begun."},
			{3, "Escalated", counter64, "incidents", "varde_incidents_escalated_total", "Incidents said again since they got worse."},
			{4, "Closed", counter64, "incidents", "varde_incidents_closed_total", "Incidents that went quiet."},
			{5, "Evicted", counter64, "incidents", "varde_incidents_evicted_total", "Incidents forgotten to make room."},
		}},
		{5, "vardeStore", "Events kept on disk.", []object{
			{1, "Taken", counter64, "events", "varde_store_events_total", "Events handed to the store."},
			{2, "Stored", counter64, "events", "varde_store_stored_total", "Events written to disk."},
			{3, "NotStored", counter64, "events", "varde_store_not_stored_total", "Events lost since the disk was too slow, full or refused them."},
			{4, "Sealed", counter64, "events", "varde_store_sealed_total", "Events moved to the archive."},
			{5, "SetAside", counter64, "files", "varde_store_set_aside_total", "Files that could not be read and were set aside."},
			{6, "Paused", truth, "", "varde_store_paused", "Whether storing pauses for want of disk space."},
			{7, "Newest", gauge64, "bytes", "varde_store_hot_bytes", "Size of the file of the newest events."},
		}},
	}
}

// gatewayGroups are about the mail gateway, logs and what is made of them.
func gatewayGroups() []group {
	return []group{
		{6, "vardeMail", "The mail gateway.", []object{
			{1, "AmavisUp", truth, "", "amavis_up", "Whether amavis could be read when it was last asked."},
			{2, "AmavisAge", gauge32, "seconds", "amavis_data_age_seconds", "Age of what amavis told last."},
			{3, "AmavisStale", truth, "", "amavis_data_stale", "Whether only the files on the disk could be read, which are behind."},
			{4, "AmavisOldest", gauge32, "seconds", "amavis_busy_oldest_seconds", "For how long the busiest process of amavis has been at its present stage."},
			{5, "PostfixUp", truth, "", "postfix_up", "Whether the queues could be read when they were last asked."},
			{6, "RspamdUp", truth, "", "rspamd_up", "Whether rspamd could be read when it was last asked."},
			{7, "RspamdScanned", counter64, "messages", "rspamd_scanned_total", "Messages that rspamd scanned."},
			{8, "RspamdSpam", counter64, "messages", "rspamd_spam_total", "Messages that rspamd found to be spam."},
			{9, "RspamdHam", counter64, "messages", "rspamd_ham_total", "Messages that rspamd found not to be spam."},
			{10, "ClamdLag", gauge32, "versions", "clamd_lag_versions", "Versions that the running clamd is behind the signatures on the disk."},
			{11, "FreshclamBlocked", gauge32, "seconds", "freshclam_blocked_seconds", "For how long the mirror still refuses freshclam."},
		}},
		{7, "vardeLogs", "Lines of logs, and what is missing of them.", []object{
			{1, "Lines", counter64, "lines", "varde_follow_lines_total", "Lines read from files and the journal."},
			{2, "Gaps", counter64, "", "varde_follow_gaps_total", "Times that lines may be lost: truncated without a copy, or the copy cannot be read."},
			{3, "Unreadable", counter64, "", "varde_follow_unreadable_total", "Looks at files that could not be read."},
			{4, "SyslogLines", counter64, "lines", "varde_syslog_lines_total", "Lines received over the network."},
			{5, "SyslogDropped", counter64, "datagrams", "varde_syslog_socket_dropped_total", "Datagrams with lines that our own sockets dropped."},
			{6, "FirewallParsed", counter64, "lines", "varde_firewall_parsed_total", "Lines of firewalls that became events."},
			{7, "FirewallUnparsed", counter64, "lines", "varde_firewall_unparsed_total", "Lines of firewalls that were not understood."},
			{8, "FirewallLost", counter64, "", "varde_firewall_lost_total", "Messages that firewalls say they could not log."},
			{9, "MailEvents", counter64, "events", "varde_mail_log_events_total", "Events of the mail log."},
		}},
		{8, "vardeHoneypot", "Our own honeypots.", []object{
			{1, "Sessions", counter64, "sessions", "varde_honeypot_sessions_total", "Sessions begun."},
			{2, "Listening", gauge32, "services", "varde_honeypot_listening", "Services that listen."},
		}},
		{9, "vardeScans", "Scans and ports on the rise.", []object{
			{1, "Probes", counter64, "probes", "varde_probes_total", "Probes looked at."},
			{2, "Open", gauge32, "scans", "varde_scans_open", "Scans that are not quiet yet."},
			{3, "Opened", counter64, "scans", "varde_scans_opened_total", "Scans begun."},
			{4, "SurgesOpen", gauge32, "ports", "varde_surges_open", "Ports that are on the rise."},
			{5, "SurgesOpened", counter64, "ports", "varde_surges_opened_total", "Rises begun."},
		}},
	}
}

// ownTables are the tables below root.1.
func ownTables() []table {
	return []table{
		{11, "vardeExporter", "Routers that export flows.", []index{{"Name", "exporter", nil, "Name or address of the router."}}, []object{
			{2, "Datagrams", counter64, "datagrams", "varde_flow_exporter_datagrams_total", "Datagrams received."},
			{3, "Records", counter64, "records", "varde_flow_exporter_records_total", "Records decoded."},
			{4, "LostBefore", counter64, "", "varde_flow_lost_before_total", "Lost before us by the sequence: records (NetFlow v5, IPFIX) or datagrams (NetFlow v9, sFlow)."},
			{5, "LostHere", counter64, "", "varde_flow_lost_here_total", "Lost in our own socket, in the same unit."},
			{6, "Undecoded", counter64, "sets", "varde_flow_undecoded_sets_total", "Data sets given up for want of a template."},
			{7, "Restarts", counter64, "", "varde_flow_exporter_restarts_total", "How often the exporter began again."},
			{8, "Held", gauge32, "sets", "varde_flow_held_sets", "Data sets that wait for their template."},
			{9, "Templates", gauge32, "templates", "varde_flow_templates", "Templates known."},
			{10, "Sampling", gauge32, "", "varde_flow_sampling_rate", "Highest sampling rate, 0 when not told."},
			{11, "Lag", gauge32, "seconds", "varde_flow_export_lag_seconds", "Received minus exported, by the exporter's clock; 0 where its clock is ahead."},
			{12, "Silent", gauge32, "seconds", "varde_flow_silent_seconds", "Since the last datagram."},
		}},
		{12, "vardeList", "Lists of indicators.", []index{{"Name", "list", nil, "Name of the list."}}, []object{
			{2, "Entries", gauge32, "entries", "varde_list_entries", "Entries of the list."},
			{3, "Expired", gauge32, "entries", "varde_list_expired", "Entries whose time is over."},
			{4, "Rejected", gauge32, "entries", "varde_list_rejected", "Entries that could not be read."},
			{5, "Failed", truth, "", "varde_list_failed", "Whether the newest attempt to read the list failed."},
			{6, "Hits", counter64, "hits", "varde_list_hits_total", "Addresses of events that an entry covered."},
			{7, "Checked", gauge32, "seconds", "varde_list_checked_seconds", "Since the list's server last answered well."},
			{8, "Age", gauge32, "seconds", "varde_list_age_seconds", "Since the list last changed."},
		}},
		{13, "vardeOutput", "Ways to warn.", []index{{"Name", "output", nil, "Name of the way."}}, []object{
			{2, "Said", counter64, "warnings", "varde_output_said_total", "Warnings delivered."},
			{3, "Errors", counter64, "", "varde_output_errors_total", "Attempts that failed; they are repeated."},
			{4, "Refused", counter64, "warnings", "varde_output_refused_total", "Warnings that the receiver will never take."},
			{5, "Lost", counter64, "warnings", "varde_output_lost_total", "Warnings that neither queue nor spool could hold."},
			{6, "Waiting", gauge32, "warnings", "varde_output_waiting", "Warnings that wait, in memory and on disk."},
			{7, "Spool", gauge64, "bytes", "varde_output_spool_bytes", "Size of the spool on disk."},
			{8, "Failing", truth, "", "varde_output_failing", "Whether the receiver is down."},
		}},
		{14, "vardeQueue", "Queues of Postfix.", []index{{"Index", "queue", queueNames(), "The queue."}}, []object{
			{2, "Known", truth, "", "postfix_queue_known", "Whether anything is known of the queue. Where not, nothing else is told of it."},
			{3, "Messages", gauge32, "messages", "postfix_queue_messages", "Messages in the queue."},
			{4, "Bytes", gauge64, "bytes", "postfix_queue_bytes", "Bytes in the queue."},
			{5, "Oldest", gauge32, "seconds", "postfix_queue_oldest_age_seconds", "Age of the oldest message, 0 when there is none."},
			{6, "More", truth, "", "postfix_queue_more", "True where the queue was too large to count in time."},
		}},
		{15, "vardeSource", "What is asked about mail.", []index{{"Name", "source", nil, "The source, such as amavis or postfix."}}, []object{
			{2, "Up", truth, "", "varde_mail_source_up", "Whether it could be read when it was last asked."},
			{3, "Errors", counter64, "", "varde_mail_source_errors_total", "How often it could not be read."},
		}},
		{
			16, "vardeScanner", "Signatures of virus scanners.",
			[]index{{"Name", "scanner", nil, "The scanner."}, {"Database", "database", nil, "Its database, empty where it has only one."}},
			[]object{
				{3, "Known", truth, "", "antivirus_known", "Whether it can be told how old the signatures are."},
				{4, "Current", truth, "", "antivirus_current", "Whether the signatures are the newest there are."},
				{5, "Age", gauge32, "seconds", "antivirus_signatures_age_seconds", "Since the signatures were made."},
			},
		},
		{17, "vardeArchive", "Events in the archive.", []index{{"Kind", "kind", nil, "Kind of event."}}, []object{
			{2, "Events", gauge64, "events", "varde_store_archived_events", "Events in the archive."},
			{3, "Bytes", gauge64, "bytes", "varde_store_archive_bytes", "Size of the files."},
			{4, "Files", gauge32, "files", "varde_store_archive_files", "Number of files."},
		}},
	}
}

// queueNames are the queues in the order that AMAVIS-MIB has for the first four.
func queueNames() []string {
	return []string{"maildrop", "incoming", "active", "deferred", "hold", "corrupt"}
}

// figureTable shows every figure. It stands apart since its rows are not one label's values.
func figureTable() table {
	return table{
		20, "vardeFigure", "Every figure of varde, also those that have an object of their own.",
		[]index{{name: "Index", help: "A number made of name and labels, so that it stays the same over restarts."}},
		[]object{
			{2, "Name", text, "", "", "Name of the figure."},
			{3, "Labels", text, "", "", "Labels as name=\"value\", with commas between them."},
			{4, "Unit", text, "", "", "Unit of the text, empty for plain numbers."},
			{5, "Kind", kinds, "", "", "Whether it only grows."},
			{6, "Count", counter64, "", "", "Value of a counter, exact, in the unit in which it is counted."},
			{7, "Whole", gauge64, "", "", "Value of a gauge, rounded. Not there for a gauge below zero."},
			{8, "Text", text, "", "", "Value of either kind as a decimal number."},
			{9, "Age", gauge32, "seconds", "", "How old the value is."},
		},
	}
}
