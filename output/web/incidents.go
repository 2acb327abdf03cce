package web

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"varde/event"
	"varde/event/human"
	"varde/event/query"
)

// maxIncidents bounds the incidents of an answer, and those that a filter is asked about.
const maxIncidents = 5000

// longestMute bounds a mute that is not for good, so that its end is a time that can be written.
const longestMute = 3650 * 24 * time.Hour

// muted is a mute as people are told of it.
type muted struct {
	query.Mute
	Created time.Time `json:"created,omitzero"`
	Expires time.Time `json:"expires,omitzero"` // left out where it is for good
}

func toMuted(m *query.Mute) *muted {
	if m == nil {
		return nil
	}
	return &muted{*m, event.Stamp(m.Created), event.Stamp(m.Expires)}
}

// acked is who has seen to an incident.
type acked struct {
	At  time.Time `json:"at"`
	By  string    `json:"by"`
	Why string    `json:"why"`
}

// appendIncident appends the warning's JSON with what people said of it; ages of evidence are those at now.
func appendIncident(out []byte, i *query.Incident, now int64) []byte {
	out = i.AppendJSON(out, now)
	extra := struct {
		Told  uint64 `json:"told"`
		Acked *acked `json:"acked,omitempty"`
		Muted *muted `json:"muted,omitempty"`
	}{Told: i.Told, Muted: toMuted(i.Muted)}
	if i.Acked != 0 {
		extra.Acked = &acked{event.Stamp(i.Acked), i.AckBy, i.AckWhy}
	}
	return appendFields(out, extra)
}

func appendIncidents(incidents []query.Incident, now int64) []json.RawMessage {
	rows := make([]json.RawMessage, len(incidents))
	for i := range incidents {
		rows[i] = appendIncident(nil, &incidents[i], now)
	}
	return rows
}

// incidentBox reads what is asked of incidents besides the span.
func incidentBox(r *http.Request, b *asked) (query.IncidentBox, error) {
	q := r.URL.Query()
	box := query.IncidentBox{From: b.From, To: b.To, Rule: q.Get("rule"), List: q.Get("list"), Limit: maxIncidents}
	if text := q.Get("min"); text != "" {
		var ok bool
		if box.Min, ok = event.ParseSeverity(text); !ok {
			return box, bad("min is %q: use info, low, medium, high or critical", text)
		}
	}
	if text := q.Get("address"); text != "" {
		var err error
		if box.Addr, err = parsePrefix(text); err != nil {
			return box, err
		}
	}
	switch state := q.Get("state"); state {
	case "", "all":
	case "open":
		box.Open = true
	default:
		return box, bad("state is %q: use open or all", state)
	}
	return box, nil
}

func parsePrefix(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Addr().Is4In6() {
		return p, bad("%q is no address or prefix: use 192.0.2.1 or 192.0.2.0/24", text)
	}
	return p.Masked(), nil
}

// getWarnings gives incidents, newest first; the filter is asked about the event that raised each.
func (s *Server) getWarnings(r *http.Request) (answer, error) {
	b, err := s.box(r)
	if err != nil {
		return answer{}, err
	}
	box, err := incidentBox(r, &b)
	if err != nil {
		return answer{}, err
	}
	n, err := count(r, "n", usualRows, maxIncidents)
	if err != nil {
		return answer{}, err
	}
	if _, err := format(r); err != nil {
		return answer{}, err
	}
	incidents, err := s.deps.Store.Incidents(r.Context(), box)
	if err != nil {
		return answer{}, err
	}
	if b.Box.Filter != nil {
		incidents = slices.DeleteFunc(incidents, func(i query.Incident) bool { return !concerns(b.Box.Filter, &i.Warning) })
	}
	found := len(incidents)
	incidents = incidents[:min(n, found)]
	return answer{body: struct {
		span
		Found int               `json:"found"` // in all; more than rows where n is smaller
		Rows  []json.RawMessage `json:"rows"`
	}{b.span(), found, appendIncidents(incidents, s.deps.Now().UnixNano())}, table: incidentTable("warnings", incidents)}, nil
}

// concerns asks a filter about the event of a warning. Stored events know neither sides nor evidence; the warning does.
func concerns(x query.Expr, w *event.Warning) bool {
	e := w.Event
	e.Evidence = w.Evidence
	for _, own := range []netip.Addr{w.Own.Addr} {
		if own.IsValid() && e.Src == own {
			e.Own |= event.SideSrc
		}
		if own.IsValid() && e.Dst == own {
			e.Own |= event.SideDst
		}
	}
	return query.Match(x, &e)
}

func incidentTable(name string, incidents []query.Incident) *table {
	t := &table{name: name, columns: strings.Fields(`time id rule state severity verdict own own_port own_name foreign foreign_port
		proto first last count packets_out bytes_out packets_in bytes_in sampling export_lag match_lag lists why told acked ack_by ack_why muted`)}
	t.rows = func(row func(...any)) {
		for k := range incidents {
			i := &incidents[k]
			why := ""
			if i.Muted != nil {
				why = i.Muted.Why
			}
			row(event.Stamp(i.Time), i.ID, i.Rule, i.State.String(), i.Severity.String(), i.Verdict.String(),
				address(i.Own.Addr), port(i.Own.Port), i.Own.Name, address(i.Foreign.Addr), port(i.Foreign.Port), int(i.Proto),
				event.Stamp(i.First), event.Stamp(i.Last), i.Count, i.PacketsOut, i.BytesOut, i.PacketsIn, i.BytesIn, uint64(i.Sampling),
				i.ExportLag.Seconds(), i.MatchLag.Seconds(), listsOf(&i.Warning), i.Why, i.Told, event.Stamp(i.Acked), i.AckBy, i.AckWhy, why)
		}
	}
	return t
}

func listsOf(w *event.Warning) []string {
	return query.Keys(query.FieldList, &event.Event{Evidence: w.Evidence})
}

func address(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func port(p uint16) string {
	if p == 0 {
		return ""
	}
	return strconv.Itoa(int(p))
}

// incident is the one that a request names.
func (s *Server) incident(r *http.Request) (query.Incident, error) {
	if s.deps.Store == nil {
		_, err := s.box(r)
		return query.Incident{}, err
	}
	id := r.PathValue("id")
	found, err := s.deps.Store.Incidents(r.Context(), query.IncidentBox{ID: id, Limit: 1})
	if err == nil && len(found) == 0 {
		err = &problem{status: http.StatusNotFound, Message: "there is no incident " + human.Safe(shorten(id, maxName))}
	}
	if err != nil {
		return query.Incident{}, err
	}
	return found[0], nil
}

// getWarning gives one incident.
func (s *Server) getWarning(r *http.Request) (answer, error) {
	i, err := s.incident(r)
	if err != nil {
		return answer{}, err
	}
	return answer{body: json.RawMessage(appendIncident(nil, &i, s.deps.Now().UnixNano()))}, nil
}

// reason is why somebody acknowledges; it may be empty.
type reason struct {
	Why string `json:"why"`
}

// postAck notes that somebody has seen to an incident.
func (s *Server) postAck(r *http.Request) (answer, error) {
	i, err := s.incident(r)
	if err != nil {
		return answer{}, err
	}
	var why reason
	if err := body(r, &why); err != nil {
		return answer{}, err
	}
	if len(why.Why) > maxText {
		return answer{}, bad("the reason is longer than %d bytes", maxText)
	}
	if err := s.deps.Store.Ack(r.Context(), i.ID, s.who(r), why.Why); err != nil {
		return answer{}, err
	}
	s.changed(i.ID)
	return s.getWarning(r)
}

// changed tells everybody who looks that what they see of incidents is old.
func (s *Server) changed(id string) {
	b, err := json.Marshal(struct {
		ID string `json:"id,omitempty"`
	}{id})
	if err == nil {
		s.live.publish("changed", b)
	}
}

func (s *Server) mutes(r *http.Request) ([]query.Mute, error) {
	if s.deps.Store == nil {
		_, err := s.box(r)
		return nil, err
	}
	return s.deps.Store.Mutes(r.Context())
}

// getMutes gives what is muted now.
func (s *Server) getMutes(r *http.Request) (answer, error) {
	if _, err := format(r); err != nil {
		return answer{}, err
	}
	mutes, err := s.mutes(r)
	if err != nil {
		return answer{}, err
	}
	rows := make([]*muted, len(mutes))
	for i := range mutes {
		rows[i] = toMuted(&mutes[i])
	}
	return answer{body: struct {
		Rows []*muted `json:"rows"`
	}{rows}, table: &table{
		name: "mutes", columns: strings.Fields("id prefix list rule why by created expires"),
		rows: func(row func(...any)) {
			for _, m := range rows {
				prefix := ""
				if m.Prefix.IsValid() {
					prefix = m.Prefix.String()
				}
				row(m.ID, prefix, m.List, m.Rule, m.Why, m.By, m.Created, m.Expires)
			}
		},
	}}, nil
}

// wish is a mute that somebody asks for.
type wish struct {
	Prefix string `json:"prefix"`
	List   string `json:"list"`
	Rule   string `json:"rule"`
	Why    string `json:"why"`
	For    string `json:"for"` // 1d, 7d; empty is for good
}

// postMute mutes an address, a list, a list for an address, or a rule.
func (s *Server) postMute(r *http.Request) (answer, error) {
	if _, err := s.mutes(r); err != nil {
		return answer{}, err
	}
	var want wish
	if err := body(r, &want); err != nil {
		return answer{}, err
	}
	m := query.Mute{List: want.List, Rule: want.Rule, Why: strings.TrimSpace(want.Why), By: s.who(r), Created: s.deps.Now().UnixNano()}
	switch {
	case m.Why == "":
		return answer{}, bad("a mute needs a reason: say why")
	case want.Prefix == "" && m.List == "" && m.Rule == "":
		return answer{}, bad("a mute needs a prefix, a list or a rule")
	case len(m.Why) > maxText || len(m.List) > maxName || len(m.Rule) > maxName:
		return answer{}, bad("a reason has at most %d bytes, a list and a rule at most %d", maxText, maxName)
	}
	var err error
	if want.Prefix != "" {
		if m.Prefix, err = parsePrefix(want.Prefix); err != nil {
			return answer{}, err
		}
	}
	if want.For != "" {
		d, err := human.ParseDuration(want.For)
		if err != nil || d < time.Minute || d > longestMute {
			return answer{}, bad("for is %q: use 1h, 1d, 7d, from a minute to 3650d, or leave it out to mute for good", shorten(want.For, maxMoment))
		}
		m.Expires = s.deps.Now().Add(d).UnixNano()
	}
	if m, err = s.deps.Store.AddMute(r.Context(), m); err != nil {
		return answer{}, err
	}
	s.changed("")
	return answer{status: http.StatusCreated, body: toMuted(&m)}, nil
}

// deleteMute ends a mute before its time.
func (s *Server) deleteMute(r *http.Request) (answer, error) {
	mutes, err := s.mutes(r)
	if err != nil {
		return answer{}, err
	}
	id, err := strconv.ParseUint(r.PathValue("id"), 10, 64)
	if err != nil || !slices.ContainsFunc(mutes, func(m query.Mute) bool { return m.ID == id }) {
		return answer{}, &problem{status: http.StatusNotFound, Message: "there is no mute " + human.Safe(shorten(r.PathValue("id"), maxName))}
	}
	if err := s.deps.Store.EndMute(r.Context(), id); err != nil {
		return answer{}, err
	}
	s.changed("")
	return answer{body: struct {
		ID uint64 `json:"id"`
	}{id}}, nil
}
