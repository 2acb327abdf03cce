package intel

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Manners towards the servers of lists.
const (
	requestTimeout = 2 * time.Minute
	refreshTimeout = 30 * time.Minute // of all pages together
	firstBackoff   = time.Minute
	maxBackoff     = 6 * time.Hour
	maxRedirects   = 5
	maxPages       = 1000 // requests of one refresh
	maxPageSizes   = 16   // all answers of one refresh, in units of the list's size limit
	shrinkGuard    = 2    // a list that has shrunk to less than one in so many is an accident
	fullEvery      = 7 * 24 * time.Hour
	userAgent      = "varde (network watch; list refresh)"
)

// generalFloor is the shortest interval for lists whose format has none of its own.
const generalFloor = 15 * time.Minute

// state is what is remembered of a server beside the copy of its list.
type state struct {
	URL      string    `json:"url"`
	ETag     string    `json:"etag,omitempty"`
	Modified string    `json:"modified,omitempty"`
	Since    string    `json:"since,omitempty"`   // from where the next answer goes on, in the words of the server
	Full     time.Time `json:"full,omitzero"`     // when all was last asked for, which shows what was withdrawn
	Checked  time.Time `json:"checked,omitzero"`  // when it last answered well
	Partial  bool      `json:"partial,omitempty"` // there is more to fetch at once
}

func (s *Set) loadState(l *list) state {
	var st state
	b, err := os.ReadFile(s.path(l, ".state"))
	if err == nil {
		err = json.Unmarshal(b, &st)
	}
	if err != nil {
		return state{}
	}
	return st
}

func (s *Set) saveState(l *list, st state) error {
	if s.dir == "" {
		return nil
	}
	b, err := json.Marshal(st)
	if err != nil {
		return err
	}
	return writeFile(s.path(l, ".state"), b)
}

// retryAfter is an error with the time that a server asked for.
type retryAfter struct {
	error
	wait time.Duration
}

// every is how often a list is fetched. Its lock is held, or nobody else knows it yet.
func (l *list) every() time.Duration {
	return max(cmp.Or(time.Duration(l.cfg.Refresh), defaultRefresh), l.floor())
}

// floor is how often a list may be fetched at most, likewise.
func (l *list) floor() time.Duration {
	format := l.format
	if f, ok := FormatNamed(l.cfg.Format); ok {
		format = f
	}
	return cmp.Or(format.Floor, generalFloor)
}

// fetch asks the server of a list for what is new and plans the next time.
func (s *Set) fetch(ctx context.Context, l *list) (fresh bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	l.mu.Lock()
	st := l.state
	l.mu.Unlock()
	if st.URL != l.cfg.URL || !s.hasCopy(l) {
		st = state{URL: l.cfg.URL}
	}
	b, fresh, err := s.ask(ctx, l, &st)
	if limit := s.sizeLimit(l); err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("all its pages together are larger than %d bytes; raise max_size if that is meant", limit)
	}
	if err == nil && fresh {
		if err = s.take(l, b, s.now(), s.dir == "" || s.hasCopy(l)); err == nil && s.dir != "" {
			err = writeFile(s.path(l, ".list"), b)
		}
	}
	l.mu.Lock()
	wait, leave := l.every(), l.floor()
	if err != nil {
		wait, leave = min(firstBackoff<<min(l.fails, 10), maxBackoff), 0
		var asked retryAfter
		if errors.As(err, &asked) {
			leave = min(asked.wait, 24*time.Hour)
			wait = max(wait, leave)
		}
	} else {
		st.Checked = s.now()
		l.state = st
		if st.Partial {
			wait, leave = firstBackoff, firstBackoff
		}
	}
	l.leave = s.now().Add(leave)
	wait += time.Duration(rand.Int64N(int64(wait)/10 + 1))
	l.next = s.now().Add(wait)
	l.mu.Unlock()
	if err == nil {
		err = s.saveState(l, st)
	}
	return fresh && err == nil, err
}

// hasCopy tells whether there is a copy of the list to which the server's words apply: who deletes it has all fetched
// again and taken as it is.
func (s *Set) hasCopy(l *list) bool {
	if s.dir == "" {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.digest != nil
	}
	_, err := os.Stat(s.path(l, ".list"))
	return err == nil
}

// ask fetches a list in the way of its format; fresh tells that it has changed.
func (s *Set) ask(ctx context.Context, l *list, st *state) (b []byte, fresh bool, err error) {
	v, err := s.newVisit(l)
	if err != nil {
		return nil, false, err
	}
	switch {
	case l.cfg.Format == "otx":
		return v.otx(ctx, st)
	case l.cfg.Format == "taxii":
		return v.taxii(ctx, st)
	case l.cfg.Format == "threatfox-api":
		return v.threatFox(ctx, st)
	case isFeedURL(v.base) && (l.cfg.Format == "misp" || l.cfg.Format == "" && strings.HasSuffix(v.base.Path, manifestName)):
		return v.misp(ctx, st)
	}
	a, err := v.conditional(ctx, v.base.String(), st)
	if err != nil || a.status == http.StatusNotModified {
		return nil, false, err
	}
	return a.body, true, nil
}

// visit is one round of requests to the server of one list.
type visit struct {
	set      *Set
	list     *list
	base     *url.URL
	client   *http.Client
	key      string
	requests int
	bytes    int64
}

// answer is what a server answered, within the limits.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (s *Set) newVisit(l *list) (*visit, error) {
	base, err := url.Parse(l.cfg.URL)
	if err != nil {
		return nil, err
	}
	v := &visit{set: s, list: l, base: base}
	if l.cfg.KeyFile != "" {
		key, err := os.ReadFile(l.cfg.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read its key: %w", err)
		}
		v.key = strings.TrimSpace(string(key))
	}
	v.client = &http.Client{Timeout: requestTimeout, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects {
			return fmt.Errorf("more than %d redirects", maxRedirects)
		}
		if !v.ours(r.URL) {
			r.Header.Del(v.keyHeader())
			r.Header.Del("Authorization")
		}
		return nil
	}}
	return v, nil
}

// ours tells whether a URL is on the server that the key is meant for, and as safe on its way there.
func (v *visit) ours(u *url.URL) bool { return u.Host == v.base.Host && u.Scheme == v.base.Scheme }

func (v *visit) keyHeader() string {
	switch cfg := v.list.cfg; {
	case cfg.KeyHeader != "":
		return cfg.KeyHeader
	case cfg.Format == "otx":
		return "X-OTX-API-KEY"
	case strings.HasPrefix(cfg.Format, "threatfox"), strings.HasPrefix(cfg.Format, "feodo"), cfg.Format == "urlhaus":
		return "Auth-Key"
	}
	return "Authorization"
}

// conditional asks for what has changed since the answer that st tells of, and keeps what the new one says.
func (v *visit) conditional(ctx context.Context, where string, st *state) (*answer, error) {
	header := http.Header{}
	if st.ETag != "" {
		header.Set("If-None-Match", st.ETag)
	}
	if st.Modified != "" {
		header.Set("If-Modified-Since", st.Modified)
	}
	a, err := v.do(ctx, http.MethodGet, where, nil, header)
	if err == nil && a.status == http.StatusOK {
		st.ETag, st.Modified = cut(a.header.Get("ETag"), maxNotice), cut(a.header.Get("Last-Modified"), maxNotice)
	}
	return a, err
}

// do sends one request to the list's own server. An answer is 200 or, to a condition, 304; all else is an error.
func (v *visit) do(ctx context.Context, method, where string, body []byte, header http.Header) (*answer, error) {
	u, err := v.base.Parse(where)
	if err != nil || !v.ours(u) {
		return nil, fmt.Errorf("its next page %q is on another server", clip(where))
	}
	limit := v.set.sizeLimit(v.list)
	if v.requests++; v.requests > maxPages || v.bytes > maxPageSizes*limit {
		return nil, fmt.Errorf("it has more than %d pages or %d bytes; raise max_size if that is meant", maxPages, maxPageSizes*limit)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if header != nil {
		req.Header = header
	}
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept-Encoding", "gzip")
	if v.list.cfg.User != "" {
		req.SetBasicAuth(v.list.cfg.User, v.key)
	} else if v.key != "" {
		req.Header.Set(v.keyHeader(), v.key)
	}
	resp, err := v.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	a := &answer{status: resp.StatusCode, header: resp.Header}
	switch resp.StatusCode {
	case http.StatusNotModified:
		return a, nil
	case http.StatusOK:
		a.body, err = readBody(resp, limit)
		v.bytes += int64(len(a.body))
		return a, err
	}
	err = fmt.Errorf("the server answered %s%s", resp.Status, hint(resp.StatusCode))
	if wait := parseRetry(resp.Header.Get("Retry-After"), v.set.now()); wait > 0 {
		err = retryAfter{err, wait}
	}
	return nil, err
}

// hint says what to do about an answer.
func hint(status int) string {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return "; check user, key_file and key_header"
	case http.StatusNotFound:
		return "; check the url"
	case http.StatusNotAcceptable:
		return "; it does not speak this version of the protocol"
	}
	return ""
}

// readBody reads an answer within the limit, before and after decompression.
func readBody(resp *http.Response, limit int64) ([]byte, error) {
	var in io.Reader = io.LimitReader(resp.Body, limit+1)
	if resp.Header.Get("Content-Encoding") == "gzip" {
		gz, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("its compressed body: %w", err)
		}
		in = io.LimitReader(gz, limit+1)
	}
	b, err := io.ReadAll(in)
	if err != nil {
		return nil, fmt.Errorf("its body is cut short: %w", err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("it is larger than %d bytes; raise max_size if that is meant", limit)
	}
	return b, nil
}

// writeFile puts a file in place whole or not at all.
func writeFile(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// parseRetry reads Retry-After: seconds or a date (RFC 9110 section 10.2.3).
func parseRetry(s string, now time.Time) time.Duration {
	if n, err := strconv.Atoi(s); err == nil && n > 0 {
		return time.Duration(min(n, 24*60*60)) * time.Second
	}
	if t, err := http.ParseTime(s); err == nil {
		return t.Sub(now)
	}
	return 0
}
