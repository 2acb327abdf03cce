package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"varde/event"
	"varde/event/human"
	"varde/event/query"
)

// Bounds on what a request may say.
const (
	maxName   = 128  // of users, lists, hosts
	maxText   = 2000 // of reasons, and of an error that is shown
	maxMoment = 64   // of a time
)

func bad(format string, args ...any) error {
	return &problem{status: http.StatusBadRequest, Message: human.Safe(shorten(fmt.Sprintf(format, args...), maxText))}
}

// shorten cuts s to at most n bytes at the border of a character.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

func syntaxProblem(e *query.SyntaxError) *problem {
	return &problem{
		status: http.StatusBadRequest, Message: human.Safe(e.Error()), Column: e.Column(),
		Length: utf8.RuneCountInString(e.Text[e.At : e.At+e.Len]), Near: e.Near,
	}
}

// asked is the box that a request is about, and how it is told back.
type asked struct {
	query.Box
	Filter string // as Format writes it, "" for none
}

// span is the beginning of every answer about a box.
type span struct {
	From   time.Time `json:"from,omitzero"`
	To     time.Time `json:"to,omitzero"`
	Filter string    `json:"filter,omitempty"` // as it was understood
}

func (a *asked) span() span {
	return span{event.Stamp(a.From), event.Stamp(a.To), a.Filter}
}

// box reads from, to and filter of a question to the store. Without from it is the last 24 hours.
func (s *Server) box(r *http.Request) (asked, error) {
	if s.deps.Store == nil {
		return asked{}, &problem{status: http.StatusServiceUnavailable, Message: "nothing is stored: this varde runs without a store"}
	}
	a, err := s.spanOf(r)
	if err != nil {
		return a, err
	}
	a.Box.Filter, a.Filter, err = s.filter(r.URL.Query().Get("filter"))
	return a, err
}

// spanOf reads from and to.
func (s *Server) spanOf(r *http.Request) (a asked, err error) {
	q := r.URL.Query()
	from, to := q.Get("from"), q.Get("to")
	if from == "" {
		from = "-24h"
	}
	if to == "" {
		to = "now"
	}
	if len(from) > maxMoment || len(to) > maxMoment || strings.Contains(from+to, "..") {
		return a, bad("from and to are single times: use -24h, 2026-11-01 or 2026-11-01T12:00Z")
	}
	if a.From, a.To, err = query.Range(from+".."+to, s.deps.Now().UTC()); err != nil {
		return a, bad("%s", err)
	}
	return a, nil
}

// filter reads a filter and finds the entries of the lists that it names.
func (s *Server) filter(text string) (query.Expr, string, error) {
	if strings.TrimSpace(text) == "" {
		return nil, "", nil
	}
	x, err := query.Parse(text)
	if err != nil {
		return nil, "", err
	}
	said := query.Format(x)
	x, err = query.Resolve(x, func(list string) ([]netip.Prefix, bool) {
		if s.deps.Prefixes == nil {
			return nil, false
		}
		return s.deps.Prefixes(list)
	})
	if err != nil {
		return nil, "", bad("%s", err)
	}
	return x, said, nil
}

// count reads a number of rows.
func count(r *http.Request, name string, usual, most int) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return usual, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > most {
		return 0, bad("%s is %q: use a number from 0 to %d", name, text, most)
	}
	return n, nil
}

// format refuses what is neither CSV nor JSON.
func format(r *http.Request) (csv bool, err error) {
	switch f := r.URL.Query().Get("format"); f {
	case "", "json":
		return false, nil
	case "csv":
		return true, nil
	default:
		return false, bad("format is %q: use csv or json", f)
	}
}

// readBody reads the body of a request. That it says it is JSON keeps forms of other sites out.
func readBody(r *http.Request) ([]byte, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, &problem{status: http.StatusUnsupportedMediaType, Message: "send JSON with Content-Type: application/json"}
	}
	data, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		return nil, &problem{status: http.StatusRequestEntityTooLarge, Message: fmt.Sprintf("the body is longer than %d bytes", maxBody)}
	case err != nil:
		return nil, bad("the body cannot be read: %s", err)
	}
	return data, nil
}

// body reads a JSON object of a request strictly.
func body(r *http.Request, into any) error {
	data, err := readBody(r)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	err = dec.Decode(into)
	if err == nil {
		if _, more := dec.Token(); more != io.EOF {
			err = errors.New("something follows the object")
		}
	}
	if err != nil {
		return bad("the body is no JSON that this takes: %s", err)
	}
	return nil
}

func urlHost(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Hostname())
}

// originOf is what a browser calls the site of an address: scheme, host and port.
func originOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + strings.ToLower(u.Host)
}
