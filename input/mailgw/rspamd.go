package mailgw

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// RspamdConfig says where the controller of rspamd answers.
type RspamdConfig struct {
	URL          string `yaml:"url" doc:"Address of the controller's statistics, like http://127.0.0.1:11334/stat; empty is off."`
	PasswordFile string `yaml:"password_file" doc:"File with the controller's password; rspamd asks for it from addresses that are not its own."`
}

// Check says which value is impossible.
func (c *RspamdConfig) Check() error {
	if c.URL != "" && !isURL(c.URL) {
		return fmt.Errorf("url is %q; use http://127.0.0.1:11334/stat", c.URL)
	}
	return nil
}

// RspamdActions are the actions of rspamd in the order of its statistics.
var RspamdActions = [...]string{"reject", "soft reject", "rewrite subject", "add header", "greylist", "no action"}

// RspamdValues is what rspamd tells of itself.
type RspamdValues struct {
	Read        time.Time
	Version     string
	Uptime      time.Duration
	Scanned     uint64
	Learned     uint64
	Spam, Ham   uint64
	Connections uint64
	Actions     [len(RspamdActions)]uint64
	Allocated   uint64          // bytes
	ScanTimes   []time.Duration // of the last messages, at most 31
}

const maxScanTimes = 64

// Rspamd reads the statistics of one rspamd.
type Rspamd struct {
	cfg  RspamdConfig
	open Open
	now  func() time.Time
}

// NewRspamd makes a reader; it asks nothing yet.
func NewRspamd(cfg RspamdConfig, open Open) *Rspamd {
	return &Rspamd{cfg: cfg, open: open, now: time.Now}
}

// Snapshot asks for the statistics.
func (r *Rspamd) Snapshot(ctx context.Context) (RspamdValues, error) {
	if r.cfg.URL == "" {
		return RspamdValues{}, errors.New("no address of rspamd is configured: set rspamd.url")
	}
	header := map[string]string{}
	if r.cfg.PasswordFile != "" {
		password, err := secret(r.cfg.PasswordFile)
		if err != nil {
			return RspamdValues{}, fmt.Errorf("read password of rspamd: %w", err)
		}
		header["Password"] = password
	}
	b, err := r.open.get(ctx, r.cfg.URL, header)
	if err != nil {
		return RspamdValues{}, err
	}
	v, err := parseRspamd(b)
	if err != nil {
		return RspamdValues{}, fmt.Errorf("read %s: %w", r.cfg.URL, err)
	}
	v.Read = r.now()
	return v, nil
}

// parseRspamd reads the answer of /stat. An object without the counters is an error: it must not look like a rspamd
// that has done nothing.
func parseRspamd(b []byte) (RspamdValues, error) {
	var w struct {
		Version     string            `json:"version"`
		Uptime      uint32            `json:"uptime"`
		Scanned     *uint64           `json:"scanned"`
		Learned     uint64            `json:"learned"`
		Spam        uint64            `json:"spam_count"`
		Ham         uint64            `json:"ham_count"`
		Connections uint64            `json:"connections"`
		Allocated   uint64            `json:"bytes_allocated"`
		Actions     map[string]uint64 `json:"actions"`
		ScanTimes   []*json.Number    `json:"scan_times"`
	}
	if err := json.Unmarshal(b, &w); err != nil {
		return RspamdValues{}, err
	}
	if w.Scanned == nil || w.Actions == nil {
		return RspamdValues{}, errors.New("the answer holds no counters; is it /stat of the controller?")
	}
	v := RspamdValues{
		Version: w.Version[:min(len(w.Version), maxAmavisText)], Uptime: time.Duration(w.Uptime) * time.Second,
		Scanned: *w.Scanned, Learned: w.Learned, Spam: w.Spam, Ham: w.Ham, Connections: w.Connections, Allocated: w.Allocated,
	}
	for i, name := range RspamdActions {
		v.Actions[i] = w.Actions[name]
	}
	for _, n := range w.ScanTimes[:min(len(w.ScanTimes), maxScanTimes)] {
		if n == nil {
			continue
		}
		if s, err := n.Float64(); err == nil && s >= 0 && s < 1e6 {
			v.ScanTimes = append(v.ScanTimes, time.Duration(s*float64(time.Second)))
		}
	}
	return v, nil
}
