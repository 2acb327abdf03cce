package check

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// look is what a check keeps for its next call, so that it can tell what was lost since.
type look struct {
	At       time.Time         `json:"at"`
	Counters map[string]uint64 `json:"counters"`
}

// maxLook bounds the file of a look.
const maxLook = 4 << 20

// past reads the last look. Without one everything counts from the start of varde, which is no reason to complain.
func (r *Reading) past(file, name string) {
	r.file = file
	if file == "" {
		dir, err := ownFolder()
		if err != nil {
			r.fileErr = err
			return
		}
		r.file = filepath.Join(dir, name+".json")
	}
	f, err := os.OpenFile(r.file, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		r.fileErr = err
		return
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxLook))
	if err == nil {
		err = json.Unmarshal(b, &r.earlier)
	}
	if err != nil || r.earlier.At.After(time.Now()) {
		r.earlier = look{} // of a crash or of another clock; it is written anew
	}
}

// keep writes the counters that were judged, where any were.
func (r *Reading) keep() error {
	if len(r.used) == 0 {
		return nil
	}
	if r.fileErr != nil {
		return r.fileErr
	}
	// What other calls of the same check have judged, as of another exporter, stays.
	for k, n := range r.earlier.Counters {
		if _, ours := r.used[k]; !ours && len(r.used) < maxCounters {
			r.used[k] = n
		}
	}
	b, err := json.Marshal(look{time.Now(), r.used})
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(r.file), ".look-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), r.file)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// maxCounters bounds what a look keeps.
const maxCounters = 20000

// ownFolder is a folder of this user alone. Another's folder of that name, or a link, is not used.
func ownFolder() (string, error) {
	dir := filepath.Join(os.TempDir(), "varde-check-"+strconv.Itoa(os.Geteuid()))
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || int(st.Uid) != os.Geteuid() || info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s is not a folder of this user alone; give a file with --state", dir)
	}
	return dir, nil
}
