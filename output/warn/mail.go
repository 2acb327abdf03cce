package warn

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"net/mail"
	"os"
	"strings"
	"time"

	"varde/event"
	"varde/event/human"
)

// MailConfig sends warnings by mail: the first at once, then at most one mail an interval with all since.
type MailConfig struct {
	Server   string         `yaml:"server" doc:"Mail server; localhost:25 by default."`
	TLS      string         `yaml:"tls" doc:"starttls (the default, refused without), implicit (port 465), auto (STARTTLS where offered; the default on localhost) or none."`
	CA       string         `yaml:"ca_file" doc:"Certificates that the server's is checked against; those of the system by default."`
	Username string         `yaml:"username" doc:"Who logs in, if anybody has to; only over TLS or on localhost."`
	Password string         `yaml:"password_file" doc:"File with the password."`
	From     string         `yaml:"from" doc:"Sender."`
	To       human.List     `yaml:"to" doc:"Receivers."`
	Subject  string         `yaml:"subject" doc:"Beginning of the subject; [varde] by default."`
	Interval human.Duration `yaml:"interval" doc:"At most one mail in so long; 10m by default."`
	AtOnce   int            `yaml:"critical_at_once" doc:"How many mails an hour critical warnings may send before their time; 6 by default, -1 for none."`
	Hello    string         `yaml:"hello" doc:"Name that we greet the server with; that of this machine by default."`
	Zone     string         `yaml:"zone" doc:"Time zone of the times; that of this machine by default."`
}

const (
	mailInterval  = 10 * time.Minute
	mailAtOnce    = 6
	jumpsWithin   = time.Hour
	maxReceivers  = 50
	maxSubject    = 120
	leastInterval = 10 * time.Second
)

// Check says which value is impossible.
func (c *MailConfig) Check() error {
	if _, _, err := net.SplitHostPort(c.Server); c.Server != "" && err != nil {
		return fmt.Errorf("server %q: use host:25, host:587 or host:465", c.Server)
	}
	switch c.TLS {
	case "", "starttls", "implicit", "auto", "none":
	default:
		return fmt.Errorf("tls %q: use starttls, implicit, auto or none", c.TLS)
	}
	if _, err := mail.ParseAddress(c.From); err != nil {
		return fmt.Errorf("from %q: use an address such as varde@example.org", c.From)
	}
	if len(c.To) == 0 || len(c.To) > maxReceivers {
		return fmt.Errorf("mail needs 1 to %d receivers under to", maxReceivers)
	}
	for _, to := range c.To {
		if _, err := mail.ParseAddress(to); err != nil {
			return fmt.Errorf("to: %q: use an address such as admin@example.org", to)
		}
	}
	if (c.Username == "") != (c.Password == "") {
		return errors.New("username and password_file go together")
	}
	if c.Hello != headerField(c.Hello, maxSyslogHost) && c.Hello != "" {
		return fmt.Errorf("hello %q: use the name of a host", c.Hello)
	}
	if c.Interval != 0 && time.Duration(c.Interval) < leastInterval {
		return fmt.Errorf("interval %s: use %s or more", c.Interval, human.Duration(leastInterval))
	}
	_, err := zone(c.Zone)
	return err
}

func (c MailConfig) withDefaults() MailConfig {
	if c.Server == "" {
		c.Server = "localhost:25"
	}
	if c.TLS == "" {
		c.TLS = "starttls"
		if host, _, _ := net.SplitHostPort(c.Server); isLocal(host) {
			c.TLS = "auto"
		}
	}
	if c.Subject == "" {
		c.Subject = "[varde]"
	}
	if c.Interval == 0 {
		c.Interval = human.Duration(mailInterval)
	}
	if c.AtOnce == 0 {
		c.AtOnce = mailAtOnce
	}
	if c.Hello == "" {
		if c.Hello, _ = os.Hostname(); c.Hello == "" {
			c.Hello = "localhost"
		}
	}
	return c
}

// isLocal tells names and addresses of this machine, where nobody listens in.
func isLocal(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

type mailer struct {
	MailConfig
	from   *mail.Address
	to     []*mail.Address
	zone   *time.Location
	log    *slog.Logger
	now    func() time.Time
	last   time.Time   // when the last mail left
	jumped []time.Time // when critical warnings did not wait, within jumpsWithin
}

func newMail(c MailConfig, log *slog.Logger) (event.Sayer, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	m := &mailer{MailConfig: c.withDefaults(), log: log, now: time.Now}
	var err error
	if m.from, err = mail.ParseAddress(c.From); err != nil {
		return nil, err
	}
	for _, s := range c.To {
		to, err := mail.ParseAddress(s)
		if err != nil {
			return nil, err
		}
		m.to = append(m.to, to)
	}
	m.zone, err = zone(c.Zone)
	return m, err
}

// Name is mail.
func (m *mailer) Name() string { return "mail" }

// Say mails one warning, if the interval since the last mail is over.
func (m *mailer) Say(ctx context.Context, w event.Warning) error { return sayOne(ctx, m, w) }

// sayAll mails everything that waits as one digest, or holds it until the interval is over. A critical warning does
// not wait, as long as such mails are few.
func (m *mailer) sayAll(ctx context.Context, ws iter.Seq[event.Warning]) (int, error) {
	now := m.now()
	due := m.last.IsZero() || now.Sub(m.last) >= time.Duration(m.Interval) || now.Before(m.last)
	mayJump := m.mayJump(now)
	if !due && !mayJump {
		return 0, hold{wait: m.until(now)}
	}
	d := newDigest(m.zone)
	for w := range ws {
		d.add(&w)
	}
	if d.count == 0 {
		return 0, nil
	}
	if !due && d.bySeverity[event.Critical] == 0 {
		return 0, hold{wait: m.until(now), urgent: true}
	}
	ctx, cancel := context.WithTimeout(ctx, sayTimeout)
	defer cancel()
	err := m.send(ctx, m.message(d, d.text(), now))
	if is[refused](err) {
		m.log.Warn("the mail server refuses the text; a mail without what the lists say goes instead", "error", err)
		err = m.send(ctx, m.message(d, d.terse(err), now))
	}
	if err != nil {
		err = fmt.Errorf("mail %s: %w", m.Server, err)
		if is[refused](err) {
			err = refused{err, d.count}
		}
		return 0, err
	}
	if !due {
		m.jumped = append(m.jumped, now)
	}
	m.last = now
	return d.count, nil
}

// until is when the next mail may leave: at the end of the interval, or when a critical warning may jump again.
func (m *mailer) until(now time.Time) time.Duration {
	wait := m.last.Add(time.Duration(m.Interval)).Sub(now)
	if len(m.jumped) > 0 && !m.mayJump(now) {
		wait = min(wait, m.jumped[0].Add(jumpsWithin).Sub(now))
	}
	return wait
}

// mayJump tells whether a critical warning may be mailed before its time.
func (m *mailer) mayJump(now time.Time) bool {
	for len(m.jumped) > 0 && now.Sub(m.jumped[0]) >= jumpsWithin {
		m.jumped = m.jumped[1:]
	}
	return len(m.jumped) < m.AtOnce
}

// subject says how many warnings and how bad, and of the worst who with whom.
func (m *mailer) subject(d *digest) string {
	worst := &d.worst[0]
	if d.count == 1 {
		return m.Subject + " " + worst.Severity.String() + ": " + sentence(worst)
	}
	s := m.Subject + " " + human.Count(uint64(d.count)) + " warnings"
	if n := d.bySeverity[worst.Severity]; n < d.count || worst.Severity == event.Critical {
		s += ", " + human.Count(uint64(n))
	}
	return s + " " + worst.Severity.String() + ": " + sentence(worst)
}

// fit cuts a subject to what mail programs show, and keeps it one line.
func fit(s string) string { return short(human.Safe(strings.TrimSpace(s)), maxSubject) }
