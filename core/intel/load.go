package intel

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"varde/event/human"
)

// Load reads local files and the last good copies of the others. A list that cannot be read does not keep the others
// from working; the error names all that failed. Load writes nothing, so that it may be used beside a running Set.
func (s *Set) Load() error {
	var errs []error
	for _, l := range s.lists {
		if err := s.load(l); err != nil {
			errs = append(errs, err)
		}
	}
	s.rebuild()
	return errors.Join(errs...)
}

func (s *Set) load(l *list) error {
	if s.dir != "" {
		d, err := loadDigest(s.path(l, ".seen"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			s.log.Warn("what is new in this list is not known until it changes again", "list", l.cfg.Name, "error", err)
		}
		l.mu.Lock()
		l.digest = d
		l.mu.Unlock()
	}
	if l.cfg.File != "" {
		return s.readLocal(l, false)
	}
	if s.dir == "" {
		return nil
	}
	saved := s.loadState(l)
	b, stat, err := s.readCopy(l)
	if errors.Is(err, os.ErrNotExist) || saved.URL != "" && saved.URL != l.cfg.URL {
		return nil // never fetched, or from elsewhere
	}
	if err == nil {
		err = s.take(l, b, stat.ModTime(), false)
	}
	if err == nil {
		l.mu.Lock()
		l.state = saved
		if !saved.Checked.IsZero() && saved.URL == l.cfg.URL {
			l.next, l.leave = saved.Checked.Add(l.every()), saved.Checked.Add(l.floor())
		}
		l.mu.Unlock()
	}
	return l.fail(err)
}

// path is a file of a list in the folder of copies. A name that is no file name is told apart by a sum.
func (s *Set) path(l *list, ext string) string {
	safe := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, cut(l.cfg.Name, 100))
	if safe != l.cfg.Name {
		safe = fmt.Sprintf("%s-%08x", safe, uint32(sumOf([]byte(l.cfg.Name))))
	}
	return filepath.Join(s.dir, safe+ext)
}

func (s *Set) readCopy(l *list) ([]byte, os.FileInfo, error) {
	path := s.path(l, ".list")
	stat, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	b, err := s.readFile(l, path, stat)
	return b, stat, err
}

func (s *Set) readFile(l *list, path string, stat os.FileInfo) ([]byte, error) {
	if limit := s.sizeLimit(l); stat.Size() > limit {
		return nil, fmt.Errorf("it has %s, at most %s are read; raise max_size", human.Bytes(uint64(stat.Size())), human.Bytes(uint64(limit)))
	}
	return os.ReadFile(path)
}

// statLocal is what tells that a local list has changed: of a folder, its manifest.
func statLocal(path string) (os.FileInfo, error) {
	stat, err := os.Stat(path)
	if err == nil && stat.IsDir() {
		return os.Stat(filepath.Join(path, manifestName))
	}
	return stat, err
}

// readLocal reads a local file or folder; keep has a folder leave a copy.
func (s *Set) readLocal(l *list, keep bool) error {
	stat, err := statLocal(l.cfg.File)
	l.mu.Lock()
	l.stat = stat
	l.mu.Unlock()
	var b []byte
	if err == nil {
		if folder, serr := os.Stat(l.cfg.File); serr == nil && folder.IsDir() {
			b, err = s.readFolder(l, keep)
		} else {
			b, err = s.readFile(l, l.cfg.File, stat)
		}
	}
	if err == nil {
		err = s.take(l, b, stat.ModTime(), false)
	}
	return l.fail(err)
}

func (s *Set) sizeLimit(l *list) int64 {
	if l.cfg.MaxSize == 0 {
		return defaultSize
	}
	return int64(l.cfg.MaxSize)
}

// take parses the content of a list and puts it in place of the old one; guarded, a list that has shrunk by accident
// is refused.
func (s *Set) take(l *list, b []byte, changed time.Time, guarded bool) error {
	l.mu.Lock()
	old, before := l.digest, l.total
	l.mu.Unlock()
	r, added, err := s.parse(l, b, old)
	if err != nil {
		return err
	}
	if guarded && r.total*shrinkGuard < before {
		return fmt.Errorf("it has shrunk from %d to %d entries; the old copy stays. If that is meant, delete %s", before, r.total, s.path(l, ".list"))
	}
	r.loaded = changed
	l.mu.Lock()
	l.reading, l.unsaved = *r, true
	l.mu.Unlock()
	if len(added.Prefixes) > 0 {
		s.mu.Lock()
		s.pending = append(s.pending, added)
		s.mu.Unlock()
	}
	return nil
}

// parse reads the content of a list, and tells what is in it that was not in the digest of the one before.
func (s *Set) parse(l *list, b []byte, old *digest) (*reading, Added, error) {
	none := Added{List: l.cfg.Name}
	format, err := formatOf(l.cfg.Format, b)
	if err != nil {
		return nil, none, err
	}
	now := s.now().UnixNano()
	r := &reading{format: format}
	made := newBuilder(now, uint32(time.Duration(l.cfg.TTL)/time.Second), old)
	reject := func(why Reject) {
		if r.rejected++; len(r.rejects) < maxRejects {
			r.rejects = append(r.rejects, Reject{why.Line, strings.Clone(why.Text), why.Reason})
		}
	}
	err = format.Parse(bytes.NewReader(b), &Sink{
		AllowWide: l.cfg.AllowWide, Now: now, Reject: reject,
		Add: func(i *Indicator) {
			i.Below = i.Below || l.cfg.Subdomains && i.Type == Domain
			if why := made.add(i); why != "" {
				reject(Reject{0, clip(i.Text), why})
			}
		},
		Notice: func(text string) {
			if len(r.notice)+len(text) < maxNotice {
				r.notice = strings.TrimPrefix(r.notice+"; "+text, "; ")
			}
		},
	})
	if err != nil {
		return nil, none, err
	}
	if made.total == 0 && r.rejected > 0 {
		return nil, none, fmt.Errorf("none of its %d entries could be read as %s; the first, line %d: %s", r.rejected, format.Name, r.rejects[0].Line, r.rejects[0].Reason)
	}
	r.content, r.digest = made.finish()
	r.content.info = l.cfg.Info || format.Info
	r.total, r.expired, r.duplicates = made.total, made.expired, made.duplicates
	return r, s.added(l.cfg.Name, r.content, old), nil
}
