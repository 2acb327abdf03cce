// Command varde-agentx is `varde agentx` as a small static program, for mail relays that run nothing else of varde.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"varde/cmd/snmp"
)

func main() {
	// A walk asks one question after the other, which is work for one core, and each further one holds memory.
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(25)
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o := snmp.DefaultOptions()
	flags := flag.NewFlagSet("varde-agentx", flag.ContinueOnError)
	o.Flags(flags)
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2 // flag has said it
	case flags.NArg() > 0:
		fmt.Fprintf(os.Stderr, "varde-agentx: %q is no option; see --help\n", flags.Arg(0))
		return 2
	}
	if err := o.Run(ctx, os.Stdout, slog.New(slog.NewTextHandler(os.Stderr, nil))); err != nil {
		fmt.Fprintln(os.Stderr, "varde-agentx:", err)
		return 2
	}
	return 0
}
