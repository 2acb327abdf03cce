package intel

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"varde/event/human"
)

// blockLists is a name server with block lists of every kind, on loopback.
func blockLists(t *testing.T) (resolver string, queries *atomic.Int64) {
	t.Helper()
	queries = &atomic.Int64{}
	soa := func(zone string) dns.RR {
		rr, err := dns.NewRR(zone + " 3600 IN SOA ns." + zone + " root." + zone + " 1 7200 900 604800 150")
		if err != nil {
			t.Fatal(err)
		}
		return rr
	}
	answer := func(zone, host string) (codes []string) {
		switch {
		case zone == "closed.example.":
			return []string{"127.255.255.254"}
		case zone == "world.example.":
			return []string{"127.0.0.2"}
		case zone == "gone.example.":
			return nil
		case host == "2.0.0.127":
			return []string{"127.0.0.2"}
		case zone == "taken.example." && host != "1.0.0.127":
			return []string{"203.0.113.1"}
		case host == "9.2.0.192":
			return []string{"127.0.0.4", "127.0.0.10"}
		case host == "10.2.0.192":
			return []string{"127.0.0.10"}
		case host == "11.2.0.192":
			return []string{"127.255.255.255"}
		case strings.HasPrefix(host, "7.0.0.0.") && strings.HasSuffix(host, ".8.b.d.0.1.0.0.2") && strings.Count(host, ".") == 31:
			return []string{"127.0.0.2"}
		}
		return nil
	}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		queries.Add(1)
		m := new(dns.Msg)
		m.SetReply(q)
		name := q.Question[0].Name
		zone := ""
		for _, z := range []string{"zen.spamhaus.org.", "closed.example.", "world.example.", "gone.example.", "taken.example.", "broken.example."} {
			if strings.HasSuffix(name, "."+z) {
				zone = z
			}
		}
		host := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, zone), "."), ".secret")
		if zone == "broken.example." {
			m.Rcode = dns.RcodeServerFailure
		} else if codes := answer(zone, host); len(codes) == 0 {
			m.Rcode = dns.RcodeNameError
			m.Ns = append(m.Ns, soa(zone))
		} else if q.Question[0].Qtype == dns.TypeTXT {
			rr, err := dns.NewRR(name + ` 600 IN TXT "see https://check.example/` + "\x1b[2J" + `"`)
			if err != nil {
				t.Error(err)
			}
			m.Answer = append(m.Answer, rr)
		} else {
			for _, c := range codes {
				rr, err := dns.NewRR(name + " 600 IN A " + c)
				if err != nil {
					t.Error(err)
				}
				m.Answer = append(m.Answer, rr)
			}
		}
		_ = w.WriteMsg(m)
	})
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	server := &dns.Server{PacketConn: pc, Handler: handler, NotifyStartedFunc: func() { close(ready) }}
	done := make(chan error, 1)
	go func() { done <- server.ActivateAndServe() }()
	<-ready
	t.Cleanup(func() {
		if err := server.Shutdown(); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return pc.LocalAddr().String(), queries
}

func newTestDNSBL(t *testing.T, resolver string, zones ...DNSBLZone) *DNSBL {
	t.Helper()
	cfg := DefaultDNSBL()
	cfg.Resolver, cfg.Zones, cfg.Rate = resolver, zones, 1000
	d, err := NewDNSBL(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDNSBL(t *testing.T) {
	resolver, queries := blockLists(t)
	d := newTestDNSBL(t, resolver, DNSBLZone{Zone: "zen.spamhaus.org", Codes: map[string]string{"127.0.0.2": "spam source"}})
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	d.now = func() time.Time { return now }
	ask := func(addr string) string {
		all := d.Ask(context.Background(), netip.MustParseAddr(addr))
		if len(all) != 1 {
			return fmt.Sprint(len(all), " answers")
		}
		a := all[0]
		_, evidence := a.Evidence(netip.MustParseAddr(addr))
		return fmt.Sprintf("listed %v info %v names %q error %q evidence %v", a.Listed, a.Info, a.Names, a.Error, evidence)
	}
	for _, tc := range []struct{ addr, want string }{
		{"192.0.2.9", `listed true info false names ["XBL" "PBL by the provider"] error "" evidence true`},
		{"192.0.2.10", `listed true info true names ["PBL by the provider"] error "" evidence true`},
		{"192.0.2.11", `listed false info false names [] error "it refused with 127.255.255.255: too many queries; the free use is over its limit" evidence false`},
		{"192.0.2.12", `listed false info false names [] error "" evidence false`},
		{"2001:db8::7", `listed true info false names ["spam source"] error "" evidence true`},
		{"10.0.0.1", "0 answers"},
		{"127.0.0.2", "0 answers"},
	} {
		if got := ask(tc.addr); got != tc.want {
			t.Errorf("%s: %s\nwant %s", tc.addr, got, tc.want)
		}
	}
	if reason := d.Known(netip.MustParseAddr("192.0.2.9"))[0].Reason; !strings.Contains(reason, "https://check.example/") || strings.Contains(reason, "\x1b") {
		t.Errorf("reason %q", reason)
	}

	// What is known is not asked again: a listing for its TTL of 600 s, the lack of one for the SOA's 150 s.
	before := queries.Load()
	now = now.Add(149 * time.Second)
	ask("192.0.2.9")
	ask("192.0.2.12")
	if n := queries.Load() - before; n != 0 {
		t.Errorf("%d queries for what was known", n)
	}
	now = now.Add(2 * time.Second)
	ask("192.0.2.9")
	ask("192.0.2.12")
	if n := queries.Load() - before; n != 1 {
		t.Errorf("%d queries after the negative answer ran out, want 1", n)
	}
	now = now.Add(600 * time.Second)
	if known := d.Known(netip.MustParseAddr("192.0.2.9")); len(known) != 0 {
		t.Errorf("known after its time: %+v", known)
	}
}

// TestDNSBLBadZones asks zones that must never be evidence.
func TestDNSBLBadZones(t *testing.T) {
	resolver, _ := blockLists(t)
	for zone, word := range map[string]string{
		"closed.example": "public resolver", "world.example": "lists 127.0.0.1", "gone.example": "does not list the test address",
		"taken.example": "outside 127.0.0.0/8", "broken.example": "SERVFAIL",
	} {
		d := newTestDNSBL(t, resolver, DNSBLZone{Zone: zone})
		a := d.Ask(context.Background(), netip.MustParseAddr("192.0.2.9"))[0]
		if _, ok := a.Evidence(netip.MustParseAddr("192.0.2.9")); ok || a.Listed || !strings.Contains(a.Error, word) {
			t.Errorf("%s: %+v, want an error with %q", zone, a, word)
		}
	}
	cfg := DefaultDNSBL()
	cfg.Resolver, cfg.Timeout, cfg.Zones = "127.0.0.1:1", human.Duration(100*time.Millisecond), []DNSBLZone{{Zone: "zen.spamhaus.org"}}
	d, err := NewDNSBL(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if a := d.Ask(context.Background(), netip.MustParseAddr("192.0.2.9"))[0]; !strings.Contains(a.Error, "127.0.0.1:1") {
		t.Errorf("a resolver that is not there: %+v", a)
	}
}

// TestDNSBLLater has addresses asked about in the background, at no more than the rate, with the key before the zone.
func TestDNSBLLater(t *testing.T) {
	resolver, queries := blockLists(t)
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := newTestDNSBL(t, resolver, DNSBLZone{Zone: "zen.spamhaus.org", KeyFile: key})
	if d.zones[0].name != "secret.zen.spamhaus.org." {
		t.Errorf("asks %s", d.zones[0].name)
	}
	frozen := time.Now()
	d.now = func() time.Time { return frozen }
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	addr := netip.MustParseAddr("192.0.2.9")
	if !d.Later(addr) || !d.Later(netip.MustParseAddr("10.0.0.1")) {
		t.Error("the queue is full")
	}
	for len(d.Known(addr)) == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	z := d.zones[0]
	z.mu.Lock()
	spaced := z.next.Sub(frozen)
	z.mu.Unlock()
	if want := time.Duration(queries.Load()) * time.Millisecond; spaced != want {
		t.Errorf("%d queries at 1000 a second took %v, want %v", queries.Load(), spaced, want)
	}
	for range maxWaiting + 1 {
		d.Later(addr)
	}
	if figures, err := d.Figures(ctx); err != nil || figures[1].Count != 1 {
		t.Errorf("what was not asked about is not counted: %+v, %v", figures[1], err)
	}
	for i := range maxAnswers + 10 {
		d.keep(question{0, netip.AddrFrom4([4]byte{192, byte(i >> 16), byte(i >> 8), byte(i)})}, kept{until: frozen.Add(time.Hour)})
	}
	if len(d.answers) > maxAnswers {
		t.Errorf("%d answers are kept, at most %d should be", len(d.answers), maxAnswers)
	}
}

func TestDNSBLCheck(t *testing.T) {
	for name, change := range map[string]func(*DNSBLConfig){
		"no resolver":  func(c *DNSBLConfig) { c.Resolver = "" },
		"no port":      func(c *DNSBLConfig) { c.Resolver = "127.0.0.1" },
		"no rate":      func(c *DNSBLConfig) { c.Rate = 0 },
		"no zone name": func(c *DNSBLConfig) { c.Zones[0].Zone = "" },
		"twice":        func(c *DNSBLConfig) { c.Zones = append(c.Zones, c.Zones[0]) },
		"wrong code":   func(c *DNSBLConfig) { c.Zones[0].Codes = map[string]string{"192.0.2.1": "x"} },
	} {
		cfg := DefaultDNSBL()
		cfg.Resolver, cfg.Zones = "127.0.0.1:53", []DNSBLZone{{Zone: "zen.spamhaus.org"}}
		if err := cfg.Check(); err != nil {
			t.Fatal(err)
		}
		if change(&cfg); cfg.Check() == nil {
			t.Errorf("%s was taken", name)
		}
	}
	cfg := DefaultDNSBL()
	if d, err := NewDNSBL(cfg, slog.New(slog.DiscardHandler)); d != nil || err != nil {
		t.Errorf("asks without zones: %v, %v", d, err)
	}
}

func FuzzDNSBLAnswer(f *testing.F) {
	m := new(dns.Msg)
	m.SetQuestion("9.2.0.192.zen.spamhaus.org.", dns.TypeA)
	rr, err := dns.NewRR("9.2.0.192.zen.spamhaus.org. 60 IN A 127.0.0.4")
	if err != nil {
		f.Fatal(err)
	}
	m.Answer = append(m.Answer, rr)
	b, err := m.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var m dns.Msg
		if m.Unpack(b) != nil {
			return
		}
		var a DNSBLAnswer
		z := &zone{DNSBLZone: DNSBLZone{Zone: "zen.spamhaus.org"}}
		if err := z.read(&a, &m); err == nil && a.Listed != (len(a.Codes) > 0) || len(a.Codes) > maxCodes || len(reason(&m)) > 8*maxReason {
			t.Fatalf("%+v", a)
		}
		if ttl := lifetime(&m); ttl < minAnswerTTL || ttl > maxAnswerTTL {
			t.Fatal(ttl)
		}
	})
}
