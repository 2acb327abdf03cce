package mailgw

import (
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"varde/event/human"
)

func TestCVDHeader(t *testing.T) {
	pad := func(s string) string { return s + strings.Repeat(" ", max(0, cvdHeader-len(s))) }
	head := "ClamAV-VDB:22 Jun 2021 21-34 -0400:6:1234:90:54b4a2e23fb35b693369603b0bc03c6f:sig:builder"
	want := time.Date(2021, 6, 23, 1, 34, 5, 0, time.UTC)
	s, err := parseCVD([]byte(pad(head + ":1624412045")))
	if err != nil || s.Version != 6 || s.Count != 1234 || s.Level != 90 || !s.Built.Equal(want) || s.Builder != "builder" {
		t.Errorf("%+v: %v", s, err)
	}
	// Very old files lack the seconds.
	if s, err := parseCVD([]byte(pad(head))); err != nil || !s.Built.Equal(want.Truncate(time.Minute)) {
		t.Errorf("%s: %v; want %s", s.Built, err, want.Truncate(time.Minute))
	}
	for _, bad := range []string{"", "<html>", "ClamAV-VDB:x:y:z", strings.Replace(head, ":6:", ":-6:", 1), strings.Replace(head, "22 Jun", "x", 1)} {
		if s, err := parseCVD([]byte(bad)); err == nil {
			t.Errorf("%q is believed: %+v", bad, s)
		}
	}
}

func TestClamdVersion(t *testing.T) {
	s, err := parseClamdVersion("ClamAV 1.4.6/27700/Wed Jun 23 01:34:05 2021")
	if err != nil || s.Engine != "1.4.6" || s.Version != 27700 || s.Built.Year() != 2021 {
		t.Errorf("%+v: %v", s, err)
	}
	if s, err := parseClamdVersion("ClamAV 1.4.6"); err != nil || s.Version != 0 {
		t.Errorf("%+v: %v; want no version", s, err)
	}
	for _, bad := range []string{"", "PONG", "ClamAV 1/x/y", "ClamAV 1/6/yesterday"} {
		if _, err := parseClamdVersion(bad); err == nil {
			t.Errorf("%q is believed", bad)
		}
	}
}

// texts is a record as the project publishes it.
type texts string

func (r texts) LookupTXT(context.Context, string) ([]string, error) {
	if r == "" {
		return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
	}
	return []string{string(r)}, nil
}

func TestUpstream(t *testing.T) {
	now := time.Unix(1752000000, 0)
	c := NewClamAV(ClamAVConfig{}, texts("1.4.3:62:27700:1751990000:1:90:49192:336"))
	u := c.upstream(t.Context(), now)
	if u.Err != nil || u.Engine != "1.4.3" || u.Versions["daily"] != 27700 || u.Versions["bytecode"] != 336 || u.Level != 90 {
		t.Errorf("%+v", u)
	}
	if u := c.upstream(t.Context(), now.Add(13*time.Hour)); u.Err == nil || len(u.Versions) != 0 {
		t.Errorf("%+v: a record of 13 hours is believed", u)
	}
	for _, bad := range []texts{"", "v=spf1 -all", "1.4.3:62:x:1751990000:1:90:49192:336"} {
		if u := NewClamAV(ClamAVConfig{}, bad).upstream(t.Context(), now); u.Err == nil {
			t.Errorf("%q is believed: %+v", bad, u)
		}
	}
	s := ClamAVState{Upstream: u, Databases: []Signatures{{Name: "daily", Version: 27690}}}
	if lag, ok := s.Lag("daily"); !ok || lag != 10 {
		t.Errorf("lag %d %v, want 10", lag, ok)
	}
	if _, ok := s.Lag("main"); ok {
		t.Error("the lag of a database that is not there is known")
	}
}

// buildDaily makes a small unsigned daily database.
func buildDaily(t *testing.T, dir, version string) {
	t.Helper()
	sigtool := program(t, "sigtool", "clamav-base clamav")
	work := t.TempDir()
	for name, text := range map[string]string{
		"daily.ndb": "Test.Sig-1:0:*:76617264652d746573742d7369676e6174757265\n", "COPYING": "x",
	} {
		if err := os.WriteFile(filepath.Join(work, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(sigtool, "--datadir="+dir, "--unsigned", "--no-cdiff", "--build=daily.cud")
	cmd.Dir, cmd.Stdin = work, strings.NewReader(version+"\nvarde\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("sigtool: %v: %s", err, out)
	}
	b, err := os.ReadFile(filepath.Join(work, "daily.cud"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "daily.cud"), b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestRealClamd: the disk is renewed, the daemon is not told, and that is seen.
func TestRealClamd(t *testing.T) {
	clamd := program(t, "clamd", "clamav-daemon")
	dir := t.TempDir()
	buildDaily(t, dir, "5")
	socket, conf := filepath.Join(dir, "s"), filepath.Join(t.TempDir(), "clamd.conf")
	text := "DatabaseDirectory " + dir + "\nLocalSocket " + socket + "\nForeground yes\nSelfCheck 0\nUser root\n"
	if os.Geteuid() != 0 {
		text = strings.Replace(text, "User root\n", "", 1)
	}
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(clamd, "-c", conf)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	c := NewClamAV(ClamAVConfig{Dir: dir, Clamd: socket, Databases: human.List{"daily", "main"}}, nil)
	var s ClamAVState
	var err error
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) { // it compiles its signatures first
		if s, err = c.Snapshot(t.Context()); err == nil && s.Daemon.Err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("clamd does not answer: %v %v", err, s.Daemon.Err)
		}
	}
	if lag, ok := s.DaemonLag(); !ok || lag != 0 || s.Daily().Version != 5 || time.Since(s.Daily().Built) > time.Hour {
		t.Errorf("lag %d %v, daily %+v; want version 5 everywhere", lag, ok, s.Daily())
	}
	if s.Databases[1].Err == nil {
		t.Errorf("main is not there, yet %+v", s.Databases[1])
	}
	buildDaily(t, dir, "6")
	if s, err = c.Snapshot(t.Context()); err != nil {
		t.Fatal(err)
	}
	if lag, ok := s.DaemonLag(); !ok || lag != 1 {
		t.Errorf("lag %d %v, want 1: disk %d, daemon %d", lag, ok, s.Daily().Version, s.Daemon.Version)
	}
	cmd.Process.Kill()
	cmd.Wait()
	if s, err = c.Snapshot(t.Context()); err != nil || !errors.Is(s.Daemon.Err, syscall.ECONNREFUSED) {
		t.Errorf("%v, daemon %v; want that it refuses", err, s.Daemon.Err)
	}
	if _, ok := s.DaemonLag(); ok {
		t.Error("the lag of a daemon that is down is known")
	}
}

// TestRealFreshclam: a mirror answers 429, and freshclam writes down until when it is blocked.
func TestRealFreshclam(t *testing.T) {
	freshclam := program(t, "freshclam", "clamav-freshclam")
	mirror := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7200")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer mirror.Close()
	dir := t.TempDir()
	conf := filepath.Join(t.TempDir(), "freshclam.conf")
	text := "DatabaseDirectory " + dir + "\nDatabaseMirror " + mirror.URL + "\nDNSDatabaseInfo no\nMaxAttempts 1\nBytecode no\nScriptedUpdates no\nUpdateLogFile " + dir + "/log\n"
	if os.Geteuid() == 0 {
		text += "DatabaseOwner root\n"
	}
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	out, _ := exec.CommandContext(ctx, freshclam, "--config-file="+conf, "--stdout").CombinedOutput()
	b, err := os.ReadFile(filepath.Join(dir, "freshclam.dat"))
	if err != nil {
		t.Skipf("freshclam left no freshclam.dat: %s", out)
	}
	got, err := parseFreshclamDat(b)
	if err != nil {
		t.Fatalf("%v: %q", err, b)
	}
	if d := time.Until(got); d < time.Hour || d > 25*time.Hour {
		t.Errorf("blocked until %s, want some hours from now; freshclam said %s", got, out)
	}
	s, _ := NewClamAV(ClamAVConfig{Dir: dir, Databases: human.List{"daily"}}, nil).Snapshot(t.Context())
	if s.RetryAfter.IsZero() {
		t.Error("the state does not tell that freshclam is blocked")
	}
}

func TestFreshclamDat(t *testing.T) {
	b := append([]byte("FreshClamData"), make([]byte, 56)...)
	b[13] = 1
	binary.LittleEndian.PutUint64(b[13+48:], 1795450025)
	if got, err := parseFreshclamDat(b); err != nil || got.Unix() != 1795450025 {
		t.Errorf("%s: %v", got, err)
	}
	for _, bad := range [][]byte{nil, b[:60], []byte("FreshClamData"), append([]byte("x"), b...)} {
		if _, err := parseFreshclamDat(bad); err == nil {
			t.Errorf("%q is believed", bad)
		}
	}
}

func TestClamAVStates(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	header := func(version, built string) string {
		return "ClamAV-VDB:22 Jun 2021 21-34 -0400:" + version + ":1:90:x:x:b:" + built
	}
	write("main.cvd", header("62", "1624412045"))
	write("main.cld", header("63", "1624412046"))
	write("daily.cvd", "")
	write("bytecode.cvd", header("1", "99999999999"))
	for name, want := range map[string]string{"daily": "empty", "bytecode": "future", "other": "has freshclam ever run"} {
		if s := readSignatures(dir, name, now); s.Err == nil || !strings.Contains(s.Err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, s.Err, want)
		}
	}
	if s := readSignatures(dir, "main", now); s.Version != 63 || !strings.HasSuffix(s.File, ".cld") {
		t.Errorf("%+v, want the newer main.cld", s)
	}
	if s := readSignatures(dir, "other", now); !errors.Is(s.Err, fs.ErrNotExist) {
		t.Errorf("%v", s.Err)
	}
}
