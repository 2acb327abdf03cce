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
	"varde/event"
	"varde/event/human"
	"varde/output/web"
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
	receive, metrics, page, err := freeAddresses()
	if err != nil {
		return err
	}
	text, err := demo.Config(dir, receive, metrics, page, time.Now())
	if err != nil {
		return err
	}
	cfg, err := config.Parse("demo.yaml", text)
	if err != nil {
		return err
	}
	cfg.Warn[0].Console.Format = format
	post := demo.NewGateway()
	d, err := newDaemon(cfg, newLog(true), web.Part{Name: "mail of the demo", Figures: post})
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

  the page    http://%s/

  history     %d days, told while it starts
  metrics     http://%s/metrics

%s, times in UTC%+03d:%02d. Ctrl-C ends it.

`, receive, entries, len(d.lists.Lists()), page, demo.HistoryDays, metrics, time.Now().Format("Monday, 2 January 2006"), zone/3600, zone%3600/60)
	sending, stop := context.WithCancel(ctx)
	defer stop()
	sent := make(chan error, 1)
	go func() { sent <- demo.Send(sending, receive) }()
	posted := make(chan error, 1)
	go func() { posted <- post.Run(sending, dir) }()
	told := make(chan error, 1)
	go func() { told <- d.tellHistory(sending) }()
	err = d.run(ctx)
	stop()
	for _, other := range []<-chan error{told, posted, sent} {
		if otherErr := <-other; err == nil {
			err = otherErr
		}
	}
	os.RemoveAll(dir)
	fmt.Fprintf(out, "\nvarde demo has ended; %s is removed and nothing is left behind.\n", dir)
	return err
}

// tellHistory puts the sample network's last weeks into the store, with the warnings that they would have raised.
func (d *daemon) tellHistory(ctx context.Context) error {
	var at int64
	var said []event.Warning
	who, err := newProbes(&d.cfg, d.probes.places)
	if err != nil {
		return err
	}
	_, _, past, err := watch(&d.cfg, d.log, func() int64 { return at }, func(w event.Warning) { said = append(said, w) }, &who)
	if err != nil {
		return err
	}
	past.Match, past.Store = d.lists.Match, d.memory.Put
	demo.History(ctx, time.Now(), func(e *event.Event) {
		at = e.Received
		past.Emit(e)
	}, past.Sweep)
	for _, w := range said {
		if err := d.memory.Say(ctx, w); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// freeAddresses finds a UDP and two TCP addresses on loopback, the usual ones where they are free.
func freeAddresses() (receive, metrics, page string, err error) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:2055")
	if err != nil {
		if pc, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			return "", "", "", err
		}
	}
	defer pc.Close()
	var tcp [2]string
	for i, usual := range []string{"127.0.0.1:9055", "127.0.0.1:8098"} {
		l, err := net.Listen("tcp", usual)
		if err != nil {
			if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
				return "", "", "", err
			}
		}
		defer l.Close()
		tcp[i] = l.Addr().String()
	}
	return pc.LocalAddr().String(), tcp[0], tcp[1], nil
}
