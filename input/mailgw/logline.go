package mailgw

import (
	"strconv"
	"strings"
	"time"
)

// logLine is a line of a mail log without its envelope.
type logLine struct {
	when    time.Time
	host    string
	program string // like postfix/smtpd or /usr/sbin/amavisd
	text    string
}

// maxLogLine is how much of a line is looked at. Postfix and amavis cut their own lines well before.
const maxLogLine = 8 << 10

// parseLogLine reads the three envelopes that mail logs come in: "Nov 23 08:49:45 mx postfix/smtpd[29235]: text", the
// same with a time of RFC 3339, and RFC 5424. Times without a year are the last such time before now, in its zone.
func parseLogLine(s string, now time.Time) (logLine, bool) {
	if strings.HasPrefix(s, "<") {
		priority, rest, ok := strings.Cut(s[1:], ">")
		if !ok || len(priority) > 3 {
			return logLine{}, false
		}
		if v, ok := strings.CutPrefix(rest, "1 "); ok {
			return parse5424(v)
		}
		s = rest
	}
	var l logLine
	var ok bool
	if s != "" && s[0] >= '0' && s[0] <= '9' {
		stamp, rest, _ := strings.Cut(s, " ")
		var err error
		l.when, err = time.Parse(time.RFC3339Nano, stamp)
		ok, s = err == nil, rest
	} else if len(s) > len(time.Stamp) && s[len(time.Stamp)] == ' ' {
		l.when, ok = bsdTime(s[:len(time.Stamp)], now)
		s = s[len(time.Stamp)+1:]
	}
	if !ok {
		return l, false
	}
	l.host, s, _ = strings.Cut(s, " ")
	tag, text, ok := strings.Cut(s, ": ")
	l.program, _, _ = strings.Cut(tag, "[")
	l.text = text
	return l, ok && l.program != "" && !strings.Contains(l.program, " ")
}

// parse5424 reads what follows "<22>1 ": time, host, program, process, message id, structured data, text.
func parse5424(s string) (logLine, bool) {
	f := strings.SplitN(s, " ", 6)
	if len(f) < 6 {
		return logLine{}, false
	}
	when, err := time.Parse(time.RFC3339Nano, f[0])
	text := f[5]
	if rest, ok := strings.CutPrefix(text, "- "); ok {
		text = rest
	} else if _, rest, ok := strings.Cut(text, "] "); ok {
		text = rest
	} else {
		return logLine{}, false
	}
	return logLine{when, f[1], f[2], strings.TrimPrefix(text, "\ufeff")}, err == nil
}

func bsdTime(s string, now time.Time) (time.Time, bool) {
	t, err := time.ParseInLocation("2006 "+time.Stamp, strconv.Itoa(now.Year())+" "+s, now.Location())
	if err != nil {
		// 29 February is no day of most years.
		t, err = time.ParseInLocation("2006 "+time.Stamp, strconv.Itoa(now.Year()-1)+" "+s, now.Location())
	}
	if t.After(now.Add(24 * time.Hour)) {
		t = t.AddDate(-1, 0, 0)
	}
	return t, err == nil
}

// field is what stands between begin and end, "" where either is missing.
func field(s, begin, end string) string {
	_, rest, ok := strings.Cut(s, begin)
	if !ok {
		return ""
	}
	v, _, ok := strings.Cut(rest, end)
	if !ok {
		return ""
	}
	return v
}

// capped keeps stored texts small, whatever a stranger sends.
func capped(s string) string {
	const longest = 320 // of an address: 64 before the @, 255 behind it (RFC 5321)
	return strings.Clone(s[:min(len(s), longest)])
}
