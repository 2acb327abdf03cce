package web

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"varde/event"
)

func getJSON[T any](t *testing.T, s *Server, path string) T {
	t.Helper()
	w := ask(s, "GET", path, "")
	var out T
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%s answers %d %.300s: %v", path, w.Code, w.Body, err)
	}
	return out
}

// mailOnly is a server that has nothing but these figures.
func mailOnly(t *testing.T, figures func() []event.Figure) *Server {
	t.Helper()
	s, err := New(Config{Listen: "127.0.0.1:0"}, Deps{
		Parts: []Part{{"mail", figuresFunc(figures)}}, Now: func() time.Time { return moment }, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestMail reads the state of the scene's mail gateway.
func TestMail(t *testing.T) {
	s, _ := newTestServer(t, Config{Listen: "127.0.0.1:0"})
	m := getJSON[mailState](t, s, "/api/v1/mail")
	if m.Step != 900 || m.Since.IsZero() || len(m.Content) != len(sceneContent) || m.Received == nil || len(m.Delays) != 7 || len(m.Viruses) != 4 || m.Viruses[0].Count != 204 {
		t.Errorf("the state is %+v", m)
	}
	sum := 0.0
	for _, c := range m.Content {
		sum += c.Total
		if len(c.Values) != len(m.Received.Values) {
			t.Errorf("%s has %d steps, received has %d", c.Key, len(c.Values), len(m.Received.Values))
		}
	}
	if sum < m.Received.Total*0.999-10 || sum > m.Received.Total*1.001+10 || sum < 40_000 {
		t.Errorf("%v messages by content, %v received", sum, m.Received.Total)
	}
	gap := 0
	for i, v := range m.Received.Values {
		switch {
		case v == nil && i < len(m.Received.Values)-1:
			gap++
		case v != nil && (*v < 0.1 || *v > 2):
			t.Errorf("step %d is %v a second", i, *v)
		}
	}
	if gap < 11 || gap > 13 {
		t.Errorf("%d steps are not known, the gap was three hours", gap)
	}
	for _, d := range m.Delays {
		if d.Key == "total" && (d.Total < 1.2 || d.Total > 1.5) || d.Key == "penpals" && d.Total != 0 {
			t.Errorf("%s takes %v s a message", d.Key, d.Total)
		}
	}
	if p := m.Processes; p == nil || p.Busy != 3 || p.Idle != 7 || p.By["spam"] != 2 || p.Oldest != 3.2 || p.Gone != 1 || len(p.Over) != 2 {
		t.Errorf("processes are %+v", m.Processes)
	}
	var queues []string
	for _, q := range m.Queues {
		queues = append(queues, q.Name)
		if (q.Messages == nil) != (q.Name == "corrupt") || (q.Oldest == nil) != (q.Name == "corrupt") {
			t.Errorf("queue %+v", q)
		}
	}
	if !slices.Equal(queues, queueNames[:]) {
		t.Errorf("queues are %v", queues)
	}
	states := map[string]string{}
	for _, g := range m.Signatures {
		states[g.Scanner+" "+g.Database] = g.State
	}
	want := map[string]string{"clamav main": "present", "clamav daily": "behind", "clamav bytecode": "present", "sophos ": "fresh", "eset ": "old", "defender ": "unknown"}
	if fmt.Sprint(states) != fmt.Sprint(want) {
		t.Errorf("signatures are %v, should be %v", states, want)
	}
	for _, o := range m.Sources {
		if o.Up != (o.Name != "rspamd") || (o.Note != "") != (o.Name == "rspamd") {
			t.Errorf("source %+v", o)
		}
	}
}

// TestMailUnknown: what cannot be read says so, with its age, and nothing of it is zero.
func TestMailUnknown(t *testing.T) {
	var figures []event.Figure
	s := mailOnly(t, func() []event.Figure { return figures })
	if m := getJSON[mailState](t, s, "/api/v1/mail"); len(m.Sources) != 0 || len(m.Queues) != 0 || m.Received != nil || m.Processes != nil {
		t.Errorf("without a gateway it says %+v", m)
	}
	down := func(name, why string) {
		figures = append(figures, event.Measure("varde_mail_source_problem", "", "", 1, "source", name, "reason", why), event.Measure(name+"_up", "", "", 0),
			event.Measure("varde_mail_source_up", "", "", 0, "source", name), event.Count("varde_mail_source_errors_total", "", 17, "source", name))
	}
	old := func(f event.Figure, age time.Duration) event.Figure { f.Age = age; return f }
	down("amavis", "busy")
	down("clamav", "missing")
	down("postfix", "permission")
	figures = append(figures, old(event.Count("amavis_received_all_total", "", 5), 4*time.Minute),
		old(event.Count("amavis_messages_all_total", "", 5, "content", "clean"), 4*time.Minute))
	active := event.Measure("postfix_queue_messages", "", "", 7, "queue", "active")
	s.past.add(moment.Add(-20*time.Minute), []partFigures{{"mail", []event.Figure{active}, nil}})
	m := getJSON[mailState](t, s, "/api/v1/mail?from=-1h")
	notes := map[string]string{
		"amavis":  "cannot be read: its database is too busy; its figures are 4 min old",
		"clamav":  "cannot be read: it is not there; nothing is known of it now",
		"postfix": "cannot be read: varde has no permission; nothing is known of it now, and was last 20 min ago",
	}
	for _, o := range m.Sources {
		if o.Up || o.Errors != 17 || o.Note != notes[o.Name] {
			t.Errorf("source %+v, should say %q", o, notes[o.Name])
		}
	}
	if len(m.Queues) != len(queueNames) || m.Processes != nil || len(m.Signatures) != 1 || m.Signatures[0].State != "unknown" || !strings.Contains(m.Signatures[0].Note, "cannot be read") {
		t.Errorf("the state is %+v", m)
	}
	for _, q := range m.Queues {
		if q.Messages != nil || q.Oldest != nil || q.Bytes != nil {
			t.Errorf("queue %s is known: %+v", q.Name, q)
		}
	}
	for _, v := range m.Received.Values {
		if v != nil {
			t.Errorf("a rate of %v is known of one reading", *v)
		}
	}
}

// TestSignatures says of each state of signatures what it is.
func TestSignatures(t *testing.T) {
	scanner := func(name, database string, more ...event.Figure) []event.Figure {
		return append(more, event.Measure("antivirus_known", "", "", 1, "scanner", name, "database", database))
	}
	aged := func(name, database string, days float64) event.Figure {
		return event.Measure("antivirus_signatures_age_seconds", "", "seconds", days*86400, "scanner", name, "database", database)
	}
	daily := func(more ...event.Figure) []event.Figure {
		return scanner("clamav", "daily", append(more, aged("clamav", "daily", 0.2))...)
	}
	for _, c := range []struct {
		name, state, says string
		figures           []event.Figure
	}{
		{"fresh", "fresh", "", daily()},
		{"ageing", "ageing", "", scanner("eset", "", aged("eset", "", 3))},
		{"old", "old", "", scanner("eset", "", aged("eset", "", 8))},
		{"undated", "unknown", "not known how old", scanner("eset", "")},
		{"vendor has newer", "behind", "vendor has newer", scanner("sophos", "", event.Measure("antivirus_current", "", "", 0, "scanner", "sophos"), aged("sophos", "", 0.1))},
		{"vendor says newest", "fresh", "", scanner("sophos", "", event.Measure("antivirus_current", "", "", 1, "scanner", "sophos"))},
		{"issues", "fresh", "complains of 2 things", scanner("defender", "", event.Measure("antivirus_issues", "", "", 2, "scanner", "defender"), aged("defender", "", 1))},
		{"clamd behind", "behind", "1 version older than the disk", daily(event.Measure("clamd_lag_versions", "", "", 1))},
		{"clamd gone", "fresh", "clamd does not answer", daily(event.Measure("clamd_up", "", "", 0))},
		{"upstream newer", "behind", "3 versions behind upstream", daily(event.Measure("clamav_upstream_lag_versions", "", "", 3, "database", "daily"))},
		{"upstream silent", "fresh", "newest versions are not known", daily(event.Measure("clamav_upstream_up", "", "", 0))},
		{"blocked", "behind", "refuses freshclam for 2 h", daily(event.Measure("freshclam_blocked_seconds", "", "seconds", 7200))},
		{"unknown", "unknown", "not known how old", []event.Figure{event.Measure("antivirus_known", "", "", 0, "scanner", "eset", "database", "")}},
	} {
		m := getJSON[mailState](t, mailOnly(t, func() []event.Figure { return c.figures }), "/api/v1/mail")
		if len(m.Signatures) != 1 || m.Signatures[0].State != c.state || !strings.Contains(m.Signatures[0].Note, c.says) || c.says == "" && m.Signatures[0].Note != "" {
			t.Errorf("%s: %+v, should be %s and say %q", c.name, m.Signatures[0], c.state, c.says)
		}
	}
}

func letter(source, verdict, from, src string, action event.Action, ago time.Duration) event.Event {
	e := event.Event{Kind: event.Mail, Time: moment.Add(-ago).UnixNano(), Source: source, Action: action, Exporter: "mx"}
	e.Src, _ = netip.ParseAddr(src)
	e.Detail.Set("verdict", verdict)
	e.Detail.Set("from", from)
	return e
}

// TestMessages counts what the log says by verdict and by sender.
func TestMessages(t *testing.T) {
	s, m := newTestServer(t, Config{Listen: "127.0.0.1:0"})
	m.events = []event.Event{
		letter("amavis", "infected (Eicar (really))", "A@example.org", "192.0.2.1", event.Deny, 90*time.Minute),
		letter("amavis", "bad-header-2", "b@example.org", "192.0.2.2", event.Accept, 80*time.Minute),
		letter("amavis", "spam", "a@example.org", "192.0.2.3", event.Accept, 70*time.Minute),
		letter("postfix", "rejected", "", "192.0.2.4", event.Deny, 60*time.Minute),
		letter("postfix", authenticationFailed, "", "192.0.2.4", event.Deny, 50*time.Minute),
		letter("postfix", "sent", "b@example.org", "192.0.2.2", event.Accept, 40*time.Minute),
		{Kind: event.Flow, Time: moment.Add(-30 * time.Minute).UnixNano()},
	}
	all := getJSON[lettersAnswer](t, s, "/api/v1/mail/messages?from=-3h")
	var verdicts []string
	for _, v := range all.Verdicts {
		verdicts = append(verdicts, v.Verdict)
	}
	if all.Looked != 6 || all.More || all.Refused != 3 || len(all.Rows) != 6 || !slices.Equal(verdicts, []string{authenticationFailed, "bad_header", "rejected", "sent", "spam", "virus"}) {
		t.Errorf("it says %+v", all)
	}
	if want := []sender{{"a@example.org", 2, 1, 2}, {"", 1, 1, 1}}; !slices.Equal(all.Senders, want) {
		t.Errorf("senders are %+v, should be %+v", all.Senders, want)
	}
	if len(all.Content) != 3 || all.Content[0].Total != 1 {
		t.Errorf("content is %+v", all.Content)
	}
	for query, want := range map[string]int{"verdict=virus": 1, "sender=a@example.org": 2, "sender=%3C%3E": 2, "verdict=spam&sender=b@example.org": 0, "filter=src+192.0.2.2": 2, "n=1": 1, "n=0": 0} {
		if got := getJSON[lettersAnswer](t, s, "/api/v1/mail/messages?from=-3h&"+query); len(got.Rows) != want {
			t.Errorf("%s gives %d rows, should be %d", query, len(got.Rows), want)
		}
	}
	rows, err := csv.NewReader(ask(s, "GET", "/api/v1/mail/messages?format=csv&verdict=virus", "").Body).ReadAll()
	if err != nil || len(rows) != 2 || rows[1][4] != "192.0.2.1" || rows[1][9] != "infected (Eicar (really))" {
		t.Errorf("CSV is %v %v", rows, err)
	}
	for _, query := range []string{"verdict=" + strings.Repeat("x", maxName+1), "sender=" + strings.Repeat("x", maxText+1), "n=-1", "format=xml", "from=nonsense", "colour=red"} {
		if w := ask(s, "GET", "/api/v1/mail/messages?"+query, ""); w.Code != http.StatusBadRequest {
			t.Errorf("%.40s answers %d", query, w.Code)
		}
	}
	if w := ask(mailOnly(t, func() []event.Figure { return nil }), "GET", "/api/v1/mail/messages", ""); w.Code != http.StatusServiceUnavailable {
		t.Errorf("without a store it answers %d", w.Code)
	}
	for query, want := range map[string]int{"": 7, "match=SPAM": 1, "match=.1.3.6.1.4.1.15312.2.1.1.1": 1, "match=no+such": 0} {
		if got := getJSON[objectsAnswer](t, s, "/api/v1/mail/objects?"+query); !got.On || got.Total != 7 || len(got.Rows) != want {
			t.Errorf("objects?%s: %+v, want %d", query, got, want)
		}
	}
	if w := ask(s, "GET", "/api/v1/mail/objects?match="+strings.Repeat("x", maxName+1), ""); w.Code != http.StatusBadRequest {
		t.Errorf("objects with a long match answer %d", w.Code)
	}
	if got := getJSON[objectsAnswer](t, mailOnly(t, func() []event.Figure { return nil }), "/api/v1/mail/objects"); got.On || len(got.Rows) != 0 {
		t.Errorf("without an SNMP agent the objects are %+v", got)
	}
	guarded, _ := newTestServer(t, Config{Listen: "127.0.0.1:0", Users: []User{anna}})
	for _, r := range mailRoutes {
		if w := ask(guarded, r.method, r.path, ""); w.Code != http.StatusUnauthorized {
			t.Errorf("%s without a login answers %d", r.path, w.Code)
		}
	}
}

// TestMessagesMany: where there is more than is looked at, nothing is said of what was before, and words that strangers
// choose do not fill the memory.
func TestMessagesMany(t *testing.T) {
	s, m := newTestServer(t, Config{Listen: "127.0.0.1:0"})
	m.events = nil
	for i := range maxLetters + 500 {
		e := letter("amavis", "clean", fmt.Sprintf("%d@example.org", i), "192.0.2.1", event.Deny, 20*time.Hour)
		e.Time += int64(i) * int64(3*time.Second)
		if i%2 == 0 {
			e.Detail.Set("verdict", fmt.Sprintf("word-%d", i))
		}
		m.events = append(m.events, e)
	}
	got := getJSON[lettersAnswer](t, s, "/api/v1/mail/messages?n=5")
	if got.Looked != maxLetters || !got.More || len(got.Rows) != 5 || len(got.Verdicts) > maxVerdicts+1 || len(got.Content) > maxVerdicts+1 || len(got.Senders) != maxSenders {
		t.Errorf("looked at %d, more %v, %d rows, %d verdicts, %d contents, %d senders", got.Looked, got.More, len(got.Rows), len(got.Verdicts), len(got.Content), len(got.Senders))
	}
	unknown := 0
	for unknown < len(got.Content[0].Values) && got.Content[0].Values[unknown] == nil {
		unknown++
	}
	// The oldest that was looked at came 25 minutes after the first, which came 4 hours after the begin.
	if from := got.From.Add(time.Duration(unknown*got.Step) * time.Second); from.Before(moment.Add(-20*time.Hour+24*time.Minute)) || from.After(moment.Add(-19*time.Hour)) {
		t.Errorf("it is known from %v on", from)
	}
	if got.Content[len(got.Content)-1].Values[len(got.Content[0].Values)-1] == nil {
		t.Error("the newest step is not known")
	}
}
