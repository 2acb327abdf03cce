package syslog

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRsyslog lets a real rsyslogd send in every way that it knows, with its own formats.
func TestRsyslog(t *testing.T) {
	program, err := exec.LookPath("rsyslogd")
	if err != nil {
		t.Skip("rsyslogd is not installed (Debian package rsyslog)")
	}
	ways := []string{"udp", "udp5424", "newline", "octets", "tls"}
	if found, _ := filepath.Glob("/usr/lib/*/rsyslog/lmnsd_ossl.so"); found == nil {
		t.Log("without TLS: rsyslogd cannot speak it here (Debian package rsyslog-openssl)")
		ways = ways[:4]
	}
	dir := t.TempDir()
	ca, caPath, _ := certificate(t, dir, "ca", nil)
	_, certPath, keyPath := certificate(t, dir, "varde.example", &ca)
	_, senderCert, senderKey := certificate(t, dir, "sender.example", &ca)
	cfg := testConfig()
	cfg.UDP, cfg.TCP, cfg.TLS = []string{"127.0.0.1:0"}, []string{"127.0.0.1:0"}, []string{"127.0.0.1:0"}
	cfg.Cert, cfg.Key, cfg.ClientCA, cfg.Zone = certPath, keyPath, caPath, "Asia/Kathmandu"
	s, c, stop := serve(t, cfg)

	port := func(a net.Addr) string { _, p, _ := net.SplitHostPort(a.String()); return p }
	forward := func(addr net.Addr, more string) string {
		return fmt.Sprintf("action(type=\"omfwd\" target=\"127.0.0.1\" port=%q action.resumeInterval=\"1\" %s)\n", port(addr), more)
	}
	socket := filepath.Join(dir, "log")
	conf := fmt.Sprintf("global(workDirectory=%q)\nmodule(load=\"imuxsock\" SysSock.Use=\"off\")\n", dir) +
		fmt.Sprintf("input(type=\"imuxsock\" Socket=%q RateLimit.Interval=\"0\")\n", socket)
	for _, way := range ways {
		conf += fmt.Sprintf("if $programname == %q then {\n", way)
		switch way {
		case "udp":
			conf += forward(s.udp[0].LocalAddr(), `protocol="udp"`)
		case "udp5424":
			conf += forward(s.udp[0].LocalAddr(), `protocol="udp" template="RSYSLOG_SyslogProtocol23Format"`)
		case "newline":
			conf += forward(s.tcp[0].Addr(), `protocol="tcp" template="RSYSLOG_ForwardFormat"`)
		case "octets":
			conf += forward(s.tcp[0].Addr(), `protocol="tcp" TCP_Framing="octet-counted" template="RSYSLOG_SyslogProtocol23Format"`)
		case "tls":
			conf += forward(s.tcp[1].Addr(), fmt.Sprintf(`protocol="tcp" TCP_Framing="octet-counted" streamDriver="ossl" streamDriverMode="1"
				streamDriverAuthMode="x509/name" streamDriverPermittedPeers="varde.example"
				streamDriver.CAFile=%q streamDriver.CertFile=%q streamDriver.KeyFile=%q`, caPath, senderCert, senderKey))
		}
		conf += "}\n"
	}
	path := filepath.Join(dir, "conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd := exec.Command(program, "-n", "-f", path, "-i", filepath.Join(dir, "pid"))
	cmd.Env = append(os.Environ(), "TZ=Asia/Kathmandu")
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end := func() { cmd.Process.Kill(); cmd.Wait() }
	defer end()
	waitFor(t, "rsyslogd", func() bool { _, err := os.Stat(socket); return err == nil })
	log, err := net.Dial("unixgram", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()

	const each = 200
	began := time.Now().Add(-2 * time.Second)
	zone := location(cfg.Zone)
	for i := range each {
		for _, way := range ways {
			if _, err := fmt.Fprintf(log, "<132>%s %s[77]: line %03d \u00e9 \"x\" %%d", time.Now().In(zone).Format(time.Stamp), way, i); err != nil {
				t.Fatal(err)
			}
		}
	}
	for tries := 0; c.count() < each*len(ways) && tries < 500; tries++ {
		time.Sleep(20 * time.Millisecond)
	}
	stop()
	end()
	if got := c.count(); got != each*len(ways) {
		t.Fatalf("%d lines of %d; rsyslogd said: %s", got, each*len(ways), said.String())
	}
	next := map[string]int{}
	for i, line := range c.lines {
		f := strings.SplitN(line, " ", 4)
		way := f[2]
		want := fmt.Sprintf("line %03d \u00e9 \"x\" %%d", next[way])
		next[way]++
		if f[3] != want || f[0] != "127.0.0.1" || f[1] == "" {
			t.Fatalf("%q came as %q, want its end %q", c.raw[i], line, want)
		}
		if c.times[i].Before(began) || c.times[i].After(time.Now()) {
			t.Fatalf("%q is of %s, and was sent between %s and now", c.raw[i], c.times[i], began)
		}
	}
	for _, way := range ways {
		if next[way] != each {
			t.Errorf("%s brought %d lines of %d", way, next[way], each)
		}
	}
}
