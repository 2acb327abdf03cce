package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"

	"varde/event/human"
	"varde/event/query"
)

// route is one entry of the API; docs/api/openapi.yaml describes each.
type route struct {
	method, path string
	params       []string // query parameters that are understood
	open         bool     // needs no login
	asks         bool     // takes a slot, since it asks the store
	handle       func(*Server, *http.Request) (answer, error)
}

// spanParams are those of every question about a span of time.
var spanParams = []string{"from", "to", "filter"}

// apiRoutes are all routes but live, which is no answer but a stream.
var apiRoutes = []route{
	{"GET", "/api/v1/session", nil, true, false, (*Server).getSession},
	{"GET", "/api/v1/fields", nil, false, false, (*Server).getFields},
	{"GET", "/api/v1/filter", []string{"filter"}, false, false, (*Server).getFilter},
	{"GET", "/api/v1/events", append([]string{"n", "format"}, spanParams...), false, true, (*Server).getEvents},
	{"GET", "/api/v1/top", append([]string{"by", "n", "format"}, spanParams...), false, true, (*Server).getTop},
	{"GET", "/api/v1/series", append([]string{"by", "n", "step", "format"}, spanParams...), false, true, (*Server).getSeries},
	{"GET", "/api/v1/distinct", append([]string{"by"}, spanParams...), false, true, (*Server).getDistinct},
	{"GET", "/api/v1/pixels", append([]string{"width", "height"}, spanParams...), false, true, (*Server).getPixels},
	{"GET", "/api/v1/points", append([]string{"n"}, spanParams...), false, true, (*Server).getPoints},
	{"GET", "/api/v1/warnings", append([]string{"n", "min", "rule", "list", "address", "state", "format"}, spanParams...), false, true, (*Server).getWarnings},
	{"GET", "/api/v1/warnings/{id}", nil, false, true, (*Server).getWarning},
	{"POST", "/api/v1/warnings/{id}/ack", nil, false, true, (*Server).postAck},
	{"GET", "/api/v1/mutes", []string{"format"}, false, true, (*Server).getMutes},
	{"POST", "/api/v1/mutes", nil, false, true, (*Server).postMute},
	{"DELETE", "/api/v1/mutes/{id}", nil, false, true, (*Server).deleteMute},
	{"GET", "/api/v1/addresses/{address}", append([]string{"table", "format"}, spanParams...), false, true, (*Server).getAddress},
	{"GET", "/api/v1/health", []string{"table", "format"}, false, true, (*Server).getHealth},
	{"GET", "/api/v1/figures", []string{"format"}, false, true, (*Server).getFigures},
}

// routes puts everything together: the API, the page, and what stands before both.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for _, r := range apiRoutes {
		mux.Handle(r.method+" "+r.path, s.serve(r))
	}
	mux.HandleFunc("POST /api/v1/session", s.login)
	mux.HandleFunc("DELETE /api/v1/session", s.logout)
	mux.HandleFunc("GET /api/v1/live", s.serveLive)
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		s.refuse(w, r, &problem{status: http.StatusNotFound, Message: "there is no " + r.Method + " " + human.Safe(r.URL.Path) + " in this API"})
	})
	mux.HandleFunc("/", s.servePage)
	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.refuse(w, r, &problem{status: http.StatusForbidden, Message: "the request comes from another site's page"})
	}))
	return s.guard(cross.Handler(mux))
}

// policy is strict enough that text which turns into markup still does nothing.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; frame-ancestors 'none'; form-action 'self'"

// guard sets the headers of every answer and, on loopback, serves only requests that were meant for this machine: a
// name of somebody else's that resolves to 127.0.0.1 must not make a browser read the page for that somebody.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
		if s.cfg.TLS.Cert != "" {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		if s.loopback && !s.knownHost(r.Host) {
			s.refuse(w, r, &problem{
				status:  http.StatusMisdirectedRequest,
				Message: "this page is not called " + human.Safe(shorten(r.Host, maxName)) + "; open it as " + s.cfg.Listen + " or set web.url",
			})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) knownHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	return loopbackName(host) || s.cfg.URL != "" && host == urlHost(s.cfg.URL)
}

// serve is one route: login, parameters, a slot, a limit of time, and the answer as JSON or CSV.
func (s *Server) serve(route route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !route.open {
			if err := s.allowed(r); err != nil {
				s.refuse(w, r, err)
				return
			}
		}
		for name := range r.URL.Query() {
			if !slices.Contains(route.params, name) {
				s.refuse(w, r, bad("unknown parameter %q; this takes %s", name, known(route.params)))
				return
			}
		}
		ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
		defer cancel()
		if route.asks {
			select {
			case s.slots <- struct{}{}:
				defer func() { <-s.slots }()
			case <-ctx.Done():
				s.refuse(w, r, &problem{status: http.StatusServiceUnavailable, Message: "too many questions are being answered; ask again in a moment"})
				return
			}
		}
		a, err := route.handle(s, r.WithContext(ctx))
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		s.write(w, r, a)
	})
}

func known(params []string) string {
	if len(params) == 0 {
		return "none"
	}
	return strings.Join(params, ", ")
}

// answer is what a route says: a body for JSON, and the same as a table where there is one.
type answer struct {
	status int // 200 where it is 0
	body   any
	table  *table
}

func (s *Server) write(w http.ResponseWriter, r *http.Request, a answer) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if a.table != nil && r.URL.Query().Get("format") == "csv" {
		h.Set("Content-Type", "text/csv; charset=utf-8")
		h.Set("Content-Disposition", `attachment; filename="varde-`+a.table.name+`.csv"`)
		_ = a.table.writeCSV(w) // the reader went away
		return
	}
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(a.body); err != nil {
		s.refuse(w, r, err)
		return
	}
	h.Set("Content-Type", "application/json; charset=utf-8")
	if a.status != 0 {
		w.WriteHeader(a.status)
	}
	_, _ = w.Write(b.Bytes()) // the reader went away
}

// problem is an error that the one who asks can do something about.
type problem struct {
	status  int
	Message string `json:"error"`
	Column  int    `json:"column,omitempty"` // of the filter, in characters from 1
	Length  int    `json:"length,omitempty"` // in characters
	Near    string `json:"near,omitempty"`   // what was meant, perhaps
	retry   string
}

// Error is the sentence.
func (p *problem) Error() string { return p.Message }

// refuse answers with an error. What is not the asker's fault is noted in the log.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := &problem{}
	var syntax *query.SyntaxError
	switch {
	case errors.As(err, &p):
	case errors.As(err, &syntax):
		p = syntaxProblem(syntax)
	case errors.Is(err, context.DeadlineExceeded):
		p = &problem{status: http.StatusGatewayTimeout, Message: "the answer took longer than " + human.Span(askTimeout) + "; ask about less time or with a narrower filter"}
	case errors.Is(err, context.Canceled):
		return // nobody is there to read it
	default:
		s.log.Warn("request", "path", r.URL.Path, "error", err)
		p = &problem{status: http.StatusInternalServerError, Message: "the store did not answer: " + human.Safe(shorten(err.Error(), maxText))}
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	if p.retry != "" {
		h.Set("Retry-After", p.retry)
	}
	w.WriteHeader(p.status)
	_ = json.NewEncoder(w).Encode(p) // the reader went away
}

// limited lets in so many connections at a time; the others wait in the kernel's queue.
type limited struct {
	net.Listener
	slots chan struct{}
	gone  chan struct{}
	once  sync.Once
}

func newLimited(l net.Listener, n int) *limited {
	return &limited{Listener: l, slots: make(chan struct{}, n), gone: make(chan struct{})}
}

// Accept waits for room, then for a connection.
func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.gone:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &limitedConn{Conn: c, free: sync.OnceFunc(func() { <-l.slots })}, nil
}

// Close ends an Accept that waits.
func (l *limited) Close() error {
	l.once.Do(func() { close(l.gone) })
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn
	free func()
}

// Close makes room for the next.
func (c *limitedConn) Close() error {
	defer c.free()
	return c.Conn.Close()
}
