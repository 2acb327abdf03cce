package mailgw

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A Berkeley DB file is a row of pages. Page 0 is the meta page; every other page that matters here is a hash page or
// a btree leaf with key and data items, or an overflow page with the middle of an item that is too long for a page.
// Offsets are those of db_page.h of libdb 4.2 to 5.3, in the machine's own byte order, of which only little-endian is
// read: elsewhere the magic number does not match and db_dump is asked.
const (
	hashMagic  = 0x061561
	btreeMagic = 0x053162

	metaMagic    = 12 // u32
	metaVersion  = 16 // u32
	metaPageSize = 20 // u32
	metaEncrypt  = 24 // u8, 0 is none
	metaFlags    = 26 // u8, 1 is checksums, 2 and 4 are partitions
	metaLast     = 32 // u32, number of the last page
	metaUID      = 52 // 20 bytes that name the file for its lifetime
	metaElems    = 88 // u32, pairs in a hash; kept exact where page locks are off, as with CDB
	metaLength   = 92

	pageNumber  = 8  // u32
	pageNext    = 16 // u32
	pageEntries = 20 // u16
	pageHigh    = 22 // u16, bytes of data on an overflow page
	pageType    = 25 // u8
	pageItems   = 26 // u16 each

	typeHashUnsorted = 2
	typeBtreeLeaf    = 5
	typeOverflow     = 7
	typeHash         = 13

	itemInline  = 1
	itemOffPage = 3
	itemDeleted = 0x80 // a btree item that is deleted but still has a cursor on it
)

// Bounds on what a database may make us read. amavis here has two data pages and some hundred keys.
const (
	maxDatabase = 16 << 20 // bytes of one file
	maxPairs    = 1 << 16
	maxItem     = 64 << 10 // bytes of one key or value
	minPageSize = 512      // libdb's own bounds
	maxPageSize = 64 << 10
)

type dbUID [20]byte

type dbMeta struct {
	pageSize int
	last     uint32
	uid      dbUID
	hash     bool
	elems    int // pairs that the meta page of a hash tells of
}

// parseMeta reads what is needed of page 0.
func parseMeta(b []byte) (dbMeta, error) {
	if len(b) < metaLength {
		return dbMeta{}, fmt.Errorf("%d bytes are too short for a Berkeley DB file", len(b))
	}
	magic, version := u32(b, metaMagic), u32(b, metaVersion)
	m := dbMeta{pageSize: int(u32(b, metaPageSize)), last: u32(b, metaLast), hash: magic == hashMagic}
	m.uid = dbUID(b[metaUID : metaUID+len(m.uid)])
	switch {
	case magic != hashMagic && magic != btreeMagic:
		return m, fmt.Errorf("magic number %#x is neither a Berkeley DB hash nor a btree of this machine", magic)
	case version < 8 || version > 10:
		return m, fmt.Errorf("version %d of the Berkeley DB format is not known, 8 to 10 are", version)
	case m.pageSize < minPageSize || m.pageSize > maxPageSize || m.pageSize&(m.pageSize-1) != 0:
		return m, fmt.Errorf("page size %d is impossible", m.pageSize)
	case b[metaEncrypt] != 0 || b[metaFlags] != 0:
		return m, errors.New("encrypted, checksummed or partitioned databases are not read")
	case (uint64(m.last)+1)*uint64(m.pageSize) > maxDatabase:
		return m, fmt.Errorf("%d pages of %d bytes are more than the %d bytes that are read", m.last, m.pageSize, maxDatabase)
	}
	if m.hash {
		m.elems = int(u32(b, metaElems))
	}
	return m, nil
}

// errTorn is a page that was being changed while it was read, or is damaged.
var errTorn = errors.New("pages do not fit together")

// pageSource gives page n, nil or short where there is none: pages of a hash that were never used are neither in the
// cache nor in the file.
type pageSource func(n uint32) []byte

// decodePairs calls add with every pair of the database and returns how many there were. Key and value are valid
// only during the call.
func decodePairs(m dbMeta, page pageSource, add func(key, value []byte)) (int, error) {
	d := pairDecoder{meta: m, page: page, add: add}
	for n := uint32(1); n <= m.last; n++ {
		p := page(n)
		if len(p) != m.pageSize {
			continue
		}
		var err error
		switch p[pageType] {
		case typeHash, typeHashUnsorted:
			err = d.pairs(p, n, d.hashItem)
		case typeBtreeLeaf:
			err = d.pairs(p, n, d.leafItem)
		}
		if err != nil {
			return d.count, err
		}
	}
	return d.count, nil
}

type pairDecoder struct {
	meta  dbMeta
	page  pageSource
	add   func(key, value []byte)
	count int
	bytes int       // of all keys and values, which may share overflow pages and so be more than the file
	long  [2][]byte // room for items from overflow pages
}

func (d *pairDecoder) pairs(p []byte, n uint32, item func(p []byte, i int) ([]byte, bool, error)) error {
	entries := int(u16(p, pageEntries))
	if u32(p, pageNumber) != n || entries%2 != 0 || pageItems+2*entries > len(p) {
		return fmt.Errorf("page %d: %w", n, errTorn)
	}
	for i := 0; i < entries; i += 2 {
		key, _, err := item(p, i)
		if err != nil {
			return fmt.Errorf("page %d item %d: %w", n, i, err)
		}
		value, deleted, err := item(p, i+1)
		if err != nil {
			return fmt.Errorf("page %d item %d: %w", n, i+1, err)
		}
		if deleted {
			continue
		}
		d.count++
		d.bytes += len(key) + len(value)
		if d.count > maxPairs || d.bytes > maxDatabase {
			return fmt.Errorf("more than %d pairs or %d bytes", maxPairs, maxDatabase)
		}
		d.add(key, value)
	}
	return nil
}

// hashItem is item i of a hash page: it ends where the item before it begins, since items grow downwards.
func (d *pairDecoder) hashItem(p []byte, i int) ([]byte, bool, error) {
	from, to := int(u16(p, pageItems+2*i)), len(p)
	if i > 0 {
		to = int(u16(p, pageItems+2*(i-1)))
	}
	if from < pageItems+2*int(u16(p, pageEntries)) || from >= to || to > len(p) {
		return nil, false, errTorn
	}
	switch p[from] {
	case itemInline:
		return p[from+1 : to], false, nil
	case itemOffPage: // type, three unused bytes, u32 page, u32 length
		if to-from < 12 {
			return nil, false, errTorn
		}
		b, err := d.overflow(i, u32(p, from+4), u32(p, from+8))
		return b, false, err
	}
	return nil, false, fmt.Errorf("kind %d of item: %w", p[from], errTorn)
}

// leafItem is item i of a btree leaf: u16 length, u8 type, data.
func (d *pairDecoder) leafItem(p []byte, i int) ([]byte, bool, error) {
	from := int(u16(p, pageItems+2*i))
	if from < pageItems+2*int(u16(p, pageEntries)) || from+3 > len(p) {
		return nil, false, errTorn
	}
	deleted := p[from+2]&itemDeleted != 0
	switch p[from+2] &^ itemDeleted {
	case itemInline:
		to := from + 3 + int(u16(p, from))
		if to > len(p) {
			return nil, false, errTorn
		}
		return p[from+3 : to], deleted, nil
	case itemOffPage: // u16 unused, type, one unused byte, u32 page, u32 length
		if from+12 > len(p) {
			return nil, false, errTorn
		}
		b, err := d.overflow(i, u32(p, from+4), u32(p, from+8))
		return b, deleted, err
	}
	return nil, false, fmt.Errorf("kind %d of item: %w", p[from+2], errTorn)
}

// overflow puts together an item of length bytes that begins on page n. Every page adds at least one byte, so the
// length bounds the walk even where pages point in a circle.
func (d *pairDecoder) overflow(i int, n, length uint32) ([]byte, error) {
	if length > maxItem {
		return nil, fmt.Errorf("an item of %d bytes is longer than %d", length, maxItem)
	}
	b := d.long[i%2][:0]
	for len(b) < int(length) {
		p := d.page(n)
		if n == 0 || len(p) != d.meta.pageSize || p[pageType] != typeOverflow || u32(p, pageNumber) != n {
			return nil, errTorn
		}
		high := int(u16(p, pageHigh))
		if high == 0 || high > len(p)-pageItems {
			return nil, errTorn
		}
		b = append(b, p[pageItems:pageItems+high]...)
		n = u32(p, pageNext)
	}
	d.long[i%2] = b
	if len(b) != int(length) {
		return nil, errTorn
	}
	return b, nil
}

// filePages gives the pages of a whole file.
func filePages(file []byte, pageSize int) pageSource {
	return func(n uint32) []byte {
		from := int64(n) * int64(pageSize)
		if from+int64(pageSize) > int64(len(file)) {
			return nil
		}
		return file[from : from+int64(pageSize)]
	}
}

func u16(b []byte, at int) uint16 { return binary.LittleEndian.Uint16(b[at:]) }
func u32(b []byte, at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
func u64(b []byte, at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
