package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/bits"
	"unsafe"

	"github.com/duckdb/duckdb-go/v2/mapping"

	"varde/event/query"
)

// scan reads the rows of a box as whole vectors, on a connection of its own and in one transaction. database/sql hands
// out values one by one, and DuckDB's groups cost more than counting here where there are nearly as many as rows.
type scan struct {
	ctx  context.Context
	s    *Store
	conn mapping.Connection
}

// scanRows is about how many rows of the archive are unpacked at a time.
const scanRows = 1_000_000

// scan runs do, whose questions end when ctx does.
func (s *Store) scan(ctx context.Context, do func(*scan) error) error {
	v := &scan{ctx: ctx, s: s}
	if mapping.Connect(s.raw, &v.conn) == mapping.StateError {
		return errors.New("store: no connection to the hot file")
	}
	defer mapping.Disconnect(&v.conn)
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		mapping.Interrupt(v.conn)
		close(interrupted)
	})
	defer func() {
		if !stop() {
			<-interrupted
		}
	}()
	begin, end := &clause{}, &clause{}
	begin.add("BEGIN TRANSACTION READ ONLY")
	end.add("ROLLBACK")
	if err := v.query(begin, nil); err != nil {
		return err
	}
	return errors.Join(do(v), v.query(end, nil))
}

// query runs a statement and hands on each chunk of its result, which is valid during the call.
func (v *scan) query(c *clause, each func(mapping.DataChunk)) error {
	result, err := v.run(c)
	if err == nil {
		drain(&result, each)
	}
	return cmp.Or(v.ctx.Err(), err)
}

// queries runs statements one after the other; while the chunks of one are handed on, the next one runs.
func (v *scan) queries(cs []*clause, each func(mapping.DataChunk)) (err error) {
	results := make(chan mapping.Result)
	go func() {
		defer close(results)
		for _, c := range cs {
			var result mapping.Result
			if result, err = v.run(c); err != nil {
				return
			}
			results <- result
		}
	}()
	for result := range results {
		drain(&result, each)
	}
	return cmp.Or(v.ctx.Err(), err)
}

// run leaves a result that is to be drained.
func (v *scan) run(c *clause) (result mapping.Result, err error) {
	var stmt mapping.PreparedStatement
	state := mapping.Prepare(v.conn, c.sql.String(), &stmt)
	defer mapping.DestroyPrepare(&stmt)
	if state == mapping.StateError {
		return result, errors.New(mapping.PrepareError(stmt))
	}
	for i, arg := range c.args {
		text, ok := arg.(string)
		if !ok {
			return result, fmt.Errorf("store: an argument of a scan is a text, not %T", arg)
		}
		mapping.BindVarcharLength(stmt, mapping.IdxT(i+1), text, mapping.IdxT(len(text)))
	}
	if mapping.ExecutePrepared(stmt, &result) == mapping.StateError {
		err = errors.New(mapping.ResultError(&result))
		mapping.DestroyResult(&result)
	}
	return result, err
}

// drain hands on the chunks of a result and ends it.
func drain(result *mapping.Result, each func(mapping.DataChunk)) {
	defer mapping.DestroyResult(result)
	for each != nil {
		chunk := mapping.FetchChunk(*result)
		if chunk.Ptr == nil {
			return
		}
		each(chunk)
		mapping.DestroyDataChunk(&chunk)
	}
}

// vector is a column of a chunk; T is its type, and it holds no NULL.
func vector[T any](chunk mapping.DataChunk, column int) []T {
	data := mapping.VectorGetData(mapping.DataChunkGetVector(chunk, mapping.IdxT(column)))
	return unsafe.Slice((*T)(data), int(mapping.DataChunkGetSize(chunk)))
}

// scanned are sealed files that are read together.
type scanned struct {
	about
	files []string
	count uint64
}

// parts are the sealed files that a box touches, about scanRows rows together in each group.
func (v *scan) parts(b *query.Box) (groups []scanned, all []string, err error) {
	err = v.query(partsOf(b, "path, count, "+holds(b)+", lacks"), func(chunk mapping.DataChunk) {
		counts, wholes := vector[uint64](chunk, 1), vector[bool](chunk, 2)
		lacks := vector[mapping.StringT](chunk, 3)
		for i, name := range vector[mapping.StringT](chunk, 0) {
			n := len(groups) - 1
			alike := about{whole: wholes[i], lacks: parseLacking(mapping.StringTData(&lacks[i]))}
			if n < 0 || groups[n].about != alike || groups[n].count+counts[i] > scanRows {
				groups = append(groups, scanned{about: alike})
				n++
			}
			path := mapping.StringTData(&name)
			groups[n].files = append(groups[n].files, path)
			groups[n].count += counts[i]
			all = append(all, path)
		}
	})
	return groups, all, err
}

// raster counts in planes of cells, one for each class that occurs.
type raster struct {
	query.Grid
	from   int64           // microseconds since 1970
	span   uint64          // microseconds
	rows   [1 << 16]uint32 // of ports
	planes [query.OtherClass + 1][]uint64
}

func newRaster(b *query.Box, g query.Grid) *raster {
	r := &raster{Grid: g, from: ceilMicros(b.From)}
	r.span = uint64(max(ceilMicros(b.To)-r.from, 1))
	for port := range r.rows {
		r.rows[port] = g.Row(uint16(port))
	}
	return r
}

// Families of addresses.
const (
	family6 = iota
	family4
	familyNone
)

// cells are the columns that add counts. Little is computed in SQL, which watches every step for overflow.
var cells = func() string {
	is4 := func(end string) string {
		return fmt.Sprintf("(%[1]s_hi = 0 AND %[1]s_lo BETWEEN %d AND %d)::UTINYINT", end, uint64(0xffff)<<32, uint64(0xffff)<<32|0xffffffff)
	}
	return fmt.Sprintf("time, dport, proto, count, coalesce(%s, %s, %d::UTINYINT)", is4("src"), is4("dst"), familyNone)
}()

// add counts the events of a chunk of cells.
func (r *raster) add(chunk mapping.DataChunk) {
	ports, protos, counts, families := vector[uint16](chunk, 1), vector[uint8](chunk, 2), vector[uint32](chunk, 3), vector[uint8](chunk, 4)
	x, begin, end := 0, uint64(0), uint64(0)
	for i, micros := range vector[int64](chunk, 0) {
		at := uint64(micros - r.from)
		if at >= r.span {
			continue // a file that holds other times than were noted of it
		}
		if at < begin || at >= end { // in another column than the event before, which is rare
			x = int(scale(at, uint64(r.Width), r.span))
			begin, end = at, max(scale(uint64(x)+1, r.span, uint64(r.Width)), at+1)
		}
		r.count(x, families[i], protos[i], ports[i], max(counts[i], 1))
	}
}

// scale is a * b / c, whose product may need more than 64 bits.
func scale(a, b, c uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	out, _ := bits.Div64(hi, lo, c)
	return out
}

// count counts an event n times.
func (r *raster) count(x int, family, proto uint8, port uint16, n uint32) {
	class := classes[proto]
	switch {
	case class == query.ICMP4 || class == query.ICMP6 || class == query.OtherClass:
	case family == familyNone:
		class = query.OtherClass
	case family == family6:
		class += query.TCP6 - query.TCP4
	}
	plane := r.planes[class]
	if plane == nil {
		plane = make([]uint64, r.Width*r.Height)
		r.planes[class] = plane
	}
	y := uint32(0)
	if query.HasPort(proto, port) {
		y = r.rows[port]
	}
	plane[x*r.Height+int(y)] += uint64(n)
}

// classes are those of protocols, of IPv4 where there are two.
var classes = func() (out [256]query.Class) {
	for i := range out {
		out[i] = query.OtherClass
	}
	out[1], out[6], out[17], out[58] = query.ICMP4, query.TCP4, query.UDP4, query.ICMP6
	return out
}()

// pixels are the cells that are not empty, sorted by class, x and y.
func (r *raster) pixels() []query.Pixel {
	n := 0
	for _, plane := range r.planes {
		for _, count := range plane {
			if count > 0 {
				n++
			}
		}
	}
	if n == 0 {
		return nil
	}
	out := make([]query.Pixel, 0, n)
	for class, plane := range r.planes {
		for i, count := range plane {
			if count > 0 {
				out = append(out, query.Pixel{Class: query.Class(class), X: uint32(i / r.Height), Y: uint32(i % r.Height), Count: count})
			}
		}
	}
	return out
}

// Pixels implements query.Reader.
func (s *Store) Pixels(ctx context.Context, b query.Box, g query.Grid) (out []query.Pixel, err error) {
	if err := g.Check(b); err != nil {
		return nil, err
	}
	err = s.insist(ctx, func() (files []string, err error) {
		r := newRaster(&b, g)
		err = s.scan(ctx, func(v *scan) error {
			groups, all, err := v.parts(&b)
			if files = all; err != nil {
				return err
			}
			box, where := within(&b), matching(&b)
			questions := make([]*clause, 1+len(groups))
			questions[0] = &clause{}
			questions[0].rows(cells, "hot", box, where)
			for i, group := range groups {
				questions[i+1] = &clause{}
				questions[i+1].sealed(cells, s.table(group.files, group.lacks), group.whole, box, where)
			}
			return v.queries(questions, r.add)
		})
		out = r.pixels()
		return files, err
	})
	return out, err
}
