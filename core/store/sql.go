package store

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"varde/event"
	"varde/event/query"
)

// clause is a piece of SQL with its arguments. All SQL of the questions is made in this file and by the questions
// themselves from constants; whatever comes from a person is an argument, or an address or number printed by us.
type clause struct {
	sql  strings.Builder
	args []any
}

func (c *clause) add(sql string, args ...any) {
	c.sql.WriteString(sql)
	c.args = append(c.args, args...)
}

// within is the time and the kinds of a box. Of a sealed file that it holds whole nothing needs comparing.
func within(b *query.Box) *clause {
	c := &clause{}
	c.add("true")
	if b.From != 0 {
		c.add(" AND time >= " + stamp(ceilMicros(b.From)))
	}
	if b.To != 0 {
		c.add(" AND time < " + stamp(ceilMicros(b.To)))
	}
	if len(b.Kinds) > 0 {
		c.add(" AND kind IN (")
		for i, k := range b.Kinds {
			if i > 0 {
				c.add(", ")
			}
			c.add(strconv.Itoa(int(k)))
		}
		c.add(")")
	}
	return c
}

// matching is the filter of a box.
func matching(b *query.Box) *clause {
	c := &clause{}
	c.expr(b.Filter, false)
	return c
}

// ceilMicros turns a bound in nanoseconds into one of whole microseconds: stored times are whole ones, rounded down.
func ceilMicros(ns int64) int64 { return (ns + 999) / 1000 }

func stamp(micros int64) string { return "make_timestamp(" + strconv.FormatInt(micros, 10) + ")" }

// expr renders a filter. SQL's NULL is like false as long as nothing is negated; below a Not each condition is made
// false where it is NULL, so that "not" keeps the events that lack a field.
func (c *clause) expr(e query.Expr, negated bool) {
	switch e := e.(type) {
	case nil:
		c.add("true")
	case query.And:
		c.list(e, " AND ", "true", negated)
	case query.Or:
		c.list(e, " OR ", "false", negated)
	case query.Not:
		c.add("NOT ")
		c.expr(e.Of, true)
	default:
		if negated {
			c.add("coalesce")
		}
		c.add("(")
		c.condition(e)
		if negated {
			c.add(", false")
		}
		c.add(")")
	}
}

func (c *clause) list(of []query.Expr, between, empty string, negated bool) {
	if len(of) == 0 {
		c.add(empty)
		return
	}
	c.add("(")
	for i, e := range of {
		if i > 0 {
			c.add(between)
		}
		c.expr(e, negated)
	}
	c.add(")")
}

func (c *clause) condition(e query.Expr) {
	switch e := e.(type) {
	case query.Net:
		c.ends(e.End, func(end string) { c.in(end, e.Prefix) })
	case query.Nets:
		c.ends(e.End, func(end string) {
			c.add("(false")
			for _, p := range e.Prefixes {
				c.add(" OR ")
				c.in(end, p)
			}
			c.add(")")
		})
	case query.Port:
		sql := func(column string) string {
			return "(" + hasPort(column) + " AND " + column + ops[e.Op] + strconv.Itoa(int(e.Value)) + ")"
		}
		switch e.End {
		case query.SrcEnd:
			c.add(sql("sport"))
		case query.DstEnd:
			c.add(sql("dport"))
		default:
			c.add(sql("sport") + " OR " + sql("dport"))
		}
	case query.Number:
		c.add(number(e))
	case query.Flags:
		c.add(fmt.Sprintf("proto = %d AND (tcp_flags & %d) = %d", event.TCP, e.Set, e.Set))
	case query.Text:
		c.text(e)
	case query.IsKind:
		c.add("kind = " + strconv.Itoa(int(e.Kind)))
	case query.IsAction:
		c.add("action = " + strconv.Itoa(int(e.Action)))
	case query.Family:
		c.add("(src_hi IS NOT NULL OR dst_hi IS NOT NULL) AND ")
		if !e.V4 {
			c.add("NOT ")
		}
		c.add("coalesce(" + isV4("src") + ", " + isV4("dst") + ")")
	default:
		panic(fmt.Sprintf("store: no SQL for %T", e)) // a condition was added to package query and forgotten here
	}
}

// hasPort is query.HasPort.
func hasPort(column string) string {
	return "(proto = 6 OR proto = 17 OR proto IN (33, 132, 136) OR proto = 0 AND " + column + " <> 0)"
}

// What an event moved in both directions.
const (
	allPackets = "(packets + coalesce(rev_packets, 0))"
	allBytes   = "(bytes + coalesce(rev_bytes, 0))"
	moved      = "packets, bytes, rev_packets, rev_bytes"
)

const maxU64 = "18446744073709551615"

var ops = [...]string{query.Equal: " = ", query.Less: " < ", query.AtMost: " <= ", query.More: " > ", query.AtLeast: " >= "}

// isV4 tells IPv4 addresses by their mapped form.
func isV4(end string) string { return fmt.Sprintf("(%[1]s_hi = 0 AND %[1]s_lo >> 32 = 65535)", end) }

// ends applies a condition to the columns of the ends that are meant.
func (c *clause) ends(e query.End, one func(end string)) {
	both := func(a, ifA, b, ifB string) {
		c.add("(" + ifA)
		one(a)
		c.add(") OR (" + ifB)
		one(b)
		c.add(")")
	}
	switch e {
	case query.SrcEnd:
		one("src")
	case query.DstEnd:
		one("dst")
	case query.OwnEnd:
		both("src", "(own & 1) = 1 AND ", "dst", "(own & 2) = 2 AND ")
	case query.ForeignEnd:
		both("src", "(own & 1) = 0 AND ", "dst", "(own & 2) = 0 AND ")
	case query.NATEnd:
		both("nat_src", "", "nat_dst", "")
	default:
		both("src", "", "dst", "")
	}
}

// in is true where the address of an end is in a prefix. IPv6 prefixes do not hold IPv4 addresses.
func (c *clause) in(end string, p netip.Prefix) {
	first, last := bounds(p)
	c.add("(")
	switch {
	case first == last:
		c.add(fmt.Sprintf("%s_lo = %d AND %s_hi = %d", end, first[1], end, first[0]))
	case first[0] == last[0]:
		c.add(fmt.Sprintf("%s_hi = %d AND %s_lo BETWEEN %d AND %d", end, first[0], end, first[1], last[1]))
	default:
		c.add(fmt.Sprintf("%s_hi BETWEEN %d AND %d", end, first[0], last[0]))
	}
	if p.Addr().Is6() && first[0] == 0 {
		c.add(" AND NOT " + isV4(end))
	}
	c.add(")")
}

// bounds are the first and the last address of a prefix, each in two halves.
func bounds(p netip.Prefix) (first, last [2]uint64) {
	p = p.Masked()
	first[0], first[1] = halves(p.Addr())
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	last = first
	if bits < 64 {
		last[0] |= ^uint64(0) >> bits
		last[1] = ^uint64(0)
	} else if bits < 128 {
		last[1] |= ^uint64(0) >> (bits - 64)
	}
	return first, last
}

// number renders the comparison of a number field.
func number(n query.Number) string {
	value := strconv.FormatUint(n.Value, 10) + "::UBIGINT"
	compare := func(column string) string { return column + ops[n.Op] + value }
	switch n.Field {
	case query.FieldProto:
		return compare("proto")
	case query.FieldICMPType:
		return compare("(icmp >> 8)")
	case query.FieldICMPCode:
		return compare("(icmp & 255)")
	case query.FieldPackets:
		return compare(allPackets)
	case query.FieldBytes:
		return compare(allBytes)
	case query.FieldCount:
		return compare("greatest(count, 1)")
	case query.FieldSampling:
		return compare("greatest(sampling, 1)")
	case query.FieldASN:
		return "asn > 0 AND " + compare("asn")
	case query.FieldDuration:
		return compare("lasted::HUGEINT * 1000")
	case query.FieldPacketRate:
		return "lasted > 0 AND " + compare("least("+allPackets+"::HUGEINT * 1000000 // lasted, "+maxU64+")")
	case query.FieldBitRate:
		return "lasted > 0 AND " + compare("least("+allBytes+"::HUGEINT * 8000000 // lasted, "+maxU64+")")
	case query.FieldPacketSize:
		return allPackets + " > 0 AND " + compare(allBytes+" // nullif("+allPackets+", 0)")
	}
	return "false"
}

var textColumnOf = map[query.Field]string{
	query.FieldSource: "source", query.FieldExporter: "exporter", query.FieldSession: "session",
	query.FieldInIf: "coalesce(in_if, nullif(in_index, 0)::VARCHAR)", query.FieldOutIf: "coalesce(out_if, nullif(out_index, 0)::VARCHAR)", query.FieldRule: "rule", query.FieldCountry: "country", query.FieldList: "lists",
}

func (c *clause) text(t query.Text) {
	column, ok := textColumnOf[t.Field]
	value := strings.ToLower(t.Value)
	switch {
	case !ok:
		c.add("false")
	case t.Field == query.FieldList && t.Value == "" && !t.Part:
		c.add("lists IS NULL")
	case t.Field == query.FieldList && t.Part:
		c.add("list_bool_or(list_transform(string_split(lower(lists), chr(10)), l -> contains(l, ?)))", value)
	case t.Field == query.FieldList:
		c.add("list_contains(string_split(lower(lists), chr(10)), ?)", value)
	case t.Part:
		c.add("contains(lower(coalesce("+column+", '')), ?)", value)
	default:
		c.add("lower(coalesce("+column+", '')) = ?", value)
	}
}

// key is how a field groups: the columns that make the group, and how their values become text.
type key struct {
	columns []string
	text    func(v []any) string
}

// fieldKey is the key of a field; ok is false for fields that do not group.
func fieldKey(f query.Field) (key, bool) {
	switch f {
	case query.FieldSrc:
		return key{[]string{"src_hi", "src_lo"}, addressText}, true
	case query.FieldDst:
		return key{[]string{"dst_hi", "dst_lo"}, addressText}, true
	case query.FieldOwn:
		return key{[]string{side("hi", 1), side("lo", 1)}, addressText}, true
	case query.FieldForeign:
		return key{[]string{side("hi", 0), side("lo", 0)}, addressText}, true
	case query.FieldSrc24:
		return key{network("src"), networkText}, true
	case query.FieldDst24:
		return key{network("dst"), networkText}, true
	case query.FieldSrcPort:
		return key{[]string{portOf("sport")}, numberText}, true
	case query.FieldDstPort:
		return key{[]string{portOf("dport")}, numberText}, true
	case query.FieldService:
		return key{[]string{portOf("dport"), "proto"}, serviceText}, true
	case query.FieldProto:
		return key{[]string{"proto"}, func(v []any) string { return event.ProtoName(byteOf(v[0])) }}, true
	case query.FieldTCPFlags:
		return key{[]string{"CASE WHEN proto = 6 THEN nullif(tcp_flags, 0) END"}, func(v []any) string {
			if v[0] == nil {
				return ""
			}
			return event.FlagLetters(byteOf(v[0]))
		}}, true
	case query.FieldICMPType:
		return key{[]string{"(icmp >> 8)"}, numberText}, true
	case query.FieldICMPCode:
		return key{[]string{"(icmp & 255)"}, numberText}, true
	case query.FieldKind:
		return key{[]string{"kind"}, func(v []any) string { return event.Kind(byteOf(v[0])).String() }}, true
	case query.FieldAction:
		return key{[]string{"nullif(action, 0)"}, func(v []any) string { return event.Action(byteOf(v[0])).String() }}, true
	case query.FieldASN:
		return key{[]string{"nullif(asn, 0)"}, numberText}, true
	case query.FieldSampling:
		return key{[]string{"sampling"}, numberText}, true
	case query.FieldList:
		return key{[]string{"unnest(string_split(lists, chr(10)))"}, textText}, true
	}
	column, ok := textColumnOf[f]
	return key{[]string{column}, textText}, ok
}

// side is one half of the address of the end that is ours, or with want 0 that is not.
func side(half string, want int) string {
	return fmt.Sprintf("CASE WHEN (own & 1) = %d THEN src_%s WHEN (own & 2) = %d THEN dst_%s END", want, half, 2*want, half)
}

func portOf(column string) string { return "CASE WHEN " + hasPort(column) + " THEN " + column + " END" }

// network are the columns of the /24 (IPv4) or /48 (IPv6) of an end.
func network(end string) []string {
	return []string{
		fmt.Sprintf("(%[1]s_hi >> 16) << 16", end),
		fmt.Sprintf("CASE WHEN %s THEN (%s_lo >> 8) << 8 WHEN %s_lo IS NOT NULL THEN 0::UBIGINT END", isV4(end), end, end),
	}
}

func addressText(v []any) string {
	if v[0] == nil || v[1] == nil {
		return ""
	}
	return joined(v[0].(uint64), v[1].(uint64)).String()
}

func networkText(v []any) string {
	if v[0] == nil || v[1] == nil {
		return ""
	}
	a := joined(v[0].(uint64), v[1].(uint64))
	if a.Is4() {
		return netip.PrefixFrom(a, 24).String()
	}
	return netip.PrefixFrom(a, 48).String()
}

func numberText(v []any) string {
	if v[0] == nil {
		return ""
	}
	return fmt.Sprint(v[0])
}

func serviceText(v []any) string {
	name := event.ProtoName(byteOf(v[1]))
	if v[0] == nil {
		return name
	}
	return fmt.Sprint(v[0]) + "/" + name
}

func textText(v []any) string {
	s, _ := v[0].(string)
	return s
}

func byteOf(v any) uint8 {
	b, _ := v.(uint8)
	return b
}

// What a group moved in both directions. Each direction is summed up by itself, which is faster than adding row by row.
const (
	sumPackets = "least(coalesce(sum(packets), 0) + coalesce(sum(rev_packets), 0), " + maxU64 + ")::UBIGINT"
	sumBytes   = "least(coalesce(sum(bytes), 0) + coalesce(sum(rev_bytes), 0), " + maxU64 + ")::UBIGINT"
	sumEvents  = "least(coalesce(sum(greatest(count, 1)), 0), " + maxU64 + ")::UBIGINT"
)

// sums are the columns of query.Totals, in the order that totals scans. Sums that do not fit are the largest number.
const sums = sumEvents + " AS events, " + sumPackets + " AS packets, " + sumBytes + ` AS bytes,
	epoch_us(min(time)) AS first, epoch_us(max(time)) AS last, coalesce(max(sampling) > 1, false) AS sampled`

// totals scans one row of sums.
type totals struct {
	events, packets, bytes *uint64
	first, last            *int64
	sampled                *bool
}

func (t *totals) into() []any {
	return []any{&t.events, &t.packets, &t.bytes, &t.first, &t.last, &t.sampled}
}

func (t *totals) get() query.Totals {
	if t.first == nil {
		return query.Totals{}
	}
	return query.Totals{
		Events: *t.events, Packets: *t.packets, Bytes: *t.bytes,
		First: *t.first * 1000, Last: *t.last * 1000, Sampled: *t.sampled,
	}
}

// orders are the columns that make a group large.
var orders = [...]string{query.ByBytes: "bytes", query.ByPackets: "packets", query.ByEvents: "events", query.BySources: "sources"}

// bucket is the number of the step of time that an event is in.
func bucket(from int64, step time.Duration) string {
	return fmt.Sprintf("((epoch_us(time) - %d) // %d)", ceilMicros(from), step.Microseconds())
}
