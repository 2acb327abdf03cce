package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"varde/cmd/config"
	"varde/event"
	"varde/event/human"
	"varde/event/query"
)

func flowsCommand() *cobra.Command {
	var a asked
	aggregate, n, kind := "", 0, ""
	var words strings.Builder
	for _, f := range query.Fields() {
		fmt.Fprintf(&words, "  %-12s %s, as: %s\n", f.Name, f.Help, f.Example)
	}
	cmd := &cobra.Command{
		Use: "flows [FILTER]", Short: "stored events, filtered, listed or summed up",
		Long: `flows shows the newest stored events that a filter lets through, or with -a sums them up.

Filters combine conditions by and, or, not and brackets:

` + words.String() + `
host, net, src, dst, own and foreign stand before addresses; in list NAME takes the entries of a list.`,
		Example: `  varde flows 'src net 10.0.0.0/8 and dst port 443 and bytes > 1M' --since 24h
  varde flows -a src,dport -n 20 'not proto icmp' --since 7d
  varde flows -a country/sources 'kind probe' --since yesterday -o csv`,
		RunE: func(cmd *cobra.Command, args []string) error {
			filter, err := query.Parse(strings.Join(args, " "))
			if err != nil {
				return shownError(cmd.ErrOrStderr(), err)
			}
			cfg, box, f, done, err := a.open()
			if err != nil {
				return err
			}
			defer done()
			if box.Filter, err = resolved(cmd, &cfg, filter); err != nil {
				return err
			}
			if kind != "" {
				k, ok := event.ParseKind(kind)
				if !ok {
					return fmt.Errorf("kind %q: use flow, probe, connect, login, command, tunnel, payload, file, mail, close or tty", kind)
				}
				box.Kinds = []event.Kind{k}
			}
			if aggregate == "" {
				return printTail(cmd, f, box, n, a.output)
			}
			top, err := query.ParseTop(aggregate)
			if err != nil {
				return err
			}
			top.N = n
			groups, err := f.Top(cmd.Context(), box, top)
			if err != nil {
				return err
			}
			return printGroups(cmd.OutOrStdout(), a.output, top, groups)
		},
	}
	a.flags(cmd, "24h")
	cmd.Flags().StringVarP(&aggregate, "aggregate", "a", "", "sum up by fields, and after a slash what makes a group large: src,dport/packets")
	cmd.Flags().IntVarP(&n, "count", "n", 20, "how many events or groups")
	cmd.Flags().StringVar(&kind, "kind", "", "only events of a kind: flow, probe, login ...")
	return cmd
}

// shownError shows where in a filter the mistake is.
func shownError(out io.Writer, err error) error {
	if at, ok := errors.AsType[*query.SyntaxError](err); ok {
		fmt.Fprintln(out, at.String())
		return exit(exitError)
	}
	return err
}

// resolved fills in the entries of lists that a filter names.
func resolved(cmd *cobra.Command, cfg *config.Config, filter query.Expr) (query.Expr, error) {
	return query.Resolve(filter, func(name string) ([]netip.Prefix, bool) {
		lists, err := listed(cfg)
		if err != nil {
			fmt.Fprintln(cmd.ErrOrStderr(), "some lists could not be read:", err)
		}
		if lists == nil {
			return nil, false
		}
		return lists.Prefixes(name)
	})
}

func printTail(cmd *cobra.Command, f facts, box query.Box, n int, form string) error {
	events, err := f.Tail(cmd.Context(), box, n)
	if err != nil {
		return err
	}
	return printEvents(cmd.OutOrStdout(), form, events)
}

func printGroups(out io.Writer, form string, top query.TopBy, g query.Groups) error {
	if form == "json" {
		type group struct {
			Key   map[string]string `json:"key"`
			First string            `json:"first,omitempty"`
			Last  string            `json:"last,omitempty"`
			query.Totals
		}
		all := struct {
			Groups uint64       `json:"groups"`
			Total  query.Totals `json:"total"`
			Rows   []group      `json:"rows"`
		}{Groups: g.Groups, Total: g.Total, Rows: []group{}}
		for _, r := range g.Rows {
			key := map[string]string{}
			for i, f := range top.Fields {
				key[f.String()] = r.Key[i]
			}
			all.Rows = append(all.Rows, group{key, stamp(r.First), stamp(r.Last), r.Totals})
		}
		return encode(out, all)
	}
	var columns []string
	for _, f := range top.Fields {
		columns = append(columns, strings.ToUpper(f.String()))
	}
	t := newTable(out, form, append(columns, "EVENTS", "PACKETS", "BYTES", "SHARE", "FIRST", "LAST")...)
	t.none = nothingInSpan
	for _, r := range g.Rows {
		share := ""
		if all := top.Order.Of(&g.Total); all > 0 {
			share = fmt.Sprintf("%.1f%%", 100*float64(top.Order.Of(&r.Totals))/float64(all))
		}
		t.row(append(r.Key, t.count(r.Events), t.count(r.Packets), t.bytes(r.Bytes, r.Sampled), share, t.time(event.Stamp(r.First)), t.time(event.Stamp(r.Last)))...)
	}
	if form == "table" && len(g.Rows) > 0 {
		defer fmt.Fprintf(out, "%s of %s groups; in all %s events, %s packets, %s\n", human.Count(uint64(len(g.Rows))), human.Count(g.Groups),
			human.Count(g.Total.Events), human.Count(g.Total.Packets), human.Bytes(g.Total.Bytes))
	}
	return t.end()
}
