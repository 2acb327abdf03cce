package follow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Total is what Read has read.
type Total struct {
	Files, Lines, Cut, Octets uint64
}

// Read hands on every line of files that are there, once: "-" is standard input, and of a folder every file in it that
// is not hidden. Files that rotation made of one log come in the order of time, the oldest first, compressed or not. A
// file that cannot be read, or only in part, does not keep the others from being read; the error names them all.
func Read(ctx context.Context, paths []string, zone *time.Location, take Take) (Total, error) {
	var total Total
	files, err := gather(paths)
	errs := []error{err}
	buf := make([]byte, 64<<10)
	for _, path := range files {
		if err := readOne(ctx, path, zone, take, buf, &total); err != nil {
			errs = append(errs, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return total, errors.Join(errs...)
}

func readOne(ctx context.Context, path string, zone *time.Location, take Take, buf []byte, total *Total) error {
	o := &Origin{Name: path, File: path, Zone: zone}
	if path == "-" {
		return readFrom(ctx, os.Stdin, o, take, buf, total)
	}
	s, err := openSource(path)
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	defer s.Close()
	o.Time = s.modified
	r, err := s.from(0)
	if err != nil {
		return fmt.Errorf("read log %s: %w", path, err)
	}
	return readFrom(ctx, r, o, take, buf, total)
}

// ReadFrom hands on every line of what is open already; o says what it is.
func ReadFrom(ctx context.Context, r io.Reader, o *Origin, take Take) (Total, error) {
	var total Total
	err := readFrom(ctx, r, o, take, make([]byte, 64<<10), &total)
	return total, err
}

func readFrom(ctx context.Context, r io.Reader, o *Origin, take Take, buf []byte, total *Total) error {
	var l lines
	each := func(line []byte) {
		total.Lines++
		take(o, line)
	}
	err := readAll(ctx, r, buf, func(b []byte) {
		total.Octets += uint64(len(b))
		l.feed(b, each)
	})
	l.finish(each)
	total.Files++
	total.Cut += l.cut
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("read log %s: %w", o.File, err)
	}
	return err
}

// gather lists the files, those of one log together in the order of time.
func gather(paths []string) (files []string, err error) {
	for _, path := range paths {
		if path == "-" {
			files = append(files, path)
			continue
		}
		st, serr := os.Stat(path)
		switch {
		case serr != nil:
			err = errors.Join(err, fmt.Errorf("read log: %w", serr))
		case st.IsDir():
			inside, derr := os.ReadDir(path)
			err = errors.Join(err, derr)
			for _, e := range inside {
				if e.Type().IsRegular() && !strings.HasPrefix(e.Name(), ".") {
					files = append(files, filepath.Join(path, e.Name()))
				}
			}
		default:
			files = append(files, filepath.Clean(path))
		}
	}
	return inOrder(files), err
}

// inOrder sorts files by the log that they are of, where it first stands in the list, and within it the oldest first.
func inOrder(files []string) []string {
	seen := map[string]bool{}
	groups := map[string]int{}
	type file struct {
		sibling
		group int
	}
	var all []file
	for _, path := range files {
		if seen[path] {
			continue
		}
		seen[path] = true
		f := file{sibling: sibling{path: path}}
		base, r := logOf(path)
		f.rotation = r
		if st, err := os.Stat(path); err == nil {
			f.modified = st.ModTime()
		}
		g, ok := groups[base]
		if !ok {
			g = len(groups)
			groups[base] = g
		}
		f.group = g
		all = append(all, f)
	}
	slices.SortStableFunc(all, func(a, b file) int { return cmp.Compare(a.group, b.group) })
	out := make([]string, 0, len(all))
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].group == all[0].group {
			n++
		}
		group := make([]sibling, 0, n)
		for _, f := range all[:n] {
			group = append(group, f.sibling)
		}
		// The log itself is the newest whatever its name; the rest is as rotation numbered or dated it.
		own := slices.IndexFunc(group, func(s sibling) bool { return s.rotation == rotation{number: -1} })
		if own >= 0 {
			live := group[own]
			group = slices.Delete(group, own, own+1)
			sortRotated(group)
			group = slices.Insert(group, 0, live)
		} else {
			sortRotated(group)
		}
		for _, s := range slices.Backward(group) {
			out = append(out, s.path)
		}
		all = all[n:]
	}
	return out
}

// logOf is the log that a file was rotated from, by its name alone, and how.
func logOf(path string) (base string, r rotation) {
	dir, name := filepath.Split(path)
	name = unpacked(name)
	for i := 1; i < len(name); i++ {
		r, ok := parseRotation(name[i:])
		if ok && strings.Trim(name[:i], ".0123456789") != "" { // 192.0.2.1 is a log of its own
			return dir + name[:i], r
		}
	}
	stem, ext := splitEnding(name)
	for i := 1; ext != "" && i < len(stem); i++ {
		if r, ok := parseRotation(stem[i:]); ok {
			return dir + stem[:i] + ext, r
		}
	}
	return dir + name, rotation{number: -1}
}
