package main

import (
	"net"

	"varde/cmd/snmp"
	"varde/input/mailgw"
	"varde/output/agentx"
)

// newMail wires the readers of the mail gateway and the SNMP sub-agent, which shows the figures of all parts.
func (d *daemon) newMail() (err error) {
	d.mail = mailgw.New(d.cfg.Mail, net.DefaultResolver, d.log)
	if d.cfg.Agentx.Master == "" {
		return nil
	}
	deps := agentx.Deps{Log: d.log}
	if d.cfg.Mail.Amavis.Dir != "" {
		deps.Amavis = snmp.Amavis(d.mail.Amavis())
	}
	for _, p := range d.parts() {
		deps.Sources = append(deps.Sources, agentx.Source{Name: p.Name, Figures: p.Figures})
	}
	d.agent, err = agentx.New(d.cfg.Agentx, deps)
	return err
}
