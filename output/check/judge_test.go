package check

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"varde/event"
)

func gauge(name string, v float64, labels ...string) event.Figure {
	return event.Measure(name, "", "", v, labels...)
}

func counter(name string, n uint64, labels ...string) event.Figure {
	return event.Count(name, "", n, labels...)
}

// join adds figures to others; a later one of the same name and labels takes the earlier one's place.
func join(sets ...[]event.Figure) []event.Figure {
	var out []event.Figure
	at := map[string]int{}
	for _, set := range sets {
		for _, f := range set {
			key := keyOf(&f)
			if i, ok := at[key]; ok {
				out[i] = f
				continue
			}
			at[key] = len(out)
			out = append(out, f)
		}
	}
	return out
}

func without(figures []event.Figure, name string) []event.Figure {
	var out []event.Figure
	for _, f := range figures {
		if f.Name != name {
			out = append(out, f)
		}
	}
	return out
}

const hour, day = 3600.0, 86400.0

var (
	clamav = []event.Figure{
		gauge("antivirus_known", 1, "scanner", "clamav", "database", "daily"),
		gauge("antivirus_known", 1, "scanner", "clamav", "database", "main"),
		gauge("antivirus_signatures_age_seconds", 5*hour, "scanner", "clamav", "database", "daily"),
		gauge("antivirus_signatures_age_seconds", 700*day, "scanner", "clamav", "database", "main"),
		gauge("clamd_up", 1), gauge("clamd_database_version", 27700), gauge("clamd_lag_versions", 0),
		gauge("freshclam_blocked_seconds", 0), gauge("clamav_engine_level", 216),
		gauge("clamav_database_level", 90, "database", "daily"),
	}
	sophos = []event.Figure{
		gauge("antivirus_known", 1, "scanner", "sophos", "database", ""), gauge("antivirus_current", 1, "scanner", "sophos"),
		gauge("antivirus_signatures_age_seconds", 5*hour, "scanner", "sophos", "database", ""), gauge("antivirus_issues", 0, "scanner", "sophos"),
	}
	queues = []event.Figure{
		gauge("postfix_up", 1),
		gauge("postfix_queue_known", 1, "queue", "maildrop"), gauge("postfix_queue_known", 1, "queue", "incoming"),
		gauge("postfix_queue_known", 1, "queue", "active"), gauge("postfix_queue_known", 1, "queue", "deferred"),
		gauge("postfix_queue_known", 1, "queue", "hold"), gauge("postfix_queue_known", 0, "queue", "corrupt"),
		gauge("postfix_queue_messages", 0, "queue", "maildrop"), gauge("postfix_queue_messages", 2, "queue", "incoming"),
		gauge("postfix_queue_messages", 1, "queue", "active"), gauge("postfix_queue_messages", 17, "queue", "deferred"),
		gauge("postfix_queue_messages", 400, "queue", "hold"),
		gauge("postfix_queue_oldest_age_seconds", 0, "queue", "maildrop"), gauge("postfix_queue_oldest_age_seconds", 2, "queue", "incoming"),
		gauge("postfix_queue_oldest_age_seconds", 1, "queue", "active"), gauge("postfix_queue_oldest_age_seconds", 9*hour, "queue", "deferred"),
		gauge("postfix_queue_oldest_age_seconds", 90*day, "queue", "hold"),
	}
	relay = []event.Figure{
		gauge("amavis_up", 1), gauge("amavis_data_stale", 0, "source", "live"), gauge("amavis_data_age_seconds", 0),
		gauge("amavis_processes", 1, "state", "idle"), gauge("amavis_processes", 1, "state", "busy"), gauge("amavis_busy_oldest_seconds", 2),
		counter("amavis_messages_all_total", 41, "content", "clean"),
	}
	routers = []event.Figure{
		gauge("varde_flow_silent_seconds", 2, "exporter", "edge"), counter("varde_flow_exporter_records_total", 1000, "exporter", "edge"),
		counter("varde_flow_exporter_datagrams_total", 50, "exporter", "edge"), counter("varde_flow_lost_before_total", 0, "exporter", "edge"),
		counter("varde_flow_lost_here_total", 0, "exporter", "edge"), counter("varde_flow_undecoded_sets_total", 0, "exporter", "edge"),
		gauge("varde_flow_held_sets", 0, "exporter", "edge"), gauge("varde_flow_export_lag_seconds", 27, "exporter", "edge"),
		counter("varde_flow_datagrams_total", 50), counter("varde_flow_socket_dropped_total", 0), counter("varde_flow_bad_total", 0, "reason", "short"),
	}
	lists = []event.Figure{
		gauge("varde_list_entries", 1200, "list", "feodo"), gauge("varde_list_failed", 0, "list", "feodo"),
		gauge("varde_list_age_seconds", 9*day, "list", "feodo"), gauge("varde_list_checked_seconds", 600, "list", "feodo"),
		gauge("varde_list_entries", 3, "list", "own"), gauge("varde_list_failed", 0, "list", "own"), gauge("varde_list_age_seconds", 900*day, "list", "own"),
	}
	warned = []event.Figure{
		gauge("varde_incidents_open", 0), counter("varde_warnings_total", 64), counter("varde_output_said_total", 64, "output", "mail"),
		gauge("varde_output_waiting", 0, "output", "mail"), gauge("varde_output_failing", 0, "output", "mail"), counter("varde_output_lost_total", 0, "output", "mail"),
	}
	pot = []event.Figure{
		gauge("varde_honeypot_listening", 1, "service", "ssh"), gauge("varde_honeypot_listening", 1, "service", "http"),
		counter("varde_honeypot_sessions_total", 12, "service", "ssh"), gauge("varde_honeypot_silent_seconds", 60),
	}
	self  = []event.Figure{counter("varde_events_total", 5), gauge("process_start_time_seconds", 1e9), gauge("process_resident_memory_bytes", 9e7), gauge("varde_store_paused", 0)}
	rsp   = []event.Figure{gauge("rspamd_up", 1), counter("rspamd_scanned_total", 3), gauge("rspamd_scan_seconds", 0.4), counter("rspamd_actions_total", 1, "action", "reject")}
	probe = []event.Figure{gauge("antivirus_known", 1, "scanner", "p", "database", ""), gauge("antivirus_probe_value", 12.5, "scanner", "p"), gauge("antivirus_issues", 0, "scanner", "p")}
)

func TestJudge(t *testing.T) {
	one := func(f event.Figure) []event.Figure { return []event.Figure{f} }
	for _, c := range []struct {
		name    string
		check   string
		figures []event.Figure
		args    []string
		want    Status
		text    string
	}{
		{"fresh", "av", clamav, nil, OK, "clamav daily was made 5 h ago"},
		{"old main is no reason", "av", clamav, []string{"--database", "main"}, Critical, "main was made 700 d ago (critical above 7 d)"},
		{"aging", "av", join(clamav, one(gauge("antivirus_signatures_age_seconds", 3*day, "scanner", "clamav", "database", "daily"))), nil, Warning, "above 2 d"},
		{"aging, but allowed", "av", join(clamav, one(gauge("antivirus_signatures_age_seconds", 3*day, "scanner", "clamav", "database", "daily"))), []string{"-warning", "4d"}, OK, ""},
		{"not known", "av", join(clamav, one(gauge("antivirus_known", 0, "scanner", "clamav", "database", "daily"))), nil, Unknown, "daily: it is not known"},
		{"clamd old", "av", join(clamav, one(gauge("clamd_lag_versions", 1))), nil, Warning, "1 version older than those on the disk"},
		{"clamd older", "av", join(clamav, one(gauge("clamd_lag_versions", 2))), nil, Critical, "2 versions older"},
		{"clamd newer", "av", join(clamav, one(gauge("clamd_lag_versions", -1))), nil, OK, ""},
		{"clamd down", "av", join(clamav, one(gauge("clamd_up", 0))), nil, Critical, "clamd does not answer"},
		{"clamd empty", "av", without(without(clamav, "clamd_lag_versions"), "clamd_database_version"), nil, Critical, "without the database daily"},
		{"clamd beside nothing", "av", without(clamav, "clamd_lag_versions"), nil, Unknown, "that on the disk is not known"},
		{"clamd not asked", "av", without(clamav, "clamd_up"), []string{"--clamd", "/x"}, Unknown, "clamd was not asked"},
		{"blocked", "av", join(clamav, one(gauge("freshclam_blocked_seconds", 5*hour))), nil, Critical, "refuses freshclam for another 5 h"},
		{"blocked or not", "av", without(clamav, "freshclam_blocked_seconds"), nil, Unknown, "not known whether freshclam is blocked"},
		{"engine too old", "av", join(clamav, one(gauge("clamav_database_level", 230, "database", "daily"))), nil, Warning, "engine is too old"},
		{"upstream unknown", "av", join(clamav, one(gauge("clamav_upstream_up", 0))), nil, Unknown, "newest versions are not known"},
		{"upstream asked, nothing came", "av", clamav, []string{"--dns", "true"}, Unknown, "newest versions are not known"},
		{"behind", "av", join(clamav, []event.Figure{gauge("clamav_upstream_up", 1), gauge("clamav_upstream_lag_versions", 2, "database", "daily")}), nil, Warning, "daily is 2 versions behind upstream"},
		{"far behind", "av", join(clamav, []event.Figure{gauge("clamav_upstream_up", 1), gauge("clamav_upstream_lag_versions", 4, "database", "daily")}), nil, Critical, "daily is 4 versions behind"},
		{"sophos", "av", sophos, nil, OK, "sophos was made 5 h ago"},
		{"sophos outdated", "av", join(sophos, one(gauge("antivirus_current", 0, "scanner", "sophos"))), nil, Warning, "newest signatures are not here"},
		{"sophos off", "av", join(sophos, one(gauge("antivirus_issues", 2, "scanner", "sophos"))), nil, Warning, "complains of 2 things"},
		{"only the other", "av", join(sophos, clamav, one(gauge("clamd_up", 0))), []string{"--scanner", "sophos"}, OK, ""},
		{"not there", "av", sophos, []string{"--scanner", "eset"}, Unknown, "no"},
		{"a number", "av", probe, []string{"--warning", "10", "--critical", "20"}, Warning, "p is 12.5"},

		{"queues", "mailq", queues, nil, OK, "20 messages (1 active, 17 deferred, 2 incoming, 0 maildrop)"},
		{"many", "mailq", queues, []string{"--warning", "10", "--critical", "19"}, Critical, "20 messages"},
		{"one queue", "mailq", queues, []string{"--queue", "hold", "--age-warning", "~:", "--age-critical", "~:"}, Warning, "400 messages (400 hold) (warning above 100)"},
		{"too few", "mailq", queues, []string{"--warning", "21:"}, Warning, "20 messages"},
		{"old", "mailq", queues, []string{"--age-warning", "6h"}, Warning, "oldest message is 9 h old"},
		{"a queue unknown", "mailq", queues, []string{"--queue", "corrupt"}, Unknown, "nothing is known of the queue corrupt"},
		{"no such queue", "mailq", queues, []string{"--queue", "bulk"}, Unknown, "there is no queue bulk"},
		{"not counted to the end", "mailq", join(queues, one(gauge("postfix_queue_more", 1, "queue", "deferred"))), nil, Unknown, "more than 20 messages"},
		{"not counted and many", "mailq", join(queues, one(gauge("postfix_queue_more", 1, "queue", "deferred"))), []string{"--critical", "5"}, Critical, ""},
		{"postfix down", "mailq", one(gauge("postfix_up", 0)), nil, Unknown, "cannot be read"},

		{"amavis", "amavis", relay, nil, OK, "1 of 2 processes busy | 'data age'=0s;600;3600;0 busy=50%;80;95;0;100"},
		{"busy", "amavis", join(relay, one(gauge("amavis_processes", 9, "state", "busy"))), nil, Warning, "9 of 10 processes busy"},
		{"hanging", "amavis", join(relay, one(gauge("amavis_busy_oldest_seconds", 2*hour))), nil, Critical, "at one stage for 2 h"},
		{"gone", "amavis", join(relay, []event.Figure{gauge("amavis_processes", 0, "state", "busy"), gauge("amavis_processes", 0, "state", "idle")}), nil, Critical, "no process"},
		{"hidden", "amavis", join(relay, one(gauge("amavis_processes_hidden", 1))), nil, Unknown, "cannot be seen from here"},
		{"stale", "amavis", join(relay, one(gauge("amavis_data_stale", 1, "source", "live"))), nil, Unknown, "leaves behind"},
		{"no processes told", "amavis", without(relay, "amavis_processes"), nil, Unknown, "nothing is known of amavis's processes"},

		{"rspamd", "rspamd", rsp, nil, OK, "3 messages scanned"},
		{"rspamd slow", "rspamd", join(rsp, one(gauge("rspamd_scan_seconds", 6))), nil, Warning, "a message takes 6 s"},
		{"rspamd down", "rspamd", one(gauge("rspamd_up", 0)), nil, Unknown, ""},

		{"routers", "flow", routers, nil, OK, "1 exporter, 1000 records"},
		{"silent", "flow", join(routers, one(gauge("varde_flow_silent_seconds", 600, "exporter", "edge"))), nil, Warning, "edge has sent nothing for 10 min"},
		{"never came", "flow", routers, []string{"--exporter", "core"}, Critical, "core has sent nothing since varde was started"},
		{"losing", "flow", join(routers, one(counter("varde_flow_lost_before_total", 2, "exporter", "edge"))), nil, Warning, "edge lost 2 on the way"},
		{"losing more", "flow", join(routers, one(counter("varde_flow_lost_here_total", 20, "exporter", "edge"))), nil, Critical, "20 here"},
		{"no template", "flow", join(routers, one(gauge("varde_flow_held_sets", 4, "exporter", "edge"))), nil, Warning, "4 sets wait for their template"},
		{"late", "flow", routers, []string{"--lag-warning", "10"}, Warning, "edge sends what is 27 s old"},

		{"inputs", "input", routers, nil, OK, "flow: 50 datagrams since varde was started"},
		{"dropped", "input", join(routers, one(counter("varde_flow_socket_dropped_total", 1))), nil, Warning, "1 lost and 0 not understood"},
		{"not understood", "input", join(routers, one(counter("varde_flow_bad_total", 25, "reason", "short"))), nil, Critical, "0 lost and 25 not understood"},
		{"named and not there", "input", routers, []string{"--input", "syslog"}, Unknown, "no input syslog"},
		{"named and empty", "input", join(routers, one(counter("varde_flow_datagrams_total", 0))), []string{"--input", "flow"}, Unknown, "nothing came in since"},
		{"no such", "input", routers, []string{"--input", "carrier-pigeon"}, Unknown, "there is no input"},
		{"a source", "input", join(routers, one(gauge("varde_mail_source_up", 0, "source", "amavis"))), nil, Warning, "amavis cannot be read"},
		{"quiet", "input", join(routers, one(gauge("varde_flow_silent_seconds", 900, "exporter", "edge"))), []string{"--silent-warning", "10m"}, Warning, "nothing came in for 15 min"},

		{"lists", "feed", lists, nil, OK, "2 lists with 1203 entries"},
		{"not fetched", "feed", join(lists, one(gauge("varde_list_checked_seconds", 2*day, "list", "feodo"))), nil, Warning, "feodo last answered well 2 d ago"},
		{"failed", "feed", join(lists, one(gauge("varde_list_failed", 1, "list", "feodo"))), nil, Warning, "feodo could not be read last time"},
		{"empty", "feed", join(lists, one(gauge("varde_list_entries", 0, "list", "own"))), nil, Critical, "own has 0 entries"},
		{"never read", "feed", without(lists, "varde_list_age_seconds"), nil, Critical, "own has never been read"},
		{"unchanged", "feed", lists, []string{"--list", "feodo", "--changed-warning", "7d"}, Warning, "feodo last changed 9 d ago"},
		{"no such list", "feed", lists, []string{"--list", "x"}, Unknown, "varde has no list x"},

		{"no incident", "warnings", warned, nil, OK, "0 incidents open, 64 warnings"},
		{"open", "warnings", join(warned, one(gauge("varde_incidents_open", 3))), nil, Warning, "3 incidents open"},
		{"receiver down", "warnings", join(warned, one(gauge("varde_output_failing", 1, "output", "mail"))), nil, Warning, "cannot be delivered by mail"},
		{"lost", "warnings", join(warned, one(counter("varde_output_lost_total", 2, "output", "mail"))), nil, Critical, "mail lost 2 warnings"},
		{"waiting", "warnings", join(warned, one(gauge("varde_output_waiting", 101, "output", "mail"))), nil, Warning, "101 waiting warnings for mail"},
		{"nowhere", "warnings", warned[:2], nil, Unknown, "nowhere to warn"},

		{"honeypot", "honeypot", pot, nil, OK, "2 services listen, 12 visits"},
		{"not visited", "honeypot", join(pot, one(gauge("varde_honeypot_silent_seconds", 8*day))), nil, Critical, "nobody came for 8 d"},
		{"not listening", "honeypot", join(pot, one(gauge("varde_honeypot_listening", 0, "service", "http"))), nil, Critical, "http does not listen"},
		{"another's business", "honeypot", join(pot, one(gauge("varde_honeypot_listening", 0, "service", "http"))), []string{"--service", "ssh"}, OK, ""},
		{"no such service", "honeypot", pot, []string{"--service", "smb"}, Unknown, "no service smb"},

		{"daemon", "daemon", self, nil, OK, "5 events since varde was started"},
		{"large", "daemon", self, []string{"--memory-critical", "50"}, Critical, "90 MB of memory"},
		{"disk full", "daemon", join(self, one(gauge("varde_store_paused", 1))), nil, Critical, "storing pauses"},
		{"another program", "daemon", one(gauge("node_load1", 1)), nil, Unknown, "is not varde"},
		{"a part fails", "daemon", join(self, one(counter("varde_figures_errors_total", 1, "part", "lists"))), nil, Warning, "the part lists gave no figures"},
	} {
		k := byName(t, c.check)
		v := values(t, k, c.args...)
		if k.Reads == Daemon {
			v.Set("state", filepath.Join(t.TempDir(), "look"))
		}
		r := k.Run(t.Context(), v, func(context.Context, *Check, *Values) (*Reading, error) { return &Reading{Figures: c.figures}, nil })
		if text := r.Text(k.Name); r.Status() != c.want || !strings.Contains(text, c.text) {
			t.Errorf("%s: %s\nwant %s, %q", c.name, text, c.want, c.text)
		}
	}
}

// TestMissing: no figure may go without the result getting worse or at least saying less; OK never becomes of less data
// what was not OK with more, except for what is asked only sometimes.
func TestMissing(t *testing.T) {
	needed := map[string][]string{
		"av": {
			"antivirus_known", "antivirus_signatures_age_seconds", "clamd_lag_versions", "freshclam_blocked_seconds",
		},
		"mailq":    {"postfix_up", "postfix_queue_known", "postfix_queue_messages", "postfix_queue_oldest_age_seconds"},
		"amavis":   {"amavis_up", "amavis_data_stale", "amavis_data_age_seconds", "amavis_processes"},
		"rspamd":   {"rspamd_up", "rspamd_scanned_total"},
		"flow":     {"varde_flow_silent_seconds", "varde_flow_exporter_records_total"},
		"input":    {"varde_flow_datagrams_total"},
		"warnings": {"varde_incidents_open", "varde_warnings_total", "varde_output_waiting"},
		"honeypot": {"varde_honeypot_listening", "varde_honeypot_sessions_total", "varde_honeypot_silent_seconds"},
		"daemon":   {"varde_events_total"},
	}
	all := map[string][]event.Figure{
		"av": clamav, "mailq": queues, "amavis": relay, "rspamd": rsp, "flow": routers, "input": routers, "warnings": warned, "honeypot": pot, "daemon": self,
	}
	for name, figures := range needed {
		for _, f := range figures {
			k := byName(t, name)
			v := values(t, k)
			if k.Reads == Daemon {
				v.Set("state", filepath.Join(t.TempDir(), "look"))
			}
			r := k.Run(t.Context(), v, func(context.Context, *Check, *Values) (*Reading, error) {
				return &Reading{Figures: without(all[name], f)}, nil
			})
			if r.Status() != Unknown {
				t.Errorf("%s without %s: %s", name, f, r.Text(name))
			}
		}
	}
}
