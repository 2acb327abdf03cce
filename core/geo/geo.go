// Package geo tells the country and the autonomous system of an address from files that the operator has: MMDB files of
// any vendor, or the text form of Debian's tor-geoipdb. What no file knows stays unknown, and nothing is downloaded.
package geo

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"varde/event"
)

// Config is the part of the configuration that is about places.
type Config struct {
	Files []string `yaml:"files" doc:"MMDB files or texts like /usr/share/tor/geoip, asked in this order; those of Debian's tor-geoipdb when left out and installed."`
}

// usual are the files of Debian's package tor-geoipdb.
var usual = [...]string{"/usr/share/tor/geoip", "/usr/share/tor/geoip6"}

// Bounds: files come from others.
const (
	maxFiles  = 16
	maxFile   = 512 << 20
	lookEvery = time.Minute
)

// Place is what is known of an address.
type Place struct {
	Country string // two letters of ISO 3166, "" unknown
	ASN     uint32 // 0 unknown
	Org     string // whose autonomous system it is, "" unknown
}

// File tells where an answer comes from.
type File struct {
	Path        string
	Kind        string    // the type that an MMDB says it is, or "text"
	Built       time.Time // zero where the file does not say
	Entries     int       // of a text; 0 for MMDB
	Attribution string    // what its licence asks to be said
}

// table is one file that was read.
type table interface {
	place(netip.Addr) Place
	about() File
}

// DB is all files together; it is safe for concurrent use.
type DB struct {
	cfg     Config
	log     *slog.Logger
	tables  atomic.Pointer[[]table]
	stamps  string // of the files when they were read
	lookups atomic.Uint64
	unknown atomic.Uint64
}

// Open reads the files. A configured file that cannot be read is an error; the usual ones are left out when missing.
func Open(cfg Config, log *slog.Logger) (*DB, error) {
	d := &DB{cfg: cfg, log: log}
	if len(cfg.Files) > maxFiles {
		return nil, fmt.Errorf("geo: %d files, at most %d", len(cfg.Files), maxFiles)
	}
	return d, d.read()
}

func (d *DB) paths() []string {
	if len(d.cfg.Files) > 0 {
		return d.cfg.Files
	}
	var out []string
	for _, p := range usual {
		if _, err := os.Stat(p); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// read opens all files anew and takes them into use together.
func (d *DB) read() error {
	var tables []table
	stamps := d.stamp()
	for _, path := range d.paths() {
		t, err := open(path)
		if err != nil {
			return fmt.Errorf("geo: %w", err)
		}
		tables = append(tables, t)
	}
	d.stamps = stamps
	d.tables.Store(&tables)
	return nil
}

func open(path string) (table, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s has %d bytes, at most %d", path, info.Size(), maxFile)
	}
	if strings.HasSuffix(path, ".mmdb") {
		return openMMDB(path)
	}
	return openText(path)
}

// stamp tells whether a file was replaced.
func (d *DB) stamp() string {
	var b strings.Builder
	for _, p := range d.paths() {
		if info, err := os.Stat(p); err == nil {
			fmt.Fprintf(&b, "%s %d %d\n", p, info.Size(), info.ModTime().UnixNano())
		}
	}
	return b.String()
}

// Run reads files again when they were replaced, until ctx ends. A bad one is said once and the old ones stay in use.
func (d *DB) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			d.look()
		}
	}
}

func (d *DB) look() {
	now := d.stamp()
	if now == d.stamps {
		return
	}
	if err := d.read(); err != nil {
		d.stamps = now
		d.log.Error("places are not read again; the old ones stay in use", "error", err)
		return
	}
	d.log.Info("places are read again", "files", len(*d.tables.Load()))
}

// Lookup tells what is known of an address.
func (d *DB) Lookup(a netip.Addr) (p Place) {
	a = a.Unmap()
	d.lookups.Add(1)
	for _, t := range *d.tables.Load() {
		here := t.place(a)
		if p.Country == "" {
			p.Country = here.Country
		}
		if p.ASN == 0 {
			p.ASN, p.Org = here.ASN, here.Org
		}
	}
	if p.Country == "" {
		d.unknown.Add(1)
	}
	return p
}

// Fill sets country and autonomous system of the foreign end, where the event does not have them. Without a side that is
// ours the source is taken.
func (d *DB) Fill(e *event.Event) {
	if e.Country != "" && e.ASN != 0 {
		return
	}
	far := e.Src
	switch e.Own {
	case event.SideSrc:
		far = e.Dst
	case event.SideSrc | event.SideDst:
		return
	}
	if !far.IsValid() || far.IsPrivate() || far.IsLoopback() || far.IsLinkLocalUnicast() || far.IsMulticast() {
		return
	}
	p := d.Lookup(far)
	if e.Country == "" {
		e.Country = p.Country
	}
	if e.ASN == 0 {
		e.ASN = p.ASN
	}
}

// Files tells of the files in use, in their order.
func (d *DB) Files() []File {
	var out []File
	for _, t := range *d.tables.Load() {
		out = append(out, t.about())
	}
	return out
}

// Figures tells of the files and of how many addresses no file knows.
func (d *DB) Figures(context.Context) ([]event.Figure, error) {
	out := []event.Figure{
		event.Count("varde_geo_lookups_total", "Addresses that were looked up.", d.lookups.Load()),
		event.Count("varde_geo_unknown_total", "Addresses whose country no file knows.", d.unknown.Load()),
	}
	for _, f := range d.Files() {
		if !f.Built.IsZero() {
			out = append(out, event.Measure("varde_geo_age_seconds", "Since a file of places was built.", "seconds", time.Since(f.Built).Seconds(), "file", f.Path))
		}
	}
	return out, nil
}
