package store

import (
	"context"
	"errors"
	"fmt"
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
const scanRows = 4_000_000

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
	var stmt mapping.PreparedStatement
	state := mapping.Prepare(v.conn, c.sql.String(), &stmt)
	defer mapping.DestroyPrepare(&stmt)
	if state == mapping.StateError {
		return errors.New(mapping.PrepareError(stmt))
	}
	for i, arg := range c.args {
		text, ok := arg.(string)
		if !ok {
			return fmt.Errorf("store: an argument of a scan is a text, not %T", arg)
		}
		mapping.BindVarcharLength(stmt, mapping.IdxT(i+1), text, mapping.IdxT(len(text)))
	}
	var result mapping.Result
	state = mapping.ExecutePrepared(stmt, &result)
	defer mapping.DestroyResult(&result)
	if state == mapping.StateError {
		if err := v.ctx.Err(); err != nil {
			return err
		}
		return errors.New(mapping.ResultError(&result))
	}
	for each != nil {
		chunk := mapping.FetchChunk(result)
		if chunk.Ptr == nil {
			break
		}
		each(chunk)
		mapping.DestroyDataChunk(&chunk)
	}
	return v.ctx.Err()
}

// vector is a column of a chunk; T is its type, and it holds no NULL.
func vector[T any](chunk mapping.DataChunk, column int) []T {
	data := mapping.VectorGetData(mapping.DataChunkGetVector(chunk, mapping.IdxT(column)))
	return unsafe.Slice((*T)(data), int(mapping.DataChunkGetSize(chunk)))
}

// parts are the sealed files that a box touches, about scanRows rows together in each group.
func (v *scan) parts(b *query.Box) (groups [][]string, all []string, err error) {
	var rows uint64
	err = v.query(partsOf(b, "path, count"), func(chunk mapping.DataChunk) {
		counts := vector[uint64](chunk, 1)
		for i, name := range vector[mapping.StringT](chunk, 0) {
			if rows += counts[i]; len(groups) == 0 || rows > scanRows {
				rows, groups = counts[i], append(groups, nil)
			}
			path := mapping.StringTData(&name)
			groups[len(groups)-1] = append(groups[len(groups)-1], path)
			all = append(all, path)
		}
	})
	return groups, all, err
}

// raster counts in planes of cells, one for each class that occurs.
type raster struct {
	query.Grid
	rows   [1 << 16]uint32 // of ports
	planes [query.OtherClass + 1][]uint64
}

func newRaster(g query.Grid) *raster {
	r := &raster{Grid: g}
	for port := range r.rows {
		r.rows[port] = g.Row(uint16(port))
	}
	return r
}

// Families in the cell keys.
const (
	familyNone = iota
	family6
	family4
)

// cellKey is x, family, protocol and port of an event in one number.
func cellKey(b *query.Box, g query.Grid) string {
	from, to := ceilMicros(b.From), ceilMicros(b.To)
	is4 := func(end string) string {
		return fmt.Sprintf("(%[1]s_hi = 0 AND %[1]s_lo BETWEEN %d AND %d)", end, uint64(0xffff)<<32, uint64(0xffff)<<32|0xffffffff)
	}
	return fmt.Sprintf("(((epoch_us(time) - %d) * %d // %d)::UBIGINT << 32) | (coalesce(%s::UBIGINT + 1, %s::UBIGINT + 1, 0) << 24) | (proto::UBIGINT << 16) | dport",
		from, g.Width, max(to-from, 1), is4("src"), is4("dst"))
}

// add counts an event n times.
func (r *raster) add(key uint64, n uint32) {
	x, family, proto, port := int(key>>32), key>>24&3, uint8(key>>16), uint16(key)
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
	columns := cellKey(&b, g) + " AS cell, greatest(count, 1) AS n"
	err = s.insist(ctx, func() (files []string, err error) {
		r := newRaster(g)
		count := func(chunk mapping.DataChunk) {
			hits := vector[uint32](chunk, 1)
			for i, key := range vector[uint64](chunk, 0) {
				r.add(key, hits[i])
			}
		}
		err = s.scan(ctx, func(v *scan) error {
			groups, all, err := v.parts(&b)
			if files = all; err != nil {
				return err
			}
			where := conditions(&b)
			for _, source := range append([][]string{nil}, groups...) {
				c := &clause{}
				table := "hot"
				if source != nil {
					table = s.files(source)
				}
				c.add("SELECT "+columns+" FROM "+table+" WHERE "+where.sql.String(), where.args...)
				if err := v.query(c, count); err != nil {
					return err
				}
			}
			return nil
		})
		out = r.pixels()
		return files, err
	})
	return out, err
}
