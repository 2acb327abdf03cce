package warn

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"slices"
	"strings"
	"time"

	"varde/event"
	"varde/event/human"
)

// Bounds of one mail, whatever it has to sum up.
const (
	maxDetailed = 50   // warnings told in full, the worst
	maxTallied  = 2000 // different lines of the summary that are counted
	shownTally  = 10
	mailWidth   = 100
)

// digest sums up warnings in bounded memory.
type digest struct {
	zone       *time.Location
	count      int
	bySeverity [event.Critical + 1]int
	first      int64
	last       int64
	worst      []event.Warning // the worst, and of those the first, at most maxDetailed
	hosts      map[string]int  // warnings by own host
	lists      map[string]int  // and by list
	beyond     bool            // more than maxTallied hosts or lists
}

func newDigest(zone *time.Location) *digest {
	return &digest{zone: zone, hosts: map[string]int{}, lists: map[string]int{}}
}

func (d *digest) add(w *event.Warning) {
	d.count++
	d.bySeverity[min(w.Severity, event.Critical)]++
	if d.first == 0 || w.Time < d.first {
		d.first = w.Time
	}
	d.last = max(d.last, w.Time)
	d.tally(d.hosts, endName(&w.Own))
	var said []string
	for i := range w.Evidence {
		if l := w.Evidence[i].List; !slices.Contains(said, l) {
			said = append(said, l)
			d.tally(d.lists, host(l))
		}
	}
	at, _ := slices.BinarySearchFunc(d.worst, w.Severity, func(have event.Warning, s event.Severity) int {
		return cmp.Or(cmp.Compare(s, have.Severity), -1) // after all that are as bad
	})
	if at < maxDetailed {
		d.worst = slices.Insert(d.worst[:min(len(d.worst), maxDetailed-1)], at, *w)
	}
}

func endName(e *event.Endpoint) string {
	switch {
	case !e.Addr.IsValid():
		return host(e.Name)
	case e.Name == "":
		return address(e.Addr)
	}
	return host(e.Name) + " (" + address(e.Addr) + ")"
}

func (d *digest) tally(into map[string]int, what string) {
	if what == "" {
		return
	}
	if _, ok := into[what]; !ok && len(into) >= maxTallied {
		d.beyond = true
		return
	}
	into[what]++
}

// text is the body of the mail.
func (d *digest) text() []byte {
	var b []byte
	if d.count > 1 {
		b = d.summary(b)
	}
	look := Look{Zone: d.zone, Width: mailWidth}
	shown := slices.Clone(d.worst)
	slices.SortStableFunc(shown, func(x, y event.Warning) int { return cmp.Compare(x.Time, y.Time) })
	p := NewPrinter("line")
	for i := range shown {
		b = p.Append(b, &shown[i], look)
		b = append(b, '\n')
	}
	if more := d.count - len(shown); more > 0 {
		b = fmt.Appendf(b, "These are the %d worst. %s are told in the summary only; outputs of the kind file have all.\n",
			len(shown), plural(uint64(more), "more warning"))
	}
	return b
}

// terse is the body for a server that refuses the other: without names, URLs and whatever else came from a list.
func (d *digest) terse(refusal error) []byte {
	b := fmt.Appendf(nil, "The mail server refused the full text: %s\n\n", human.Safe(short(refusal.Error(), maxWhy)))
	b = d.summary(b)
	look := Look{Zone: d.zone, Dated: true}
	for i := range d.worst {
		w := d.worst[i]
		w.Evidence, w.Why, w.Event.Exporter = nil, "", ""
		b = append(AppendLine(b, &w, look), '\n')
	}
	return b
}

func (d *digest) summary(b []byte) []byte {
	var parts []string
	for s := event.Critical; ; s-- {
		if n := d.bySeverity[s]; n > 0 {
			parts = append(parts, human.Count(uint64(n))+" "+s.String())
		}
		if s == event.Info {
			break
		}
	}
	b = fmt.Appendf(b, "%s from %s to %s: %s.\n\n", plural(uint64(d.count), "warning"),
		event.Stamp(d.first).In(d.zone).Format(time.RFC3339), event.Stamp(d.last).In(d.zone).Format(time.RFC3339), strings.Join(parts, ", "))
	b = d.table(b, "Our hosts", d.hosts)
	return d.table(b, "Lists", d.lists)
}

func (d *digest) table(b []byte, title string, counts map[string]int) []byte {
	if len(counts) == 0 {
		return b
	}
	names := make([]string, 0, len(counts))
	for name := range counts {
		names = append(names, name)
	}
	slices.SortFunc(names, func(x, y string) int {
		return cmp.Or(cmp.Compare(counts[y], counts[x]), strings.Compare(x, y))
	})
	b = append(append(b, title...), ":\n"...)
	for _, name := range names[:min(len(names), shownTally)] {
		b = fmt.Appendf(b, "%8s  %s\n", human.Count(uint64(counts[name])), name)
	}
	switch more := len(names) - shownTally; {
	case d.beyond:
		b = append(b, "          and many more\n"...)
	case more > 0:
		b = fmt.Appendf(b, "          and %s more\n", human.Count(uint64(more)))
	}
	return append(b, '\n')
}

// message is the whole mail (RFC 5322), with lines ended by CR LF. Nothing that arrived from a network stands in a
// header without having been made one safe line.
func (m *mailer) message(d *digest, text []byte, now time.Time) []byte {
	var b bytes.Buffer
	to := make([]string, len(m.to))
	for i, a := range m.to {
		to[i] = a.String()
	}
	_, domain, _ := strings.Cut(m.from.Address, "@")
	id := make([]byte, 16)
	rand.Read(id) // never fails, see crypto/rand
	for _, h := range []event.Pair{
		{Key: "From", Value: m.from.String()},
		{Key: "To", Value: strings.Join(to, ",\r\n ")},
		{Key: "Subject", Value: mime.QEncoding.Encode("utf-8", fit(m.subject(d)))},
		{Key: "Date", Value: now.In(m.zone).Format(time.RFC1123Z)},
		{Key: "Message-ID", Value: "<" + hex.EncodeToString(id) + "@" + domain + ">"},
		{Key: "Auto-Submitted", Value: "auto-generated"}, // RFC 3834: nobody's absence note
		{Key: "X-Varde-Severity", Value: d.worst[0].Severity.String()},
		{Key: "MIME-Version", Value: "1.0"},
		{Key: "Content-Type", Value: "text/plain; charset=utf-8"},
		{Key: "Content-Transfer-Encoding", Value: "quoted-printable"},
	} {
		fmt.Fprintf(&b, "%s: %s\r\n", h.Key, h.Value)
	}
	b.WriteString("\r\n")
	body := quotedprintable.NewWriter(&b)
	body.Write(text)
	body.Close()
	return b.Bytes()
}
