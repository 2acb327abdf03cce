package mailgw

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Bounds on walking the directories of a queue. amavis's sub-agent gives a queue five seconds as well.
const (
	dirTimeout  = 5 * time.Second
	dirBatch    = 1024
	maxDirDepth = 6    // hash_queue_depth is at most 3
	maxOpened   = 2000 // files of one queue that are opened for their time of arrival
)

// directories counts files. It succeeds when any queue can be read; the others are not known then.
func (p *Postfix) directories(ctx context.Context) (Queues, error) {
	q := p.begin("directories")
	var errs []error
	for i := range q.Queues {
		if err := p.walk(ctx, &q.Queues[i]); err != nil {
			q.Queues[i] = Queue{Name: QueueNames[i]}
			errs = append(errs, err)
		}
	}
	if len(errs) == len(q.Queues) {
		return q, errs[0]
	}
	return q, nil
}

// corrupt adds the one queue that showq does not tell of, where its directory may be read.
func (p *Postfix) corrupt(ctx context.Context, q *Queues) {
	x := &q.Queues[len(q.Queues)-1]
	if p.walk(ctx, x) != nil {
		*x = Queue{Name: x.Name}
	}
}

func (p *Postfix) walk(ctx context.Context, q *Queue) error {
	ctx, cancel := context.WithTimeout(ctx, dirTimeout)
	defer cancel()
	w := queueWalk{ctx: ctx, queue: q}
	q.Known = true
	err := w.dir(filepath.Join(p.cfg.QueueDir, q.Name), 0)
	if errors.Is(err, context.DeadlineExceeded) && q.Messages > 0 {
		q.AtLeast, err = true, nil
	}
	if w.blind {
		q.Oldest = time.Time{}
	}
	return err
}

type queueWalk struct {
	ctx    context.Context
	queue  *Queue
	opened int
	blind  bool // of a message it is not known when it came
}

// dir counts what is in a directory. A directory whose name is one character belongs to the hashing of the queue,
// everything else is a message.
func (w *queueWalk) dir(path string, depth int) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	for w.ctx.Err() == nil {
		entries, err := d.ReadDir(dirBatch)
		for _, e := range entries {
			name := filepath.Join(path, e.Name())
			if len(e.Name()) == 1 && e.IsDir() {
				if depth == maxDirDepth {
					return fmt.Errorf("read %s: more than %d directories below each other", name, maxDirDepth)
				}
				// A directory that went away meanwhile is empty.
				if err := w.dir(name, depth+1); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return err
				}
				continue
			}
			w.message(name, e)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return w.ctx.Err()
}

func (w *queueWalk) message(path string, e fs.DirEntry) {
	q := w.queue
	q.Messages++
	if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
		q.Bytes += uint64(info.Size())
	}
	arrived, ok := longIDTime(e.Name())
	if !ok && w.opened < maxOpened {
		w.opened++
		arrived, ok = arrival(path)
	}
	if !ok {
		w.blind = true
	} else if q.Oldest.IsZero() || arrived.Before(q.Oldest) {
		q.Oldest = arrived
	}
}

// base52 are the digits of long queue ids: no vowels.
const base52 = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"

// longIDTime is when the message of a long queue id came: seconds since 1970 in six or more digits of base 52, then
// microseconds in four, then z, then the inode in base 51.
func longIDTime(id string) (time.Time, bool) {
	stamp, inode, ok := strings.Cut(id, "z")
	if !ok || len(stamp) < 10 || len(stamp) > 12 || inode == "" || strings.Trim(id, base52) != "" {
		return time.Time{}, false
	}
	sec, usec := fromBase52(stamp[:len(stamp)-4]), fromBase52(stamp[len(stamp)-4:])
	if usec >= 1_000_000 {
		return time.Time{}, false
	}
	return time.Unix(sec, usec*1000).UTC(), true
}

func fromBase52(s string) int64 {
	var n int64
	for i := range len(s) {
		n = n*52 + int64(strings.IndexByte(base52, s[i]))
	}
	return n
}

// arrival reads when the message of a queue file came: the file is records of a type byte, a length in groups of seven
// bits, lowest first, and data; the record T holds "seconds microseconds". The times of the file itself will not do,
// as Postfix sets them to when the message is tried next.
func arrival(path string) (time.Time, bool) {
	f, err := openRegular(path)
	if err != nil {
		return time.Time{}, false
	}
	defer f.Close()
	var head [512]byte
	n, err := f.ReadAt(head[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return time.Time{}, false
	}
	return arrivalRecord(head[:n])
}

func arrivalRecord(b []byte) (time.Time, bool) {
	for len(b) > 1 {
		typ := b[0]
		length, i, shift := 0, 1, 0
		for {
			if i == len(b) || shift > 14 {
				return time.Time{}, false
			}
			c := b[i]
			i++
			length |= int(c&0x7f) << shift
			shift += 7
			if c < 0x80 {
				break
			}
		}
		if i+length > len(b) {
			return time.Time{}, false
		}
		if typ == 'T' {
			sec, usec, _ := strings.Cut(string(b[i:i+length]), " ")
			t, err := parseEpoch(sec)
			us, _ := strconv.ParseUint(usec, 10, 20)
			return t.Add(time.Duration(us) * time.Microsecond), err == nil
		}
		b = b[i+length:]
	}
	return time.Time{}, false
}
