package warn

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"varde/event"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var at = time.Date(2016, 6, 7, 12, 38, 20, 0, time.UTC).UnixNano()

// warning is the contact that the first lines of the manual show; n stands in its ID and its count.
func warning(n int) event.Warning {
	e := event.Event{
		Kind: event.Flow, Source: "netflow9", Time: at - int64(time.Minute), End: at - int64(27*time.Second),
		Exported: at, Received: at, Exporter: "edge-router", Proto: event.TCP, TCPFlags: event.SYN | event.ACK | event.PSH,
		Src: netip.MustParseAddr("10.0.3.17"), SrcPort: 50123, Dst: netip.MustParseAddr("203.0.113.94"), DstPort: 4444,
		Packets: 12, Bytes: 9000, RawPackets: 12, RawBytes: 9000, Sampling: 1,
	}
	return event.Warning{
		ID: fmt.Sprint("id", n), Rule: "list", Severity: event.Critical, Verdict: event.AnsweredOut, Proto: event.TCP,
		Own: event.Endpoint{Addr: e.Src, Name: "office-pc-7"}, Foreign: event.Endpoint{Addr: e.Dst, Port: 4444},
		Time: at, First: at - int64(7*time.Minute+18*time.Second), Last: at, Count: uint64(n),
		PacketsOut: 61, BytesOut: 48_000, PacketsIn: 870, BytesIn: 1_204_224, Sampling: 1,
		ExportLag: 27 * time.Second, MatchLag: 3 * time.Millisecond, Event: e, Why: "first traffic with this address",
		Evidence: []event.Evidence{
			{
				List: "ThreatFox", Entry: netip.MustParsePrefix("203.0.113.94/32"), Port: 4444, Name: "QakBot C2", Confidence: 90,
				URL: "https://threatfox.example/ioc/1001/", Seen: at - int64(2*time.Hour), Side: event.SideDst,
			},
			{List: "OTX", Entry: netip.MustParsePrefix("203.0.113.0/24"), Name: "Bulletproof hosting", URL: "https://otx.example/pulse/57/", Side: event.SideDst},
		},
	}
}

// golden compares with a file under testdata, or rewrites it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s (-want +got):\n%s", name, d)
	}
}

// hub runs a Hub until the returned function is called.
func hub(t *testing.T, dir string, cfgs ...Config) (*Hub, func()) {
	t.Helper()
	h, err := New(cfgs, dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return h, start(t, h)
}

func start(t *testing.T, h *Hub) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); h.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return stop
}

// waitFor waits for what other programs, or the kernel, do in their own time.
func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited 20 s for %s", what)
		}
	}
}

// ids are those of the warnings in a file of JSON lines.
func ids(t *testing.T, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		if !strings.HasSuffix(line, "\n") {
			break // still being written
		}
		var w struct{ ID string }
		if err := json.Unmarshal([]byte(line), &w); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		out = append(out, w.ID)
	}
	return out
}

// lines counts the finished lines of a file, zero while there is none.
func lines(path string) int {
	b, _ := os.ReadFile(path)
	return bytes.Count(b, []byte("\n"))
}

// sequence are the IDs of n warnings.
func sequence(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprint("id", i)
	}
	return out
}

// figure is the value of a figure of the only output of that name.
func figure(t *testing.T, h *Hub, name, output string) float64 {
	t.Helper()
	all, err := h.Figures(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if f.Name == name && f.Labels[0].Value == output {
			return f.Float()
		}
	}
	t.Fatalf("no figure %s of %s", name, output)
	return 0
}

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  Config
		want string // part of the error, "" for none
	}{
		"default":    {DefaultConfig()[0], ""},
		"no way":     {Config{}, "exactly one of"},
		"two ways":   {Config{Console: &ConsoleConfig{}, File: &FileConfig{Path: "x"}}, "exactly one of"},
		"severity":   {Config{Min: "loud", Console: &ConsoleConfig{}}, `min "loud"`},
		"state":      {Config{States: []string{"open"}, Console: &ConsoleConfig{}}, `"open"`},
		"name":       {Config{Name: "../x", Console: &ConsoleConfig{}}, `name "../x"`},
		"spool":      {Config{Spool: 10, Console: &ConsoleConfig{}}, "spool 10B"},
		"all of one": {Config{Name: "siem-1", Min: "low", States: []string{"closed"}, Rules: []string{"list"}, Console: &ConsoleConfig{}}, ""},
	} {
		checkError(t, name, c.cfg.Check(), c.want)
	}
	type checker interface{ Check() error }
	for name, c := range map[string]struct {
		cfg  checker
		want string
	}{
		"console format":   {&ConsoleConfig{Format: "xml"}, `format "xml"`},
		"console zone":     {&ConsoleConfig{Zone: "Mars"}, `zone "Mars"`},
		"file path":        {&FileConfig{}, "needs a path"},
		"syslog address":   {&SyslogConfig{Address: "siem.example"}, "address"},
		"syslog port":      {&SyslogConfig{Address: "tcp://siem.example"}, "address"},
		"syslog facility":  {&SyslogConfig{Address: "udp://[2001:db8::1]:514", Facility: "local8"}, `facility "local8"`},
		"syslog framing":   {&SyslogConfig{Address: "udp://[2001:db8::1]:514", Framing: "nul"}, `framing "nul"`},
		"syslog key":       {&SyslogConfig{Address: "tls://siem.example:6514", Cert: "x"}, "go together"},
		"syslog length":    {&SyslogConfig{Address: "udp://siem.example:514", MaxLength: 100}, "max_length"},
		"syslog JSON":      {&SyslogConfig{Address: "udp://siem.example:514", MaxLength: 600, Format: "json"}, "max_length"},
		"syslog sd_id":     {&SyslogConfig{Address: "udp://siem.example:514", SDID: "a b"}, "sd_id"},
		"syslog fine":      {&SyslogConfig{Address: "unix:///dev/log", Facility: "local7", SDID: "-"}, ""},
		"webhook URL":      {&WebhookConfig{URL: "chat.example"}, "url"},
		"webhook timeout":  {&WebhookConfig{URL: "https://chat.example/", Timeout: 1e12}, "timeout"},
		"mail from":        {&MailConfig{To: []string{"a@example.org"}}, "from"},
		"mail to":          {&MailConfig{From: "a@example.org"}, "receivers"},
		"mail injection":   {&MailConfig{From: "a@example.org", To: []string{"b@example.org\nBcc: c@example.org"}}, "to"},
		"mail login":       {&MailConfig{From: "a@example.org", To: []string{"b@example.org"}, Username: "x"}, "go together"},
		"mail TLS":         {&MailConfig{From: "a@example.org", To: []string{"b@example.org"}, TLS: "yes"}, `tls "yes"`},
		"mail fine":        {&MailConfig{From: "varde <a@example.org>", To: []string{"b@example.org"}}, ""},
		"exec nothing":     {&ExecConfig{}, "needs a command"},
		"exec relative":    {&ExecConfig{Command: []string{"page-me"}}, "full path"},
		"exec wrong field": {&ExecConfig{Command: []string{"/bin/true", "{{.foreign.adr}}"}}, "adr"},
		"exec fine":        {&ExecConfig{Command: []string{"/bin/true", "{{.foreign.addr}}"}}, ""},
	} {
		checkError(t, name, c.cfg.Check(), c.want)
	}
}

func checkError(t *testing.T, name string, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: %v", name, err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("%s: error %v, want one with %q", name, err, want)
	}
}
