package store

import (
	"net/netip"
	"strings"
	"unsafe"

	"github.com/duckdb/duckdb-go/v2/mapping"

	"varde/event"
)

// blockRows is how many rows a data chunk of DuckDB holds.
const blockRows = 2048

// Bounds on the text of a block and of one value: longer values are cut, a block with more is handed on early.
const (
	maxArena = 1 << 20
	maxText  = 256 << 10
)

// vec is one column of a block: the memory of a DuckDB vector seen as a slice, and the bits that tell which rows are
// not NULL, nil for a column without NULLs.
type vec[T any] struct {
	v     []T
	valid []uint64
}

func (c *vec[T]) set(i int, x T) {
	c.v[i] = x
	c.valid[i>>6] |= 1 << (i & 63)
}

type address struct{ hi, lo vec[uint64] }

func (a *address) set(i int, ip netip.Addr) {
	if ip.IsValid() {
		hi, lo := halves(ip)
		a.hi.set(i, hi)
		a.lo.set(i, lo)
	}
}

// halves are the 16 bytes of an address, IPv4 mapped.
func halves(ip netip.Addr) (hi, lo uint64) {
	b := ip.As16()
	for i := range 8 {
		hi, lo = hi<<8|uint64(b[i]), lo<<8|uint64(b[8+i])
	}
	return hi, lo
}

// joined is the inverse of halves.
func joined(hi, lo uint64) netip.Addr {
	var b [16]byte
	for i := range 8 {
		b[i], b[8+i] = byte(hi>>(56-8*i)), byte(lo>>(56-8*i))
	}
	return netip.AddrFrom16(b).Unmap()
}

// text is where a value stands in the arena of its block.
type text struct{ at, n uint32 }

// texts is one text column: values are copied into the arena of the block and become DuckDB's when it is written.
type texts struct {
	vec  mapping.Vector
	raw  [][16]byte // DuckDB's string headers
	mask []uint64
	v    [blockRows]text
	last text // the value of the newest row that has one
}

// block is one data chunk of DuckDB that is filled row by row in place, without an allocation. After clear all its
// columns are as new; their memory belongs to the chunk and is valid until it is destroyed.
type block struct {
	chunk mapping.DataChunk
	n     int
	arena []byte
	key   []byte // scratch

	time                            vec[int64]
	lasted, packets, bytes, batch   vec[uint64]
	kind, action, own, proto, flags vec[uint8]
	icmp, sport, dport              vec[uint16]
	src, dst, natSrc, natDst        address
	revPackets, revBytes            vec[uint64]
	revFlags, natEvent              vec[uint8]
	natSport, natDport              vec[uint16]
	sampling, count                 vec[uint32]
	inIndex, outIndex, domain, asn  vec[uint32]
	texts                           [textColumns]texts
}

func newBlock() *block {
	types := make([]mapping.LogicalType, len(columns))
	for i, c := range columns {
		types[i] = mapping.CreateLogicalType(c.typ)
	}
	b := &block{chunk: mapping.CreateDataChunk(types)}
	for i := range types {
		mapping.DestroyLogicalType(&types[i])
	}
	b.bind()
	return b
}

// clear makes a block that was written empty again.
func (b *block) clear() {
	mapping.DataChunkReset(b.chunk)
	b.n, b.arena = 0, b.arena[:0]
	b.bind()
}

func (b *block) destroy() { mapping.DestroyDataChunk(&b.chunk) }

// bind looks up where the columns lie; a reset may have moved them.
func (b *block) bind() {
	for i, c := range columns {
		vector := mapping.DataChunkGetVector(b.chunk, mapping.IdxT(i))
		var valid []uint64
		if c.null {
			mapping.VectorEnsureValidityWritable(vector)
			valid = unsafe.Slice((*uint64)(mapping.VectorGetValidity(vector)), blockRows/64)
			clear(valid)
		}
		data := mapping.VectorGetData(vector)
		switch to := c.slot(b).(type) {
		case *vec[int64]:
			*to = vec[int64]{unsafe.Slice((*int64)(data), blockRows), valid}
		case *vec[uint64]:
			*to = vec[uint64]{unsafe.Slice((*uint64)(data), blockRows), valid}
		case *vec[uint32]:
			*to = vec[uint32]{unsafe.Slice((*uint32)(data), blockRows), valid}
		case *vec[uint16]:
			*to = vec[uint16]{unsafe.Slice((*uint16)(data), blockRows), valid}
		case *vec[uint8]:
			*to = vec[uint8]{unsafe.Slice((*uint8)(data), blockRows), valid}
		case *texts:
			to.vec, to.raw, to.mask, to.last = vector, unsafe.Slice((*[16]byte)(data), blockRows), valid, text{}
		}
	}
}

// full tells whether the block takes no more rows.
func (b *block) full() bool { return b.n == blockRows || len(b.arena) > maxArena }

// add copies an event into the next row.
func (b *block) add(e *event.Event) {
	i := b.n
	b.n++
	b.time.v[i] = e.Time / 1000
	b.lasted.v[i] = uint64(e.Last()-e.Time) / 1000
	b.kind.v[i], b.action.v[i], b.own.v[i] = uint8(e.Kind), uint8(e.Action), uint8(e.Own)
	b.proto.v[i], b.flags.v[i] = e.Proto, e.TCPFlags
	if e.HasICMP {
		b.icmp.set(i, uint16(e.ICMPType)<<8|uint16(e.ICMPCode))
	}
	b.src.set(i, e.Src)
	b.dst.set(i, e.Dst)
	b.sport.v[i], b.dport.v[i] = e.SrcPort, e.DstPort
	b.packets.v[i], b.bytes.v[i], b.sampling.v[i] = e.Packets, e.Bytes, e.Sampling
	b.count.v[i], b.inIndex.v[i], b.outIndex.v[i] = e.Count, e.InIndex, e.OutIndex
	b.domain.v[i], b.asn.v[i] = e.Domain, e.ASN
	if e.HasReverse {
		b.revPackets.set(i, e.RevPackets)
		b.revBytes.set(i, e.RevBytes)
		b.revFlags.set(i, e.RevTCPFlags)
	}
	if e.NATSrc.IsValid() || e.NATDst.IsValid() || e.NATEvent != 0 || e.NATSrcPort != 0 || e.NATDstPort != 0 {
		b.natSrc.set(i, e.NATSrc)
		b.natDst.set(i, e.NATDst)
		b.natSport.set(i, e.NATSrcPort)
		b.natDport.set(i, e.NATDstPort)
		b.natEvent.set(i, e.NATEvent)
	}
	b.text(textSource, i, e.Source)
	b.text(textExporter, i, e.Exporter)
	b.text(textInIf, i, e.InIf)
	b.text(textOutIf, i, e.OutIf)
	b.text(textCountry, i, e.Country)
	b.text(textRule, i, e.Rule)
	b.text(textSession, i, e.Session)
	if len(e.Evidence) > 0 {
		b.key = appendLists(b.key[:0], e.Evidence)
		b.text(textLists, i, unsafe.String(unsafe.SliceData(b.key), len(b.key)))
	}
	if len(e.Detail) > 0 {
		b.key = e.Detail.AppendJSON(b.key[:0])
		b.text(textDetail, i, unsafe.String(unsafe.SliceData(b.key), len(b.key)))
	}
}

// text sets a value; the same as in the row before takes no room.
func (b *block) text(column, i int, s string) {
	if s == "" {
		return
	}
	c := &b.texts[column]
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "")
	}
	if last := b.arena[c.last.at : c.last.at+c.last.n]; string(last) != s {
		c.last = text{uint32(len(b.arena)), uint32(len(s))}
		b.arena = append(b.arena, s...)
	}
	c.v[i] = c.last
	c.mask[i>>6] |= 1 << (i & 63)
}

// seal hands the texts to DuckDB and sets the batch; then the chunk may be appended.
func (b *block) seal(batch uint64) {
	for i := range b.n {
		b.batch.v[i] = batch
	}
	for column := range b.texts {
		b.texts[column].seal(b.n, b.arena)
	}
	mapping.DataChunkSetSize(b.chunk, mapping.IdxT(b.n))
}

// seal copies each value once into the vector's own heap; rows with an equal one share it, as DuckDB allows.
func (c *texts) seal(n int, arena []byte) {
	const remembered = 8
	var rows [remembered]int
	known := 0
next:
	for i := range n {
		if c.mask[i>>6]&(1<<(i&63)) == 0 {
			continue
		}
		for _, row := range rows[:min(known, remembered)] {
			if c.v[row] == c.v[i] {
				c.raw[i] = c.raw[row]
				continue next
			}
		}
		v := c.v[i]
		mapping.VectorAssignStringElementLen(c.vec, mapping.IdxT(i), arena[v.at:v.at+v.n])
		rows[known%remembered] = i
		known++
	}
}

// appendLists appends the names of the lists, each once, one a line, sorted as they came.
func appendLists(b []byte, evidence []event.Evidence) []byte {
	for i := range evidence {
		if named(evidence[:i], evidence[i].List) {
			continue
		}
		if len(b) > 0 {
			b = append(b, '\n')
		}
		b = append(b, evidence[i].List...)
	}
	return b
}

func named(evidence []event.Evidence, list string) bool {
	for i := range evidence {
		if evidence[i].List == list {
			return true
		}
	}
	return false
}
