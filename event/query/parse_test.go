package query

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestParse has filters beside what Format makes of them, which says how they were understood; where it is "" the
// filter stands as Format writes it.
func TestParse(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"src net 10.0.0.0/8 and dst port 443 and bytes > 1M", ""},
		{"src:10.0.0.0/8 port:7547 proto:tcp -country:NO", "src net 10.0.0.0/8 and port 7547 and proto tcp and not country NO"},
		{"host 192.0.2.1", ""},
		{"src host 192.0.2.1", ""},
		{"dst ip 192.0.2.1", "dst host 192.0.2.1"},
		{"ip 192.0.2.1", "host 192.0.2.1"},
		{"src 192.0.2.1", "src host 192.0.2.1"},
		{"dstip=192.0.2.1", "dst host 192.0.2.1"},
		{"net 192.0.2.0/24", ""},
		{"net 192.0.2.77/24", "net 192.0.2.0/24"},
		{"net 192.0.2.0 255.255.255.0", "net 192.0.2.0/24"},
		{"src net 10.0.0.0 255.0.0.0 tcp", "src net 10.0.0.0/8 and proto tcp"},
		{"10/8 or 172.16/12", "ip in [10.0.0.0/8 172.16.0.0/12]"},
		{"192.0.2.1", "host 192.0.2.1"},
		{"2001:db8::/32", "net 2001:db8::/32"},
		{"::ffff:192.0.2.1 or ::ffff:192.0.2.0/120", "ip in [192.0.2.1 192.0.2.0/24]"},
		{"src:2001:db8::1 dst:2001:db8::/48", "src host 2001:db8::1 and dst net 2001:db8::/48"},
		{"src in [10.0.0.0/8, 192.0.2.1 2001:db8::1]", "src ip in [10.0.0.0/8 192.0.2.1 2001:db8::1]"},
		{"src or dst net 10/8", "net 10.0.0.0/8"},
		{"dst and src port 53", "dst port 53 and src port 53"},
		{"src ip != 192.0.2.1", "not src host 192.0.2.1"},
		{"port 22", ""},
		{"port: 22", "port 22"},
		{"port in [22 23 80]", ""},
		{"dport:22,23", "dst port in [22 23]"},
		{"port 22 or port 23 or port 80", "port in [22 23 80]"},
		{"src port > 1024", ""},
		{"sport<=1024", "src port <= 1024"},
		{"port != 80", "not port 80"},
		{"dst port 1000-2000", "dst port >= 1000 and dst port <= 2000"},
		{"port 1-2", "(src port >= 1 and src port <= 2) or (dst port >= 1 and dst port <= 2)"},
		{"proto tcp or proto 47 or proto ICMPv6 or proto 200", "proto in [tcp gre icmp6 200]"},
		{"tcp and not udp or icmp", "(proto tcp and not proto udp) or proto icmp"},
		{"proto > 17", ""},
		{"flags S and not flags A", ""},
		{"tcp_flags:fsa", "flags ASF"},
		{"bytes = 10k", "bytes 10K"},
		{"bytes == 1500", "bytes 1500"},
		{"packets != 1.5M", "not packets 1500K"},
		{"count < 3 and pps >= 2g and bps <= 1T and bpp > 60 and sampling 1000", "count < 3 and pps >= 2G and bps <= 1T and bpp > 60 and sampling 1K"},
		{"bytes:>1M packets:<=10", "bytes > 1M and packets <= 10"},
		{"duration > 5m", ""},
		{"duration >= 1.5s and duration < 2w and duration 0", "duration >= 1.5s and duration < 14d and duration 0s"},
		{"as 64500 asn:as64501", "as 64500 and as 64501"},
		{"country no", "country NO"},
		{`country "" or country:NO,SE`, `country in ["" NO SE]`},
		{"list drop", ""},
		{`list "long name" or list: 'it "is"'`, `list in ["long name" "it \"is\""]`},
		{"in list drop and src in list:drop and own in list drop", "in list drop and src in list drop and own in list drop"},
		{"own net 10/8 foreign host 198.51.100.7 nat ip 203.0.113.5", "own net 10.0.0.0/8 and foreign host 198.51.100.7 and nat host 203.0.113.5"},
		{"exporter core-router source netflow9 session:abc rule=drop", "exporter core-router and source netflow9 and session abc and rule drop"},
		{`rule ~ "dr op" exporter ~ 192.0.2`, `rule ~ "dr op" and exporter ~ 192.0.2`},
		{`rule "and" or rule "\x1b[31m\n"`, `rule in ["and" "\x1b[31m\n"]`},
		{"if eth0", "in if eth0 or out if eth0"},
		{"in if eth0 out if 3 in_if:ge-0/0/1.7", "in if eth0 and out if 3 and in if ge-0/0/1.7"},
		{"kind probe action:deny or kind unknown or action none", "(kind probe and action deny) or kind unknown or action none"},
		{"inet or inet6", "ipv4 or ipv6"},
		{"icmp-type 3 icmp_code 0-2", "icmp-type 3 and icmp-code >= 0 and icmp-code <= 2"},
		{"service 443/tcp or service:53/17,gre", "(proto tcp and dst port 443) or (proto udp and dst port 53) or proto gre"},
		{"src24 192.0.2.7 dst24:2001:db8::/48", "src net 192.0.2.0/24 and dst net 2001:db8::/48"},
		{"any", ""},
		{"none", ""},
		{"any and tcp or none", "proto tcp"},
		{"not not tcp", "not not proto tcp"},
		{"NOT (PORT 22 || !(Port 23 && TCP))", "not (port 22 or not (port 23 and proto tcp))"},
		{"-(tcp udp) - tcp", "not (proto tcp and proto udp) and not proto tcp"},
		{"((((tcp))))", "proto tcp"},
		{"tcp(udp)", "proto tcp and proto udp"},
		{"exporter Ålesund", ""},
	} {
		x, err := Parse(c.text)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if c.want == "" {
			c.want = c.text
		}
		if got := Format(x); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.text, got, c.want)
		}
	}
}

func TestParseNothing(t *testing.T) {
	for _, text := range []string{"", " \t\n\u00a0"} {
		if x, err := Parse(text); x != nil || err != nil {
			t.Errorf("%q: %v, %v", text, x, err)
		}
	}
}

// TestErrors holds what people are told to testdata/errors.golden.
func TestErrors(t *testing.T) {
	var b strings.Builder
	for _, text := range []string{
		"dst prot 443", "prot 443", "src adn dst", "contry:NO", "443", "probe", "deny", "feodo",
		"port", "port http", "port 70000", "port 20-10", "port > 10-20", "port in 22", "port in []", "port in [22", "port and tcp", "port ~ 2",
		"src net", "src net 10.0.0.0/33", "src example.com", "net 10.0.0.1%eth0", "src in tcp", "src in list", `in list ""`, "in tcp", "out list x",
		"own port 22", "src country NO", "foreign as 64500", "src or tcp",
		"(tcp", "(tcp or (udp)", "tcp)", "tcp or", "tcp and or udp", "not", "-", "()", "tcp ]", `tcp "x"`, "and tcp",
		`rule "x`, `rule "\q"`, "rule 'x", "rule or tcp", `"x"`, `rule "\xff"`, "rule < x",
		"bytes > 1.5", "bytes > -1", "bytes > 99999999T", "bytes 1kB", "duration > 5", "duration > 5 m", "country Norway", "country > NO",
		"flags X", "flags = S", "flags 0", "kind prob", "action denied", "proto tpc", "proto 256", "service 443", "service http/tcp", "icmp-type 256", "as 4294967296",
		"a & b", "tcp | udp", "tcp ; udp", "tcp\x00", "tcp \xff\xfe", "tcp \ufffd", "日本 port 22", "country:NO 日本語テスト tcp", "tcp \x1b[31mred\x1b[0m", "e\u0301e\u0301 x", "tcp \u202egnp.exe",
		"src net 10.0.0.0/8 and dst port 443 and exporter core-router and bytes > 1M and prot tcp and src net 10.0.0.0/8 and dst port 443 and exporter core-router",
		"tcp " + strings.Repeat("x", 200) + " udp",
		strings.Repeat("(", 40) + "tcp" + strings.Repeat(")", 40), strings.Repeat("!", 40) + "tcp",
		"port in [" + strings.Repeat("1 ", MaxConditions+1) + "]", strings.Repeat("tcp ", 1025),
	} {
		x, err := Parse(text)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%q gives %s, %v", text, Format(x), err)
			continue
		}
		b.WriteString(syntax.String() + "\n" + err.Error() + "\n\n")
	}
	golden(t, "errors.golden", b.String())
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got), rewrite it with -update:\n%s", path, diff)
	}
}

func TestNearest(t *testing.T) {
	for word, want := range map[string]string{
		"prot": "port", "por": "port", "cuontry": "country", "byte": "bytes", "exportr": "exporter", "flag": "flags", "duratoin": "duration",
		"xyz": "", "p": "", strings.Repeat("port", 20): "",
	} {
		if got := nearest(word, starters()); got != want {
			t.Errorf("nearest to %q is %q, want %q", word, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, field := range Fields() {
		f.Add(field.Example)
	}
	for _, word := range Words() {
		f.Add(word.Example)
	}
	for _, text := range []string{`-(src:2001:db8::1,10/8 || !in list "a\x1b b")`, "src or dst port 1-2", "net 10.0.0.0 255.0.0.0", "a & b", "rule '", "日本 \xff", "src and dst and dst"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		x, err := Parse(text)
		if err != nil {
			checkMessage(t, err)
			return
		}
		again := Format(x)
		y, err := Parse(again)
		if len(again) > MaxText {
			return
		}
		if err != nil {
			t.Fatalf("%q is written as %q: %v", text, again, err)
		}
		if diff := cmp.Diff(x, y, comparePrefixes); diff != "" {
			t.Fatalf("%q is written as %q, which is another tree:\n%s", text, again, diff)
		}
	})
}

// checkMessage sees to it that a message is safe to print and points into the filter.
func checkMessage(t *testing.T, err error) {
	t.Helper()
	var syntax *SyntaxError
	if !errors.As(err, &syntax) {
		t.Fatalf("%T is no SyntaxError", err)
	}
	lines := strings.Split(syntax.String(), "\n")
	if len(lines) != 3 || strings.Trim(lines[1], " ^") != "" || !strings.Contains(lines[1], "^") || strings.Contains(err.Error(), "\n") {
		t.Fatalf("message %q and %q", syntax.String(), err.Error())
	}
	for _, s := range append(lines, err.Error()) {
		if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\u202e' }) {
			t.Fatalf("message %q is not safe", s)
		}
	}
	if n := columns(lines[1]); n > 3*excerptWidth {
		t.Fatalf("the caret stands in column %d", n)
	}
}
