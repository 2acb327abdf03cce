package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"varde/event"
	"varde/input/mailgw"
	"varde/input/mailgw/webget"
	"varde/output/check"
	"varde/output/munin"
)

func muninCommand() *cobra.Command {
	var f muninFigures
	wrapper := false
	cfg := munin.DefaultConfig()
	cmd := &cobra.Command{
		Use: "munin [GRAPH [config|autoconf|suggest]]", Short: "graphs for Munin, as a plugin or as a node of its own", Args: cobra.MaximumNArgs(2),
		Long: `munin is a plugin of munin-node, which shows the graph that the link to it is called after: varde_tunnels shows tunnels.
"varde munin --wrapper" prints the script to link. With --listen it is a small node that a Munin server asks by itself.

The figures are those of a running varde. Where none runs, and the configuration says how to read the mail gateway, the
graphs of mail are made from that alone. Munin's plugin-conf.d may set env.config and env.metrics.`,
		Example: "  varde munin suggest\n  varde munin tunnels config\n  varde munin --wrapper > /usr/share/munin/plugins/varde_\n  varde munin --listen 127.0.0.1:4950",
		RunE: func(cmd *cobra.Command, args []string) error {
			f.environment()
			switch {
			case wrapper:
				_, err := fmt.Fprint(cmd.OutOrStdout(), munin.Wrapper(itself()))
				return err
			case cfg.Listen != "":
				n, err := munin.NewNode(cfg, &f, version(), newLog(false))
				if err != nil {
					return err
				}
				return n.Run(cmd.Context())
			}
			name, what := muninArgs(args)
			ctx, cancel := context.WithTimeout(cmd.Context(), muninTimeout)
			defer cancel()
			p := munin.Plugin{Figures: &f, Caps: munin.Caps{
				Multigraph: os.Getenv("MUNIN_CAP_MULTIGRAPH") == "1", DirtyConfig: os.Getenv("MUNIN_CAP_DIRTYCONFIG") == "1",
			}}
			return p.Run(ctx, cmd.OutOrStdout(), name, what)
		},
	}
	cmd.Flags().StringVarP(&f.path, "config", "c", "", "configuration file")
	cmd.Flags().StringVarP(&f.host, "hostname", "H", "", "where varde serves its metrics; from the configuration when left out")
	cmd.Flags().BoolVar(&wrapper, "wrapper", false, "print the script that munin-node takes for the plugin")
	cmd.Flags().StringVar(&cfg.Listen, "listen", "", "be a munin node on this address")
	cmd.Flags().StringVar(&cfg.Name, "name", "", "name of that node; the host's when left out")
	cmd.Flags().StringSliceVar(&cfg.Allow, "allow", nil, "addresses and prefixes that may ask that node besides this machine")
	return cmd
}

// muninTimeout is less than the 10 s after which munin-node gives a plugin up.
const muninTimeout = 9 * time.Second

// muninArgs takes the graph and what to do with it; autoconf and suggest need no graph.
func muninArgs(args []string) (name, what string) {
	switch {
	case len(args) == 0:
		return "", ""
	case len(args) == 1 && (args[0] == "autoconf" || args[0] == "suggest"):
		return "", args[0]
	case len(args) == 1:
		return args[0], ""
	}
	return args[0], args[1]
}

// asPlugin are the arguments of a call. A link to this program called after a graph is a plugin of Munin.
func asPlugin(argv []string) []string {
	if name := filepath.Base(argv[0]); strings.HasPrefix(name, munin.Prefix) {
		return append([]string{"munin", name}, argv[1:]...)
	}
	return argv[1:]
}

// muninFigures are those of a running varde, or else those of the mail gateway.
type muninFigures struct {
	path, host string
}

// environment takes what plugin-conf.d sets.
func (f *muninFigures) environment() {
	if f.path == "" {
		f.path = os.Getenv("config")
	}
	if f.host == "" {
		f.host = os.Getenv("metrics")
	}
}

// Figures reads them.
func (f *muninFigures) Figures(ctx context.Context) ([]event.Figure, error) {
	address, err := metricsAddress(f.host, f.path)
	if err != nil {
		return nil, err
	}
	figures, err := fetchMetrics(ctx, address)
	if !errors.Is(err, check.ErrDown) || f.path == "" {
		return figures, err
	}
	cfg, cfgErr := loadOrDefault(f.path)
	if cfgErr != nil {
		return nil, errors.Join(err, cfgErr)
	}
	g := mailgw.New(cfg.Mail, net.DefaultResolver, webget.New(), slog.New(slog.DiscardHandler))
	g.Refresh(ctx)
	figures, mailErr := g.Figures(ctx)
	if len(figures) == 0 {
		return nil, errors.Join(err, mailErr)
	}
	return figures, nil
}
