package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"varde/cmd/config"
	"varde/core/intel"
	"varde/event"
	"varde/event/human"
	"varde/event/query"
)

// asked are the flags of every command that asks the store.
type asked struct {
	config, since, output string
}

func (a *asked) flags(cmd *cobra.Command, since string) {
	cmd.Flags().StringVarP(&a.config, "config", "c", "", "configuration file; its data_dir is asked, through the daemon if one runs")
	cmd.Flags().StringVar(&a.since, "since", since, "how far back: 90d, 24h, yesterday, 2026-11-01, 2026-11-01..2026-11-05")
	cmd.Flags().StringVarP(&a.output, "output", "o", "table", "table, json or csv")
}

// open gives the configuration, the span that is asked about and whoever answers.
func (a *asked) open() (config.Config, query.Box, facts, func() error, error) {
	var box query.Box
	if a.output != "table" && a.output != "json" && a.output != "csv" {
		return config.Config{}, box, nil, nil, fmt.Errorf("output %q: use table, json or csv", a.output)
	}
	cfg, err := loadOrDefault(a.config)
	if err != nil {
		return cfg, box, nil, nil, err
	}
	if box.From, box.To, err = query.Range(a.since, time.Now()); err != nil {
		return cfg, box, nil, nil, fmt.Errorf("since: %w", err)
	}
	f, done, err := openFacts(&cfg, newLog(true))
	return cfg, box, f, done, err
}

func huntCommand() *cobra.Command {
	var a asked
	var lists []string
	cmd := &cobra.Command{
		Use: "hunt INDICATOR|FILE... | --list NAME|FILE", Short: "stored traffic that touched addresses, prefixes, or a list of them",
		Long: `hunt looks for every contact with the given addresses and prefixes in what is stored. A file may be a list in any
format that varde reads, or an advisory as it came, with defanged addresses between other words.

Exit codes: 0 nothing was found, 1 something was, 2 an error.`,
		Example: "  varde hunt 203.0.113.94 198.51.100.0/24\n  varde hunt advisory.txt --since 90d\n  varde hunt --list ThreatFox --since 30d -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, box, f, done, err := a.open()
			if err != nil {
				return err
			}
			defer done()
			entries, err := indicators(cmd.ErrOrStderr(), &cfg, args, lists)
			if err != nil {
				return err
			}
			found, err := f.Hunt(cmd.Context(), box, entries)
			if err != nil {
				return err
			}
			if err := printContacts(cmd.OutOrStdout(), a.output, found, &cfg); err != nil {
				return err
			}
			if a.output == "table" {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s of %s looked for, from %s to %s\n", plural(len(found), "contact"), plural(len(entries), "entry"), when(box.From), when(box.To))
			}
			if len(found) > 0 {
				return exit(exitFound)
			}
			return nil
		},
	}
	a.flags(cmd, "90d")
	cmd.Flags().StringSliceVar(&lists, "list", nil, "a configured list by its name, or a file")
	return cmd
}

func plural(n int, what string) string {
	if n != 1 {
		what = strings.TrimSuffix(what, "y") + map[bool]string{true: "ies", false: "s"}[strings.HasSuffix(what, "y")]
	}
	return human.Count(uint64(n)) + " " + what
}

func when(ns int64) string { return event.Stamp(ns).Local().Format("2006-01-02 15:04") }

// indicators reads arguments: addresses, prefixes, files, and names of lists.
func indicators(warn io.Writer, cfg *config.Config, args, lists []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, text := range args {
		if p, err := onePrefix(text); err == nil {
			out = append(out, p)
			continue
		}
		entries, err := fromFile(warn, text)
		if err != nil {
			return nil, fmt.Errorf("%q is no address or prefix, and no file: %w", text, err)
		}
		out = append(out, entries...)
	}
	var set *intel.Set
	for _, name := range lists {
		if _, err := os.Stat(name); err == nil {
			entries, err := fromFile(warn, name)
			if err != nil {
				return nil, err
			}
			out = append(out, entries...)
			continue
		}
		if set == nil {
			var err error
			if set, err = listed(cfg); err != nil {
				return nil, err
			}
		}
		entries, ok := set.Prefixes(name)
		if !ok {
			return nil, fmt.Errorf("there is no file and no list called %q; varde feeds shows the lists", name)
		}
		out = append(out, entries...)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("nothing to look for: give addresses, prefixes, a file or --list")
	}
	return out, nil
}

// onePrefix reads an address or a prefix, defanged or not.
func onePrefix(text string) (netip.Prefix, error) {
	text = strings.NewReplacer("[.]", ".", "(.)", ".", "[:]", ":").Replace(text)
	if a, err := netip.ParseAddr(text); err == nil {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err
}

func fromFile(warn io.Writer, path string) ([]netip.Prefix, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, rejects, err := intel.ReadPrefixes(f, "")
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(rejects) > 0 {
		fmt.Fprintf(warn, "%s: %s left out, the first in line %d: %s\n", path, plural(len(rejects), "line"), rejects[0].Line, rejects[0].Reason)
	}
	return entries, nil
}

// contact is a query.Contact as JSON and CSV have it.
type contact struct {
	Own        string    `json:"own"`
	OwnName    string    `json:"own_name,omitempty"`
	Foreign    string    `json:"foreign"`
	Entry      string    `json:"entry"`
	Kind       string    `json:"kind"`
	First      time.Time `json:"first"`
	Last       time.Time `json:"last"`
	Count      uint64    `json:"count"`
	PacketsOut uint64    `json:"packets_out"`
	BytesOut   uint64    `json:"bytes_out"`
	PacketsIn  uint64    `json:"packets_in"`
	BytesIn    uint64    `json:"bytes_in"`
	Services   []string  `json:"services,omitempty"`
	Answered   bool      `json:"answered"`
	Sampled    bool      `json:"sampled,omitempty"`
}

func printContacts(out io.Writer, form string, found []query.Contact, cfg *config.Config) error {
	names, err := cfg.Network.HostNames()
	if err != nil {
		return err
	}
	var all []contact
	for i := range found {
		c := &found[i]
		all = append(all, contact{
			Own: addrText(c.Own), OwnName: names[c.Own], Foreign: addrText(c.Foreign), Entry: entryText(c.Entry), Kind: c.Kind.String(),
			First: event.Stamp(c.First), Last: event.Stamp(c.Last), Count: c.Events, PacketsOut: c.PacketsOut, BytesOut: c.BytesOut,
			PacketsIn: c.PacketsIn, BytesIn: c.BytesIn, Services: c.Ports, Answered: c.Answered, Sampled: c.Sampled,
		})
	}
	if form == "json" {
		return encode(out, all)
	}
	t := newTable(out, form, "OWN", "FOREIGN", "ENTRY", "FIRST", "LAST", "COUNT", "OUT", "IN", "SERVICES", "ANSWERED")
	for _, c := range all {
		own, answered := c.Own, "no"
		if c.OwnName != "" {
			own = c.OwnName + " (" + c.Own + ")"
		}
		switch {
		case c.Answered:
			answered = "yes"
		case c.Sampled:
			answered = "unknown (sampled)"
		}
		t.row(own, c.Foreign, c.Entry, t.time(c.First), t.time(c.Last), t.count(c.Count), t.bytes(c.BytesOut, c.Sampled),
			t.bytes(c.BytesIn, c.Sampled), strings.Join(c.Services, " "), answered)
	}
	return t.end()
}

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func entryText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

func encode(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// table prints rows for people, or as CSV with plain numbers and UTC times for programs.
type table struct {
	tabs *tabwriter.Writer
	csv  *csv.Writer
}

func newTable(out io.Writer, form string, columns ...string) *table {
	t := &table{}
	if form == "csv" {
		t.csv = csv.NewWriter(out)
		for i := range columns {
			columns[i] = strings.ReplaceAll(strings.ToLower(columns[i]), " ", "_")
		}
	} else {
		t.tabs = tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	}
	t.row(columns...)
	return t
}

func (t *table) row(cells ...string) {
	for i, c := range cells {
		cells[i] = human.Safe(c)
	}
	if t.csv == nil {
		fmt.Fprintln(t.tabs, strings.TrimRight(strings.Join(cells, "\t"), "\t"))
		return
	}
	for i, c := range cells {
		if strings.IndexAny(c, "=+-@\t\r") == 0 { // a spreadsheet would take it for a formula
			cells[i] = "'" + c
		}
	}
	t.csv.Write(cells)
}

func (t *table) end() error {
	if t.csv == nil {
		return t.tabs.Flush()
	}
	t.csv.Flush()
	return t.csv.Error()
}

func (t *table) time(at time.Time) string {
	switch {
	case at.IsZero():
		return ""
	case t.csv != nil:
		return at.UTC().Format(time.RFC3339Nano)
	}
	return at.Local().Format("2006-01-02 15:04:05")
}

func (t *table) count(n uint64) string {
	if t.csv != nil {
		return fmt.Sprint(n)
	}
	return human.Count(n)
}

func (t *table) bytes(n uint64, sampled bool) string {
	switch {
	case t.csv != nil:
		return fmt.Sprint(n)
	case sampled:
		return "~" + human.Bytes(n)
	}
	return human.Bytes(n)
}

// listed are the lists of the configuration, for a command that asks what they say.
func listed(cfg *config.Config) (*intel.Set, error) {
	set, _, _, err := watch(cfg, newLog(true), nil, nil, nil)
	if err != nil {
		return nil, err
	}
	return set, set.Load()
}
