package warn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/smtp"
	"net/textproto"
	"strings"
	"time"
)

// send delivers a mail to the configured server.
func (m *mailer) send(ctx context.Context, message []byte) error {
	conn, err := m.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	host, _, _ := net.SplitHostPort(m.Server)
	c, err := smtp.NewClient(conn, host)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := m.greet(c, host); err != nil {
		return err
	}
	if err := c.Mail(m.from.Address); err != nil {
		return err
	}
	if err := m.receivers(c); err != nil {
		return err
	}
	return data(c, message)
}

func (m *mailer) dial(ctx context.Context) (net.Conn, error) {
	if m.TLS != "implicit" {
		return (&net.Dialer{}).DialContext(ctx, "tcp", m.Server)
	}
	host, _, _ := net.SplitHostPort(m.Server)
	cfg, err := clientTLS(host, m.CA, "", "")
	if err != nil {
		return nil, err
	}
	return (&tls.Dialer{Config: cfg}).DialContext(ctx, "tcp", m.Server)
}

// greet says hello, turns encryption on and logs in, as configured.
func (m *mailer) greet(c *smtp.Client, host string) error {
	if err := c.Hello(m.Hello); err != nil {
		return err
	}
	offered, _ := c.Extension("STARTTLS")
	if m.TLS == "starttls" || m.TLS == "auto" && offered {
		if !offered {
			return errors.New("the server offers no STARTTLS; set tls to implicit, or to none if nobody can listen in")
		}
		cfg, err := clientTLS(host, m.CA, "", "")
		if err != nil {
			return err
		}
		// Encryption that is taken where it is offered is not worth less without a known certificate (RFC 7435), and
		// mail servers on localhost have none for that name. A password is another matter.
		cfg.InsecureSkipVerify = m.TLS == "auto" && m.CA == "" && (isLocal(host) || m.Username == "")
		if err := c.StartTLS(cfg); err != nil {
			return fmt.Errorf("starttls: %w", err)
		}
	}
	if m.Username == "" {
		return nil
	}
	password, err := readSecret(m.Password)
	if err != nil {
		return err
	}
	return m.logIn(c, host, password)
}

// logIn takes PLAIN, or LOGIN where a server knows nothing else; neither goes over the network in the clear.
func (m *mailer) logIn(c *smtp.Client, host, password string) error {
	offered, known := c.Extension("AUTH")
	if !offered {
		return fmt.Errorf("log in as %s: the server offers no login", m.Username)
	}
	mechanisms := strings.Fields(strings.ToUpper(known))
	auth := smtp.PlainAuth("", m.Username, password, host)
	plain := false
	for _, name := range mechanisms {
		plain = plain || name == "PLAIN"
	}
	if !plain && strings.Contains(known, "LOGIN") {
		auth = &loginAuth{m.Username, password}
	}
	if err := c.Auth(auth); err != nil {
		return fmt.Errorf("log in as %s: %w", m.Username, err)
	}
	return nil
}

// loginAuth is the mechanism LOGIN, which no RFC describes: the server asks for the name and then for the password.
type loginAuth struct{ username, password string }

// Start refuses to begin in the clear.
func (a *loginAuth) Start(server *smtp.ServerInfo) (string, []byte, error) {
	if !server.TLS && !isLocal(server.Name) {
		return "", nil, errors.New("the connection is not encrypted")
	}
	return "LOGIN", nil, nil
}

// Next answers the server's two questions.
func (a *loginAuth) Next(question []byte, more bool) ([]byte, error) {
	if !more {
		return nil, nil
	}
	switch q := strings.ToLower(string(question)); {
	case strings.HasPrefix(q, "user"):
		return []byte(a.username), nil
	case strings.HasPrefix(q, "pass"):
		return []byte(a.password), nil
	}
	return nil, errors.New("the server asks for something else than name and password")
}

// receivers are named one after the other; one that is refused does not keep the mail from the others.
func (m *mailer) receivers(c *smtp.Client) error {
	var first error
	taken := 0
	for _, to := range m.to {
		err := c.Rcpt(to.Address)
		_, answered := errors.AsType[*textproto.Error](err)
		switch {
		case err == nil:
			taken++
		case !answered:
			return err
		case first == nil:
			first = fmt.Errorf("receiver %s: %w", to.Address, err)
		}
	}
	if taken == 0 {
		return first
	}
	if first != nil {
		m.log.Warn("a receiver of mail is refused, others are not", "error", first)
	}
	return nil
}

// data hands the text over. A server that refuses it for good, as a virus scanner does, would refuse it again.
func data(c *smtp.Client, message []byte) error {
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(message); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		if answer, ok := errors.AsType[*textproto.Error](err); ok && answer.Code/100 == 5 {
			return refuse(err)
		}
		return err
	}
	c.Quit() // the mail is taken; what the server says now changes nothing
	return nil
}
