package main

import (
	"flag"

	"github.com/spf13/cobra"

	"varde/cmd/snmp"
)

func agentxCommand() *cobra.Command {
	o := snmp.DefaultOptions()
	cmd := &cobra.Command{
		Use: "agentx", Short: "the SNMP sub-agent alone: amavis and the queues of Postfix, as amavisd-snmp-subagent", Args: cobra.NoArgs,
		Long: `agentx gives a running snmpd all objects of AMAVIS-MIB, and what that leaves out below varde's own root:
the queues hold and corrupt, the age of the oldest message, the age of the data. It only reads, and needs no
root: membership in the groups amavis (counters) and postdrop (queues), and a socket that snmpd lets it open.
Where varde run has "agentx" in its configuration, all other figures of varde are served too.`,
		Example: "  varde agentx --snmpd-conf >> /etc/snmp/snmpd.conf\n  varde agentx --amavis /var/lib/amavis/db --socket /var/agentx/master",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.Run(cmd.Context(), cmd.OutOrStdout(), newLog(false))
		},
	}
	flags := flag.NewFlagSet("agentx", flag.ContinueOnError)
	o.Flags(flags)
	cmd.Flags().AddGoFlagSet(flags)
	return cmd
}
