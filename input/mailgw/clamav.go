package mailgw

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"varde/event/human"
)

// ClamAVConfig says where ClamAV keeps its signatures and where its daemon listens.
type ClamAVConfig struct {
	Dir       string     `yaml:"dir" doc:"DatabaseDirectory of ClamAV; empty is off."`
	Databases human.List `yaml:"databases" doc:"Databases that must be there, by name without ending."`
	Clamd     string     `yaml:"clamd" doc:"Socket of clamd, a path or host:port; empty does not ask it."`
	DNS       bool       `yaml:"dns" doc:"Ask the project's DNS record for the newest versions."`
	Record    string     `yaml:"record" doc:"Name of that record."`
}

// Check says which value is impossible.
func (c *ClamAVConfig) Check() error {
	for _, name := range c.Databases {
		if name == "" || strings.ContainsAny(name, "/\x00") {
			return fmt.Errorf("databases: %q is no name of a database; use main, daily, bytecode", name)
		}
	}
	if c.Clamd != "" && !strings.HasPrefix(c.Clamd, "/") {
		if _, _, err := net.SplitHostPort(c.Clamd); err != nil {
			return fmt.Errorf("clamd is %q; use a path like /run/clamav/clamd.ctl or 127.0.0.1:3310", c.Clamd)
		}
	}
	return nil
}

// Texts looks up TXT records; net.Resolver is one.
type Texts interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// Signatures is what one database on the disk says of itself.
type Signatures struct {
	Name    string // main, daily, bytecode ...
	File    string
	Version uint64
	Built   time.Time // by whoever made it; the time of the file says only when something touched it
	Count   uint64
	Level   uint64 // functionality level of the engine that it was made for
	Builder string
	Err     error // why nothing is known; the other fields are empty then
}

// ClamdState is what the running daemon says of itself.
type ClamdState struct {
	Asked   bool
	Engine  string    // like 1.4.6
	Version uint64    // of daily; 0 where it has loaded none
	Built   time.Time // of that
	Err     error
}

// ClamAVUpstream is what the project's DNS record says.
type ClamAVUpstream struct {
	Asked    bool
	Engine   string
	Versions map[string]uint64 // by database
	Level    uint64
	Recorded time.Time
	Err      error
}

// ClamAVState is what is known of ClamAV's signatures: on the disk, in the daemon, upstream.
type ClamAVState struct {
	Read       time.Time
	Databases  []Signatures
	Daemon     ClamdState
	Upstream   ClamAVUpstream
	RetryAfter time.Time // freshclam may not ask before, because the mirror blocks it; zero when it may
	RetryErr   error     // why that is not known; freshclam may never have written it down, which is no error
}

// Daily is the database of that name, or one with an error.
func (s *ClamAVState) Daily() Signatures {
	for _, d := range s.Databases {
		if d.Name == "daily" {
			return d
		}
	}
	return Signatures{Name: "daily", Err: fs.ErrNotExist}
}

// DaemonLag is how many versions of daily the daemon is behind the disk, and whether both are known. A daemon keeps
// the old signatures after new ones have come until it is told to reload.
func (s *ClamAVState) DaemonLag() (int64, bool) {
	d := s.Daily()
	if d.Err != nil || s.Daemon.Err != nil || s.Daemon.Version == 0 {
		return 0, false
	}
	return int64(d.Version) - int64(s.Daemon.Version), true
}

// Lag is how many versions a database on the disk is behind upstream, and whether both are known.
func (s *ClamAVState) Lag(name string) (int64, bool) {
	newest, ok := s.Upstream.Versions[name]
	for _, d := range s.Databases {
		if d.Name == name && d.Err == nil && ok {
			return int64(newest) - int64(d.Version), true
		}
	}
	return 0, false
}

// ClamAV reads the state of ClamAV's signatures.
type ClamAV struct {
	cfg   ClamAVConfig
	texts Texts
	now   func() time.Time
}

// NewClamAV makes a reader; texts may be nil where DNS is not asked.
func NewClamAV(cfg ClamAVConfig, texts Texts) *ClamAV {
	return &ClamAV{cfg: cfg, texts: texts, now: time.Now}
}

// Snapshot looks at the disk, the daemon and upstream, as far as configured. What cannot be known says why in its own
// place; the error is for a state of which nothing is known.
func (c *ClamAV) Snapshot(ctx context.Context) (ClamAVState, error) {
	s := ClamAVState{Read: c.now()}
	if c.cfg.Dir == "" {
		return s, errors.New("no folder of ClamAV's databases is configured: set clamav.dir")
	}
	var errs []error
	for _, name := range c.cfg.Databases {
		d := readSignatures(c.cfg.Dir, name, s.Read)
		s.Databases = append(s.Databases, d)
		if d.Err != nil {
			errs = append(errs, d.Err)
		}
	}
	s.RetryAfter, s.RetryErr = c.retryAfter(ctx, s.Read)
	if c.cfg.Clamd != "" {
		s.Daemon = askClamd(ctx, c.cfg.Clamd)
	}
	if c.cfg.DNS && c.texts != nil {
		s.Upstream = c.upstream(ctx, s.Read)
	}
	if len(errs) > 0 && len(errs) == len(s.Databases) {
		return s, errs[0]
	}
	return s, nil
}

func (c *ClamAV) retryAfter(ctx context.Context, now time.Time) (time.Time, error) {
	path := filepath.Join(c.cfg.Dir, "freshclam.dat")
	b, err := fileOrURL(ctx, nil, path)
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	t, err := parseFreshclamDat(b)
	if err != nil {
		return t, fmt.Errorf("read %s: %w", path, err)
	}
	if !t.After(now) {
		t = time.Time{}
	}
	return t, nil
}

// The forms of a database: as loaded whole, as patched since, and unsigned.
var signatureEndings = [...]string{".cld", ".cvd", ".cud"}

// cvdHeader is how long the header of a database is.
const cvdHeader = 512

// readSignatures reads the newest form of a database.
func readSignatures(dir, name string, now time.Time) Signatures {
	best := Signatures{Name: name}
	var errs []error
	for _, ending := range signatureEndings {
		path := filepath.Join(dir, name+ending)
		s, err := readCVD(path)
		if err == nil && s.Built.After(now.Add(24*time.Hour)) {
			err = fmt.Errorf("read %s: built in the future, on %s; is the clock right?", path, s.Built.Format(time.RFC3339))
		}
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
			continue
		}
		if s.Version > best.Version || best.File == "" {
			s.Name, s.File = name, path
			best = s
		}
	}
	if best.File == "" {
		if best.Err = errors.Join(errs...); len(errs) == 0 {
			best.Err = fmt.Errorf("read %s: %w; has freshclam ever run?", filepath.Join(dir, name+".cvd"), fs.ErrNotExist)
		}
	}
	return best
}

func readCVD(path string) (Signatures, error) {
	f, err := os.Open(path)
	if err != nil {
		return Signatures{}, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, cvdHeader))
	if err != nil {
		return Signatures{}, fmt.Errorf("read %s: %w", path, err)
	}
	s, err := parseCVD(b)
	if err != nil {
		return Signatures{}, fmt.Errorf("read %s: %w", path, err)
	}
	return s, nil
}

// parseCVD reads the header of a database: fields between colons, padded with blanks to 512 bytes: magic, build time
// with a hyphen between hours and minutes, version, number of signatures, functionality level, MD5, digital signature,
// builder, build time in seconds since 1970, which very old ones lack.
func parseCVD(b []byte) (Signatures, error) {
	if len(b) == 0 {
		return Signatures{}, errors.New("the file is empty")
	}
	f := strings.Split(string(bytes.TrimRight(b, " \x00")), ":")
	if f[0] != "ClamAV-VDB" || len(f) < 8 {
		return Signatures{}, errors.New("no header of a ClamAV database")
	}
	var s Signatures
	var errs [3]error
	s.Version, errs[0] = strconv.ParseUint(f[2], 10, 32)
	s.Count, errs[1] = strconv.ParseUint(f[3], 10, 32)
	s.Level, errs[2] = strconv.ParseUint(f[4], 10, 32)
	s.Builder = f[7]
	if err := errors.Join(errs[:]...); err != nil {
		return Signatures{}, errors.New("its version, number of signatures or level is no number")
	}
	if len(f) > 8 {
		if t, err := parseEpoch(f[8]); err == nil && t.Unix() > 0 {
			s.Built = t
			return s, nil
		}
	}
	t, err := time.Parse("2 Jan 2006 15-04 -0700", f[1])
	if err != nil {
		return Signatures{}, fmt.Errorf("%.40q is no build time", f[1])
	}
	s.Built = t.UTC()
	return s, nil
}

const (
	clamdTimeout = 5 * time.Second
	maxClamd     = 4096
)

// askClamd asks the daemon for its version. The answer is "ClamAV 1.4.6/6/Wed Jun 23 01:34:05 2021", or the part
// before the first slash alone where no daily is loaded.
func askClamd(ctx context.Context, address string) ClamdState {
	s := ClamdState{Asked: true}
	ctx, cancel := context.WithTimeout(ctx, clamdTimeout)
	defer cancel()
	network := "tcp"
	if strings.HasPrefix(address, "/") {
		network = "unix"
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		s.Err = err
		return s
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	b, err := clamdCommand(conn, "zVERSION\x00")
	if err == nil {
		s, err = parseClamdVersion(string(b))
	}
	if err != nil {
		s.Err = fmt.Errorf("ask clamd at %s: %w", address, err)
	}
	return s
}

func clamdCommand(conn io.ReadWriter, command string) ([]byte, error) {
	if _, err := io.WriteString(conn, command); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(conn, maxClamd))
	if err != nil {
		return nil, err
	}
	return bytes.TrimRight(b, "\x00\n"), nil
}

func parseClamdVersion(line string) (ClamdState, error) {
	s := ClamdState{Asked: true}
	engine, rest, more := strings.Cut(line, "/")
	var ok bool
	if s.Engine, ok = strings.CutPrefix(engine, "ClamAV "); !ok || len(engine) > 64 {
		return s, fmt.Errorf("%.40q is no version of ClamAV", line)
	}
	if !more {
		return s, nil
	}
	version, date, _ := strings.Cut(rest, "/")
	var err error
	if s.Version, err = strconv.ParseUint(version, 10, 32); err != nil {
		return s, fmt.Errorf("%.40q is no version of a database", version)
	}
	// The daemon writes its local time without a zone.
	if s.Built, err = time.ParseInLocation(time.ANSIC, date, time.Local); err != nil {
		return s, fmt.Errorf("%.40q is no time", date)
	}
	s.Built = s.Built.UTC()
	return s, nil
}

// recordTrust is how old the DNS record may be. freshclam itself stops believing it then.
const recordTrust = 12 * time.Hour

func (c *ClamAV) upstream(ctx context.Context, now time.Time) ClamAVUpstream {
	texts, err := c.texts.LookupTXT(ctx, c.cfg.Record)
	if err != nil {
		return ClamAVUpstream{Asked: true, Err: err}
	}
	u, err := parseClamAVRecord(strings.Join(texts[:min(len(texts), 1)], ""))
	if err == nil && now.Sub(u.Recorded) > recordTrust {
		err = fmt.Errorf("it was made on %s, which is too old to be believed", u.Recorded.Format(time.RFC3339))
	}
	if err != nil {
		return ClamAVUpstream{Asked: true, Err: fmt.Errorf("read TXT record of %s: %w", c.cfg.Record, err)}
	}
	return u
}

// parseClamAVRecord reads "1.4.3:62:27700:1752000000:1:90:49192:336": newest ClamAV, main, daily, time of the record,
// whether to warn of old versions, functionality level, safebrowsing (no longer made), bytecode.
func parseClamAVRecord(text string) (ClamAVUpstream, error) {
	u := ClamAVUpstream{Asked: true, Versions: map[string]uint64{}}
	f := strings.Split(text, ":")
	if len(f) < 8 {
		return u, fmt.Errorf("%.60q has %d fields, want at least 8", text, len(f))
	}
	var errs [5]error
	u.Engine = f[0]
	u.Versions["main"], errs[0] = strconv.ParseUint(f[1], 10, 32)
	u.Versions["daily"], errs[1] = strconv.ParseUint(f[2], 10, 32)
	u.Recorded, errs[2] = parseEpoch(f[3])
	u.Level, errs[3] = strconv.ParseUint(f[5], 10, 32)
	u.Versions["bytecode"], errs[4] = strconv.ParseUint(f[7], 10, 32)
	if errors.Join(errs[:]...) != nil {
		return u, fmt.Errorf("%.60q holds something else than numbers", text)
	}
	return u, nil
}

// parseFreshclamDat reads when freshclam may ask its mirror again: the text FreshClamData, then a C struct of a 32-bit
// version, a UUID as text of 37 bytes and, aligned to eight, a 64-bit time.
func parseFreshclamDat(b []byte) (time.Time, error) {
	const magic = "FreshClamData"
	rest, ok := bytes.CutPrefix(b, []byte(magic))
	if !ok || len(rest) < 56 || u32(rest, 0) != 1 {
		return time.Time{}, errors.New("no freshclam.dat of version 1")
	}
	return time.Unix(int64(u64(rest, 48)&(1<<40-1)), 0).UTC(), nil
}
