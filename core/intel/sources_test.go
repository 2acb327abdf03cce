package intel

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"varde/event/human"
)

// remote is a Set of one list on a test server, with a clock of its own.
func remote(t *testing.T, handler http.HandlerFunc, cfg ListConfig) (s *Set, clock *time.Time) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	cfg.Name, cfg.URL = "l", server.URL+cfg.URL
	s, err := New([]ListConfig{cfg}, AllowConfig{}, t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	now := testNow
	s.now = func() time.Time { return now }
	return s, &now
}

// get fetches the list and gives its prefixes as one line.
func get(t *testing.T, s *Set) string {
	t.Helper()
	if _, err := s.fetch(context.Background(), s.lists[0]); err != nil {
		return err.Error()
	}
	all, _ := s.Prefixes("l")
	return strings.Trim(fmt.Sprint(all), "[]")
}

func secret(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestOTXOnlyWhatChanged asks a second time for the pulses that were modified since, and once a week for all.
func TestOTXOnlyWhatChanged(t *testing.T) {
	full := `{"results":[{"id":"a","modified":"2026-05-01T00:00:00","indicators":[{"type":"IPv4","indicator":"192.0.2.1"},{"type":"IPv4","indicator":"192.0.2.2"}]},` +
		`{"id":"b","modified":"2026-05-02T00:00:00","indicators":[{"type":"IPv4","indicator":"192.0.2.3"}]}],"next":null}`
	s, clock := remote(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("modified_since") {
		case "":
			fmt.Fprint(w, full)
		case "2026-05-02T00:00:00": // pulse a loses an indicator
			fmt.Fprint(w, `{"results":[{"id":"a","modified":"2026-05-03T00:00:00","indicators":[{"type":"IPv4","indicator":"192.0.2.1","is_active":0},{"type":"IPv4","indicator":"192.0.2.2"}]}],"next":null}`)
		default:
			fmt.Fprint(w, `{"results":[],"next":null}`)
		}
	}, ListConfig{URL: "/subscribed?limit=50", Format: "otx"})
	for i, want := range []string{"192.0.2.1/32 192.0.2.2/32 192.0.2.3/32", "192.0.2.2/32 192.0.2.3/32", "192.0.2.2/32 192.0.2.3/32"} {
		if got := get(t, s); got != want {
			t.Errorf("fetch %d: %s, want %s", i, got, want)
		}
	}
	full = `{"results":[{"id":"b","modified":"2026-05-02T00:00:00","indicators":[{"type":"IPv4","indicator":"192.0.2.3"}]}],"next":null}`
	*clock = clock.Add(fullEvery + time.Hour)
	if got := get(t, s); got != "192.0.2.3/32" {
		t.Errorf("a pulse that was withdrawn stays after a week: %s", got)
	}
}

// TestThreatFoxAPI posts with the key and keeps what the newest week does not hold any more.
func TestThreatFoxAPI(t *testing.T) {
	answer := `{"query_status":"ok","data":[{"id":"1","ioc":"192.0.2.1:80","first_seen":"2026-05-31 00:00:00 UTC"}]}`
	s, clock := remote(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		var q struct {
			Query string
			Days  int
		}
		if err := json.Unmarshal(b, &q); err != nil || r.Method != http.MethodPost || q.Query != "get_iocs" || q.Days != 7 || r.Header.Get("Auth-Key") != "secret" {
			fmt.Fprint(w, `{"query_status":"unknown_auth_key"}`)
			return
		}
		fmt.Fprint(w, answer)
	}, ListConfig{URL: "/api/v1/", Format: "threatfox-api", KeyFile: secret(t, "secret")})
	if got := get(t, s); got != "192.0.2.1/32" {
		t.Error(got)
	}
	answer = `{"query_status":"ok","data":[{"id":"2","ioc":"192.0.2.2:80","first_seen":"2026-06-30 00:00:00 UTC"}]}`
	*clock = clock.Add(30 * 24 * time.Hour)
	if got := get(t, s); got != "192.0.2.1/32 192.0.2.2/32" {
		t.Error(got)
	}
	answer = `{"query_status":"no_result","data":"Your search did not yield any results"}`
	*clock = clock.Add(160 * 24 * time.Hour)
	if got := get(t, s); got != "192.0.2.2/32" {
		t.Errorf("after half a year: %s", got)
	}
	s.lists[0].cfg.KeyFile = ""
	if got := get(t, s); !strings.Contains(got, "unknown_auth_key") {
		t.Errorf("without a key: %s", got)
	}
}

// taxiiServer answers as a TAXII 2.1 server with two pages of one collection.
func taxiiServer(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	if user != "me" || password != "secret" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if r.Header.Get("Accept") != taxiiType {
		w.WriteHeader(http.StatusNotAcceptable)
		return
	}
	w.Header().Set("Content-Type", taxiiType)
	object := func(id, addr, more string) string {
		return fmt.Sprintf(`{"type":"indicator","id":"indicator--%s","modified":"2026-01-01T00:00:00Z","pattern":"[ipv4-addr:value = '%s']"%s}`, id, addr, more)
	}
	q := r.URL.Query()
	switch r.URL.Path {
	case "/taxii2/":
		fmt.Fprint(w, `{"title":"t","api_roots":["/api1/"]}`)
	case "/api1/":
		fmt.Fprint(w, `{"title":"root","versions":["application/taxii+json;version=2.1"],"max_content_length":1000}`)
	case "/api1/collections/":
		fmt.Fprint(w, `{"collections":[{"id":"91a7","title":"C","can_read":true,"can_write":false},{"id":"secret","title":"S","can_read":false}]}`)
	case "/api1/collections/91a7/":
		fmt.Fprint(w, `{"id":"91a7","title":"C","can_read":true,"can_write":false}`)
	case "/api1/collections/91a7/objects/":
		switch {
		case q.Get("match[type]") != "indicator":
			w.WriteHeader(http.StatusBadRequest)
		case q.Get("added_after") == "2026-05-02T00:00:00.000Z":
			w.Header().Set("X-TAXII-Date-Added-Last", "2026-05-03T00:00:00.000Z")
			fmt.Fprintf(w, `{"more":false,"objects":[%s]}`, object("a", "192.0.2.1", `,"revoked":true`))
		case q.Get("added_after") != "":
			fmt.Fprint(w, `{}`)
		case q.Get("next") == "":
			w.Header().Set("X-TAXII-Date-Added-Last", "2026-05-01T00:00:00.000Z")
			fmt.Fprintf(w, `{"more":true,"next":"2","objects":[%s,{"type":"identity","id":"identity--x"}]}`, object("a", "192.0.2.1", ""))
		case q.Get("next") == "2":
			w.Header().Set("X-TAXII-Date-Added-Last", "2026-05-02T00:00:00.000Z")
			fmt.Fprintf(w, `{"more":false,"objects":[%s]}`, object("b", "192.0.2.2", ""))
		}
	case "/loop/collections/x/objects/":
		fmt.Fprint(w, `{"more":true,"objects":[]}`)
	case "/many/":
		fmt.Fprint(w, `{"collections":[{"id":"1","title":"one","can_read":true},{"id":"2","title":"two","can_read":true}]}`)
	case "/abroad/":
		fmt.Fprint(w, `{"api_roots":["https://192.0.2.1/api/"]}`)
	default:
		fmt.Fprint(w, `{}`)
	}
}

// TestTAXII finds the collection from any of its URLs and asks later for what was added.
func TestTAXII(t *testing.T) {
	key := secret(t, "secret")
	for _, url := range []string{"/taxii2/", "/api1/", "/api1/collections/", "/api1/collections/91a7/", "/api1/collections/91a7/objects/"} {
		s, _ := remote(t, taxiiServer, ListConfig{URL: url, Format: "taxii", User: "me", KeyFile: key})
		for i, want := range []string{"192.0.2.1/32 192.0.2.2/32", "192.0.2.2/32", "192.0.2.2/32"} {
			if got := get(t, s); got != want {
				t.Errorf("%s, fetch %d: %s, want %s", url, i, got, want)
			}
		}
	}
	for url, word := range map[string]string{
		"/loop/collections/x/objects/": "neither next nor", "/many/": "1 (one), 2 (two)", "/abroad/": "another server", "/else/": "neither server",
	} {
		s, _ := remote(t, taxiiServer, ListConfig{URL: url, Format: "taxii", User: "me", KeyFile: key})
		if got := get(t, s); !strings.Contains(got, word) {
			t.Errorf("%s: %s, want a word about %q", url, got, word)
		}
	}
	s, _ := remote(t, taxiiServer, ListConfig{URL: "/api1/", Format: "taxii", User: "me", KeyFile: secret(t, "wrong")})
	if got := get(t, s); !strings.Contains(got, "401") || !strings.Contains(got, "key_file") {
		t.Errorf("a wrong password: %s", got)
	}
}

// mispFeed is a feed as it may lie in a folder or on a server.
func mispFeed(events map[string]string, stamps map[string]string) map[string]string {
	manifest := map[string]map[string]string{}
	files := map[string]string{}
	for id, addr := range events {
		manifest[id] = map[string]string{"info": "E", "timestamp": stamps[id]}
		files[id+".json"] = `{"Event":{"info":"E","Attribute":[{"type":"ip-dst","value":"` + addr + `","to_ids":true},{"type":"comment","value":"` +
			strings.Repeat("x", 1000) + `"}]}}`
	}
	b, err := json.Marshal(manifest)
	if err != nil {
		panic(err)
	}
	files[manifestName] = string(b)
	return files
}

const (
	eventA = "5a1b2c3d-0000-4000-8000-00000000000a"
	eventB = "5a1b2c3d-0000-4000-8000-00000000000b"
	eventC = "5a1b2c3d-0000-4000-8000-00000000000c"
)

// TestMISPFeed fetches only what the manifest shows to be new or changed.
func TestMISPFeed(t *testing.T) {
	files := mispFeed(map[string]string{eventA: "192.0.2.1", eventB: "192.0.2.2"}, map[string]string{eventA: "1", eventB: "2"})
	var asked []string
	s, _ := remote(t, func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/feed/")
		asked = append(asked, name)
		if files[name] == "" {
			w.WriteHeader(http.StatusNotFound)
		}
		fmt.Fprint(w, files[name])
	}, ListConfig{URL: "/feed/", Format: "misp"})
	for _, step := range []struct {
		events, stamps map[string]string
		want           string
		requests       int
	}{
		{map[string]string{eventA: "192.0.2.1", eventB: "192.0.2.2"}, map[string]string{eventA: "1", eventB: "2"}, "192.0.2.1/32 192.0.2.2/32", 3},
		{map[string]string{eventA: "192.0.2.1", eventB: "192.0.2.2"}, map[string]string{eventA: "1", eventB: "2"}, "192.0.2.1/32 192.0.2.2/32", 1},
		{map[string]string{eventA: "192.0.2.9", eventB: "192.0.2.2"}, map[string]string{eventA: "3", eventB: "2"}, "192.0.2.2/32 192.0.2.9/32", 2},
		{map[string]string{eventB: "192.0.2.2", eventC: "192.0.2.3"}, map[string]string{eventB: "2", eventC: "4"}, "192.0.2.2/32 192.0.2.3/32", 2},
	} {
		files, asked = mispFeed(step.events, step.stamps), nil
		if got := get(t, s); got != step.want || len(asked) != step.requests {
			t.Errorf("%v: %s after asking for %v, want %s", step.stamps, got, asked, step.want)
		}
	}
	copied, err := os.ReadFile(s.path(s.lists[0], ".list"))
	if err != nil || len(copied) > 1000 {
		t.Errorf("the copy has %d bytes, it should hold indicators only; %v", len(copied), err)
	}
	files = mispFeed(map[string]string{eventB: "192.0.2.2", eventC: "192.0.2.3", eventA: "192.0.2.1"}, map[string]string{eventB: "2", eventC: "4", eventA: "5"})
	delete(files, eventA+".json")
	if got := get(t, s); got != "192.0.2.2/32 192.0.2.3/32" {
		t.Errorf("one event that is missing takes the others away: %s", got)
	}
	files[manifestName] = `{"../../etc/passwd":{"timestamp":"9"}}`
	if got := get(t, s); !strings.Contains(got, "no uuid") {
		t.Errorf("a manifest with paths: %s", got)
	}
}

func TestMISPFolder(t *testing.T) {
	folder := t.TempDir()
	write := func(files map[string]string) {
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(mispFeed(map[string]string{eventA: "192.0.2.1"}, map[string]string{eventA: "1"}))
	for _, dir := range []string{"", t.TempDir()} {
		s, err := New([]ListConfig{{Name: "l", File: folder}}, AllowConfig{}, dir, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Load(); err != nil {
			t.Fatal(err)
		}
		if s.refresh(context.Background(), s.lists[0], false) {
			t.Error("a folder that has not changed was read again")
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*")); dir != "" && len(left) > 0 {
			t.Errorf("loading left %v behind", left)
		}
		if all, ok := s.Prefixes("l"); !ok || fmt.Sprint(all) != "[192.0.2.1/32]" {
			t.Errorf("with copies in %q: %v", dir, all)
		}
	}
	dir := t.TempDir()
	s, err := New([]ListConfig{{Name: "l", File: folder}}, AllowConfig{}, dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if !s.refresh(context.Background(), s.lists[0], false) {
		t.Fatal(s.Lists()[0].Error)
	}
	// An event whose timestamp has not changed is not read again: its file may be gone.
	write(mispFeed(map[string]string{eventA: "192.0.2.1", eventC: "192.0.2.3"}, map[string]string{eventA: "1", eventC: "2"}))
	if err := os.Remove(filepath.Join(folder, eventA+".json")); err != nil {
		t.Fatal(err)
	}
	if !s.refresh(context.Background(), s.lists[0], false) {
		t.Fatal(s.Lists()[0].Error)
	}
	if all, _ := s.Prefixes("l"); fmt.Sprint(all) != "[192.0.2.1/32 192.0.2.3/32]" {
		t.Errorf("after a change: %v", all)
	}
	write(mispFeed(map[string]string{eventA: "192.0.2.1"}, map[string]string{eventA: "1"}))

	outside := filepath.Join(t.TempDir(), "event.json")
	if err := os.WriteFile(outside, []byte(mispFeed(map[string]string{eventB: "192.0.2.2"}, nil)[eventB+".json"]), 0o600); err != nil {
		t.Fatal(err)
	}
	write(map[string]string{manifestName: `{"` + eventA + `":{"timestamp":"1"},"` + eventB + `":{"timestamp":"2"}}`})
	if err := os.Symlink(outside, filepath.Join(folder, eventB+".json")); err != nil {
		t.Fatal(err)
	}
	s, err = New([]ListConfig{{Name: "l", File: folder}}, AllowConfig{}, "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Load(); err != nil {
		t.Fatal(err)
	}
	if all, _ := s.Prefixes("l"); fmt.Sprint(all) != "[192.0.2.1/32]" {
		t.Errorf("a link out of the folder was followed: %v", all)
	}
}

// TestKeyStaysHome follows a redirect to another server without the key.
func TestKeyStaysHome(t *testing.T) {
	leaked := ""
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		leaked += r.Header.Get("X-Key") + r.Header.Get("Authorization")
		fmt.Fprint(w, "192.0.2.1\n")
	}))
	defer other.Close()
	for _, cfg := range []ListConfig{{KeyHeader: "X-Key"}, {User: "me"}, {}} {
		cfg.URL, cfg.KeyFile = "/list", secret(t, "secret")
		s, _ := remote(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) }, cfg)
		if got := get(t, s); got != "192.0.2.1/32" || leaked != "" {
			t.Errorf("%s, and the other server learnt %q", got, leaked)
		}
	}
}

// TestRefreshNow: who wishes for a list has it now, unless its server wants to be left alone.
func TestRefreshNow(t *testing.T) {
	status, asked := http.StatusOK, 0
	s, clock := remote(t, func(w http.ResponseWriter, _ *http.Request) {
		if asked++; status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "7200")
		}
		w.WriteHeader(status)
		fmt.Fprintf(w, "192.0.2.%d\n", asked)
	}, ListConfig{Refresh: human.Duration(24 * time.Hour)})
	for i, step := range []struct {
		later         time.Duration
		status, asked int
		spared        time.Duration
		failed        string
	}{
		{0, http.StatusOK, 1, 0, ""},
		{5 * time.Minute, http.StatusOK, 1, 10 * time.Minute, ""}, // its publisher's interval
		{10 * time.Minute, http.StatusOK, 2, 0, ""},
		{20 * time.Minute, http.StatusInternalServerError, 3, 0, "500"},
		{time.Second, http.StatusInternalServerError, 4, 0, "500"}, // a failure may be tried again at once
		{time.Second, http.StatusServiceUnavailable, 5, 0, "503"},
		{time.Hour, http.StatusOK, 5, time.Hour, "503"},
		{time.Hour, http.StatusOK, 6, 0, ""},
	} {
		*clock = clock.Add(step.later)
		status = step.status
		spared, err := s.Refresh(context.Background(), "l")
		if until, ok := spared["l"]; asked != step.asked || ok != (step.spared > 0) || ok && !until.Equal(clock.Add(step.spared)) {
			t.Errorf("step %d: asked %d times, want %d; left alone until %v at %v", i, asked, step.asked, spared, *clock)
		}
		if (err != nil) != (step.failed != "") || err != nil && !strings.Contains(err.Error(), step.failed) {
			t.Errorf("step %d: %v, want %q", i, err, step.failed)
		}
	}
	if all, _ := s.Prefixes("l"); fmt.Sprint(all) != "[192.0.2.6/32]" {
		t.Errorf("the newest copy is not in use: %v", all)
	}
	if _, err := s.Refresh(context.Background(), "other"); err == nil {
		t.Error("a list that is not there was refreshed")
	}
}

// TestSourceWithoutSecrets: what people are told of a list's URL opens nothing.
func TestSourceWithoutSecrets(t *testing.T) {
	for text, want := range map[string]string{
		"https://lists.example/drop.json":              "https://lists.example/drop.json",
		"https://me:word@lists.example/a?token=secret": "https://lists.example/a?...",
		"https://lists.example/a?limit=50#x":           "https://lists.example/a?...#x",
		"":                                             "",
	} {
		if got := withoutSecrets(text); got != want {
			t.Errorf("%q is told as %q, want %q", text, got, want)
		}
	}
}
