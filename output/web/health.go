package web

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"varde/event"
	"varde/event/human"
)

// input is one exporter, gateway or log and what is known of its losses.
type input struct {
	Name       string    `json:"name"`
	Kind       string    `json:"kind"`             // part that receives it
	Records    uint64    `json:"records"`          // since the start
	Rate       *float64  `json:"rate,omitempty"`   // records a second, of the last minute
	Rates      []float64 `json:"rates,omitempty"`  // the same every 10 s, oldest first
	Silent     *float64  `json:"silent,omitempty"` // seconds since something came
	LostBefore uint64    `json:"lost_before"`      // on the way to us
	LostHere   uint64    `json:"lost_here"`        // in our socket
	Undecoded  uint64    `json:"undecoded"`        // given up for want of a template
	Lag        *float64  `json:"lag,omitempty"`    // seconds from export to arrival
	Sampling   uint64    `json:"sampling,omitempty"`
	Templates  uint64    `json:"templates,omitempty"`
	Held       uint64    `json:"held,omitempty"` // sets that wait for their template
	Restarts   uint64    `json:"restarts,omitempty"`
	Note       string    `json:"note,omitempty"` // what a person should know
}

// out is one way to warn.
type out struct {
	Name    string `json:"name"`
	Said    uint64 `json:"said"`
	Waiting uint64 `json:"waiting"`
	Errors  uint64 `json:"errors"`
	Refused uint64 `json:"refused"`
	Lost    uint64 `json:"lost"`
	Spool   uint64 `json:"spool_bytes"`
	Failing bool   `json:"failing"`
}

// stored is the state of the store.
type stored struct {
	Events    uint64   `json:"events"`         // handed to it since the start
	Rate      *float64 `json:"rate,omitempty"` // a second
	Stored    uint64   `json:"stored"`
	NotStored uint64   `json:"not_stored"`
	Paused    bool     `json:"paused"`
	HotBytes  uint64   `json:"hot_bytes"`
	Archive   uint64   `json:"archive_bytes"`
	Archived  uint64   `json:"archived_events"`
	Files     uint64   `json:"archive_files"`
	Oldest    float64  `json:"oldest,omitempty"` // seconds since 1970
	SetAside  uint64   `json:"set_aside"`
}

// failure is a part that gave no figures.
type failure struct {
	Part  string `json:"part"`
	Error string `json:"error"`
}

// health is the state of everything.
type health struct {
	Now      time.Time    `json:"now"`
	Started  time.Time    `json:"started"`
	Version  string       `json:"version,omitempty"`
	Inputs   []*input     `json:"inputs"`
	Lists    []ListStatus `json:"lists"`
	Outputs  []*out       `json:"outputs"`
	Store    *stored      `json:"store,omitempty"`
	Failures []failure    `json:"failures"`

	// Losses that no single input can be blamed for, since the start.
	SocketDropped uint64            `json:"socket_dropped"`
	Bad           map[string]uint64 `json:"bad,omitempty"` // what was not understood, by reason
	Open          uint64            `json:"open_incidents"`
}

// silentAfter is when an input is called silent.
const silentAfter = 5 * time.Minute

// getHealth tells the state of everything, from figures and the lists.
func (s *Server) getHealth(r *http.Request) (answer, error) {
	if _, err := format(r); err != nil {
		return answer{}, err
	}
	h := health{Now: s.deps.Now().UTC(), Started: s.started.UTC(), Version: s.deps.Version, Inputs: []*input{}, Lists: []ListStatus{}, Outputs: []*out{}, Failures: []failure{}}
	if s.deps.Lists != nil {
		h.Lists = append(h.Lists, s.deps.Lists()...)
	}
	for _, p := range s.figures(r.Context()) {
		if p.err != nil {
			h.Failures = append(h.Failures, failure{p.name, human.Safe(shorten(p.err.Error(), maxText))})
		}
		for i := range p.figures {
			s.read(&h, p.name, &p.figures[i])
		}
	}
	for _, in := range h.Inputs {
		in.Note = cmp.Or(in.Note, noteOf(in))
	}
	slices.SortFunc(h.Inputs, func(a, b *input) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name)) })
	t, err := healthTable(r, &h)
	return answer{body: h, table: t}, err
}

// read puts one figure where it belongs.
func (s *Server) read(h *health, part string, f *event.Figure) {
	label := func(key string) string { return event.Detail(f.Labels).Get(key) }
	n := whole(f)
	switch {
	case label("exporter") != "":
		s.readInput(h.input(part, label("exporter")), f, n)
	case label("output") != "":
		readOutput(h.output(label("output")), f.Name, n)
	case strings.HasPrefix(f.Name, "varde_store_"):
		if h.Store == nil {
			h.Store = &stored{}
		}
		s.readStore(h.Store, f, n)
	case f.Name == "varde_mail_source_up":
		in := h.input(part, label("source"))
		if n == 0 {
			in.Note = "cannot be read"
		} else {
			silent := f.Age.Seconds()
			in.Silent = &silent
		}
	case f.Name == "varde_mail_log_events_total":
		in := h.input(part, "mail log")
		in.Records = n
		in.Rates, in.Rate = s.rate(f)
	case f.Name == "varde_flow_socket_dropped_total":
		h.SocketDropped = n
	case f.Name == "varde_flow_bad_total" && n > 0:
		if h.Bad == nil {
			h.Bad = map[string]uint64{}
		}
		h.Bad[label("reason")] = n
	case f.Name == "varde_incidents_open":
		h.Open = n
	}
}

// whole is a figure as a whole number; nothing here is below zero.
func whole(f *event.Figure) uint64 {
	if f.Kind == event.Counter && f.Scale == 0 {
		return f.Count
	}
	return uint64(max(f.Float(), 0))
}

func (s *Server) rate(f *event.Figure) ([]float64, *float64) {
	all, minute, ok := s.tracks.rates(f)
	if !ok {
		return nil, nil
	}
	return all, &minute
}

func (h *health) input(part, name string) *input {
	for _, in := range h.Inputs {
		if in.Name == name && in.Kind == part {
			return in
		}
	}
	in := &input{Name: name, Kind: part}
	h.Inputs = append(h.Inputs, in)
	return in
}

func (h *health) output(name string) *out {
	for _, o := range h.Outputs {
		if o.Name == name {
			return o
		}
	}
	o := &out{Name: name}
	h.Outputs = append(h.Outputs, o)
	return o
}

func (s *Server) readInput(in *input, f *event.Figure, n uint64) {
	v := f.Float()
	switch f.Name {
	case "varde_flow_exporter_records_total":
		in.Records = n
		in.Rates, in.Rate = s.rate(f)
	case "varde_flow_lost_before_total":
		in.LostBefore = n
	case "varde_flow_lost_here_total":
		in.LostHere = n
	case "varde_flow_undecoded_sets_total":
		in.Undecoded = n
	case "varde_flow_exporter_restarts_total":
		in.Restarts = n
	case "varde_flow_held_sets":
		in.Held = n
	case "varde_flow_templates":
		in.Templates = n
	case "varde_flow_sampling_rate":
		in.Sampling = n
	case "varde_flow_export_lag_seconds":
		in.Lag = &v
	case "varde_flow_silent_seconds":
		in.Silent = &v
	}
}

// noteOf is what a person should know of an input, "" when all is well.
func noteOf(in *input) string {
	switch {
	case in.Held > 0 && in.Templates == 0:
		return "no template yet: " + human.Count(in.Held) + " sets wait for it"
	case in.Silent != nil && *in.Silent > silentAfter.Seconds():
		return "silent for " + human.Span(time.Duration(*in.Silent*float64(time.Second)))
	case in.Lag != nil && *in.Lag < -1:
		return "its clock is ahead of ours by " + human.Span(time.Duration(-*in.Lag*float64(time.Second)))
	case in.Undecoded > 0:
		return "some data came without its template"
	}
	return ""
}

func readOutput(o *out, name string, n uint64) {
	switch name {
	case "varde_output_said_total":
		o.Said = n
	case "varde_output_waiting":
		o.Waiting = n
	case "varde_output_errors_total":
		o.Errors = n
	case "varde_output_refused_total":
		o.Refused = n
	case "varde_output_lost_total":
		o.Lost = n
	case "varde_output_spool_bytes":
		o.Spool = n
	case "varde_output_failing":
		o.Failing = n != 0
	}
}

func (s *Server) readStore(st *stored, f *event.Figure, n uint64) {
	switch f.Name {
	case "varde_store_events_total":
		st.Events = n
		_, st.Rate = s.rate(f)
	case "varde_store_stored_total":
		st.Stored = n
	case "varde_store_not_stored_total":
		st.NotStored = n
	case "varde_store_paused":
		st.Paused = n != 0
	case "varde_store_hot_bytes":
		st.HotBytes = n
	case "varde_store_archive_bytes":
		st.Archive += n
	case "varde_store_archived_events":
		st.Archived += n
	case "varde_store_archive_files":
		st.Files += n
	case "varde_store_archive_oldest_seconds":
		if v := f.Float(); v > 0 && (st.Oldest == 0 || v < st.Oldest) {
			st.Oldest = v
		}
	case "varde_store_set_aside_total":
		st.SetAside = n
	}
}

// healthTable is the one of the tables that is asked for.
func healthTable(r *http.Request, h *health) (*table, error) {
	known := func(v *float64) any {
		if v == nil {
			return ""
		}
		return *v
	}
	switch name := r.URL.Query().Get("table"); name {
	case "", "inputs":
		return &table{
			name: "inputs", columns: strings.Fields("name kind records rate silent lost_before lost_here undecoded lag sampling templates held restarts note"),
			rows: func(row func(...any)) {
				for _, i := range h.Inputs {
					row(i.Name, i.Kind, i.Records, known(i.Rate), known(i.Silent), i.LostBefore, i.LostHere, i.Undecoded, known(i.Lag), i.Sampling, i.Templates, i.Held, i.Restarts, i.Note)
				}
			},
		}, nil
	case "lists":
		return &table{
			name: "lists", columns: strings.Fields("name source format entries rejected loaded next hits error"),
			rows: func(row func(...any)) {
				for _, l := range h.Lists {
					row(l.Name, l.Source, l.Format, l.Entries, l.Rejected, l.Loaded, l.Next, l.Hits, l.Error)
				}
			},
		}, nil
	case "outputs":
		return &table{
			name: "outputs", columns: strings.Fields("name said waiting errors refused lost spool_bytes failing"),
			rows: func(row func(...any)) {
				for _, o := range h.Outputs {
					row(o.Name, o.Said, o.Waiting, o.Errors, o.Refused, o.Lost, o.Spool, o.Failing)
				}
			},
		}, nil
	default:
		return nil, bad("table is %q: use inputs, lists or outputs", name)
	}
}
