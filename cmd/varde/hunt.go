package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"varde/cmd/config"
	"varde/core/intel"
	"varde/event"
	"varde/event/query"
)

// asked are the flags of every command that asks the store.
type asked struct {
	config, since, output string
}

func (a *asked) flags(cmd *cobra.Command, since string) {
	cmd.Flags().StringVarP(&a.config, "config", "c", "", "configuration file, whose data_dir is asked; "+usualConfig+" where there is one")
	if since != "" {
		cmd.Flags().StringVar(&a.since, "since", since, "how far back: 90d, 24h, yesterday, 2026-11-01, 2026-11-01..2026-11-05")
	}
	cmd.Flags().StringVarP(&a.output, "output", "o", "table", "table, json or csv")
}

// load gives the configuration and the span that is asked about.
func (a *asked) load() (cfg config.Config, box query.Box, err error) {
	if a.output != "table" && a.output != "json" && a.output != "csv" {
		return cfg, box, fmt.Errorf("output %q: use table, json or csv", a.output)
	}
	if cfg, err = loadUsual(a.config); err != nil || a.since == "" {
		return cfg, box, err
	}
	if box.From, box.To, err = query.Range(a.since, time.Now()); err != nil {
		return cfg, box, fmt.Errorf("since: %w", err)
	}
	return cfg, box, nil
}

// open gives also whoever answers.
func (a *asked) open() (config.Config, query.Box, facts, func() error, error) {
	cfg, box, err := a.load()
	if err != nil {
		return cfg, box, nil, nil, err
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
format that varde reads, or an advisory as it came, with defanged addresses between other words; - is standard input.

Exit codes: 0 nothing was found, 1 something was, 2 an error.`,
		Example: "  varde hunt 203.0.113.94 198.51.100.0/24 'hxxp://198[.]51[.]100[.]7/x'\n  varde hunt advisory.txt --since 90d\n  varde hunt --list ThreatFox --since 30d -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, box, err := a.load()
			if err != nil {
				return err
			}
			entries, err := indicators(cmd, &cfg, args, lists)
			if err != nil {
				return err
			}
			f, done, err := openFacts(&cfg, newLog(true))
			if err != nil {
				return err
			}
			defer done()
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

// indicators reads arguments: addresses, prefixes, files, and names of lists.
func indicators(cmd *cobra.Command, cfg *config.Config, args, lists []string) (out []netip.Prefix, err error) {
	for _, text := range args {
		entries, err := indicator(cmd, text)
		if err != nil {
			return nil, err
		}
		out = append(out, entries...)
	}
	var set *intel.Set
	for _, name := range lists {
		if _, err := os.Stat(name); err == nil {
			entries, err := fromFile(cmd, name)
			if err != nil {
				return nil, err
			}
			out = append(out, entries...)
			continue
		}
		if set == nil {
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
		return nil, errors.New("nothing to look for: give addresses, prefixes, a file with some, or --list")
	}
	return out, nil
}

// indicator reads one argument.
func indicator(cmd *cobra.Command, text string) ([]netip.Prefix, error) {
	if text == "-" {
		return fromReader(cmd, "standard input", cmd.InOrStdin())
	}
	if p, err := onePrefix(text); err == nil {
		return []netip.Prefix{p}, nil
	}
	entries, err := fromFile(cmd, text)
	if errors.Is(err, fs.ErrNotExist) {
		if entries, _, err := intel.ReadPrefixes(strings.NewReader(text), "advisory"); err == nil && len(entries) > 0 {
			return entries, nil // a URL or an end of traffic
		}
		return nil, fmt.Errorf("%q is no address, prefix or file", text)
	}
	return entries, err
}

// onePrefix reads an address or a prefix, defanged or not.
func onePrefix(text string) (netip.Prefix, error) {
	plain := strings.NewReplacer("[.]", ".", "(.)", ".", "[:]", ":").Replace(text)
	if a, err := netip.ParseAddr(plain); err == nil {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(plain)
	if err != nil {
		err = fmt.Errorf("%q is no address or prefix", text)
	}
	return p.Masked(), err
}

func fromFile(cmd *cobra.Command, path string) ([]netip.Prefix, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return fromReader(cmd, path, f)
}

func fromReader(cmd *cobra.Command, name string, in io.Reader) ([]netip.Prefix, error) {
	entries, rejects, err := intel.ReadPrefixes(in, "")
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(rejects) > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s left out, the first in line %d: %s\n", name, plural(len(rejects), "line"), rejects[0].Line, rejects[0].Reason)
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
	all := []contact{}
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
	t.none = "no contact"
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

// listed are the lists of the configuration, for a command that asks what they say.
func listed(cfg *config.Config) (*intel.Set, error) {
	set, _, _, err := watch(cfg, newLog(true), nil, nil, nil)
	if err != nil {
		return nil, err
	}
	return set, set.Load()
}
