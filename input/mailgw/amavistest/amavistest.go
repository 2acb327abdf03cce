// Package amavistest starts a real amavisd on loopback, with somebody behind it who takes all mail, for tests.
package amavistest

import (
	"bufio"
	"fmt"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const configuration = `use strict;
$MYHOME='%[1]s'; $TEMPBASE="$MYHOME/tmp"; $ENV{TMPDIR}=$TEMPBASE; $db_home="$MYHOME/db"; $QUARANTINEDIR="$MYHOME/q";
$daemon_user='amavis'; $daemon_group='amavis'; $mydomain='example.test'; $myhostname='mx.example.test';
@local_domains_maps=(['.example.test']);
$enable_db=1; $max_servers=2; $max_requests=200; $inet_socket_port=%[2]d; $inet_socket_bind='127.0.0.1';
@bypass_virus_checks_maps=(1); @bypass_spam_checks_maps=(1); $enable_dkim_verification=0;
$forward_method='smtp:[127.0.0.1]:%[3]d'; $notify_method=$forward_method; $unix_socketname=undef;
$log_level=0; $do_syslog=0; $LOGFILE="$MYHOME/log"; $pid_file="$MYHOME/pid"; $lock_file="$MYHOME/lock";
%[4]s
1;
`

// sink takes all mail, until the test ends.
func sink(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go swallow(c)
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

func swallow(c net.Conn) {
	defer c.Close()
	fmt.Fprint(c, "220 sink ESMTP\r\n")
	data := false
	for sc := bufio.NewScanner(c); sc.Scan(); {
		word, _, _ := strings.Cut(strings.ToUpper(sc.Text()), " ")
		switch {
		case data && sc.Text() != ".":
		case data:
			data = false
			fmt.Fprint(c, "250 2.0.0 Ok: queued as 4jY04W1ctTz1W74w\r\n")
		case word == "DATA":
			data = true
			fmt.Fprint(c, "354 go on\r\n")
		case word == "EHLO":
			fmt.Fprint(c, "250-sink\r\n250 8BITMIME\r\n")
		case word == "QUIT":
			fmt.Fprint(c, "221 bye\r\n")
			return
		default:
			fmt.Fprint(c, "250 2.0.0 Ok\r\n")
		}
	}
}

// Amavisd is a real amavisd. Its databases are in Home/db, its log is Home/log.
type Amavisd struct {
	Home string
	Addr string // where it takes mail
}

// Letter is a mail in good order, for a recipient of amavisd's own domain.
const Letter = "From: a@elsewhere.test\r\nTo: b@example.test\r\nSubject: x\r\nDate: Mon, 23 Nov 2026 16:00:00 +0000\r\nMessage-ID: <1@elsewhere.test>\r\n\r\nhello\r\n"

// Send hands it a mail.
func (a *Amavisd) Send(letter string) error {
	return smtp.SendMail(a.Addr, nil, "a@elsewhere.test", []string{"b@example.test"}, []byte(letter))
}

// Start starts an amavisd without scanners, except for what more lines of its configuration say. It stops with the
// test, which is skipped where there is no amavisd.
func Start(t testing.TB, more ...string) *Amavisd {
	t.Helper()
	path, err := exec.LookPath("amavisd")
	if err != nil {
		t.Skip("amavisd is not installed: apt-get install amavisd-new")
	}
	if os.Geteuid() != 0 {
		t.Skip("amavisd changes to its user, which only root can")
	}
	if _, err := user.Lookup("amavis"); err != nil {
		t.Skip("there is no user amavis: apt-get install amavisd-new")
	}
	top, err := os.MkdirTemp("", "varde-amavis")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(top) })
	home := filepath.Join(top, "home")
	for _, d := range []string{home, home + "/db", home + "/tmp", home + "/q"} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("chown", "-R", "amavis:amavis", home).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	next := sink(t) // before the port is given back, which it might get
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	conf := filepath.Join(top, "amavisd.conf") // its folder must not be writable for amavis
	if err := os.WriteFile(conf, fmt.Appendf(nil, configuration, home, port, next, strings.Join(more, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(top, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-c", conf, "foreground")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Signal(os.Interrupt); cmd.Wait() })
	a := &Amavisd{Home: home, Addr: fmt.Sprintf("127.0.0.1:%d", port)}
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) { // Perl loads its modules
		// It listens before it has made its databases, but greets only then.
		if c, err := smtp.Dial(a.Addr); err == nil {
			c.Quit()
			return a
		}
	}
	log, _ := os.ReadFile(home + "/log")
	t.Fatalf("amavisd does not listen: %s", log)
	return nil
}
