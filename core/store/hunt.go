package store

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/gaissmai/bart"

	"varde/event"
	"varde/event/query"
)

// A hunt looks for up to hundreds of thousands of prefixes in months of events. It asks twice: first which addresses
// were ever met, of the small files that say so for each day, and only then for the events of those hours.

// level is a length that prefixes are brought to, so that an address is looked up by equality: the address without its
// lowest bits. Prefixes lie at most 7 bits above their level, thus make at most 128 keys of it.
type level struct {
	v4    bool
	shift uint // of the low half (IPv4) or of the high half (IPv6)
}

// of is the SQL of an address' key on the level; NULL where it is of the other family.
func (l level) of(hi, lo string) string {
	if l.v4 {
		return fmt.Sprintf("CASE WHEN %s = 0 AND %s >> 32 = 65535 THEN %s >> %d END", hi, lo, lo, l.shift)
	}
	return fmt.Sprintf("CASE WHEN NOT (%s = 0 AND %s >> 32 = 65535) THEN %s >> %d END", hi, lo, hi, l.shift)
}

// prey is what is hunted: a table for exact answers, and keys by level, which let through a little more.
type prey struct {
	table bart.Lite
	keys  map[level][]uint64
}

func newPrey(entries []netip.Prefix) *prey {
	p := &prey{keys: map[level][]uint64{}}
	for _, e := range entries {
		if !e.IsValid() {
			continue
		}
		e = e.Masked()
		p.table.Insert(e)
		hi, lo := halves(e.Addr())
		if e.Addr().Is4() {
			p.addKeys(level{true, uint(32-e.Bits()) &^ 7}, lo, uint(32-e.Bits()))
		} else {
			free := uint(64 - min(e.Bits(), 64))
			p.addKeys(level{false, min(free&^7, 56)}, hi, free)
		}
	}
	return p
}

// addKeys adds the keys of a prefix whose lowest free bits are free.
func (p *prey) addKeys(l level, half uint64, free uint) {
	for i := range uint64(1) << (free - l.shift) {
		p.keys[l] = append(p.keys[l], half>>l.shift+i)
	}
}

// fewEntries is up to how many prefixes are looked for one after the other.
const fewEntries = 8

// few are the prefixes where they are few and do not overlap, and none otherwise.
func (p *prey) few() []netip.Prefix {
	if p.table.Size() > fewEntries {
		return nil
	}
	out := slices.Collect(p.table.All())
	for i, e := range out {
		for _, other := range out[:i] {
			if e.Overlaps(other) {
				return nil
			}
		}
	}
	return out
}

// levels are those that are in use, in order.
func (p *prey) levels() []level {
	var out []level
	for l := range p.keys {
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b level) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return out
}

// load puts the keys into a temporary table for each level.
func (q *asking) load(p *prey) error {
	for i, l := range p.levels() {
		keys := p.keys[l]
		slices.Sort(keys)
		if err := q.temp(fmt.Sprint("prey", i), "key", slices.Compact(keys)); err != nil {
			return err
		}
	}
	return nil
}

// temp makes a temporary table of one column of numbers.
func (q *asking) temp(name, column string, values []uint64) error {
	text := make([]byte, 0, 12*len(values))
	for i, v := range values {
		if i > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendUint(text, v, 10)
	}
	_, err := q.tx.ExecContext(q.ctx, "CREATE OR REPLACE TEMP TABLE "+name+" AS SELECT unnest(CAST('['||?||']' AS UBIGINT[])) AS "+column, string(text))
	return err
}

// like is true for addresses whose key is among the prey's.
func (p *prey) like(hi, lo string) string {
	var b strings.Builder
	b.WriteString("(false")
	for i, l := range p.levels() {
		fmt.Fprintf(&b, " OR %s IN (SELECT key FROM prey%d)", l.of(hi, lo), i)
	}
	b.WriteString(")")
	return b.String()
}

type kindDay struct {
	kind event.Kind
	day  int64
}

// track finds which of the prey was met, and leaves in q.parts only the files of the hours in which it was.
func (q *asking) track(b *query.Box, p *prey) (map[netip.Addr]bool, error) {
	if err := q.load(p); err != nil {
		return nil, err
	}
	met := map[netip.Addr]bool{}
	var hi, lo uint64
	hit := func() bool {
		a := joined(hi, lo)
		if p.table.Contains(a) {
			met[a] = true
			return true
		}
		return false
	}
	hot := &clause{}
	for _, end := range []string{"src", "dst"} {
		if end == "dst" {
			hot.add(" UNION ")
		}
		hot.rows(fmt.Sprintf("DISTINCT %[1]s_hi, %[1]s_lo", end), "hot", q.box, q.where)
		hot.add(fmt.Sprintf(" AND %s_hi IS NOT NULL AND %s", end, p.like(end+"_hi", end+"_lo")))
	}
	if err := q.rows(hot, []any{&hi, &lo}, func() error { hit(); return nil }); err != nil {
		return nil, err
	}
	files, err := q.seenFiles(b)
	if err != nil || len(files) == 0 {
		q.parts = nil
		return met, err
	}
	hours := map[kindDay]uint32{}
	q.seen = keysOf(files)
	index := strings.Replace(q.s.files(q.seen), "hive_partitioning = false", "hive_partitioning = false, filename = true", 1)
	c := &clause{}
	for i, p := range p.few() { // its files are sorted by address: little is unpacked for one prefix
		if i > 0 {
			c.add(" UNION ALL ")
		}
		c.add("SELECT a_hi, a_lo, hours, filename FROM (SELECT hi AS a_hi, lo AS a_lo, hours, filename FROM " + index + ") WHERE ")
		c.in("a", p)
	}
	if c.sql.Len() == 0 {
		c.add("SELECT hi, lo, hours, filename FROM " + index + " WHERE " + p.like("hi", "lo"))
	}
	var mask uint32
	var name string
	err = q.rows(c, []any{&hi, &lo, &mask, &name}, func() error {
		if hit() {
			hours[files[strings.TrimPrefix(name, q.s.dir+"/")]] |= mask
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	q.parts = slices.DeleteFunc(q.parts, func(path string) bool {
		at, err := parsePart(path)
		return err == nil && hours[kindDay{at.kind, at.hour / dayMicros * dayMicros}]&(1<<(at.hour%dayMicros/hourMicros)) == 0
	})
	return met, nil
}

func keysOf(m map[string]kindDay) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// seenFiles are the files that tell what was seen in the days of the parts at hand.
func (q *asking) seenFiles(b *query.Box) (map[string]kindDay, error) {
	wanted := map[kindDay]bool{}
	for _, path := range q.parts {
		if at, err := parsePart(path); err == nil {
			wanted[kindDay{at.kind, at.hour / dayMicros * dayMicros}] = true
		}
	}
	out := map[string]kindDay{}
	c := &clause{}
	c.add("SELECT path, kind, day FROM seen")
	var path string
	var d kindDay
	err := q.rows(c, []any{&path, (*uint8)(&d.kind), &d.day}, func() error {
		if wanted[d] {
			out[path] = d
		}
		return nil
	})
	return out, err
}

// Hunt implements query.Reader.
func (s *Store) Hunt(ctx context.Context, b query.Box, entries []netip.Prefix) (out []query.Contact, err error) {
	p := newPrey(entries)
	err = s.ask(ctx, &b, func(q *asking) error {
		out = nil
		met, err := q.track(&b, p)
		if err != nil || len(met) == 0 {
			return err
		}
		if err := q.loadMet(met); err != nil {
			return err
		}
		lower := lowerHalves(met)
		if err := q.narrow(lower); err != nil {
			return err
		}
		out, err = q.contacts(p, lower)
		return err
	})
	return out, err
}

// loadMet puts exact addresses into the temporary table met.
func (q *asking) loadMet(met map[netip.Addr]bool) error {
	his, los := make([]byte, 0, 4*len(met)), make([]byte, 0, 20*len(met))
	for a := range met {
		hi, lo := halves(a)
		his = append(strconv.AppendUint(his, hi, 10), ',')
		los = append(strconv.AppendUint(los, lo, 10), ',')
	}
	_, err := q.tx.ExecContext(q.ctx, `CREATE OR REPLACE TEMP TABLE met AS SELECT unnest(CAST('['||?||']' AS UBIGINT[])) AS hi, unnest(CAST('['||?||']' AS UBIGINT[])) AS lo`,
		strings.TrimSuffix(string(his), ","), strings.TrimSuffix(string(los), ","))
	return err
}

// fewMet is up to how many addresses are compared one by one.
const fewMet = 32

// lowerHalves are the lower halves of addresses for SQL's comparisons: themselves where they are few, or out of the
// table met.
func lowerHalves(met map[netip.Addr]bool) string {
	if len(met) > fewMet {
		return " IN (SELECT lo FROM met)"
	}
	var list []string
	for a := range met {
		_, lo := halves(a)
		list = append(list, strconv.FormatUint(lo, 10)+"::UBIGINT")
	}
	if len(list) == 1 {
		return " = " + list[0] // is compared while the file is read
	}
	return " IN (" + strings.Join(list, ", ") + ")"
}

// maxMoments is up to how many times of events narrow a question down; with more of them, nearly every row group of
// the archive holds one.
const maxMoments = 20_000

// narrow finds the times of all events of a box that touch addresses with these lower halves, reading no more columns
// than that takes, and adds them to what is to hold: row groups of the archive without such a time are not unpacked.
func (q *asking) narrow(lower string) error {
	touch := []string{"(src_lo" + lower + " OR dst_lo" + lower + ")"}
	if strings.HasPrefix(lower, " = ") {
		touch = []string{"src_lo" + lower, "dst_lo" + lower} // each alone is compared before anything else is unpacked
	}
	c := &clause{}
	c.add("SELECT DISTINCT epoch_us(time) AS moment FROM (")
	for i, t := range touch {
		if i > 0 {
			c.add(" UNION ALL ")
		}
		where := &clause{}
		where.add(t) // the filter would need more columns, and is asked again
		rows := q.of("time", where)
		c.add("FROM "+rows.sql.String(), rows.args...)
	}
	c.add(fmt.Sprintf(") LIMIT %d", maxMoments+1))
	var moment int64
	n := 0
	in := &clause{}
	in.add(" AND time IN (make_timestamp(-1)") // the list is never empty
	err := q.rows(c, []any{&moment}, func() error {
		n++
		in.add(", " + stamp(moment))
		return nil
	})
	if n <= maxMoments {
		q.where.add(in.sql.String() + ")")
	}
	return err
}

// contacts sums up the events that have an end in the table met, by own and foreign address.
func (q *asking) contacts(p *prey, lower string) (out []query.Contact, err error) {
	rows := q.from(`kind, time, lasted, own, proto, sport, dport, src_hi, src_lo, dst_hi, dst_lo, count, packets, bytes, rev_packets, rev_bytes, sampling,
		coalesce((src_hi, src_lo) IN (SELECT (hi, lo) FROM met), false) AS hit_src, coalesce((dst_hi, dst_lo) IN (SELECT (hi, lo) FROM met), false) AS hit_dst`)
	c := &clause{}
	c.add(`SELECT kind, if(inward, dst_hi, src_hi) AS own_hi, if(inward, dst_lo, src_lo) AS own_lo, if(inward, src_hi, dst_hi) AS far_hi,
		if(inward, src_lo, dst_lo) AS far_lo, epoch_us(min(time)), max(epoch_us(time) + lasted::BIGINT) AS last, ` + capped("greatest(count, 1)") + `,
		` + capped("if(inward, coalesce(rev_packets, 0), packets)") + `, ` + capped("if(inward, coalesce(rev_bytes, 0), bytes)") + `,
		` + capped("if(inward, packets, coalesce(rev_packets, 0))") + `, ` + capped("if(inward, bytes, coalesce(rev_bytes, 0))") + `,
		bool_or(sampling > 1), array_to_string(list_transform(map_entries(histogram(service)), e -> e.value || ' ' || e.key), ','),
		bool_or(NOT inward OR coalesce(rev_packets, 0) > 0) AND bool_or(inward OR coalesce(rev_packets, 0) > 0)
		FROM (SELECT *, CASE own & 3 WHEN 1 THEN false WHEN 2 THEN true ELSE NOT hit_dst END AS inward,
		CASE WHEN ` + hasPort("lower") + ` THEN lower || '/' ELSE '' END || proto AS service FROM (SELECT *, if(least(sport, dport) = 0, greatest(sport, dport), least(sport, dport)) AS lower FROM `)
	// The lower halves alone are compared in a third of the time and leave few rows for the whole addresses.
	c.add(rows.sql.String()+fmt.Sprintf(" WHERE (src_lo"+lower+" OR dst_lo"+lower+") AND (hit_src OR hit_dst))) GROUP BY ALL ORDER BY last DESC, own_hi, own_lo, far_hi, far_lo, kind LIMIT %d", query.MaxRows), rows.args...)
	var v query.Contact
	var services *string
	var ownHi, ownLo, farHi, farLo *uint64
	into := []any{
		(*uint8)(&v.Kind), &ownHi, &ownLo, &farHi, &farLo, &v.First, &v.Last, &v.Events,
		&v.PacketsOut, &v.BytesOut, &v.PacketsIn, &v.BytesIn, &v.Sampled, &services, &v.Answered,
	}
	err = q.rows(c, into, func() error {
		v.Own, v.Foreign = addrOf(ownHi, ownLo), addrOf(farHi, farLo)
		if e, ok := p.table.LookupPrefixLPM(netip.PrefixFrom(v.Foreign, v.Foreign.BitLen())); ok {
			v.Entry = e
		} else if e, ok := p.table.LookupPrefixLPM(netip.PrefixFrom(v.Own, v.Own.BitLen())); ok {
			v.Entry = e
		} else {
			v.Entry = netip.Prefix{}
		}
		v.First *= 1000
		v.Last *= 1000
		v.Ports = serviceNames(or0(services))
		out = append(out, v)
		return nil
	})
	return out, err
}

// capped is a sum that is the largest number where it does not fit.
func capped(what string) string {
	return "least(sum(" + what + "), 18446744073709551615)::UBIGINT"
}

// serviceNames turns "7 443/6,2 1" into 443/tcp and icmp: the most used ones with how often they were.
func serviceNames(text string) (out []string) {
	type used struct {
		name string
		n    int
	}
	var all []used
	for s := range strings.SplitSeq(text, ",") {
		count, service, _ := strings.Cut(s, " ")
		port, number, ok := strings.Cut(service, "/")
		if !ok {
			number = port
		}
		n, err := strconv.Atoi(count)
		proto, err2 := strconv.ParseUint(number, 10, 8)
		if err != nil || err2 != nil {
			continue
		}
		name := event.ProtoName(uint8(proto))
		if ok {
			name = port + "/" + name
		}
		all = append(all, used{name, n})
	}
	slices.SortFunc(all, func(a, b used) int { return b.n - a.n })
	for _, u := range all[:min(len(all), query.MaxContactPorts)] {
		out = append(out, u.name)
	}
	return out
}
