package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"varde/core/detect"
	"varde/event"
	"varde/event/human"
	"varde/event/query"
)

func reportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "report", Short: "top tables of what knocked: ports, countries, scans", Args: cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Long:    "report sums up the stored probes, and lists the scans and the ports on the rise that were found.",
		Example: "  varde report ports --since 14d\n  varde report countries --top 20 -o csv\n  varde report scans --since yesterday",
	}
	cmd.AddCommand(
		topReport("ports", "ports by how many sources tried them, and what they are known for", "service/sources"),
		topReport("countries", "countries by how many probes came from them", "country/events"),
		scansReport())
	return cmd
}

func topReport(name, short, by string) *cobra.Command {
	var a asked
	n := 0
	cmd := &cobra.Command{
		Use: name, Short: short, Args: cobra.NoArgs, Example: "  varde report " + name + " --since 14d",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if n < 1 {
				return fmt.Errorf("--top %d: ask for 1 or more", n)
			}
			_, box, f, done, err := a.open()
			if err != nil {
				return err
			}
			defer done()
			box.Kinds = []event.Kind{event.Probe}
			top, err := query.ParseTop(by)
			if err != nil {
				return err
			}
			top.N = n
			groups, err := f.Top(cmd.Context(), box, top)
			if err != nil {
				return err
			}
			if name != "ports" || a.output == "json" {
				return printGroups(cmd.OutOrStdout(), a.output, top, groups)
			}
			t := newTable(cmd.OutOrStdout(), a.output, "PORT", "SOURCES", "PROBES", "LAST", "KNOWN AS")
			t.none = nothingInSpan
			for i := range groups.Rows {
				g := &groups.Rows[i]
				t.row(g.Key[0], t.count(g.Sources), t.count(g.Events), t.time(event.Stamp(g.Last)), meaning(g.Key[0]))
			}
			return t.end()
		},
	}
	a.flags(cmd, "24h")
	cmd.Flags().IntVar(&n, "top", 10, "how many")
	return cmd
}

// meaning is what a service is known for: its name, and what was seen on it.
func meaning(service string) string {
	number, name, _ := strings.Cut(service, "/")
	port, err := strconv.ParseUint(number, 10, 16)
	proto := uint8(event.TCP)
	if name == "udp" {
		proto = event.UDP
	}
	known, ok := detect.PortMeaning(proto, uint16(port))
	if err != nil || !ok {
		return ""
	}
	if known.Seen == "" {
		return known.Name
	}
	return known.Name + ": " + known.Seen
}

func scansReport() *cobra.Command {
	var a asked
	n := 0
	cmd := &cobra.Command{
		Use: "scans", Short: "scans and ports on the rise that were found", Args: cobra.NoArgs, Example: "  varde report scans --since 7d",
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, box, f, done, err := a.open()
			if err != nil {
				return err
			}
			defer done()
			found, err := f.Incidents(cmd.Context(), query.IncidentBox{From: box.From, To: box.To, Limit: query.MaxRows})
			if err != nil {
				return err
			}
			t := newTable(cmd.OutOrStdout(), a.output, "LAST", "FOR", "PATTERN", "PORTS", "TARGETS", "SOURCES", "FROM", "PROBES")
			t.none = "no scan and no port on the rise in this span; --since 30d would look further back"
			shown := 0
			for i := range found {
				w := &found[i].Warning
				if w.Scan == nil && w.Surge == nil || shown == n {
					continue
				}
				shown++
				if a.output == "json" {
					fmt.Fprintf(cmd.OutOrStdout(), "%s\n", w.AppendJSON(nil, w.Time))
					continue
				}
				pattern, ports, targets, sources, from := "surge", strconv.Itoa(int(w.Own.Port)), "", "", ""
				if s := w.Scan; s != nil {
					pattern, targets, sources = s.Pattern, t.count(uint64(s.Targets)), t.count(uint64(s.Sources))
					if ports = fmt.Sprintf("%d-%d (%d)", s.Low, s.High, s.Ports); s.Ports == 1 {
						ports = strconv.Itoa(int(s.Low))
					}
					from = addrText(w.Foreign.Addr)
				} else {
					sources = t.count(w.Surge.Sources)
				}
				t.row(t.time(event.Stamp(w.Last)), human.Span(event.Stamp(w.Last).Sub(event.Stamp(w.First))), pattern, ports, targets, sources, from, t.count(w.Count))
			}
			if a.output == "json" {
				return nil
			}
			return t.end()
		},
	}
	a.flags(cmd, "24h")
	cmd.Flags().IntVar(&n, "top", 50, "how many")
	return cmd
}
