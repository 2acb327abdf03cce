package web

import (
	"cmp"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"varde/event"
	"varde/event/human"
)

// curve is something over time; values have one entry a step, null where it is not known. Counters are as so many a second.
type curve struct {
	Key    string     `json:"key"`
	Total  float64    `json:"total,omitempty"` // of a counter over the span, as far as it is known
	Values []*float64 `json:"values"`
}

// mailSource is one program that the mail gateway's figures come from.
type mailSource struct {
	Name    string   `json:"name"`
	Up      bool     `json:"up"`
	Problem string   `json:"problem,omitempty"` // why it cannot be read, in a word
	Age     *float64 `json:"age,omitempty"`     // seconds, of the figures that are shown; absent where none are
	Errors  uint64   `json:"errors"`            // times that it could not be read, since the start
	Note    string   `json:"note,omitempty"`    // what a person should know
}

// mailQueue is one queue of Postfix.
type mailQueue struct {
	Name     string     `json:"name"`
	Messages *float64   `json:"messages,omitempty"` // absent where it is not known
	More     bool       `json:"more,omitempty"`     // there are more, too many to count in time
	Bytes    *float64   `json:"bytes,omitempty"`
	Oldest   *float64   `json:"oldest,omitempty"` // seconds since the oldest message came
	Sizes    []*float64 `json:"sizes"`            // messages over time
}

// mailProcesses are those of amavis.
type mailProcesses struct {
	Idle   float64            `json:"idle"`
	Busy   float64            `json:"busy"`
	By     map[string]float64 `json:"by,omitempty"` // busy ones by what they do
	Oldest float64            `json:"oldest"`       // seconds that the busiest has been at its stage
	Gone   uint64             `json:"gone"`         // ended without a word, since the start
	Hidden bool               `json:"hidden,omitempty"`
	Over   []curve            `json:"over"` // idle and busy over time
}

// signature is how fresh one database of a virus scanner is.
type signature struct {
	Scanner  string   `json:"scanner"`
	Database string   `json:"database,omitempty"`
	State    string   `json:"state"`         // fresh, ageing, old, behind, present or unknown
	Age      *float64 `json:"age,omitempty"` // seconds since the signatures were made
	Note     string   `json:"note"`
}

// virus is how often one was found since amavis was started.
type virus struct {
	Name  string `json:"name"`
	Count uint64 `json:"count"`
}

// mailState is everything that the page Mail shows of figures.
type mailState struct {
	span
	Now        time.Time      `json:"now"`
	Since      time.Time      `json:"since,omitzero"` // of what is known over time
	Step       int            `json:"step"`           // seconds
	Sources    []*mailSource  `json:"sources"`        // none where no mail gateway is configured
	Received   *curve         `json:"received,omitempty"`
	Content    []curve        `json:"content"`
	Advice     []curve        `json:"advice"` // of rspamd
	Delays     []curve        `json:"delays"` // seconds a message by stage; total is the mean over the span
	Queues     []*mailQueue   `json:"queues"`
	Processes  *mailProcesses `json:"processes,omitempty"`
	Signatures []*signature   `json:"signatures"`
	Viruses    []virus        `json:"viruses"`
}

// mailRoutes are those of the page Mail.
var mailRoutes = []route{
	{"GET", "/api/v1/mail", []string{"from", "to"}, false, true, (*Server).getMail},
	{"GET", "/api/v1/mail/messages", append([]string{"n", "verdict", "sender", "format"}, spanParams...), false, true, (*Server).getMessages},
	{"GET", "/api/v1/mail/objects", []string{"match", "format"}, false, true, (*Server).getObjects},
}

// getMail tells the state of the mail gateway, now and over a span of time. It needs no store.
func (s *Server) getMail(r *http.Request) (answer, error) {
	a, err := s.spanOf(r)
	if err != nil {
		return answer{}, err
	}
	now := s.deps.Now()
	over := stretchOf(now, a.From, a.To)
	m := mailReader{
		past: s.past, over: over, now: now, found: map[string]*mailSource{},
		mailState: mailState{
			span: span{From: event.Stamp(over.from), To: event.Stamp(over.to)}, Now: now.UTC(), Step: int(over.step / 1e9),
			Sources: []*mailSource{}, Content: []curve{}, Advice: []curve{}, Delays: []curve{},
			Queues: []*mailQueue{}, Signatures: []*signature{}, Viruses: []virus{},
		},
	}
	if since := s.past.since(); !since.IsZero() {
		keeps := pastLevels[len(pastLevels)-1]
		m.Since = event.Stamp(max(since.UnixNano(), now.UnixNano()-int64(keeps.step)*(keeps.slots-1)))
	}
	for _, p := range s.figures(r.Context()) {
		for i := range p.figures {
			m.read(&p.figures[i])
		}
	}
	m.finish()
	return answer{body: m.mailState}, nil
}

// mailReader puts figures where they belong.
type mailReader struct {
	mailState
	past       *past
	over       stretch
	now        time.Time
	found      map[string]*mailSource
	clamdLag   float64
	clamdDown  bool
	blocked    float64 // seconds that freshclam may not ask
	noUpstream bool
	stale      bool // amavis's figures come from files that it does not write
}

func labelOf(f *event.Figure, key string) string { return event.Detail(f.Labels).Get(key) }

// read takes one figure.
func (m *mailReader) read(f *event.Figure) {
	switch name := f.Name; {
	case strings.HasPrefix(name, "varde_mail_source_"):
		m.readSource(m.source(labelOf(f, "source")), f)
		return
	case strings.HasPrefix(name, "amavis_"):
		m.aged("amavis", f)
		m.readAmavis(f)
	case strings.HasPrefix(name, "postfix_queue_"):
		m.aged("postfix", f)
		m.readQueue(m.queue(labelOf(f, "queue")), f)
	case strings.HasPrefix(name, "rspamd_") && name != "rspamd_up":
		m.aged("rspamd", f)
		m.readRspamd(f)
	case strings.HasPrefix(name, "antivirus_"):
		if labelOf(f, "scanner") == "clamav" {
			m.aged("clamav", f)
		} else {
			m.aged("antivirus", f)
		}
		m.readSignature(f)
	case strings.HasPrefix(name, "clam") || strings.HasPrefix(name, "freshclam_"):
		m.readClamAV(f)
	}
}

// source finds or makes a source.
func (m *mailReader) source(name string) *mailSource {
	s := m.found[name]
	if s == nil {
		s = &mailSource{Name: name}
		m.found[name] = s
	}
	return s
}

// aged notes how old the figures of a source are: as old as the oldest.
func (m *mailReader) aged(source string, f *event.Figure) {
	if strings.HasSuffix(f.Name, "_up") {
		return // which is of now, whether anything can be read or not
	}
	s := m.source(source)
	if age := f.Age.Seconds(); s.Age == nil || age > *s.Age {
		s.Age = &age
	}
}

func (m *mailReader) readSource(s *mailSource, f *event.Figure) {
	switch f.Name {
	case "varde_mail_source_up":
		s.Up = f.Float() != 0
		m.Sources = append(m.Sources, s)
	case "varde_mail_source_problem":
		s.Problem = labelOf(f, "reason")
	case "varde_mail_source_errors_total":
		s.Errors = whole(f)
	}
}

// curve is a figure over time.
func (m *mailReader) curve(key string, f *event.Figure) curve {
	values, total, _ := m.past.over(m.over, f)
	return curve{key, total, nullable(values)}
}

// nullable writes NaN as null, and everything else in four digits: more is no news, and a page of it is heavy.
func nullable(values []float64) []*float64 {
	out := make([]*float64, len(values))
	for i, v := range values {
		if !math.IsNaN(v) {
			values[i] = fourDigits(v)
			out[i] = &values[i]
		}
	}
	return out
}

func fourDigits(v float64) float64 {
	if v == 0 {
		return 0
	}
	scale := math.Pow10(3 - int(math.Floor(math.Log10(math.Abs(v)))))
	return math.Round(v*scale) / scale
}

func (m *mailReader) readAmavis(f *event.Figure) {
	switch f.Name {
	case "amavis_received_all_total":
		c := m.curve("received", f)
		m.Received = &c
	case "amavis_messages_all_total":
		m.Content = append(m.Content, m.curve(labelOf(f, "content"), f))
	case "amavis_stage_seconds_total":
		m.Delays = append(m.Delays, m.curve(labelOf(f, "stage"), f))
	case "amavis_virus_total":
		m.Viruses = append(m.Viruses, virus{labelOf(f, "name"), whole(f)})
	case "amavis_data_stale":
		m.stale = f.Float() != 0
	case "amavis_processes", "amavis_processes_busy", "amavis_busy_oldest_seconds", "amavis_processes_gone_total", "amavis_processes_hidden":
		if m.Processes == nil {
			m.Processes = &mailProcesses{By: map[string]float64{}, Over: []curve{}}
		}
		m.readProcesses(m.Processes, f)
	}
}

func (m *mailReader) readProcesses(p *mailProcesses, f *event.Figure) {
	switch f.Name {
	case "amavis_processes":
		state := labelOf(f, "state")
		if state == "busy" {
			p.Busy = f.Float()
		} else {
			p.Idle = f.Float()
		}
		c := m.curve(state, f)
		c.Total = 0
		p.Over = append(p.Over, c)
	case "amavis_processes_busy":
		p.By[labelOf(f, "activity")] = f.Float()
	case "amavis_busy_oldest_seconds":
		p.Oldest = f.Float()
	case "amavis_processes_gone_total":
		p.Gone = whole(f)
	case "amavis_processes_hidden":
		p.Hidden = f.Float() != 0
	}
}

func (m *mailReader) readRspamd(f *event.Figure) {
	switch f.Name {
	case "rspamd_actions_total":
		m.Advice = append(m.Advice, m.curve(labelOf(f, "action"), f))
	case "rspamd_scanned_total":
		if m.Received == nil {
			c := m.curve("received", f)
			m.Received = &c
		}
	}
}

// queueNames are the queues of Postfix in the order in which mail passes them.
var queueNames = [...]string{"maildrop", "incoming", "active", "deferred", "hold", "corrupt"}

func (m *mailReader) queue(name string) *mailQueue {
	for _, q := range m.Queues {
		if q.Name == name {
			return q
		}
	}
	q := &mailQueue{Name: name}
	// What the queue was is told even where what it is cannot be read.
	size := event.Measure("postfix_queue_messages", "", "", 0, "queue", name)
	q.Sizes = m.curve(name, &size).Values
	m.Queues = append(m.Queues, q)
	return q
}

func (m *mailReader) readQueue(q *mailQueue, f *event.Figure) {
	v := f.Float()
	switch f.Name {
	case "postfix_queue_messages":
		q.Messages = &v
	case "postfix_queue_bytes":
		q.Bytes = &v
	case "postfix_queue_more":
		q.More = v != 0
	case "postfix_queue_oldest_age_seconds":
		if v > 0 {
			v += f.Age.Seconds() // it has waited on since it was read
		}
		q.Oldest = &v
	}
}

// finish does what needs all figures.
func (m *mailReader) finish() {
	for _, s := range m.Sources {
		s.Note = m.note(s)
	}
	slices.SortFunc(m.Sources, func(a, b *mailSource) int { return cmp.Compare(a.Name, b.Name) })
	if slices.ContainsFunc(m.Sources, func(s *mailSource) bool { return s.Name == "postfix" }) {
		for _, name := range queueNames {
			m.queue(name)
		}
	}
	slices.SortStableFunc(m.Queues, func(a, b *mailQueue) int {
		return cmp.Compare(slices.Index(queueNames[:], a.Name), slices.Index(queueNames[:], b.Name))
	})
	m.delays()
	m.finishSignatures()
	slices.SortFunc(m.Viruses, func(a, b virus) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name)) })
	m.Viruses = m.Viruses[:min(len(m.Viruses), usualRows)]
}

// delays makes seconds a message of seconds a second, by how many messages there were.
func (m *mailReader) delays() {
	for i := range m.Delays {
		d := &m.Delays[i]
		mails := 0.0
		for k, v := range d.Values {
			d.Values[k] = nil
			if m.Received == nil || k >= len(m.Received.Values) || v == nil {
				continue
			}
			if n := m.Received.Values[k]; n != nil && *n > 0 {
				each := fourDigits(*v / *n)
				d.Values[k] = &each
			}
		}
		if m.Received != nil {
			mails = m.Received.Total
		}
		if mails > 0 {
			d.Total /= mails
		} else {
			d.Total = 0
		}
	}
}

// oldFigures is when it is said how old the figures of a source are that can be read.
const oldFigures = 2 * time.Minute

// problems are the reasons why a source cannot be read, as people say them.
var problems = map[string]string{
	"permission": "varde has no permission",
	"timeout":    "it does not answer in time",
	"refused":    "the connection is refused",
	"missing":    "it is not there",
	"name":       "its name is not known",
	"busy":       "its database is too busy",
	"invalid":    "what it says is not understood",
}

// note is what a person should know of a source, "" when all is well.
func (m *mailReader) note(s *mailSource) string {
	seconds := func(v float64) string { return human.Span(time.Duration(v * float64(time.Second))) }
	long := oldFigures
	if s.Name == "clamav" || s.Name == "antivirus" {
		long = 3 * oldFigures // they are looked at every five minutes
	}
	switch {
	case !s.Up:
		why := "cannot be read: " + cmp.Or(problems[s.Problem], "the log says why")
		if s.Age == nil {
			return why + "; nothing is known of it now" + m.lastKnown(s.Name)
		}
		return why + "; its figures are " + seconds(*s.Age) + " old"
	case s.Age != nil && *s.Age > long.Seconds():
		return "its figures are " + seconds(*s.Age) + " old"
	case s.Name == "amavis" && m.stale:
		return "its figures come from files that amavis has not written for long"
	}
	return ""
}

// lastKnown is how long ago a source was read, where its past is kept.
func (m *mailReader) lastKnown(source string) string {
	var f event.Figure
	switch source {
	case "amavis":
		f = event.Count("amavis_received_all_total", "", 0)
	case "rspamd":
		f = event.Count("rspamd_scanned_total", "", 0)
	case "postfix":
		f = event.Measure("postfix_queue_messages", "", "", 0, "queue", "active")
	default:
		return ""
	}
	if at := m.past.last(&f); !at.IsZero() {
		return ", and was last " + human.Span(m.now.Sub(at)) + " ago"
	}
	return ""
}
