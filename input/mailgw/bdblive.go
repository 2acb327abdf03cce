package mailgw

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	cacheFile = "__db.003" // the cache of an environment with CDB locking: 001 is the environment, 002 the locks

	liveTries = 10

	// crowded is the size from which a database no longer fits into libdb's default cache of 256 KiB beside others:
	// pages come and go all the time and nine reads of ten are refused.
	crowded = 192 << 10
)

// table is the content of a database: rows in no order.
type table struct {
	uid  dbUID
	rows []row
}

type row struct{ key, value string }

// liveReader reads a database as the processes that have it open see it: pages of the shared cache are laid over
// those of the file. It takes no lock and writes nothing. It reads the cache, the file and the cache again, and
// accepts only when both looks at the cache agree, no page is latched by a writer, every page parses, and there are
// as many pairs as the meta page tells.
type liveReader struct {
	path, cache   string
	first, second cacheView
	file          []byte
}

func newLiveReader(dir, name string) *liveReader {
	return &liveReader{path: filepath.Join(dir, name), cache: filepath.Join(dir, cacheFile)}
}

// verdict is asked before a table is accepted; errBusy asks for another try.
type verdict func(*table) error

// read tries until the content is accepted. A complaint about content that stands still for three tries is not a
// race but how the database is, so it is accepted then.
func (r *liveReader) read(ctx context.Context, accept verdict) (*table, error) {
	var err error
	var sum uint64
	still := 0
	for try := range liveTries {
		if try > 0 {
			if err := pause(ctx, time.Duration(try%5+1)*time.Millisecond); err != nil {
				return nil, err
			}
		}
		var t *table
		t, err = r.once()
		complaint := err
		if err == nil {
			complaint = accept(t)
		}
		if complaint == nil {
			return t, nil
		}
		if t == nil {
			if !errors.Is(err, errBusy) && !errors.Is(err, errTorn) {
				return nil, err
			}
			still = 0
			continue
		}
		now := r.second.sum()
		if still++; now != sum {
			sum, still = now, 0
		}
		if still >= 2 {
			return t, nil
		}
		err = complaint
	}
	return nil, fmt.Errorf("read %s beside its writers, %d tries: %w", r.path, liveTries, err)
}

// once makes one try. A table together with an error is one that parses but has another number of pairs than its
// meta page tells.
func (r *liveReader) once() (*table, error) {
	cache, err := openRegular(r.cache)
	if err != nil {
		return nil, err
	}
	defer cache.Close()
	file, err := openRegular(r.path)
	if err != nil {
		return nil, err
	}
	defer file.Close()

	if r.first.region, err = readWhole(cache, r.first.region, maxCache); err != nil {
		return nil, err
	}
	if r.file, err = readWhole(file, r.file, maxDatabase); err != nil {
		return nil, err
	}
	if r.second.region, err = readWhole(cache, r.second.region, maxCache); err != nil {
		return nil, err
	}
	onDisk, err := parseMeta(r.file)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", r.path, err)
	}
	return r.join(onDisk)
}

// join puts the two looks and the file together.
func (r *liveReader) join(onDisk dbMeta) (*table, error) {
	if err := r.first.find(onDisk.uid, onDisk.pageSize); err != nil {
		return nil, err
	}
	if err := r.second.find(onDisk.uid, onDisk.pageSize); err != nil {
		return nil, err
	}
	if !r.first.same(&r.second) {
		return nil, errBusy
	}
	m, err := parseMeta(r.second.at(r.second.pages[0]))
	if err != nil || m.uid != onDisk.uid {
		return nil, errTorn
	}
	return collect(m, r.second.over(r.file))
}

// crowds tells whether the database, as it was last read, is too large for the default cache. One that amavis has made
// anew since is not.
func (r *liveReader) crowds() bool {
	if len(r.second.pages) == 0 {
		return false
	}
	m, err := parseMeta(r.second.at(r.second.pages[0]))
	if err != nil || (int64(m.last)+1)*int64(m.pageSize) <= crowded {
		return false
	}
	f, err := openRegular(r.path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, metaLength)
	if _, err := f.ReadAt(head, 0); err != nil {
		return false
	}
	now, err := parseMeta(head)
	return err == nil && now.uid == m.uid
}

// readFile is what stands on the disk alone, which is old as long as a process has the database open.
func (r *liveReader) readFile() (*table, time.Time, error) {
	f, err := openRegular(r.path)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, time.Time{}, err
	}
	b, err := readWhole(f, nil, maxDatabase)
	if err != nil {
		return nil, time.Time{}, err
	}
	m, err := parseMeta(b)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("read %s: %w", r.path, err)
	}
	t, err := collect(m, filePages(b, m.pageSize))
	if t == nil {
		return nil, time.Time{}, fmt.Errorf("read %s: %w", r.path, err)
	}
	return t, st.ModTime(), nil
}

// collect makes a table of the pairs. The number of pairs must be what the meta page tells; a double key is a pair
// that is just moving from one page to another.
func collect(m dbMeta, page pageSource) (*table, error) {
	t := &table{uid: m.uid}
	n, err := decodePairs(m, page, func(key, value []byte) {
		t.rows = append(t.rows, row{string(key), string(value)})
	})
	if err != nil {
		return nil, err
	}
	if m.hash && n != m.elems {
		return t, fmt.Errorf("%d pairs where the meta page tells of %d: %w", n, m.elems, errBusy)
	}
	return t, nil
}

// openRegular opens a file for reading and refuses what is not a plain file, so that a pipe or a link that another
// user put there neither blocks nor misleads.
func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("read %s: not a plain file", path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// readWhole reads all of f from its start into buf. The file may grow meanwhile; what came later is for the next look.
func readWhole(f *os.File, buf []byte, limit int64) ([]byte, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Size() > limit {
		return nil, fmt.Errorf("read %s: %d bytes, more than %d", f.Name(), st.Size(), limit)
	}
	if n := int(st.Size()); cap(buf) < n {
		buf = make([]byte, n)
	} else {
		buf = buf[:n]
	}
	n, err := f.ReadAt(buf, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return buf[:n], nil
}

// pause waits, or ends with ctx.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
