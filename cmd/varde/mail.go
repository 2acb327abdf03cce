package main

import (
	"context"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"varde/cmd/snmp"
	"varde/event"
	"varde/input/follow"
	"varde/input/mailgw"
	"varde/input/mailgw/webget"
	"varde/output/agentx"
	"varde/output/web"
)

// mail is everything about the mail gateway, and the SNMP sub-agent, which shows the figures of all parts.
type mail struct {
	gateway  *mailgw.Gateway
	lines    *mailgw.MailLog
	follower *follow.Follower // nil without a mail log
	agent    *agentx.Agent    // nil without an SNMP agent
}

// newMail wires what is configured of it. The other parts are there already.
func (d *daemon) newMail() (err error) {
	m := &d.mail
	m.gateway = mailgw.New(d.cfg.Mail, net.DefaultResolver, webget.New(), d.log)
	if log := d.cfg.MailLog; len(log.Paths) > 0 || log.Journal != nil {
		m.lines = mailgw.NewMailLog()
		if m.follower, err = follow.New("mail", log, d.cfg.DataDir, m.line(d.pipe.Emit), d.log); err != nil {
			return err
		}
	}
	if d.cfg.Agentx.Master == "" {
		return nil
	}
	deps := agentx.Deps{Log: d.log}
	if d.cfg.Mail.Amavis.Dir != "" {
		deps.Amavis = snmp.Amavis(m.gateway.Amavis())
	}
	for _, p := range d.parts() {
		deps.Sources = append(deps.Sources, agentx.Source{Name: p.Name, Figures: p.Figures})
	}
	m.agent, err = agentx.New(d.cfg.Agentx, deps)
	return err
}

// line takes the lines of the mail log.
func (m *mail) line(emit event.Emit) follow.Take {
	return func(o *follow.Origin, line []byte) {
		at := o.Time // of lines that may be old
		if at.IsZero() {
			at = time.Now()
		}
		m.lines.Line(line, at.In(o.Zone), emit)
	}
}

// run starts what is configured.
func (m *mail) run(ctx context.Context, group *errgroup.Group) {
	group.Go(func() error { return m.gateway.Run(ctx) })
	if m.follower != nil {
		group.Go(func() error { return m.follower.Run(ctx) })
	}
	if m.agent != nil {
		group.Go(func() error { return m.agent.Run(ctx) })
	}
}

// parts are those that have figures.
func (m *mail) parts() []web.Part {
	out := []web.Part{{Name: "mail", Figures: m.gateway}}
	if m.follower != nil {
		out = append(out, web.Part{Name: "mail log", Figures: m.lines}, web.Part{Name: "mail log file", Figures: labelled{m.follower, "log", "mail"}})
	}
	if m.agent != nil {
		out = append(out, web.Part{Name: "snmp", Figures: m.agent})
	}
	return out
}

// labelled tells the figures of one of several parts of a kind from those of the others.
type labelled struct {
	part        event.Figures
	name, value string
}

// Figures adds the label to each.
func (l labelled) Figures(ctx context.Context) ([]event.Figure, error) {
	figures, err := l.part.Figures(ctx)
	for i := range figures {
		figures[i].Labels = append(figures[i].Labels, event.Pair{Key: l.name, Value: l.value})
	}
	return figures, err
}
