package main

import (
	"bufio"
	"errors"
	"log/slog"
	"math"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"varde/core/intel"
	"varde/event"
	"varde/output/warn"
)

func matchCommand() *cobra.Command {
	path, format := "", "line"
	var files []string
	var l logs
	closings := false
	cmd := &cobra.Command{
		Use: "match FILE...", Short: "read files, match them against lists, print warnings", Args: someFiles,
		Long: `match reads what read reads, matches it against the lists of the configuration and of --list,
and prints one warning for each incident. Exit code 0: nothing found, 1: something found, 2: an error.`,
		Example: "  varde match --list block.txt capture.pcap\n  varde match --list block.txt /var/log/ufw.log*\n  varde match -c varde.yaml --format classic capture.pcap",
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := loadOrDefault(path)
			if err != nil {
				return err
			}
			for _, f := range files {
				cfg.Lists = append(cfg.Lists, intel.ListConfig{Name: filepath.Base(f), File: f})
			}
			if len(cfg.Lists) == 0 {
				return errors.New("there is no list to match against; give --list FILE, or -c with lists")
			}
			out := bufio.NewWriter(cmd.OutOrStdout())
			look := warn.LookFor(os.Stdout)
			found := false
			var b []byte
			lists, _, p, err := watch(&cfg, slog.New(slog.DiscardHandler), nil, func(w event.Warning) {
				if w.State == event.Closed && !closings {
					return
				}
				found = true
				b = warn.Append(b[:0], &w, format, look)
				out.Write(b)
			}, nil)
			if err != nil {
				return err
			}
			if err := lists.Load(); err != nil {
				return err
			}
			if err := l.configure(cfg.Firewall); err != nil {
				return err
			}
			last := int64(0)
			err = readFiles(cmd, args, &l, func(e *event.Event) {
				p.Emit(e)
				if now := p.Newest(); now > last {
					p.Sweep(now)
					last = now
				}
			})
			p.Sweep(math.MaxInt64)
			if err = errors.Join(err, out.Flush()); err == nil && found {
				return exit(exitFound)
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", "", "configuration file")
	cmd.Flags().StringArrayVar(&files, "list", nil, "a list file to match against; may be given several times")
	cmd.Flags().StringVar(&format, "format", format, "line, classic or json")
	cmd.Flags().StringVar(&l.format, "log-format", "", formatHelp())
	cmd.Flags().StringVar(&l.zone, "tz", "", zoneHelp)
	cmd.Flags().BoolVar(&closings, "closings", false, "print the summary of each incident too")
	return cmd
}
