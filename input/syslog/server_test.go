package syslog

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"varde/event"
)

// collector keeps what a server gave.
type collector struct {
	mu    sync.Mutex
	lines []string // transport is seen by the tag; as "peer host tag body"
	raw   []string
	times []time.Time
}

func (c *collector) take(l *Line) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines = append(c.lines, fmt.Sprintf("%s %s %s %s", l.Peer, l.Host, l.Tag, l.Body))
	c.raw = append(c.raw, string(l.Raw))
	c.times = append(c.times, l.Time)
}

func (c *collector) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.lines)
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// serve starts a server and gives what ends it and waits for that.
func serve(t *testing.T, cfg Config) (*Server, *collector, func()) {
	t.Helper()
	c := &collector{}
	s, err := NewServer(cfg, c.take, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return s, c, stop
}

func testConfig() Config {
	c := DefaultConfig()
	c.Zone, c.Buffer, c.Sockets = "UTC", 256<<10, 2
	return c
}

func figure(t *testing.T, s *Server, name, label string) float64 {
	t.Helper()
	all, err := s.Figures(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(f event.Figure) bool {
		return f.Name == name && (label == "" || slices.ContainsFunc(f.Labels, func(p event.Pair) bool { return p.Value == label }))
	})
	if i < 0 {
		t.Fatalf("no figure %s %s", name, label)
	}
	return all[i].Float()
}

func dial(t *testing.T, network string, addr net.Addr) net.Conn {
	t.Helper()
	c, err := net.Dial(network, addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestUDP(t *testing.T) {
	cfg := testConfig()
	cfg.UDP = []string{"127.0.0.1:0"}
	cfg.Peers = []PeerConfig{{Address: "127.0.0.0/8", Name: "all of us"}, {Address: "127.0.0.1", Name: "fw", Zone: "Asia/Tokyo"}}
	s, c, stop := serve(t, cfg)
	conn := dial(t, "udp", s.udp[0].LocalAddr())
	local := time.Now().In(location("Asia/Tokyo"))
	fmt.Fprintf(conn, "<134>%s fw kernel: one\n", local.Format(time.Stamp))
	fmt.Fprint(conn, "no envelope")
	fmt.Fprint(conn, "\n")
	fmt.Fprint(conn, "<134>"+strings.Repeat("x", MaxLine))
	fmt.Fprintf(conn, "<134>%s fw kernel: from the future", local.Add(time.Hour).Format(time.Stamp))
	waitFor(t, "four lines", func() bool { return c.count() == 4 })
	stop()
	if c.lines[0] != "127.0.0.1 fw kernel one" || c.times[0].Unix() != local.Unix() {
		t.Errorf("%q at %s", c.lines[0], c.times[0])
	}
	for name, want := range map[string]float64{
		"varde_syslog_bare_total": 1, "varde_syslog_empty_total": 1, "varde_syslog_cut_total": 1, "varde_syslog_lines_total": 4,
		"varde_syslog_peer_lines_total": 4, "varde_syslog_peer_ahead_total": 1, "varde_syslog_peer_cut_total": 1,
	} {
		if got := figure(t, s, name, ""); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if figure(t, s, "varde_syslog_peer_lines_total", "fw") != 4 {
		t.Error("the narrowest prefix does not give the name")
	}
}

func TestConfig(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"tls needs cert_file":  func(c *Config) { c.TLS = []string{":6514"} },
		"which has no address": func(c *Config) { c.ClientCA = "ca.pem" },
		"max_connections is 0": func(c *Config) { c.Connections = 0 },
		"idle is 1s":           func(c *Config) { c.Idle = 1e9 },
		"sockets is -1":        func(c *Config) { c.Sockets = -1 },
		"zone":                 func(c *Config) { c.Zone = "Middle/Earth" },
		"no address or prefix": func(c *Config) { c.Peers = []PeerConfig{{Address: "router"}} },
		`zone "Local time"`:    func(c *Config) { c.Peers = []PeerConfig{{Address: "192.0.2.1", Zone: "Local time"}} },
	} {
		c := testConfig()
		change(&c)
		if _, err := NewServer(c, nil, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	s, err := NewServer(Config{UDP: []string{"203.0.113.1:0"}, Connections: 4, Idle: 1e12}, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(t.Context()); err == nil || !strings.Contains(err.Error(), "change syslog.udp") {
		t.Errorf("%v", err)
	}
}

// TestDrain: what is in the socket when the end is asked for is still read.
func TestDrain(t *testing.T) {
	cfg := testConfig()
	cfg.UDP, cfg.Sockets = []string{"127.0.0.1:0"}, 1
	c := &collector{}
	s, err := NewServer(cfg, c.take, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn := dial(t, "udp", s.udp[0].LocalAddr())
	for i := range 100 {
		fmt.Fprintf(conn, "<13>test: %d", i)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil || c.count() != 100 {
		t.Errorf("%v, %d of 100 lines", err, c.count())
	}
}

func TestOnlyListed(t *testing.T) {
	cfg := testConfig()
	cfg.UDP, cfg.TCP, cfg.OnlyListed = []string{"127.0.0.1:0"}, []string{"127.0.0.1:0"}, true
	cfg.Peers = []PeerConfig{{Address: "192.0.2.0/24"}}
	s, c, stop := serve(t, cfg)
	fmt.Fprint(dial(t, "udp", s.udp[0].LocalAddr()), "<13>x: stranger")
	conn := dial(t, "tcp", s.tcp[0].Addr())
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("a stranger's connection stays open")
	}
	waitFor(t, "both being counted", func() bool { return s.unlisted.Load() == 2 })
	stop()
	if c.count() != 0 {
		t.Errorf("got %q", c.lines)
	}
}

// TestFraming sends both framings in one connection, in pieces, with lines that are too long.
func TestFraming(t *testing.T) {
	cfg := testConfig()
	cfg.TCP = []string{"127.0.0.1:0"}
	s, c, stop := serve(t, cfg)
	conn := dial(t, "tcp", s.tcp[0].Addr())
	long := strings.Repeat("y", MaxLine)
	send := "<13>a: newline\n<13>b: carriage\r\n<13>c: nul\x00" + "15 <13>d: counted\n" + "21 <13>e: with\na newline" +
		"<13>f: " + long + "\n" + fmt.Sprintf("%d <13>g: %s", 7+len(long), long) + "2024-01-12 10:00:00 h h: no priority\n17 no count\n<13>i: the end"
	for _, piece := range []string{send[:9], send[9:40], send[40:60], send[60:9000], send[9000:]} {
		fmt.Fprint(conn, piece)
		time.Sleep(time.Millisecond) // so that the kernel hands them on one by one, usually
	}
	conn.Close()
	waitFor(t, "the lines", func() bool { return c.count() == 10 })
	stop()
	want := []string{
		"<13>a: newline", "<13>b: carriage", "<13>c: nul", "<13>d: counted\n", "<13>e: with\na newline", "<13>f: " + long[7:], "<13>g: " + long[7:],
		"2024-01-12 10:00:00 h h: no priority", "17 no count", "<13>i: the end",
	}
	for i, l := range want {
		if got := c.raw[i]; got != strings.TrimRight(l, "\n") {
			t.Errorf("line %d is %.60q, want %.60q", i, got, l)
		}
	}
	if s.cut.Load() != 2 {
		t.Errorf("%d were cut, want 2", s.cut.Load())
	}
}

// TestTooMany: one sender gets a quarter of the connections, and others still get in.
func TestTooMany(t *testing.T) {
	cfg := testConfig()
	cfg.TCP, cfg.Connections = []string{"127.0.0.1:0"}, 8
	s, c, _ := serve(t, cfg)
	var conns []net.Conn
	for range 3 {
		conns = append(conns, dial(t, "tcp", s.tcp[0].Addr()))
	}
	if _, err := conns[2].Read(make([]byte, 1)); err == nil {
		t.Error("the third is not closed")
	}
	other, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}).Dial("tcp", s.tcp[0].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	fmt.Fprint(other, "<13>x: let in\n")
	waitFor(t, "the other's line", func() bool { return c.count() == 1 })
	conns[0].Close()
	waitFor(t, "a free place", func() bool { return s.open.Load() == 2 })
	fmt.Fprint(dial(t, "tcp", s.tcp[0].Addr()), "<13>x: again\n")
	waitFor(t, "a line of the next", func() bool { return c.count() == 2 })
	if s.refused.Load() != 1 {
		t.Errorf("%d refused", s.refused.Load())
	}
}

// TestManyPeers: spoofed senders take a bounded table, and configured ones are still told apart from strangers.
func TestManyPeers(t *testing.T) {
	cfg := testConfig()
	cfg.Peers = []PeerConfig{{Address: "198.51.100.0/24", Name: "dmz", Zone: "Asia/Tokyo"}}
	s, err := NewServer(cfg, func(*Line) {}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	r := s.reader(overUDP)
	now := time.Date(2024, 1, 12, 10, 0, 0, 0, time.UTC)
	addr := netip4(10, 0)
	for range 3 * maxPeers {
		r.from(addr, now)
		r.take([]byte("<13>x: flood"), false, addr)
		addr = addr.Next()
	}
	r.from(netip4(198, 51), now)
	r.take([]byte("<13>x: ours"), false, netip4(198, 51))
	if n := len(s.peers.m); n != maxPeers {
		t.Errorf("%d peers", n)
	}
	if got := figure(t, s, "varde_syslog_peer_lines_total", "others"); got != 2*maxPeers {
		t.Errorf("%v lines of others", got)
	}
	if got := figure(t, s, "varde_syslog_peer_lines_total", "others of 198.51.100.0/24"); got != 1 || r.last.zone.String() != "Asia/Tokyo" {
		t.Errorf("%v lines of ours, in %s", got, r.last.zone)
	}
	r.from(addr, now.Add(time.Hour))
	if n := len(s.peers.m); n != 1 {
		t.Errorf("%d peers after an hour of silence", n)
	}
}

// certificate writes a certificate and its key that ca has signed, or itself.
func certificate(t *testing.T, dir, name string, ca *tls.Certificate) (tls.Certificate, string, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, signer := tmpl, any(key)
	if ca == nil {
		tmpl.IsCA, tmpl.KeyUsage, tmpl.ExtKeyUsage = true, x509.KeyUsageCertSign, nil
	} else {
		parent, signer = ca.Leaf, ca.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPath, keyPath := filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	for path, b := range map[string][]byte{certPath: certPEM, keyPath: keyPEM} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	return pair, certPath, keyPath
}

// TestTLS: senders without a certificate of the right authority are refused, and a new certificate of ours is shown
// without a restart.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	ca, caPath, _ := certificate(t, dir, "ca", nil)
	stranger, _, _ := certificate(t, dir, "stranger", nil)
	sender, _, _ := certificate(t, dir, "sender", &ca)
	first, certPath, keyPath := certificate(t, dir, "varde.example", &ca)
	cfg := testConfig()
	cfg.TLS, cfg.Cert, cfg.Key, cfg.ClientCA = []string{"127.0.0.1:0"}, certPath, keyPath, caPath
	s, c, _ := serve(t, cfg)
	roots := x509.NewCertPool()
	roots.AddCert(ca.Leaf)
	connect := func(certs ...tls.Certificate) (*tls.Conn, error) {
		return tls.Dial("tcp", s.tcp[0].Addr().String(), &tls.Config{RootCAs: roots, ServerName: "varde.example", Certificates: certs})
	}
	for _, certs := range [][]tls.Certificate{nil, {stranger}} {
		if conn, err := connect(certs...); err == nil {
			if _, err = conn.Read(make([]byte, 1)); err == nil {
				t.Error("let in without a certificate of ours")
			}
			conn.Close()
		}
	}
	waitFor(t, "two failed handshakes", func() bool { return s.handshakes.Load() == 2 })
	for i := range 2 {
		conn, err := connect(sender)
		if err != nil {
			t.Fatal(err)
		}
		shown := conn.ConnectionState().PeerCertificates[0].SerialNumber
		if (shown.Cmp(first.Leaf.SerialNumber) == 0) != (i == 0) {
			t.Errorf("connection %d shows certificate %d", i, shown)
		}
		fmt.Fprintf(conn, "21 <13>x: over TLS, %04d", i)
		waitFor(t, "the line", func() bool { return c.count() == i+1 })
		conn.Close()
		certificate(t, dir, "varde.example", &ca)
		later := time.Now().Add(time.Duration(i+1) * time.Minute)
		if err := os.Chtimes(certPath, later, later); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(certPath, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	conn, err := connect(sender)
	if err != nil {
		t.Fatalf("a broken new certificate takes the old one away: %v", err)
	}
	conn.Close()
}

// FuzzFramer: lines do not depend on how a stream is cut into pieces, and none is over MaxLine.
func FuzzFramer(f *testing.F) {
	f.Add([]byte("<13>a: b\n12 <13>c: dddd<13>e\x00\r\n99999999 <1"), uint8(3))
	f.Add([]byte("9000 <13>x"+strings.Repeat("z", 9000)+"\n5 <1>a<13>b\n"), uint8(200))
	f.Add([]byte(strings.Repeat("q", 20000)+"\n<1>b"), uint8(255))
	f.Fuzz(func(t *testing.T, stream []byte, step uint8) {
		read := func(step int) (out [][]byte) {
			var fr framer
			for rest := stream; ; {
				for {
					line, _, ok := fr.next()
					if !ok {
						break
					}
					if len(line) > MaxLine || len(line) == 0 {
						t.Fatalf("a line of %d bytes", len(line))
					}
					out = append(out, bytes.Clone(line))
				}
				if len(rest) == 0 {
					last, _ := fr.rest()
					return append(out, bytes.Clone(last))
				}
				space := fr.space()
				if len(space) == 0 {
					t.Fatal("no space left to read to")
				}
				n := copy(space[:min(len(space), step)], rest)
				fr.took(n)
				rest = rest[n:]
			}
		}
		whole, pieces := read(frameBuffer), read(int(step)+1)
		if !slices.EqualFunc(whole, pieces, bytes.Equal) {
			t.Fatalf("%q\nin pieces of %d\n%q", whole, int(step)+1, pieces)
		}
	})
}

func netip4(a, b byte) netip.Addr { return netip.AddrFrom4([4]byte{a, b, 100, 1}) }
