package web

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"image/png"
	"math"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"varde/event"
	"varde/event/query"
)

// letterKeys are what the mail log tells of a message.
var letterKeys = []string{"helo", "from", "to", "subject", "size", "sha256", "verdict"}

// ownEvents is how many events apiServer adds to those of the scene.
const ownEvents = 4

// apiServer is a server over the scene and, besides it, one of everything that an answer can hold.
func apiServer(t testing.TB, users ...User) (*Server, *memStore) {
	t.Helper()
	s, m := newTestServer(t, Config{Listen: "127.0.0.1:0", Users: users})
	at := moment.Add(-time.Second).UnixNano()
	own, foreign, inside := netip.MustParseAddr("192.0.2.17"), netip.MustParseAddr("203.0.113.94"), netip.MustParseAddr("10.0.3.17")
	evidence := []event.Evidence{{
		List: "ThreatFox", Entry: netip.PrefixFrom(foreign, 32), Port: 4444, Name: "QakBot C2", URL: "https://lists.example/1", Confidence: 90,
		Tags: []string{"c2"}, Seen: at - 7200e9, Side: event.SideDst, Downgraded: true, PortMiss: true, Info: true,
	}}
	full := event.Event{
		Kind: event.Flow, Action: event.Accept, Source: "ipfix", Time: at, End: at + 5e8, Exporter: "edge-router", Domain: 7, Session: "5f1b2c3d4e5f",
		Proto: event.TCP, TCPFlags: event.SYN | event.ACK, Src: own, Dst: foreign, SrcPort: 49152, DstPort: 4444,
		NATSrc: inside, NATSrcPort: 49153, NATDst: foreign, NATDstPort: 4444, NATEvent: 1, Packets: 9, Bytes: 48213, Sampling: 64,
		HasReverse: true, RevPackets: 7, RevBytes: math.MaxUint64, RevTCPFlags: event.ACK, InIf: "lan0", OutIndex: 3, Rule: "out", Count: 2,
		Detail: event.Detail{{Key: "username", Value: hostile}}, Own: event.SideSrc, Country: "NL", ASN: 64502, Evidence: evidence,
	}
	reverse := full
	reverse.Src, reverse.Dst, reverse.Own = foreign, own, event.SideDst
	ping := event.Event{Kind: event.Probe, Time: at, Proto: event.ICMP, HasICMP: true, ICMPType: 8, Src: foreign, Dst: own, Exporter: "fw"}
	letter := event.Event{Kind: event.Mail, Action: event.Deny, Source: "postfix", Time: at, Proto: event.TCP, Src: foreign, Dst: own, DstPort: 25, Exporter: "mx"}
	for _, key := range letterKeys {
		letter.Detail.Set(key, key)
	}
	m.events = append(slices.Clip(m.events), letter, ping, reverse, full)
	mute := query.Mute{ID: 7, Prefix: netip.PrefixFrom(foreign, 32), List: "ThreatFox", Rule: "scan", Why: "a test", By: "anna", Created: at, Expires: at + 3600e9}
	m.mutes = append(m.mutes, mute)
	i := m.incidents[0]
	i.ID, i.Rule, i.Last, i.Event, i.Evidence, i.Sampling, i.Own.Port = "full", "scan", at, full, evidence, 64, 22
	i.Acked, i.AckBy, i.AckWhy = at, "anna", "seen to"
	i.Scan = &event.Scan{
		Pattern: "vertical", Technique: []string{"syn"}, Order: "ascending", Ports: 3, Low: 22, High: 80, Tried: []uint16{22, 23, 80}, Targets: 1, Sources: 1,
		From: []netip.Prefix{netip.PrefixFrom(foreign, 32)}, Rate: 1.5, Reached: []uint16{22},
	}
	i.Surge = &event.Surge{
		Meaning: "TR-069 of home routers", Sources: 41, Window: time.Hour, Expected: 2.5, Networks: 12, FirstSeen: at - 86400e9, Curve: []uint32{1, 4, 36},
		CurveFrom: at - 3600e9, CurveBin: 20 * time.Minute, Countries: []event.Share{{Name: "BR", Count: 20}}, ASes: []event.Share{{Name: "AS64503", Count: 20}},
	}
	m.incidents = append(m.incidents, i)
	m.sessions = []query.Session{{
		ID: "5f1b2c3d4e5f", Source: "cowrie", Exporter: "pot-1", Src: foreign, Dst: own, DstPort: 22, Proto: event.TCP, First: at, Last: at + 9e9, Logins: 3, Accepted: 1, Commands: 4,
	}}
	s.deps.HostName = func(netip.Addr) string { return "office-pc-7" }
	s.deps.Evidence = func(netip.Addr) []event.Evidence { return evidence }
	s.deps.Parts = append(s.deps.Parts, Part{"broken", brokenFigures{}}, Part{"more", figuresFunc(func() []event.Figure {
		old := event.Measure("varde_store_paused", "1 while the disk is full.", "bool", 0)
		old.Age = time.Minute
		return []event.Figure{
			old, event.Measure("postfix_queue_more", "More.", "", 1, "queue", "deferred"), event.Measure("amavis_processes_hidden", "Hidden.", "", 1),
			event.Measure("varde_unknown", "Not a number.", "", math.NaN()),
			event.Count("varde_flow_exporter_restarts_total", "Times that an exporter began again.", 1, "exporter", "new-core"),
		}
	})})
	return s, m
}

type brokenFigures struct{}

func (brokenFigures) Figures(context.Context) ([]event.Figure, error) {
	return nil, errors.New("read \x1b[31m" + hostile)
}

// ask sends one request, as a program on this machine does.
func ask(s *Server, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host, r.RemoteAddr = "127.0.0.1:8098", "127.0.0.1:40000"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

// questions are some to each route, which between them bring every field.
var questions = map[string][]string{
	"/api/v1/session":             {""},
	"/api/v1/fields":              {""},
	"/api/v1/filter":              {"filter=tcp+and+dst+port+443", ""},
	"/api/v1/events":              {"", "n=3&filter=proto+icmp", "from=-7d&to=-6d&n=200&format=json"},
	"/api/v1/top":                 {"", "by=country,dport/sources&filter=tcp", "by=list&n=0", "by=session"},
	"/api/v1/series":              {"", "by=service&from=-7d&filter=tcp", "by=src/packets&n=2&step=1h"},
	"/api/v1/distinct":            {"by=src", "by=service&filter=udp"},
	"/api/v1/pixels":              {"", "width=300&height=200&filter=kind+probe&from=-2h"},
	"/api/v1/points":              {"from=-1m", "n=2&filter=tcp"},
	"/api/v1/addresses/{address}": {"from=-7d", "filter=tcp&table=days"},
	"/api/v1/warnings":            {"from=-30d", "min=high&state=open&filter=tcp", "rule=scan&list=ThreatFox&address=203.0.113.0/24&n=1"},
	"/api/v1/warnings/{id}":       {""},
	"/api/v1/mutes":               {""},
	"/api/v1/health":              {"", "table=lists"},
	"/api/v1/figures":             {""},
	"/api/v1/mail":                {"", "from=-7d", "from=-1h"},
	"/api/v1/mail/messages":       {"", "filter=country+NO&verdict=spam&n=3&from=-7d", "sender=info@pills.example"},
	"/api/v1/mail/objects":        {"", "match=spam"},
	"/fireplot.png":               {"width=200&height=200", "width=300&height=200&of=all&from=-30m&filter=tcp&palette=safe&tz=Europe/Oslo&outlines=1"},
}

// target puts something that is there into a path.
func target(path string) string {
	path = strings.ReplaceAll(path, "{address}", "203.0.113.94")
	if strings.Contains(path, "/mutes/") {
		return strings.ReplaceAll(path, "{id}", "7")
	}
	return strings.ReplaceAll(path, "{id}", "full")
}

// answered checks the answer of one question against the document.
func (o operation) answered(t *testing.T, w *httptest.ResponseRecorder, status int) {
	t.Helper()
	if _, _, ok := o.response(fmt.Sprint(status), "image/png"); ok {
		if _, err := png.Decode(w.Body); err != nil || w.Header().Get("Content-Type") != "image/png" {
			t.Errorf("%s gives no picture: %d %v", o, w.Code, err)
		}
		return
	}
	place, content, ok := o.response(fmt.Sprint(status), "application/json")
	if w.Code != status || !ok || w.Header().Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("%s answers %d %s, as JSON documented: %v: %.300s", o, w.Code, w.Header().Get("Content-Type"), ok, w.Body)
		return
	}
	value, err := decode(w.Body.Bytes())
	if err != nil {
		t.Errorf("%s: %v: %.300s", o, err, w.Body)
		return
	}
	report(t, o.check(place, content["schema"], value, o.String()))
}

// TestAnswers asks every route and compares the real answer with the document: an undocumented field fails, and so does
// a documented one that no answer has.
func TestAnswers(t *testing.T) {
	d := readDocument(t)
	s, m := apiServer(t)
	guarded, _ := apiServer(t, anna)
	for name, o := range d.operations() {
		if o.method != http.MethodGet || o.path == "/api/v1/live" {
			continue
		}
		if len(questions[o.path]) == 0 {
			t.Errorf("no test asks %s", name)
		}
		for _, q := range questions[o.path] {
			o.answered(t, ask(s, o.method, target(o.path)+"?"+q, ""), http.StatusOK)
		}
	}
	all := d.operations()
	all["POST /api/v1/warnings/{id}/ack"].answered(t, ask(s, "POST", "/api/v1/warnings/i0001/ack", `{"why":"seen"}`), http.StatusOK)
	all["POST /api/v1/mutes"].answered(t, ask(s, "POST", "/api/v1/mutes", `{"prefix":"198.51.100.9","list":"OTX","rule":"list","why":"a test","for":"1d"}`), http.StatusCreated)
	all["DELETE /api/v1/mutes/{id}"].answered(t, ask(s, "DELETE", "/api/v1/mutes/7", ""), http.StatusOK)
	if len(m.mutes) != 2 || m.mutes[1].Expires != moment.Add(24*time.Hour).UnixNano() {
		t.Errorf("mutes are %+v", m.mutes)
	}
	in := ask(guarded, "POST", "/api/v1/session", `{"name":"anna","password":"correct horse"}`)
	all["POST /api/v1/session"].answered(t, in, http.StatusOK)
	cookie := in.Result().Cookies()[0].String()
	all["GET /api/v1/session"].answered(t, ask(guarded, "GET", "/api/v1/session", "", "Cookie", cookie), http.StatusOK)
	all["DELETE /api/v1/session"].answered(t, ask(guarded, "DELETE", "/api/v1/session", "", "Cookie", cookie), http.StatusOK)
	refused := ask(s, "GET", "/api/v1/filter?filter=dst+prot+443", "")
	all["GET /api/v1/filter"].answered(t, refused, http.StatusBadRequest)
	_, sample, _ := all["GET /api/v1/filter"].response("400", "application/json")
	if got, err := decode(refused.Body.Bytes()); err != nil || !reflect.DeepEqual(got, sample["example"]) {
		t.Errorf("the example of an error is not what dst prot 443 gives: %v", got)
	}
	checkLive(t, d)

	been := map[string]bool{}
	for _, o := range all {
		for status := range object(o.node["responses"]) {
			if place, content, ok := o.response(status, "application/json"); ok {
				d.properties(place, content["schema"], been, func(p string) {
					if !d.seen[p] {
						t.Errorf("%s: no answer has it", p)
					}
				})
			}
		}
	}
}

// checkLive listens while something happens.
func checkLive(t *testing.T, d *document) {
	t.Helper()
	base, s, m := startServer(t, Config{})
	r, err := http.Get(base + "/api/v1/live")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	o := d.operations()["GET /api/v1/live"]
	place, content, ok := o.response(fmt.Sprint(r.StatusCode), "text/event-stream")
	if !ok || r.Header.Get("Content-Type") != "text/event-stream; charset=utf-8" {
		t.Fatalf("%s answers %s", o, r.Status)
	}
	kinds := object(content["x-events"])
	if err := s.Say(t.Context(), m.incidents[0].Warning); err != nil {
		t.Fatal(err)
	}
	s.changed("i0001")
	name, heard := "", map[string]bool{}
	for lines := bufio.NewScanner(r.Body); len(heard) < len(kinds) && lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), ": ")
		switch key {
		case "event":
			name = value
		case "data":
			heard[name] = true
			v, err := decode([]byte(value))
			if err != nil {
				t.Fatal(err)
			}
			report(t, d.check(place+"/"+name, kinds[name], v, "live "+name))
		}
	}
	if len(heard) != 2 {
		t.Errorf("heard %v, documented are %v", heard, kinds)
	}
}

// TestTables asks every table as CSV.
func TestTables(t *testing.T) {
	s, _ := apiServer(t)
	for name, o := range readDocument(t).operations() {
		_, content, documented := o.response("200", "text/csv")
		params := o.params("query")
		if _, takes := params["format"]; takes != documented {
			t.Errorf("%s: format is taken: %v, CSV is documented: %v", name, takes, documented)
		}
		tables := object(content["x-csv"])
		if enum, ok := object(params["table"]["schema"])["enum"].([]any); ok && len(enum) != len(tables) {
			t.Errorf("%s: tables are %v, with headers %v", name, enum, tables)
		}
		for table, header := range tables {
			q := url.Values{"format": {"csv"}}
			want := fmt.Sprint(header)
			if params["table"] != nil {
				q.Set("table", table)
			}
			if strings.Contains(want, "{by}") {
				q.Set("by", "src,dport")
				want = strings.ReplaceAll(want, "{by}", "src,dport")
			}
			w := ask(s, "GET", target(o.path)+"?"+q.Encode(), "")
			rows, err := csv.NewReader(w.Body).ReadAll() // refuses rows of another length
			if err != nil || len(rows) < 2 || strings.Join(rows[0], ",") != want {
				t.Errorf("%s?%s: %v, %d rows, header %v, documented is %s", o, q.Encode(), err, len(rows), rows[:min(1, len(rows))], want)
			}
			if got := w.Header().Get("Content-Type") + w.Header().Get("Content-Disposition"); got != `text/csv; charset=utf-8attachment; filename="varde-`+table+`.csv"` {
				t.Errorf("%s?%s comes as %s", o, q.Encode(), got)
			}
		}
	}
}

// TestBounds tries the least and the largest value of every parameter and what lies beyond, and every listed word.
func TestBounds(t *testing.T) {
	s, _ := apiServer(t)
	for name, o := range readDocument(t).operations() {
		for param, p := range o.params("query") {
			try := func(value string, want int) {
				q := url.Values{param: {value}}
				for _, other := range []string{"width", "height"} {
					if p := o.params("query")[other]; p != nil && other != param {
						q.Set(other, fmt.Sprint(object(p["schema"])["minimum"]))
					}
				}
				if by := o.params("query")["by"]; by["required"] == true && param != "by" {
					q.Set("by", "src")
				}
				if w := ask(s, o.method, target(o.path)+"?"+q.Encode(), ""); w.Code != want {
					t.Errorf("%s?%.80s answers %d, should be %d: %.200s", o, q.Encode(), w.Code, want, w.Body)
				}
			}
			schema := object(p["schema"])
			words, _ := schema["enum"].([]any)
			for _, word := range words {
				try(fmt.Sprint(word), http.StatusOK)
			}
			switch schema["type"] {
			case "integer":
				low, high := number(schema["minimum"]), number(schema["maximum"])
				try(fmt.Sprint(low), http.StatusOK)
				try(fmt.Sprintf("%.0f", high), http.StatusOK)
				try(fmt.Sprint(low-1), http.StatusBadRequest)
				try(fmt.Sprintf("%.0f", high+1), http.StatusBadRequest)
				try("many", http.StatusBadRequest)
			case "string":
				if words != nil {
					try("nonsense", http.StatusBadRequest)
				}
				if schema["maxLength"] != nil {
					try(strings.Repeat(" ", int(number(schema["maxLength"]))-2)+"now", http.StatusBadRequest)
				}
			default:
				t.Errorf("%s: %s is a %v", name, param, schema["type"])
			}
			if p["example"] != nil && param != "to" {
				try(fmt.Sprint(p["example"]), http.StatusOK)
			}
		}
	}
}
