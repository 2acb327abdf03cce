package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"varde/cmd/config"
	"varde/event"
	"varde/input/mailgw"
	"varde/input/mailgw/webget"
	"varde/output/check"
)

// plugin marks commands that monitoring runs: whatever they cannot do, their exit code is that of UNKNOWN.
const plugin = "plugin"

func checkCommand() *cobra.Command {
	icinga, nrpe := false, false
	cmd := &cobra.Command{
		Use: "check NAME", Short: "checks for Nagios and Icinga", Args: cobra.ArbitraryArgs,
		Long: `check NAME is a plugin by the conventions of monitoring-plugins: exit code 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN; one line
of text with performance data behind a bar, and more lines after it. What is not known is never OK.

A range for -w and -c is [@][START:]END: 10 alerts above 10 and below 0, 10: below 10, ~:10 above 10, 10:20 outside of
them, @10:20 inside. Ages may be written 90s, 15m, 12h, 7d or 2w; a plain number is seconds.`,
		Example:     "  varde check av --clamav /var/lib/clamav --clamd /run/clamav/clamd.ctl\n  varde check --icinga2 > /etc/icinga2/conf.d/varde.conf\n  varde check mailq -w 100 -c 500 --nrpe >> /etc/nagios/nrpe_local.cfg",
		Annotations: map[string]string{plugin: "yes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0 && icinga:
				return check.Icinga2(cmd.OutOrStdout(), itself(), check.Checks())
			case len(args) == 0 && nrpe:
				for _, c := range check.Checks() {
					if err := check.NRPE(cmd.OutOrStdout(), itself(), c, check.NewValues(c)); err != nil {
						return err
					}
				}
				return nil
			}
			names := make([]string, 0, len(check.Checks()))
			for _, c := range check.Checks() {
				names = append(names, c.Name)
			}
			return misused(cmd, "check", fmt.Errorf("name one of %s", strings.Join(names, ", ")))
		},
	}
	cmd.PersistentFlags().BoolVar(&icinga, "icinga2", false, "print a CheckCommand of Icinga 2 instead")
	cmd.PersistentFlags().BoolVar(&nrpe, "nrpe", false, "print a line for NRPE with the other flags instead")
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return misused(cmd, "check", err) })
	for _, c := range check.Checks() {
		cmd.AddCommand(oneCheck(c, &icinga, &nrpe))
	}
	return cmd
}

// oneCheck is the command of one check, with flags from its table.
func oneCheck(c *check.Check, icinga, nrpe *bool) *cobra.Command {
	v := check.NewValues(c)
	version := false
	cmd := &cobra.Command{
		Use: c.Name, Short: c.Help, Long: c.Help + ".\n\n" + c.Long, Example: "  " + c.Example, Args: cobra.ArbitraryArgs,
		Annotations: map[string]string{plugin: "yes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case version:
				return versioned(cmd)
			case len(args) > 0:
				return misused(cmd, c.Name, fmt.Errorf("%q is no flag", args[0]))
			case *icinga:
				return check.Icinga2(cmd.OutOrStdout(), itself(), []*check.Check{c})
			case *nrpe:
				return check.NRPE(cmd.OutOrStdout(), itself(), c, v)
			}
			source := metricsOf
			if c.Reads == check.Mail {
				source = mailOf
			}
			r := c.Run(cmd.Context(), v, source)
			fmt.Fprint(cmd.OutOrStdout(), r.Text(c.Name))
			if s := r.Status(); s != check.OK {
				return exit(s)
			}
			return nil
		},
	}
	for _, f := range c.AllFlags() {
		added := cmd.Flags().VarPF(checkFlag{v, f}, f.Name, f.Short, f.Help)
		if f.Kind == check.Switch {
			added.NoOptDefVal = "true"
		}
	}
	cmd.Flags().BoolVarP(&version, "version", "V", false, "print the version")
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return misused(cmd, c.Name, err) })
	return cmd
}

func versioned(cmd *cobra.Command) error {
	fmt.Fprintln(cmd.OutOrStdout(), "varde", version())
	return exit(check.Unknown)
}

// misused says on standard output what is wrong with a call, since monitoring reads nothing else.
func misused(cmd *cobra.Command, name string, err error) error {
	fmt.Fprint(cmd.OutOrStdout(), check.Usage(name, err))
	return exit(check.Unknown)
}

// pluginExit gives the help of a plugin the exit code that monitoring-plugins have for it.
func pluginExit(cmd *cobra.Command, err error) error {
	if err == nil && cmd.Annotations[plugin] != "" && cmd.Flags().Changed("help") {
		return exit(check.Unknown)
	}
	return err
}

// itself is where this program is, for definitions that start it.
func itself() string {
	path, err := os.Executable()
	if err != nil {
		return "/usr/bin/varde"
	}
	return path
}

// checkFlag is a flag of a check as the command line wants it.
type checkFlag struct {
	values *check.Values
	flag   check.Flag
}

// Set takes a value.
func (f checkFlag) Set(s string) error { return f.values.Set(f.flag.Name, s) }

// String is the default.
func (f checkFlag) String() string { return f.flag.Default }

// Type is how help calls the value.
func (f checkFlag) Type() string {
	switch {
	case f.flag.Hint != "":
		return f.flag.Hint
	case f.flag.Kind == check.Switch:
		return "bool"
	case f.flag.Kind == check.Span:
		return "TIME"
	}
	return "TEXT"
}

// metricsOf reads the figures of a running varde where it serves them.
func metricsOf(ctx context.Context, _ *check.Check, v *check.Values) (*check.Reading, error) {
	address, err := metricsAddress(v.Text("hostname"), v.Text("config"))
	if err != nil {
		return nil, err
	}
	figures, err := fetchMetrics(ctx, address)
	return &check.Reading{Figures: figures}, err
}

// metricsAddress is the URL of a varde, or of that which the configuration describes.
func metricsAddress(host, path string) (string, error) {
	if host == "" {
		cfg, err := loadOrDefault(path)
		if err != nil {
			return "", err
		}
		if host = cfg.HTTP.Listen; host == "" {
			return "", errors.New("http.listen is empty, so varde serves no metrics; set it, or say where with -H")
		}
	}
	if strings.HasPrefix(host, "http://") || strings.HasPrefix(host, "https://") {
		return strings.TrimSuffix(host, "/metrics"), nil
	}
	if _, _, err := net.SplitHostPort(host); err != nil {
		host = net.JoinHostPort(strings.Trim(host, "[]"), "9055")
	}
	if h, port, _ := net.SplitHostPort(host); h == "" || h == "0.0.0.0" || h == "::" {
		host = net.JoinHostPort("127.0.0.1", port)
	}
	return "http://" + host, nil
}

func fetchMetrics(ctx context.Context, address string) ([]event.Figure, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w, or not there: %w", check.ErrDown, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("read %s/metrics: the server says %s", address, resp.Status)
	}
	figures, err := check.ParseMetrics(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read %s/metrics: %w", address, err)
	}
	return figures, nil
}

// mailOf reads the mail gateway of this machine itself, with nothing but what the check is about.
func mailOf(ctx context.Context, c *check.Check, v *check.Values) (*check.Reading, error) {
	cfg := config.Default()
	if path := v.Text("config"); path != "" {
		var err error
		if cfg, err = config.Load(path); err != nil {
			return nil, err
		}
	}
	only := mailgw.DefaultConfig()
	text := func(into *string, flag string) {
		if *into == "" || v.Given(flag) {
			*into = v.Text(flag)
		}
	}
	switch c.Name {
	case "mailq":
		only.Postfix = cfg.Mail.Postfix
		text(&only.Postfix.QueueDir, "queue-dir")
		text(&only.Postfix.Postqueue, "postqueue")
	case "amavis":
		only.Amavis = cfg.Mail.Amavis
		text(&only.Amavis.Dir, "amavis")
	case "rspamd":
		only.Rspamd = cfg.Mail.Rspamd
		text(&only.Rspamd.URL, "rspamd")
	case "av":
		scannersOf(&only, &cfg.Mail, v)
		if err := checkScanners(&only); err != nil {
			return nil, err
		}
	}
	problems := &problems{}
	g := mailgw.New(only, net.DefaultResolver, webget.New(), slog.New(problems))
	g.Refresh(ctx)
	figures, err := g.Figures(ctx)
	if only.ClamAV.Dir != "" {
		figures = append(figures, levels(ctx, g)...)
	}
	return &check.Reading{Figures: figures, Problems: problems.all()}, err
}

// scannersOf takes what flags and configuration have of virus scanners.
func scannersOf(only, cfg *mailgw.Config, v *check.Values) {
	only.ClamAV, only.Sophos, only.Defender = cfg.ClamAV, cfg.Sophos, cfg.Defender
	only.Probes = slices.Clone(cfg.Probes)
	for flag, into := range map[string]*string{"clamav": &only.ClamAV.Dir, "clamd": &only.ClamAV.Clamd, "sophos": &only.Sophos.Status} {
		if v.Given(flag) {
			*into = v.Text(flag)
		}
	}
	if only.Sophos.Dir == "" || v.Given("sophos-dir") {
		only.Sophos.Dir = v.Text("sophos-dir")
	}
	for _, name := range v.Texts("database") {
		if !slices.Contains(only.ClamAV.Databases, name) {
			only.ClamAV.Databases = append(only.ClamAV.Databases, name)
		}
	}
	only.ClamAV.DNS = only.ClamAV.DNS || v.On("dns")
	switch where := v.Text("defender"); where {
	case "":
	case "run":
		only.Defender = mailgw.DefenderConfig{Run: []string{"mdatp", "health", "--output", "json"}}
	default:
		only.Defender = mailgw.DefenderConfig{File: where}
	}
	p := mailgw.ProbeConfig{
		Name: "probe", Newest: v.Text("newest"), Run: strings.Fields(v.Text("run")), From: v.Text("from"), Match: v.Text("match"), JSON: v.Text("json"),
		Time: v.Text("time"), Manifest: v.Text("manifest"), Dir: v.Text("dir"),
	}
	if p.Newest+p.Match+p.JSON+p.Manifest+p.From != "" || len(p.Run) > 0 {
		only.Probes = append(only.Probes, p)
	}
}

func checkScanners(only *mailgw.Config) error {
	errs := []error{only.Check(), only.ClamAV.Check(), only.Sophos.Check()}
	for i := range only.Probes {
		errs = append(errs, only.Probes[i].Check())
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if only.ClamAV.Dir == "" && only.Sophos.Status == "" && only.Defender.File == "" && len(only.Defender.Run)+len(only.Probes) == 0 {
		return errors.New("no scanner is named: use --clamav, --sophos, --defender, --newest, --run, --from, --manifest or --config")
	}
	return nil
}

// levels are the functionality levels: what the databases are made for, and what the engine can, which clamconf knows.
func levels(ctx context.Context, g *mailgw.Gateway) []event.Figure {
	var out []event.Figure
	s, _ := g.ClamAV().Snapshot(ctx) // what cannot be read is told by the figures already
	for _, d := range s.Databases {
		if d.Err == nil {
			out = append(out, event.Measure("clamav_database_level", "Functionality level that a database is made for.", "", float64(d.Level), "database", d.Name))
		}
	}
	clamconf, err := exec.LookPath("clamconf")
	if err != nil {
		return out
	}
	ask := mailgw.Config{Probes: []mailgw.ProbeConfig{{Name: "clamconf", Run: []string{clamconf}, Match: `(?m)^Engine flevel: (\d+)`, Time: "number"}}}
	for _, engine := range mailgw.NewScanners(ask, nil).Snapshot(ctx) {
		if engine.Value != nil {
			out = append(out, event.Measure("clamav_engine_level", "Functionality level of the engine.", "", *engine.Value))
		}
	}
	return out
}

// problems collects what would be logged, for the output of a check.
type problems struct {
	mu    sync.Mutex
	lines []string
}

// Enabled takes what is not only information.
func (*problems) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

// Handle keeps what failed and why.
func (p *problems) Handle(_ context.Context, r slog.Record) error {
	part, why := "", ""
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "part", "source":
			part = a.Value.String()
		case "error":
			why = a.Value.String()
		}
		return true
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, part+": "+why)
	return nil
}

// WithAttrs is not used by who logs here.
func (p *problems) WithAttrs([]slog.Attr) slog.Handler { return p }

// WithGroup is not used by who logs here.
func (p *problems) WithGroup(string) slog.Handler { return p }

func (p *problems) all() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Compact(slices.Sorted(slices.Values(p.lines)))
}
