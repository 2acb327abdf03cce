package web

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"varde/event"
)

// Bounds on what is read of the mail log for one answer.
const (
	maxLetters  = 20_000 // events looked at, the newest
	maxVerdicts = 40     // told apart; the rest is other
	maxSenders  = 50     // rows
)

// verdictCount is how many events of the mail log have a verdict.
type verdictCount struct {
	Verdict string `json:"verdict"`
	Events  uint64 `json:"events"`
}

// sender is who mail says it is from: whatever a stranger wrote.
type sender struct {
	Sender  string `json:"sender"`  // "" is the empty address of bounces, or none was told
	Events  uint64 `json:"events"`  // refused, or passed as spam
	Refused uint64 `json:"refused"` // of these
	Hosts   uint64 `json:"hosts"`   // different clients that they came from
}

// lettersAnswer is what the mail log tells of a span.
type lettersAnswer struct {
	span
	Looked   int               `json:"looked"` // events that were looked at
	More     bool              `json:"more"`   // there are older ones, which nothing here counts
	Step     int               `json:"step"`   // seconds
	Verdicts []verdictCount    `json:"verdicts"`
	Content  []curve           `json:"content"` // messages a second by what amavis found
	Refused  uint64            `json:"refused"`
	Senders  []sender          `json:"senders"` // by how much of theirs was refused
	Rows     []json.RawMessage `json:"rows"`    // the newest with the verdict and the sender that are asked for
}

// getMessages tells what the mail log said of single messages. Verdicts and senders are no fields of the filter language, so
// the newest events are looked at one by one.
func (s *Server) getMessages(r *http.Request) (answer, error) {
	b, n, csv, err := s.listing(r)
	if err != nil {
		return answer{}, err
	}
	q := r.URL.Query()
	verdict, from := q.Get("verdict"), q.Get("sender")
	if len(verdict) > maxName || len(from) > maxText {
		return answer{}, bad("verdict or sender is too long")
	}
	b.Kinds = []event.Kind{event.Mail}
	step := stepFor(time.Duration(b.To - b.From))
	align(&b.Box, step)
	over := stretch{from: b.From, to: b.To, step: int64(step)}
	events, err := s.deps.Store.Tail(r.Context(), b.Box, maxLetters)
	if err != nil {
		return answer{}, err
	}
	t := newTally(over, len(events) >= maxLetters)
	var rows []event.Event
	for i := range events {
		e := &events[i]
		v := t.add(e)
		if len(rows) < n && (verdict == "" || v == verdict) && (from == "" || senderOf(e) == from || from == noSender && senderOf(e) == "") {
			rows = append(rows, *e)
		}
	}
	if csv {
		return answer{table: lettersTable(rows)}, nil
	}
	out := t.answer()
	out.span, out.Looked, out.Step, out.Rows = b.span(), len(events), int(over.step/1e9), []json.RawMessage{}
	for i := range rows {
		out.Rows = append(out.Rows, appendEvent(nil, &rows[i]))
	}
	return answer{body: out}, nil
}

// contents are amavis's words for what was in a message, where its log has others than its counters.
var contents = map[string]string{"infected": "virus", "mta-blocked": "mta_failed"}

// verdictOf puts the verdict of an event into one of few words: without the names of viruses and files, which strangers choose.
func verdictOf(e *event.Event) string {
	v, _, _ := strings.Cut(e.Detail.Get("verdict"), " (")
	v = strings.ToLower(v)
	if e.Source != "amavis" {
		return v
	}
	if strings.HasPrefix(v, "bad-header") {
		return "bad_header"
	}
	if strings.HasPrefix(v, "unchecked") {
		return "unchecked"
	}
	return cmp.Or(contents[v], v)
}

// noSender asks for mail from the empty address, which bounces have, or of which no sender was told.
const noSender = "<>"

func senderOf(e *event.Event) string { return strings.ToLower(e.Detail.Get("from")) }

// tally counts events of the mail log, newest first.
type tally struct {
	over     stretch
	more     bool
	oldest   int64 // of what was looked at
	refused  uint64
	verdicts map[string]uint64
	content  map[string][]float64 // messages in each step
	senders  map[string]*sender
	hosts    map[[2]string]struct{} // sender and client
}

func newTally(over stretch, more bool) *tally {
	return &tally{over: over, more: more, oldest: over.to, verdicts: map[string]uint64{}, content: map[string][]float64{}, senders: map[string]*sender{}, hosts: map[[2]string]struct{}{}}
}

// add counts one event and gives its verdict.
func (t *tally) add(e *event.Event) string {
	v := verdictOf(e)
	key := v
	if t.verdicts[key] == 0 && len(t.verdicts) >= maxVerdicts {
		key = "other"
	}
	t.verdicts[key] += e.Hits()
	t.oldest = min(t.oldest, e.Time)
	if e.Source == "amavis" {
		values := t.content[key]
		if values == nil {
			values = make([]float64, t.over.steps())
			t.content[key] = values
		}
		if i := (e.Time - t.over.from) / t.over.step; i >= 0 && int(i) < len(values) {
			values[i] += float64(e.Hits())
		}
	}
	if e.Action == event.Deny {
		t.refused += e.Hits()
	}
	if (e.Action == event.Deny || v == "spam") && v != authenticationFailed {
		t.addSender(e)
	}
	return v
}

// authenticationFailed is the verdict of who did not get so far as to name a sender.
const authenticationFailed = "authentication failed"

func (t *tally) addSender(e *event.Event) {
	from := senderOf(e)
	s := t.senders[from]
	if s == nil {
		s = &sender{Sender: from}
		t.senders[from] = s
	}
	s.Events += e.Hits()
	if e.Action == event.Deny {
		s.Refused += e.Hits()
	}
	if host := [2]string{from, e.Src.String()}; e.Src.IsValid() {
		if _, seen := t.hosts[host]; !seen {
			t.hosts[host] = struct{}{}
			s.Hosts++
		}
	}
}

// answer sorts what was counted. Steps before the oldest event that was looked at are not known where there are more.
func (t *tally) answer() lettersAnswer {
	out := lettersAnswer{More: t.more, Refused: t.refused, Verdicts: []verdictCount{}, Content: []curve{}, Senders: []sender{}}
	for v, n := range t.verdicts {
		out.Verdicts = append(out.Verdicts, verdictCount{v, n})
	}
	slices.SortFunc(out.Verdicts, func(a, b verdictCount) int {
		return cmp.Or(cmp.Compare(b.Events, a.Events), cmp.Compare(a.Verdict, b.Verdict))
	})
	unknown := 0
	if t.more {
		unknown = int((t.oldest-t.over.from)/t.over.step) + 1
	}
	for key, values := range t.content {
		c := curve{Key: key, Values: make([]*float64, len(values))}
		for i, v := range values {
			c.Total += v
			if i >= unknown {
				rate := fourDigits(v / (float64(t.over.step) / 1e9))
				c.Values[i] = &rate
			}
		}
		out.Content = append(out.Content, c)
	}
	slices.SortFunc(out.Content, func(a, b curve) int {
		return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.Key, b.Key))
	})
	for _, s := range t.senders {
		out.Senders = append(out.Senders, *s)
	}
	slices.SortFunc(out.Senders, func(a, b sender) int {
		return cmp.Or(cmp.Compare(b.Refused, a.Refused), cmp.Compare(b.Events, a.Events), cmp.Compare(a.Sender, b.Sender))
	})
	out.Senders = out.Senders[:min(len(out.Senders), maxSenders)]
	return out
}

// lettersTable is the rows as a table.
func lettersTable(events []event.Event) *table {
	return &table{name: "messages", columns: strings.Fields("time source exporter session client from to subject size verdict action rule"), rows: func(row func(...any)) {
		for i := range events {
			e := &events[i]
			d := e.Detail
			row(event.Stamp(e.Time), e.Source, e.Exporter, e.Session, address(e.Src), d.Get("from"), d.Get("to"), d.Get("subject"), d.Get("size"), d.Get("verdict"), e.Action.String(), e.Rule)
		}
	}}
}
