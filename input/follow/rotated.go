package follow

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// maxRotated bounds the rotated files of one log that are looked at; logrotate keeps a few dozen.
const maxRotated = 2000

// packings are the endings of compressed files. Those that cannot be read are known too, to be told of.
var packings = []string{".gz", ".bz2", ".xz", ".zst", ".Z"}

func packed(name string) bool { return unpacked(name) != name }

func unpacked(name string) string {
	for _, p := range packings {
		if rest, ok := strings.CutSuffix(name, p); ok {
			return rest
		}
	}
	return name
}

// rotation is what the name of a rotated file tells.
type rotation struct {
	number int    // of ".1", ".2": the higher the older; -1 none
	date   string // of "-20240101": the lower the older
}

// rotationOf reads what rotation put behind the name of a log, or before its ending (logrotate's extension): ".1",
// ".2.gz", "-20240101", "-20240101-1704067200.gz", ".old".
func rotationOf(base, name string) (r rotation, ok bool) {
	name = unpacked(name)
	rest, ok := strings.CutPrefix(name, base)
	if !ok {
		stem, ext := splitEnding(base)
		if ext == "" || !strings.HasPrefix(name, stem) || !strings.HasSuffix(name, ext) || len(name) <= len(base) {
			return r, false
		}
		rest = name[len(stem) : len(name)-len(ext)]
	}
	return parseRotation(rest)
}

func parseRotation(s string) (r rotation, ok bool) {
	r.number = -1
	if len(s) < 2 || strings.IndexByte(".-_", s[0]) < 0 {
		return r, false
	}
	if s[1:] == "old" {
		return r, true
	}
	digits := 0
	for _, c := range s[1:] {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case !strings.ContainsRune("-_.:TZ", c):
			return r, false
		}
	}
	const longestNumber = 5
	if s[0] == '.' && digits == len(s)-1 && digits <= longestNumber {
		r.number = 0
		for _, c := range s[1:] {
			r.number = r.number*10 + int(c-'0')
		}
		return r, true
	}
	r.date = s[1:]
	return r, digits >= 6
}

// splitEnding splits fw.log into fw and .log. Digits are no ending: a log may be called 192.0.2.1.
func splitEnding(name string) (stem, ext string) {
	ext = filepath.Ext(name)
	stem = strings.TrimSuffix(name, ext)
	if stem == "" || strings.Trim(ext, ".0123456789") == "" {
		return name, ""
	}
	return stem, ext
}

// isRotated tells whether a file that a pattern found is no log of its own: it is compressed, or rotation has made its
// name of that of a log beside it.
func isRotated(path string) bool {
	if packed(path) {
		return true
	}
	dir, name := filepath.Split(path)
	stem, ext := splitEnding(name)
	for i := 1; i < len(name); i++ {
		for _, base := range [...]string{name[:i], stem[:min(i, len(stem))] + ext} {
			if _, ok := rotationOf(base, name); ok && base != name {
				if st, err := os.Stat(filepath.Join(dir, base)); err == nil && st.Mode().IsRegular() {
					return true
				}
			}
		}
	}
	return false
}

// sibling is a rotated file as the folder shows it.
type sibling struct {
	path     string
	id       fileID
	modified time.Time
	rotation rotation
}

// siblings are the rotated files of a log, the newest first. Where a file is there both plain and compressed, it is
// being compressed and the plain one counts.
func siblings(path string) ([]sibling, error) {
	dir, base := filepath.Split(path)
	d, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var out []sibling
	for _, name := range names {
		r, ok := rotationOf(base, name)
		if !ok || name == base {
			continue
		}
		if plain := unpacked(name); plain != name {
			if _, both := slices.BinarySearch(names, plain); both {
				continue
			}
		}
		st, err := os.Lstat(filepath.Join(dir, name))
		if err != nil || !st.Mode().IsRegular() {
			continue // gone since, which the second look will see
		}
		out = append(out, sibling{filepath.Join(dir, name), idOf(st), st.ModTime(), r})
	}
	sortRotated(out)
	return out[:min(len(out), maxRotated)], nil
}

// sortRotated brings the newest to the front: by number or date where all have one, else by when they were changed.
func sortRotated(s []sibling) {
	numbered := !slices.ContainsFunc(s, func(x sibling) bool { return x.rotation.number < 0 })
	dated := !slices.ContainsFunc(s, func(x sibling) bool { return x.rotation.date == "" })
	slices.SortStableFunc(s, func(a, b sibling) int {
		switch {
		case numbered:
			return cmp.Compare(a.rotation.number, b.rotation.number)
		case dated:
			return cmp.Compare(b.rotation.date, a.rotation.date)
		}
		return b.modified.Compare(a.modified)
	})
}
