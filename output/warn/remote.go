package warn

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"varde/event"
	"varde/event/human"
)

// SyslogConfig sends warnings to a syslog receiver.
type SyslogConfig struct {
	Address  string `yaml:"address" doc:"udp://host:514, tcp://host:514, tls://host:6514 or unix:///dev/log."`
	CA       string `yaml:"ca_file" doc:"Certificates that the receiver's is checked against, for tls."`
	Facility int    `yaml:"facility" doc:"Syslog facility number; 4 (auth) by default."`
	Format   string `yaml:"format" doc:"line (one compact line, the default) or json."`
}

// Check says which value is impossible.
func (c *SyslogConfig) Check() error {
	u, err := url.Parse(c.Address)
	if err != nil || u.Scheme != "unix" && u.Port() == "" || u.Scheme == "unix" && u.Path == "" {
		return fmt.Errorf("address %q: use udp://host:514, tcp://host:514, tls://host:6514 or unix:///dev/log", c.Address)
	}
	switch u.Scheme {
	case "udp", "tcp", "tls", "unix":
	default:
		return fmt.Errorf("address %q: use udp, tcp, tls or unix", c.Address)
	}
	if c.Facility < 0 || c.Facility > 23 {
		return fmt.Errorf("facility %d: use 0 to 23", c.Facility)
	}
	return nil
}

type syslog struct {
	SyslogConfig
	url  *url.URL
	host string
	conn net.Conn
}

func newSyslog(c SyslogConfig) (event.Sayer, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if c.Facility == 0 {
		c.Facility = 4
	}
	u, err := url.Parse(c.Address)
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "-"
	}
	return &syslog{SyslogConfig: c, url: u, host: host}, nil
}

// Name is syslog.
func (s *syslog) Name() string { return "syslog" }

// Say sends one message: framed by its length over TCP and TLS (RFC 6587, RFC 5425), bare otherwise.
func (s *syslog) Say(ctx context.Context, w event.Warning) error {
	if s.conn == nil {
		if err := s.dial(ctx); err != nil {
			return fmt.Errorf("syslog %s: %w", s.Address, err)
		}
	}
	b := s.message(&w)
	if s.url.Scheme == "tcp" || s.url.Scheme == "tls" {
		b = append(append(strconv.AppendInt(nil, int64(len(b)), 10), ' '), b...)
	}
	if deadline, ok := ctx.Deadline(); ok {
		s.conn.SetWriteDeadline(deadline)
	}
	if _, err := s.conn.Write(b); err != nil {
		s.conn.Close()
		s.conn = nil
		return fmt.Errorf("syslog %s: %w", s.Address, err)
	}
	return nil
}

func (s *syslog) dial(ctx context.Context) (err error) {
	var d net.Dialer
	switch s.url.Scheme {
	case "unix":
		s.conn, err = d.DialContext(ctx, "unixgram", s.url.Path)
	case "tls":
		cfg := &tls.Config{ServerName: s.url.Hostname()}
		if s.CA != "" {
			pem, err := os.ReadFile(s.CA)
			if err != nil {
				return err
			}
			cfg.RootCAs = x509.NewCertPool()
			if !cfg.RootCAs.AppendCertsFromPEM(pem) {
				return fmt.Errorf("%s holds no certificate", s.CA)
			}
		}
		s.conn, err = (&tls.Dialer{Config: cfg}).DialContext(ctx, "tcp", s.url.Host)
	default:
		s.conn, err = d.DialContext(ctx, s.url.Scheme, s.url.Host)
	}
	return err
}

// message is a warning by RFC 5424: header, structured data, and one line for people or JSON.
func (s *syslog) message(w *event.Warning) []byte {
	level := map[event.Severity]int{event.Critical: 2, event.High: 3, event.Medium: 4, event.Low: 5}[w.Severity]
	if level == 0 {
		level = 6
	}
	b := fmt.Appendf(nil, "<%d>1 %s %s varde %d %s ", s.Facility*8+level, event.Stamp(w.Time).Format("2006-01-02T15:04:05.000000Z07:00"),
		s.host, os.Getpid(), w.State)
	if s.Format == "json" {
		return w.AppendJSON(append(b, "- "...), w.Time)
	}
	lists := []string{}
	for _, v := range w.Evidence {
		lists = append(lists, v.List)
	}
	b = append(b, "[varde@32473"...)
	for _, p := range []event.Pair{
		{Key: "id", Value: w.ID},
		{Key: "rule", Value: w.Rule},
		{Key: "severity", Value: w.Severity.String()},
		{Key: "verdict", Value: w.Verdict.String()},
		{Key: "own", Value: w.Own.Addr.String()},
		{Key: "foreign", Value: w.Foreign.Addr.String()},
		{Key: "lists", Value: strings.Join(lists, ",")},
	} {
		b = fmt.Appendf(b, ` %s="%s"`, p.Key, sdEscape.Replace(human.Safe(p.Value)))
	}
	return fmt.Appendf(b, "] varde: %s %s severity=%s src=%s dst=%s %s | %s", direction(w), sentence(w), w.Severity,
		w.Event.Src, w.Event.Dst, traffic(w, time.UTC), evidence(w))
}

// sdEscape escapes what RFC 5424 section 6.3.3 asks for.
var sdEscape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `]`, `\]`)

// WebhookConfig posts warnings as JSON.
type WebhookConfig struct {
	URL       string `yaml:"url" doc:"Where to post."`
	TokenFile string `yaml:"token_file" doc:"File with a token that is sent as Authorization: Bearer."`
}

// Check says which value is impossible.
func (c *WebhookConfig) Check() error {
	if u, err := url.Parse(c.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("url %q: use http:// or https://", c.URL)
	}
	return nil
}

type webhook struct {
	WebhookConfig
	client *http.Client
}

func newWebhook(c WebhookConfig) (event.Sayer, error) {
	return &webhook{c, &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}, c.Check()
}

// Name is webhook.
func (h *webhook) Name() string { return "webhook" }

// Say posts the warning; every answer but 2xx is an error.
func (h *webhook) Say(ctx context.Context, w event.Warning) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(w.AppendJSON(nil, time.Now().UnixNano())))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if h.TokenFile != "" {
		token, err := os.ReadFile(h.TokenFile)
		if err != nil {
			return fmt.Errorf("webhook token: %w", err)
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	resp, err := h.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("webhook %s answered %s", h.URL, resp.Status)
	}
	return nil
}

// ExecConfig runs a program for each warning, never through a shell.
type ExecConfig struct {
	Command []string `yaml:"command" doc:"Program and arguments; the warning comes as JSON on standard input."`
}

// Check says which value is impossible.
func (c *ExecConfig) Check() error {
	if len(c.Command) == 0 {
		return errors.New("exec needs a command: [program, argument, ...]")
	}
	return nil
}

type program struct{ ExecConfig }

func newExec(c ExecConfig) (event.Sayer, error) { return &program{c}, c.Check() }

// Name is exec.
func (p *program) Name() string { return "exec" }

// Say runs the program; an exit code other than 0 is an error.
func (p *program) Say(ctx context.Context, w event.Warning) error {
	cmd := exec.CommandContext(ctx, p.Command[0], p.Command[1:]...)
	cmd.Stdin = bytes.NewReader(append(w.AppendJSON(nil, time.Now().UnixNano()), '\n'))
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", p.Command[0], err, human.Safe(string(out[:min(len(out), 200)])))
	}
	return nil
}
