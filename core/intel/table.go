package intel

import (
	"encoding/binary"
	"net/netip"
	"strings"

	"github.com/gaissmai/bart"

	"varde/event"
)

// merged is made once of the contents of all lists and then only read. Addresses of all lists stand in one tree;
// names, URLs and hashes, which are asked for rarely, are looked up list by list.
type merged struct {
	lists    []*list
	contents []*content
	prefixes bart.Table[uint32] // the first of refs for a prefix
	refs     []ref
	filter   filter
	any6     bool
	unused   []int // of each list, entries in ranges that never alert
}

// ref is one address entry of one list. Those of the same prefix form a chain, which goes on with the chain of the
// next shorter prefix that covers it: one look-up for the longest prefix of an address finds all.
type ref struct {
	said // a copy, so that a hit has one place less to go to in memory
	list uint32
	next uint32 // in refs, 0 at the end
}

// merge makes the table. Entries of ranges that never alert are left out, so that traffic of the own network is not
// looked up in vain.
func merge(lists []*list, contents []*content, never *bart.Lite) *merged {
	t := &merged{lists: lists, contents: contents, unused: make([]int, len(contents))}
	n := 1
	for _, c := range contents {
		n += len(c.addresses)
	}
	t.refs = make([]ref, 1, n) // 0 is the end of a chain
	// From the last to the first, since each entry goes to the head of its chain.
	for l := len(contents) - 1; l >= 0; l-- {
		all := contents[l].addresses
		for i := len(all) - 1; i >= 0; i-- {
			p := all[i].prefix()
			if never.LookupPrefix(p) {
				t.unused[l]++
				continue
			}
			head := uint32(len(t.refs))
			t.prefixes.Modify(p, func(old uint32, _ bool) (uint32, bool) {
				t.refs = append(t.refs, ref{all[i].said, uint32(l), old})
				return head, false
			})
			t.any6 = t.any6 || p.Addr().Is6()
		}
	}
	marks := 0
	for p, head := range t.prefixes.All() {
		t.join(p, head)
		if p.Addr().Is4() {
			marks += fineMarks(p)
		}
	}
	t.filter = newFilter(marks)
	for p := range t.prefixes.All4() {
		t.filter.mark(p)
	}
	return t
}

// join lets the chain of a prefix go on with that of the longest other one that covers it.
func (t *merged) join(p netip.Prefix, head uint32) {
	if p.Bits() == 0 {
		return
	}
	shorter := netip.PrefixFrom(p.Addr(), p.Bits()-1).Masked()
	_, up, ok := t.prefixes.LookupPrefixLPM(shorter)
	if !ok {
		return
	}
	last := head
	for t.refs[last].next != 0 {
		last = t.refs[last].next
	}
	t.refs[last].next = up
}

// filter tells of nearly all IPv4 addresses that no list names them or their neighbours, without a branch and in two
// memory accesses that do not wait for each other. It has no false negatives.
type filter struct {
	wide [1 << 16 / 64]uint64 // a bit for each /16 that lies under a listed prefix of /16 or shorter
	// fine is a Bloom filter of the /24s that lie under or over a longer prefix: two bits of one word for each, so that
	// it stays in the nearer caches.
	fine  []uint64
	shift uint8
}

// The fine part has a word for every four /24s that are marked in it, which has less than one in fifty looked up in
// vain, and no more words than there are for all /24s.
const (
	marksPerWord = 4
	minFilter    = 6
	maxFilter    = 18
)

func newFilter(marks int) filter {
	bits := minFilter
	for bits < maxFilter && marksPerWord<<bits < marks {
		bits++
	}
	return filter{fine: make([]uint64, 1<<bits), shift: uint8(64 - bits)}
}

// spot is where the /24 of an address stands: a word and two bits of it (multiplicative hashing by the golden ratio).
func (f *filter) spot(ip uint32) (word, bits uint64) {
	h := uint64(ip>>8) * 0x9e3779b97f4a7c15
	return h >> (f.shift & 63), 1<<(h>>20&63) | 1<<(h>>26&63)
}

// fineMarks is how many /24s of the fine part a prefix marks.
func fineMarks(p netip.Prefix) int {
	if p.Bits() <= 16 {
		return 0
	}
	return 1 << max(24-p.Bits(), 0)
}

func (f *filter) mark(p netip.Prefix) {
	ip := ipv4(p.Addr())
	if p.Bits() <= 16 {
		for i, n := ip>>16, uint32(1)<<(16-p.Bits()); n > 0; i, n = i+1, n-1 {
			f.wide[i/64] |= 1 << (i % 64)
		}
		return
	}
	for n := fineMarks(p); n > 0; ip, n = ip+1<<8, n-1 {
		word, bits := f.spot(ip)
		f.fine[word] |= bits
	}
}

func (f *filter) has(ip uint32) bool {
	word, bits := f.spot(ip)
	return f.fine[word]&bits == bits || f.wide[ip>>22]>>(ip>>16%64)&1 != 0
}

// ipv4 is the number of an IPv4 address.
func ipv4(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

// may tells whether an address can be listed at all.
func (t *merged) may(a netip.Addr) bool {
	if a.Is4() {
		return t.filter.has(ipv4(a))
	}
	return t.any6 && a.IsValid()
}

// lookup appends the evidence of every entry that covers the address and has not expired at now.
func (t *merged) lookup(a netip.Addr, port uint16, side event.Side, now int64, into []event.Evidence) []event.Evidence {
	if !t.may(a) {
		return into
	}
	head, ok := t.prefixes.Lookup(a)
	if !ok {
		return into
	}
	at := seconds(now)
	for i := head; i != 0; i = t.refs[i].next {
		r := &t.refs[i]
		if r.expires <= at {
			continue
		}
		l := t.lists[r.list]
		l.hits.Add(1)
		into = t.contents[r.list].evidence(into, l, &r.said, side, port)
		into[len(into)-1].Entry, _ = a.Prefix(int(r.bits) - 128 + a.BitLen())
	}
	return into
}

// text appends the evidence of the entries for a text in one kind of table of each list.
func (t *merged) text(of func(*content) *texts, key []byte, below bool, now int64, into []event.Evidence) []event.Evidence {
	at := seconds(now)
	for n, c := range t.contents {
		table := of(c)
		from, to := table.find(key)
		for i := from; i < to; i++ {
			s := &table.entries[i]
			if s.expires <= at || below && !s.below {
				continue
			}
			t.lists[n].hits.Add(1)
			into = c.evidence(into, t.lists[n], s, 0, s.port)
		}
	}
	return into
}

// domain gives the evidence for a host name: its own entry, and those of its parents that mean what is below them.
func (t *merged) domain(name string, now int64, into []event.Evidence) []event.Evidence {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if len(name) > 253 {
		return into
	}
	for below := false; strings.Contains(name, "."); below = true {
		from := len(into)
		into = t.text(func(c *content) *texts { return &c.domains }, []byte(name), below, now, into)
		for i := range into[from:] {
			into[from+i].Text = name
		}
		_, name, _ = strings.Cut(name, ".")
	}
	return into
}
