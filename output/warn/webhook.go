package warn

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"strconv"
	"strings"
	"text/template"
	"time"

	"varde/event"
	"varde/event/human"
)

// WebhookConfig posts warnings as JSON, or as a template writes them.
type WebhookConfig struct {
	URL         string         `yaml:"url" doc:"Where to post."`
	Template    string         `yaml:"template_file" doc:"Go text/template of the body, with json for values; the warning as JSON by default."`
	ContentType string         `yaml:"content_type" doc:"Type of the body; application/json by default."`
	Headers     string         `yaml:"headers_file" doc:"File with further headers, one a line: Name: value."`
	TokenFile   string         `yaml:"token_file" doc:"File with a token that is sent as Authorization: Bearer."`
	SecretFile  string         `yaml:"secret_file" doc:"File with the key of the signature X-Varde-Signature: sha256=HMAC of the body."`
	CA          string         `yaml:"ca_file" doc:"Certificates that the receiver's is checked against; those of the system by default."`
	Timeout     human.Duration `yaml:"timeout" doc:"How long a post may take; 10s by default."`
}

// Check says which value is impossible.
func (c *WebhookConfig) Check() error {
	if u, err := url.Parse(c.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("url %q: use http:// or https://", c.URL)
	}
	if strings.ContainsAny(c.ContentType, "\r\n") {
		return fmt.Errorf("content_type %q: use one line", c.ContentType)
	}
	return checkTimeout(time.Duration(c.Timeout))
}

func checkTimeout(d time.Duration) error {
	if d < 0 || d > sayTimeout {
		return fmt.Errorf("timeout %s: use at most %s", human.Duration(d), human.Duration(sayTimeout))
	}
	return nil
}

// Bounds of what a receiver may answer and of the files of a webhook.
const (
	webhookTimeout = 10 * time.Second
	maxRedirects   = 3
	maxHeaders     = 64 << 10
	maxAnswer      = 200
)

type webhook struct {
	WebhookConfig
	host   string
	body   *template.Template
	client *http.Client
}

func newWebhook(c WebhookConfig) (event.Sayer, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, err
	}
	h := &webhook{WebhookConfig: c, host: u.Host}
	if c.Template != "" {
		if h.body, err = readTemplate(c.Template); err != nil {
			return nil, fmt.Errorf("webhook: %w", err)
		}
	}
	if h.Timeout == 0 {
		h.Timeout = human.Duration(webhookTimeout)
	}
	if h.ContentType == "" {
		h.ContentType = "application/json"
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if c.CA != "" {
		if transport.TLSClientConfig, err = clientTLS("", c.CA, "", ""); err != nil {
			return nil, fmt.Errorf("webhook: %w", err)
		}
	}
	h.client = &http.Client{Transport: transport, CheckRedirect: sameHost}
	return h, nil
}

// sameHost follows a redirect only where the warning stays a POST to the same host and port: the headers hold secrets.
func sameHost(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects || req.URL.Host != via[0].URL.Host || req.URL.Scheme != via[0].URL.Scheme || req.Method != http.MethodPost {
		return http.ErrUseLastResponse
	}
	return nil
}

// Name is webhook.
func (h *webhook) Name() string { return "webhook" }

// Say posts the warning. An answer of 2xx is a success; 429, 408, 425, 5xx and a host that is not there are tried again;
// any other is for good.
func (h *webhook) Say(ctx context.Context, w event.Warning) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(h.Timeout))
	defer cancel()
	req, err := h.request(ctx, &w)
	if err != nil {
		return err
	}
	resp, err := h.client.Do(req)
	if err != nil {
		return withoutURL(err, h.host)
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) // only for the error's text
	drain(resp.Body)
	return h.judge(resp, answer)
}

func (h *webhook) judge(resp *http.Response, answer []byte) error {
	code := resp.StatusCode
	if code/100 == 2 {
		return nil
	}
	err := fmt.Errorf("webhook %s answered %s: %s", h.host, human.Safe(resp.Status), human.Safe(string(answer)))
	switch {
	case code/100 == 3:
		return fmt.Errorf("webhook %s redirects to %s, which is not followed: set url to where it is", h.host, human.Safe(short(resp.Header.Get("Location"), maxURL)))
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code == http.StatusTooEarly, code/100 == 5:
		return notBefore{err, retryAfter(resp.Header.Get("Retry-After"), time.Now())}
	}
	return refuse(err)
}

// retryAfter reads seconds or a date (RFC 9110 section 10.2.3).
func retryAfter(s string, now time.Time) time.Duration {
	if n, err := strconv.Atoi(strings.TrimSpace(s)); err == nil {
		return time.Duration(min(max(n, 0), int(longestHold/time.Second))) * time.Second
	}
	if t, err := http.ParseTime(s); err == nil {
		return min(max(t.Sub(now), 0), longestHold)
	}
	return 0
}

// withoutURL keeps the address, which may hold a secret, out of the log.
func withoutURL(err error, host string) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return fmt.Errorf("webhook %s: %w", host, err)
}

func (h *webhook) request(ctx context.Context, w *event.Warning) (*http.Request, error) {
	body := w.AppendJSON(nil, w.Time)
	if h.body != nil {
		var err error
		if body, err = render(h.body, w); err != nil {
			return nil, refuse(fmt.Errorf("webhook: %w", err))
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(body))
	if err != nil {
		return nil, withoutURL(err, h.host)
	}
	req.Header.Set("Content-Type", h.ContentType)
	req.Header.Set("User-Agent", "varde")
	// The same for every attempt, so that a receiver can tell a repetition.
	req.Header.Set("Idempotency-Key", idempotencyKey(w))
	if err := addHeaders(req.Header, h.Headers); err != nil {
		return nil, err
	}
	if h.TokenFile != "" {
		token, err := readSecret(h.TokenFile)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if h.SecretFile != "" {
		key, err := readSecret(h.SecretFile)
		if err != nil {
			return nil, err
		}
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write(body)
		req.Header.Set("X-Varde-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	return req, nil
}

func idempotencyKey(w *event.Warning) string {
	return headerField(fmt.Sprintf("%s-%s-%d", w.ID, w.State, w.Time), maxHost*2)
}

// readSecret reads a file with one line. Secrets are read each time, so that they may be changed.
func readSecret(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	s := strings.TrimSpace(string(b))
	if s == "" || strings.ContainsAny(s, "\r\n\x00") {
		return "", fmt.Errorf("read secret: %s is expected to hold one line", path)
	}
	return s, nil
}

// addHeaders sets the headers of a file.
func addHeaders(to http.Header, path string) error {
	if path == "" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read headers_file: %w", err)
	}
	defer f.Close()
	sc := bufio.NewScanner(io.LimitReader(f, maxHeaders))
	for n := 1; sc.Scan(); n++ {
		line := strings.TrimSpace(sc.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		if !ok || key == "" || headerField(key, len(key)) != key {
			return fmt.Errorf("read headers_file: %s:%d: expected Name: value", path, n)
		}
		to.Set(textproto.CanonicalMIMEHeaderKey(key), strings.TrimSpace(value))
	}
	return sc.Err()
}
