package web

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// anna is a user whose password is "correct horse", hashed as cheaply as it goes, since these tests are not about that.
var anna = User{"anna", cheapHash("correct horse")}

func cheapHash(password string) string {
	h := hash{time: 1, memory: 8, threads: 1, salt: []byte("saltsalt")}
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=19$m=8,t=1,p=1$%s$%s", b64(h.salt), b64(h.derive(password, keySize)))
}

// TestConfig: what can be reached from other machines needs a login.
func TestConfig(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  Config
		says string // "" is fine
	}{
		{"default", DefaultConfig(), ""},
		{"off", Config{}, ""},
		{"loopback", Config{Listen: "[::1]:8098"}, ""},
		{"name", Config{Listen: "localhost:8098"}, ""},
		{"all", Config{Listen: ":8098"}, "needs a login"},
		{"all of IPv4", Config{Listen: "0.0.0.0:8098"}, "needs a login"},
		{"address", Config{Listen: "192.0.2.7:8098"}, "needs a login"},
		{"other name", Config{Listen: "localhost.example.net:8098"}, "needs a login"},
		{"proxy", Config{Listen: "127.0.0.1:8098", URL: "https://varde.example.net"}, "needs a login"},
		{"user", Config{Listen: ":8098", Users: []User{anna}}, ""},
		{"proxy and user", Config{Listen: "127.0.0.1:8098", URL: "https://varde.example.net", Users: []User{anna}}, ""},
		{"no hash", Config{Listen: ":8098", Users: []User{{"anna", ""}}}, "varde passwd"},
		{"password for a hash", Config{Listen: ":8098", Users: []User{{"anna", "correct horse"}}}, "varde passwd"},
		{"costly hash", Config{Listen: ":8098", Users: []User{{"anna", strings.Replace(anna.Hash, "m=8,", "m=99999999,", 1)}}}, "use at most"},
		{"no name", Config{Listen: ":8098", Users: []User{{"", anna.Hash}}}, "needs a name"},
		{"twice", Config{Listen: ":8098", Users: []User{anna, anna}}, "two users"},
		{"no port", Config{Listen: "127.0.0.1"}, "no address with a port"},
		{"no url", Config{Listen: "127.0.0.1:8098", URL: "varde.example.net"}, "use https://"},
		{"script url", Config{Listen: "127.0.0.1:8098", URL: "javascript://x/"}, "use https://"},
		{"half of tls", Config{Listen: "127.0.0.1:8098", TLS: TLS{Cert: "cert.pem"}}, "both"},
	} {
		if err := c.cfg.Check(); (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, should say %q", c.name, err, c.says)
		}
	}
}

// TestLoginNeeded: where there are users, only the open routes and the page's own files are served without a session.
func TestLoginNeeded(t *testing.T) {
	s, m := newTestServer(t, Config{Listen: "127.0.0.1:0", Users: []User{anna}})
	for _, r := range codeRoutes() {
		for name, headers := range map[string][]string{
			"nothing": nil, "another cookie": {"Cookie", "varde=" + strings.Repeat("0", 64)}, "a password": {"Authorization", "Basic YW5uYTpjb3JyZWN0IGhvcnNl"},
		} {
			w := usual(s, r, headers...)
			if r.open != (w.Code == http.StatusOK) && r.path != "/api/v1/session" || !r.open && (w.Code != http.StatusUnauthorized || len(w.Body.String()) > 60) {
				t.Errorf("%s %s with %s answers %d: %.200s", r.method, r.path, name, w.Code, w.Body)
			}
		}
	}
	if len(m.mutes) != 1 || m.incidents[1].Acked != 0 {
		t.Error("something was changed without a login")
	}
	if w := ask(s, "GET", "/api/v1/session", ""); strings.Contains(w.Body.String(), "0.4.0") || !strings.Contains(w.Body.String(), `"login":true`) {
		t.Errorf("strangers are told %s", w.Body)
	}
	if w := ask(s, "GET", "/warnings", ""); w.Code != http.StatusOK {
		t.Errorf("the page, which asks for the login, answers %d", w.Code)
	}
}

func logIn(s *Server, password string, headers ...string) *httptest.ResponseRecorder {
	return ask(s, "POST", "/api/v1/session", fmt.Sprintf(`{"name":"anna","password":%q}`, password), headers...)
}

// TestSession: what a login gives works until one leaves, is idle for too long, or a week has passed.
func TestSession(t *testing.T) {
	s, m := newTestServer(t, Config{Listen: "127.0.0.1:0", Users: []User{anna}})
	now := moment
	s.doors.now = func() time.Time { return now }
	inside := func(cookie string) bool {
		return ask(s, "GET", "/api/v1/fields", "", "Cookie", cookie).Code == http.StatusOK
	}
	enter := func() string { return logIn(s, "correct horse").Result().Cookies()[0].String() }
	first := enter()
	if !inside(first) {
		t.Fatal("a login does not open anything")
	}
	if w := ask(s, "POST", "/api/v1/warnings/i0001/ack", `{"why":"seen"}`, "Cookie", first); w.Code != http.StatusOK || m.incidents[1].AckBy != "anna" {
		t.Errorf("acknowledged by %q: %s", m.incidents[1].AckBy, w.Body)
	}
	second := logIn(s, "correct horse", "Cookie", first).Result().Cookies()[0].String()
	if inside(first) || !inside(second) || first == second {
		t.Error("a second login does not end the first, or keeps its token")
	}
	ask(s, "DELETE", "/api/v1/session", "", "Cookie", second)
	if inside(second) {
		t.Error("one who left is still inside")
	}
	idle := enter()
	now = now.Add(sessionIdle + time.Second)
	if inside(idle) {
		t.Error("an idle session does not end")
	}
	busy := enter()
	for range 14 {
		now = now.Add(sessionIdle - time.Second)
		if since := now.Sub(moment.Add(sessionIdle + time.Second)); inside(busy) != (since <= sessionMost) {
			t.Errorf("after %v of use the session is open: %v", since, since > sessionMost)
		}
	}
	for range maxSessions + 10 {
		s.doors.enter("anna")
	}
	if len(s.doors.inside) > maxSessions {
		t.Errorf("%d sessions are kept, at most %d", len(s.doors.inside), maxSessions)
	}
}

// TestCookie looks at the flags of the cookie, plain and by https.
func TestCookie(t *testing.T) {
	for url, want := range map[string]string{
		"":                          "varde=; Path=/; Max-Age=604800; HttpOnly; SameSite=Strict",
		"http://varde.example.net":  "varde=; Path=/; Max-Age=604800; HttpOnly; SameSite=Strict",
		"https://varde.example.net": "__Host-varde=; Path=/; Max-Age=604800; HttpOnly; Secure; SameSite=Strict",
		"HTTPS://varde.example.net": "__Host-varde=; Path=/; Max-Age=604800; HttpOnly; Secure; SameSite=Strict",
	} {
		s, _ := newTestServer(t, Config{Listen: "127.0.0.1:0", URL: url, Users: []User{anna}})
		w := logIn(s, "correct horse")
		token := w.Result().Cookies()[0].Value
		if got := strings.Replace(w.Header().Get("Set-Cookie"), token, "", 1); got != want || len(token) != 64 {
			t.Errorf("url %q: the cookie is %s", url, w.Header().Get("Set-Cookie"))
		}
		if gone := ask(s, "DELETE", "/api/v1/session", "").Header().Get("Set-Cookie"); !strings.Contains(gone, "Max-Age=0") || !strings.HasPrefix(gone, want[:strings.IndexByte(want, '=')+1]+";") {
			t.Errorf("url %q: leaving sets %s", url, gone)
		}
	}
}

// TestTries: an address that is wrong too often waits, ever longer; others do not, and the right password ends it.
func TestTries(t *testing.T) {
	s, _ := newTestServer(t, Config{Listen: ":0", Users: []User{anna}})
	now := moment
	s.doors.now = func() time.Time { return now }
	from := func(addr, password string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", "/api/v1/session", strings.NewReader(fmt.Sprintf(`{"name":"anna","password":%q}`, password)))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-Forwarded-For", "192.0.2.99") // nobody's word, since there is no proxy
		r.RemoteAddr = addr
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, r)
		return w
	}
	for range freeTries {
		if w := from("203.0.113.5:1", "wrong"); w.Code != http.StatusUnauthorized {
			t.Fatalf("a wrong login answers %d", w.Code)
		}
	}
	for _, wait := range []time.Duration{1, 2, 4, 8, 16} {
		if w := from("203.0.113.5:2", "correct horse"); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != fmt.Sprint(int(wait)+1) {
			t.Errorf("before %d s it answers %d, Retry-After %s", wait, w.Code, w.Header().Get("Retry-After"))
		}
		now = now.Add(wait * time.Second)
		if w := from("203.0.113.5:2", "wrong"); w.Code != http.StatusUnauthorized {
			t.Errorf("after %d s it answers %d", wait, w.Code)
		}
	}
	if w := from("203.0.113.6:2", "correct horse"); w.Code != http.StatusOK {
		t.Errorf("another address answers %d", w.Code)
	}
	now = now.Add(longestWait)
	if w := from("203.0.113.5:2", "correct horse"); w.Code != http.StatusOK {
		t.Errorf("the right password answers %d after the wait", w.Code)
	}
	if w := from("203.0.113.5:2", "wrong"); w.Code != http.StatusUnauthorized {
		t.Errorf("the right password does not end the count: %d", w.Code)
	}
	for i := range freeTries {
		from(fmt.Sprintf("[2001:db8:0:1::%x]:9", i+1), "wrong")
	}
	if w := from("[2001:db8:0:1:ffff::1]:9", "wrong"); w.Code != http.StatusTooManyRequests {
		t.Errorf("another address of the same /64 answers %d", w.Code)
	}
	for i := range maxStrangers + 10 {
		s.doors.note(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
	}
	if len(s.doors.strangers) > maxStrangers {
		t.Errorf("%d strangers are remembered, at most %d", len(s.doors.strangers), maxStrangers)
	}
}

// TestNobody: a name that nobody has costs as much to try as one that somebody has, and is answered alike.
func TestNobody(t *testing.T) {
	s, _ := newTestServer(t, Config{Listen: "127.0.0.1:0", Users: []User{anna}})
	if a, n := s.doors.users["anna"], s.doors.nobody; a.time != n.time || a.memory != n.memory || a.threads != n.threads || len(a.key) != len(n.key) {
		t.Errorf("somebody costs m=%d,t=%d,p=%d, nobody m=%d,t=%d,p=%d", a.memory, a.time, a.threads, n.memory, n.time, n.threads)
	}
	wrong := logIn(s, "wrong")
	none := ask(s, "POST", "/api/v1/session", `{"name":"bert","password":"correct horse"}`)
	if wrong.Code != http.StatusUnauthorized || wrong.Code != none.Code || wrong.Body.String() != none.Body.String() {
		t.Errorf("a wrong password: %d %s, nobody: %d %s", wrong.Code, wrong.Body, none.Code, none.Body)
	}
	if w := logIn(s, strings.Repeat("a", maxPassword+1)); w.Code != http.StatusUnauthorized {
		t.Errorf("a password that is too long answers %d", w.Code)
	}
}

// TestProxyTries: behind a proxy of this machine wrong logins count for whom the proxy names, whatever that one claims.
func TestProxyTries(t *testing.T) {
	s, _ := newTestServer(t, Config{Listen: "127.0.0.1:0", URL: "https://varde.example.net", Users: []User{anna}})
	for i := range freeTries + 1 {
		want := http.StatusUnauthorized
		if i == freeTries {
			want = http.StatusTooManyRequests
		}
		if w := logIn(s, "wrong", "Host", "varde.example.net", "X-Forwarded-For", fmt.Sprintf("192.0.2.%d, 198.51.100.%d, 203.0.113.5", i, i)); w.Code != want {
			t.Errorf("try %d answers %d", i, w.Code)
		}
	}
	if w := logIn(s, "correct horse", "Host", "varde.example.net", "X-Forwarded-For", "203.0.113.6"); w.Code != http.StatusOK {
		t.Errorf("another address answers %d", w.Code)
	}
	if w := logIn(s, "correct horse", "Host", "varde.example.net", "X-Forwarded-For", "unknown"); w.Code != http.StatusOK {
		t.Errorf("without a name it answers %d", w.Code)
	}
}

// TestSites: pages of other sites change nothing and ask nothing; links from there work.
func TestSites(t *testing.T) {
	proxied, _ := newTestServer(t, Config{Listen: "127.0.0.1:0", URL: "http://varde.example.net:8080", Users: []User{anna}})
	plain, m := newTestServer(t, Config{Listen: "127.0.0.1:0"})
	mute := `{"rule":"scan","why":"a test"}`
	for _, c := range []struct {
		name, method, path string
		s                  *Server
		want               int
		headers            []string
	}{
		{"program", "POST", "/api/v1/mutes", plain, 201, nil},
		{"own page", "POST", "/api/v1/mutes", plain, 201, []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://127.0.0.1:8098"}},
		{"own page, old browser", "POST", "/api/v1/mutes", plain, 201, []string{"Origin", "http://127.0.0.1:8098"}},
		{"other site", "POST", "/api/v1/mutes", plain, 403, []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://example.com"}},
		{"other site, old browser", "POST", "/api/v1/mutes", plain, 403, []string{"Origin", "https://example.com"}},
		{"other port", "POST", "/api/v1/mutes", plain, 403, []string{"Origin", "http://127.0.0.1:9000"}},
		{"sandbox", "POST", "/api/v1/mutes", plain, 403, []string{"Origin", "null"}},
		{"neighbour", "DELETE", "/api/v1/mutes/1", plain, 403, []string{"Sec-Fetch-Site", "same-site", "Origin", "http://a.example.net"}},
		{"form", "POST", "/api/v1/mutes", plain, 403, []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Content-Type", "text/plain"}},
		{"script of another site", "GET", "/api/v1/events", plain, 403, []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"}},
		{"listener of another site", "GET", "/api/v1/live", plain, 403, []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors"}},
		{"link to a table", "GET", "/api/v1/mutes?format=csv", plain, 200, []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"}},
		{"link to a page", "GET", "/warnings?id=i0001", plain, 200, []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"}},
		{"proxy that hides the name", "POST", "/api/v1/mutes", proxied, 401, []string{"Origin", "http://varde.example.net:8080"}},
		{"other site by the proxy", "POST", "/api/v1/mutes", proxied, 403, []string{"Origin", "http://example.net:8080"}},
	} {
		body := ""
		if c.method == "POST" {
			body = mute
		}
		if w := ask(c.s, c.method, c.path, body, c.headers...); w.Code != c.want {
			t.Errorf("%s answers %d, should be %d: %.200s", c.name, w.Code, c.want, w.Body)
		}
	}
	if len(m.mutes) != 4 {
		t.Errorf("%d mutes, should be the first and the three that were allowed", len(m.mutes))
	}
}

// TestHost: a name of somebody else's that resolves to loopback does not open the page to that somebody's scripts.
func TestHost(t *testing.T) {
	plain, _ := newTestServer(t, Config{Listen: "127.0.0.1:0"})
	proxied, _ := newTestServer(t, Config{Listen: "127.0.0.1:0", URL: "https://varde.example.net", Users: []User{anna}})
	for host, want := range map[string]int{
		"127.0.0.1:8098": 200, "localhost": 200, "[::1]:8098": 200, "LOCALHOST:8098": 200, "127.0.0.2": 200,
		"example.com": 421, "localhost.example.com": 421, "127.0.0.1.example.com:8098": 421, "192.0.2.7": 421, "": 421, "varde.example.net": 421,
		"example.com:8098@127.0.0.1": 421, "0.0.0.0:8098": 421,
	} {
		for _, path := range []string{"/", "/api/v1/session", "/api/v1/nothing"} {
			r := httptest.NewRequest("GET", path, nil)
			r.Host = host
			w := httptest.NewRecorder()
			plain.handler.ServeHTTP(w, r)
			if (w.Code == http.StatusMisdirectedRequest) != (want == http.StatusMisdirectedRequest) {
				t.Errorf("host %q: %s answers %d", host, path, w.Code)
			}
		}
	}
	for host, want := range map[string]int{"varde.example.net": 200, "varde.example.net:443": 200, "127.0.0.1:8098": 200, "example.net": 421} {
		if w := ask(proxied, "GET", "/api/v1/session", "", "Host", host); w.Code != want {
			t.Errorf("host %q answers %d, should be %d", host, w.Code, want)
		}
	}
}

// TestHeaders: every answer says what browsers may do with it, errors and pages that are not there too.
func TestHeaders(t *testing.T) {
	plain, m := newTestServer(t, Config{Listen: "127.0.0.1:0"})
	broken, _ := newTestServer(t, Config{Listen: "127.0.0.1:0", Users: []User{anna}})
	want := map[string]string{
		"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
		"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
	}
	for _, word := range []string{"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'", "script-src 'self';"} {
		if !strings.Contains(policy, word) || strings.Contains(policy, "unsafe") {
			t.Errorf("the policy %q does not say %s", policy, word)
		}
	}
	m.fail = fmt.Errorf("broken")
	for _, s := range []*Server{plain, broken} {
		for _, r := range [][]string{
			{"GET", "/"},
			{"GET", "/warnings"},
			{"GET", "/favicon.svg"},
			{"GET", "/nothing.js"},
			{"GET", "/../../etc/passwd"},
			{"GET", "/%2e%2e/%2e%2e/etc/passwd.txt"},
			{"POST", "/"},
			{"GET", "//example.com/"},
			{"GET", "/api/"},
			{"GET", "/api/v1/nothing"},
			{"GET", "/api/v1/events"},
			{"GET", "/api/v1/events?n=x"},
			{"PUT", "/api/v1/events"},
			{"OPTIONS", "/api/v1/mutes"},
			{"GET", "/api/v1/health?format=csv"},
			{"HEAD", "/api/v1/session"},
			{"TRACE", "/api/v1/session"},
			{"GET", "/", "Host", "example.com"},
			{"POST", "/api/v1/mutes", "Origin", "https://example.com"},
		} {
			w := ask(s, r[0], r[1], "", r[2:]...)
			for name, value := range want {
				if got := w.Result().Header.Values(name); !slices.Equal(got, []string{value}) {
					t.Errorf("%v (%d): %s is %q", r, w.Code, name, got)
				}
			}
			for name := range w.Result().Header {
				if strings.HasPrefix(name, "Access-Control-") || name == "Server" {
					t.Errorf("%v: there is %s", r, name)
				}
			}
			if cache := w.Result().Header.Get("Cache-Control"); strings.HasPrefix(r[1], "/api/") && cache != "no-store" {
				t.Errorf("%v: Cache-Control is %q", r, cache)
			}
			if strings.Contains(w.Body.String(), "root:") {
				t.Errorf("%v gives a file of the machine", r)
			}
		}
	}
}

// TestMethods: what a path does not take is said so, with what it does.
func TestMethods(t *testing.T) {
	s, m := newTestServer(t, Config{Listen: "127.0.0.1:0"})
	takes := map[string][]string{}
	for _, r := range codeRoutes() {
		takes[r.path] = append(takes[r.path], r.method)
	}
	for path, known := range takes {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"} {
			if slices.Contains(known, method) {
				continue
			}
			w := ask(s, method, target(path), "")
			allow := strings.Split(w.Header().Get("Allow"), ", ")
			slices.Sort(allow)
			if slices.Sort(known); w.Code != http.StatusMethodNotAllowed || !slices.Equal(allow, known) {
				t.Errorf("%s %s answers %d, Allow %v, should be %v", method, path, w.Code, allow, known)
			}
		}
	}
	if len(m.mutes) != 1 {
		t.Error("a wrong method changed something")
	}
	if w := ask(s, "POST", "/warnings", ""); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST to a page answers %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
}
