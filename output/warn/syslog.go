package warn

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"varde/event"
	"varde/event/human"
)

// SyslogConfig sends warnings to a syslog receiver.
type SyslogConfig struct {
	Address   string     `yaml:"address" doc:"udp://host:514, tcp://host:514, tls://host:6514 or unix:///dev/log."`
	CA        string     `yaml:"ca_file" doc:"Certificates that the receiver's is checked against, for tls; those of the system by default."`
	Cert      string     `yaml:"cert_file" doc:"Our certificate, for receivers that ask for one."`
	Key       string     `yaml:"key_file" doc:"The key of our certificate."`
	Protocol  string     `yaml:"protocol" doc:"rfc5424 (the default), or rfc3164 (the default for unix, where local daemons expect it)."`
	Framing   string     `yaml:"framing" doc:"Over tcp and tls: octets counts them before each message (RFC 6587, the default), newline ends each with one."`
	Facility  string     `yaml:"facility" doc:"Syslog facility; auth by default."`
	Format    string     `yaml:"format" doc:"Text of the message: compact (a sentence and name=value, the default) or json."`
	Hostname  string     `yaml:"hostname" doc:"Name that we give ourselves; that of this machine by default."`
	App       string     `yaml:"app" doc:"Name of the program in the message; varde by default."`
	SDID      string     `yaml:"sd_id" doc:"Identifier of our structured data, name@enterprise number; varde@32473 by default. - leaves the data out."`
	BOM       bool       `yaml:"bom" doc:"Begin the text with the byte order mark that RFC 5424 asks for; many receivers show it as rubbish."`
	MaxLength human.Size `yaml:"max_length" doc:"Longest message; 2048 by default over udp, 8192 otherwise, as receivers expect."`
}

// Limits of RFC 5424 section 6 for the fields of the header, and of what receivers take.
const (
	maxSyslogHost = 255
	maxSyslogApp  = 48
	maxMsgID      = 32
	leastMessage  = 480 // what every receiver takes (RFC 5424 section 6.1)
	mostMessage   = 1 << 20
	udpMessage    = 2048 // what receivers should take
	tcpMessage    = 8192 // rsyslog's own default
)

// facilities by their number (RFC 5424 section 6.2.1).
var facilities = []string{
	"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
	"ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
}

// Check says which value is impossible.
func (c *SyslogConfig) Check() error {
	u, err := url.Parse(c.Address)
	if err != nil || u.Scheme != "unix" && (u.Hostname() == "" || u.Port() == "") || u.Scheme == "unix" && u.Path == "" ||
		!slices.Contains([]string{"udp", "tcp", "tls", "unix"}, u.Scheme) {
		return fmt.Errorf("address %q: use udp://host:514, tcp://host:514, tls://host:6514 or unix:///dev/log", c.Address)
	}
	for _, v := range []struct {
		key, value string
		known      []string
	}{
		{"protocol", c.Protocol, []string{"rfc5424", "rfc3164"}},
		{"framing", c.Framing, []string{"octets", "newline"}},
		{"facility", c.Facility, facilities},
		{"format", c.Format, []string{"compact", "json"}},
	} {
		if v.value != "" && !slices.Contains(v.known, v.value) {
			return fmt.Errorf("%s %q: use one of %s", v.key, v.value, strings.Join(v.known, ", "))
		}
	}
	for _, v := range []struct {
		key, value string
		most       int
	}{{"hostname", c.Hostname, maxSyslogHost}, {"app", c.App, maxSyslogApp}, {"sd_id", c.SDID, maxMsgID}} {
		if v.value != headerField(v.value, v.most) && v.value != "" {
			return fmt.Errorf("%s %q: use at most %d printable characters without spaces", v.key, v.value, v.most)
		}
	}
	if strings.ContainsAny(c.SDID, `=]"`) {
		return fmt.Errorf("sd_id %q: use a name without = ] and quotes", c.SDID)
	}
	least := human.Size(leastMessage)
	if c.Format == "json" {
		least = udpMessage // less would cut it
	}
	if c.MaxLength != 0 && (c.MaxLength < least || c.MaxLength > mostMessage) {
		return fmt.Errorf("max_length %s: use %s to %s", c.MaxLength, least, human.Size(mostMessage))
	}
	if (c.Cert == "") != (c.Key == "") {
		return errors.New("cert_file and key_file go together")
	}
	return nil
}

// withDefaults fills what was left out.
func (c SyslogConfig) withDefaults(scheme string) SyslogConfig {
	if c.Protocol == "" {
		c.Protocol = "rfc5424"
		if scheme == "unix" {
			c.Protocol = "rfc3164"
		}
	}
	if c.Facility == "" {
		c.Facility = "auth"
	}
	if c.Hostname == "" {
		c.Hostname, _ = os.Hostname() // without one it is "-"
	}
	if c.App == "" {
		c.App = "varde"
	}
	if c.SDID == "" {
		c.SDID = "varde@32473" // the number that RFC 5612 keeps for examples; varde has none of its own
	}
	if c.MaxLength == 0 {
		c.MaxLength = tcpMessage
		if scheme == "udp" {
			c.MaxLength = udpMessage
		}
	}
	return c
}

type syslog struct {
	SyslogConfig
	dialer syslogDialer
	pid    int
	conn   net.Conn
	stream *stream // conn over tcp and tls, where we learn what arrives
	buf    []byte
}

func newSyslog(c SyslogConfig) (event.Sayer, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	u, err := url.Parse(c.Address)
	if err != nil {
		return nil, err
	}
	c = c.withDefaults(u.Scheme)
	return &syslog{SyslogConfig: c, dialer: syslogDialer{u, c.CA, c.Cert, c.Key}, pid: os.Getpid()}, nil
}

// Name is syslog.
func (s *syslog) Name() string { return "syslog" }

// Say sends one message.
func (s *syslog) Say(ctx context.Context, w event.Warning) error { return sayOne(ctx, s, w) }

// maxBurst is how many messages go out before the receiver's acknowledgement is waited for.
const maxBurst = 64

// sayAll sends messages and, over a stream, waits until the receiver's machine has acknowledged them: syslog itself
// knows no acknowledgement, and what is written to a connection that just broke would be gone unnoticed.
func (s *syslog) sayAll(ctx context.Context, ws iter.Seq[event.Warning]) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, sayTimeout)
	defer cancel()
	defer func() {
		if err != nil {
			err = fmt.Errorf("syslog %s: %w", s.Address, err)
			s.hangUp()
		}
	}()
	if err = s.ready(ctx); err != nil {
		return 0, err
	}
	conn := s.conn
	stop := context.AfterFunc(ctx, func() { conn.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	conn.SetWriteDeadline(time.Time{})
	for w := range ws {
		s.buf = s.frame(s.buf[:0], &w)
		if _, err = conn.Write(s.buf); err == nil && s.stream == nil {
			err = pendingError(conn)
		}
		if err != nil {
			break
		}
		if n++; n == maxBurst {
			break
		}
	}
	if s.stream == nil {
		return n, err // a datagram is as delivered as it will ever be
	}
	if err == nil {
		err = s.stream.acknowledged(ctx)
	}
	if err != nil {
		return 0, err
	}
	return n, nil
}

// ready makes sure of a connection that the receiver has not closed meanwhile.
func (s *syslog) ready(ctx context.Context) (err error) {
	if s.stream != nil && s.stream.isGone() {
		s.hangUp()
	}
	if s.conn != nil {
		return nil
	}
	if s.conn, err = s.dialer.dial(ctx); err != nil {
		s.conn = nil
		return err
	}
	if s.dialer.streams() {
		s.stream = newStream(s.conn)
	}
	return nil
}

func (s *syslog) hangUp() {
	if s.conn != nil {
		s.conn.Close()
		s.conn, s.stream = nil, nil
	}
}

// frame appends a message as the transport wants it.
func (s *syslog) frame(b []byte, w *event.Warning) []byte {
	message := s.message(w)
	switch {
	case !s.dialer.streams():
		return append(b, message...)
	case s.Framing == "newline":
		return append(append(b, message...), '\n')
	}
	return append(append(strconv.AppendInt(b, int64(len(message)), 10), ' '), message...)
}

// message is a warning as one syslog message. Where it is too long, evidence is left out until it fits; what is too
// long even then is cut.
func (s *syslog) message(w *event.Warning) []byte {
	most := int(s.MaxLength)
	b := s.header(nil, w)
	for _, entries := range []int{len(w.Evidence), 3, 1, 0} {
		if m := s.text(s.data(slices.Clip(b), w, entries), w, entries); len(m) <= most {
			return m
		}
	}
	if s.Protocol == "rfc5424" {
		b = append(b, " -"...)
	}
	return cut(s.text(b, w, -1), most)
}

// header is everything up to the text, without structured data.
func (s *syslog) header(b []byte, w *event.Warning) []byte {
	b = fmt.Appendf(b, "<%d>", slices.Index(facilities, s.Facility)*8+syslogLevel(w.Severity))
	at := event.Stamp(w.Time)
	if s.Protocol == "rfc3164" {
		b = at.In(time.Local).AppendFormat(b, time.Stamp)
		if s.dialer.url.Scheme != "unix" { // local daemons know where they are
			b = append(append(b, ' '), headerField(s.Hostname, maxSyslogHost)...)
		}
		return fmt.Appendf(b, " %s[%d]:", s.App, s.pid)
	}
	b = append(at.AppendFormat(append(b, "1 "...), "2006-01-02T15:04:05.000000Z07:00"), ' ')
	return fmt.Appendf(b, "%s %s %d %s", headerField(s.Hostname, maxSyslogHost), s.App, s.pid, headerField(w.Rule, maxMsgID))
}

// syslogLevel is a severity in the words of RFC 5424: crit, err, warning, notice, info.
func syslogLevel(s event.Severity) int {
	switch s {
	case event.Critical:
		return 2
	case event.High:
		return 3
	case event.Medium:
		return 4
	case event.Low:
		return 5
	}
	return 6
}

// data appends the structured data of RFC 5424.
func (s *syslog) data(b []byte, w *event.Warning, entries int) []byte {
	if s.Protocol == "rfc3164" {
		return b
	}
	if s.SDID == "-" || s.Format == "json" {
		return append(b, " -"...)
	}
	b = append(append(b, " ["...), s.SDID...)
	for _, p := range fields(w, entries) {
		b = append(append(append(b, ' '), p.Key...), `="`...)
		b = append(append(b, sdEscape.Replace(p.Value)...), '"')
	}
	return append(b, ']')
}

// sdEscape escapes what RFC 5424 section 6.3.3 asks for.
var sdEscape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `]`, `\]`)

// text appends the message's own text. JSON that is too long loses evidence too, and at last the event: entries -1.
func (s *syslog) text(b []byte, w *event.Warning, entries int) []byte {
	b = append(b, ' ')
	if s.BOM && s.Protocol != "rfc3164" {
		b = append(b, "\ufeff"...)
	}
	if s.Format != "json" {
		return appendCompact(b, w, max(entries, 0))
	}
	small := *w
	small.Evidence = w.Evidence[:max(entries, 0)]
	if entries < 0 {
		small.Event = event.Event{
			Kind: w.Event.Kind, Time: w.Event.Time, Proto: w.Event.Proto, Src: w.Event.Src, Dst: w.Event.Dst,
			SrcPort: w.Event.SrcPort, DstPort: w.Event.DstPort,
		}
		small.Own.Name, small.Foreign.Name, small.Why = short(w.Own.Name, maxHost), short(w.Foreign.Name, maxHost), short(w.Why, maxName)
	}
	return small.AppendJSON(b, w.Time)
}

// headerField is a text as a header field may hold it: printable ASCII without spaces, "-" for none.
func headerField(s string, most int) string {
	clean := strings.Map(func(r rune) rune {
		if r <= ' ' || r >= 0x7f {
			return '_'
		}
		return r
	}, s)
	if clean == "" {
		return "-"
	}
	return clean[:min(len(clean), most)]
}

// cut shortens a message without leaving half a character.
func cut(b []byte, most int) []byte {
	if len(b) <= most {
		return b
	}
	for most > 0 && b[most]&0xc0 == 0x80 { // a continuation byte of UTF-8
		most--
	}
	return b[:most]
}
