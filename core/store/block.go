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

// maxMoved is the most packets or bytes that one direction of an event is kept with; no honest exporter sends more.
const maxMoved = 1<<62 - 1

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

// rareRow and rareText are what a row has of the columns that few rows have; a bit of has tells which.
type rareRow struct {
	row int
	has uint16
	v   [rareNumbers]uint64
}

type rareText struct {
	row int
	v   [rareTexts]text // of no length where there is none
}

// list is a column of lists: where each row's begins in the child, and how long it is.
type list struct {
	vec     mapping.Vector
	entries [][2]uint64
	valid   []uint64
}

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

	time, packets, bytes            vec[int64]
	lasted, batch                   vec[uint64]
	kind, action, own, proto, flags vec[uint8]
	sport, dport                    vec[uint16]
	src, dst                        address
	sampling, count                 vec[uint32]
	inIndex, outIndex, domain, asn  vec[uint32]
	texts                           [textColumns]texts

	numbers, words list
	rareRows       []rareRow
	rareTexts      []rareText
}

func newBlock() *block {
	var types []mapping.LogicalType
	for _, c := range columns {
		if c.rare == 0 {
			types = append(types, mapping.CreateLogicalType(c.typ))
		}
	}
	for _, of := range []mapping.Type{typeU64, typeText} {
		child := mapping.CreateLogicalType(of)
		types = append(types, mapping.CreateListType(child))
		mapping.DestroyLogicalType(&child)
	}
	types = append(types, mapping.CreateLogicalType(typeU64)) // batch
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
	b.n, b.arena, b.rareRows, b.rareTexts = 0, b.arena[:0], b.rareRows[:0], b.rareTexts[:0]
	b.bind()
}

func (b *block) destroy() { mapping.DestroyDataChunk(&b.chunk) }

// bind looks up where the columns lie; a reset may have moved them.
func (b *block) bind() {
	at := 0
	next := func(null bool) (vector mapping.Vector, data unsafe.Pointer, valid []uint64) {
		vector = mapping.DataChunkGetVector(b.chunk, mapping.IdxT(at))
		at++
		if null {
			mapping.VectorEnsureValidityWritable(vector)
			valid = unsafe.Slice((*uint64)(mapping.VectorGetValidity(vector)), blockRows/64)
			clear(valid)
		}
		return vector, mapping.VectorGetData(vector), valid
	}
	for _, c := range columns {
		if c.rare != 0 {
			continue
		}
		vector, data, valid := next(c.null)
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
	for _, l := range []*list{&b.numbers, &b.words} {
		vector, data, valid := next(true)
		*l = list{vector, unsafe.Slice((*[2]uint64)(data), blockRows), valid}
	}
	_, data, _ := next(false)
	b.batch.v = unsafe.Slice((*uint64)(data), blockRows)
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
	b.src.set(i, e.Src)
	b.dst.set(i, e.Dst)
	b.sport.v[i], b.dport.v[i] = e.SrcPort, e.DstPort
	b.packets.v[i], b.bytes.v[i], b.sampling.v[i] = int64(min(e.Packets, maxMoved)), int64(min(e.Bytes, maxMoved)), e.Sampling
	b.count.v[i], b.inIndex.v[i], b.outIndex.v[i] = e.Count, e.InIndex, e.OutIndex
	b.domain.v[i], b.asn.v[i] = e.Domain, e.ASN
	b.text(textSource, i, e.Source)
	b.text(textExporter, i, e.Exporter)
	b.text(textInIf, i, e.InIf)
	b.text(textOutIf, i, e.OutIf)
	b.text(textCountry, i, e.Country)
	hasNAT := e.NATSrc.IsValid() || e.NATDst.IsValid() || e.NATEvent != 0 || e.NATSrcPort != 0 || e.NATDstPort != 0
	if e.HasICMP || e.HasReverse || hasNAT {
		b.addRare(e, hasNAT)
	}
	if e.Rule != "" || e.Session != "" || len(e.Evidence) > 0 || len(e.Detail) > 0 {
		b.addTexts(e)
	}
}

func (b *block) addRare(e *event.Event, hasNAT bool) {
	r := rareRow{row: b.n - 1}
	if e.HasICMP {
		r.set(rareICMP, uint64(e.ICMPType)<<8|uint64(e.ICMPCode))
	}
	if e.HasReverse {
		r.set(rareRevPackets, min(e.RevPackets, maxMoved))
		r.set(rareRevBytes, min(e.RevBytes, maxMoved))
		r.set(rareRevFlags, uint64(e.RevTCPFlags))
	}
	if hasNAT {
		r.setAddr(rareNATSrcHi, e.NATSrc)
		r.setAddr(rareNATDstHi, e.NATDst)
		r.set(rareNATSrcPort, uint64(e.NATSrcPort))
		r.set(rareNATDstPort, uint64(e.NATDstPort))
		r.set(rareNATEvent, uint64(e.NATEvent))
	}
	b.rareRows = append(b.rareRows, r)
}

func (r *rareRow) set(place int, v uint64) {
	r.v[place-1] = v
	r.has |= 1 << (place - 1)
}

func (r *rareRow) setAddr(place int, ip netip.Addr) {
	if ip.IsValid() {
		hi, lo := halves(ip)
		r.set(place, hi)
		r.set(place+1, lo)
	}
}

func (b *block) addTexts(e *event.Event) {
	r := rareText{row: b.n - 1}
	r.v[rareRule-1] = b.keep(e.Rule)
	r.v[rareSession-1] = b.keep(e.Session)
	if len(e.Evidence) > 0 {
		b.key = appendLists(b.key[:0], e.Evidence)
		r.v[rareLists-1] = b.keep(unsafe.String(unsafe.SliceData(b.key), len(b.key)))
	}
	if len(e.Detail) > 0 {
		b.key = e.Detail.AppendJSON(b.key[:0])
		r.v[rareDetail-1] = b.keep(unsafe.String(unsafe.SliceData(b.key), len(b.key)))
	}
	b.rareTexts = append(b.rareTexts, r)
}

// keep copies a text into the arena.
func (b *block) keep(s string) text {
	if len(s) > maxText {
		s = s[:maxText]
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	b.arena = append(b.arena, s...)
	return text{uint32(len(b.arena) - len(s)), uint32(len(s))}
}

// text sets a value; the same as in the row before takes no room.
func (b *block) text(column, i int, s string) {
	if s == "" {
		return
	}
	c := &b.texts[column]
	if last := b.arena[c.last.at : c.last.at+c.last.n]; string(last) != s {
		c.last = b.keep(s)
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
	b.sealNumbers()
	b.sealTexts()
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

// child makes room for n elements of the child of a list and gives it.
func (l *list) child(n int) (vector mapping.Vector, valid []uint64) {
	mapping.ListVectorReserve(l.vec, mapping.IdxT(n))
	mapping.ListVectorSetSize(l.vec, mapping.IdxT(n))
	vector = mapping.ListVectorGetChild(l.vec)
	mapping.VectorEnsureValidityWritable(vector)
	valid = unsafe.Slice((*uint64)(mapping.VectorGetValidity(vector)), (n+63)/64)
	clear(valid)
	return vector, valid
}

func (l *list) set(row, at, n int) {
	l.entries[row] = [2]uint64{uint64(at), uint64(n)}
	l.valid[row>>6] |= 1 << (row & 63)
}

func (b *block) sealNumbers() {
	if len(b.rareRows) == 0 {
		return
	}
	vector, valid := b.numbers.child(len(b.rareRows) * rareNumbers)
	data := unsafe.Slice((*uint64)(mapping.VectorGetData(vector)), len(b.rareRows)*rareNumbers)
	for i := range b.rareRows {
		r, at := &b.rareRows[i], i*rareNumbers
		b.numbers.set(r.row, at, rareNumbers)
		copy(data[at:], r.v[:])
		for k := range rareNumbers {
			if r.has&(1<<k) != 0 {
				valid[(at+k)>>6] |= 1 << ((at + k) & 63)
			}
		}
	}
}

func (b *block) sealTexts() {
	if len(b.rareTexts) == 0 {
		return
	}
	vector, valid := b.words.child(len(b.rareTexts) * rareTexts)
	for i := range b.rareTexts {
		r, at := &b.rareTexts[i], i*rareTexts
		b.words.set(r.row, at, rareTexts)
		for k, v := range r.v {
			if v.n > 0 {
				mapping.VectorAssignStringElementLen(vector, mapping.IdxT(at+k), b.arena[v.at:v.at+v.n])
				valid[(at+k)>>6] |= 1 << ((at + k) & 63)
			}
		}
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
