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
