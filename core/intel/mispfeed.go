package intel

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
)

// manifestName is the table of contents of a MISP feed: an object from the uuid of each event to its timestamp.
const manifestName = "manifest.json"

// Bounds on a MISP feed.
const (
	maxFeedEvents   = 200_000
	maxFeedFailures = 20
	maxFeedFetch    = 500 // events fetched in one refresh, the newest first; the others follow a minute later
)

// isFeedURL tells whether a URL means a feed, not one event.
func isFeedURL(u *url.URL) bool {
	return strings.HasSuffix(u.Path, "/") || strings.HasSuffix(u.Path, "/"+manifestName)
}

// feedEvent is one line of the kept copy of a feed: what the manifest says of an event, and of the event what is read.
type feedEvent struct {
	ID    string     `json:"id"`
	Stamp string     `json:"stamp"`
	Event *mispEvent `json:"Event"`
}

// misp fetches a feed: of its events those that are new or have changed since the copy.
func (v *visit) misp(ctx context.Context, st *state) ([]byte, bool, error) {
	where := v.base.String()
	if strings.HasSuffix(v.base.Path, "/") {
		where = v.base.JoinPath(manifestName).String()
	}
	if st.Partial || v.set.dir == "" {
		st.ETag, st.Modified = "", "" // the same manifest once more, for the rest of its events
	}
	a, err := v.conditional(ctx, where, st)
	if err != nil || a.status == http.StatusNotModified {
		return nil, false, err
	}
	b, changed, partial, err := v.set.collectFeed(v.list, a.body, v.feedLimit(), func(name string) ([]byte, error) {
		a, err := v.do(ctx, http.MethodGet, name, nil, nil)
		if err != nil {
			return nil, err
		}
		return a.body, nil
	})
	st.Partial = partial
	return b, changed || !v.set.hasCopy(v.list), err
}

// readFolder reads a feed that lies in a local folder, and keeps what it read where that is asked for, so that the next
// time only the events that have changed are read.
func (s *Set) readFolder(l *list, keep bool) ([]byte, error) {
	root, err := os.OpenRoot(l.cfg.File)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	read := func(name string) ([]byte, error) {
		f, err := root.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		limit := s.sizeLimit(l)
		b, err := io.ReadAll(io.LimitReader(f, limit+1))
		if err == nil && int64(len(b)) > limit {
			err = fmt.Errorf("%s is larger than %d bytes; raise max_size if that is meant", name, limit)
		}
		return b, err
	}
	manifest, err := read(manifestName)
	if err != nil {
		return nil, fmt.Errorf("a folder is read as a MISP feed: %w", err)
	}
	all, _, _, err := s.collectFeed(l, manifest, maxFeedEvents, read)
	if err == nil && keep && s.dir != "" {
		err = writeFile(s.path(l, ".list"), all)
	}
	return all, err
}

// feedLimit is how many events are fetched at once: what is still missing needs a copy to be added to.
func (v *visit) feedLimit() int {
	if v.set.dir == "" {
		return maxFeedEvents
	}
	return maxFeedFetch
}

// collectFeed gives the events of a manifest as one document: those of the copy that have not changed, and the others
// as read gives them, up to a limit. Events that the manifest does not name any more leave. Partial tells that some are still missing.
func (s *Set) collectFeed(l *list, manifest []byte, limit int, read func(name string) ([]byte, error)) (b []byte, changed, partial bool, err error) {
	wanted, err := parseManifest(manifest)
	if err != nil {
		return nil, false, false, err
	}
	have, n := s.feedCopy(l)
	changed = n > len(wanted)
	var out bytes.Buffer
	fetched, failed := 0, 0
	for _, w := range wanted {
		if old, ok := have[w.ID]; ok && old.stamp == w.Stamp {
			out.Write(old.line)
			continue
		}
		if fetched++; fetched > limit {
			partial = true
			continue
		}
		line, err := feedLine(w, read)
		if err != nil {
			if failed++; failed > maxFeedFailures {
				return nil, false, false, fmt.Errorf("event %s: %w; more than %d events failed", w.ID, err, maxFeedFailures)
			}
			s.log.Warn("an event of a MISP feed is left out", "list", l.cfg.Name, "event", w.ID, "error", err)
			out.Write(have[w.ID].line)
			continue
		}
		out.Write(line)
		changed = true
	}
	if out.Len() == 0 {
		return nil, false, false, errors.New("its manifest names no event")
	}
	return out.Bytes(), changed, partial, nil
}

// feedLine reads an event of a feed as a line of the copy.
func feedLine(w feedEvent, read func(name string) ([]byte, error)) ([]byte, error) {
	raw, err := read(w.ID + ".json")
	if err != nil {
		return nil, err
	}
	var doc mispDocument
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, err
	}
	if doc.Event == nil {
		return nil, errors.New(`no MISP event: it lacks a member "Event"`)
	}
	doc.Event.prune()
	line, err := json.Marshal(feedEvent{w.ID, w.Stamp, doc.Event})
	return append(line, '\n'), err
}

// prune leaves of an event what lists are made of.
func (e *mispEvent) prune() {
	e.Attribute = slices.DeleteFunc(e.Attribute, func(a mispAttribute) bool { return !a.wanted() })
	for i := range e.Object {
		if o := &e.Object[i]; o.Deleted {
			o.Attribute = nil
		} else {
			o.Attribute = slices.DeleteFunc(o.Attribute, func(a mispAttribute) bool { return !a.wanted() })
		}
	}
	e.Object = slices.DeleteFunc(e.Object, func(o mispObject) bool { return len(o.Attribute) == 0 })
}

// parseManifest gives the events of a manifest, newest first.
func parseManifest(b []byte) ([]feedEvent, error) {
	if looksLikeHTML(b[:min(len(b), 512)]) {
		return nil, errHTML
	}
	var entries map[string]struct {
		Timestamp json.Number `json:"timestamp"`
	}
	if err := json.Unmarshal(b, &entries); err != nil {
		return nil, fmt.Errorf("no manifest of a MISP feed: %w", err)
	}
	if len(entries) > maxFeedEvents {
		return nil, fmt.Errorf("its manifest names %d events, at most %d are read", len(entries), maxFeedEvents)
	}
	all := make([]feedEvent, 0, len(entries))
	for id, e := range entries {
		if !isUUID(id) {
			return nil, fmt.Errorf("its manifest names %q, which is no uuid", clip(id))
		}
		all = append(all, feedEvent{ID: id, Stamp: e.Timestamp.String()})
	}
	slices.SortFunc(all, func(x, y feedEvent) int {
		return cmp.Or(cmp.Compare(len(y.Stamp), len(x.Stamp)), cmp.Compare(y.Stamp, x.Stamp), cmp.Compare(x.ID, y.ID))
	})
	return all, nil
}

// isUUID guards the names of files that a manifest gives (RFC 9562 section 4).
func isUUID(s string) bool {
	return len(s) == 36 && strings.Count(s, "-") == 4 && strings.Trim(strings.ToLower(s), "0123456789abcdef-") == ""
}

// keptEvent is an event of the copy, by its manifest timestamp.
type keptEvent struct {
	stamp string
	line  []byte // with its newline
}

// feedCopy gives the events of the kept copy; one that cannot be read is as if there were none.
func (s *Set) feedCopy(l *list) (have map[string]keptEvent, n int) {
	have = map[string]keptEvent{}
	if s.dir == "" {
		return have, 0
	}
	b, err := os.ReadFile(s.path(l, ".list"))
	if err != nil {
		return have, 0
	}
	in := bufio.NewReader(bytes.NewReader(b))
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return have, len(have)
		}
		var e struct{ ID, Stamp string }
		if json.Unmarshal(line, &e) == nil && e.ID != "" {
			have[e.ID] = keptEvent{e.Stamp, line}
		}
	}
}
