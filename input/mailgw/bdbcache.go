package mailgw

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
)

// Every page in the shared cache stands behind its buffer header. These are offsets from the page back into the header
// of libdb 5.3 on 64-bit machines (struct __bh of mp.h). Another libdb has other ones: then no page passes all the
// checks of cacheView.find, and db_dump, which belongs to the libdb that is installed, is asked instead.
const (
	bufStart = 88 // where the header begins
	bufFlags = 76 // u16
	bufNext  = 64 // i64, from the header to the next one in its hash bucket, -1 at the end
	bufPrev  = 56 // i64, from the header to the word that points to it
	bufPage  = 48 // u32, page number
	bufFile  = 40 // u64, where the cache keeps what it knows of the file

	bufAlign = 8

	flagExclusive = 0x010 // a writer has the page latched
	flagUnusable  = 0x008 | 0x020 | 0x040 | 0x080
	maxCache      = 64 << 20 // bytes of __db.003 that are read
)

// errBusy is a page that a writer holds, or a change between two looks: try again.
var errBusy = errors.New("the database is being changed")

// errNotCached is a file of which the cache knows no meta page.
var errNotCached = errors.New("the shared cache holds no page of it, or is of another libdb than 5.3 on 64 bits")

// cacheView is one look at the shared cache: the whole region and where the pages of one file stand in it.
type cacheView struct {
	region []byte
	size   int // of a page
	pages  []cachedPage
}

type cachedPage struct {
	number uint32
	at     int
}

// find fills pages with those of the file named by uid, in the order of their numbers.
func (v *cacheView) find(uid dbUID, pageSize int) error {
	v.size, v.pages = pageSize, v.pages[:0]
	file, ok := v.fileOf(uid)
	if !ok {
		return errNotCached
	}
	for at := bufStart; at <= len(v.region); at += bufAlign {
		if u64(v.region, at-bufFile) != file || !v.linked(at) {
			continue
		}
		n, flags := u32(v.region, at-bufPage), u16(v.region, at-bufFlags)
		if flags&flagUnusable != 0 {
			continue
		}
		// The region's file is one byte shorter than the region, so the last byte of a page at the very end is out of
		// reach of a read.
		if flags&flagExclusive != 0 || at+pageSize > len(v.region) {
			return errBusy
		}
		// A page that was made but not yet filled is zero and has no number of its own.
		if own := u32(v.region, at+pageNumber); own != n && own != 0 {
			return errBusy
		}
		if n > maxDatabase/minPageSize {
			return errBusy
		}
		v.pages = append(v.pages, cachedPage{n, at})
	}
	slices.SortFunc(v.pages, func(a, b cachedPage) int { return cmp.Compare(a.number, b.number) })
	for i := 1; i < len(v.pages); i++ {
		if v.pages[i].number == v.pages[i-1].number {
			return fmt.Errorf("page %d is there twice: %w", v.pages[i].number, errBusy)
		}
	}
	if len(v.pages) == 0 || v.pages[0].number != 0 {
		return errBusy
	}
	return nil
}

// fileOf is how the cache calls the file: what the header of its meta page says. The uid stands in other places too,
// in the cache's own notes and on pages whose room a meta page had before, so all of the header must fit.
func (v *cacheView) fileOf(uid dbUID) (uint64, bool) {
	if uid == (dbUID{}) {
		return 0, false
	}
	for from := bufStart + metaUID; ; {
		i := bytes.Index(v.region[min(from, len(v.region)):], uid[:])
		if i < 0 {
			return 0, false
		}
		at := from + i - metaUID
		from += i + 1
		if at%bufAlign != 0 || at < bufStart || at+v.size > len(v.region) {
			continue
		}
		magic := u32(v.region, at+metaMagic)
		if magic != hashMagic && magic != btreeMagic || u32(v.region, at+metaPageSize) != uint32(v.size) ||
			u32(v.region, at+pageNumber) != 0 || u32(v.region, at-bufPage) != 0 {
			continue
		}
		if file := u64(v.region, at-bufFile); v.linked(at) && file > 0 && file < maxCache {
			return file, true
		}
	}
}

// linked tells that the header before the page at that place is in a hash bucket of the cache: the word that its back
// reference leads to must point to it. That rules out buffers that were freed and only look like pages. The word is
// either the head of the bucket, which counts from itself, or the next field of the header before.
func (v *cacheView) linked(at int) bool {
	start := int64(at - bufStart)
	back := int64(u64(v.region, at-bufPrev))
	if back < -maxCache || back > maxCache {
		return false
	}
	word := start + back
	if word < 0 || word+8 > int64(len(v.region)) {
		return false
	}
	next := int64(u64(v.region, int(word)))
	if next <= -maxCache || next >= maxCache {
		return false
	}
	return word+next == start || word-(bufStart-bufNext)+next == start
}

// same tells that two views hold the same pages with the same bytes.
func (v *cacheView) same(o *cacheView) bool {
	return slices.EqualFunc(v.pages, o.pages, func(a, b cachedPage) bool {
		return a.number == b.number && bytes.Equal(v.at(a), o.at(b))
	})
}

func (v *cacheView) at(p cachedPage) []byte { return v.region[p.at : p.at+v.size] }

// over lays the cached pages over those of the file.
func (v *cacheView) over(file []byte) pageSource {
	below := filePages(file, v.size)
	return func(n uint32) []byte {
		i, ok := slices.BinarySearchFunc(v.pages, n, func(p cachedPage, n uint32) int { return cmp.Compare(p.number, n) })
		if ok {
			return v.at(v.pages[i])
		}
		return below(n)
	}
}

// sum tells whether anything changed since another sum.
func (v *cacheView) sum() uint64 {
	table := crc32.MakeTable(crc32.Castagnoli)
	var sum uint32
	for _, p := range v.pages {
		sum = crc32.Update(sum, table, v.at(p))
	}
	return uint64(sum) | uint64(min(len(v.pages), math.MaxInt32))<<32
}
