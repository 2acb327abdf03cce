package web

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"varde/event"
	"varde/event/human"
	"varde/event/query"
)

// Bounds on the rows of an answer. Top may have as many rows as the store gives.
const (
	usualRows = 100
	maxEvents = 20_000
	maxLines  = 20 // of a series
	barsInAll = 120
)

// totals are sums with their times as text.
type totals struct {
	query.Totals
	First time.Time `json:"first,omitzero"`
	Last  time.Time `json:"last,omitzero"`
}

func toTotals(t *query.Totals) totals { return totals{*t, event.Stamp(t.First), event.Stamp(t.Last)} }

// getFields tells the filter language, for completion.
func (s *Server) getFields(*http.Request) (answer, error) {
	var lists []string
	if s.deps.Lists != nil {
		for _, l := range s.deps.Lists() {
			lists = append(lists, l.Name)
		}
	}
	return answer{body: struct {
		Fields []query.FieldInfo `json:"fields"`
		Words  []query.WordInfo  `json:"words"`
		Lists  []string          `json:"lists,omitempty"`
	}{query.Fields(), query.Words(), lists}}, nil
}

// getFilter tells how a filter is understood, or where it is wrong.
func (s *Server) getFilter(r *http.Request) (answer, error) {
	_, said, err := s.filter(r.URL.Query().Get("filter"))
	return answer{body: struct {
		Filter string `json:"filter"`
	}{said}}, err
}

// listing reads what every list of events is asked by: which, how many of them, and whether as CSV.
func (s *Server) listing(r *http.Request) (b asked, n int, csv bool, err error) {
	if b, err = s.box(r); err != nil {
		return b, 0, false, err
	}
	if n, err = count(r, "n", usualRows, maxEvents); err != nil {
		return b, 0, false, err
	}
	csv, err = format(r)
	return b, n, csv, err
}

// getEvents gives the newest events.
func (s *Server) getEvents(r *http.Request) (answer, error) {
	b, n, csv, err := s.listing(r)
	if err != nil {
		return answer{}, err
	}
	events, err := s.deps.Store.Tail(r.Context(), b.Box, max(n, 1))
	if err != nil {
		return answer{}, err
	}
	a := answer{table: eventTable(events)}
	if csv {
		return a, nil
	}
	rows := make([]json.RawMessage, len(events))
	for i := range events {
		rows[i] = appendEvent(nil, &events[i])
	}
	a.body = struct {
		span
		More bool              `json:"more"` // there are older ones
		Rows []json.RawMessage `json:"rows"`
	}{b.span(), len(rows) >= max(n, 1), rows}
	return a, nil
}

// appendEvent appends an event as one JSON object, with the ends that are ours and the lists that named it.
func appendEvent(out []byte, e *event.Event) []byte {
	out = e.AppendJSON(out)
	extra := struct {
		Own   []string `json:"own,omitempty"`
		Lists []string `json:"lists,omitempty"`
	}{sides(e.Own), query.Keys(query.FieldList, e)}
	return appendFields(out, extra)
}

// appendFields adds the fields of a struct to the JSON object that out ends with.
func appendFields(out []byte, extra any) []byte {
	more, err := json.Marshal(extra)
	if err != nil || len(more) <= len("{}") {
		return out
	}
	return append(append(out[:len(out)-1], ','), more[1:]...)
}

func sides(s event.Side) []string {
	var out []string
	if s&event.SideSrc != 0 {
		out = append(out, "src")
	}
	if s&event.SideDst != 0 {
		out = append(out, "dst")
	}
	return out
}

func eventTable(events []event.Event) *table {
	t := &table{name: "events", columns: strings.Fields(`time end kind source exporter session proto src sport dst dport
		nat_src nat_sport nat_dst nat_dport packets bytes sampling tcp_flags icmp_type icmp_code in_if out_if action rule count
		country asn lists detail`)}
	t.rows = func(row func(...any)) {
		for i := range events {
			e := &events[i]
			key := func(f query.Field) string { return string(query.AppendKey(nil, f, e)) }
			packets, bytes := query.Volume(e)
			var detail []string
			for _, p := range e.Detail {
				detail = append(detail, p.Key+"="+p.Value)
			}
			row(event.Stamp(e.Time), event.Stamp(e.End), e.Kind.String(), e.Source, e.Exporter, e.Session, int(e.Proto),
				key(query.FieldSrc), key(query.FieldSrcPort), key(query.FieldDst), key(query.FieldDstPort),
				address(e.NATSrc), port(e.NATSrcPort), address(e.NATDst), port(e.NATDstPort), packets, bytes, uint64(e.Sampling),
				key(query.FieldTCPFlags), key(query.FieldICMPType), key(query.FieldICMPCode), key(query.FieldInIf), key(query.FieldOutIf),
				e.Action.String(), e.Rule, e.Hits(), e.Country, key(query.FieldASN), query.Keys(query.FieldList, e), strings.Join(detail, " "))
		}
	}
	return t
}

// group is one row of a top.
type group struct {
	Key []string `json:"key"`
	totals
}

func toGroups(rows []query.Group) []group {
	out := make([]group, len(rows))
	for i := range rows {
		out[i] = group{rows[i].Key, toTotals(&rows[i].Totals)}
	}
	return out
}

func groupTable(name string, columns []string, rows []group) *table {
	t := &table{name: name, columns: append(slices.Clone(columns), "events", "packets", "bytes", "sources", "first", "last", "sampled")}
	t.rows = func(row func(...any)) {
		for i := range rows {
			g := &rows[i]
			var cells []any
			for k := range columns {
				text := ""
				if k < len(g.Key) {
					text = g.Key[k]
				}
				cells = append(cells, text)
			}
			row(append(cells, g.Events, g.Packets, g.Bytes, g.Sources, g.First, g.Last, g.Sampled)...)
		}
	}
	return t
}

// getTop gives the largest groups, by fields and an order as ParseTop reads them.
func (s *Server) getTop(r *http.Request) (answer, error) {
	b, err := s.box(r)
	if err != nil {
		return answer{}, err
	}
	by := r.URL.Query().Get("by")
	if by == "" {
		by = "service"
	}
	t, err := query.ParseTop(shorten(by, maxText))
	if err != nil {
		return answer{}, bad("by: %s", err)
	}
	if t.N, err = count(r, "n", usualRows, query.MaxRows); err != nil {
		return answer{}, err
	}
	if _, err := format(r); err != nil {
		return answer{}, err
	}
	groups, err := s.deps.Store.Top(r.Context(), b.Box, t)
	if err != nil {
		return answer{}, err
	}
	var names []string
	for _, f := range t.Fields {
		names = append(names, f.String())
	}
	rows := toGroups(groups.Rows)
	return answer{body: struct {
		span
		By     []string `json:"by"`
		Order  string   `json:"order"`
		Groups uint64   `json:"groups"` // in all
		Total  totals   `json:"total"`
		Rows   []group  `json:"rows"`
	}{b.span(), names, t.Order.String(), groups.Groups, toTotals(&groups.Total), rows}, table: groupTable("top", names, rows)}, nil
}

// getDistinct counts the different values of a field.
func (s *Server) getDistinct(r *http.Request) (answer, error) {
	b, err := s.box(r)
	if err != nil {
		return answer{}, err
	}
	f, ok := query.ParseField(r.URL.Query().Get("by"))
	if !ok || !f.Groups() {
		return answer{}, bad("by is %q: name one field to count the values of, as src", r.URL.Query().Get("by"))
	}
	n, err := s.deps.Store.Distinct(r.Context(), b.Box, f)
	return answer{body: struct {
		span
		By    string `json:"by"`
		Count uint64 `json:"count"`
	}{b.span(), f.String(), n}}, err
}

// line is one series; its three figures have one entry a step.
type line struct {
	Key     string   `json:"key"`
	Rest    bool     `json:"rest,omitempty"` // everything that has no line of its own
	Events  []uint64 `json:"events"`
	Packets []uint64 `json:"packets"`
	Bytes   []uint64 `json:"bytes"`
}

// steps are the lengths of a step that people can read; each divides a day.
var steps = []time.Duration{
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour,
}

// stepFor is the shortest step that does not make too many bars.
func stepFor(length time.Duration) time.Duration {
	for _, d := range steps {
		if length <= barsInAll*d {
			return d
		}
	}
	return (length/barsInAll/(24*time.Hour) + 1) * 24 * time.Hour
}

// align widens a box to whole steps, so that bars stay where they are while time goes on.
func align(b *query.Box, step time.Duration) {
	n := int64(step)
	b.From -= b.From % n
	if b.To%n != 0 {
		b.To += n - b.To%n
	}
}

// getSeries gives sums over time, in whole steps: the first and the last may reach beyond what was asked for.
func (s *Server) getSeries(r *http.Request) (answer, error) {
	b, err := s.box(r)
	if err != nil {
		return answer{}, err
	}
	q := r.URL.Query()
	by := query.SeriesBy{Step: stepFor(time.Duration(b.To - b.From))}
	if text := q.Get("step"); text != "" {
		if by.Step, err = human.ParseDuration(shorten(text, maxMoment)); err != nil || by.Step < time.Second || by.Step%time.Second != 0 {
			return answer{}, bad("step is %q: use whole seconds, as 30s, 5m or 1h", text)
		}
	}
	if text := q.Get("by"); text != "" {
		t, err := query.ParseTop(shorten(text, maxText))
		if err != nil || len(t.Fields) != 1 {
			return answer{}, bad("by is %q: name one field and perhaps an order, as service/bytes", text)
		}
		by.Field, by.Order = t.Fields[0], t.Order
	}
	if by.N, err = count(r, "n", 5, maxLines); err != nil {
		return answer{}, err
	}
	if _, err := format(r); err != nil {
		return answer{}, err
	}
	align(&b.Box, by.Step)
	if err := by.Check(b.Box); err != nil {
		return answer{}, bad("%s", err)
	}
	series, err := s.deps.Store.Series(r.Context(), b.Box, by)
	if err != nil {
		return answer{}, err
	}
	lines := toLines(series, by)
	return answer{body: struct {
		span
		Step  int    `json:"step"` // seconds
		By    string `json:"by,omitempty"`
		Order string `json:"order"`
		Lines []line `json:"lines"`
	}{b.span(), int(by.Step / time.Second), by.Field.String(), by.Order.String(), lines}, table: seriesTable(lines, b.From, by.Step)}, nil
}

func toLines(series []query.Series, by query.SeriesBy) []line {
	lines := make([]line, len(series))
	for i, x := range series {
		l := line{Key: x.Key, Rest: by.Field != query.NoField && x.Key == "" && i == len(series)-1}
		l.Events, l.Packets, l.Bytes = make([]uint64, len(x.Steps)), make([]uint64, len(x.Steps)), make([]uint64, len(x.Steps))
		for k, t := range x.Steps {
			l.Events[k], l.Packets[k], l.Bytes[k] = t.Events, t.Packets, t.Bytes
		}
		lines[i] = l
	}
	return lines
}

func seriesTable(lines []line, from int64, step time.Duration) *table {
	return &table{name: "series", columns: []string{"time", "key", "events", "packets", "bytes"}, rows: func(row func(...any)) {
		for _, l := range lines {
			for i := range l.Events {
				row(event.Stamp(from+int64(i)*int64(step)), l.Key, l.Events[i], l.Packets[i], l.Bytes[i])
			}
		}
	}}
}
