package intel

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
)

// digest remembers the entries of a list and when each first appeared in it, in twelve bytes an entry. It tells what is
// new in the next reading, also over a restart, and from when an entry ages of which the list does not say.
type digest struct {
	marks []mark // sorted by sum when it is searched
}

type mark struct {
	sum   uint64 // the first bytes of the SHA-256 of the entry
	first uint32 // seconds since 1970
}

func sumOf(key []byte) uint64 {
	sum := sha256.Sum256(key)
	return binary.BigEndian.Uint64(sum[:])
}

// add remembers an entry, as old as it is in the digest before or from now, and gives when it first appeared.
func (d *digest) add(key []byte, old *digest, now uint32) uint32 {
	m := mark{sumOf(key), now}
	if first, ok := old.first(m.sum); ok {
		m.first = min(first, now)
	}
	d.marks = append(d.marks, m)
	return m.first
}

// first tells when an entry first appeared; a nil digest knows none.
func (d *digest) first(sum uint64) (uint32, bool) {
	if d == nil {
		return 0, false
	}
	i, ok := slices.BinarySearchFunc(d.marks, sum, func(m mark, sum uint64) int { return cmp.Compare(m.sum, sum) })
	if !ok {
		return 0, false
	}
	return d.marks[i].first, true
}

// sorted gives a digest that can be searched.
func (d *digest) sorted() *digest {
	slices.SortFunc(d.marks, func(x, y mark) int { return cmp.Or(cmp.Compare(x.sum, y.sum), cmp.Compare(x.first, y.first)) })
	return &digest{marks: slices.Clone(slices.CompactFunc(d.marks, func(x, y mark) bool { return x.sum == y.sum }))}
}

// The file of a digest: a line that names the form, then sum and first of each entry, big-endian, sorted by sum.
const (
	digestHead = "varde list digest 1\n"
	markBytes  = 12
)

func (d *digest) save(path string) error {
	b := make([]byte, 0, len(digestHead)+markBytes*len(d.marks))
	b = append(b, digestHead...)
	for _, m := range d.marks {
		b = binary.BigEndian.AppendUint64(b, m.sum)
		b = binary.BigEndian.AppendUint32(b, m.first)
	}
	return writeFile(path, b)
}

// loadDigest reads a digest; the error of a file that does not exist is os.ErrNotExist.
func loadDigest(path string) (*digest, error) {
	if stat, err := os.Stat(path); err != nil {
		return nil, err
	} else if stat.Size() > int64(len(digestHead)+markBytes*maxEntries) {
		return nil, fmt.Errorf("%s is larger than any digest; delete it", path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	body, ok := bytes.CutPrefix(b, []byte(digestHead))
	if !ok || len(body)%markBytes != 0 {
		return nil, fmt.Errorf("%s is no digest of a list; delete it", path)
	}
	d := &digest{marks: make([]mark, 0, len(body)/markBytes)}
	for ; len(body) > 0; body = body[markBytes:] {
		d.marks = append(d.marks, mark{binary.BigEndian.Uint64(body), binary.BigEndian.Uint32(body[8:])})
	}
	if !slices.IsSortedFunc(d.marks, func(x, y mark) int { return cmp.Compare(x.sum, y.sum) }) {
		return nil, fmt.Errorf("%s is out of order; delete it", path)
	}
	return d, nil
}
