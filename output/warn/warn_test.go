package warn

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"varde/event"
)

var at = time.Date(2016, 6, 7, 12, 38, 20, 0, time.UTC).UnixNano()

func warning(n int) event.Warning {
	e := event.Event{
		Kind: event.Flow, Time: at, End: at, Proto: event.TCP, Exporter: "edge-router",
		Src: netip.MustParseAddr("93.174.93.94"), SrcPort: 48928, Dst: netip.MustParseAddr("192.0.2.7"), DstPort: 53,
	}
	return event.Warning{
		ID: fmt.Sprint("id", n), Rule: "list", Severity: event.High, Verdict: event.AnsweredIn, Proto: event.TCP,
		Own: event.Endpoint{Addr: e.Dst, Port: 53, Name: "dns"}, Foreign: event.Endpoint{Addr: e.Src},
		Time: at + int64(27*time.Second), First: at, Last: at, Count: uint64(n), BytesOut: 48_000, BytesIn: 1_204_224,
		ExportLag: 27 * time.Second, MatchLag: 3 * time.Millisecond, Event: e,
		Evidence: []event.Evidence{
			{List: "otx", Entry: netip.MustParsePrefix("93.174.93.94/32"), Name: "A pulse", URL: "https://otx.alienvault.com/pulse/56fdd27e4637f207cbccfda7/", Confidence: 90, Seen: at - int64(2*time.Hour)},
			{List: "otx", Entry: netip.MustParsePrefix("93.174.93.0/24"), URL: "https://otx.alienvault.com/pulse/5711d7740ebaa4015af20592/"},
		},
	}
}

func TestClassicIsTheWeblogsForm(t *testing.T) {
	w := warning(1)
	want := "2016-06-07 12:38:20 : 93.174.93.94:48928 -> 192.0.2.7:53 (TCP)\n" +
		" https://otx.alienvault.com/pulse/56fdd27e4637f207cbccfda7/\n https://otx.alienvault.com/pulse/5711d7740ebaa4015af20592/\n\n"
	if got := string(AppendClassic(nil, &w, time.UTC)); got != want {
		t.Errorf("%q", got)
	}
	w.Event.Proto, w.Event.HasICMP, w.Event.ICMPType, w.Event.ICMPCode = event.ICMP, true, 3, 3
	if got := string(AppendClassic(nil, &w, time.UTC)); !strings.HasPrefix(got, "2016-06-07 12:38:20 : 93.174.93.94 -> 192.0.2.7 (icmp 3/3 port-unreachable)\n") {
		t.Errorf("%q", got)
	}
}

func TestLine(t *testing.T) {
	w := warning(3)
	want := `12:38:47  INBOUND   dns (192.0.2.7:53/tcp) answered 93.174.93.94                    high
          otx: "A pulse" confidence 90, seen 2 h ago · otx: 93.174.93.0/24
          3 flows, 48 kB out, 1.2 MB in, since 12:38:20 · edge-router · exported +27 s, matched +3 ms
`
	if got := string(AppendLine(nil, &w, Look{Zone: time.UTC})); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	w.Sampling = 512
	if got := string(AppendLine(nil, &w, Look{Zone: time.UTC})); !strings.Contains(got, "~48 kB out, ~1.2 MB in (1:512)") {
		t.Errorf("sampled counters are estimates:\n%s", got)
	}
}

// FuzzLine: hostile text stays inside its line and holds nothing that a terminal obeys.
func FuzzLine(f *testing.F) {
	f.Add("\x1b[31mred\n\u202eback", "name\r\n\u009b", "https://x/\x00")
	f.Fuzz(func(t *testing.T, list, name, url string) {
		w := warning(1)
		w.Own.Name, w.Event.Exporter = name, list
		w.Evidence = []event.Evidence{{List: list, Name: name, URL: url}}
		for form, lines := range map[string]int{"line": 3, "json": 1, "classic": 3} {
			b := string(Append(nil, &w, form, Look{Zone: time.UTC}))
			if got := strings.Count(b, "\n"); got != lines {
				t.Fatalf("%s: %d lines, want %d: %q", form, got, lines, b)
			}
			for _, r := range strings.ReplaceAll(b, "\n", "") {
				if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\u202e' {
					t.Fatalf("%s: %U in %q", form, r, b)
				}
			}
		}
	})
}

// hub runs a Hub until the returned function is called.
func hub(t *testing.T, dir string, cfgs ...Config) (*Hub, func()) {
	t.Helper()
	h, err := New(cfgs, dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); h.Run(ctx) }()
	stop := sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return h, stop
}

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
		var w struct{ ID string }
		if err := json.Unmarshal([]byte(line), &w); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		out = append(out, w.ID)
	}
	return out
}

// TestDeadOutputsHarmNobody: one receiver hangs, one refuses; the file has everything at once. When they are back,
// everything arrives in order, across a restart, although far more came than the queue in memory holds.
func TestDeadOutputsHarmNobody(t *testing.T) {
	const n = 3 * maxWaiting
	dir := t.TempDir()
	var alive atomic.Bool
	var mu sync.Mutex
	var posted []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !alive.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		var got struct{ ID string }
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		mu.Lock()
		posted = append(posted, got.ID)
		mu.Unlock()
	}))
	defer server.Close()
	path := filepath.Join(dir, "warnings.jsonl")
	cfgs := []Config{
		{File: &FileConfig{Path: path}}, {Webhook: &WebhookConfig{URL: server.URL}}, {Syslog: &SyslogConfig{Address: "tcp://127.0.0.1:1"}},
	}
	h, stop := hub(t, filepath.Join(dir, "spool"), cfgs...)
	for i := range n {
		h.Say(warning(i))
		if i%500 == 0 {
			time.Sleep(20 * time.Millisecond) // as fast as a busy day, not faster than a disk
		}
	}
	waitFor(t, "the file", func() bool { return len(ids(t, path)) == n })
	stop()
	alive.Store(true)
	hub(t, filepath.Join(dir, "spool"), cfgs...)
	waitFor(t, "the webhook", func() bool { mu.Lock(); defer mu.Unlock(); return len(posted) >= n })
	mu.Lock()
	defer mu.Unlock()
	for i, id := range posted {
		if id != fmt.Sprint("id", i) {
			t.Fatalf("warning %d at the webhook is %s", i, id)
		}
	}
	if len(posted) != n {
		t.Errorf("%d posted, want %d", len(posted), n)
	}
}

func TestFileSurvivesRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w.jsonl")
	h, _ := hub(t, "", Config{File: &FileConfig{Path: path}})
	h.Say(warning(1))
	waitFor(t, "the first", func() bool { return len(ids(t, path)) == 1 })
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	h.Say(warning(2))
	waitFor(t, "the second", func() bool { return len(ids(t, path)) == 1 })
}

func TestExecGetsJSONWithoutAShell(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	p, err := newExec(ExecConfig{Command: []string{"tee", out + "; $(id)"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Say(context.Background(), warning(1)); err != nil {
		t.Fatal(err)
	}
	if got := ids(t, out+"; $(id)"); len(got) != 1 || got[0] != "id1" {
		t.Errorf("%v", got)
	}
	p, _ = newExec(ExecConfig{Command: []string{"false"}})
	if p.Say(context.Background(), warning(1)) == nil {
		t.Error("a program that fails is a warning that was said")
	}
}

func TestSyslogFraming(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, err := newSyslog(SyslogConfig{Address: "tcp://" + l.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	w := warning(1)
	w.Own.Name = "a\"]\\\n"
	if err := s.Say(context.Background(), w); err != nil {
		t.Fatal(err)
	}
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	var n int
	if _, err := fmt.Fscanf(in, "%d ", &n); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(in, b); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(b), "<35>1 2016-06-07T12:38:47.000000Z ") || !strings.Contains(string(b), `[varde@32473 id="id1" rule="list" severity="high"`) || strings.Contains(string(b), "\n") {
		t.Errorf("%s", b)
	}
}

// TestRsyslog sends to a real rsyslogd over UDP and TCP and reads what it wrote.
func TestRsyslog(t *testing.T) {
	rsyslogd, err := exec.LookPath("rsyslogd")
	if err != nil {
		t.Skip("rsyslogd is not installed")
	}
	dir := t.TempDir()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := pc.LocalAddr().(*net.UDPAddr).Port
	pc.Close()
	conf := fmt.Sprintf(`module(load="imudp") module(load="imtcp")
input(type="imudp" address="127.0.0.1" port="%d")
input(type="imtcp" address="127.0.0.1" port="%d")
template(name="t" type="string" string="%%APP-NAME%%|%%MSGID%%|%%STRUCTURED-DATA%%|%%syslogseverity%%|%%msg%%\n")
*.* action(type="omfile" file="%s/out" template="t")
`, port, port, dir)
	if err := os.WriteFile(filepath.Join(dir, "conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(rsyslogd, "-n", "-f", filepath.Join(dir, "conf"), "-i", filepath.Join(dir, "pid"))
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	waitFor(t, "rsyslogd", func() bool {
		c, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", port))
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	h, _ := hub(t, "", Config{Syslog: &SyslogConfig{Address: fmt.Sprint("udp://127.0.0.1:", port)}}, Config{Syslog: &SyslogConfig{Address: fmt.Sprint("tcp://127.0.0.1:", port)}})
	h.Say(warning(1))
	want := `varde|opened|[varde@32473 id="id1" rule="list" severity="high" verdict="answered in" own="192.0.2.7" foreign="93.174.93.94" lists="otx,otx"]|3|`
	waitFor(t, "two messages in rsyslogd's file", func() bool {
		b, _ := os.ReadFile(filepath.Join(dir, "out"))
		return strings.Count(string(b), want) == 2
	})
}
