package web

import (
	"encoding/csv"
	"encoding/json"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"unicode"

	"varde/event"
)

// hostileTexts are what strangers write to be obeyed: by browsers, spreadsheets, terminals, and by whoever reads lines.
var hostileTexts = []string{
	hostile,
	`=cmd|' /C calc'!A0`, "+1+1", "-1+1", "@SUM(A1:A9)", " =1+1", "\t=1+1", "\r=1+1", "\n=1+1", `"=1+1`, "a;=1+1", "a; @SUM(A1)", "＝1+1",
	"\x1b[31mred\x1b]0;title\x07", "\u009b31mred", "a\x00b\x7fc", "a\u202eb\u2066c\u200bd\ufeffe", "\U000e0041tag", "line\r\nid: 9\r\nevent: warning\r\ndata: {}\r\n\r\n",
	"\u2028\u2029\u0085", `"},{"x":"`, "\xff\xfe\xc0\xaf", "</script><!--", "&lt;b&gt;",
}

// poison writes a text wherever strangers and lists write.
func poison(s *Server, m *memStore, text string) {
	for i := range m.events {
		e := &m.events[i]
		e.Source, e.Exporter, e.Session, e.Rule, e.InIf, e.OutIf, e.Country = text, text, text, text, text, text, text
		e.Detail = event.Detail{{Key: text, Value: text}}
		for _, key := range letterKeys {
			e.Detail = append(e.Detail, event.Pair{Key: key, Value: text})
		}
		e.Evidence = []event.Evidence{{List: text, Text: text, Name: text, URL: text, Tags: []string{text, text}}}
	}
	i := m.incidents[len(m.incidents)-1]
	i.Why, i.Own.Name, i.Foreign.Name, i.Event, i.Evidence = text, text, text, m.events[0], m.events[0].Evidence
	i.AckBy, i.AckWhy = text, text
	surge := *i.Surge
	surge.Meaning, surge.ASes = text, []event.Share{{Name: text, Count: 1}}
	i.Surge = &surge
	m.incidents[len(m.incidents)-1] = i
	m.mutes[len(m.mutes)-1].Why, m.mutes[len(m.mutes)-1].By, m.mutes[0].List = text, text, text
	v := &m.sessions[0]
	v.ID, v.Source, v.Exporter = text, text, text
	s.deps.Lists = func() []ListStatus { return []ListStatus{{Name: text, Source: text, Format: text, Error: text}} }
	s.deps.HostName = func(netip.Addr) string { return text }
	s.deps.Evidence = func(netip.Addr) []event.Evidence { return m.events[0].Evidence }
	s.deps.Version = text
	s.deps.Parts = []Part{{text, figuresFunc(func() []event.Figure {
		return []event.Figure{
			event.Measure("varde_mail_source_up", "", "", 0, "source", text), event.Measure("varde_mail_source_problem", "", "", 1, "source", text, "reason", text),
			event.Count("amavis_virus_total", "", 1, "name", text), event.Count("amavis_messages_all_total", "", 1, "content", text),
			event.Measure("postfix_queue_messages", "", "", 1, "queue", text), event.Measure("antivirus_known", "", "", 0, "scanner", text, "database", text),
			event.Count(text, text, 1, "exporter", text), event.Measure("varde_store_paused", text, text, 1, text, text), event.Count("varde_output_said_total", "", 1, "output", text),
		}
	})}, {text, brokenFigures{}}}
}

// TestHostile asks every route of a server that is full of such texts, as JSON and as CSV, and makes errors out of them.
func TestHostile(t *testing.T) {
	operations := readDocument(t).operations()
	s, m := apiServer(t)
	m.events = m.events[len(m.events)-ownEvents:]
	for _, text := range hostileTexts {
		poison(s, m, text)
		for _, o := range operations {
			if _, _, ok := o.response("200", "application/json"); !ok || o.method != "GET" {
				continue
			}
			for _, q := range append(questions[o.path], "by="+url.QueryEscape(text), "filter="+url.QueryEscape(text), "from="+url.QueryEscape(text), "n="+url.QueryEscape(text), "table="+url.QueryEscape(text), url.QueryEscape(text)) {
				inertJSON(t, o, q, ask(s, o.method, target(o.path)+"?"+q, ""))
			}
			_, content, _ := o.response("200", "text/csv")
			for table := range object(content["x-csv"]) {
				q := "format=csv"
				if o.params("query")["table"] != nil {
					q += "&table=" + table
				}
				inertCSV(t, o, q, ask(s, o.method, target(o.path)+"?"+q, ""))
			}
		}
		for _, path := range []string{"/api/v1/warnings/", "/api/v1/addresses/", "/api/v1/no/"} {
			inertJSON(t, operation{path: path}, text, ask(s, "GET", path+url.PathEscape(text), ""))
		}
		body, _ := json.Marshal(map[string]string{"why": text, text: text})
		inertJSON(t, operation{path: "body"}, text, ask(s, "POST", "/api/v1/mutes", string(body)))
		inertJSON(t, operation{path: "host"}, text, ask(s, "GET", "/", "", "Host", text+"x"))
		if utf8OK := strings.ToValidUTF8(text, "") == text; utf8OK {
			var got struct{ Rows []struct{ Source string } }
			if err := json.Unmarshal(ask(s, "GET", "/api/v1/events", "").Body.Bytes(), &got); err != nil || got.Rows[0].Source != text {
				t.Errorf("%q becomes %q: %v", text, got.Rows[0].Source, err)
			}
		}
	}
}

// inertJSON wants printable text on one line, without what markup is made of.
func inertJSON(t *testing.T, o operation, q string, w *httptest.ResponseRecorder) {
	t.Helper()
	line, ended := strings.CutSuffix(w.Body.String(), "\n")
	bad := strings.IndexFunc(line, func(r rune) bool {
		return !unicode.IsPrint(r) || r == '<' || r == '>' || r == '&'
	})
	if bad >= 0 || !ended || !json.Valid(w.Body.Bytes()) || w.Header().Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("%s?%.60s (%d): not inert at %d: %q", o, q, w.Code, bad, line[max(0, bad-40):min(len(line), max(bad, 0)+40)])
	}
}

// inertCSV wants printable text in which no cell begins as a formula does, wherever a spreadsheet may begin one.
func inertCSV(t *testing.T, o operation, q string, w *httptest.ResponseRecorder) {
	t.Helper()
	if strings.ContainsFunc(w.Body.String(), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
		t.Errorf("%s?%s is not printable: %q", o, q, w.Body)
	}
	rows, err := csv.NewReader(w.Body).ReadAll()
	if err != nil || len(rows) < 2 {
		t.Errorf("%s?%s: %d rows: %v", o, q, len(rows), err)
	}
	for _, row := range rows {
		for _, cell := range row {
			for piece := range strings.SplitSeq(cell, ";") {
				if piece = strings.TrimLeft(piece, ` "`); piece != "" && strings.ContainsRune("=+-@＝＋－＠\t\r\n", []rune(piece)[0]) {
					t.Errorf("%s?%s: the cell %q may be computed", o, q, cell)
				}
			}
		}
	}
}

// TestHostileStream: what is streamed stays in its line.
func TestHostileStream(t *testing.T) {
	s, m := apiServer(t)
	m.events = m.events[len(m.events)-ownEvents:]
	_, ear, _ := s.live.listen("")
	for _, text := range hostileTexts {
		poison(s, m, text)
		if err := s.Say(t.Context(), m.incidents[len(m.incidents)-1].Warning); err != nil {
			t.Fatal(err)
		}
		s.changed(text)
		for range 2 {
			if data := (<-ear).data; !json.Valid(data) || strings.ContainsFunc(string(data), func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%q is streamed as %q", text, data)
			}
		}
	}
}
