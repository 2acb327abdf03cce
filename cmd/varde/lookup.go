package main

import (
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"varde/core/geo"
	"varde/core/intel"
	"varde/event"
	"varde/event/human"
	"varde/event/query"
)

func lookupCommand() *cobra.Command {
	var a asked
	cmd := &cobra.Command{
		Use: "lookup ADDRESS", Short: "all that is known of one address: lists, contacts, services, warnings", Args: cobra.ExactArgs(1),
		Example: "  varde lookup 203.0.113.94\n  varde lookup 2001:db8::94 --since 30d -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := onePrefix(args[0])
			if err != nil || !p.IsSingleIP() {
				return fmt.Errorf("%q is no address; varde hunt takes prefixes", args[0])
			}
			cfg, box, f, done, err := a.open()
			if err != nil {
				return err
			}
			defer done()
			lists, err := listed(&cfg)
			if err != nil {
				fmt.Fprintln(cmd.ErrOrStderr(), "some lists could not be read:", err)
			}
			known, err := f.Address(cmd.Context(), box, p.Addr())
			if err != nil {
				return err
			}
			d, err := intel.NewDNSBL(cfg.DNSBL, newLog(true))
			if err != nil {
				return err
			}
			var answers []intel.DNSBLAnswer
			if d != nil {
				answers = d.Ask(cmd.Context(), p.Addr())
			}
			names, err := cfg.Network.HostNames()
			if err != nil {
				return err
			}
			places, err := geo.Open(cfg.Geo, newLog(true))
			if err != nil {
				return err
			}
			r := lookedUp{Address: p.Addr(), Place: places.Lookup(p.Addr()), Name: names[p.Addr()], Evidence: lists.Lookup(p.Addr(), 0), DNSBL: answers, Stored: known}
			switch a.output {
			case "json":
				return encode(cmd.OutOrStdout(), r.json())
			case "csv":
				return r.peers(cmd.OutOrStdout(), "csv")
			}
			return r.print(cmd.OutOrStdout())
		},
	}
	a.flags(cmd, "90d")
	return cmd
}

// lookedUp is what one address is and did.
type lookedUp struct {
	Address  netip.Addr
	Name     string
	Place    geo.Place
	Evidence []event.Evidence
	DNSBL    []intel.DNSBLAnswer
	Stored   query.Address
}

type sumJSON struct {
	Name  string `json:"name"`
	Role  string `json:"role,omitempty"`
	First string `json:"first,omitempty"`
	Last  string `json:"last,omitempty"`
	query.Totals
}

func sums(groups []query.Group) (out []sumJSON) {
	for _, g := range groups {
		s := sumJSON{Name: g.Key[0], Totals: g.Totals, First: stamp(g.First), Last: stamp(g.Last)}
		if len(g.Key) > 1 {
			s.Role = g.Key[1]
		}
		out = append(out, s)
	}
	return out
}

func stamp(ns int64) string {
	if ns == 0 {
		return ""
	}
	return event.Stamp(ns).Format("2006-01-02T15:04:05.999999Z07:00")
}

func (r *lookedUp) json() any {
	type evidence struct {
		List       string `json:"list"`
		Entry      string `json:"entry"`
		Name       string `json:"name,omitempty"`
		URL        string `json:"url,omitempty"`
		Confidence uint8  `json:"confidence"`
	}
	type kind struct {
		Kind     string       `json:"kind"`
		AsSource query.Totals `json:"as_source"`
		AsTarget query.Totals `json:"as_target"`
	}
	type incident struct {
		ID       string `json:"id"`
		Severity string `json:"severity"`
		State    string `json:"state"`
		Verdict  string `json:"verdict"`
		Own      string `json:"own"`
		Foreign  string `json:"foreign"`
		Last     string `json:"last"`
	}
	out := struct {
		Address   string              `json:"address"`
		Name      string              `json:"name,omitempty"`
		Country   string              `json:"country,omitempty"`
		ASN       uint32              `json:"asn,omitempty"`
		Org       string              `json:"org,omitempty"`
		First     string              `json:"first,omitempty"`
		Last      string              `json:"last,omitempty"`
		Evidence  []evidence          `json:"evidence,omitempty"`
		DNSBL     []intel.DNSBLAnswer `json:"dnsbl,omitempty"`
		Kinds     []kind              `json:"kinds,omitempty"`
		Peers     []sumJSON           `json:"peers,omitempty"`
		Services  []sumJSON           `json:"services,omitempty"`
		Exporters []sumJSON           `json:"exporters,omitempty"`
		Incidents []incident          `json:"incidents,omitempty"`
	}{
		Address: r.Address.String(), Name: r.Name, Country: r.Place.Country, ASN: r.Place.ASN, Org: r.Place.Org, DNSBL: r.DNSBL,
		Peers: sums(r.Stored.Peers), Services: sums(r.Stored.Services), Exporters: sums(r.Stored.Exporters),
	}
	all := r.total()
	out.First, out.Last = stamp(all.First), stamp(all.Last)
	for i := range r.Evidence {
		v := &r.Evidence[i]
		out.Evidence = append(out.Evidence, evidence{v.List, v.String(), v.Name, v.URL, v.Confidence})
	}
	for _, k := range r.Stored.ByKind {
		out.Kinds = append(out.Kinds, kind{k.Kind.String(), k.AsSource, k.AsTarget})
	}
	for _, i := range r.Stored.Incidents {
		out.Incidents = append(out.Incidents, incident{i.ID, i.Severity.String(), i.State.String(), i.Verdict.String(), addrText(i.Own.Addr), addrText(i.Foreign.Addr), stamp(i.Last)})
	}
	return out
}

// total sums up everything that is stored of the address.
func (r *lookedUp) total() (all query.Totals) {
	for _, k := range r.Stored.ByKind {
		all.Add(k.AsSource)
		all.Add(k.AsTarget)
	}
	return all
}

// shown is how many rows of each list a person is shown.
const shown = 10

func (r *lookedUp) print(out io.Writer) error {
	fmt.Fprint(out, r.Address)
	if r.Name != "" {
		fmt.Fprintf(out, "  %s", human.Safe(r.Name))
	}
	if r.Place.Country != "" {
		fmt.Fprintf(out, "  %s", human.Safe(r.Place.Country))
	}
	if r.Place.ASN != 0 {
		fmt.Fprintf(out, "  AS%d %s", r.Place.ASN, human.Safe(r.Place.Org))
	}
	fmt.Fprintln(out)
	if all := r.total(); all.Events == 0 {
		fmt.Fprintln(out, "  nothing is stored of it in this span")
	} else {
		fmt.Fprintf(out, "  first %s, last %s, %s events, %s\n", when(all.First), when(all.Last), human.Count(all.Events), human.Bytes(all.Bytes))
	}
	if len(r.Evidence) == 0 {
		fmt.Fprintln(out, "  no list names it")
	}
	for i := range r.Evidence {
		v := &r.Evidence[i]
		as := ""
		if v.Name != "" {
			as = fmt.Sprintf(" as %q", human.Safe(v.Name))
		}
		fmt.Fprintln(out, strings.TrimRight(fmt.Sprintf("  listed by %s%s (%s), confidence %d  %s", human.Safe(v.List), as, v.String(), v.Confidence, human.Safe(v.URL)), " "))
	}
	for _, a := range r.DNSBL {
		fmt.Fprintf(out, "  dnsbl %s: listed %t\n", a.Zone, a.Listed)
	}
	if len(r.Stored.Peers) == 0 && len(r.Stored.Incidents) == 0 {
		return nil
	}
	fmt.Fprintln(out)
	if err := r.peers(out, "table"); err != nil {
		return err
	}
	fmt.Fprintln(out)
	t := newTable(out, "table", "SERVICE", "ROLE", "EVENTS", "BYTES", "LAST")
	for _, g := range r.Stored.Services[:min(len(r.Stored.Services), shown)] {
		t.row(g.Key[0], g.Key[1], t.count(g.Events), t.bytes(g.Bytes, g.Sampled), t.time(event.Stamp(g.Last)))
	}
	if err := t.end(); err != nil || len(r.Stored.Incidents) == 0 {
		return err
	}
	fmt.Fprintln(out)
	t = newTable(out, "table", "INCIDENT", "SEVERITY", "VERDICT", "OWN", "FOREIGN", "LAST")
	for _, i := range r.Stored.Incidents[:min(len(r.Stored.Incidents), shown)] {
		t.row(i.ID, i.Severity.String(), i.Verdict.String(), addrText(i.Own.Addr), addrText(i.Foreign.Addr), t.time(event.Stamp(i.Last)))
	}
	return t.end()
}

func (r *lookedUp) peers(out io.Writer, form string) error {
	t := newTable(out, form, "PEER", "EVENTS", "PACKETS", "BYTES", "FIRST", "LAST")
	rows := r.Stored.Peers
	if form == "table" {
		rows = rows[:min(len(rows), shown)]
	}
	for _, g := range rows {
		t.row(g.Key[0], t.count(g.Events), t.count(g.Packets), t.bytes(g.Bytes, g.Sampled), t.time(event.Stamp(g.First)), t.time(event.Stamp(g.Last)))
	}
	return t.end()
}
