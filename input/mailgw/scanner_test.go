package mailgw

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"varde/input/mailgw/webget"
)

// weblogXML is the status file as the weblog shows it, with the MD5 of "signatures\n".
const weblogXML = `<?xml version="1.0" encoding="utf-8"?>
<latest><ide>
<name>vawtr-ig.ide</name>
<md5>ec411c02ca74316629dce9c0c5cff3ff</md5>
<size>21584</size>
<timestamp>2017-01-18T14:11:00</timestamp>
<published>2017-01-18T17:11:27</published>
</ide></latest>
`

func TestSophos(t *testing.T) {
	dir := t.TempDir()
	status := weblogXML
	code := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		w.Write([]byte(status))
	}))
	defer server.Close()
	now := time.Date(2017, 1, 19, 0, 0, 0, 0, time.UTC)
	ask := func() ScannerState {
		return sophos(t.Context(), SophosConfig{Status: server.URL, Dir: dir}, webget.New(), now)
	}
	if s := ask(); s.State != Missing || s.Err != nil {
		t.Errorf("%+v, want missing", s)
	}
	file := filepath.Join(dir, "vawtr-ig.ide")
	for content, want := range map[string]Freshness{"signatures\n": Current, "old signatures\n": Outdated, "": Outdated} {
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if s := ask(); s.State != want || s.Err != nil {
			t.Errorf("%q: %+v, want %s", content, s, want)
		} else if want == Current && !s.Made.Equal(time.Date(2017, 1, 18, 14, 11, 0, 0, time.UTC)) {
			t.Errorf("made %s", s.Made)
		}
	}
	// Whatever is not the status file is unknown, never fresh.
	for _, bad := range []string{
		"", "<html><body>Not found</body></html>", "<latest></latest>", strings.Replace(weblogXML, "vawtr-ig.ide", "../../etc/passwd", 1),
		strings.Replace(weblogXML, "ec411c02", "", 1), strings.Repeat("<a>", 1<<19),
	} {
		status = bad
		if s := ask(); s.State != NotKnown || s.Err == nil {
			t.Errorf("%.60q: %+v, want unknown", bad, s)
		}
	}
	status, code = weblogXML, http.StatusNotFound
	if s := ask(); s.State != NotKnown || !strings.Contains(s.Err.Error(), "404") {
		t.Errorf("%+v, want unknown because of 404", s)
	}
	server.Close()
	if s := ask(); s.State != NotKnown || s.Err == nil {
		t.Errorf("%+v, want unknown", s)
	}
	path := filepath.Join(t.TempDir(), "latest_IDE.xml")
	if err := os.WriteFile(path, []byte(weblogXML), 0o644); err != nil {
		t.Fatal(err)
	}
	if s := sophos(t.Context(), SophosConfig{Status: path, Dir: dir}, nil, now); s.State != Outdated {
		t.Errorf("%+v, want outdated by a status file on the disk", s)
	}
	if s := sophos(t.Context(), SophosConfig{Status: path, Dir: dir + "/none"}, nil, now); s.State != NotKnown {
		t.Errorf("%+v, want unknown where the folder is missing", s)
	}
}

func TestDefender(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name, in string
		state    Freshness
		made     time.Time
		issues   int
	}{
		{"plain", `{"definitionsStatus":"up_to_date","definitionsUpdatedMinutesAgo":90,"definitionsVersion":"1.403","healthy":true,"healthIssues":[]}`, Current, now.Add(-90 * time.Minute), 0},
		{"objects", `{"definitionsStatus":{"$type":"upToDate"},"definitionsUpdated":"Nov 22, 2026 at 08:27:00 AM","realTimeProtectionEnabled":{"value":false}}`, Current, time.Date(2026, 11, 22, 8, 27, 0, 0, time.UTC), 1},
		{"outdated", `{"definitionsStatus":{"$type":"outOfDate"},"definitionsUpdatedMinutesAgo":9000,"healthy":false,"healthIssues":["definitions out of date"]}`, Outdated, now.Add(-9000 * time.Minute), 2},
		{"unavailable", `{"definitionsStatus":"unavailable"}`, NotKnown, time.Time{}, 0},
		{"nothing", `{}`, NotKnown, time.Time{}, 0},
		{"no JSON", `Could not connect to the daemon`, NotKnown, time.Time{}, 0},
		{"empty", ``, NotKnown, time.Time{}, 0},
		{"minutes in the future", `{"definitionsStatus":"up_to_date","definitionsUpdatedMinutesAgo":-5}`, Current, time.Time{}, 0},
	} {
		path := filepath.Join(t.TempDir(), "health.json")
		if err := os.WriteFile(path, []byte(c.in), 0o644); err != nil {
			t.Fatal(err)
		}
		s := defender(t.Context(), DefenderConfig{File: path}, now)
		if s.State != c.state || !s.Made.Equal(c.made) || len(s.Issues) != c.issues || (s.Err != nil) != (c.state == NotKnown) {
			t.Errorf("%s: %+v", c.name, s)
		}
	}
	if s := defender(t.Context(), DefenderConfig{Run: []string{"/nonexistent/mdatp", "health"}}, now); s.State != NotKnown {
		t.Errorf("%+v, want unknown without the program", s)
	}
}

func TestProbes(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	old := now.Add(-72 * time.Hour).Truncate(time.Second)
	write := func(name, content string, at time.Time) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("a.dat", "x", old)
	write("b.dat", "x", old.Add(-time.Hour))
	write("c.dat", "", now) // a download that failed
	json := write("state.json", `{"engines":[{"updated":"2026-11-20T10:00:00Z","count":12.5}]}`, now)
	good := write("sums", "08f0af24d8aaf3d7b2ea3faec3a94ef4aed1b8d5ba0c1ad3d63e3e2f1c0c4c3b  a.dat\n", now)
	stamp := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name  string
		cfg   ProbeConfig
		state Freshness
		made  time.Time
	}{
		{"newest", ProbeConfig{Newest: dir + "/*.dat"}, Dated, old},
		{"nothing new", ProbeConfig{Newest: dir + "/*.none"}, NotKnown, time.Time{}},
		{"only empty", ProbeConfig{Newest: dir + "/c.*"}, NotKnown, time.Time{}},
		{"json", ProbeConfig{From: json, JSON: "engines.0.updated"}, Dated, stamp},
		{"json without it", ProbeConfig{From: json, JSON: "engines.1.updated"}, NotKnown, time.Time{}},
		{"number", ProbeConfig{From: json, JSON: "engines.0.count", Time: "number"}, Dated, time.Time{}},
		{"command", ProbeConfig{Run: []string{"echo", "bases of 20.11.2026 10:00"}, Match: `of (.*)`, Time: "02.01.2006 15:04"}, Dated, stamp},
		{"command in seconds", ProbeConfig{Run: []string{"echo", "t=1795168800."}, Match: `t=(\d+)`, Time: "unix"}, Dated, time.Unix(1795168800, 0)},
		{"command says nothing", ProbeConfig{Run: []string{"true"}, Match: `t=(\d+)`}, NotKnown, time.Time{}},
		{"command fails", ProbeConfig{Run: []string{"false"}, Match: `()`}, NotKnown, time.Time{}},
		{"command without end", ProbeConfig{Run: []string{"yes"}, Match: `(y)`}, NotKnown, time.Time{}},
		{"future", ProbeConfig{Run: []string{"echo", "9999999999"}, Match: `(\d+)`}, NotKnown, time.Time{}},
		{"manifest", ProbeConfig{Manifest: good, Dir: dir}, Outdated, time.Time{}},
		{"manifest is a page", ProbeConfig{Manifest: json, Dir: dir}, NotKnown, time.Time{}},
	} {
		c.cfg.Name = "p"
		if err := c.cfg.Check(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		s := probe(t.Context(), c.cfg, webget.New(), now)
		if s.State != c.state || !s.Made.Equal(c.made) || (s.Err != nil) != (c.state == NotKnown) {
			t.Errorf("%s: %+v, want %s %s", c.name, s, c.state, c.made)
		}
	}
	write("sums", "9dd4e461268c8034f5c8564e155c67a6 *b.dat\n# comment\n", now) // md5sum -b of "x"
	if s := probe(t.Context(), ProbeConfig{Name: "p", Manifest: good, Dir: dir}, nil, now); s.State != Current {
		t.Errorf("%+v, want current", s)
	}
	write("sums", "9dd4e461268c8034f5c8564e155c67a6  b.dat\n9dd4e461268c8034f5c8564e155c67a6  z.dat\n9dd4e461268c8034f5c8564e155c67a6  c.dat\n", now)
	if s := probe(t.Context(), ProbeConfig{Name: "p", Manifest: good, Dir: dir}, nil, now); s.State != Missing || s.File != "z.dat" {
		t.Errorf("%+v, want z.dat missing", s)
	}
}

func TestProbeCheck(t *testing.T) {
	for _, bad := range []ProbeConfig{
		{},
		{Name: "p"},
		{Name: "p", Newest: "[", Dir: "x"},
		{Name: "p", Newest: "x", Match: "(x)"},
		{Name: "p", Match: "x", Run: []string{"x"}},
		{Name: "p", Match: "(x", Run: []string{"x"}},
		{Name: "p", JSON: "a"},
		{Name: "p", JSON: "a", Run: []string{"x"}, From: "y"},
		{Name: "p", Manifest: "x"},
	} {
		if bad.Check() == nil {
			t.Errorf("%+v is allowed", bad)
		}
	}
}

func TestRspamd(t *testing.T) {
	body, err := os.ReadFile("testdata/rspamd_stat.json")
	if err != nil {
		t.Fatal(err)
	}
	var password string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		password = r.Header.Get("Password")
		switch r.URL.Path {
		case "/stat":
			w.Write(body)
		case "/elsewhere":
			http.Redirect(w, r, "http://localhost:1/stat", http.StatusFound)
		case "/huge":
			w.Write([]byte(`{"scanned":1,"actions":{},"x":"` + strings.Repeat("x", maxAnswer) + `"}`))
		default:
			w.Write([]byte(`{"error":"Unauthorized"}`))
		}
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("q1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ask := func(path string) (RspamdValues, error) {
		return NewRspamd(RspamdConfig{URL: server.URL + path, PasswordFile: file}, webget.New()).Snapshot(t.Context())
	}
	v, err := ask("/stat")
	if err != nil || password != "q1" {
		t.Fatalf("%v, password %q", err, password)
	}
	if v.Scanned != 3 || v.Spam != 1 || v.Ham != 2 || v.Actions[0] != 1 || v.Actions[5] != 2 || v.Version != "3.4" || len(v.ScanTimes) != 3 {
		t.Errorf("%+v", v)
	}
	if !slices.Contains(v.ScanTimes, 218868*time.Microsecond) {
		t.Errorf("scan times %v", v.ScanTimes)
	}
	for _, path := range []string{"/elsewhere", "/huge", "/other"} {
		if v, err := ask(path); err == nil {
			t.Errorf("%s is believed: %+v", path, v)
		}
	}
}
