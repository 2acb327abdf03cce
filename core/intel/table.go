package intel

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"sync/atomic"

	"github.com/gaissmai/bart"

	"varde/event"
)

// entry is one indicator of one list, ready to be given as evidence.
type entry struct {
	evidence event.Evidence
	expires  int64
	list     *counters
}

// counters of a list outlive its tables.
type counters struct{ hits atomic.Uint64 }

// Table is built once from the indicators of all lists and then only read.
type Table struct {
	prefixes bart.Table[[]*entry]
	// coarse has a bit for each IPv4 /24 that holds or lies under a listed prefix. Nearly all traffic is told to be
	// harmless by it alone, in one memory access.
	coarse   []uint64
	useless  bool // too many bits are set for the coarse table to help
	any6     bool
	names    map[string][]*entry // domains and URLs
	hashes   map[string][]*entry // raw bytes
	prefixed int
}

// fullness is the share of /24s above which the coarse table is not asked any more.
const fullness = 4

func newTable() *Table {
	return &Table{coarse: make([]uint64, 1<<24/64), names: map[string][]*entry{}, hashes: map[string][]*entry{}}
}

// emptyHashes are those of the empty file, which lists hold by accident.
var emptyHashes = [...]string{
	"d41d8cd98f00b204e9800998ecf8427e", "da39a3ee5e6b4b0d3255bfef95601890afd80709",
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
}

// add stores an indicator of a list.
func (t *Table) add(list string, c *counters, i *Indicator, info bool) {
	e := &entry{list: c, expires: i.Expires, evidence: event.Evidence{
		List: list, Name: i.Name, URL: i.URL, Confidence: i.Confidence, Tags: i.Tags, Seen: i.Seen, Info: info,
	}}
	switch i.Type {
	case Address:
		e.evidence.Entry, e.evidence.Port = i.Prefix, i.Port
		t.prefixes.Modify(i.Prefix, func(old []*entry, _ bool) ([]*entry, bool) { return append(old, e), false })
		t.prefixed++
		if i.Prefix.Addr().Is4() {
			t.mark(i.Prefix)
		} else {
			t.any6 = true
		}
	case Domain, URL:
		e.evidence.Text = i.Text
		t.names[i.Text] = append(t.names[i.Text], e)
	case MD5, SHA1, SHA256:
		for _, empty := range emptyHashes {
			if i.Text == empty {
				return
			}
		}
		if raw, err := hex.DecodeString(i.Text); err == nil {
			e.evidence.Text = i.Text
			t.hashes[string(raw)] = append(t.hashes[string(raw)], e)
		}
	}
}

func (t *Table) mark(p netip.Prefix) {
	a := p.Addr().As4()
	first := uint32(a[0])<<16 | uint32(a[1])<<8 | uint32(a[2])
	count := uint32(1)
	if p.Bits() < 24 {
		count = 1 << (24 - p.Bits())
	}
	for i := first; i < first+count; i++ {
		t.coarse[i/64] |= 1 << (i % 64)
	}
}

// seal decides whether the coarse table is worth asking.
func (t *Table) seal() {
	set := 0
	for _, w := range t.coarse {
		for ; w != 0; w &= w - 1 {
			set++
		}
	}
	t.useless = set > 1<<24/fullness
}

// may tells whether an address can be listed at all.
func (t *Table) may(a netip.Addr) bool {
	if !a.Is4() {
		return t.any6 && a.IsValid()
	}
	if t.useless {
		return true
	}
	b := a.As4()
	i := uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2])
	return t.coarse[i/64]&(1<<(i%64)) != 0
}

// lookup appends the evidence of every entry that covers the address and has not expired at now.
func (t *Table) lookup(a netip.Addr, port uint16, side event.Side, now int64, into []event.Evidence) []event.Evidence {
	if !t.may(a) {
		return into
	}
	for _, entries := range t.prefixes.Supernets(netip.PrefixFrom(a, a.BitLen())) {
		for _, e := range entries {
			if e.expires != 0 && e.expires <= now {
				continue
			}
			e.list.hits.Add(1)
			into = append(into, e.evidence)
			v := &into[len(into)-1]
			v.Side = side
			v.PortMiss = v.Port != 0 && v.Port != port
		}
	}
	return into
}

// Domain gives the evidence for a host name: its own entry and those of its parents.
func (t *Table) Domain(name string) []event.Evidence {
	var out []event.Evidence
	for name = strings.ToLower(strings.TrimSuffix(name, ".")); strings.Contains(name, "."); {
		for _, e := range t.names[name] {
			out = append(out, e.evidence)
		}
		_, name, _ = strings.Cut(name, ".")
	}
	return out
}

// Hash gives the evidence for the raw MD5, SHA-1 or SHA-256 of a file.
func (t *Table) Hash(raw []byte) []event.Evidence {
	var out []event.Evidence
	for _, e := range t.hashes[string(raw)] {
		out = append(out, e.evidence)
	}
	return out
}
