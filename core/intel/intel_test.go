package intel

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"varde/event"
)

// samples are small lists of each format, with what is read of them: kind, value, port, name and confidence.
var samples = map[string]struct{ text, want string }{
	"plain": {
		"\ufeff# a comment\r\n192.0.2.1\r\n198.51.100.7/24 ; host bits set\n203.0.113.4-203.0.113.9\n192.0.2[.]5:8080\n[2001:db8::1]:443\n" +
			"::ffff:192.0.2.9\nevil[.]example\nhxxp://evil.example/x\nd41d8cd98f00b204e9800998ecf84270\nExitAddress 192.0.2.77 2016-06-07 12:00:00\n0.0.0.0/0\n010.1.1.1\n",
		"192.0.2.1/32 198.51.100.0/24 203.0.113.4/30 203.0.113.8/31 192.0.2.5/32:8080 2001:db8::1/128:443 192.0.2.9/32 evil.example " +
			"http://evil.example/x d41d8cd98f00b204e9800998ecf84270 192.0.2.77/32 | line 12 line 13",
	},
	"csv": {
		"ip,port,malware,confidence\n192.0.2.1,443,Emotet,90\n2001:db8::/48,,Net,\nnot an address,1,x,2\n",
		"192.0.2.1/32:443(Emotet,90) 2001:db8::/48(Net) | line 4",
	},
	"otx": {
		`{"results":[{"id":"56fd","name":"P","modified":"2026-01-02T03:04:05.678000","indicators":[` +
			`{"type":"IPv4","indicator":"192.0.2.1","is_active":1},{"type":"IPv4","indicator":"192.0.2.2","is_active":0},` +
			`{"type":"CIDR","indicator":"198.51.100.0/25","expiration":"2001-01-01T00:00:00"},{"type":"domain","indicator":"Evil.Example"},` +
			`{"type":"Mutex","indicator":"x"},{"type":"FileHash-SHA1","indicator":"DA39A3EE5E6B4B0D3255BFEF95601890AFD80700"}]}],"next":null}`,
		"192.0.2.1/32(P) evil.example(P) da39a3ee5e6b4b0d3255bfef95601890afd80700(P) |",
	},
	"spamhaus": {
		`{"cidr":"198.51.100.0/24","sblid":"SBL1","rir":"ripencc"}` + "\n" + `{"type":"metadata","timestamp":1,"records":1}` + "\n",
		"198.51.100.0/24(SBL1) |",
	},
	"dshield": {
		"# DShield\nStart\tEnd\tNetblock\tAttacks\tName\tCountry\temail\n198.51.100.0\t198.51.100.255\t24\t99\tNET\tZZ\ta@b\n203.0.113.0\t203.0.113.255\t24\t3\n",
		"198.51.100.0/24(NET) 203.0.113.0/24(attacking network) |",
	},
	"threatfox": {
		"# \"first_seen_utc\",\"ioc_id\",\"ioc_value\",\"ioc_type\",\"threat_type\",\"fk_malware\"\n" +
			`"2026-01-01 00:00:00", "7", "192.0.2.1:4444", "ip:port", "botnet_cc", "win.q", "", "QakBot", "", "90", "", "a,b", "0", "r"` + "\n",
		"192.0.2.1/32:4444(QakBot C2,90) |",
	},
	"feodo": {
		"# Feodo\n\"first_seen_utc\",\"dst_ip\",\"dst_port\",\"c2_status\",\"last_online\",\"malware\"\n\"2026-01-01 00:00:00\",\"192.0.2.1\",\"8080\",\"online\",\"2026-01-02\",\"Dridex\"\n",
		"192.0.2.1/32:8080(Dridex C2) |",
	},
	"feodo-json": {
		`[{"ip_address":"192.0.2.1","port":443,"status":"online","malware":"Emotet","first_seen":"2026-01-01 00:00:00","last_online":"2026-01-02"}]`,
		"192.0.2.1/32:443(Emotet C2) |",
	},
	"threatfox-json": {
		`{"7":[{"ioc_value":"192.0.2.1:4444","ioc_type":"ip:port","threat_type":"botnet_cc","malware_printable":"QakBot","confidence_level":90,` +
			`"first_seen_utc":"2026-01-01 00:00:00","last_seen_utc":null,"tags":"a,b"}],"8":[{"ioc_value":"evil.example","threat_type":"payload_delivery"}]}`,
		"192.0.2.1/32:4444(QakBot C2,90) evil.example(payload delivery) |",
	},
	"urlhaus": {
		"# id,dateadded,url,url_status,last_online,threat,tags,urlhaus_link,reporter\n" +
			`"1","2026-01-01 00:00:00","http://192.0.2.1/bin.sh","online","","malware_download","elf","https://urlhaus.example/url/1/","x"` + "\n",
		"http://192.0.2.1/bin.sh(malware_download) 192.0.2.1/32:80(malware_download) |",
	},
	"misp": {
		`{"Event":{"info":"E","uuid":"u","Attribute":[{"type":"ip-dst|port","value":"192.0.2.1|443","to_ids":true,"timestamp":"1700000000"},` +
			`{"type":"ip-src","value":"192.0.2.2","to_ids":false}],"Object":[{"Attribute":[{"type":"domain|ip","value":"a.example|192.0.2.3","to_ids":true}]}]}}`,
		"192.0.2.1/32:443(E) a.example(E) 192.0.2.3/32(E) |",
	},
	"stix": {
		`{"type":"bundle","objects":[{"type":"indicator","name":"N","confidence":85,"pattern":"[ipv4-addr:value = '192.0.2.1' OR ipv4-addr:value ISSUBSET '198.51.100.0/24']"},` +
			`{"type":"indicator","revoked":true,"pattern":"[ipv4-addr:value = '192.0.2.9']"},{"type":"indicator","pattern":"[process:name = 'x']"}]}`,
		"192.0.2.1/32(N,85) 198.51.100.0/24(N,85) | line 0",
	},
}

// parse reads a list and writes what came of it in a line.
func parse(f Format, text string) (string, error) {
	var got, rejects []string
	err := f.Parse(strings.NewReader(text), &Sink{
		Now: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC).UnixNano(),
		Add: func(i *Indicator) {
			s := i.Text
			if i.Type == Address {
				s = i.Prefix.String()
			}
			if i.Port != 0 {
				s += fmt.Sprint(":", i.Port)
			}
			if i.Name != "" && i.Name != "host bits set" {
				s += "(" + i.Name
				if i.Confidence != 0 {
					s += fmt.Sprint(",", i.Confidence)
				}
				s += ")"
			}
			got = append(got, s)
		},
		Reject: func(r Reject) { rejects = append(rejects, fmt.Sprint("line ", r.Line)) },
	})
	return strings.TrimSpace(strings.Join(got, " ") + " | " + strings.Join(rejects, " ")), err
}

func TestFormats(t *testing.T) {
	for _, f := range Formats() {
		s, ok := samples[f.Name]
		if !ok {
			t.Errorf("format %s has no sample", f.Name)
			continue
		}
		if found, ok := Detect([]byte(strings.TrimPrefix(s.text, "\ufeff"))); !ok || found.Name != f.Name {
			t.Errorf("%s is taken for %q", f.Name, found.Name)
		}
		got, err := parse(f, s.text)
		if err != nil || got != s.want {
			t.Errorf("%s: %v\n%s", f.Name, err, cmp.Diff(s.want, got))
		}
		if _, err := parse(f, "<!DOCTYPE html><html><body>blocked</body></html>"); err == nil {
			t.Errorf("%s takes an HTML page for a list", f.Name)
		}
	}
}

func TestHalfJSONIsAnError(t *testing.T) {
	for _, name := range []string{"otx", "misp", "stix", "feodo-json", "threatfox-json"} {
		f, _ := FormatNamed(name)
		if _, err := parse(f, samples[name].text[:len(samples[name].text)-3]); err == nil {
			t.Errorf("%s: half a document was taken", name)
		}
	}
}

func FuzzFormats(f *testing.F) {
	for name, s := range samples {
		f.Add(name, []byte(s.text))
	}
	f.Fuzz(func(t *testing.T, name string, b []byte) {
		format, ok := FormatNamed(name)
		if !ok {
			return
		}
		_ = format.Parse(bytes.NewReader(b), &Sink{Reject: func(Reject) {}, Add: func(i *Indicator) {
			if i.Type == Address && (!i.Prefix.IsValid() || i.Prefix != i.Prefix.Masked() || i.Prefix.Addr().Is4In6() && i.Prefix.Bits() == 128) {
				t.Fatalf("prefix %v", i.Prefix)
			}
			if i.Type != Address && (i.Text == "" || len(i.Text) > maxLine) || i.Confidence > 100 {
				t.Fatalf("%+v", i)
			}
		}})
	})
}

// set makes a Set of one list with that text.
func set(t testing.TB, text string, allowed AllowConfig) *Set {
	t.Helper()
	path := filepath.Join(t.TempDir(), "list.txt")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := New([]ListConfig{{Name: "l", File: path, Format: "plain"}}, allowed, "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Load(); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestMatchEqualsNaive compares with looking at every prefix.
func TestMatchEqualsNaive(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		addr := rapid.Custom(func(t *rapid.T) netip.Addr {
			if rapid.Bool().Draw(t, "v6") {
				return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: rapid.ByteRange(0, 7).Draw(t, "low")})
			}
			return netip.AddrFrom4([4]byte{198, rapid.ByteRange(50, 52).Draw(t, "b"), 1, rapid.ByteRange(0, 7).Draw(t, "d")})
		})
		var prefixes []netip.Prefix
		var text strings.Builder
		for range rapid.IntRange(0, 20).Draw(rt, "n") {
			a := addr.Draw(rt, "a")
			p := netip.PrefixFrom(a, a.BitLen()-rapid.IntRange(0, 18).Draw(rt, "bits")).Masked()
			prefixes = append(prefixes, p)
			fmt.Fprintln(&text, p)
		}
		s := set(t, text.String(), AllowConfig{})
		for range 20 {
			e := event.Event{Src: addr.Draw(rt, "src"), Dst: addr.Draw(rt, "dst")}
			s.Match(&e)
			var got, want []string
			for i := range e.Evidence {
				got = append(got, fmt.Sprint(e.Evidence[i].Side, e.Evidence[i].Entry))
			}
			for _, p := range prefixes {
				if p.Contains(e.Src) {
					want = append(want, fmt.Sprint(event.SideSrc, p))
				}
				if p.Contains(e.Dst) {
					want = append(want, fmt.Sprint(event.SideDst, p))
				}
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				rt.Fatalf("%v -> %v: %v, want %v", e.Src, e.Dst, got, want)
			}
		}
	})
}

func TestPortsAndExceptions(t *testing.T) {
	s := set(t, "203.0.113.9:4444\n198.51.100.0/24\n10.1.0.0/16\nmail.evil.example\nd41d8cd98f00b204e9800998ecf8427e\n", AllowConfig{
		Entries: []AllowEntry{
			{Prefix: "198.51.100.9", Why: "CDN"},
			{Prefix: "198.51.100.10", Action: "downgrade"},
			{Prefix: "198.51.100.11", Until: "2020-01-01"},
			{Port: 25, List: "l"},
		},
	})
	for _, tc := range []struct {
		addr string
		port uint16
		want string
	}{
		{"203.0.113.9", 4444, "203.0.113.9:4444"},
		{"203.0.113.9", 80, "203.0.113.9:4444 port"},
		{"198.51.100.8", 1, "198.51.100.0/24"},
		{"198.51.100.9", 1, ""},
		{"198.51.100.10", 1, "198.51.100.0/24 low"},
		{"198.51.100.11", 1, "198.51.100.0/24"},
		{"198.51.100.8", 25, ""},
		{"192.0.2.1", 1, ""},
	} {
		got := ""
		for _, v := range s.Lookup(netip.MustParseAddr(tc.addr), tc.port) {
			got = v.String()
			if v.PortMiss {
				got += " port"
			}
			if v.Downgraded {
				got += " low"
			}
		}
		if got != tc.want {
			t.Errorf("%s port %d: %q, want %q", tc.addr, tc.port, got, tc.want)
		}
	}
	if n := len(set(t, "10.1.0.0/16\n", DefaultAllow()).Lookup(netip.MustParseAddr("10.1.2.3"), 1)); n != 0 {
		t.Error("a private range raised an alert")
	}
	if len(s.Table().Domain("a.mail.evil.example")) != 1 || len(s.Table().Domain("evil.example")) != 0 {
		t.Error("domains match themselves and what is below them")
	}
	if len(s.Table().Hash([]byte("\xd4\x1d\x8c\xd9\x8f\x00\xb2\x04\xe9\x80\x09\x98\xec\xf8\x42\x7e"))) != 0 {
		t.Error("the empty file is no indicator")
	}
}

// TestFetch is the life of a list whose server behaves in every bad way.
func TestFetch(t *testing.T) {
	var mode atomic.Value
	mode.Store("good")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch mode.Load() {
		case "good":
			if r.Header.Get("If-None-Match") == `"1"` {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			w.Header().Set("ETag", `"1"`)
			fmt.Fprint(w, "192.0.2.1\n192.0.2.2\n192.0.2.3\n192.0.2.4\n")
		case "html":
			fmt.Fprint(w, "<html>log in</html>")
		case "half":
			fmt.Fprint(w, "192.0.2.1\n")
		case "busy":
			w.Header().Set("Retry-After", "7200")
			w.WriteHeader(http.StatusTooManyRequests)
		case "bomb":
			w.Header().Set("Content-Encoding", "gzip")
			gz := gzip.NewWriter(w)
			for range 2000 {
				gz.Write(bytes.Repeat([]byte("#"), 1024))
			}
			gz.Close()
		case "loop":
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
		case "cut":
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, "192.0.2.1\n")
		}
	}))
	defer server.Close()
	dir := t.TempDir()
	cfg := []ListConfig{{Name: "remote", URL: server.URL + "/list", MaxSize: 1 << 20}}
	s, err := New(cfg, AllowConfig{}, dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l := s.lists[0]
	if fresh, err := s.fetch(context.Background(), l); err != nil || !fresh {
		t.Fatal(fresh, err)
	}
	if fresh, err := s.fetch(context.Background(), l); err != nil || fresh {
		t.Fatal("an unchanged list was fetched again", err)
	}
	for bad, word := range map[string]string{
		"html": "HTML", "half": "shrunk from 4 to 1", "busy": "429", "bomb": "larger than", "loop": "redirects", "cut": "cut short",
	} {
		mode.Store(bad)
		os.Remove(s.copyPath(l) + ".tag")
		_, err := s.fetch(context.Background(), l)
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v, want a word about %q", bad, err, word)
		}
		if got := s.Lists()[0].Entries; got != 4 {
			t.Errorf("%s: %d entries left of 4", bad, got)
		}
		if bad == "busy" && time.Until(l.next) < 7000*time.Second {
			t.Errorf("Retry-After was not honoured: next in %v", time.Until(l.next))
		}
	}
	server.Close()
	offline, err := New(cfg, AllowConfig{}, dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := offline.Load(); err != nil || offline.Lists()[0].Entries != 4 {
		t.Errorf("started offline with %d entries, %v", offline.Lists()[0].Entries, err)
	}
}

// big is a list of n hosts and a mix of addresses of which one in a hundred is on it.
func big(t testing.TB, n int) (*Set, []event.Event) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	var text strings.Builder
	hosts := make([]netip.Addr, n)
	for i := range hosts {
		hosts[i] = netip.AddrFrom4([4]byte{byte(rng.UintN(223)), byte(rng.UintN(256)), byte(rng.UintN(256)), byte(rng.UintN(256))})
		fmt.Fprintln(&text, hosts[i])
	}
	events := make([]event.Event, 1<<16)
	for i := range events {
		e := &events[i]
		e.Src = netip.AddrFrom4([4]byte{10, 0, byte(rng.UintN(256)), byte(rng.UintN(256))})
		e.Dst = netip.AddrFrom4([4]byte{byte(rng.UintN(223)), byte(rng.UintN(256)), byte(rng.UintN(256)), byte(rng.UintN(256))})
		if i%50 == 0 {
			e.Dst = hosts[rng.IntN(n)]
		}
		e.Evidence = make([]event.Evidence, 0, 4)
	}
	return set(t, text.String(), DefaultAllow()), events
}

func TestMatchAllocatesNothing(t *testing.T) {
	s, events := big(t, 1000)
	i := 0
	if n := testing.AllocsPerRun(1000, func() { s.Match(&events[i]); i++ }); n != 0 {
		t.Errorf("%v allocations an event, want 0", n)
	}
}

func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, events := big(b, n)
			pairs := make([][2]netip.Addr, len(events))
			for i := range events {
				pairs[i] = [2]netip.Addr{events[i].Src, events[i].Dst}
			}
			e := event.Event{Evidence: make([]event.Evidence, 0, 8)}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				e.Src, e.Dst = pairs[i&(1<<16-1)][0], pairs[i&(1<<16-1)][1]
				s.Match(&e)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/2, "ns/address")
		})
	}
}
