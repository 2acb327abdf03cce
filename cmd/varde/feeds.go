package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"varde/cmd/config"
	"varde/core/intel"
	"varde/event/human"
)

// Feeds is what there is to be told of the lists.
type Feeds struct {
	Lists  []intel.ListStatus
	Spared map[string]time.Time // lists whose servers were not asked, and until when they are not
	Failed string               // why lists are not read or refreshed
	Live   bool                 // the daemon answered, so that hits are those since it began
}

func feedsCommand() *cobra.Command {
	path, output := "", "table"
	show := func(cmd *cobra.Command, refresh bool, names []string) error {
		if output != "table" && output != "json" && output != "csv" {
			return fmt.Errorf("output %q: use table, json or csv", output)
		}
		cfg, err := loadUsual(path)
		if err != nil {
			return err
		}
		f, err := askFeeds(cmd.Context(), &cfg, refresh, names)
		if err != nil {
			return err
		}
		if err := f.print(cmd.OutOrStdout(), output); err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(f.Spared)) {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: its server was asked a short while ago and is left alone for another %s\n",
				human.Safe(name), human.Span(time.Until(f.Spared[name])))
		}
		if f.Failed != "" {
			return errors.New(f.Failed)
		}
		return nil
	}
	cmd := &cobra.Command{
		Use: "feeds", Short: "the lists: format, size, age, hits, what could not be read", Args: cobra.NoArgs,
		Long: `feeds shows the lists as the running varde has them, and as they lie on disk where none runs.

Exit codes: 0 all lists could be read, 2 some could not, or an error.`,
		Example: "  varde feeds -c varde.yaml\n  varde feeds -c varde.yaml -o json\n  varde feeds refresh ThreatFox",
		RunE:    func(cmd *cobra.Command, _ []string) error { return show(cmd, false, nil) },
	}
	cmd.PersistentFlags().StringVarP(&path, "config", "c", "", "configuration file; "+usualConfig+" where there is one")
	cmd.PersistentFlags().StringVarP(&output, "output", "o", output, "table, json or csv")
	cmd.AddCommand(&cobra.Command{
		Use: "refresh [LIST...]", Short: "fetch lists now instead of when they are due",
		Long: `refresh asks the servers of all lists, or of those named, for what is new, and shows the lists. The running varde does
it, and uses what came at once; where none runs, copies are left for the next one. A server is never asked more often
than its publisher allows.`,
		Example: "  varde feeds refresh -c varde.yaml\n  varde feeds refresh ThreatFox 'Tor exits'",
		RunE:    func(cmd *cobra.Command, args []string) error { return show(cmd, true, args) },
	})
	return cmd
}

// askFeeds asks the running daemon, and reads the lists itself where none runs.
func askFeeds(ctx context.Context, cfg *config.Config, refresh bool, names []string) (Feeds, error) {
	r, err := dial(cfg)
	if err == nil {
		defer r.c.Close()
		return asking[Feeds](ctx, r, "Feeds", &Ask{Refresh: refresh, Names: names})
	}
	if !errors.Is(err, errNoDaemon) {
		return Feeds{}, err
	}
	if refresh {
		lock, err := lockDir(cfg.DataDir)
		if err != nil {
			return Feeds{}, err
		}
		defer lock.Close()
	}
	lists, _, _, err := watch(cfg, slog.New(slog.DiscardHandler), nil, nil, nil)
	if err != nil {
		return Feeds{}, err
	}
	loaded := lists.Load()
	f, err := feedsOf(ctx, lists, refresh, names)
	if loaded != nil && !refresh { // what a refresh could not mend it tells itself
		f.Failed = loaded.Error()
	}
	return f, err
}

// feedsOf tells of lists, after a refresh where one is wished for.
func feedsOf(ctx context.Context, lists *intel.Set, refresh bool, names []string) (f Feeds, err error) {
	for _, name := range names {
		if _, ok := lists.Prefixes(name); !ok {
			return f, fmt.Errorf("there is no list called %q; varde feeds shows them", name)
		}
	}
	if refresh {
		f.Spared, err = lists.Refresh(ctx, names...)
		if err != nil {
			f.Failed = err.Error()
		}
	}
	f.Lists = lists.Lists()
	return f, nil
}

func (f *Feeds) print(out io.Writer, form string) error {
	if form == "json" {
		return encode(out, f.Lists)
	}
	t := newTable(out, form, "LIST", "FORMAT", "ENTRIES", "REJECTED", "HITS", "AGE", "CHECKED", "SOURCE")
	t.none = "no lists are configured"
	for i := range f.Lists {
		l := &f.Lists[i]
		hits := ""
		if f.Live {
			hits = t.count(l.Hits)
		}
		loaded := t.age(l.Loaded)
		if l.Loaded.IsZero() && t.csv == nil {
			loaded = "never read"
		}
		t.row(l.Name, l.Format, t.count(uint64(l.Entries)), t.count(uint64(l.Rejected)), hits, loaded, t.age(l.Checked), l.Source)
	}
	if err := t.end(); err != nil || form == "csv" {
		return err
	}
	first := true
	for i := range f.Lists {
		for _, note := range notes(&f.Lists[i]) {
			if first {
				fmt.Fprintln(out)
				first = false
			}
			fmt.Fprintf(out, "%s: %s\n", human.Safe(f.Lists[i].Name), human.Safe(note))
		}
	}
	return nil
}

// rejectsShown is how many of the lines of a list that could not be read are shown.
const rejectsShown = 3

// notes are what is to be said of a list besides its row.
func notes(l *intel.ListStatus) (out []string) {
	if l.Error != "" {
		out = append(out, "error: "+l.Error)
	}
	if l.Expired > 0 {
		out = append(out, plural(l.Expired, "entry")+" expired")
	}
	if l.Unused > 0 {
		out = append(out, plural(l.Unused, "entry")+" in ranges that never alert; see allow.never_alert")
	}
	if l.Notice != "" {
		out = append(out, "notice: "+l.Notice)
	}
	for _, r := range l.Rejects[:min(len(l.Rejects), rejectsShown)] {
		where := "rejected"
		if r.Line > 0 {
			where = fmt.Sprintf("line %d", r.Line)
		}
		out = append(out, fmt.Sprintf("%s: %s: %q", where, r.Reason, r.Text))
	}
	return out
}
