// Command varde watches the edge of a network. Each subcommand has a file of its own; serve.go holds the wiring.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	_ "time/tzdata" // zones of logs and days also where the system has none installed

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// Exit codes of every command.
const (
	exitFound = 1 // match, hunt: something was found
	exitError = 2
)

// exit is an error that only sets the exit code.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func main() {
	os.Exit(run(asPlugin(os.Args)))
}

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := command()
	root.SetArgs(args)
	err := pluginExit(root.ExecuteContextC(ctx))
	var code exit
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	}
	fmt.Fprintln(os.Stderr, "varde:", err)
	return exitError
}

// command is the tree of all commands.
func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "varde",
		Short: "watch the edge of a network and warn of known-bad addresses",
		Long: `varde collects flows (NetFlow, IPFIX, sFlow) and the logs of firewalls, matches both ends against lists of
known-bad addresses, finds scans and ports on the rise, and warns once for each incident.

Exit codes: 0 fine, 1 something was found (match, hunt), 2 an error. The checks have those of monitoring plugins.`,
		Example:       "  varde demo\n  varde run -c /etc/varde/varde.yaml\n  varde match --list block.txt capture.pcap",
		SilenceErrors: true, SilenceUsage: true,
	}
	root.AddCommand(runCommand(), demoCommand(), checkConfigCommand(), readCommand(), matchCommand(), feedsCommand(),
		fireplotCommand(), reportCommand(), huntCommand(), lookupCommand(), flowsCommand(), muteCommand(), unmuteCommand(), passwdCommand(), agentxCommand(), mibCommand(), checkCommand(), checkFileCommand(), muninCommand(), versionCommand(), manCommand())
	return root
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "print the version", Args: cobra.NoArgs, Example: "  varde version",
		Run: func(cmd *cobra.Command, _ []string) { fmt.Fprintln(cmd.OutOrStdout(), "varde", version()) },
	}
}

// version is what the build knows of itself.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	revision := ""
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision = " " + s.Value[:min(len(s.Value), 12)]
		}
	}
	return info.Main.Version + revision + " " + info.GoVersion
}

func manCommand() *cobra.Command {
	return &cobra.Command{
		Use: "man DIR", Short: "write the manual pages of all commands", Args: cobra.ExactArgs(1), Example: "  varde man /usr/local/share/man/man1",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			return doc.GenManTree(cmd.Root(), &doc.GenManHeader{Title: "VARDE", Section: "1", Source: "varde"}, args[0])
		},
	}
}

// newLog writes to standard error.
func newLog(quiet bool) *slog.Logger {
	level := slog.LevelInfo
	if quiet {
		level = slog.LevelWarn
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
}
