package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

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

// apiRoutes are the questions about events, incidents and the state of varde.
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

// served are all routes but logging in and out and live, which are no questions.
func served() []route { return slices.Concat(apiRoutes, mailRoutes, []route{pictureRoute}) }

// routes puts everything together: the API, the page, and what stands before both.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	methods := map[string][]string{} // of each path
	handle := func(method, path string, h http.Handler) {
		mux.Handle(method+" "+path, h)
		methods[path] = append(methods[path], method)
	}
	for _, r := range served() {
		handle(r.method, r.path, s.serve(r))
	}
	handle("POST", "/api/v1/session", http.HandlerFunc(s.login))
	handle("DELETE", "/api/v1/session", http.HandlerFunc(s.logout))
	handle("GET", "/api/v1/live", http.HandlerFunc(s.serveLive))
	for path, allowed := range methods {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			s.refuse(w, r, &problem{status: http.StatusMethodNotAllowed, Message: "this takes " + strings.Join(allowed, " or ") + " only"})
		})
	}
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		s.refuse(w, r, &problem{status: http.StatusNotFound, Message: "there is no " + r.Method + " " + human.Safe(r.URL.Path) + " in this API"})
	})
	mux.HandleFunc("/", s.servePage)
	return s.guard(s.sameSite(mux))
}

// sameSite refuses what pages of other sites send. That they cannot read answers the browser sees to; they shall not
// change anything either, nor keep the store busy. Links to the API may be followed from anywhere.
func (s *Server) sameSite(next http.Handler) http.Handler {
	cross := http.NewCrossOriginProtection()
	if s.cfg.URL != "" {
		_ = cross.AddTrustedOrigin(originOf(s.cfg.URL)) // Check has read it; a proxy may hide what the page is called
	}
	deny := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.refuse(w, r, &problem{status: http.StatusForbidden, Message: "the request comes from another site's page"})
	})
	cross.SetDenyHandler(deny)
	checked := cross.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		site := r.Header.Get("Sec-Fetch-Site")
		if (site == "cross-site" || site == "same-site") && r.Header.Get("Sec-Fetch-Mode") != "navigate" && (strings.HasPrefix(r.URL.Path, "/api/") || r.URL.Path == pictureRoute.path) {
			deny(w, r)
			return
		}
		checked.ServeHTTP(w, r)
	})
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
		if err := understood(r, route.params); err != nil {
			s.refuse(w, r, err)
			return
		}
		if r.Method == http.MethodPost { // whole before it takes a slot, since a body may come slowly
			data, err := readBody(r)
			if err != nil {
				s.refuse(w, r, err)
				return
			}
			r.Body = io.NopCloser(bytes.NewReader(data))
		}
		ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
		defer cancel()
		done := func() {}
		if route.asks {
			select {
			case s.slots <- struct{}{}:
				done = sync.OnceFunc(func() { <-s.slots })
				defer done()
			case <-ctx.Done():
				s.refuse(w, r, &problem{status: http.StatusServiceUnavailable, retry: "5", Message: "too many questions are being answered; ask again in a moment"})
				return
			}
		}
		a, err := route.handle(s, r.WithContext(ctx))
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		s.write(w, r, a, done)
	})
}

// understood refuses a question that would be answered otherwise than it was meant: a parameter that this route does
// not take, one that is given twice, or a query that cannot be read.
func understood(r *http.Request, params []string) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return bad("the parameters cannot be read: %s; write blanks as +, and ; & %% as %%3B %%26 %%25", err)
	}
	for name, values := range query {
		switch {
		case !slices.Contains(params, name):
			return bad("unknown parameter %q; this takes %s", name, known(params))
		case len(values) > 1:
			return bad("%s is given %d times: give it once", name, len(values))
		}
	}
	return nil
}

func known(params []string) string {
	if len(params) == 0 {
		return "none"
	}
	return strings.Join(params, ", ")
}

// answer is what a route says: a body for JSON, and the same as a table where there is one.
type answer struct {
	status  int // 200 where it is 0
	body    any
	table   *table
	picture *picture // instead of both
}

// shortAnswer is what may wait for a slow reader without the slot of its question. Longer ones keep it, so that answers in
// memory are bounded.
const shortAnswer = 256 << 10

// write sends an answer; done gives the slot back.
func (s *Server) write(w http.ResponseWriter, r *http.Request, a answer, done func()) {
	if a.picture != nil {
		if len(a.picture.data) <= shortAnswer {
			done()
		}
		a.picture.write(w, r)
		return
	}
	h := w.Header()
	kind := "application/json; charset=utf-8"
	var b bytes.Buffer
	var err error
	if a.table != nil && r.URL.Query().Get("format") == "csv" {
		kind = "text/csv; charset=utf-8"
		h.Set("Content-Disposition", `attachment; filename="varde-`+a.table.name+`.csv"`)
		err = a.table.writeCSV(&b)
	} else {
		err = json.NewEncoder(&b).Encode(a.body)
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	data := visible(b.Bytes())
	if len(data) <= shortAnswer {
		done()
	}
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "no-store")
	if a.status != 0 {
		w.WriteHeader(a.status)
	}
	_, _ = w.Write(data) // the reader went away
}

// visible writes everything in JSON that is not printable as an escape: marks that turn the direction of writing and C1
// controls are harmless to programs, not to whoever looks at an answer in a terminal. Outside of strings JSON is ASCII.
func visible(data []byte) []byte {
	if !bytes.ContainsFunc(data, hidden) {
		return data
	}
	out := make([]byte, 0, len(data)+64)
	for len(data) > 0 {
		r, n := utf8.DecodeRune(data)
		switch {
		case !hidden(r):
			out = append(out, data[:n]...)
		case r <= 0xffff:
			out = fmt.Appendf(out, `\u%04x`, r)
		default:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		}
		data = data[n:]
	}
	return out
}

func hidden(r rune) bool { return r >= 0x7f && !unicode.IsPrint(r) }

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
