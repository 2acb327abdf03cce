package warn

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"varde/event"
	"varde/event/human"
)

// smtpServer receives mail for a test (RFC 5321, with RFC 3207 and RFC 4954 where it is told to).
type smtpServer struct {
	address  string
	tls      *tls.Config // offered as STARTTLS, or spoken from the start
	implicit bool
	auth     string                      // mechanisms that are offered
	answer   func(command string) string // overrides the answer to a command
	logins   chan string
	mails    chan received
}

type received struct {
	to   []string
	data []byte
}

func startSMTP(t *testing.T, s *smtpServer) *smtpServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if s.implicit {
		l = tls.NewListener(l, s.tls)
	}
	s.address, s.logins, s.mails = l.Addr().String(), make(chan string, 10), make(chan received, 100)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s
}

func (s *smtpServer) serve(conn net.Conn) {
	defer func() { conn.Close() }()
	c := textproto.NewConn(conn)
	secure := s.implicit
	var now received
	c.PrintfLine("220 test")
	for {
		line, err := c.ReadLine()
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(line, " ")
		if s.answer != nil {
			if a := s.answer(line); a != "" {
				c.PrintfLine("%s", a)
				continue
			}
		}
		switch strings.ToUpper(verb) {
		case "EHLO":
			c.PrintfLine("250-test")
			if s.tls != nil && !secure {
				c.PrintfLine("250-STARTTLS")
			}
			if s.auth != "" {
				c.PrintfLine("250-AUTH %s", s.auth)
			}
			c.PrintfLine("250 8BITMIME")
		case "STARTTLS":
			c.PrintfLine("220 go")
			conn = tls.Server(conn, s.tls)
			c, secure = textproto.NewConn(conn), true
		case "AUTH":
			s.logIn(c, rest)
		case "MAIL", "NOOP":
			now = received{}
			c.PrintfLine("250 ok")
		case "RCPT":
			now.to = append(now.to, strings.Trim(strings.TrimPrefix(rest, "TO:"), "<>"))
			c.PrintfLine("250 ok")
		case "DATA":
			c.PrintfLine("354 go")
			if now.data, err = c.ReadDotBytes(); err != nil {
				return
			}
			if a := s.end(now.data); a != "" {
				c.PrintfLine("%s", a)
				continue
			}
			s.mails <- now
			c.PrintfLine("250 taken")
		case "QUIT":
			c.PrintfLine("221 bye")
			return
		default:
			c.PrintfLine("500 what?")
		}
	}
}

// end is the answer to a mail as a whole, "" to take it.
func (s *smtpServer) end(data []byte) string {
	if s.answer == nil {
		return ""
	}
	return s.answer("END " + string(data))
}

func (s *smtpServer) logIn(c *textproto.Conn, rest string) {
	mechanism, initial, _ := strings.Cut(rest, " ")
	said := []string{mechanism}
	if mechanism == "LOGIN" {
		for _, question := range []string{"Username:", "Password:"} {
			c.PrintfLine("334 %s", base64.StdEncoding.EncodeToString([]byte(question)))
			initial, _ = c.ReadLine()
			b, _ := base64.StdEncoding.DecodeString(initial)
			said = append(said, string(b))
		}
	} else {
		b, _ := base64.StdEncoding.DecodeString(initial)
		said = append(said, strings.Split(string(b), "\x00")[1:]...)
	}
	s.logins <- strings.Join(said, " ")
	c.PrintfLine("235 in")
}

func newTestMail(t *testing.T, c MailConfig) *mailer {
	t.Helper()
	if c.From == "" {
		c.From = "varde <varde@example.org>"
	}
	if c.To == nil {
		c.To = []string{"admin@example.org"}
	}
	c.Zone, c.Hello = "UTC", "edge.example.org"
	m, err := newMail(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	m.(*mailer).now = func() time.Time { return event.Stamp(at) }
	return m.(*mailer)
}

func several(ws ...event.Warning) iter.Seq[event.Warning] { return slices.Values(ws) }

var messageID = regexp.MustCompile(`Message-ID: <[0-9a-f]{32}@example.org>`)

// TestMailText: golden mails of one warning, of a few, and of a flood.
func TestMailText(t *testing.T) {
	m := newTestMail(t, MailConfig{To: []string{"admin@example.org", "Åse Ås <ase@example.org>"}})
	var b bytes.Buffer
	low := func(w event.Warning) event.Warning { w.Severity, w.Verdict = event.Low, event.ProbeIn; return w }
	evil := warning(1)
	evil.Own.Name, evil.Evidence[0].Name, evil.Evidence[0].List = hostile, hostile, hostile
	for _, c := range []struct {
		name string
		ws   []event.Warning
	}{{"one", []event.Warning{warning(1)}}, {"three", []event.Warning{low(warning(1)), warning(2), low(warning(3))}}, {"hostile", []event.Warning{evil}}} {
		d := newDigest(time.UTC)
		for i := range c.ws {
			d.add(&c.ws[i])
		}
		message := m.message(d, d.text(), event.Stamp(at))
		parsed, err := mail.ReadMessage(bytes.NewReader(message))
		if err != nil {
			t.Fatal(err)
		}
		if parsed.Header.Get("Bcc") != "" || len(parsed.Header) != 10 {
			t.Errorf("headers %v", parsed.Header)
		}
		for line := range strings.SplitSeq(string(message), "\r\n") {
			if strings.ContainsAny(line, "\r\n") || len(line) > 998 {
				t.Errorf("a line of a mail: %q", line)
			}
		}
		body, err := io.ReadAll(quotedprintable.NewReader(parsed.Body))
		if err != nil {
			t.Fatal(err)
		}
		body = bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n"))
		isSafe(t, c.name, body)
		subject, err := new(mime.WordDecoder).DecodeHeader(parsed.Header.Get("Subject"))
		if err != nil {
			t.Fatal(err)
		}
		head, _, _ := bytes.Cut(message, []byte("\r\n\r\n"))
		head = messageID.ReplaceAll(bytes.ReplaceAll(head, []byte("\r"), nil), []byte("Message-ID: <random@example.org>"))
		fmt.Fprintf(&b, "== %s\n%s\n\nsubject read: %s\n\n%s", c.name, head, subject, body)
	}
	golden(t, "mail.golden", b.Bytes())
}

func TestDigestOfAFlood(t *testing.T) {
	d := newDigest(time.UTC)
	for i := range 20_000 {
		w := warning(i)
		w.Own.Addr = w.Own.Addr.Next()
		w.Own.Name = fmt.Sprint("pc-", i%3000)
		w.Severity = event.Severity(i % 5)
		d.add(&w)
	}
	text := string(d.text())
	if len(text) > 64<<10 {
		t.Errorf("%d bytes", len(text))
	}
	for _, want := range []string{
		"20,000 warnings from 2016-06-07T12:38:20Z to 2016-06-07T12:38:20Z: 4,000 critical, 4,000 high, 4,000 medium, 4,000 low, 4,000 info.",
		"20,000  OTX\n", "and many more\n", "These are the 50 worst. 19,950 more warnings",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if n := strings.Count(text, "critical\n"); n != maxDetailed {
		t.Errorf("%d critical warnings in full, want %d", n, maxDetailed)
	}
	if d.worst[0].ID != "id4" || d.worst[49].ID != "id249" {
		t.Errorf("the worst are %s to %s", d.worst[0].ID, d.worst[49].ID)
	}
}

// TestMailRhythm: the first at once, then one an interval with all since; critical ones sooner, while they are few.
func TestMailRhythm(t *testing.T) {
	s := startSMTP(t, &smtpServer{})
	m := newTestMail(t, MailConfig{Server: s.address, AtOnce: 2})
	now := event.Stamp(at)
	m.now = func() time.Time { return now }
	low, critical := warning(1), warning(2)
	low.Severity = event.Low
	for i, c := range []struct {
		after time.Duration
		ws    []event.Warning
		sent  int           // how many warnings are in the mail
		wait  time.Duration // or how long they are held
	}{
		{0, []event.Warning{low}, 1, 0},
		{time.Minute, []event.Warning{low}, 0, 9 * time.Minute},
		{time.Minute, []event.Warning{low, critical}, 2, 0},
		{time.Minute, []event.Warning{critical}, 1, 0},
		{time.Minute, []event.Warning{critical}, 0, 9 * time.Minute},
		{9 * time.Minute, []event.Warning{critical, low, low}, 3, 0},
		{time.Minute, []event.Warning{low}, 0, 9 * time.Minute},
		{time.Hour, []event.Warning{low}, 1, 0},
	} {
		now = now.Add(c.after)
		n, err := m.sayAll(t.Context(), several(c.ws...))
		held, _ := err.(hold)
		if n != c.sent || held.wait != c.wait || err != nil && c.wait == 0 {
			t.Errorf("step %d: %d sent, held for %s, %v", i, n, held.wait, err)
		}
		if c.sent > 0 {
			got := <-s.mails
			if k := strings.Count(string(got.data), "answered by"); k < c.sent {
				t.Errorf("step %d: %d warnings in the mail\n%s", i, k, got.data)
			}
		}
	}
	m = newTestMail(t, MailConfig{Server: s.address, AtOnce: 1, Interval: human.Duration(6 * time.Hour)})
	m.last, m.jumped = event.Stamp(at).Add(-time.Hour), []time.Time{event.Stamp(at).Add(-10 * time.Minute)}
	_, err := m.sayAll(t.Context(), several(critical))
	if held, _ := err.(hold); held.wait != 50*time.Minute {
		t.Errorf("a critical warning waits %s, although another may leave in 50 minutes: %v", held.wait, err)
	}
}

func TestMailEncryptionAndLogin(t *testing.T) {
	dir := t.TempDir()
	ca, key := certificate(t, dir, "ca", nil, nil)
	certificate(t, dir, "server", ca, key)
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	with := &tls.Config{Certificates: []tls.Certificate{pair}}
	caFile := filepath.Join(dir, "ca.pem")
	for name, c := range map[string]struct {
		server smtpServer
		cfg    MailConfig
		login  string // what the server is told
		err    string
	}{
		"starttls":            {smtpServer{tls: with}, MailConfig{TLS: "starttls", CA: caFile}, "", ""},
		"starttls, unknown":   {smtpServer{tls: with}, MailConfig{TLS: "starttls"}, "", "certificate"},
		"starttls, missing":   {smtpServer{}, MailConfig{TLS: "starttls", CA: caFile}, "", "no STARTTLS"},
		"implicit":            {smtpServer{tls: with, implicit: true}, MailConfig{TLS: "implicit", CA: caFile}, "", ""},
		"implicit, unknown":   {smtpServer{tls: with, implicit: true}, MailConfig{TLS: "implicit"}, "", "certificate"},
		"auto on localhost":   {smtpServer{tls: with}, MailConfig{}, "", ""},
		"plain":               {smtpServer{tls: with, auth: "PLAIN LOGIN"}, MailConfig{TLS: "starttls", CA: caFile, Username: "u"}, "PLAIN u secret", ""},
		"login":               {smtpServer{tls: with, auth: "LOGIN"}, MailConfig{TLS: "starttls", CA: caFile, Username: "u"}, "LOGIN u secret", ""},
		"no login":            {smtpServer{tls: with}, MailConfig{TLS: "starttls", CA: caFile, Username: "u"}, "", "log in as u"},
		"wrong kind of hello": {smtpServer{answer: func(string) string { return "421 too busy" }}, MailConfig{}, "", "421"},
	} {
		s := startSMTP(t, &c.server)
		c.cfg.Server = s.address
		if c.cfg.Username != "" {
			c.cfg.Password = write(t, "password", "secret\n")
		}
		err := newTestMail(t, c.cfg).Say(t.Context(), warning(1))
		checkError(t, name, err, c.err)
		if c.login != "" {
			if got := <-s.logins; got != c.login {
				t.Errorf("%s: %s", name, got)
			}
		}
		if c.err == "" && err == nil {
			<-s.mails
		}
	}
	clear := &loginAuth{"u", "secret"}
	if _, _, err := clear.Start(&smtp.ServerInfo{Name: "mail.example"}); err == nil {
		t.Error("LOGIN began in the clear")
	}
}

// TestMailRefusals: a receiver that is refused, a text that a scanner refuses, and a server that is busy.
func TestMailRefusals(t *testing.T) {
	s := startSMTP(t, &smtpServer{answer: func(line string) string {
		if strings.HasPrefix(line, "RCPT") && strings.Contains(line, "gone@") {
			return "550 no such user"
		}
		return ""
	}})
	m := newTestMail(t, MailConfig{Server: s.address, To: []string{"gone@example.org", "admin@example.org"}})
	var said bytes.Buffer
	m.log = slog.New(slog.NewTextHandler(&said, nil))
	if err := m.Say(t.Context(), warning(1)); err != nil || !strings.Contains(said.String(), "gone@example.org") {
		t.Errorf("%v, said %s", err, said.String())
	}
	if got := <-s.mails; fmt.Sprint(got.to) != "[admin@example.org]" {
		t.Errorf("%v", got.to)
	}
	m = newTestMail(t, MailConfig{Server: s.address, To: []string{"gone@example.org"}})
	if err := m.Say(t.Context(), warning(1)); err == nil || is[refused](err) {
		t.Errorf("nobody takes it, but somebody may later: %v", err)
	}

	scanner := startSMTP(t, &smtpServer{answer: func(line string) string {
		if strings.HasPrefix(line, "END ") && strings.Contains(line, "QakBot") {
			return "554 5.7.0 infected"
		}
		return ""
	}})
	m = newTestMail(t, MailConfig{Server: scanner.address})
	if n, err := m.sayAll(t.Context(), several(warning(1), warning(2))); n != 2 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if got := <-scanner.mails; !strings.Contains(string(got.data), "5.7.0 infected") || strings.Contains(string(got.data), "threatfox.example") {
		t.Errorf("%s", got.data)
	}

	wall := startSMTP(t, &smtpServer{answer: func(line string) string {
		if strings.HasPrefix(line, "END ") {
			return "554 never"
		}
		return ""
	}})
	m = newTestMail(t, MailConfig{Server: wall.address})
	_, err := m.sayAll(t.Context(), several(warning(1), warning(2)))
	if no, ok := err.(refused); !ok && !is[refused](err) || ok && no.warnings != 2 {
		t.Errorf("%v", err)
	}
	busy := startSMTP(t, &smtpServer{answer: func(line string) string {
		if strings.HasPrefix(line, "END ") {
			return "451 later"
		}
		return ""
	}})
	m = newTestMail(t, MailConfig{Server: busy.address})
	if n, err := m.sayAll(t.Context(), several(warning(1))); n != 0 || err == nil || is[refused](err) || !m.last.IsZero() {
		t.Errorf("%d, %v", n, err)
	}
}

// TestMailThroughAHub: a flood becomes two mails, and nothing is left behind.
func TestMailThroughAHub(t *testing.T) {
	s := startSMTP(t, &smtpServer{})
	dir := t.TempDir()
	h, stop := hub(t, dir, Config{Mail: &MailConfig{
		Server: s.address, From: "varde@example.org", To: []string{"admin@example.org"}, Interval: human.Duration(10 * time.Second), AtOnce: -1,
	}})
	h.Say(warning(0))
	<-s.mails
	for i := range 1000 {
		h.Say(warning(i))
	}
	waitFor(t, "the spool", func() bool { return figure(t, h, "varde_output_spool_bytes", "mail") > 500_000 })
	stop()
	// The next run knows of no mail yet and sends what waits at once.
	hub(t, dir, Config{Mail: &MailConfig{Server: s.address, From: "varde@example.org", To: []string{"admin@example.org"}}})
	if got := <-s.mails; !strings.Contains(string(got.data), "1,000 warnings") {
		t.Errorf("%s", got.data[:min(len(got.data), 2000)])
	}
}

// TestSwaksThinksSo holds the receiver of these tests to what a well-known client expects.
func TestSwaksThinksSo(t *testing.T) {
	swaks, err := exec.LookPath("swaks")
	if err != nil {
		t.Skip("swaks is not installed")
	}
	s := startSMTP(t, &smtpServer{})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, swaks, "--server", s.address, "--from", "a@example.org", "--to", "b@example.org", "--ehlo", "x").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := <-s.mails; fmt.Sprint(got.to) != "[b@example.org]" {
		t.Errorf("%v", got.to)
	}
}

// TestPostfix hands a mail to a real sink of Postfix, where that is installed.
func TestPostfix(t *testing.T) {
	sink, err := exec.LookPath("smtp-sink")
	if err != nil {
		if sink = "/usr/sbin/smtp-sink"; !exists(sink) {
			t.Skip("smtp-sink is not installed (Debian package postfix)")
		}
	}
	dir := t.TempDir()
	address := freeTCP(t)
	cmd := exec.Command(sink, "-u", "root", "-D", filepath.Join(dir, "mail."), address, "10")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	m := newTestMail(t, MailConfig{Server: address})
	waitFor(t, "smtp-sink", func() bool { return m.Say(t.Context(), warning(1)) == nil })
	waitFor(t, "the mail", func() bool {
		files, err := filepath.Glob(filepath.Join(dir, "mail.*"))
		return err == nil && len(files) == 1
	})
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }
