package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// bodies are what each route that takes one understands.
var bodies = map[string]string{
	"POST /api/v1/session":           `{"name":"anna","password":"wrong"}`,
	"POST /api/v1/warnings/{id}/ack": `{"why":"seen"}`,
	"POST /api/v1/mutes":             `{"rule":"scan","why":"a test"}`,
}

// usual asks a route as it should be asked; headers change that.
func usual(s *Server, r route, headers ...string) *httptest.ResponseRecorder {
	path := target(r.path)
	if slices.Contains(r.params, "by") {
		path += "?by=src"
	}
	return ask(s, r.method, path, bodies[r.method+" "+r.path], headers...)
}

// troubles are the ways in which each route can be made to fail.
var troubles = map[string]func(t *testing.T, r route) *httptest.ResponseRecorder{
	"parameter": func(t *testing.T, r route) *httptest.ResponseRecorder {
		s, _ := newTestServer(t, Config{Listen: "127.0.0.1:0"})
		return ask(s, r.method, target(r.path)+"?nonsense=1", bodies[r.method+" "+r.path])
	},
	"login": func(t *testing.T, r route) *httptest.ResponseRecorder {
		s, _ := newTestServer(t, Config{Listen: "127.0.0.1:0", Users: []User{anna}})
		return usual(s, r)
	},
	"tries": func(t *testing.T, r route) *httptest.ResponseRecorder {
		s, _ := newTestServer(t, Config{Listen: "127.0.0.1:0", Users: []User{anna}})
		for range freeTries {
			usual(s, r)
		}
		return usual(s, r)
	},
	"site": func(t *testing.T, r route) *httptest.ResponseRecorder {
		s, _ := newTestServer(t, Config{Listen: "127.0.0.1:0"})
		return usual(s, r, "Sec-Fetch-Site", "cross-site", "Origin", "https://example.com")
	},
	"host": func(t *testing.T, r route) *httptest.ResponseRecorder {
		s, _ := newTestServer(t, Config{Listen: "127.0.0.1:0"})
		return usual(s, r, "Host", "example.com")
	},
	"nothing there": func(t *testing.T, r route) *httptest.ResponseRecorder {
		s, _ := newTestServer(t, Config{Listen: "127.0.0.1:0"})
		return ask(s, r.method, strings.ReplaceAll(strings.ReplaceAll(r.path, "{id}", "99"), "{address}", "nowhere"), bodies[r.method+" "+r.path])
	},
	"no object": func(t *testing.T, r route) *httptest.ResponseRecorder {
		s, _ := newTestServer(t, Config{Listen: "127.0.0.1:0"})
		return ask(s, r.method, target(r.path), `{"why":1`)
	},
	"long body": func(t *testing.T, r route) *httptest.ResponseRecorder {
		s, _ := newTestServer(t, Config{Listen: "127.0.0.1:0"})
		return ask(s, r.method, target(r.path), `{"why":"`+strings.Repeat("a", maxBody)+`"}`)
	},
	"form": func(t *testing.T, r route) *httptest.ResponseRecorder {
		s, _ := newTestServer(t, Config{Listen: "127.0.0.1:0"})
		return usual(s, r, "Content-Type", "text/plain")
	},
	"broken store": func(t *testing.T, r route) *httptest.ResponseRecorder {
		s, m := newTestServer(t, Config{Listen: "127.0.0.1:0"})
		m.fail = errors.New("the disk is gone")
		return usual(s, r)
	},
	"slow store": func(t *testing.T, r route) *httptest.ResponseRecorder {
		s, m := newTestServer(t, Config{Listen: "127.0.0.1:0"})
		m.fail = fmt.Errorf("ask: %w", context.DeadlineExceeded)
		return usual(s, r)
	},
	"no store": func(t *testing.T, r route) *httptest.ResponseRecorder {
		s, _ := newTestServer(t, Config{Listen: "127.0.0.1:0"})
		s.deps.Store = nil
		return usual(s, r)
	},
	"busy": func(t *testing.T, r route) *httptest.ResponseRecorder {
		s, _ := newTestServer(t, Config{Listen: "127.0.0.1:0"})
		for range maxQuestions {
			s.slots <- struct{}{}
		}
		for range maxListeners {
			s.live.listen("")
		}
		s.handler = soon(s.handler)
		return usual(s, r)
	},
}

// soon ends every request at once, so that whoever waits for a slot does not wait long.
func soon(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithDeadline(r.Context(), time.Time{})
		defer cancel()
		h.ServeHTTP(w, r.WithContext(ctx))
	})
}

// TestProblems makes every route fail in every way that there is: what it answers must be documented for it, and what
// is documented must happen.
func TestProblems(t *testing.T) {
	described := readDocument(t).operations()
	for _, r := range codeRoutes() {
		o := described[r.method+" "+r.path]
		happened := map[string]bool{}
		for name, trouble := range troubles {
			w := trouble(t, r)
			status := fmt.Sprint(w.Code)
			happened[status] = true
			switch {
			case object(o.node["responses"])[status] == nil:
				t.Errorf("%s: %s gives %s, which is not documented: %s", o, name, status, w.Body)
			case w.Code >= 400:
				o.answered(t, w, w.Code)
			}
			if wants := w.Code == http.StatusTooManyRequests; wants && w.Header().Get("Retry-After") == "" {
				t.Errorf("%s: %s does not say when to try again", o, name)
			}
		}
		for status := range object(o.node["responses"]) {
			if status >= "400" && !happened[status] {
				t.Errorf("%s: %s is documented and nothing brings it about", o, status)
			}
		}
	}
}

// TestUnderstood: what would be answered otherwise than it was meant is refused, with a sentence that says why.
func TestUnderstood(t *testing.T) {
	s, _ := newTestServer(t, Config{Listen: "127.0.0.1:0"})
	for target, says := range map[string]string{
		"/api/v1/events?filter=tcp&filter=udp":          "filter is given 2 times",
		"/api/v1/events?filter=port+22;from=-1h":        "cannot be read",
		"/api/v1/events?filter=%zz":                     "cannot be read",
		"/api/v1/events?Filter=tcp":                     "unknown parameter",
		"/api/v1/events?to=-2d":                         "end is not after its begin",
		"/api/v1/events?from=-1h..now":                  "single times",
		"/api/v1/top?by=bytes":                          "quantity",
		"/api/v1/series?step=1s&from=-1d":               "at most 10000",
		"/api/v1/series?by=list":                        "series by list",
		"/api/v1/pixels?width=4000&height=4000":         "at most 4000000",
		"/api/v1/warnings?address=192.0.2.0/33":         "no address or prefix",
		"/api/v1/addresses/fe80::1%25eth0":              "no address",
		"/api/v1/events?filter=in+list+nothing":         "nothing",
		"/api/v1/events?from=0001-01-01&to=9999-12-31":  "use the years 1970 to 2261",
		"/api/v1/points?from=1970-01-01T00:00:01Z":      "",
		"/api/v1/addresses/::ffff:203.0.113.94?from=1d": "",
	} {
		w := ask(s, "GET", target, "")
		if says == "" && w.Code != http.StatusOK || says != "" && (w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), says)) {
			t.Errorf("%s answers %d %.300s, should say %q", target, w.Code, w.Body, says)
		}
	}
	for body, says := range map[string]string{
		`{"rule":"scan","why":"a","colour":1}`:     "unknown field",
		`{"rule":"scan","why":"a"} {}`:             "something follows",
		`{"rule":"scan","why":1}`:                  "no JSON that this takes",
		`["rule"]`:                                 "no JSON that this takes",
		`{"rule":"scan"}`:                          "needs a reason",
		`{"rule":"scan","why":" \t "}`:             "needs a reason",
		`{"why":"a"}`:                              "a prefix, a list or a rule",
		`{"rule":"scan","why":"a","for":"1s"}`:     "from a minute",
		`{"rule":"scan","why":"a","for":"90000d"}`: "from a minute",
		`{"prefix":"192.0.2.300","why":"a"}`:       "no address or prefix",

		// Too much of something.
		`{"rule":"scan","why":"` + strings.Repeat("a", maxText+1) + `"}`:       "at most",
		`{"rule":"` + strings.Repeat("a", maxName+1) + `","why":"a"}`:          "at most",
		`{"rule":"scan","why":` + strings.Repeat("[", 9000) + `}`:              "no JSON that this takes",
		`{"rule":"scan","why":"a","for":"` + strings.Repeat("9", 5000) + `d"}`: "from a minute",
	} {
		if w := ask(s, "POST", "/api/v1/mutes", body); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), says) || w.Body.Len() > 2*maxText {
			t.Errorf("%.80s answers %d %.300s, should say %q", body, w.Code, w.Body, says)
		}
	}
}
