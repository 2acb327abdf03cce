package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"varde/cmd/config"
	"varde/input/flow"
)

func runCommand() *cobra.Command {
	path := ""
	cmd := &cobra.Command{
		Use: "run -c FILE", Short: "run everything that the configuration asks for", Args: cobra.NoArgs,
		Long:    "run receives flows, matches them against the lists and warns, until it is stopped.\nSIGHUP reads the configuration again; a bad file keeps the old one running.",
		Example: "  varde run -c /etc/varde/varde.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadOrDefault(path)
			if err != nil {
				return err
			}
			return supervise(cmd.Context(), path, cfg, newLog(false))
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", "", "configuration file; without one the defaults run")
	return cmd
}

func loadOrDefault(path string) (config.Config, error) {
	if path == "" {
		return config.Parse("defaults", nil)
	}
	return config.Load(path)
}

// usualConfig is where packages put the configuration; commands that ask a running varde look there by themselves.
const usualConfig = "/etc/varde/varde.yaml"

func loadUsual(path string) (config.Config, error) {
	if path == "" {
		if _, err := os.Stat(usualConfig); err == nil {
			path = usualConfig
		}
	}
	return loadOrDefault(path)
}

// supervise runs a daemon and, at SIGHUP, one of the new configuration in its place.
func supervise(ctx context.Context, path string, cfg config.Config, log *slog.Logger) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for {
		d, err := newDaemon(cfg, log)
		if err != nil {
			return err
		}
		inner, stop := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- d.run(inner) }()
		next, err := awaitReload(ctx, hup, done, path, &cfg, log)
		stop()
		if next == nil {
			return err
		}
		if err := <-done; err != nil {
			return err
		}
		cfg = *next
	}
}

// awaitReload waits for a good new configuration, or gives nil once the daemon has ended.
func awaitReload(ctx context.Context, hup <-chan os.Signal, done <-chan error, path string, old *config.Config, log *slog.Logger) (*config.Config, error) {
	for {
		select {
		case err := <-done:
			return nil, err
		case <-hup:
			next, err := loadOrDefault(path)
			if err == nil {
				// What only wiring finds, as a missing file of exceptions, is found before the old one ends.
				_, _, _, err = watch(&next, log, nil, nil, nil)
			}
			if err == nil {
				err = flow.TryListen(ctx, next.Netflow, old.Netflow)
			}
			if err != nil {
				log.Error("the configuration is not reloaded; the old one goes on", "error", err)
				continue
			}
			log.Info("configuration reloaded", "file", path)
			return &next, nil
		}
	}
}

func checkConfigCommand() *cobra.Command {
	schema := false
	cmd := &cobra.Command{
		Use: "check-config FILE", Short: "print the effective configuration, or what is wrong with it and where", Args: cobra.MaximumNArgs(1),
		Long:    "check-config prints the configuration as it takes effect, every default included, on standard output, and what that\nmeans, in one screen, on standard error.",
		Example: "  varde check-config varde.yaml\n  varde check-config --schema > varde.schema.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			out := cmd.OutOrStdout()
			if schema {
				b, err := config.Schema()
				if err != nil {
					return err
				}
				fmt.Fprintf(out, "%s\n", b)
				return nil
			}
			path := ""
			if len(args) > 0 {
				path = args[0]
			}
			cfg, err := loadOrDefault(path)
			if err != nil {
				return err
			}
			b, err := cfg.YAML()
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "%s", b)
			lists, _, _, err := watch(&cfg, slog.New(slog.DiscardHandler), nil, nil, nil)
			if err != nil {
				return err
			}
			_ = lists.Load() // the summary tells of each list how it is
			fmt.Fprintf(cmd.ErrOrStderr(), "\n%s is fine. With it varde\n", cmp.Or(path, "an empty configuration"))
			return summary(cmd.ErrOrStderr(), &cfg, lists.Lists())
		},
	}
	cmd.Flags().BoolVar(&schema, "schema", false, "print the JSON Schema of the file instead, for editors")
	return cmd
}
