package main

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"varde/core/intel"
	"varde/input/mailgw/amavistest"
	"varde/output/check"
)

// scannerEntry is what the manual tells to put into amavis's configuration.
func scannerEntry(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/checks.md")
	if err != nil {
		t.Fatal(err)
	}
	_, entry, ok := strings.Cut(string(text), "    push @av_scanners,")
	entry, _, ok2 := strings.Cut(entry, "\n\n")
	if !ok || !ok2 {
		t.Fatal("docs/checks.md shows no entry for @av_scanners")
	}
	return "push @av_scanners," + entry
}

// TestAmavisScanner: a real amavisd with the entry of the manual blocks a mail whose attachment a list names, lets
// another through, and says that one was not looked at while nobody answers.
func TestAmavisScanner(t *testing.T) {
	const malware = "this attachment stands for malware and is longer than what is tiny"
	dir, varde := openFolder(t)
	list := dir + "/list.json"
	if err := os.WriteFile(list, []byte(`{"7":[{"ioc_value":"`+fmt.Sprintf("%x", sha256.Sum256([]byte(malware)))+`","ioc_type":"sha256_hash","malware_printable":"Mirai","first_seen_utc":"2026-01-01 00:00:00","confidence_level":90}]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	set, err := intel.New([]intel.ListConfig{{Name: "threatfox", File: list}}, intel.DefaultAllow(), "", newLog(true))
	if err != nil {
		t.Fatal(err)
	}
	if err := set.Load(); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("POST "+check.HashPath, check.HashHandler(listHashes{set}))
	server := httptest.NewServer(mux)
	defer server.Close()
	entry := strings.NewReplacer("/usr/bin/varde", varde, "check-file {}", "check-file -H "+server.URL+" {}").Replace(scannerEntry(t))
	a := amavistest.Start(t, "@bypass_virus_checks_maps = (0); @av_scanners = (); @av_scanners_backup = ();", entry, "$log_level = 2;")
	letter := func(attachment string) string {
		return strings.Replace(amavistest.Letter, "\r\n\r\nhello\r\n", "\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nhello, this is a mail\r\n--x\r\n"+
			"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=a.bin\r\n\r\n"+
			base64.StdEncoding.EncodeToString([]byte(attachment))+"\r\n--x--\r\n", 1)
	}
	log := func() string {
		b, err := os.ReadFile(a.Home + "/log")
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if err := a.Send(letter(strings.Repeat("harmless ", 10))); err != nil {
		t.Fatalf("%v: %s", err, log())
	}
	waitFor(t, "a clean mail", func() bool { return strings.Contains(log(), "Passed CLEAN") })
	a.Send(letter(malware)) // it is refused or thrown away, as amavis likes
	waitFor(t, "malware", func() bool { return strings.Contains(log(), "Blocked INFECTED (threatfox.Mirai") })
	server.Close()
	a.Send(letter("nobody can tell anything of this, which is long enough"))
	waitFor(t, "a mail that nobody looked at", func() bool {
		return strings.Contains(log(), "varde av-scanner FAILED") && strings.Contains(log(), "Passed UNCHECKED {")
	})
	if n := strings.Count(log(), "Passed CLEAN {"); n != 1 {
		t.Errorf("%d mails passed as clean, want 1:\n%s", n, log())
	}
}
