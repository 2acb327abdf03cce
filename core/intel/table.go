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

// ref is one address entry of one list in the chain of its prefix.
type ref struct {
	list    uint32
	address uint32
	next    uint32 // the next in refs, 0 at the end
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
				t.refs = append(t.refs, ref{uint32(l), uint32(i), old})
				return head, false
			})
			t.any6 = t.any6 || p.Addr().Is6()
		}
	}
	marks := 0
	for p := range t.prefixes.All4() {
		marks += fineMarks(p)
	}
	t.filter = newFilter(marks)
	for p := range t.prefixes.All4() {
		t.filter.mark(p)
	}
	return t
}

// filter tells of nearly all IPv4 addresses that no list names them or their neighbours, in two memory accesses that
// depend on nothing. It has no false negatives.
type filter struct {
	wide  [1 << 16 / 64]uint64 // a bit for each /16 that lies under a listed prefix of /16 or shorter
	fine  []uint64             // a bit for each /24 that lies under or over a longer one, by hash
	shift uint
}

// The hashed part has sixteen bits for each one that is set, so that at most one address in sixteen is looked up in
// vain, whatever the lists hold; 2^24 is as many as there are /24s.
const (
	filterShare = 16
	minFilter   = 12
	maxFilter   = 24
)

func newFilter(marks int) filter {
	bits := uint(minFilter)
	for bits < maxFilter && 1<<bits < marks*filterShare {
		bits++
	}
	return filter{fine: make([]uint64, 1<<bits/64), shift: 32 - bits}
}

// fineMarks is how many bits of the hashed part a prefix sets.
func fineMarks(p netip.Prefix) int {
	if p.Bits() <= 16 {
		return 0
	}
	return 1 << max(24-p.Bits(), 0)
}

// slot spreads the number of a /24 over the bits of the filter (Knuth's multiplicative hashing).
func (f *filter) slot(ip uint32) uint32 { return (ip >> 8) * 0x9e3779b1 >> (f.shift & 31) }

func (f *filter) mark(p netip.Prefix) {
	b := p.Addr().As4()
	ip := binary.BigEndian.Uint32(b[:])
	if p.Bits() <= 16 {
		for i, n := ip>>16, uint32(1)<<(16-p.Bits()); n > 0; i, n = i+1, n-1 {
			f.wide[i/64] |= 1 << (i % 64)
		}
		return
	}
	for n := fineMarks(p); n > 0; ip, n = ip+1<<8, n-1 {
		i := f.slot(ip)
		f.fine[i/64] |= 1 << (i % 64)
	}
}

// may tells whether an address can be listed at all.
func (t *merged) may(a netip.Addr) bool {
	if !a.Is4() {
		return t.any6 && a.IsValid()
	}
	b := a.As16() // As16 is inlined, As4 is not
	ip := binary.BigEndian.Uint32(b[12:])
	i := t.filter.slot(ip)
	return (t.filter.fine[i/64]>>(i%64)|t.filter.wide[ip>>22]>>(ip>>16%64))&1 != 0
}

// lookup appends the evidence of every entry that covers the address and has not expired at now.
func (t *merged) lookup(a netip.Addr, port uint16, side event.Side, now int64, into []event.Evidence) []event.Evidence {
	if !t.may(a) {
		return into
	}
	at := seconds(now)
	for p, head := range t.prefixes.Supernets(netip.PrefixFrom(a, a.BitLen())) {
		for i := head; i != 0; i = t.refs[i].next {
			r := &t.refs[i]
			c := t.contents[r.list]
			e := &c.addresses[r.address]
			if e.expires <= at {
				continue
			}
			l := t.lists[r.list]
			l.hits.Add(1)
			v := c.evidence(l, &e.said, side, port)
			v.Entry = p
			into = append(into, v)
		}
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
			into = append(into, c.evidence(t.lists[n], s, 0, s.port))
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
