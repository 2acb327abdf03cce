package web

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections are pipes: with them the clock of a test can be the bubble's.
type pipes struct {
	conns chan net.Conn
	gone  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.gone:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.gone); return nil }
func (p *pipes) Addr() net.Addr { return pipeAddr("127.0.0.1:8098") }

type pipeAddr string

func (pipeAddr) Network() string  { return "tcp" }
func (a pipeAddr) String() string { return string(a) }

// from is a pipe with the address of whoever is at its other end.
type from struct {
	net.Conn
	addr pipeAddr
}

func (c from) RemoteAddr() net.Addr { return c.addr }

// dial connects as addr and sends text without reading anything.
func (p *pipes) dial(t *testing.T, addr, text string) net.Conn {
	t.Helper()
	ours, theirs := net.Pipe()
	p.conns <- from{theirs, pipeAddr(addr)}
	t.Cleanup(func() { ours.Close() })
	go func() { _, _ = io.WriteString(ours, text) }() // it may be refused
	return ours
}

// bubble runs a server over the scene on a clock of its own.
func bubble(t *testing.T, do func(t *testing.T, s *Server, p *pipes)) {
	t.Helper()
	scene() // is made outside, since it is shared
	synctest.Test(t, func(t *testing.T) {
		s, _ := newTestServer(t, Config{Listen: "127.0.0.1:8098"})
		p := &pipes{make(chan net.Conn, 2*maxConnections), make(chan struct{})}
		s.deps.Listen = func(string, string) (net.Listener, error) { return p, nil }
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		do(t, s, p)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("server: %v", err)
		}
	})
}

const (
	home  = "127.0.0.1:40000"
	hosts = "Host: 127.0.0.1:8098\r\n"
)

// open is how long a connection stays open on which nothing more is sent; what comes is read.
func open(c net.Conn) time.Duration {
	begin := time.Now()
	_, _ = io.Copy(io.Discard, c)
	return time.Since(begin).Round(time.Second)
}

// TestSlow: whoever sends slowly, or nothing, is cut off.
func TestSlow(t *testing.T) {
	for _, c := range []struct {
		name, text string
		most       time.Duration
	}{
		{"nothing", "", headerTimeout},
		{"half a header", "GET / HTTP/1.1\r\nHost: 127", headerTimeout},
		{"half a body", "POST /api/v1/mutes HTTP/1.1\r\n" + hosts + "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{", readTimeout},
		{"half a login", "POST /api/v1/session HTTP/1.1\r\n" + hosts + "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{", readTimeout},
		{"one request", "GET /api/v1/session HTTP/1.1\r\n" + hosts + "\r\n", idleTimeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, _ *Server, p *pipes) {
				if took := open(p.dial(t, home, c.text)); took > c.most+time.Second || took < c.most {
					t.Errorf("it stays open for %v, should be %v", took, c.most)
				}
			})
		})
	}
}

// TestSlowReaders: those who send a body slowly or do not read what they asked for do not keep others waiting.
func TestSlowReaders(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, p *pipes) {
		for range 2 * maxQuestions {
			p.dial(t, home, "GET /api/v1/top HTTP/1.1\r\n"+hosts+"\r\n")
			p.dial(t, home, "POST /api/v1/mutes HTTP/1.1\r\n"+hosts+"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
		}
		synctest.Wait()
		begin := time.Now()
		c := p.dial(t, home, "GET /api/v1/events?n=1 HTTP/1.1\r\n"+hosts+"\r\n")
		r, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || r.StatusCode != http.StatusOK || time.Since(begin) > time.Second {
			t.Errorf("another waits %v for %v: %v", time.Since(begin), r, err)
		}
		// Long answers keep their slots, but not for ever.
		for range maxQuestions {
			p.dial(t, home, "GET /api/v1/events?n=20000 HTTP/1.1\r\n"+hosts+"\r\n")
		}
		synctest.Wait()
		if len(s.slots) != maxQuestions {
			t.Errorf("%d slots are taken by long answers, should be %d", len(s.slots), maxQuestions)
		}
		time.Sleep(writeTimeout + time.Second)
		if len(s.slots) != 0 {
			t.Errorf("%d slots are still taken", len(s.slots))
		}
	})
}

// TestSlowPictures: those who wait for their turn to draw hold up no question.
func TestSlowPictures(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, p *pipes) {
		s.drawing <- struct{}{}
		for range 2 * maxQuestions {
			p.dial(t, home, "GET /fireplot.png HTTP/1.1\r\n"+hosts+"\r\n")
		}
		synctest.Wait()
		begin := time.Now()
		r, err := http.ReadResponse(bufio.NewReader(p.dial(t, home, "GET /api/v1/events?n=1 HTTP/1.1\r\n"+hosts+"\r\n")), nil)
		if err != nil || r.StatusCode != http.StatusOK || time.Since(begin) > time.Second {
			t.Errorf("a question waits %v for %v: %v", time.Since(begin), r, err)
		}
		time.Sleep(askTimeout + time.Second) // they give up
		<-s.drawing
	})
}

// TestConnections: so many at a time; one stranger does not take them all.
func TestConnections(t *testing.T) {
	bubble(t, func(t *testing.T, _ *Server, p *pipes) {
		session := "GET /api/v1/session HTTP/1.1\r\n" + hosts + "\r\n"
		for range maxOfOne + 20 {
			p.dial(t, "203.0.113.5:1", "")
		}
		synctest.Wait()
		if took := open(p.dial(t, "203.0.113.5:2", session)); took != 0 {
			t.Errorf("one more of a stranger stays open for %v", took)
		}
		if r, err := http.ReadResponse(bufio.NewReader(p.dial(t, "203.0.113.6:2", session)), nil); err != nil || r.StatusCode != http.StatusOK {
			t.Errorf("another stranger gets %v: %v", r, err)
		}
		for range maxConnections {
			p.dial(t, home, session) // nobody reads; each ends at the latest when it may no longer write
		}
		synctest.Wait()
		begin := time.Now()
		r, err := http.ReadResponse(bufio.NewReader(p.dial(t, home, session)), nil)
		if err != nil || r.StatusCode != http.StatusOK || time.Since(begin) > writeTimeout+time.Second {
			t.Errorf("behind %d others one waits %v for %v: %v", maxConnections, time.Since(begin), r, err)
		}
	})
}

// TestListeners: so many listen; one that does not read is cut off and holds up nobody.
func TestListeners(t *testing.T) {
	bubble(t, func(t *testing.T, s *Server, p *pipes) {
		listen := "GET /api/v1/live HTTP/1.1\r\n" + hosts + "\r\n"
		reading := p.dial(t, home, listen)
		heard := make(chan int)
		go func() {
			n := 0
			for lines := bufio.NewScanner(reading); lines.Scan(); {
				if strings.HasPrefix(lines.Text(), "event: warning") {
					n++
				}
			}
			heard <- n
		}()
		for range maxListeners - 1 {
			p.dial(t, home, listen)
		}
		synctest.Wait()
		if n := len(s.live.ears); n != maxListeners {
			t.Fatalf("%d listen, should be %d", n, maxListeners)
		}
		r, err := http.ReadResponse(bufio.NewReader(p.dial(t, home, listen)), nil)
		if err != nil || r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" {
			t.Errorf("one more gets %v: %v", r, err)
		}
		m := scene()
		for i := range 3 * maxBehind {
			if err := s.Say(t.Context(), m.incidents[i%len(m.incidents)].Warning); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		time.Sleep(sendTimeout + time.Second)
		if n := len(s.live.ears); n != 1 {
			t.Errorf("%d still listen, should be the one that reads", n)
		}
		if len(s.live.kept) > maxKept {
			t.Errorf("%d messages are kept, at most %d", len(s.live.kept), maxKept)
		}
		s.live.close()
		if n := <-heard; n != 3*maxBehind {
			t.Errorf("the one that reads heard %d of %d", n, 3*maxBehind)
		}
	})
}

// TestMissed: who comes back is told what it missed, or that it missed too much.
func TestMissed(t *testing.T) {
	l := newLive(moment)
	for i := range maxKept + 10 {
		l.publish("warning", fmt.Append(nil, i))
	}
	for id, want := range map[string]struct {
		missed int
		gap    bool
	}{
		"":                                {0, false},
		l.run + "-266":                    {0, false},
		l.run + "-200":                    {66, false},
		l.run + "-10":                     {256, false},
		l.run + "-9":                      {256, true},
		l.run + "-267":                    {0, true},
		"other-200":                       {0, true},
		"\"><script>":                     {0, true},
		l.run + "--1":                     {0, true},
		l.run + "-9999999999999999999999": {0, true},
	} {
		missed, ear, gap := l.listen(id)
		if len(missed) != want.missed || gap != want.gap || ear == nil {
			t.Errorf("after %q one is told %d, gap %v; should be %v", id, len(missed), gap, want)
		}
		l.leave(ear)
		l.leave(ear) // twice is once
	}
	if len(l.ears) != 0 {
		t.Errorf("%d ears are left", len(l.ears))
	}
}

// certificate writes a certificate for loopback and its key.
func certificate(t *testing.T) (files TLS, roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sample := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "varde.example.net"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, sample, sample, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files = TLS{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	roots = x509.NewCertPool()
	pemCert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	roots.AppendCertsFromPEM(pemCert)
	for name, data := range map[string][]byte{files.Cert: pemCert, files.Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files, roots
}

// TestTLS: with certificate and key the page speaks https only, HTTP/2 too, and nothing older than TLS 1.2.
func TestTLS(t *testing.T) {
	files, roots := certificate(t)
	base, s, _ := startServer(t, Config{TLS: files, Users: []User{anna}})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MaxVersion: version}, ForceAttemptHTTP2: true}}
		defer client.CloseIdleConnections()
		r, err := client.Post("https://"+s.Addr().String()+"/api/v1/session", "application/json", strings.NewReader(`{"name":"anna","password":"correct horse"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if c := r.Cookies(); r.StatusCode != http.StatusOK || r.ProtoMajor != 2 || r.Header.Get("Strict-Transport-Security") == "" || len(c) != 1 || !c[0].Secure || c[0].Name != "__Host-varde" {
			t.Errorf("TLS %x: %s by %s, %v, HSTS %q", version, r.Status, r.Proto, c, r.Header.Get("Strict-Transport-Security"))
		}
	}
	if c, err := tls.Dial("tcp", s.Addr().String(), &tls.Config{RootCAs: roots, MaxVersion: tls.VersionTLS11}); err == nil {
		c.Close()
		t.Error("TLS 1.1 is spoken")
	}
	if r, err := http.Get(base + "/api/v1/session"); err == nil {
		r.Body.Close()
		if r.StatusCode != http.StatusBadRequest {
			t.Errorf("plain HTTP is answered with %s", r.Status)
		}
	}
	for _, broken := range []TLS{{files.Cert, files.Key + ".gone"}, {files.Key, files.Key}} {
		s, _ := newTestServer(t, Config{Listen: "127.0.0.1:0", TLS: broken})
		if err := s.Listen(); err == nil || !strings.Contains(err.Error(), broken.Key) || s.Addr() != nil {
			t.Errorf("with %v it says %v", broken, err)
		}
	}
}

// TestCaller: what one customer has is one caller.
func TestCaller(t *testing.T) {
	for addr, want := range map[string]string{
		"203.0.113.5:1": "203.0.113.5", "[::ffff:203.0.113.5]:1": "203.0.113.5", "[2001:db8:1:2:3::4]:1": "2001:db8:1:2::", "[fe80::1%eth0]:1": "fe80::",
	} {
		if got := callerOf(addr); got != netip.MustParseAddr(want) {
			t.Errorf("%s is %s, should be %s", addr, got, want)
		}
	}
	if callerOf("@").IsValid() {
		t.Error("what is no address is a caller")
	}
}
