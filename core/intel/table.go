package intel

import (
	"cmp"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"

	"github.com/gaissmai/bart"

	"varde/event"
)

// entry is one indicator of one list; the evidence of it is made only when it is hit.
type entry struct {
	*Indicator
	list *list
}

func (e entry) evidence(side event.Side, port uint16) event.Evidence {
	v := event.Evidence{
		List: e.list.cfg.Name, Name: e.Name, URL: e.URL, Confidence: e.Confidence, Tags: e.Tags, Seen: e.Seen,
		Info: e.list.cfg.Info, Side: side, Text: e.Text, Entry: e.Prefix, Port: e.Port,
		PortMiss: e.Port != 0 && e.Port != port,
	}
	if v.Confidence == 0 {
		v.Confidence = cmp.Or(e.list.cfg.Confidence, defaultConfidence)
	}
	return v
}

// defaultConfidence is that of entries of which neither list nor configuration says any.
const defaultConfidence = 50

// Table is built once from the indicators of all lists and then only read.
type Table struct {
	prefixes bart.Table[[]entry]
	// coarse has a bit for each IPv4 /24 that holds or lies under a listed prefix. Nearly all traffic is told to be
	// harmless by it alone, in one memory access.
	coarse  []uint64
	useless bool // too many bits are set for the coarse table to help
	any6    bool
	names   map[string][]entry // domains and URLs
	hashes  map[string][]entry // raw bytes
}

// fullness is the share of /24s above which the coarse table is not asked any more.
const fullness = 4

func newTable() *Table {
	return &Table{coarse: make([]uint64, 1<<24/64), names: map[string][]entry{}, hashes: map[string][]entry{}}
}

// emptyHashes are those of the empty file, which lists hold by accident.
var emptyHashes = [...]string{
	"d41d8cd98f00b204e9800998ecf8427e", "da39a3ee5e6b4b0d3255bfef95601890afd80709",
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
}

// add stores an indicator of a list; it must not change afterwards.
func (t *Table) add(l *list, i *Indicator) {
	e := entry{i, l}
	switch i.Type {
	case Address:
		t.prefixes.Modify(i.Prefix, func(old []entry, _ bool) ([]entry, bool) { return append(old, e), false })
		if i.Prefix.Addr().Is4() {
			t.mark(i.Prefix)
		} else {
			t.any6 = true
		}
	case Domain, URL:
		t.names[i.Text] = append(t.names[i.Text], e)
	case MD5, SHA1, SHA256:
		if slices.Contains(emptyHashes[:], i.Text) {
			return
		}
		if raw, err := hex.DecodeString(i.Text); err == nil {
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
			if e.Expires != 0 && e.Expires <= now {
				continue
			}
			e.list.hits.Add(1)
			into = append(into, e.evidence(side, port))
		}
	}
	return into
}

// Domain gives the evidence for a host name: its own entry and those of its parents.
func (t *Table) Domain(name string) []event.Evidence {
	var out []event.Evidence
	for name = strings.ToLower(strings.TrimSuffix(name, ".")); strings.Contains(name, "."); {
		for _, e := range t.names[name] {
			out = append(out, e.evidence(0, e.Port))
		}
		_, name, _ = strings.Cut(name, ".")
	}
	return out
}

// Hash gives the evidence for the raw MD5, SHA-1 or SHA-256 of a file.
func (t *Table) Hash(raw []byte) []event.Evidence {
	var out []event.Evidence
	for _, e := range t.hashes[string(raw)] {
		out = append(out, e.evidence(0, e.Port))
	}
	return out
}
