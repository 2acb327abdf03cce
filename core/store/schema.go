package store

import (
	"strings"

	"github.com/duckdb/duckdb-go/v2/mapping"
)

// column is one column of the table of events: the one description that the DDL, the columnar writer and the archive
// are made from. Its place in columns is its place in the table.
type column struct {
	name string
	typ  mapping.Type
	null bool
	slot func(*block) any // where a block keeps it: *vec[uint64], *vec[uint32] ... or *texts
}

const (
	typeTime = mapping.TypeTimestamp // microseconds since 1970, UTC
	typeU64  = mapping.TypeUBigInt
	typeU32  = mapping.TypeUInteger
	typeU16  = mapping.TypeUSmallInt
	typeU8   = mapping.TypeUTinyInt
	typeText = mapping.TypeVarchar
)

// Addresses are 16 bytes, IPv4 as ::ffff:a.b.c.d, in two halves: Parquet would keep 128-bit integers as floating point.
// Names, codes and units are those of event.Event; lasted is the time from its begin to its end in microseconds, icmp
// is type<<8|code, lists are the names of the lists that named an end, one a line, detail is a JSON object of texts.
var columns = [...]column{
	{"time", typeTime, false, func(b *block) any { return &b.time }},
	{"lasted", typeU64, false, func(b *block) any { return &b.lasted }},
	{"kind", typeU8, false, func(b *block) any { return &b.kind }},
	{"action", typeU8, false, func(b *block) any { return &b.action }},
	{"own", typeU8, false, func(b *block) any { return &b.own }},
	{"proto", typeU8, false, func(b *block) any { return &b.proto }},
	{"tcp_flags", typeU8, false, func(b *block) any { return &b.flags }},
	{"icmp", typeU16, true, func(b *block) any { return &b.icmp }},
	{"src_hi", typeU64, true, func(b *block) any { return &b.src.hi }},
	{"src_lo", typeU64, true, func(b *block) any { return &b.src.lo }},
	{"dst_hi", typeU64, true, func(b *block) any { return &b.dst.hi }},
	{"dst_lo", typeU64, true, func(b *block) any { return &b.dst.lo }},
	{"sport", typeU16, false, func(b *block) any { return &b.sport }},
	{"dport", typeU16, false, func(b *block) any { return &b.dport }},
	{"packets", typeU64, false, func(b *block) any { return &b.packets }},
	{"bytes", typeU64, false, func(b *block) any { return &b.bytes }},
	{"sampling", typeU32, false, func(b *block) any { return &b.sampling }},
	{"rev_packets", typeU64, true, func(b *block) any { return &b.revPackets }},
	{"rev_bytes", typeU64, true, func(b *block) any { return &b.revBytes }},
	{"rev_tcp_flags", typeU8, true, func(b *block) any { return &b.revFlags }},
	{"nat_src_hi", typeU64, true, func(b *block) any { return &b.natSrc.hi }},
	{"nat_src_lo", typeU64, true, func(b *block) any { return &b.natSrc.lo }},
	{"nat_dst_hi", typeU64, true, func(b *block) any { return &b.natDst.hi }},
	{"nat_dst_lo", typeU64, true, func(b *block) any { return &b.natDst.lo }},
	{"nat_sport", typeU16, true, func(b *block) any { return &b.natSport }},
	{"nat_dport", typeU16, true, func(b *block) any { return &b.natDport }},
	{"nat_event", typeU8, true, func(b *block) any { return &b.natEvent }},
	{"count", typeU32, false, func(b *block) any { return &b.count }},
	{"in_index", typeU32, false, func(b *block) any { return &b.inIndex }},
	{"out_index", typeU32, false, func(b *block) any { return &b.outIndex }},
	{"domain", typeU32, false, func(b *block) any { return &b.domain }},
	{"asn", typeU32, false, func(b *block) any { return &b.asn }},
	{"source", typeText, true, func(b *block) any { return &b.texts[textSource] }},
	{"exporter", typeText, true, func(b *block) any { return &b.texts[textExporter] }},
	{"in_if", typeText, true, func(b *block) any { return &b.texts[textInIf] }},
	{"out_if", typeText, true, func(b *block) any { return &b.texts[textOutIf] }},
	{"country", typeText, true, func(b *block) any { return &b.texts[textCountry] }},
	{"rule", typeText, true, func(b *block) any { return &b.texts[textRule] }},
	{"session", typeText, true, func(b *block) any { return &b.texts[textSession] }},
	{"lists", typeText, true, func(b *block) any { return &b.texts[textLists] }},
	{"detail", typeText, true, func(b *block) any { return &b.texts[textDetail] }},
	{"batch", typeU64, false, func(b *block) any { return &b.batch }}, // hot rows only: in which flush they came
}

// Text columns, as indexes of block.texts.
const (
	textSource = iota
	textExporter
	textInIf
	textOutIf
	textCountry
	textRule
	textSession
	textLists
	textDetail
	textColumns
)

var typeNames = map[mapping.Type]string{
	typeTime: "TIMESTAMP", typeU64: "UBIGINT", typeU32: "UINTEGER", typeU16: "USMALLINT", typeU8: "UTINYINT", typeText: "VARCHAR",
}

// createTable is the DDL of the table of events.
func createTable(name string) string {
	var b strings.Builder
	b.WriteString("CREATE TABLE " + name + " (")
	for i, c := range columns {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(c.name + " " + typeNames[c.typ])
		if !c.null {
			b.WriteString(" NOT NULL")
		}
	}
	b.WriteString(")")
	return b.String()
}

// archived are the columns of the archive: all but the batch.
func archived() string {
	names := make([]string, 0, len(columns))
	for _, c := range columns {
		if c.name != "batch" {
			names = append(names, c.name)
		}
	}
	return strings.Join(names, ", ")
}

// createState is the DDL of everything beside the events. A part is one sealed file; seen files tell which addresses
// an archive day holds and in which hours; said are warnings, newest state of each incident by its last row.
const createState = `
CREATE TABLE meta (key VARCHAR PRIMARY KEY, value VARCHAR NOT NULL);
CREATE TABLE parts (path VARCHAR PRIMARY KEY, kind UTINYINT NOT NULL, hour BIGINT NOT NULL, first TIMESTAMP NOT NULL,
	last TIMESTAMP NOT NULL, count UBIGINT NOT NULL, size UBIGINT NOT NULL, sealed TIMESTAMP NOT NULL);
CREATE TABLE seen (path VARCHAR PRIMARY KEY, kind UTINYINT NOT NULL, day BIGINT NOT NULL, count UBIGINT NOT NULL,
	size UBIGINT NOT NULL, merged BOOLEAN NOT NULL);
CREATE SEQUENCE said_id;
CREATE TABLE said (n UBIGINT NOT NULL DEFAULT nextval('said_id'), id VARCHAR NOT NULL, rule VARCHAR NOT NULL, state UTINYINT NOT NULL,
	severity UTINYINT NOT NULL, time TIMESTAMP NOT NULL, first TIMESTAMP NOT NULL, last TIMESTAMP NOT NULL,
	own_hi UBIGINT, own_lo UBIGINT, foreign_hi UBIGINT, foreign_lo UBIGINT, lists VARCHAR, warning VARCHAR NOT NULL);
CREATE TABLE acks (id VARCHAR PRIMARY KEY, time TIMESTAMP NOT NULL, person VARCHAR NOT NULL, why VARCHAR NOT NULL);
CREATE SEQUENCE mute_id;
CREATE TABLE mutes (id UBIGINT PRIMARY KEY DEFAULT nextval('mute_id'), prefix VARCHAR, list VARCHAR, rule VARCHAR,
	why VARCHAR NOT NULL, person VARCHAR NOT NULL, created TIMESTAMP NOT NULL, expires TIMESTAMP);
`
