package fwlog

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"varde/event"
	"varde/input/fwlog/fwloggen"
	"varde/input/syslog"
)

func line(text string) *syslog.Line {
	var l syslog.Line
	syslog.NewParser(time.UTC).Parse([]byte(text), received, &l)
	return &l
}

func figure(t *testing.T, c *Collector, name, format string) uint64 {
	t.Helper()
	all, err := c.Figures(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if f.Name == name && (format == "" || f.Labels[0].Value == format) {
			return f.Count
		}
	}
	return 0
}

func TestLost(t *testing.T) {
	for name, want := range map[string]uint64{"ios": 18, "pfirewall": 17, "vpc": 1} {
		r, c := newReader(t, DefaultConfig(), func(*event.Event) {})
		for _, b := range sample(t, name) {
			r.Line(line(string(b)))
		}
		if n := figure(t, c, "varde_firewall_lost_total", name); n != want {
			t.Errorf("%s: %d packets lost, want %d", name, n, want)
		}
	}
}

// TestEveryLineIsCounted mixes all formats and malformed lines in one source: each line is an event or counted once.
func TestEveryLineIsCounted(t *testing.T) {
	events := uint64(0)
	r, c := newReader(t, DefaultConfig(), func(*event.Event) { events++ })
	lines := uint64(0)
	for i := range 60 { // interleaved, so that the format changes with every line
		for _, name := range Formats() {
			if all := sample(t, name); i < len(all) {
				if lines++; r.Line(line(string(all[i]))) && r.Format() != name {
					t.Errorf("%s was read as %s: %s", name, r.Format(), all[i])
				}
			}
		}
	}
	sum := figure(t, c, "varde_firewall_other_total", "")
	for _, name := range Formats() {
		for _, what := range []string{"parsed", "unparsed", "ignored"} {
			sum += figure(t, c, "varde_firewall_"+what+"_total", name)
		}
	}
	if n := figure(t, c, "varde_firewall_lines_total", ""); n != lines || sum != lines {
		t.Errorf("%d lines; %d counted as read, %d by what became of them", lines, n, sum)
	}
	parsed := uint64(0)
	for _, name := range Formats() {
		parsed += figure(t, c, "varde_firewall_parsed_total", name)
	}
	if parsed != events || events == 0 {
		t.Errorf("%d events, %d counted", events, parsed)
	}
}

// TestCutAnywhere cuts every sample line at every byte: nothing panics, and where the end of an address or port is
// missing there is no event with a wrong one. Messages that end with a port, and those in which the order is free, do not
// show that they were cut.
func TestCutAnywhere(t *testing.T) {
	for _, name := range Formats() {
		var last event.Event
		r, _ := newReader(t, Config{Format: name}, func(e *event.Event) { last = e.Clone() })
		for _, b := range sample(t, name) {
			b = bytes.TrimRight(b, "\r\n")
			if !r.Line(line(string(b))) || name == "unifi" || endless(b) {
				continue
			}
			whole := last
			for n := range b {
				if !r.Line(line(string(b[:n]))) {
					continue
				}
				if last.Src != whole.Src || last.Dst != whole.Dst || last.SrcPort != whole.SrcPort || last.DstPort != whole.DstPort {
					t.Errorf("%s: cut to %q it is %s:%d -> %s:%d, want %s:%d -> %s:%d", name, b[:n],
						last.Src, last.SrcPort, last.Dst, last.DstPort, whole.Src, whole.SrcPort, whole.Dst, whole.DstPort)
					break
				}
			}
		}
	}
}

func endless(b []byte) bool {
	return bytes.Contains(b, []byte("-106010")) || bytes.Contains(b, []byte("-71000"))
}

// TestHostile replaces bytes of every sample line by what does not belong there.
func TestHostile(t *testing.T) {
	for _, name := range Formats() {
		r, _ := newReader(t, DefaultConfig(), func(e *event.Event) { e.AppendJSON(nil) })
		for _, b := range sample(t, name) {
			for i := range b {
				for _, bad := range []string{"\x00", "\xff", "99999999999999999999999999", "=", `"`, "(", "[", ":", ""} {
					r.Line(line(string(b[:i]) + bad + string(b[i+1:])))
				}
			}
		}
	}
}

func TestOverlong(t *testing.T) {
	var got event.Event
	r, c := newReader(t, DefaultConfig(), func(e *event.Event) { got = e.Clone() })
	text := "DROP IN=eth0 OUT= SRC=203.0.113.1 DST=192.0.2.1 LEN=40 PROTO=TCP SPT=1 DPT=23 WINDOW=1 RES=0x00 SYN URGP=0 OPT ("
	l := syslog.Line{Raw: []byte(text + strings.Repeat("F", 2*syslog.MaxLine) + ") DPT=99")}
	l.Text, l.Body = l.Raw, l.Raw
	if !r.Line(&l) || got.DstPort != 23 {
		t.Errorf("%+v", got)
	}
	if n := figure(t, c, "varde_firewall_cut_total", ""); n != 1 || len(l.Raw) < syslog.MaxLine {
		t.Errorf("%d lines cut, want 1; the caller's line has %d bytes", n, len(l.Raw))
	}
}

func TestSamplesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		c := New(slog.New(slog.NewTextHandler(&out, nil)))
		r, err := c.NewReader(DefaultConfig(), func(*event.Event) {})
		if err != nil {
			t.Fatal(err)
		}
		bad := line("Jun  1 03:37:27 fw kernel: DROP\x1b[31m IN=eth0 OUT= SRC=203.0.113.8" + strings.Repeat("x", 1000))
		for range 1000 {
			r.Line(bad)
		}
		time.Sleep(complainEvery)
		r.Line(bad)
		if n := strings.Count(out.String(), "\n"); n != 2 || !strings.Contains(out.String(), "and_more=999") {
			t.Errorf("%d lines in the log, want 2:\n%s", n, out.String())
		}
		if out.Len() > 1000 || strings.Contains(out.String(), "\x1b") {
			t.Errorf("a sample is too long, or obeyed by terminals: %q", out.String())
		}
	})
}

func TestConfigCheck(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{DefaultConfig(), ""},
		{Config{}, ""},
		{Config{Format: "netfilter", Zone: "UTC", Actions: map[string]string{"IN-": "deny"}}, ""},
		{Config{Format: "nftables"}, "use auto or one of netfilter, mikrotik"},
		{Config{Zone: "Mars/Olympus"}, "Europe/Berlin"},
		{Config{Actions: map[string]string{"x": "drop"}}, "use deny, accept, audit or unknown"},
		{Config{Actions: map[string]string{"": "deny"}}, "empty text"},
	} {
		err := c.cfg.Check()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.cfg, err, c.want)
		}
	}
}

func TestOwnActions(t *testing.T) {
	cfg := Config{Actions: map[string]string{"FW": "accept", "FW-IN": "deny", "AUDIT": "unknown", "watch": "audit"}}
	for prefix, want := range map[string]event.Action{
		"FW-IN ":     event.Deny, // the longest decides
		"FW-OUT ":    event.Accept,
		"watch-DROP": event.Audit, // above the words
		"my AUDIT ":  event.UnknownAction,
		"plain ":     event.UnknownAction,
	} {
		var got event.Event
		r, _ := newReader(t, cfg, func(e *event.Event) { got = e.Clone() })
		if !r.Line(line("Jun  1 03:37:27 fw kernel: "+prefix+"IN=eth0 OUT= SRC=203.0.113.1 DST=192.0.2.1 PROTO=47")) || got.Action != want {
			t.Errorf("%q: %s, want %s", prefix, got.Action, want)
		}
	}
}

func TestNamedFormatReadsNoOther(t *testing.T) {
	r, c := newReader(t, Config{Format: "mikrotik"}, func(*event.Event) {})
	for _, b := range sample(t, "netfilter") {
		if r.Line(line(string(b))) {
			t.Fatalf("read %s", b)
		}
	}
	if n := figure(t, c, "varde_firewall_other_total", ""); n != uint64(len(sample(t, "netfilter"))) {
		t.Errorf("%d lines of no firewall", n)
	}
}

func TestExporter(t *testing.T) {
	const text = "IN=eth0 OUT= SRC=203.0.113.1 DST=192.0.2.1 PROTO=47"
	for _, c := range []struct{ host, name, peer, want string }{
		{"", "", "", ""},
		{"", "", "192.0.2.200", "192.0.2.200"},
		{"fw", "", "192.0.2.200", "fw"},
		{"MikroTik", "edge", "192.0.2.200", "edge"},
	} {
		var got event.Event
		r, _ := newReader(t, DefaultConfig(), func(e *event.Event) { got = e.Clone() })
		l := syslog.Line{Raw: []byte(text), Text: []byte(text), Body: []byte(text), Host: []byte(c.host), PeerName: c.name}
		if c.peer != "" {
			l.Peer, _ = wholeAddress([]byte(c.peer))
		}
		if !r.Line(&l) || got.Exporter != c.want {
			t.Errorf("%+v: %q", c, got.Exporter)
		}
	}
}

// TestDay reads a day with all that stands around its lines.
func TestDay(t *testing.T) {
	var log bytes.Buffer
	const lines = 20_000
	if err := (fwloggen.Day{Start: received.Truncate(24 * time.Hour), Lines: lines, Seed: 3}).Write(&log); err != nil {
		t.Fatal(err)
	}
	events, six := 0, 0
	r, _ := newReader(t, DefaultConfig(), func(e *event.Event) {
		events++
		if e.Src.Is6() {
			six++
		}
	})
	p := syslog.NewParser(time.UTC)
	var l syslog.Line
	for b := range bytes.Lines(log.Bytes()) {
		p.Parse(b, received, &l)
		r.Line(&l)
	}
	if events != lines || six < lines/12 {
		t.Errorf("%d events of %d lines, %d of IPv6", events, lines, six)
	}
}
