package mailgw

import (
	"context"
	"crypto/md5" // vendors publish it; it guards against an old file, not against a forger
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Freshness is what is known of a scanner's signatures.
type Freshness string

// The states of signatures.
const (
	Current  Freshness = "current"  // the newest, as the vendor says
	Outdated Freshness = "outdated" // there, but not the newest
	Missing  Freshness = "missing"  // the newest file has not come yet
	Dated    Freshness = "dated"    // only their age is known
	NotKnown Freshness = "unknown"  // nothing is known: never the same as current
)

// ScannerState is what a virus scanner or a probe tells of its signatures.
type ScannerState struct {
	Name    string
	Read    time.Time
	State   Freshness
	Made    time.Time // when the signatures that are here were made, zero where that is not told
	Version string
	File    string   // which they are in, where it is one
	Value   *float64 // a number that a probe found
	Issues  []string // what the scanner complains of
	Err     error    // why nothing is known
}

func (s ScannerState) unknown(err error) ScannerState {
	return ScannerState{Name: s.Name, Read: s.Read, State: NotKnown, Err: err}
}

// SophosConfig compares the newest signature file with what the vendor's status file says.
type SophosConfig struct {
	Status string `yaml:"status" doc:"The vendor's latest_IDE.xml, a path or a URL; empty is off."`
	Dir    string `yaml:"dir" doc:"Folder of the signature files."`
}

// Check says which value is impossible.
func (c *SophosConfig) Check() error {
	if c.Status != "" && c.Dir == "" {
		return errors.New("dir is empty; say where the signature files are, like /opt/sophos-av/lib/sav")
	}
	return nil
}

// maxSigned bounds the files of which a checksum is made.
const maxSigned = 256 << 20

// sophos reads the status file and makes the checksum of the file that it names.
func sophos(ctx context.Context, cfg SophosConfig, open Open, now time.Time) ScannerState {
	s := ScannerState{Name: "sophos", Read: now}
	b, err := fileOrURL(ctx, open, cfg.Status)
	if err != nil {
		return s.unknown(err)
	}
	ide, err := parseSophos(b)
	if err != nil {
		return s.unknown(fmt.Errorf("read %s: %w", cfg.Status, err))
	}
	s.File = ide.Name
	s.State, err = compare(filepath.Join(cfg.Dir, ide.Name), ide.MD5)
	if err != nil {
		return s.unknown(err)
	}
	if s.State == Current {
		s.Made = ide.made
	}
	return s
}

type sophosIDE struct {
	Name      string `xml:"name"`
	MD5       string `xml:"md5"`
	Timestamp string `xml:"timestamp"`
	made      time.Time
}

// parseSophos reads <latest><ide><name/><md5/><size/><timestamp/><published/></ide></latest>. Times have no zone and
// are taken as UTC.
func parseSophos(b []byte) (sophosIDE, error) {
	var w struct {
		XMLName xml.Name  `xml:"latest"`
		IDE     sophosIDE `xml:"ide"`
	}
	if err := xml.Unmarshal(b, &w); err != nil {
		return w.IDE, fmt.Errorf("no status file of Sophos: %w", err)
	}
	ide := w.IDE
	ide.Name, ide.MD5 = strings.TrimSpace(ide.Name), strings.ToLower(strings.TrimSpace(ide.MD5))
	if !plainName(ide.Name) {
		return ide, fmt.Errorf("%.80q is no name of a file", ide.Name)
	}
	if sum, err := hex.DecodeString(ide.MD5); err != nil || len(sum) != md5.Size {
		return ide, fmt.Errorf("%.80q is no MD5", ide.MD5)
	}
	ide.made, _ = time.Parse("2006-01-02T15:04:05", strings.TrimSpace(ide.Timestamp))
	return ide, nil
}

// plainName tells a name that stays in its folder.
func plainName(s string) bool {
	return s != "" && len(s) <= 255 && filepath.Base(s) == s && s != "." && s != ".." && !strings.ContainsRune(s, 0)
}

// compare makes the checksum of a file; which kind is told by its length.
func compare(path, want string) (Freshness, error) {
	var h hash.Hash
	switch len(want) {
	case 2 * md5.Size:
		h = md5.New()
	case 2 * sha1.Size:
		h = sha1.New()
	case 2 * sha256.Size:
		h = sha256.New()
	case 2 * sha512.Size:
		h = sha512.New()
	default:
		return NotKnown, fmt.Errorf("%.80q is no MD5, SHA-1, SHA-256 or SHA-512", want)
	}
	f, err := openRegular(path)
	if errors.Is(err, fs.ErrNotExist) {
		// Where the folder itself is missing, nothing is known about the file.
		if _, err := os.Stat(filepath.Dir(path)); err != nil {
			return NotKnown, err
		}
		return Missing, nil
	}
	if err != nil {
		return NotKnown, err
	}
	defer f.Close()
	n, err := io.Copy(h, io.LimitReader(f, maxSigned+1))
	if err != nil {
		return NotKnown, fmt.Errorf("read %s: %w", path, err)
	}
	if n > maxSigned {
		return NotKnown, fmt.Errorf("read %s: more than %d bytes", path, maxSigned)
	}
	if n == 0 || hex.EncodeToString(h.Sum(nil)) != strings.ToLower(want) {
		return Outdated, nil
	}
	return Current, nil
}

// DefenderConfig asks Microsoft Defender for its health.
type DefenderConfig struct {
	Run  []string `yaml:"run" doc:"The program and its arguments, like [mdatp, health, --output, json]; empty is off."`
	File string   `yaml:"file" doc:"A file with that output instead, for where varde may not run the program."`
}

// defender reads the health of Defender.
func defender(ctx context.Context, cfg DefenderConfig, now time.Time) ScannerState {
	s := ScannerState{Name: "defender", Read: now}
	var b []byte
	var err error
	if cfg.File != "" {
		b, err = fileOrURL(ctx, nil, cfg.File)
	} else {
		b, err = run(ctx, cfg.Run)
	}
	if err == nil {
		s, err = parseDefender(b, s)
	}
	if err != nil {
		return s.unknown(fmt.Errorf("read health of defender: %w", err))
	}
	return s
}

// parseDefender reads what "mdatp health --output json" says. Depending on its version a value stands plainly or in an
// object, as "value" or "$type".
func parseDefender(b []byte, s ScannerState) (ScannerState, error) {
	doc, err := parseJSON(b)
	if err != nil {
		return s, err
	}
	status := strings.ToLower(strings.ReplaceAll(plain(doc, "definitionsStatus"), "_", ""))
	switch {
	case strings.HasPrefix(status, "uptodate"):
		s.State = Current
	case status == "":
		return s, errors.New("it tells no definitionsStatus")
	case strings.Contains(status, "unavailable") || status == "unknown":
		return s, fmt.Errorf("definitionsStatus is %.40q", status)
	default:
		s.State = Outdated
	}
	s.Version = plain(doc, "definitionsVersion")
	if m, ok := number(plain(doc, "definitionsUpdatedMinutesAgo")); ok && m >= 0 && m < 1e8 {
		s.Made = s.Read.Add(-time.Duration(m) * time.Minute)
	} else if t, ok := parseStamp(plain(doc, "definitionsUpdated"), "Jan 2, 2006 at 3:04:05 PM"); ok {
		s.Made = t
	}
	if plain(doc, "healthy") == "false" {
		s.Issues = append(s.Issues, "not healthy")
	}
	if plain(doc, "realTimeProtectionEnabled") == "false" {
		s.Issues = append(s.Issues, "real-time protection is off")
	}
	if issues, ok := at(doc, "healthIssues"); ok {
		list, _ := issues.([]any)
		for _, x := range list[:min(len(list), maxIssues)] {
			s.Issues = append(s.Issues, scalar(x))
		}
	}
	return s, nil
}

const maxIssues = 20
