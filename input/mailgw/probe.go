package mailgw

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"varde/event/human"
)

// ProbeConfig finds out how old something is that varde does not know by itself. Exactly one of newest, run with match,
// json and manifest is used.
type ProbeConfig struct {
	Name     string   `yaml:"name" doc:"What to call it in figures and checks."`
	Newest   string   `yaml:"newest" doc:"A pattern of files, like /var/lib/scanner/*.dat; the newest of them tells the age."`
	Run      []string `yaml:"run" doc:"A program and its arguments, whose output is searched by match or json."`
	Match    string   `yaml:"match" doc:"Regular expression with one group that catches a time or a number."`
	JSON     string   `yaml:"json" doc:"Path of a field, like engines.0.updated, in the output of run or in from."`
	From     string   `yaml:"from" doc:"A file or URL that match or json search instead of a program's output."`
	Time     string   `yaml:"time" doc:"How the time is written, as Go's layout, or unix, unix_ms or number; empty tries RFC 3339 and unix."`
	Manifest string   `yaml:"manifest" doc:"A list of checksums and file names as md5sum and sha256sum write it, a path or a URL."`
	Dir      string   `yaml:"dir" doc:"Folder of the files that the manifest names."`
}

// Bounds on probes.
const (
	maxProbes    = 64
	maxManifest  = 1000  // files of a manifest
	maxGlob      = 20000 // files of a pattern
	maxJSONDepth = 16
)

// Check says which value is impossible.
func (c *ProbeConfig) Check() error {
	if c.Name == "" {
		return errors.New("a probe has no name")
	}
	kinds := 0
	for _, used := range []bool{c.Newest != "", c.Match != "", c.JSON != "", c.Manifest != ""} {
		if used {
			kinds++
		}
	}
	searches := c.Match != "" || c.JSON != ""
	switch {
	case kinds != 1:
		return fmt.Errorf("probe %s: give exactly one of newest, match, json and manifest", c.Name)
	case searches && (len(c.Run) > 0) == (c.From != ""):
		return fmt.Errorf("probe %s: give either run or from for match and json to search", c.Name)
	case c.Manifest != "" && c.Dir == "":
		return fmt.Errorf("probe %s: dir is empty; say where the files of the manifest are", c.Name)
	}
	if c.Newest != "" {
		if _, err := filepath.Match(c.Newest, ""); err != nil {
			return fmt.Errorf("probe %s: newest %q is no pattern of files", c.Name, c.Newest)
		}
	}
	if c.Match != "" {
		re, err := regexp.Compile(c.Match)
		if err != nil {
			return fmt.Errorf("probe %s: %w", c.Name, err)
		}
		if re.NumSubexp() != 1 {
			return fmt.Errorf("probe %s: match has %d groups, want one that catches the time or number", c.Name, re.NumSubexp())
		}
	}
	return nil
}

// probe does what the configuration says.
func probe(ctx context.Context, cfg ProbeConfig, open Open, now time.Time) ScannerState {
	s := ScannerState{Name: cfg.Name, Read: now}
	var err error
	switch {
	case cfg.Newest != "":
		s, err = newest(cfg.Newest, s)
	case cfg.Manifest != "":
		s, err = manifest(ctx, cfg, open, s)
	default:
		s, err = searched(ctx, cfg, open, s)
	}
	if err == nil && s.Made.After(now.Add(24*time.Hour)) {
		err = fmt.Errorf("it says %s, which is in the future", s.Made.Format(time.RFC3339))
	}
	if err != nil {
		return s.unknown(fmt.Errorf("probe %s: %w", cfg.Name, err))
	}
	return s
}

// newest is the newest plain file with anything in it.
func newest(pattern string, s ScannerState) (ScannerState, error) {
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return s, err
	}
	if len(paths) > maxGlob {
		return s, fmt.Errorf("%s is more than %d files", pattern, maxGlob)
	}
	for _, path := range paths {
		st, err := os.Stat(path)
		if err == nil && st.Mode().IsRegular() && st.Size() > 0 && st.ModTime().After(s.Made) {
			s.Made, s.File, s.State = st.ModTime().UTC(), path, Dated
		}
	}
	if s.File == "" {
		return s, fmt.Errorf("%s: %w, or all empty", pattern, fs.ErrNotExist)
	}
	return s, nil
}

// manifest compares every file that a list of checksums names; the worst decides.
func manifest(ctx context.Context, cfg ProbeConfig, open Open, s ScannerState) (ScannerState, error) {
	b, err := fileOrURL(ctx, open, cfg.Manifest)
	if err != nil {
		return s, err
	}
	sums, err := parseManifest(b)
	if err != nil {
		return s, fmt.Errorf("read %s: %w", cfg.Manifest, err)
	}
	s.State = Current
	for _, x := range sums {
		if err := ctx.Err(); err != nil {
			return s, err
		}
		state, err := compare(filepath.Join(cfg.Dir, x.name), x.sum)
		if err != nil {
			return s, err
		}
		if state != Current && s.State != Missing {
			s.State, s.File = state, x.name
		}
	}
	return s, nil
}

type checksum struct{ sum, name string }

// parseManifest reads lines of a checksum, a blank, a blank or an asterisk, and a name. A list without any is an error,
// so that a page of HTML does not look like all being well.
func parseManifest(b []byte) ([]checksum, error) {
	var out []checksum
	for line := range bytes.Lines(b) {
		text := strings.TrimSpace(string(line))
		if text == "" || text[0] == '#' {
			continue
		}
		sum, name, _ := strings.Cut(text, " ")
		name = strings.TrimLeft(name, " *")
		if strings.Trim(strings.ToLower(sum), "0123456789abcdef") != "" || len(sum) < 32 || !plainName(name) {
			return nil, fmt.Errorf("%.80q is no checksum and name of a file", text)
		}
		if len(out) == maxManifest {
			return nil, fmt.Errorf("more than %d files", maxManifest)
		}
		out = append(out, checksum{sum, name})
	}
	if len(out) == 0 {
		return nil, errors.New("it names no file")
	}
	return out, nil
}

// searched looks for a time or a number in the output of a program, or in a file or page.
func searched(ctx context.Context, cfg ProbeConfig, open Open, s ScannerState) (ScannerState, error) {
	var b []byte
	var err error
	if cfg.From != "" {
		b, err = fileOrURL(ctx, open, cfg.From)
	} else {
		b, err = run(ctx, cfg.Run)
	}
	if err != nil {
		return s, err
	}
	text, err := search(cfg, b)
	if err != nil {
		return s, err
	}
	if cfg.Time == "number" {
		n, ok := number(text)
		if !ok {
			return s, fmt.Errorf("%.40q is no number", human.Safe(text))
		}
		s.Value, s.State = &n, Dated
		return s, nil
	}
	t, ok := parseStamp(text, cfg.Time)
	if !ok {
		return s, fmt.Errorf("%.60q is no time; say in time how it is written", human.Safe(text))
	}
	s.Made, s.State = t, Dated
	return s, nil
}

func search(cfg ProbeConfig, b []byte) (string, error) {
	if cfg.JSON != "" {
		doc, err := parseJSON(b)
		if err != nil {
			return "", err
		}
		v, ok := at(doc, cfg.JSON)
		if !ok {
			return "", fmt.Errorf("there is no field %s", cfg.JSON)
		}
		return scalar(v), nil
	}
	re, err := regexp.Compile(cfg.Match)
	if err != nil {
		return "", err
	}
	m := re.FindSubmatch(b)
	if len(m) < 2 {
		return "", fmt.Errorf("%q matches nothing in it", cfg.Match)
	}
	return string(m[1]), nil
}

// parseStamp reads a time in a layout of Go, or seconds or milliseconds since 1970.
func parseStamp(s, layout string) (time.Time, bool) {
	s = strings.TrimSpace(s)
	unix := func() (time.Time, bool) {
		t, err := parseEpoch(s)
		return t, err == nil && t.Unix() > 0
	}
	switch layout {
	case "unix":
		return unix()
	case "unix_ms":
		n, err := strconv.ParseUint(s, 10, 52)
		return time.UnixMilli(int64(n)).UTC(), err == nil && n > 0
	case "":
		if t, err := time.Parse(time.RFC3339, s); err == nil {
			return t.UTC(), true
		}
		return unix()
	}
	t, err := time.Parse(layout, s)
	return t.UTC(), err == nil && t.Year() > 1
}

func number(s string) (float64, bool) {
	n, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	return n, err == nil && n-n == 0 // neither infinite nor no number
}

func parseJSON(b []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var doc any
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("the answer is empty")
		}
		return nil, err
	}
	return doc, nil
}

// at follows a path of names and indices between points.
func at(doc any, path string) (any, bool) {
	steps := strings.SplitN(path, ".", maxJSONDepth)
	for _, step := range steps {
		switch x := doc.(type) {
		case map[string]any:
			v, ok := x[step]
			if !ok {
				return nil, false
			}
			doc = v
		case []any:
			i, err := strconv.ParseUint(step, 10, 31)
			if err != nil || int(i) >= len(x) {
				return nil, false
			}
			doc = x[i]
		default:
			return nil, false
		}
	}
	return doc, true
}

// plain is a field as text, also where it stands in an object as "value" or "$type".
func plain(doc any, name string) string {
	v, _ := at(doc, name)
	if m, ok := v.(map[string]any); ok {
		if inner, ok := m["value"]; ok {
			return scalar(inner)
		}
		return scalar(m["$type"])
	}
	return scalar(v)
}

func scalar(v any) string {
	switch x := v.(type) {
	case string:
		return x[:min(len(x), maxAmavisText)]
	case json.Number:
		return x.String()
	case bool:
		return strconv.FormatBool(x)
	}
	return ""
}
