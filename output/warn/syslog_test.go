package warn

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"varde/event"
	"varde/event/human"
)

func newTestSyslog(t *testing.T, c SyslogConfig) *syslog {
	t.Helper()
	if c.Hostname == "" {
		c.Hostname = "edge"
	}
	s, err := newSyslog(c)
	if err != nil {
		t.Fatal(err)
	}
	s.(*syslog).pid = 4711
	t.Cleanup(s.(*syslog).hangUp)
	return s.(*syslog)
}

func TestSyslogMessages(t *testing.T) {
	var b bytes.Buffer
	for _, c := range []struct {
		name  string
		cfg   SyslogConfig
		cases []string
	}{
		{"rfc5424", SyslogConfig{Address: "udp://192.0.2.1:514"}, []string{"answered out", "ipv6", "icmp", "surge", "hostile", "nothing known"}},
		{"rfc5424 without data, with BOM, local7", SyslogConfig{Address: "udp://192.0.2.1:514", SDID: "-", BOM: true, Facility: "local7"}, []string{"probe in"}},
		{"rfc5424 as JSON", SyslogConfig{Address: "tcp://192.0.2.1:514", Format: "json"}, []string{"answered out"}},
		{"rfc5424 as short as can be", SyslogConfig{Address: "udp://192.0.2.1:514", MaxLength: leastMessage}, []string{"answered out", "hostile"}},
		{"rfc3164", SyslogConfig{Address: "udp://192.0.2.1:514", Protocol: "rfc3164"}, []string{"answered out"}},
		{"local", SyslogConfig{Address: "unix:///dev/log"}, []string{"answered out"}},
	} {
		s := newTestSyslog(t, c.cfg)
		for _, k := range cases {
			if !strings.Contains(strings.Join(c.cases, "|"), k.name) {
				continue
			}
			w := warning(3)
			k.change(&w)
			fmt.Fprintf(&b, "== %s, %s\n%s\n", c.name, k.name, s.message(&w))
		}
	}
	local := event.Stamp(at).In(time.Local).Format(time.Stamp) // RFC 3164 knows local time only
	golden(t, "syslog.golden", bytes.ReplaceAll(b.Bytes(), []byte(local), []byte("Jun  7 12:38:20")))
}

// TestLongJSONStaysJSON: evidence is left out, never half a value.
func TestLongJSONStaysJSON(t *testing.T) {
	w := warning(3)
	for range 100 {
		w.Evidence = append(w.Evidence, w.Evidence[0])
	}
	w.Why = strings.Repeat("why ", 2000)
	w.Event.Detail.Set("data", strings.Repeat("A", 20_000))
	for _, most := range []human.Size{udpMessage, tcpMessage} {
		s := newTestSyslog(t, SyslogConfig{Address: "udp://192.0.2.1:514", Format: "json", MaxLength: most})
		m := s.message(&w)
		if _, body, ok := bytes.Cut(m, []byte(" - ")); !ok || !json.Valid(body) || len(m) > int(most) {
			t.Errorf("%d bytes: %s", len(m), m)
		}
	}
}

// rsyslogd is a real one, started on loopback with the manual's example, of which only addresses and paths are changed.
type rsyslogd struct {
	dir, udp, tcp, unix string
}

func startRsyslogd(t *testing.T) *rsyslogd {
	t.Helper()
	program, err := exec.LookPath("rsyslogd")
	if err != nil {
		t.Skip("rsyslogd is not installed (Debian package rsyslog)")
	}
	example, err := os.ReadFile("../../docs/examples/rsyslog-varde.conf")
	if err != nil {
		t.Fatal(err)
	}
	tcp := freeTCP(t)
	_, port, _ := net.SplitHostPort(tcp)
	r := &rsyslogd{dir: t.TempDir(), tcp: tcp, udp: tcp}
	r.unix = filepath.Join(r.dir, "log")
	conf := strings.NewReplacer(`port="514"`, fmt.Sprintf(`address="127.0.0.1" port="%s"`, port), "/var/log/", r.dir+"/").Replace(string(example))
	conf = fmt.Sprintf("global(workDirectory=%q)\nmodule(load=\"imuxsock\" SysSock.Use=\"off\")\ninput(type=\"imuxsock\" Socket=%q)\n", r.dir, r.unix) + conf
	if err := os.WriteFile(filepath.Join(r.dir, "conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd := exec.Command(program, "-n", "-f", filepath.Join(r.dir, "conf"), "-i", filepath.Join(r.dir, "pid"))
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("rsyslogd said: %s", said.String())
		}
	})
	waitFor(t, "rsyslogd", func() bool {
		c, err := net.Dial("tcp", r.tcp)
		if err == nil {
			c.Close()
		}
		_, statErr := os.Stat(r.unix)
		return err == nil && statErr == nil
	})
	return r
}

func (r *rsyslogd) file(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(b)
}

var pidOfVarde = regexp.MustCompile(`varde\[\d+\]`)

// TestRsyslog sends to a real rsyslogd in every way that it understands and compares what it wrote.
func TestRsyslog(t *testing.T) {
	r := startRsyslogd(t)
	for _, c := range []SyslogConfig{
		{Address: "udp://" + r.udp},
		{Address: "tcp://" + r.tcp},
		{Address: "tcp://" + r.tcp, Framing: "newline"},
		{Address: "tcp://" + r.tcp, Format: "json"},
		{Address: "unix://" + r.unix},
	} {
		before := strings.Count(r.file(t, "varde.log"), "\n")
		c.Hostname = "edge"
		h, stop := hub(t, "", Config{Syslog: &c})
		h.Say(warning(1))
		h.Say(func() event.Warning { w := warning(2); w.Own.Name, w.Evidence[0].Name = hostile, hostile; return w }())
		waitFor(t, "two lines of "+c.Address, func() bool { return strings.Count(r.file(t, "varde.log"), "\n") == before+2 })
		stop()
	}
	got := pidOfVarde.ReplaceAllString(r.file(t, "varde.log"), "varde[4711]")
	// The local socket brings neither our host name nor a zone, and its time is ours.
	lines := strings.SplitAfter(got, "\n")
	for i := 8; i < len(lines); i++ {
		if _, rest, ok := strings.Cut(lines[i], " varde["); ok {
			lines[i] = "local varde[" + rest
		}
	}
	golden(t, "rsyslog.golden", []byte(strings.Join(lines, "")))
	golden(t, "rsyslog-fields.golden", []byte(r.file(t, "varde.tsv")))
}

// TestSyslogReceiverRestarts: what was written to a connection that is gone counts only once the other side has it.
func TestSyslogReceiverRestarts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	s := newTestSyslog(t, SyslogConfig{Address: "tcp://" + address})
	if err := s.Say(t.Context(), warning(0)); err != nil {
		t.Fatal(err)
	}
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	conn.Close()
	said, failed := 1, 0
	for range 5 {
		if err := s.Say(t.Context(), warning(said)); err == nil {
			t.Error("it was said to nobody")
		} else {
			failed++
		}
	}
	if l, err = net.Listen("tcp", address); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := s.Say(t.Context(), warning(said)); err != nil || failed != 5 {
		t.Errorf("%v after %d failures", err, failed)
	}
}

// TestSyslogToNobody: over UDP a receiver that is not there is noticed on this machine at least.
func TestSyslogToNobody(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := pc.LocalAddr().String()
	pc.Close()
	s := newTestSyslog(t, SyslogConfig{Address: "udp://" + address})
	if err := s.Say(t.Context(), warning(1)); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("%v", err)
	}
	if err := newTestSyslog(t, SyslogConfig{Address: "unix:///nonexistent/log"}).Say(t.Context(), warning(1)); err == nil {
		t.Error("said to a socket that is not there")
	}
}

// TestSyslogReceiverThatReadsNothing: a full window is a failure in the end, and ends with the program.
func TestSyslogReceiverThatReadsNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := newTestSyslog(t, SyslogConfig{Address: "tcp://" + l.Addr().String()})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	w := warning(1)
	n, err := 0, error(nil)
	for err == nil && n < 100_000 {
		var k int
		k, err = s.sayAll(ctx, func(yield func(event.Warning) bool) {
			for yield(w) {
			}
		})
		n += k
	}
	if err == nil {
		t.Errorf("%d warnings said to one that does not read", n)
	}
}

// TestSyslogTLS: our own authority, a certificate of ours that the receiver asks for, and none that is not known.
func TestSyslogTLS(t *testing.T) {
	dir := t.TempDir()
	ca, caKey := certificate(t, dir, "ca", nil, nil)
	certificate(t, dir, "server", ca, caKey)
	certificate(t, dir, "client", ca, caKey)
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan string, 10)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go octets(conn, func(m string) { got <- m })
		}
	}()
	c := SyslogConfig{
		Address: "tls://" + l.Addr().String(), CA: filepath.Join(dir, "ca.pem"),
		Cert: filepath.Join(dir, "client.pem"), Key: filepath.Join(dir, "client.key"),
	}
	if err := newTestSyslog(t, c).Say(t.Context(), warning(1)); err != nil {
		t.Fatal(err)
	}
	if m := <-got; !strings.HasPrefix(m, "<34>1 2016-06-07T12:38:20.000000Z edge varde 4711 list [varde@32473 id=\"id1\"") {
		t.Errorf("got %s", m)
	}
	c.CA = ""
	if err := newTestSyslog(t, c).Say(t.Context(), warning(1)); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown authority was accepted: %v", err)
	}
	c.CA, c.Cert, c.Key = filepath.Join(dir, "ca.key"), "", ""
	if err := newTestSyslog(t, c).Say(t.Context(), warning(1)); err == nil || !strings.Contains(err.Error(), "holds no certificate") {
		t.Errorf("%v", err)
	}
}

// certificate makes one for 127.0.0.1, signed by the authority or by itself, as name.pem and name.key.
func certificate(t *testing.T, dir, name string, ca *x509.Certificate, caKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"}, IsCA: ca == nil, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ca == nil {
		ca, caKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, &key.PublicKey, caKey)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{name + ".pem": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made, key
}
