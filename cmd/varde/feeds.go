package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"varde/core/intel"
	"varde/event/human"
)

func feedsCommand() *cobra.Command {
	path, output := "", "table"
	cmd := &cobra.Command{
		Use: "feeds -c FILE", Short: "the lists: format, size, age, rejects", Args: cobra.NoArgs,
		Example: "  varde feeds -c varde.yaml\n  varde feeds -c varde.yaml -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadOrDefault(path)
			if err != nil {
				return err
			}
			lists, _, _, err := watch(&cfg, slog.New(slog.DiscardHandler), nil, nil, nil)
			if err != nil {
				return err
			}
			loadErr := lists.Load()
			if output == "json" {
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				if err := enc.Encode(lists.Lists()); err != nil {
					return err
				}
				return loadErr
			}
			printLists(cmd, lists.Lists())
			return loadErr
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", "", "configuration file")
	cmd.Flags().StringVarP(&output, "output", "o", output, "table or json")
	return cmd
}

func printLists(cmd *cobra.Command, all []intel.ListStatus) {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "LIST\tFORMAT\tENTRIES\tREJECTED\tAGE\tSOURCE")
	for _, l := range all {
		age := "never read"
		if !l.Loaded.IsZero() {
			age = human.Span(time.Since(l.Loaded))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\n", human.Safe(l.Name), l.Format, human.Count(uint64(l.Entries)), l.Rejected, age, human.Safe(l.Source))
		for _, note := range notes(&l) {
			fmt.Fprintf(w, "  %s\n", human.Safe(note))
		}
		for _, r := range l.Rejects[:min(len(l.Rejects), 3)] {
			fmt.Fprintf(w, "  line %d: %s: %q\n", r.Line, r.Reason, r.Text)
		}
	}
	w.Flush()
}

// notes are what is to be said of a list besides its row.
func notes(l *intel.ListStatus) (out []string) {
	if l.Error != "" {
		out = append(out, "error: "+l.Error)
	}
	if !l.Checked.IsZero() && l.Error != "" {
		out = append(out, "its server last answered well "+human.Span(time.Since(l.Checked))+" ago")
	}
	if l.Expired > 0 {
		out = append(out, human.Count(uint64(l.Expired))+" entries have expired")
	}
	if l.Unused > 0 {
		out = append(out, human.Count(uint64(l.Unused))+" entries lie in ranges that never alert; see allow.never_alert")
	}
	if l.Notice != "" {
		out = append(out, "notice: "+l.Notice)
	}
	return out
}
