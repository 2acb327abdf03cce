package follow

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// stateVersion is raised when a state file of before would be misunderstood.
const stateVersion = 1

// savedState is the state file.
type savedState struct {
	Version  int         `json:"version"`
	Patterns []string    `json:"patterns"` // looked at before: a file that they find now is a new one
	Files    []savedFile `json:"files"`
	Cursor   string      `json:"cursor,omitempty"` // of the journal
}

type savedFile struct {
	Path    string `json:"path"`
	Started bool   `json:"started"`
	savedPosition
	Retired []savedPosition `json:"retired,omitempty"`
}

type savedPosition struct {
	Dev    uint64    `json:"dev"`
	Inode  uint64    `json:"inode"`
	Offset int64     `json:"offset"`
	Head   savedHead `json:"head"`
	Before savedHead `json:"before"`
	Born   int64     `json:"born,omitempty"`
	Began  time.Time `json:"began"`
}

type savedHead struct {
	Size  int    `json:"size"`
	Whole bool   `json:"whole,omitempty"`
	Sum   string `json:"sha256,omitempty"`
}

func (h head) save() savedHead {
	if h.n == 0 {
		return savedHead{}
	}
	return savedHead{h.n, h.whole, hex.EncodeToString(h.sum[:])}
}

func (s savedHead) head() (h head) {
	b, err := hex.DecodeString(s.Sum)
	if err != nil || len(b) != sha256.Size || s.Size < 1 || s.Size > headSize {
		return head{}
	}
	h.n, h.whole = s.Size, s.Whole
	copy(h.sum[:], b)
	return h
}

func (p *position) save() savedPosition {
	return savedPosition{p.id.dev, p.id.inode, p.offset, p.head.save(), p.before.save(), p.born, p.began}
}

func (s *savedPosition) position() position {
	return position{fileID{s.Dev, s.Inode}, max(s.Offset, 0), s.Head.head(), s.Before.head(), s.Born, s.Began}
}

// encode is the state as it is now.
func (f *Follower) encode() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := savedState{Version: stateVersion, Patterns: f.found}
	for _, path := range f.paths() {
		t := f.tails[path]
		file := savedFile{Path: path, Started: t.started, savedPosition: t.pos.save()}
		for i := range t.owed {
			file.Retired = append(file.Retired, t.owed[i].save())
		}
		for _, r := range t.retired {
			file.Retired = append(file.Retired, r.pos.save())
		}
		s.Files = append(s.Files, file)
	}
	if f.journal != nil {
		s.Cursor = f.journal.cursor()
	}
	b, err := json.MarshalIndent(&s, "", " ")
	if err != nil {
		panic(err) // strings, numbers and times have no way to fail
	}
	return append(b, '\n')
}

// load takes the state up that an earlier run has left.
func (f *Follower) load() error {
	f.saved.path = f.state
	if err := os.MkdirAll(filepath.Dir(f.state), 0o750); err != nil {
		return fmt.Errorf("keep positions in logs: %w", err)
	}
	b, err := os.ReadFile(f.state)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read positions in logs: %w", err)
	}
	var s savedState
	if err := json.Unmarshal(b, &s); err != nil || s.Version != stateVersion {
		return fmt.Errorf("%s is no state of this follower; move it away, and logs are read from where they are now (%v)", f.state, err)
	}
	f.saved.last = b
	for _, pattern := range s.Patterns {
		for _, p := range f.cfg.Paths {
			if p == pattern {
				f.found = append(f.found, p)
			}
		}
	}
	for i := range s.Files {
		f.takeUp(&s.Files[i])
	}
	if f.journal != nil {
		f.journal.at = s.Cursor
	}
	return nil
}

// takeUp goes on with a file, if the configuration still names it.
func (f *Follower) takeUp(s *savedFile) {
	for _, pattern := range f.found {
		if ok, err := filepath.Match(pattern, s.Path); pattern != s.Path && (err != nil || !ok) {
			continue
		}
		t := newTail(f, s.Path, pattern == s.Path)
		t.started, t.pos = s.Started, s.position()
		for i := range s.Retired[:min(len(s.Retired), maxRetired)] {
			t.owed = append(t.owed, s.Retired[i].position())
		}
		f.tails[s.Path] = t
		return
	}
}

// saver writes the state, each time as it was when the time before was due: whoever took the lines keeps them within
// less than that, so that a kill loses none.
type saver struct {
	path string
	next time.Time
	held []byte // not written yet
	last []byte // written
}

func (s *saver) due(now time.Time, encode func() []byte) error {
	if now.Before(s.next) {
		return nil
	}
	s.next = now.Add(saveEvery)
	err := s.write(s.held)
	s.held = encode()
	return err
}

// write replaces the file in one step.
func (s *saver) write(b []byte) error {
	if len(b) == 0 || bytes.Equal(b, s.last) {
		return nil
	}
	if err := s.replace(b); err != nil {
		return fmt.Errorf("keep positions in logs: %w", err)
	}
	s.last = b
	return nil
}

func (s *saver) replace(b []byte) error {
	temp := s.path + ".new"
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(temp, s.path)
	}
	return err
}
