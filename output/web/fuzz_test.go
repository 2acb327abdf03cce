package web

import (
	"encoding/csv"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode"
)

// FuzzRequest sends what anybody may send. Whatever it is, the answer is a status that the document has, JSON or CSV that
// can be read and is printable, with the headers that keep a browser safe.
func FuzzRequest(f *testing.F) {
	s, m := apiServer(f)
	m.events = m.events[len(m.events)-ownEvents:]
	operations := readDocument(f).operations()
	routes := codeRoutes()
	for i, r := range routes {
		f.Add(uint8(i), "full", "", bodies[r.method+" "+r.path], "application/json")
		for _, q := range questions[r.path] {
			f.Add(uint8(i), "203.0.113.94", q, "", "")
		}
	}
	for i, text := range hostileTexts {
		f.Add(uint8(i), text, "filter="+url.QueryEscape(text)+"&format=csv", `{"why":"`+text+`"}`, text)
	}
	f.Fuzz(func(t *testing.T, which uint8, id, query, body, kind string) {
		r := routes[int(which)%len(routes)]
		if r.path == "/api/v1/live" || r.path == pictureRoute.path { // the one does not end, the other takes long
			return
		}
		path := strings.NewReplacer("{id}", id, "{address}", id).Replace(r.path)
		asked := httptest.NewRequest(r.method, "/", strings.NewReader(body))
		asked.URL = &url.URL{Path: path, RawQuery: query}
		asked.Host = "127.0.0.1:8098"
		asked.Header.Set("Content-Type", kind)
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, asked)
		m.mutes = m.mutes[:min(len(m.mutes), 9)]
		o := operations[r.method+" "+r.path]
		if strings.Contains(r.path, "{") && strings.Trim(id, "0123456789abcdefghijklmnopqrstuvwxyz.:") != "" {
			o.node = nil // another route, or none
		}
		h := w.Header()
		switch status := w.Result().Status[:3]; {
		case w.Code >= 300 && w.Code < 400:
			if !strings.HasPrefix(h.Get("Location"), "/") || strings.HasPrefix(h.Get("Location"), "//") {
				t.Errorf("%s leads to %s", path, h.Get("Location"))
			}
		case o.node != nil && id != "" && object(o.node["responses"])[status] == nil:
			t.Errorf("%s?%s answers %s, which is not documented: %s", o, query, status, w.Body)
		case h.Get("Content-Type") == "text/csv; charset=utf-8":
			if _, err := csv.NewReader(w.Body).ReadAll(); err != nil {
				t.Error(err)
			}
		case !strings.HasPrefix(h.Get("Content-Type"), "text/"): // a page
			inertJSON(t, o, query, w)
		}
		if h.Get("Content-Security-Policy") != policy || h.Get("X-Content-Type-Options") != "nosniff" || w.Code == http.StatusInternalServerError {
			t.Errorf("%s?%s answers %d with %v: %s", o, query, w.Code, h, w.Body)
		}
		for _, values := range h {
			if strings.ContainsFunc(strings.Join(values, ""), func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%s?%s: headers %q", o, query, h)
			}
		}
	})
}
