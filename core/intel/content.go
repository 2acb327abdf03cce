package intel

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"math"
	"net/netip"
	"slices"
	"sort"
	"strings"

	"varde/event"
)

// Bounds on what is kept of one list and of one entry.
const (
	maxEntries = 5_000_000
	maxSame    = 32   // entries of one list for the same prefix, name or hash: the newest stay
	maxName    = 512  // bytes of an entry's name
	maxLink    = 2048 // bytes of its URL
	maxTags    = 32
	maxSeconds = math.MaxUint32 // times are kept in seconds, to the year 2106
)

// content is what one reading of a list gave, in little memory and without pointers where there are many. It does not
// change once made.
type content struct {
	notes     []note
	addresses []address // sorted
	domains   texts
	urls      texts
	hashes    texts  // raw bytes
	soonest   uint32 // when the first entry expires
	info      bool   // the entries tell a role, not hostility
}

// note is what a list says of an entry besides when; entries that say the same share one.
type note struct {
	name, url  string
	tags       []string
	confidence uint8
}

// said is what is kept of one entry.
type said struct {
	note    uint32
	seen    uint32 // seconds since 1970, 0 unknown
	expires uint32 // seconds since 1970, maxSeconds never
	port    uint16
	bits    uint8 // an address: the length of its prefix, from the 128 bits of the IPv4-mapped form
	below   bool  // a domain: names below it too
}

// address is one address entry.
type address struct {
	ip [16]byte
	said
}

func (a *address) prefix() netip.Prefix {
	ip, bits := netip.AddrFrom16(a.ip), int(a.bits)
	if ip.Is4In6() && bits >= 96 {
		ip, bits = ip.Unmap(), bits-96
	}
	return netip.PrefixFrom(ip, bits)
}

// key is what a digest remembers an entry by: its prefix, whatever the port.
func (a *address) key() []byte { return append(a.ip[:len(a.ip):len(a.ip)], a.bits) }

// texts are entries found by text: sorted, in one block.
type texts struct {
	block   []byte
	ends    []uint32
	entries []said
}

func (t *texts) at(i int) []byte {
	from := uint32(0)
	if i > 0 {
		from = t.ends[i-1]
	}
	return t.block[from:t.ends[i]]
}

// find gives the entries of a text: those from the first index to below the second.
func (t *texts) find(text []byte) (from, to int) {
	from = sort.Search(len(t.ends), func(i int) bool { return bytes.Compare(t.at(i), text) >= 0 })
	for to = from; to < len(t.ends) && bytes.Equal(t.at(to), text); to++ {
	}
	return from, to
}

// count is how many entries are live at now, in seconds since 1970.
func (c *content) count(now uint32) int {
	n := len(c.addresses) + len(c.domains.entries) + len(c.urls.entries) + len(c.hashes.entries)
	if now < c.soonest {
		return n
	}
	gone := 0
	for i := range c.addresses {
		if c.addresses[i].expires <= now {
			gone++
		}
	}
	for _, t := range [...]*texts{&c.domains, &c.urls, &c.hashes} {
		for i := range t.entries {
			if t.entries[i].expires <= now {
				gone++
			}
		}
	}
	return n - gone
}

// evidence appends what one entry says.
func (c *content) evidence(into []event.Evidence, l *list, s *said, side event.Side, port uint16) []event.Evidence {
	n := &c.notes[s.note]
	return append(into, event.Evidence{
		List: l.cfg.Name, Name: n.name, URL: n.url, Tags: n.tags, Confidence: cmp.Or(n.confidence, l.cfg.Confidence, defaultConfidence),
		Seen: int64(s.seen) * 1e9, Info: c.info, Side: side, Port: s.port, PortMiss: s.port != 0 && s.port != port,
	})
}

// defaultConfidence is that of entries of which neither list nor configuration says any.
const defaultConfidence = 50

// builder makes a content of the indicators of a list.
type builder struct {
	now  uint32
	ttl  uint32 // seconds, 0 none
	old  *digest
	seen digest // of every entry, expired ones too

	c          content
	domains    []text
	urls       []text
	hashes     []text
	block      []byte // of all texts, until they are sorted
	noteIndex  map[noteKey]uint32
	strings    map[string]string
	total      int
	expired    int
	duplicates int
}

type text struct {
	from, to int
	said
}

type noteKey struct {
	name, url, tags string
	confidence      uint8
}

func newBuilder(now int64, ttl uint32, old *digest) *builder {
	return &builder{now: uint32(now / 1e9), ttl: ttl, old: old, noteIndex: map[noteKey]uint32{}, strings: map[string]string{}, c: content{soonest: maxSeconds}}
}

// add takes one indicator, or says why not.
func (b *builder) add(i *Indicator) (why string) {
	if b.total >= maxEntries || len(b.block) > math.MaxUint32-maxLine {
		return "the list has more entries than are kept"
	}
	b.total++
	s := said{port: i.Port, below: i.Below, seen: min(seconds(i.Seen), b.now), expires: maxSeconds}
	if i.Expires != 0 {
		s.expires = seconds(i.Expires)
	}
	var key []byte
	switch i.Type {
	case Address:
		s.bits = uint8(i.Prefix.Bits() + 128 - i.Prefix.Addr().BitLen())
		a := address{i.Prefix.Addr().As16(), s}
		if b.age(&a.said, a.key(), true) {
			a.note = b.note(i)
			b.c.addresses = append(b.c.addresses, a)
		}
		return ""
	case Domain, URL:
		key = []byte(i.Text)
	default:
		if slices.Contains(emptyHashes[:], i.Text) {
			return "the hash of the empty file"
		}
		key, _ = hex.DecodeString(i.Text)
	}
	if len(key) == 0 || !b.age(&s, key, b.ttl != 0) {
		return ""
	}
	s.note = b.note(i)
	t := text{from: len(b.block), said: s}
	b.block = append(b.block, key...)
	t.to = len(b.block)
	switch i.Type {
	case Domain:
		b.domains = append(b.domains, t)
	case URL:
		b.urls = append(b.urls, t)
	default:
		b.hashes = append(b.hashes, t)
	}
	return ""
}

// age sets when an entry ends by the time to live of its list, and tells whether it is still live. An entry of which
// the list does not say when it was seen ages from its first appearance in the list.
func (b *builder) age(s *said, key []byte, remember bool) bool {
	from := s.seen
	if remember {
		first := b.seen.add(key, b.old, b.now)
		if from == 0 {
			from = first
		}
	}
	if b.ttl != 0 {
		s.expires = min(s.expires, uint32(min(uint64(from)+uint64(b.ttl), maxSeconds)))
	}
	if s.expires <= b.now {
		b.expired++
		return false
	}
	b.c.soonest = min(b.c.soonest, s.expires)
	return true
}

func seconds(nanos int64) uint32 { return uint32(min(max(nanos/1e9, 0), maxSeconds)) }

// note gives the number of the note that says what i says.
func (b *builder) note(i *Indicator) uint32 {
	tags := i.Tags[:min(len(i.Tags), maxTags)]
	key := noteKey{cut(i.Name, maxName), cut(i.URL, maxLink), strings.Join(tags, "\x00"), i.Confidence}
	if n, ok := b.noteIndex[key]; ok {
		return n
	}
	n := note{name: b.intern(key.name), url: b.intern(key.url), confidence: i.Confidence}
	for _, t := range tags {
		n.tags = append(n.tags, b.intern(cut(strings.TrimSpace(t), maxName)))
	}
	key.name, key.url, key.tags = n.name, n.url, strings.Clone(key.tags)
	b.noteIndex[key] = uint32(len(b.c.notes))
	b.c.notes = append(b.c.notes, n)
	return uint32(len(b.c.notes) - 1)
}

func cut(s string, n int) string { return s[:min(len(s), n)] }

// intern gives one copy of each string: what parsers give may be a piece of a whole line.
func (b *builder) intern(s string) string {
	if old, ok := b.strings[s]; ok {
		return old
	}
	s = strings.Clone(s)
	b.strings[s] = s
	return s
}

// finish sorts what was added. Of equal entries one stays, and of many for the same thing the newest.
func (b *builder) finish() (*content, *digest) {
	slices.SortFunc(b.c.addresses, func(x, y address) int {
		if c := bytes.Compare(x.ip[:], y.ip[:]); c != 0 {
			return c
		}
		return cmp.Or(cmp.Compare(x.bits, y.bits), x.order(&y.said))
	})
	group := 0 // where the entries of the present prefix begin
	kept := b.c.addresses[:0]
	for _, a := range b.c.addresses {
		if n := len(kept); n == 0 || kept[n-1].ip != a.ip || kept[n-1].bits != a.bits {
			group = n
		}
		again := slices.ContainsFunc(kept[group:], func(k address) bool { return k.note == a.note && k.port == a.port })
		if again || len(kept)-group >= maxSame {
			b.duplicates++
			continue
		}
		kept = append(kept, a)
	}
	b.c.addresses = slices.Clone(kept)
	b.c.notes = slices.Clip(b.c.notes)
	b.c.domains, b.c.urls, b.c.hashes = b.sort(b.domains), b.sort(b.urls), b.sort(b.hashes)
	c := b.c // the builder with all its room for sorting is let go of
	return &c, b.seen.sorted()
}

// order puts the newest of equal entries first, and equal notes beside each other.
func (s *said) order(o *said) int {
	return cmp.Or(cmp.Compare(o.seen, s.seen), cmp.Compare(s.port, o.port), cmp.Compare(s.note, o.note), cmp.Compare(o.expires, s.expires))
}

func (b *builder) sort(all []text) texts {
	slices.SortFunc(all, func(x, y text) int {
		return cmp.Or(bytes.Compare(b.block[x.from:x.to], b.block[y.from:y.to]), x.order(&y.said))
	})
	size := 0
	for _, t := range all {
		size += t.to - t.from
	}
	out := texts{block: make([]byte, 0, size), ends: make([]uint32, 0, len(all)), entries: make([]said, 0, len(all))}
	group := 0
	for _, t := range all {
		key := b.block[t.from:t.to]
		if n := len(out.ends); n == 0 || !bytes.Equal(out.at(n-1), key) {
			group = n
		}
		again := slices.ContainsFunc(out.entries[group:], func(s said) bool { return s.note == t.note })
		if again || len(out.entries)-group >= maxSame {
			b.duplicates++
			continue
		}
		out.block = append(out.block, key...)
		out.ends = append(out.ends, uint32(len(out.block)))
		out.entries = append(out.entries, t.said)
	}
	return out
}

// emptyHashes are those of the empty file, which lists hold by accident.
var emptyHashes = [...]string{
	"d41d8cd98f00b204e9800998ecf8427e", "da39a3ee5e6b4b0d3255bfef95601890afd80709",
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
}
