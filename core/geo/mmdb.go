package geo

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
)

// maxCached bounds how many records of an MMDB file are kept decoded.
const maxCached = 1 << 17

// mmdb is a file of the MaxMind DB format, version 2, with the fields of any vendor that is known.
type mmdb struct {
	path   string
	reader *maxminddb.Reader

	mu    sync.RWMutex
	known map[uintptr]Place // by the offset of the record, which many networks share
}

func openMMDB(path string) (*mmdb, error) {
	// Read, not mapped: an updater that writes into a mapped file would end the program.
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r, err := maxminddb.OpenBytes(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &mmdb{path: path, reader: r, known: map[uintptr]Place{}}, nil
}

func (m *mmdb) place(a netip.Addr) Place {
	found := m.reader.Lookup(a)
	if found.Err() != nil || !found.Found() {
		return Place{}
	}
	at := found.Offset()
	m.mu.RLock()
	here, ok := m.known[at]
	m.mu.RUnlock()
	if !ok {
		here = decode(found)
		m.mu.Lock()
		if len(m.known) >= maxCached {
			clear(m.known)
		}
		m.known[at] = here
		m.mu.Unlock()
	}
	return here
}

// Paths to the fields in the layouts of MaxMind and DB-IP (country.iso_code, autonomous_system_number), of IPinfo
// (country or country_code, asn as AS64500, as_name) and of IPLocate (country_code, org).
var (
	countryPaths = [...][]any{{"country", "iso_code"}, {"country_code"}, {"country"}}
	numberPaths  = [...][]any{{"autonomous_system_number"}, {"asn"}, {"as_number"}}
	orgPaths     = [...][]any{{"autonomous_system_organization"}, {"as_name"}, {"org"}, {"name"}}
)

// decode reads what is known of a record; a field of another type than expected is none.
func decode(r maxminddb.Result) (p Place) {
	for _, path := range countryPaths {
		var text string
		if r.DecodePath(&text, path...) == nil {
			if code, ok := codeOf(strings.ToUpper(text)); ok {
				p.Country = string([]byte{byte(code >> 8), byte(code)})
				break
			}
		}
	}
	for _, path := range numberPaths {
		var n uint64
		if r.DecodePath(&n, path...) == nil && n > 0 && n <= 1<<32-1 {
			p.ASN = uint32(n)
			break
		}
		var text string
		if r.DecodePath(&text, path...) == nil {
			if n, err := strconv.ParseUint(strings.TrimPrefix(strings.ToUpper(text), "AS"), 10, 32); err == nil {
				p.ASN = uint32(n)
				break
			}
		}
	}
	for _, path := range orgPaths {
		if p.ASN != 0 && r.DecodePath(&p.Org, path...) == nil && p.Org != "" {
			break
		}
	}
	return p
}

func (m *mmdb) about() File {
	meta := m.reader.Metadata
	f := File{Path: m.path, Kind: meta.DatabaseType, Built: time.Unix(int64(meta.BuildEpoch), 0).UTC()}
	if text := meta.Description["en"]; text != "" {
		f.Attribution = text
	}
	return f
}
