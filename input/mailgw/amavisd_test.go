package mailgw

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const amavisdConf = `use strict;
$MYHOME='%[1]s'; $TEMPBASE="$MYHOME/tmp"; $ENV{TMPDIR}=$TEMPBASE; $db_home="$MYHOME/db"; $QUARANTINEDIR="$MYHOME/q";
$daemon_user='amavis'; $daemon_group='amavis'; $mydomain='example.test'; $myhostname='mx.example.test';
@local_domains_maps=(['.example.test']);
$enable_db=1; $max_servers=2; $max_requests=200; $inet_socket_port=%[2]d; $inet_socket_bind='127.0.0.1';
@bypass_virus_checks_maps=(1); @bypass_spam_checks_maps=(1); $enable_dkim_verification=0;
$forward_method='smtp:[127.0.0.1]:%[3]d'; $notify_method=$forward_method; $unix_socketname=undef;
$log_level=0; $do_syslog=0; $LOGFILE="$MYHOME/log"; $pid_file="$MYHOME/pid"; $lock_file="$MYHOME/lock";
1;
`

// sink takes all mail, until the test ends.
func sink(t *testing.T) int {
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
		case word == "QUIT":
			fmt.Fprint(c, "221 bye\r\n")
			return
		default:
			fmt.Fprint(c, "250 2.0.0 Ok\r\n")
		}
	}
}

// amavisd starts a real amavisd without scanners and gives its home and its port.
func amavisd(t *testing.T) (home string, port int) {
	t.Helper()
	path := program(t, "amavisd", "amavisd-new")
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
	home = filepath.Join(top, "home")
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
	port = l.Addr().(*net.TCPAddr).Port
	l.Close()
	conf := filepath.Join(top, "amavisd.conf") // its folder must not be writable for amavis
	if err := os.WriteFile(conf, fmt.Appendf(nil, amavisdConf, home, port, next), 0o644); err != nil {
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
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) { // Perl loads its modules
		// It listens before it has made its databases, but greets only then.
		if c, err := smtp.Dial(fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			c.Quit()
			return home, port
		}
	}
	log, _ := os.ReadFile(home + "/log")
	t.Fatalf("amavisd does not listen: %s", log)
	return "", 0
}

const letter = "From: a@elsewhere.test\r\nTo: b@example.test\r\nSubject: x\r\nDate: Mon, 23 Nov 2026 16:00:00 +0000\r\nMessage-ID: <1@elsewhere.test>\r\n\r\nhello\r\n"

// TestRealAmavisd reads while two clients send mail through a real amavisd: no counter goes back, and in the end all
// mail is counted, which the file alone does not know.
func TestRealAmavisd(t *testing.T) {
	home, port := amavisd(t)
	a := NewAmavis(AmavisConfig{Dir: home + "/db"})
	ctx, cancel := context.WithCancel(t.Context())
	const each = 15
	var senders sync.WaitGroup
	for range 2 {
		senders.Go(func() {
			for range each {
				if err := smtp.SendMail(fmt.Sprintf("127.0.0.1:%d", port), nil, "a@elsewhere.test", []string{"b@example.test"}, []byte(letter)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	go func() { senders.Wait(); cancel() }()
	before := map[string]uint64{}
	reads, busy := 0, 0
	for ctx.Err() == nil {
		v, err := a.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		reads++
		busy = max(busy, v.Processes.Busy)
		for i := range v.Values {
			if x := &v.Values[i]; x.IsCounter() {
				if x.Count < before[x.Name] {
					t.Fatalf("%s was %d and is %d", x.Name, before[x.Name], x.Count)
				}
				before[x.Name] = x.Count
			}
		}
	}
	v, err := a.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	file, _, err := a.snmp.readFile()
	if err != nil {
		t.Fatal(err)
	}
	var old AmavisValues
	old.fill(file.rows)
	t.Logf("%d reads, %+v; InMsgs %d live, %d in the file; at most %d of %d processes busy", reads, a.Stats(), v.Count("InMsgs"), old.Count("InMsgs"), busy, v.Processes.All)
	if v.Count("InMsgs") != 2*each || v.Count("ContentCleanMsgsInbound") != 2*each || v.Source != FromLive {
		t.Errorf("InMsgs %d, clean inbound %d from %s; want %d, live", v.Count("InMsgs"), v.Count("ContentCleanMsgsInbound"), v.Source, 2*each)
	}
	if v.Processes.All != 2 || busy == 0 {
		t.Errorf("%d processes, at most %d busy; want 2 and some", v.Processes.All, busy)
	}
	log, err := os.Open(home + "/log")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	text, err := io.ReadAll(log)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(eventsOf(NewMailLog(), text), `"verdict":"clean"`); n != 2*each {
		t.Errorf("its log gives %d events of clean mail, want %d", n, 2*each)
	}
	if dump, err := exec.LookPath("db_dump"); err == nil {
		want, err := (&dumper{program: dump}).dump(t.Context(), home+"/db", "snmp.db")
		if err != nil {
			t.Fatal(err)
		}
		got, err := a.snmp.read(t.Context(), take)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(sorted(want.rows), sorted(got.rows), cmp.AllowUnexported(row{})); d != "" {
			t.Errorf("db_dump - and + the live reader:\n%s", d)
		}
	}
}
