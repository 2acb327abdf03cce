package intel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"varde/event"
	"varde/event/human"
)

// ListConfig is one list of indicators.
type ListConfig struct {
	Name       string         `yaml:"name" doc:"What warnings call it."`
	File       string         `yaml:"file" doc:"A local file, or the folder of a MISP feed; it is read again when it changes."`
	URL        string         `yaml:"url" doc:"Where to fetch it from, by http or https."`
	Format     string         `yaml:"format" doc:"plain, csv, advisory, firehol, tor, rules, dshield, dshield-top, spamhaus, otx, feodo, feodo-json, threatfox, threatfox-json, threatfox-api, urlhaus, misp, stix or taxii; found by content when left out."`
	User       string         `yaml:"user" doc:"Name for HTTP basic authentication; its password is in key_file."`
	KeyFile    string         `yaml:"key_file" doc:"File with the key, token or password that the server asks for."`
	KeyHeader  string         `yaml:"key_header" doc:"Header that carries the key; X-OTX-API-KEY for OTX, Auth-Key for abuse.ch, else Authorization by default."`
	Refresh    human.Duration `yaml:"refresh" doc:"How often to fetch; never below the floor of the list's publisher."`
	TTL        human.Duration `yaml:"ttl" doc:"Entries leave this long after the list last saw them, or after they first appeared in it where it does not say; 0 keeps them as long as they are listed."`
	Confidence uint8          `yaml:"confidence" doc:"0 to 100, for entries whose list does not say; 50 by default."`
	Info       bool           `yaml:"info" doc:"The list tells a role, as Tor exits, not hostility."`
	Subdomains bool           `yaml:"subdomains" doc:"Each domain of the list stands for the names below it too."`
	AllowWide  bool           `yaml:"allow_wide" doc:"Take prefixes of /0 to /7 too."`
	MaxSize    human.Size     `yaml:"max_size" doc:"Largest list that is taken; 64MiB by default."`
}

// Check says which value is impossible.
func (c *ListConfig) Check() error {
	switch {
	case c.Name == "":
		return errors.New("a list needs a name")
	case (c.File == "") == (c.URL == ""):
		return fmt.Errorf("list %q needs either a file or a url", c.Name)
	case c.URL != "" && !strings.HasPrefix(c.URL, "http://") && !strings.HasPrefix(c.URL, "https://"):
		return fmt.Errorf("list %q: url begins with http:// or https://", c.Name)
	case c.Confidence > 100:
		return fmt.Errorf("list %q: confidence is %d, use 0 to 100", c.Name, c.Confidence)
	}
	if _, ok := FormatNamed(c.Format); c.Format != "" && !ok {
		return fmt.Errorf("list %q: unknown format %q; use one of %s", c.Name, c.Format, strings.Join(FormatNames(), ", "))
	}
	switch {
	case c.TTL < 0 || time.Duration(c.TTL) > maxTTL:
		return fmt.Errorf("list %q: ttl is %s, use up to %s", c.Name, time.Duration(c.TTL), human.Span(maxTTL))
	case c.User != "" && c.KeyFile == "":
		return fmt.Errorf("list %q has a user but no key_file with the password", c.Name)
	case c.User != "" && c.KeyHeader != "":
		return fmt.Errorf("list %q: use either user or key_header", c.Name)
	}
	return nil
}

// Bounds on one list.
const (
	maxRejects     = 20
	defaultSize    = 64 << 20
	defaultRefresh = time.Hour
	watchEvery     = 2 * time.Second
	maxTTL         = 100 * 365 * 24 * time.Hour
)

// list is the state of one list.
type list struct {
	cfg  ListConfig
	hits atomic.Uint64

	fetching sync.Mutex // one refresh at a time, held before mu

	mu      sync.Mutex
	reading           // the present one
	unsaved bool      // its digest is not on disk yet
	state   state     // what the server said, see fetch.go
	failed  string    // why the newest attempt gave nothing
	next    time.Time // when it is fetched again
	leave   time.Time // until then its server is left alone, whoever asks
	fails   int
	stat    os.FileInfo
}

// reading is what one reading of a list gave.
type reading struct {
	content    *content
	digest     *digest // nil before the first reading
	format     Format
	total      int // entries that could be read, live or not
	expired    int
	duplicates int
	rejected   int
	rejects    []Reject
	notice     string
	loaded     time.Time // when the content changed
}

// ListStatus is what people are told of a list.
type ListStatus struct {
	Name     string    `json:"name"`
	Source   string    `json:"source"`
	Format   string    `json:"format"`
	Entries  int       `json:"entries"` // live ones
	Expired  int       `json:"expired,omitempty"`
	Repeated int       `json:"repeated,omitempty"` // said before in the same words, or more than a few times of the same thing
	Unused   int       `json:"unused,omitempty"`   // in ranges that never alert
	Rejected int       `json:"rejected"`
	Rejects  []Reject  `json:"rejects,omitempty"`
	Loaded   time.Time `json:"loaded"`           // when its content changed
	Checked  time.Time `json:"checked,omitzero"` // when its server last answered well
	Next     time.Time `json:"next,omitzero"`
	Hits     uint64    `json:"hits"`
	Notice   string    `json:"notice,omitempty"` // copyright and date, as the publisher wants them shown
	Error    string    `json:"error,omitempty"`
}

// fail books an attempt and words its error.
func (l *list) fail(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.failed, l.fails = "", 0
		return nil
	}
	l.failed = err.Error()
	l.fails++
	return fmt.Errorf("list %q: %w", l.cfg.Name, err)
}

// withoutSecrets is a URL as people may see it: some servers take the key in the query or before the host.
func withoutSecrets(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	u.User = nil
	if u.RawQuery != "" {
		u.RawQuery = "..."
	}
	return u.String()
}

// Lists tells the state of every list, in the order of the configuration.
func (s *Set) Lists() []ListStatus {
	out := make([]ListStatus, 0, len(s.lists))
	unused := s.table.Load().unused
	now := seconds(s.now().UnixNano())
	for i, l := range s.lists {
		l.mu.Lock()
		live := l.content.count(now)
		out = append(out, ListStatus{
			Name: l.cfg.Name, Source: cmp.Or(l.cfg.File, withoutSecrets(l.cfg.URL)), Format: l.format.Name, Entries: live,
			Expired: l.total - l.duplicates - live, Repeated: l.duplicates, Unused: unused[i],
			Rejected: l.rejected, Rejects: slices.Clone(l.rejects), Loaded: l.loaded, Checked: l.state.Checked, Next: l.next,
			Hits: l.hits.Load(), Notice: l.notice, Error: l.failed,
		})
		l.mu.Unlock()
	}
	return out
}

// Figures gives age, size, rejects and hits of each list.
func (s *Set) Figures(context.Context) ([]event.Figure, error) {
	var out []event.Figure
	for _, l := range s.Lists() {
		name := []string{"list", l.Name}
		failed := 0.0
		if l.Error != "" {
			failed = 1
		}
		out = append(out,
			event.Measure("varde_list_entries", "Entries of a list.", "", float64(l.Entries), name...),
			event.Measure("varde_list_expired", "Entries of a list whose time is over.", "", float64(l.Expired), name...),
			event.Measure("varde_list_rejected", "Entries of a list that could not be read.", "", float64(l.Rejected), name...),
			event.Measure("varde_list_failed", "1 when the newest attempt to read a list failed.", "", failed, name...),
			event.Count("varde_list_hits_total", "Addresses of events that an entry of a list covered.", l.Hits, name...))
		if !l.Checked.IsZero() {
			out = append(out, event.Measure("varde_list_checked_seconds", "Since the server of a list last answered well.", "seconds", s.now().Sub(l.Checked).Seconds(), name...))
		}
		if !l.Loaded.IsZero() {
			out = append(out, event.Measure("varde_list_age_seconds", "Since a list last changed.", "seconds", s.now().Sub(l.Loaded).Seconds(), name...))
		}
	}
	return out, nil
}
