package store

import (
	"fmt"
	"strings"

	"github.com/duckdb/duckdb-go/v2/mapping"
)

// column is one column of the events: the one description that the DDL, the columnar writer and the archive are made
// from. Each column costs its share of every row that is taken, so in the hot table those that few rows have stand in
// two lists; the view hot shows them as columns again.
type column struct {
	name string
	typ  mapping.Type
	null bool
	slot func(*block) any // where a block keeps it: *vec[uint64], *vec[uint32] ... or *texts; nil in the hot table's lists
	rare int              // its place in the list of rare numbers or texts, from 1; 0 for a column of its own
}

const (
	typeTime = mapping.TypeTimestamp // microseconds since 1970, UTC
	typeI64  = mapping.TypeBigInt
	typeU64  = mapping.TypeUBigInt
	typeU32  = mapping.TypeUInteger
	typeU16  = mapping.TypeUSmallInt
	typeU8   = mapping.TypeUTinyInt
	typeText = mapping.TypeVarchar
)

// Places in the list of rare numbers.
const (
	rareRevPackets = 1 + iota
	rareRevBytes
	rareRevFlags
	rareNATSrcHi
	rareNATSrcLo
	rareNATDstHi
	rareNATDstLo
	rareNATSrcPort
	rareNATDstPort
	rareNATEvent
	rareICMP
	rareNumbers = iota
)

// Places in the list of rare texts.
const (
	rareRule = 1 + iota
	rareSession
	rareLists
	rareDetail
	rareTexts = iota
)

// Addresses are 16 bytes, IPv4 as ::ffff:a.b.c.d, in two halves: Parquet would keep 128-bit integers as floating point.
// Names, codes and units are those of event.Event; lasted is the time from its begin to its end in microseconds, icmp
// is type<<8|code, packets and bytes are at most maxMoved, so that both directions add up without an overflow, lists are the names of the lists that named an end, one a line, detail is a JSON object of texts.
var columns = [...]column{
	{"time", typeTime, false, func(b *block) any { return &b.time }, 0},
	{"lasted", typeU64, false, func(b *block) any { return &b.lasted }, 0},
	{"kind", typeU8, false, func(b *block) any { return &b.kind }, 0},
	{"action", typeU8, false, func(b *block) any { return &b.action }, 0},
	{"own", typeU8, false, func(b *block) any { return &b.own }, 0},
	{"proto", typeU8, false, func(b *block) any { return &b.proto }, 0},
	{"tcp_flags", typeU8, false, func(b *block) any { return &b.flags }, 0},
	{"icmp", typeU16, true, nil, rareICMP},
	{"src_hi", typeU64, true, func(b *block) any { return &b.src.hi }, 0},
	{"src_lo", typeU64, true, func(b *block) any { return &b.src.lo }, 0},
	{"dst_hi", typeU64, true, func(b *block) any { return &b.dst.hi }, 0},
	{"dst_lo", typeU64, true, func(b *block) any { return &b.dst.lo }, 0},
	{"sport", typeU16, false, func(b *block) any { return &b.sport }, 0},
	{"dport", typeU16, false, func(b *block) any { return &b.dport }, 0},
	{"packets", typeI64, false, func(b *block) any { return &b.packets }, 0},
	{"bytes", typeI64, false, func(b *block) any { return &b.bytes }, 0},
	{"sampling", typeU32, false, func(b *block) any { return &b.sampling }, 0},
	{"rev_packets", typeI64, true, nil, rareRevPackets},
	{"rev_bytes", typeI64, true, nil, rareRevBytes},
	{"rev_tcp_flags", typeU8, true, nil, rareRevFlags},
	{"nat_src_hi", typeU64, true, nil, rareNATSrcHi},
	{"nat_src_lo", typeU64, true, nil, rareNATSrcLo},
	{"nat_dst_hi", typeU64, true, nil, rareNATDstHi},
	{"nat_dst_lo", typeU64, true, nil, rareNATDstLo},
	{"nat_sport", typeU16, true, nil, rareNATSrcPort},
	{"nat_dport", typeU16, true, nil, rareNATDstPort},
	{"nat_event", typeU8, true, nil, rareNATEvent},
	{"count", typeU32, false, func(b *block) any { return &b.count }, 0},
	{"in_index", typeU32, false, func(b *block) any { return &b.inIndex }, 0},
	{"out_index", typeU32, false, func(b *block) any { return &b.outIndex }, 0},
	{"domain", typeU32, false, func(b *block) any { return &b.domain }, 0},
	{"asn", typeU32, false, func(b *block) any { return &b.asn }, 0},
	{"source", typeText, true, func(b *block) any { return &b.texts[textSource] }, 0},
	{"exporter", typeText, true, func(b *block) any { return &b.texts[textExporter] }, 0},
	{"in_if", typeText, true, func(b *block) any { return &b.texts[textInIf] }, 0},
	{"out_if", typeText, true, func(b *block) any { return &b.texts[textOutIf] }, 0},
	{"country", typeText, true, func(b *block) any { return &b.texts[textCountry] }, 0},
	{"rule", typeText, true, nil, rareRule},
	{"session", typeText, true, nil, rareSession},
	{"lists", typeText, true, nil, rareLists},
	{"detail", typeText, true, nil, rareDetail},
}

// Text columns of their own, as indexes of block.texts.
const (
	textSource = iota
	textExporter
	textInIf
	textOutIf
	textCountry
	textColumns
)

var typeNames = map[mapping.Type]string{
	typeTime: "TIMESTAMP", typeI64: "BIGINT", typeU64: "UBIGINT", typeU32: "UINTEGER", typeU16: "USMALLINT", typeU8: "UTINYINT", typeText: "VARCHAR",
}

// The hot table has the columns that are not rare in their order, then the two lists, then the number of the flush.
const (
	numbersList = "rare_numbers"
	textsList   = "rare_texts"
)

// createHot is the DDL of the table of new events and of the view that shows its columns as the archive has them.
func createHot() string {
	var table strings.Builder
	table.WriteString("CREATE TABLE hot_rows (")
	for _, c := range columns {
		if c.rare > 0 {
			continue
		}
		table.WriteString(c.name + " " + typeNames[c.typ])
		if !c.null {
			table.WriteString(" NOT NULL")
		}
		table.WriteString(", ")
	}
	table.WriteString(numbersList + " UBIGINT[], " + textsList + " VARCHAR[], batch UBIGINT NOT NULL);\n")
	return table.String() + "CREATE VIEW hot AS SELECT " + unlisted(true, 0) + ", batch FROM hot_rows;\n"
}

// unlisted are the columns of the archive out of the hot table but those that lack; rare ones are NULL where the rows
// are known to have none.
func unlisted(rare bool, lacks lacking) string {
	var all []string
	for i, c := range columns {
		switch {
		case lacks&(1<<i) != 0:
		case c.rare == 0:
			all = append(all, c.name)
		case !rare:
			all = append(all, c.nothing())
		default:
			all = append(all, c.listed()+" AS "+c.name)
		}
	}
	return strings.Join(all, ", ")
}

// listed is a rare column in its list.
func (c *column) listed() string {
	if c.typ == typeText {
		return fmt.Sprintf("%s[%d]", textsList, c.rare)
	}
	return fmt.Sprintf("%s[%d]::%s", numbersList, c.rare, typeNames[c.typ])
}

// nothing is the column where no row has it.
func (c *column) nothing() string { return "NULL::" + typeNames[c.typ] + " AS " + c.name }

// lacking are columns that a sealed file does not have, a bit each in the order of columns: no row of it has a value
// there. A column that is empty costs as much to write as a full one, and each makes a file's description longer. A
// file from before a column was thought of lacks it likewise.
type lacking uint64

// mayLack are the columns that files are written without where no row has them.
var mayLack = func() (all lacking) {
	for i, c := range columns {
		if c.null && (c.rare > 0 || c.typ == typeText) {
			all |= 1 << i
		}
	}
	return all
}()

// anyRare are the columns that stand in lists in the hot table.
var anyRare = func() (all lacking) {
	for i, c := range columns {
		if c.rare > 0 {
			all |= 1 << i
		}
	}
	return all
}()

// String names the columns, as the table of the parts has them.
func (l lacking) String() string {
	var names []string
	for i, c := range columns {
		if l&(1<<i) != 0 {
			names = append(names, c.name)
		}
	}
	return strings.Join(names, " ")
}

// parseLacking reads names of columns; one that this program does not know is none that it asks for.
func parseLacking(names string) (l lacking) {
	for name := range strings.FieldsSeq(names) {
		for i, c := range columns {
			if c.name == name {
				l |= 1 << i
			}
		}
	}
	return l
}

// archived are the columns of the archive: all but the batch.
func archived() string {
	names := make([]string, 0, len(columns))
	for _, c := range columns {
		names = append(names, c.name)
	}
	return strings.Join(names, ", ")
}

// addLacks has the parts tell which columns their files do not have.
const addLacks = "ALTER TABLE parts ADD COLUMN lacks VARCHAR DEFAULT '';"

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
