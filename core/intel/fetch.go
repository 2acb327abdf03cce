package intel

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Manners towards the servers of lists.
const (
	fetchTimeout = 2 * time.Minute
	firstBackoff = time.Minute
	maxBackoff   = 6 * time.Hour
	maxRedirects = 5
	shrinkGuard  = 2 // a list that has shrunk to less than one in so many is an accident
	userAgent    = "varde (network watch; list refresh)"
)

// floors are the shortest intervals that publishers ask for.
var floors = map[string]time.Duration{"spamhaus": time.Hour, "feodo": 5 * time.Minute, "otx": 15 * time.Minute}

const floor = 15 * time.Minute

// Run keeps the lists fresh until ctx ends: local files are watched, URLs are fetched when they are due.
func (s *Set) Run(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		changed := false
		for _, l := range s.lists {
			changed = s.refresh(ctx, l) || changed
		}
		if changed {
			s.rebuild()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// refresh reads one list again if it has changed or is due, and tells whether the table must be made anew.
func (s *Set) refresh(ctx context.Context, l *list) bool {
	var err error
	if l.cfg.File != "" {
		stat, statErr := os.Stat(l.cfg.File)
		l.mu.Lock()
		same := statErr == nil && l.stat != nil && os.SameFile(stat, l.stat) && stat.Size() == l.stat.Size() && stat.ModTime().Equal(l.stat.ModTime())
		again := statErr != nil && l.failed != ""
		l.mu.Unlock()
		if same || again {
			return false
		}
		err = s.readFile(l, l.cfg.File)
	} else {
		if s.now().Before(l.next) {
			return false
		}
		var fresh bool
		fresh, err = s.fetch(ctx, l)
		if err == nil && !fresh {
			return false
		}
		err = l.fail(err)
	}
	if err != nil {
		if ctx.Err() == nil {
			s.log.Warn("list not refreshed; the last good copy stays", "error", err)
		}
		return false
	}
	s.log.Info("list read", "list", l.cfg.Name, "format", l.format, "entries", len(l.indicators), "rejected", l.rejected)
	return true
}

// retryAfter is an error with the time that a server asked for.
type retryAfter struct {
	error
	wait time.Duration
}

// fetch gets a list by conditional GET and plans the next time.
func (s *Set) fetch(ctx context.Context, l *list) (fresh bool, err error) {
	every := max(time.Duration(l.cfg.Refresh), floor)
	if l.cfg.Refresh == 0 {
		every = defaultRefresh
	}
	if f, ok := floors[l.cfg.Format]; ok {
		every = max(every, f)
	}
	defer func() {
		wait := every
		if err != nil {
			wait = min(firstBackoff<<min(l.fails, 10), maxBackoff)
			var asked retryAfter
			if errors.As(err, &asked) {
				wait = max(wait, min(asked.wait, 24*time.Hour))
			}
		}
		wait += time.Duration(rand.Int64N(int64(wait)/10 + 1))
		l.mu.Lock()
		l.next = s.now().Add(wait)
		l.mu.Unlock()
	}()
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	req, err := s.request(ctx, l)
	if err != nil {
		return false, err
	}
	client := &http.Client{CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects {
			return fmt.Errorf("more than %d redirects", maxRedirects)
		}
		if r.URL.Host != via[0].URL.Host {
			r.Header.Del(keyHeader(l))
		}
		return nil
	}}
	resp, err := client.Do(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotModified {
		return false, nil
	}
	if resp.StatusCode != http.StatusOK {
		err := fmt.Errorf("the server answered %s", resp.Status)
		if wait := parseRetry(resp.Header.Get("Retry-After"), s.now()); wait > 0 {
			return false, retryAfter{err, wait}
		}
		return false, err
	}
	b, err := s.body(l, resp)
	if err == nil && l.cfg.Format == "otx" {
		b, err = s.pages(client, req, l, b)
	}
	if err != nil {
		return false, err
	}
	return true, s.accept(l, b, resp)
}

// maxPages bounds how far the pages of one answer are followed.
const maxPages = 1000

// pages follows the pages of an OTX answer and gives all pulses as one document.
func (s *Set) pages(client *http.Client, req *http.Request, l *list, first []byte) ([]byte, error) {
	var page struct {
		Results []json.RawMessage `json:"results"`
		Next    string            `json:"next"`
	}
	if err := json.Unmarshal(first, &page); err != nil || page.Next == "" {
		return first, nil // what it is instead, the parser says
	}
	all, size := page.Results, len(first)
	for n := 1; page.Next != ""; n++ {
		next, err := req.URL.Parse(page.Next)
		if err != nil || next.Host != req.URL.Host || next.Scheme != req.URL.Scheme {
			return nil, fmt.Errorf("its next page %q is on another server", clip(page.Next))
		}
		if n >= maxPages || int64(size) > s.sizeLimit(l) {
			return nil, fmt.Errorf("it has more than %d pages or %d bytes; raise max_size if that is meant", n, size)
		}
		again := req.Clone(req.Context())
		again.URL, again.Host = next, next.Host
		resp, err := client.Do(again)
		if err != nil {
			return nil, err
		}
		b, err := s.body(l, resp)
		resp.Body.Close()
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("page %d: the server answered %s", n+1, resp.Status)
		}
		page.Results, page.Next = nil, ""
		if err == nil {
			err = json.Unmarshal(b, &page)
		}
		if err != nil {
			return nil, err
		}
		all, size = append(all, page.Results...), size+len(b)
	}
	return json.Marshal(map[string]any{"results": all})
}

func keyHeader(l *list) string {
	if l.cfg.KeyHeader == "" {
		return "X-OTX-API-KEY"
	}
	return l.cfg.KeyHeader
}

func (s *Set) request(ctx context.Context, l *list) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.cfg.URL, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept-Encoding", "gzip")
	if l.cfg.KeyFile != "" {
		key, err := os.ReadFile(l.cfg.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read its key: %w", err)
		}
		req.Header.Set(keyHeader(l), strings.TrimSpace(string(key)))
	}
	if s.dir == "" {
		return req, nil
	}
	// What the server said of our copy lies beside it, and is sent back only while the copy is in use.
	if tag, err := os.ReadFile(s.copyPath(l) + ".tag"); err == nil && len(l.indicators) > 0 {
		etag, modified, _ := strings.Cut(string(tag), "\n")
		if etag != "" {
			req.Header.Set("If-None-Match", etag)
		}
		if modified != "" {
			req.Header.Set("If-Modified-Since", modified)
		}
	}
	return req, nil
}

// body reads an answer within the size limit, before and after decompression.
func (s *Set) body(l *list, resp *http.Response) ([]byte, error) {
	limit := s.sizeLimit(l)
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

// accept takes a fetched list unless it is an accident, and keeps it as the last good copy.
func (s *Set) accept(l *list, b []byte, resp *http.Response) error {
	l.mu.Lock()
	old, loaded, format, rejects, rejected := l.indicators, l.loaded, l.format, l.rejects, l.rejected
	l.mu.Unlock()
	if err := s.take(l, b, s.now()); err != nil {
		return err
	}
	l.mu.Lock()
	now := len(l.indicators)
	if now*shrinkGuard < len(old) {
		l.indicators, l.loaded, l.format, l.rejects, l.rejected = old, loaded, format, rejects, rejected
		l.mu.Unlock()
		return fmt.Errorf("it has shrunk from %d to %d entries; the old copy stays. If that is meant, delete %s", len(old), now, s.copyPath(l))
	}
	l.mu.Unlock()
	if s.dir == "" {
		return nil
	}
	if err := writeFile(s.copyPath(l), b); err != nil {
		return err
	}
	return writeFile(s.copyPath(l)+".tag", []byte(resp.Header.Get("ETag")+"\n"+resp.Header.Get("Last-Modified")))
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
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(s); err == nil {
		return t.Sub(now)
	}
	return 0
}
