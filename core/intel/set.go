package intel

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
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
	File       string         `yaml:"file" doc:"A local file; it is read again when it changes."`
	URL        string         `yaml:"url" doc:"Where to fetch it from, by http or https."`
	Format     string         `yaml:"format" doc:"plain, csv, otx, spamhaus, dshield, threatfox, threatfox-json, feodo, feodo-json, urlhaus, misp or stix; found by content when left out."`
	KeyFile    string         `yaml:"key_file" doc:"File with the key that the server asks for."`
	KeyHeader  string         `yaml:"key_header" doc:"Header that carries the key; X-OTX-API-KEY for OTX by default."`
	Refresh    human.Duration `yaml:"refresh" doc:"How often to fetch; never below the floor of the list's publisher."`
	Confidence uint8          `yaml:"confidence" doc:"0 to 100, for entries whose list does not say; 50 by default."`
	Info       bool           `yaml:"info" doc:"The list tells a role, as Tor exits, not hostility."`
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
		return fmt.Errorf("list %q: unknown format %q", c.Name, c.Format)
	}
	return nil
}

// Bounds on one list.
const (
	maxEntries     = 5_000_000
	maxRejects     = 20
	defaultSize    = 64 << 20
	defaultRefresh = time.Hour
	watchEvery     = 2 * time.Second
)

// list is the state of one list.
type list struct {
	cfg  ListConfig
	hits atomic.Uint64

	mu         sync.Mutex
	indicators []Indicator
	format     string
	rejects    []Reject
	rejected   int
	loaded     time.Time // of the content
	failed     string    // why the newest attempt gave nothing
	next       time.Time
	fails      int
	stat       os.FileInfo
}

// ListStatus is what people are told of a list.
type ListStatus struct {
	Name     string    `json:"name"`
	Source   string    `json:"source"`
	Format   string    `json:"format"`
	Entries  int       `json:"entries"`
	Rejected int       `json:"rejected"`
	Rejects  []Reject  `json:"rejects,omitempty"`
	Loaded   time.Time `json:"loaded"`
	Next     time.Time `json:"next,omitzero"`
	Hits     uint64    `json:"hits"`
	Error    string    `json:"error,omitempty"`
}

// Set keeps all lists and the table made of them.
type Set struct {
	lists []*list
	allow *allow
	dir   string
	log   *slog.Logger
	now   func() time.Time
	table atomic.Pointer[Table]
}

// New makes a Set. Dir holds the last good copies of lists that are fetched; "" keeps none.
func New(cfgs []ListConfig, allowed AllowConfig, dir string, log *slog.Logger) (*Set, error) {
	a, err := newAllow(allowed)
	if err != nil {
		return nil, err
	}
	s := &Set{allow: a, dir: dir, log: log, now: time.Now}
	names := map[string]bool{}
	for _, c := range cfgs {
		if err := c.Check(); err != nil {
			return nil, err
		}
		if names[c.Name] {
			return nil, fmt.Errorf("two lists are called %q; give each a name of its own", c.Name)
		}
		names[c.Name] = true
		s.lists = append(s.lists, &list{cfg: c})
	}
	s.rebuild()
	return s, nil
}

// Load reads local files and the last good copies of the others. A list that cannot be read does not keep the others
// from working; the error names all that failed.
func (s *Set) Load() error {
	var errs []error
	for _, l := range s.lists {
		path := l.cfg.File
		if path == "" {
			if s.dir == "" {
				continue
			}
			path = s.copyPath(l)
			if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
				continue
			}
		}
		if err := s.readFile(l, path); err != nil {
			errs = append(errs, err)
		}
	}
	s.rebuild()
	return errors.Join(errs...)
}

func (s *Set) copyPath(l *list) string {
	safe := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, l.cfg.Name)
	return filepath.Join(s.dir, safe+".list")
}

func (s *Set) readFile(l *list, path string) error {
	stat, err := os.Stat(path)
	if err == nil && stat.Size() > s.sizeLimit(l) {
		err = fmt.Errorf("it has %s, at most %s are read; raise max_size", human.Bytes(uint64(stat.Size())), human.Bytes(uint64(s.sizeLimit(l))))
	}
	var b []byte
	if err == nil {
		b, err = os.ReadFile(path)
	}
	l.mu.Lock()
	l.stat = stat
	l.mu.Unlock()
	if err == nil {
		err = s.take(l, b, stat.ModTime())
	}
	return l.fail(err)
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

func (s *Set) sizeLimit(l *list) int64 {
	if l.cfg.MaxSize == 0 {
		return defaultSize
	}
	return int64(l.cfg.MaxSize)
}

// take parses the content of a list and puts it in place of the old one.
func (s *Set) take(l *list, b []byte, changed time.Time) error {
	format, ok := FormatNamed(l.cfg.Format)
	if !ok {
		head := bytes.TrimPrefix(b[:min(len(b), 4096)], []byte("\ufeff"))
		if format, ok = Detect(head); !ok {
			if looksLikeHTML(head) {
				return errHTML
			}
			return errors.New("its format is not recognised; name it with format")
		}
	}
	var all []Indicator
	var rejects []Reject
	rejected := 0
	sink := &Sink{
		AllowWide: l.cfg.AllowWide, Now: s.now().UnixNano(),
		Add: func(i *Indicator) {
			if len(all) < maxEntries {
				all = append(all, *i)
			}
		},
		Reject: func(r Reject) {
			if rejected++; len(rejects) < maxRejects {
				rejects = append(rejects, r)
			}
		},
	}
	if err := format.Parse(bytes.NewReader(b), sink); err != nil {
		return err
	}
	if len(all) == 0 && rejected > 0 {
		return fmt.Errorf("none of its %d entries could be read as %s; the first, line %d: %s", rejected, format.Name, rejects[0].Line, rejects[0].Reason)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.indicators, l.format, l.rejects, l.rejected, l.loaded = all, format.Name, rejects, rejected, changed
	return nil
}

// rebuild makes a fresh table of all lists and swaps it in.
func (s *Set) rebuild() {
	t := newTable()
	for _, l := range s.lists {
		l.mu.Lock()
		for i := range l.indicators {
			t.add(l, &l.indicators[i])
		}
		l.mu.Unlock()
	}
	t.seal()
	s.table.Store(t)
}

// Match sets the evidence of an event: every entry of every list that covers one of its addresses. It is safe for
// concurrent use with different events and allocates nothing unless an entry is hit.
func (s *Set) Match(e *event.Event) {
	t := s.table.Load()
	v := e.Evidence[:0]
	if t.may(e.Src) {
		v = s.match(t, e, v, e.Src, e.SrcPort, event.SideSrc)
	}
	if t.may(e.Dst) {
		v = s.match(t, e, v, e.Dst, e.DstPort, event.SideDst)
	}
	if e.NATSrc.IsValid() && e.NATSrc != e.Src {
		v = s.match(t, e, v, e.NATSrc, e.NATSrcPort, event.SideNATSrc)
	}
	if e.NATDst.IsValid() && e.NATDst != e.Dst {
		v = s.match(t, e, v, e.NATDst, e.NATDstPort, event.SideNATDst)
	}
	e.Evidence = v
}

func (s *Set) match(t *Table, e *event.Event, v []event.Evidence, a netip.Addr, port uint16, side event.Side) []event.Evidence {
	from := len(v)
	v = t.lookup(a, port, side, e.Last(), v)
	if len(v) > from {
		v = s.allow.filter(v, a, port, from, e.Last())
	}
	return v
}

// Lookup gives the evidence for one address, exceptions applied.
func (s *Set) Lookup(a netip.Addr, port uint16) []event.Evidence {
	e := event.Event{Time: s.now().UnixNano()}
	return s.match(s.table.Load(), &e, nil, a, port, event.SideSrc)
}

// Table is the present table, for names and hashes.
func (s *Set) Table() *Table { return s.table.Load() }

// Lists tells the state of every list, in the order of the configuration.
func (s *Set) Lists() []ListStatus {
	out := make([]ListStatus, 0, len(s.lists))
	for _, l := range s.lists {
		l.mu.Lock()
		out = append(out, ListStatus{
			Name: l.cfg.Name, Source: cmp.Or(l.cfg.File, l.cfg.URL), Format: l.format, Entries: len(l.indicators),
			Rejected: l.rejected, Rejects: slices.Clone(l.rejects), Loaded: l.loaded, Next: l.next,
			Hits: l.hits.Load(), Error: l.failed,
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
			event.Measure("varde_list_rejected", "Entries of a list that could not be read.", "", float64(l.Rejected), name...),
			event.Measure("varde_list_failed", "1 when the newest attempt to read a list failed.", "", failed, name...),
			event.Count("varde_list_hits_total", "Addresses of events that an entry of a list covered.", l.Hits, name...))
		if !l.Loaded.IsZero() {
			out = append(out, event.Measure("varde_list_age_seconds", "Since a list last changed.", "seconds", s.now().Sub(l.Loaded).Seconds(), name...))
		}
	}
	return out, nil
}
