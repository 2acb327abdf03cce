package detect

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"math"
	"net/netip"

	"varde/event"
)

// stateVersion changes whenever the form of a saved state does; an older one is refused, and the detector begins anew.
const stateVersion = 2

var errState = errors.New("the state is damaged")

// codec writes a state, or reads it back by the same calls, so that the two cannot differ. After the first error it does
// nothing more. Everything read is held to the bounds of the tables.
type codec struct {
	w   *bufio.Writer
	r   *bufio.Reader
	sum hash.Hash32
	buf [binary.MaxVarintLen64]byte
	err error
}

func (c *codec) reading() bool { return c.r != nil }

func (c *codec) bytes(b []byte) {
	if c.err != nil {
		return
	}
	if c.reading() {
		if _, err := io.ReadFull(c.r, b); err != nil {
			c.err = fmt.Errorf("%w: %w", errState, err)
			return
		}
	} else if _, err := c.w.Write(b); err != nil {
		c.err = err
	}
	c.sum.Write(b)
}

// u64 writes a number as a variable-length integer, since most are small.
func (c *codec) u64(v *uint64) {
	if !c.reading() {
		c.bytes(binary.AppendUvarint(c.buf[:0], *v))
		return
	}
	n := 0
	for ; c.err == nil; n++ {
		b, err := c.r.ReadByte()
		if err != nil || n == len(c.buf) {
			c.fail("it ends within a number")
			return
		}
		if c.buf[n] = b; b < 0x80 {
			break
		}
	}
	if c.err != nil {
		return
	}
	c.sum.Write(c.buf[:n+1])
	u, used := binary.Uvarint(c.buf[:n+1])
	if used <= 0 {
		c.fail("a number is too large")
		return
	}
	*v = u
}

// number writes any integer, and refuses what does not fit when it is read.
func number[T ~uint8 | ~uint16 | ~uint32 | ~int32 | ~int64 | ~int](c *codec, values ...*T) {
	for _, v := range values {
		u := uint64(*v)
		c.u64(&u)
		if !c.reading() || c.err != nil {
			continue
		}
		if *v = T(u); uint64(*v) != u {
			c.fail("a number is too large")
		}
	}
}

func (c *codec) float(values ...*float64) {
	for _, v := range values {
		u := math.Float64bits(*v)
		c.u64(&u)
		if c.reading() {
			if *v = math.Float64frombits(u); math.IsNaN(*v) || math.IsInf(*v, 0) || *v < 0 {
				*v = 0
				c.fail("a number is none")
			}
		}
	}
}

func (c *codec) flag(v *bool) {
	u := uint8(b2u(*v))
	number(c, &u)
	*v = u != 0
}

func (c *codec) fail(why string) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: %s", errState, why)
	}
}

// count writes how many follow, and refuses more than most.
func (c *codec) count(n, most int) int {
	u := uint64(n)
	c.u64(&u)
	if c.err != nil || u > uint64(most) {
		c.fail("a table is too long")
		return 0
	}
	return int(u)
}

// small is count for the uint8 that tells how much of an array is in use.
func (c *codec) small(n *uint8, most int) { *n = uint8(c.count(int(*n), most)) }

// below holds an index to its array.
func (c *codec) below(i *uint8, n int) {
	number(c, i)
	if int(*i) >= n {
		*i = 0
		c.fail("an index is too large")
	}
}

func (c *codec) addr(a *netip.Addr) {
	b := a.As16()
	c.bytes(b[:])
	valid := a.IsValid()
	c.flag(&valid)
	if c.reading() {
		if *a = (netip.Addr{}); valid {
			*a = netip.AddrFrom16(b).Unmap()
		}
	}
}

// maxSavedEvent bounds the event of a warning that is saved with it.
const maxSavedEvent = 64 << 10

func (c *codec) event(e *event.Event) {
	var b []byte
	if !c.reading() {
		b = e.AppendJSON(nil)
		if len(b) > maxSavedEvent {
			b = nil
		}
	}
	if n := c.count(len(b), maxSavedEvent); c.reading() {
		b = make([]byte, n)
	}
	c.bytes(b)
	if c.reading() && c.err == nil && len(b) > 0 && e.ParseJSON(b) != nil {
		c.fail("an event cannot be read")
	}
}

func (c *codec) stamps(s *stamps) {
	n := 0
	for i := range s.slots {
		if s.slots[i].Load() != 0 {
			n++
		}
	}
	n = c.count(n, len(s.slots))
	if c.reading() {
		for ; n > 0 && c.err == nil; n-- {
			var i uint32
			var v uint64
			number(c, &i)
			c.u64(&v)
			if int(i) >= len(s.slots) {
				c.fail("an index is too large")
				return
			}
			s.slots[i].Store(v)
		}
		return
	}
	for i := range s.slots {
		if v := s.slots[i].Load(); v != 0 {
			at := uint32(i)
			number(c, &at)
			c.u64(&v)
		}
	}
}

// saved writes or reads the records of a book, oldest first, so that their ages come back too.
func saved[T any](c *codec, b *book[T], each func(*T)) {
	n := c.count(b.n, b.most)
	if c.reading() {
		for ; n > 0 && c.err == nil; n-- {
			var key uint64
			if c.u64(&key); c.err == nil && b.find(key) != 0 {
				c.fail("a key stands twice")
			}
			if c.err == nil {
				each(b.at(b.put(key)))
			}
		}
		return
	}
	for i := b.oldest(); i != 0; i = b.newer(i) {
		key := b.key(i)
		c.u64(&key)
		each(b.at(i))
	}
}

// save writes a state with its head and its checksum.
func save(w io.Writer, name string, walk func(*codec)) error {
	c := &codec{w: bufio.NewWriterSize(w, 1<<16), sum: crc32.NewIEEE()}
	c.head(name)
	walk(c)
	c.tail()
	if c.err == nil {
		c.err = c.w.Flush()
	}
	if c.err != nil {
		return fmt.Errorf("save %s: %w", name, c.err)
	}
	return nil
}

// load reads what save wrote. The walk reads into the detector's own tables, which its caller empties after an error.
func load(r io.Reader, name string, walk func(*codec)) error {
	c := &codec{r: bufio.NewReaderSize(r, 1<<16), sum: crc32.NewIEEE()}
	c.head(name)
	if c.err == nil {
		walk(c)
	}
	c.tail()
	if c.err != nil {
		return fmt.Errorf("load %s: %w; it begins anew", name, c.err)
	}
	return nil
}

func (c *codec) head(name string) {
	const length = 16
	var want [length]byte
	copy(want[:], "varde "+name)
	want[length-1] = stateVersion
	got := want
	if c.bytes(got[:]); got != want {
		c.fail("it is of another kind or version")
	}
}

func (c *codec) tail() {
	sum := c.sum.Sum32()
	got := sum
	if number(c, &got); got != sum {
		c.fail("its checksum is wrong")
	}
}

func b2u(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}
