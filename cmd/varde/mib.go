package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"varde/output/agentx"
)

func mibCommand() *cobra.Command {
	path, output := "", "mib"
	amavis := false
	cmd := &cobra.Command{
		Use: "mib", Short: "the MIB of varde's own objects, or the names of all objects", Args: cobra.NoArgs,
		Long: `mib prints a module in SMIv2 of the objects below varde's own root, for snmpwalk -m and for monitoring.
With --amavis it prints one with the names of amavis's objects, for whoever has no AMAVIS-MIB.
With -o table or -o json it lists identifier, name, type and meaning of every object of both.`,
		Example: "  varde mib > /usr/share/snmp/mibs/VARDE-MIB.txt\n  varde mib --amavis > /usr/share/snmp/mibs/VARDE-AMAVIS-MIB.txt\n  varde mib -o table | grep -i spam",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadOrDefault(path)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			switch {
			case output == "mib" && amavis:
				text, err := agentx.AmavisMIB()
				if err == nil {
					_, err = fmt.Fprint(out, text)
				}
				return err
			case output == "mib":
				_, err := fmt.Fprint(out, cfg.Agentx.MIB())
				return err
			}
			objects, err := cfg.Agentx.Objects()
			if err != nil {
				return err
			}
			switch output {
			case "json":
				enc := json.NewEncoder(out)
				for i := range objects {
					if err := enc.Encode(&objects[i]); err != nil {
						return err
					}
				}
				return nil
			case "table":
				w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
				fmt.Fprintln(w, "OID\tNAME\tTYPE\tMEANING")
				for _, o := range objects {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", o.OID, o.Name, o.Type, o.Help)
				}
				return w.Flush()
			}
			return fmt.Errorf("-o %q: use mib, table or json", output)
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", "", "configuration file, for the root of the objects")
	cmd.Flags().StringVarP(&output, "output", "o", output, "mib, table or json")
	cmd.Flags().BoolVar(&amavis, "amavis", false, "the module of amavis's objects")
	return cmd
}
