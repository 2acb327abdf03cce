package warn

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"varde/event"
	"varde/event/human"
)

// hostile is text as somebody writes it who wants to be obeyed by a terminal, a log or a mail.
const hostile = "\x1b[31mred\x1b]0;title\x07\r\nBcc: x@example.org\n\u202eback\u0085\u009b2J\x00\xff\"]\\ · critical"

func icmp(w *event.Warning, proto, typ, code uint8) {
	w.Proto, w.Event.Proto = proto, proto
	w.Event.HasICMP, w.Event.ICMPType, w.Event.ICMPCode = true, typ, code
	w.Event.SrcPort, w.Event.DstPort = 0, uint16(typ)<<8|uint16(code) // as exporters fill it
	w.Foreign.Port = w.Event.DstPort
	w.Event.TCPFlags = 0
}

// cases are the kinds of warnings that golden files show.
var cases = []struct {
	name   string
	change func(*event.Warning)
}{
	{"answered out", func(*event.Warning) {}},
	{"probe in", func(w *event.Warning) {
		w.Verdict, w.Severity, w.Count, w.BytesOut, w.PacketsOut = event.ProbeIn, event.Low, 1, 0, 0
		w.Own.Port, w.Foreign.Port = 23, 0
	}},
	{"answered in", func(w *event.Warning) {
		w.Verdict, w.Severity, w.Own = event.AnsweredIn, event.High, event.Endpoint{Addr: netip.MustParseAddr("192.0.2.7"), Port: 53, Name: "dns"}
		w.Foreign = event.Endpoint{Addr: netip.MustParseAddr("198.51.100.9"), Name: "scanner.example"}
	}},
	{"refused in", func(w *event.Warning) {
		w.Verdict, w.Severity, w.Own.Port, w.Foreign.Port = event.RefusedIn, event.Info, 22, 0
	}},
	{"contact out", func(w *event.Warning) {
		w.Verdict, w.Severity, w.BytesIn, w.PacketsIn = event.ContactOut, event.High, 0, 0
	}},
	{"refused out", func(w *event.Warning) { w.Verdict, w.Severity = event.RefusedOut, event.Medium }},
	{"reply only", func(w *event.Warning) { w.Verdict, w.Severity = event.ReplyOnly, event.Medium }},
	{"passing", func(w *event.Warning) { w.Verdict, w.Severity = event.Passing, event.Low }},
	{"unknown verdict", func(w *event.Warning) { w.Verdict, w.Severity = event.VerdictUnknown, event.Info }},
	{"escalated", func(w *event.Warning) { w.State, w.Why = event.Escalated, "there is an answer now" }},
	{"closed", func(w *event.Warning) {
		w.State, w.Why, w.Time = event.Closed, "quiet since then", at+int64(time.Hour)
		w.ExportLag, w.MatchLag = 0, 0
	}},
	{"sampled, no answer", func(w *event.Warning) {
		w.Verdict, w.Severity, w.BytesIn, w.PacketsIn, w.Sampling = event.ContactOut, event.High, 0, 0, 1000
		w.Why = "first traffic with this address; the traffic is sampled, so that no answer was seen proves nothing"
	}},
	{"since days", func(w *event.Warning) { w.First = at - int64(50*time.Hour) }},
	{"ipv6", func(w *event.Warning) {
		w.Own.Addr, w.Own.Name, w.Foreign.Addr = netip.MustParseAddr("2001:db8:1::17"), "", netip.MustParseAddr("2001:db8:ffff::94")
		w.Event.Src, w.Event.Dst = w.Own.Addr, w.Foreign.Addr
		w.Evidence[0].Entry = netip.MustParsePrefix("2001:db8:ffff::94/128")
		w.Evidence[0].Name = ""
	}},
	{"icmp", func(w *event.Warning) {
		icmp(w, event.ICMP, 3, 3)
		w.Verdict, w.Severity = event.RefusedIn, event.Info
	}},
	{"icmp6", func(w *event.Warning) {
		icmp(w, event.ICMPv6, 128, 0)
		w.Own.Addr, w.Foreign.Addr = netip.MustParseAddr("2001:db8:1::17"), netip.MustParseAddr("2001:db8:ffff::94")
		w.Event.Src, w.Event.Dst = w.Own.Addr, w.Foreign.Addr
	}},
	{"icmp without type", func(w *event.Warning) {
		icmp(w, event.ICMP, 0, 0)
		w.Event.HasICMP = false
	}},
	{"gre", func(w *event.Warning) { w.Proto, w.Event.Proto, w.Foreign.Port = 47, 47, 0 }},
	{"many lists", func(w *event.Warning) {
		for i := range 5 {
			w.Evidence = append(w.Evidence, event.Evidence{List: fmt.Sprint("list ", i), Entry: netip.MustParsePrefix("203.0.113.0/25"), URL: fmt.Sprintf("https://lists.example/%d/", i)})
		}
	}},
	{"many entries of a list", func(w *event.Warning) {
		for range 3 {
			w.Evidence = append(w.Evidence, event.Evidence{List: "OTX", Name: "Another pulse"})
		}
	}},
	{"weak evidence", func(w *event.Warning) {
		w.Severity = event.Low
		w.Evidence[0].PortMiss, w.Evidence[0].Downgraded, w.Evidence[0].Port = true, true, 443
		w.Evidence[1].Info = true
	}},
	{"no evidence", func(w *event.Warning) { w.Evidence = nil }},
	{"where and whose", func(w *event.Warning) {
		w.Event.InIf, w.Event.OutIndex, w.Event.Country, w.Event.ASN = "lan0", 7, "NL", 64500
	}},
	{"honeypot", func(w *event.Warning) {
		w.Event.Kind, w.Event.Exporter, w.Verdict, w.Severity, w.Count = event.Login, "pot-1", event.AnsweredIn, event.Medium, 1204
		w.BytesIn, w.BytesOut, w.PacketsIn, w.PacketsOut = 0, 0, 0, 0
		w.Own, w.Foreign.Port, w.ExportLag = event.Endpoint{Addr: netip.MustParseAddr("192.0.2.22"), Port: 2222, Name: "pot-1"}, 0, 0
	}},
	{"tunnel to a name", func(w *event.Warning) {
		w.Event.Kind, w.Event.Dst, w.Event.DstPort = event.Tunnel, netip.Addr{}, 443
		w.Event.Detail.Set("host", "mail.example")
	}},
	{"surge", func(w *event.Warning) { surge(w) }},
	{"surge, goes on", func(w *event.Warning) {
		surge(w)
		w.State, w.Count = event.Escalated, 4120
		w.Why += "; again: 4 times the sources since it was last said"
	}},
	{"surge, over", func(w *event.Warning) {
		surge(w)
		w.State, w.Last, w.Time = event.Closed, at, at+int64(24*time.Hour)
		w.Why = "tcp/7547 (TR-069) is quiet again: 1,030 new sources came in 12 h, mostly BR 54 %, GB 18 %, IE 5 %"
		w.Surge.Curve = make([]uint32, 96)
	}},
	{"surge of which little is known", func(w *event.Warning) {
		surge(w)
		w.Why, w.Surge = "tcp/30303 is on the rise", &event.Surge{}
	}},
	{"scan", func(w *event.Warning) { scan(w) }},
	{"scan, let in", func(w *event.Warning) {
		scan(w)
		w.State, w.Verdict, w.Severity = event.Escalated, event.AnsweredIn, event.Medium
		w.Why += "; it was let in on port 22; again: this is news"
	}},
	{"scan, distributed", func(w *event.Warning) {
		scan(w)
		w.Own, w.Foreign, w.Severity = event.Endpoint{}, event.Endpoint{}, event.Medium
		w.Why = "19 sources of 203.0.113.0/24 share a distributed scan of 1,204 ports from 3 to 65000 on 3 addresses in 4 min, 5 a second"
		w.Scan.Sources, w.Scan.Targets = 19, 3
		for i := range 16 {
			w.Scan.From = append(w.Scan.From, netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}), 32))
		}
	}},
	{"a detector of its own", func(w *event.Warning) {
		w.Rule, w.Own, w.Verdict, w.Severity = "campaign", event.Endpoint{}, event.ProbeIn, event.Medium
		w.Why, w.Event.Kind, w.Foreign.Port = "came with the same payload as 14 others", event.Probe, 0
	}},
	{"found later", func(w *event.Warning) {
		w.Rule, w.Why = "hunt", "was contacted 9 days before the list named it"
	}},
	{"nothing known", func(w *event.Warning) { *w = event.Warning{Time: at} }},
	{"long name", func(w *event.Warning) {
		w.Own.Name = strings.Repeat("very-long-", 12) + "host.example"
		w.Evidence[0].Name = strings.Repeat("Ünïcode 漢字 ", 20)
	}},
	{"hostile", func(w *event.Warning) {
		w.Own.Name, w.Event.Exporter, w.Why, w.State = hostile, hostile, hostile, event.Escalated
		w.Event.InIf, w.Event.Country, w.Rule, w.ID = hostile, hostile, hostile, hostile
		w.Event.Detail.Set("host", hostile)
		for i := range w.Evidence {
			v := &w.Evidence[i]
			v.List, v.Name, v.URL, v.Tags = hostile, hostile, "https://x/"+hostile, []string{hostile}
		}
	}},
}

// surge is a port on the rise as package detect says it.
func surge(w *event.Warning) {
	*w = event.Warning{
		Rule: "surge", Severity: event.High, Verdict: event.ProbeIn, Proto: event.TCP, Own: event.Endpoint{Port: 7547},
		Time: at, First: at - int64(12*time.Hour), Last: at, Count: 1030,
		Why:   "tcp/7547 (TR-069) is on the rise: 34 new sources in 15 min against 0.02 usually, from 21 networks, mostly BR 54 %, GB 18 %, IE 5 %; known for remote management of subscribers' routers",
		Event: event.Event{Kind: event.Probe, Time: at, Exporter: "edge-router", Country: "BR", ASN: 64500},
		Surge: &event.Surge{
			Sources: 34, Window: 15 * time.Minute, Expected: 0.02, Networks: 21, FirstSeen: at - int64(90*24*time.Hour),
			Curve: make([]uint32, 96), CurveFrom: at - int64(24*time.Hour), CurveBin: 15 * time.Minute,
			Countries: []event.Share{{Name: "BR", Count: 552}, {Name: "GB", Count: 186}, {Name: "IE", Count: 50}},
			ASes:      []event.Share{{Name: "AS64500", Count: 201}, {Name: "AS64511", Count: 88}},
		},
	}
	for i := 48; i < 96; i++ {
		w.Surge.Curve[i] = uint32(min(i-40, 30))
	}
	w.Surge.Curve[7] = 1
}

// scan is a scan of one of our addresses as package detect says it.
func scan(w *event.Warning) {
	w.Rule, w.Verdict, w.Severity, w.Evidence = "scan", event.ProbeIn, event.Low, nil
	w.Own, w.Foreign.Port = event.Endpoint{Addr: netip.MustParseAddr("192.0.2.7"), Name: "www"}, 0
	w.Why = "a vertical scan of 1,204 ports from 3 to 65000 on www (192.0.2.7) in 4 min, 5 a second"
	w.Count, w.Event.Kind, w.Event.Country, w.Event.ASN = 1204, event.Probe, "NL", 64500
	w.BytesOut, w.BytesIn, w.PacketsIn, w.PacketsOut, w.ExportLag = 0, 0, 0, 0, 0
	w.Scan = &event.Scan{Pattern: "vertical", Ports: 1204, Low: 3, High: 65000, Targets: 1, Sources: 1, Tried: []uint16{443, 22, 8080, 3389, 23, 25, 110, 5900, 3306, 1723}}
}

func TestLines(t *testing.T) {
	for _, form := range []struct {
		golden string
		look   Look
	}{
		{"line.golden", Look{Zone: time.UTC}},
		{"line-80.golden", Look{Zone: time.UTC, Width: 80}},
		{"line-dated.golden", Look{Zone: time.FixedZone("CEST", 7200), Dated: true}},
	} {
		var b bytes.Buffer
		for _, c := range cases {
			w := warning(3)
			c.change(&w)
			block := AppendLine(nil, &w, form.look)
			fmt.Fprintf(&b, "== %s\n%s", c.name, block)
			isSafe(t, c.name, block)
			for line := range strings.Lines(string(block)) {
				if n := columns(strings.TrimSuffix(line, "\n")); form.look.Width > 0 && n > form.look.Width && strings.ContainsRune(strings.TrimSpace(line), ' ') && c.name != "hostile" {
					t.Errorf("%s: %d columns: %s", c.name, n, line)
				}
			}
		}
		golden(t, form.golden, b.Bytes())
	}
}

func TestOtherForms(t *testing.T) {
	for _, form := range []string{"compact", "classic"} {
		var b bytes.Buffer
		for _, c := range cases {
			w := warning(3)
			c.change(&w)
			block := Append(nil, &w, form, Look{Zone: time.UTC})
			fmt.Fprintf(&b, "== %s\n%s", c.name, block)
			isSafe(t, c.name, block)
		}
		golden(t, form+".golden", b.Bytes())
	}
}

// isSafe fails when something in b, but for the newlines, is obeyed rather than shown.
func isSafe(t *testing.T, name string, b []byte) {
	t.Helper()
	s := strings.ReplaceAll(string(b), "\n", "")
	if safe := human.Safe(s); safe != s {
		t.Errorf("%s: not safe to show: %q", name, s)
	}
}

// TestClassicIsTheWeblogsForm: the five samples of the post, with an address for aa.bb.cc.dd.
func TestClassicIsTheWeblogsForm(t *testing.T) {
	const pulse = "https://otx.alienvault.com/pulse/"
	var b []byte
	for _, c := range []struct {
		at, src, dst string
		proto        uint8
		pulses       []string
	}{
		{"12:38:20", "93.174.93.94:48928", "192.0.2.7:53", event.TCP, []string{"56fdd27e4637f207cbccfda7", "5711d7740ebaa4015af20592"}},
		{"13:37:46", "192.0.2.7:5901", "183.60.48.25:12207", event.TCP, []string{"56bbe5ba4637f25d9365dcab", "568a9c1f67db8c057c6fc09f"}},
		{"13:51:34", "192.0.2.7:443", "184.105.139.67:58879", event.TCP, []string{"56c3ab564637f26ad04e3dc3"}},
		{"17:51:13", "216.243.31.2:43140", "192.0.2.7:443", event.TCP, []string{"5709fcb267db8c4b471bdc3c", "568a99df4637f2624bcdbcb8"}},
		{"18:00:52", "93.174.93.50:46521", "192.0.2.7:53", event.UDP, []string{"5709fcb267db8c4b471bdc3c", "571c4147c1492d015c14c214"}},
	} {
		when, err := time.Parse(time.DateTime, "2016-06-07 "+c.at)
		if err != nil {
			t.Fatal(err)
		}
		src, dst := netip.MustParseAddrPort(c.src), netip.MustParseAddrPort(c.dst)
		w := event.Warning{Event: event.Event{
			Kind: event.Flow, Time: when.UnixNano(), End: when.UnixNano(), Proto: c.proto,
			Src: src.Addr(), SrcPort: src.Port(), Dst: dst.Addr(), DstPort: dst.Port(),
		}}
		for _, p := range c.pulses {
			w.Evidence = append(w.Evidence, event.Evidence{List: "otx", URL: pulse + p + "/"})
		}
		b = AppendClassic(b, &w, time.UTC)
	}
	golden(t, "weblog.golden", b)
}

func TestPrinterNamesTheDay(t *testing.T) {
	cest := time.FixedZone("CEST", 7200)
	p := NewPrinter("line")
	var b []byte
	for _, step := range []time.Duration{0, time.Minute, 12 * time.Hour} {
		w := warning(1)
		w.Time += int64(step)
		b = p.Append(b, &w, Look{Zone: cest})
	}
	var days []string
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, "times in") {
			days = append(days, strings.TrimSpace(line))
		}
	}
	want := "[Tuesday, 7 June 2016, times in CEST, UTC+02:00 Wednesday, 8 June 2016, times in CEST, UTC+02:00]"
	if got := fmt.Sprint(days); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	w := warning(1)
	if got := string(NewPrinter("line").Append(nil, &w, Look{Zone: time.UTC, Dated: true})); !strings.HasPrefix(got, "2016-06-07T12:38:20Z  OUTBOUND") {
		t.Errorf("a dated line needs no day before it: %s", got)
	}
}

func TestLookFor(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if look := LookFor(w); !look.Dated || look.Colour || look.Width != 0 {
		t.Errorf("a pipe is no terminal: %+v", look)
	}
	x := warning(1)
	coloured := AppendLine(nil, &x, Look{Zone: time.UTC, Colour: true})
	if !bytes.Contains(coloured, []byte("\x1b[1;31mcritical\x1b[0m")) {
		t.Errorf("no colour: %q", coloured)
	}
	plain := strings.NewReplacer("\x1b[1;31m", "", "\x1b[0m", "").Replace(string(coloured))
	if want := string(AppendLine(nil, &x, Look{Zone: time.UTC})); plain != want {
		t.Errorf("colour moves text:\n%s%s", plain, want)
	}
}

// FuzzForms: whatever stands in a warning's texts, each form has as many lines as with harmless ones and holds nothing
// that is obeyed.
func FuzzForms(f *testing.F) {
	f.Add("list", "name", "host", "https://x.example/", "why", uint8(0))
	f.Add(hostile, hostile, hostile, hostile, hostile, uint8(255))
	f.Add("\u2028", "\U000e0041", "\xc3\x28", "\u200f", "; \n", uint8(80))
	f.Fuzz(func(t *testing.T, list, name, host, url, why string, width uint8) {
		fill := func(s func(string) string) *event.Warning {
			w := warning(1)
			w.Own.Name, w.Event.Exporter, w.Event.OutIf, w.Why, w.ID = s(host), s(host), s(host), s(why), s(name)
			w.State = event.Escalated
			w.Event.Detail.Set("host", s(host))
			w.Evidence = []event.Evidence{{List: s(list), Name: s(name), URL: s(url), Text: s(url), Tags: []string{s(name)}}}
			return &w
		}
		bad := fill(func(s string) string { return s })
		good := fill(func(s string) string { return s[:min(len(s), 1)] })
		for _, v := range []*string{&good.Own.Name, &good.Event.Exporter, &good.Event.OutIf, &good.Why, &good.Evidence[0].URL} {
			if *v != "" {
				*v = "x"
			}
		}
		for _, form := range []string{"line", "compact", "classic", "json"} {
			b := Append(nil, bad, form, Look{Zone: time.UTC})
			isSafe(t, form, b)
			if got, want := bytes.Count(b, []byte("\n")), bytes.Count(Append(nil, good, form, Look{Zone: time.UTC}), []byte("\n")); got != want {
				t.Errorf("%s: %d lines, want %d: %q", form, got, want, b)
			}
		}
		isSafe(t, "wrapped", AppendLine(nil, bad, Look{Zone: time.UTC, Width: int(width)}))
		for _, address := range []string{"udp://192.0.2.1:514", "unix:///dev/log"} {
			s, err := newSyslog(SyslogConfig{Address: address, Hostname: "h", MaxLength: leastMessage + human.Size(width)})
			if err != nil {
				t.Fatal(err)
			}
			m := s.(*syslog).message(bad)
			isSafe(t, address, bytes.ReplaceAll(m, []byte("\n"), []byte("\x00")))
			if len(m) > leastMessage+int(width) {
				t.Errorf("%s: %d bytes", address, len(m))
			}
		}
		d := newDigest(time.UTC)
		d.add(bad)
		d.add(bad)
		isSafe(t, "digest", d.text())
	})
}
