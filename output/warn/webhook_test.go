package warn

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"varde/event/human"
)

// write makes a file that a configuration names.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func post(t *testing.T, c WebhookConfig, answer http.HandlerFunc) error {
	t.Helper()
	server := httptest.NewServer(answer)
	defer server.Close()
	c.URL = server.URL + "/hook?key=secret"
	h, err := newWebhook(c)
	if err != nil {
		t.Fatal(err)
	}
	return h.Say(t.Context(), warning(1))
}

func TestWebhookPostsJSON(t *testing.T) {
	called := false
	err := post(t, WebhookConfig{
		Headers:    write(t, "headers", "# ours\nx-site: north\n\nX-Empty:\n"),
		TokenFile:  write(t, "token", "abc\n"),
		SecretFile: write(t, "secret", "key"),
	}, func(_ http.ResponseWriter, r *http.Request) {
		called = true
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		var got struct{ ID, Severity string }
		if err := json.Unmarshal(body, &got); err != nil || got.ID != "id1" || got.Severity != "critical" {
			t.Errorf("%v: %s", err, body)
		}
		mac := hmac.New(sha256.New, []byte("key"))
		mac.Write(body)
		for key, want := range map[string]string{
			"X-Site": "north", "Authorization": "Bearer abc", "Content-Type": "application/json", "User-Agent": "varde",
			"X-Varde-Signature": "sha256=" + hex.EncodeToString(mac.Sum(nil)),
			"Idempotency-Key":   fmt.Sprintf("id1-opened-%d", at),
		} {
			if r.Header.Get(key) != want {
				t.Errorf("%s: %q, want %q", key, r.Header.Get(key), want)
			}
		}
		if r.Method != http.MethodPost || r.URL.String() != "/hook?key=secret" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
	})
	if err != nil || !called {
		t.Error(err)
	}
}

func TestWebhookTemplate(t *testing.T) {
	path := write(t, "chat.tmpl", `{"text": {{json (printf "*%s* %s" .severity .sentence)}}}`)
	err := post(t, WebhookConfig{Template: path, ContentType: "application/vnd.chat+json"}, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if want := `{"text": "*critical* office-pc-7 (10.0.3.17) answered by 203.0.113.94:4444/tcp"}`; string(body) != want {
			t.Errorf("%s, want %s", body, want)
		}
		if r.Header.Get("Content-Type") != "application/vnd.chat+json" {
			t.Errorf("%v", r.Header)
		}
	})
	if err != nil {
		t.Error(err)
	}
	for _, text := range []string{"{{.severty}}", "{{", "{{index .evidence 0}}"} {
		if _, err := newWebhook(WebhookConfig{URL: "http://192.0.2.1/", Template: write(t, "bad.tmpl", text)}); err == nil || !strings.Contains(err.Error(), "bad.tmpl") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestWebhookAnswers: what is tried again, after how long, and what is for good.
func TestWebhookAnswers(t *testing.T) {
	for _, c := range []struct {
		code    int
		after   string
		refused bool
		wait    time.Duration
	}{
		{200, "", false, 0},
		{204, "", false, 0},
		{400, "", true, 0},
		{401, "", true, 0},
		{404, "", true, 0},
		{413, "", true, 0},
		{408, "", false, 0},
		{429, "7", false, 7 * time.Second},
		{429, "nonsense", false, 0},
		{429, "-5", false, 0},
		{500, "", false, 0},
		{503, "999999999", false, longestHold},
	} {
		err := post(t, WebhookConfig{}, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", c.after)
			w.WriteHeader(c.code)
			io.WriteString(w, "because \x1b[31m"+strings.Repeat("x", 1000))
		})
		if (err == nil) != (c.code < 300) || is[refused](err) != c.refused {
			t.Errorf("%d: %v", c.code, err)
		}
		if err != nil && (len(err.Error()) > 400 || strings.Contains(err.Error(), "secret") || strings.ContainsRune(err.Error(), 0x1b)) {
			t.Errorf("%d: %v", c.code, err)
		}
		if again, ok := errors.AsType[notBefore](err); again.wait != c.wait || c.wait > 0 && !ok {
			t.Errorf("%d: again after %s, want %s: %v", c.code, again.wait, c.wait, err)
		}
	}
	now := time.Date(2016, 6, 7, 12, 0, 0, 0, time.UTC)
	if got := retryAfter(now.Add(90*time.Second).Format(http.TimeFormat), now); got != 90*time.Second {
		t.Errorf("a date: %s", got)
	}
}

func TestWebhookRedirects(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the warning went to another host") }))
	defer other.Close()
	err := post(t, WebhookConfig{}, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusPermanentRedirect)
	})
	if err == nil || !strings.Contains(err.Error(), "not followed") || is[refused](err) {
		t.Errorf("%v", err)
	}
	err = post(t, WebhookConfig{}, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/get", http.StatusFound) })
	if err == nil || !strings.Contains(err.Error(), "not followed") {
		t.Errorf("a redirect that turns the POST into a GET: %v", err)
	}
	hops := 0
	err = post(t, WebhookConfig{}, func(w http.ResponseWriter, r *http.Request) {
		if hops++; hops == 1 {
			http.Redirect(w, r, "/new", http.StatusTemporaryRedirect)
			return
		}
		if body, _ := io.ReadAll(r.Body); r.Method != http.MethodPost || !json.Valid(body) {
			t.Errorf("%s %s", r.Method, body)
		}
	})
	if err != nil || hops != 2 {
		t.Errorf("on the same host: %v after %d", err, hops)
	}
}

func TestWebhookTLSAndTimeout(t *testing.T) {
	stay := make(chan struct{})
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-stay
		}
	}))
	defer server.Close()
	defer close(stay)
	say := func(c WebhookConfig) error {
		h, err := newWebhook(c)
		if err != nil {
			t.Fatal(err)
		}
		return h.Say(t.Context(), warning(1))
	}
	if err := say(WebhookConfig{URL: server.URL}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate that nobody knows: %v", err)
	}
	ca := write(t, "ca.pem", pemOf(server.Certificate().Raw))
	if err := say(WebhookConfig{URL: server.URL, CA: ca}); err != nil {
		t.Error(err)
	}
	if err := say(WebhookConfig{URL: server.URL + "/slow", CA: ca, Timeout: human.Duration(100 * time.Millisecond)}); err == nil || is[refused](err) {
		t.Errorf("%v", err)
	}
}

func TestWebhookFiles(t *testing.T) {
	for name, c := range map[string]WebhookConfig{
		"no token":       {TokenFile: "/nonexistent/token"},
		"two tokens":     {TokenFile: write(t, "token", "a\nb\n")},
		"no headers":     {Headers: "/nonexistent/headers"},
		"broken headers": {Headers: write(t, "headers", "good: x\nbad header: x\n")},
		"no secret":      {SecretFile: write(t, "secret", "\n")},
	} {
		err := post(t, c, func(http.ResponseWriter, *http.Request) { t.Errorf("%s: it was posted", name) })
		if err == nil || is[refused](err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func pemOf(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
