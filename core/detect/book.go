package detect

import "math/rand/v2"

// chunk is how many cells of a book are allocated at once: a quiet site pays for few.
const chunk = 256

// book finds records by a key and holds at most so many of them: whoever was not touched for longest makes room. Its
// memory grows by chunks up to that bound and stays, whatever is sent.
type book[T any] struct {
	most   int
	secret uint64 // keeps strangers from choosing keys that share a chain
	heads  []int32
	cells  []*[chunk]cell[T]
	n      int   // cells in use
	next   int32 // the first cell never used; cell 0 is the root of the ring by age
	spare  int32 // chain of cells that were dropped
}

type cell[T any] struct {
	key          uint64
	chain        int32 // the next cell with the same head, 0 is none
	older, newer int32
	value        T
}

func newBook[T any](most int) *book[T] {
	size := 16
	for size < 2*most { // half empty, so that most chains have no second cell
		size *= 2
	}
	b := &book[T]{most: most, secret: rand.Uint64(), heads: make([]int32, size), next: 1}
	b.grow(0)
	return b
}

func (b *book[T]) grow(i int32) {
	for int(i)/chunk >= len(b.cells) {
		b.cells = append(b.cells, new([chunk]cell[T]))
	}
}

func (b *book[T]) cell(i int32) *cell[T] { return &b.cells[uint32(i)/chunk][uint32(i)%chunk] }

func (b *book[T]) at(i int32) *T { return &b.cell(i).value }

func (b *book[T]) key(i int32) uint64 { return b.cell(i).key }

func (b *book[T]) head(key uint64) *int32 {
	return &b.heads[mix(key^b.secret)&uint64(len(b.heads)-1)]
}

// find gives the place of a key, 0 where it is not there.
func (b *book[T]) find(key uint64) int32 {
	if b.n == 0 {
		return 0
	}
	i := *b.head(key)
	for i != 0 && b.cell(i).key != key {
		i = b.cell(i).chain
	}
	return i
}

// put makes an empty record for a key that is not there. Where the book is full the oldest leaves, which the caller has
// looked at before if it matters.
func (b *book[T]) put(key uint64) int32 {
	if b.n >= b.most {
		b.drop(b.oldest())
	}
	i := b.spare
	if i != 0 {
		b.spare = b.cell(i).chain
	} else {
		i = b.next
		b.next++
		b.grow(i)
	}
	head := b.head(key)
	*b.cell(i) = cell[T]{key: key, chain: *head}
	*head = i
	b.link(i)
	b.n++
	return i
}

// touch makes a record the newest.
func (b *book[T]) touch(i int32) {
	if b.cell(0).older == i {
		return
	}
	b.unlink(i)
	b.link(i)
}

func (b *book[T]) link(i int32) {
	root, c := b.cell(0), b.cell(i)
	c.older, c.newer = root.older, 0
	b.cell(root.older).newer = i
	root.older = i
}

func (b *book[T]) unlink(i int32) {
	c := b.cell(i)
	b.cell(c.older).newer = c.newer
	b.cell(c.newer).older = c.older
}

func (b *book[T]) drop(i int32) {
	c := b.cell(i)
	at := b.head(c.key)
	for *at != i {
		at = &b.cell(*at).chain
	}
	*at = c.chain
	b.unlink(i)
	c.chain = b.spare
	b.spare = i
	b.n--
}

// oldest is the record that was not touched for longest, 0 in an empty book. Newer goes on from there, to 0 at the end.
func (b *book[T]) oldest() int32 { return b.cell(0).newer }

func (b *book[T]) newer(i int32) int32 { return b.cell(i).newer }

// mix spreads the bits of a key, as the finaliser of SplitMix64 does.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
