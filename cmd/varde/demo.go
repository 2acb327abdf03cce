package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"varde/cmd/config"
	"varde/cmd/demo"
	"varde/event/human"
)

func demoCommand() *cobra.Command {
	length := human.Duration(0)
	format := "line"
	cmd := &cobra.Command{
		Use: "demo", Short: "everything on loopback with sample traffic; nothing leaves the machine", Args: cobra.NoArgs,
		Example: "  varde demo\n  varde demo --for 30s\n  varde demo --format classic",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			if length > 0 {
				var stop context.CancelFunc
				ctx, stop = context.WithTimeout(ctx, time.Duration(length))
				defer stop()
			}
			return runDemo(ctx, cmd, format)
		},
	}
	cmd.Flags().Var(&length, "for", "end after so long")
	cmd.Flags().StringVar(&format, "format", format, "line, classic or json")
	return cmd
}

func runDemo(ctx context.Context, cmd *cobra.Command, format string) error {
	dir, err := os.MkdirTemp("", "varde-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	receive, metrics, err := freeAddresses()
	if err != nil {
		return err
	}
	text, err := demo.Config(dir, receive, metrics, time.Now())
	if err != nil {
		return err
	}
	cfg, err := config.Parse("demo.yaml", text)
	if err != nil {
		return err
	}
	cfg.Warn[0].Console.Format = format
	d, err := newDaemon(cfg, newLog(true))
	if err != nil {
		return err
	}
	out := cmd.ErrOrStderr()
	entries := 0
	for _, l := range d.lists.Lists() {
		entries += l.Entries
	}
	_, zone := time.Now().Zone()
	fmt.Fprintf(out, `varde demo: a small network that does not exist, on loopback only

  exporters   edge-router (NetFlow v9), branch-router (v5), firewall (IPFIX), access-switch (sFlow 1:512)
  receiving   udp %s
  lists       %d entries of %d sample lists
  metrics     http://%s/metrics

%s, times in UTC%+03d:%02d. Ctrl-C ends it.

`, receive, entries, len(d.lists.Lists()), metrics, time.Now().Format("Monday, 2 January 2006"), zone/3600, zone%3600/60)
	sending, stop := context.WithCancel(ctx)
	defer stop()
	sent := make(chan error, 1)
	go func() { sent <- demo.Send(sending, receive) }()
	err = d.run(ctx)
	stop()
	if sendErr := <-sent; err == nil {
		err = sendErr
	}
	os.RemoveAll(dir)
	fmt.Fprintf(out, "\nvarde demo has ended; %s is removed and nothing is left behind.\n", dir)
	return err
}

// freeAddresses finds a UDP and a TCP address on loopback, the usual ones where they are free.
func freeAddresses() (udp, tcp string, err error) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:2055")
	if err != nil {
		if pc, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			return "", "", err
		}
	}
	defer pc.Close()
	l, err := net.Listen("tcp", "127.0.0.1:9055")
	if err != nil {
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return "", "", err
		}
	}
	defer l.Close()
	return pc.LocalAddr().String(), l.Addr().String(), nil
}
