package snmp

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"

	"varde/input/mailgw"
	"varde/output/agentx"
)

// Options is what the command agentx is told, by whichever program.
type Options struct {
	Mail      mailgw.Config
	Agent     agentx.Config
	SnmpdConf bool // print what snmpd needs instead of running
}

// DefaultOptions are those of a Debian mail relay.
func DefaultOptions() Options {
	o := Options{Mail: mailgw.DefaultConfig(), Agent: agentx.DefaultConfig()}
	o.Mail.Amavis.Dir, o.Mail.Postfix.QueueDir = "/var/lib/amavis/db", "/var/spool/postfix"
	o.Agent.Master = "/var/agentx/master"
	return o
}

// Flags declares the options, with what they are now as defaults.
func (o *Options) Flags(f *flag.FlagSet) {
	f.StringVar(&o.Mail.Amavis.Dir, "amavis", o.Mail.Amavis.Dir, "folder of amavis's snmp.db and nanny.db; empty leaves amavis out")
	f.StringVar(&o.Mail.Postfix.QueueDir, "postfix", o.Mail.Postfix.QueueDir, "queue_directory of Postfix; empty leaves the queues out")
	f.StringVar(&o.Agent.Master, "socket", o.Agent.Master, "where the SNMP agent listens for AgentX: a path or tcp:host:port")
	f.StringVar(&o.Agent.Root, "root", o.Agent.Root, "object identifier below which varde's own figures are")
	f.IntVar(&o.Agent.Priority, "priority", o.Agent.Priority, "rank among sub-agents with the same objects, 1 to 255; the lowest answers")
	f.TextVar(&o.Agent.Every, "every", o.Agent.Every, "how old what is answered may be")
	f.BoolVar(&o.SnmpdConf, "snmpd-conf", false, "print the lines that snmpd.conf needs, and end")
}

// Run does what the options say until ctx ends.
func (o *Options) Run(ctx context.Context, out io.Writer, log *slog.Logger) error {
	if err := o.Agent.Check(); err != nil {
		return err
	}
	if o.SnmpdConf {
		for _, line := range o.Agent.SnmpdConf() {
			if _, err := fmt.Fprintln(out, line); err != nil {
				return err
			}
		}
		return nil
	}
	if o.Mail.Amavis.Dir == "" && o.Mail.Postfix.QueueDir == "" {
		return errors.New("nothing to serve: --amavis and --postfix are both empty")
	}
	return serve(ctx, o.Mail, o.Agent, log)
}
