package mailgw

import (
	"context"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"varde/event"
)

// maxMessages is how many messages in transit are remembered, so that a delivery can be said together with the client
// that the message came from. A busy relay has some thousands in its queue.
const maxMessages = 16384

// MailLog turns lines of the mail log into events of kind Mail: one for each verdict of amavis, each delivery or delay
// that Postfix tells of, and each refusal. The source address of an event is the client that handed the mail in, so
// that mail stands on the page of that address. It is safe for concurrent use.
type MailLog struct {
	mu       sync.Mutex
	e        event.Event
	messages map[string]*message
	ring     [maxMessages]*message // in the order in which they came
	next     int

	lines, events, foreign, cut, forgotten uint64
}

// message is what is known of a message in Postfix's queue.
type message struct {
	id      string
	client  netip.Addr
	from    string
	size    string
	subject string
}

// NewMailLog makes a reader of lines.
func NewMailLog() *MailLog { return &MailLog{messages: map[string]*message{}} }

// Line reads one line, without its newline, that was received at that time, and emits the events that it means.
// Lines of other programs are counted and passed over.
func (m *MailLog) Line(line []byte, received time.Time, emit event.Emit) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lines++
	if len(line) > maxLogLine {
		m.cut++
		line = line[:maxLogLine]
	}
	l, ok := parseLogLine(string(line), received)
	if !ok {
		m.foreign++
		return
	}
	daemon := l.program[strings.LastIndexByte(l.program, '/')+1:]
	m.e.Reset()
	m.e.Kind, m.e.Proto, m.e.Exporter = event.Mail, event.TCP, capped(l.host)
	m.e.Time, m.e.Received = event.Nanos(l.when), event.Nanos(received)
	said := false
	switch {
	case strings.HasPrefix(daemon, "amavis"):
		m.e.Source = "amavis"
		said = parseAmavisLine(l.text, &m.e)
	case strings.Contains(l.program, "postfix"):
		m.e.Source = "postfix"
		said = m.postfix(daemon, l.text)
	default:
		m.foreign++
	}
	if said {
		m.events++
		emit(&m.e)
	}
}

// Figures tells how many lines there were and what became of them.
func (m *MailLog) Figures(context.Context) ([]event.Figure, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return []event.Figure{
		event.Count("varde_mail_log_lines_total", "Lines of the mail log read.", m.lines),
		event.Count("varde_mail_log_events_total", "Events that they gave.", m.events),
		event.Count("varde_mail_log_foreign_total", "Lines that are neither of Postfix nor of amavis, or not of a log.", m.foreign),
		event.Count("varde_mail_log_cut_total", "Lines that were too long and read in part.", m.cut),
		event.Count("varde_mail_log_forgotten_total", "Messages forgotten before they were delivered, to make room.", m.forgotten),
		event.Measure("varde_mail_log_messages", "Messages in transit that are remembered.", "", float64(len(m.messages))),
	}, nil
}

// message finds or makes what is known of a queue id.
func (m *MailLog) message(id string) *message {
	if x := m.messages[id]; x != nil {
		return x
	}
	if old := m.ring[m.next]; old != nil && m.messages[old.id] == old {
		delete(m.messages, old.id)
		m.forgotten++
	}
	x := &message{id: strings.Clone(id)}
	m.messages[x.id], m.ring[m.next] = x, x
	m.next = (m.next + 1) % maxMessages
	return x
}

// queueID tells short ids, hexadecimal digits, and long ones, digits of base 52 with a z.
func queueID(s string) bool {
	if len(s) < 6 || len(s) > 24 {
		return false
	}
	return strings.Trim(s, "0123456789ABCDEF") == "" || strings.Contains(s, "z") && strings.Trim(s, base52) == ""
}

// postfix reads a line of one of its daemons and tells whether it is an event.
func (m *MailLog) postfix(daemon, text string) bool {
	if daemon == "smtpd" || daemon == "postscreen" {
		if rest, ok := strings.CutPrefix(text, "warning: "); ok {
			return m.authentication(rest)
		}
	}
	id, rest, ok := strings.Cut(text, ": ")
	if !ok || id != "NOQUEUE" && !queueID(id) {
		return false
	}
	if strings.HasPrefix(rest, "reject: ") || strings.HasPrefix(rest, "milter-reject: ") {
		return m.refusal(id, rest)
	}
	if id == "NOQUEUE" {
		return false
	}
	switch {
	case strings.HasPrefix(rest, "client="):
		delete(m.messages, id) // short ids are used again soon
		x := m.message(id)
		x.client = addrOf(rest)
		if i := strings.LastIndex(rest, ", orig_client="); i >= 0 {
			x.client = addrOf(rest[i:])
		}
	case strings.HasPrefix(rest, "from=<") && daemon != "pickup":
		x := m.message(id)
		x.from = capped(field(rest, "from=<", ">, "))
		x.size = capped(digits(field(rest, ">, size=", ",")))
		if field(rest, ">, status=", ",") == "expired" {
			m.e.Detail.Set("verdict", "expired")
			m.known(x)
			return true
		}
	case strings.Contains(rest, "header Subject: "):
		_, subject, _ := strings.Cut(rest, "header Subject: ")
		if i := strings.LastIndex(subject, " from "); i >= 0 {
			subject = subject[:i]
		}
		m.message(id).subject = capped(subject)
	case rest == "removed":
		delete(m.messages, id)
	case strings.HasPrefix(rest, "to=<"):
		return m.delivery(id, rest)
	}
	return false
}

// known adds what is remembered of the message.
func (m *MailLog) known(x *message) {
	m.e.Session, m.e.Src = x.id, x.client
	m.e.Detail.Set("from", x.from)
	m.e.Detail.Set("subject", x.subject)
	m.e.Detail.Set("size", x.size)
}

// delivery reads "to=<b@x>, relay=mx[192.0.2.1]:25, delay=.., dsn=2.0.0, status=sent (250 ok)".
func (m *MailLog) delivery(id, s string) bool {
	to, rest, ok := strings.Cut(s[len("to=<"):], ">, ")
	status := field(rest+" ", "status=", " ")
	if !ok || status == "" {
		return false
	}
	m.e.Session = capped(id)
	if x := m.messages[id]; x != nil {
		m.known(x)
	}
	relay := field(rest, "relay=", ", ")
	m.e.Dst = addrOf(relay)
	if i := strings.LastIndex(relay, "]:"); i >= 0 {
		port, _ := strconv.ParseUint(relay[i+2:], 10, 16)
		m.e.DstPort = uint16(port)
	}
	m.e.Detail.Set("to", capped(to))
	m.e.Detail.Set("verdict", capped(status))
	if status == "sent" {
		m.e.Action = event.Accept
	}
	_, why, _ := strings.Cut(rest, " (")
	m.e.Rule = capped(strings.TrimSpace(field(rest, "dsn=", ",") + " " + strings.TrimSuffix(why, ")")))
	return true
}

// refusal reads "reject: RCPT from host[192.0.2.1]: 554 5.7.1 ...; from=<a> to=<b> proto=ESMTP helo=<h>", the same with
// commas from postscreen, and "reject: header Subject: text from host[192.0.2.1]; from=<a> ... helo=<h>: reason" from
// cleanup, where the text is a stranger's and may look like the rest; so the last of everything counts there.
func (m *MailLog) refusal(id, s string) bool {
	head, tail := s, ""
	if i := strings.LastIndex(s, "; from=<"); i >= 0 {
		head, tail = s[:i], strings.ReplaceAll(s[i:], ">, ", "> ")
	}
	at := strings.Index(head, " from ")
	if strings.HasPrefix(s, "reject: header ") || strings.HasPrefix(s, "reject: body ") {
		at = strings.LastIndex(head, " from ")
	}
	if at < 0 {
		return false
	}
	client := head[at:]
	m.e.Src = addrOf(client)
	if i := strings.IndexByte(client, ']'); i >= 0 {
		_, why, ok := strings.Cut(client[i:], ": ")
		if !ok {
			why = head[:at]
		}
		m.e.Rule = capped(why)
	}
	if id != "NOQUEUE" {
		m.e.Session = capped(id)
	}
	m.e.Detail.Set("from", capped(field(tail, "from=<", "> ")))
	m.e.Detail.Set("to", capped(field(tail, " to=<", "> ")))
	m.e.Detail.Set("helo", capped(field(tail, " helo=<", ">")))
	m.e.Action = event.Deny
	m.e.Detail.Set("verdict", "rejected")
	return m.e.Src.IsValid()
}

// authentication reads "host[192.0.2.1]: SASL LOGIN authentication failed: ..., sasl_username=x".
func (m *MailLog) authentication(s string) bool {
	head, why, ok := strings.Cut(s, "]: SASL ")
	if !ok || !strings.Contains(why, "authentication fail") {
		return false
	}
	m.e.Src = addrOf(head + "]")
	m.e.Action, m.e.Rule = event.Deny, capped("SASL "+why)
	m.e.Detail.Set("verdict", "authentication failed")
	return m.e.Src.IsValid()
}

// addrOf is the address in the first brackets; the names before it hold none, Postfix sees to that.
func addrOf(s string) netip.Addr {
	inside := field(s, "[", "]")
	inside = strings.TrimPrefix(inside, "IPv6:")
	a, err := netip.ParseAddr(inside)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

func digits(s string) string {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return ""
	}
	return s
}
