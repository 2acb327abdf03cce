// Package snmp joins the readers of the mail gateway to the SNMP sub-agent. It stands apart from the commands, so that
// varde-agentx, a program of its own for mail relays, holds nothing else.
package snmp

import (
	"context"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"varde/input/mailgw"
	"varde/output/agentx"
)

// Amavis gives the sub-agent what a reader of amavis reads.
func Amavis(reader *mailgw.Amavis) agentx.Amavis { return amavis{reader} }

type amavis struct{ reader *mailgw.Amavis }

// Snapshot reads everything at one moment.
func (a amavis) Snapshot(ctx context.Context) (agentx.AmavisValues, time.Duration, error) {
	v, err := a.reader.Snapshot(ctx)
	if err != nil {
		return nil, 0, err
	}
	return func(name string) (agentx.AmavisValue, bool) {
		x, ok := v.Exported(name)
		return agentx.AmavisValue{Count: x.Count, Int: x.Int, Text: x.Text}, ok
	}, v.Age, nil
}

// serve serves amavis and the queues of Postfix until ctx ends, without the rest of varde.
func serve(ctx context.Context, mail mailgw.Config, agent agentx.Config, log *slog.Logger) error {
	gateway := mailgw.NewMTA(mail, log)
	deps := agentx.Deps{Log: log, Sources: []agentx.Source{{Name: "mail", Figures: gateway}}}
	if mail.Amavis.Dir != "" {
		deps.Amavis = Amavis(gateway.Amavis())
	}
	a, err := agentx.New(agent, deps)
	if err != nil {
		return err
	}
	gateway.Refresh(ctx) // so that the first answer knows the queues
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return gateway.Run(ctx) })
	group.Go(func() error { return a.Run(ctx) })
	return group.Wait()
}
