package web

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"varde/event"
	"varde/event/query"
)

// claim is what one list says of an address.
type claim struct {
	List       string    `json:"list"`
	Entry      string    `json:"entry"`
	Name       string    `json:"name,omitempty"`
	URL        string    `json:"url,omitempty"`
	Confidence uint8     `json:"confidence,omitempty"`
	Tags       []string  `json:"tags,omitempty"`
	Seen       time.Time `json:"seen,omitzero"`
	Info       bool      `json:"info,omitempty"`
	Downgraded bool      `json:"downgraded,omitempty"`
}

func toClaims(evidence []event.Evidence) []claim {
	out := make([]claim, len(evidence))
	for i := range evidence {
		v := &evidence[i]
		out[i] = claim{v.List, v.String(), v.Name, v.URL, v.Confidence, v.Tags, event.Stamp(v.Seen), v.Info, v.Downgraded}
	}
	return out
}

// kindTotals is what one kind of events tells of an address.
type kindTotals struct {
	Kind     string `json:"kind"`
	AsSource totals `json:"as_source"`
	AsTarget totals `json:"as_target"`
}

// day is one day of an address; first is its begin.
type day struct {
	Day string `json:"day"` // UTC
	query.Totals
}

// visit is one session of a honeypot.
type visit struct {
	ID       string    `json:"id"`
	Source   string    `json:"source,omitempty"`
	Exporter string    `json:"exporter,omitempty"`
	Src      string    `json:"src,omitempty"`
	Dst      string    `json:"dst,omitempty"`
	DstPort  uint16    `json:"dport,omitempty"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	Logins   uint64    `json:"logins"`
	Accepted uint64    `json:"accepted"`
	Commands uint64    `json:"commands"`
	Tunnels  uint64    `json:"tunnels"`
	Payloads uint64    `json:"payloads"`
	Files    uint64    `json:"files"`
}

// aboutAddress is all that is known of one address.
type aboutAddress struct {
	span
	Addr      string            `json:"address"`
	Name      string            `json:"name,omitempty"`
	Country   string            `json:"country,omitempty"`
	ASN       string            `json:"asn,omitempty"`
	Evidence  []claim           `json:"evidence"`
	Kinds     []kindTotals      `json:"kinds"`
	Peers     []group           `json:"peers"`
	Services  []group           `json:"services"`
	Exporters []group           `json:"exporters"`
	Days      []day             `json:"days"`
	Incidents []json.RawMessage `json:"incidents"`
	Sessions  []visit           `json:"sessions"`
}

// getAddress tells all that is known of one address.
func (s *Server) getAddress(r *http.Request) (answer, error) {
	b, err := s.box(r)
	if err != nil {
		return answer{}, err
	}
	a, err := netip.ParseAddr(r.PathValue("address"))
	if err != nil || a.Zone() != "" {
		return answer{}, bad("%q is no address: use 192.0.2.1 or 2001:db8::1", r.PathValue("address"))
	}
	a = a.Unmap()
	stored, err := s.deps.Store.Address(r.Context(), b.Box, a)
	if err != nil {
		return answer{}, err
	}
	out := aboutAddress{
		span: b.span(), Addr: a.String(), Evidence: []claim{}, Kinds: []kindTotals{}, Days: []day{}, Sessions: toVisits(stored.Sessions),
		Peers: toGroups(stored.Peers), Services: toGroups(stored.Services), Exporters: toGroups(stored.Exporters),
		Incidents: appendIncidents(stored.Incidents, s.deps.Now().UnixNano()),
	}
	if s.deps.HostName != nil {
		out.Name = s.deps.HostName(a)
	}
	if s.deps.Evidence != nil {
		out.Evidence = toClaims(s.deps.Evidence(a))
	}
	for i := range stored.ByKind {
		k := &stored.ByKind[i]
		out.Kinds = append(out.Kinds, kindTotals{k.Kind.String(), toTotals(&k.AsSource), toTotals(&k.AsTarget)})
	}
	for _, t := range stored.Days {
		out.Days = append(out.Days, day{event.Stamp(t.First).Format(time.DateOnly), t})
	}
	if err := s.place(r, &b, a, &out); err != nil {
		return answer{}, err
	}
	t, err := addressTable(r, &out, stored.Incidents)
	return answer{body: out, table: t}, err
}

// place finds country and network, which stand in the events.
func (s *Server) place(r *http.Request, b *asked, a netip.Addr, out *aboutAddress) error {
	box := b.Box
	box.Filter = query.Net{End: query.ForeignEnd, Prefix: netip.PrefixFrom(a, a.BitLen())}
	found, err := s.deps.Store.Top(r.Context(), box, query.TopBy{Fields: []query.Field{query.FieldCountry, query.FieldASN}, Order: query.ByEvents, N: 1})
	if err == nil && len(found.Rows) > 0 && len(found.Rows[0].Key) == 2 {
		out.Country, out.ASN = found.Rows[0].Key[0], found.Rows[0].Key[1]
	}
	return err
}

func toVisits(sessions []query.Session) []visit {
	out := make([]visit, len(sessions))
	for i := range sessions {
		s := &sessions[i]
		out[i] = visit{
			s.ID, s.Source, s.Exporter, address(s.Src), address(s.Dst), s.DstPort, event.Stamp(s.First), event.Stamp(s.Last),
			s.Logins, s.Accepted, s.Commands, s.Tunnels, s.Payloads, s.Files,
		}
	}
	return out
}

// addressTable is the one of the tables that is asked for.
func addressTable(r *http.Request, a *aboutAddress, incidents []query.Incident) (*table, error) {
	if _, err := format(r); err != nil {
		return nil, err
	}
	switch name := r.URL.Query().Get("table"); name {
	case "", "peers":
		return groupTable("peers", []string{"peer"}, a.Peers), nil
	case "services":
		return groupTable("services", []string{"service", "role"}, a.Services), nil
	case "exporters":
		return groupTable("exporters", []string{"exporter"}, a.Exporters), nil
	case "incidents":
		return incidentTable("incidents", incidents), nil
	case "days":
		return &table{name: "days", columns: []string{"day", "events", "packets", "bytes"}, rows: func(row func(...any)) {
			for _, d := range a.Days {
				row(d.Day, d.Events, d.Packets, d.Bytes)
			}
		}}, nil
	case "sessions":
		return &table{
			name: "sessions", columns: strings.Fields("id source exporter src dst dport first last logins accepted commands tunnels payloads files"),
			rows: func(row func(...any)) {
				for i := range a.Sessions {
					v := &a.Sessions[i]
					row(v.ID, v.Source, v.Exporter, v.Src, v.Dst, port(v.DstPort), v.First, v.Last, v.Logins, v.Accepted, v.Commands, v.Tunnels, v.Payloads, v.Files)
				}
			},
		}, nil
	default:
		return nil, bad("table is %q: use peers, services, exporters, days, incidents or sessions", name)
	}
}
