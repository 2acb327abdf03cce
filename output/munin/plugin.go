package munin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"varde/event"
)

// Plugin answers munin-node, or munin-run, which starts the plugin by the name of a link to it.
type Plugin struct {
	Figures event.Figures
	Caps    Caps // from MUNIN_CAP_MULTIGRAPH and MUNIN_CAP_DIRTYCONFIG
}

// Run does what the argument of the call says, and writes the values without one. Autoconf is never an error.
func (p *Plugin) Run(ctx context.Context, w io.Writer, name, what string) error {
	figures, err := p.Figures.Figures(ctx)
	switch what {
	case "autoconf":
		answer := "yes"
		if err != nil {
			answer = "no (" + plain(err.Error()) + ")"
		} else if len(Suggest(figures)) == 0 {
			answer = "no (varde has no figures)"
		}
		_, err = fmt.Fprintln(w, answer)
		return err
	case "suggest":
		if err != nil {
			return err
		}
		for _, s := range Suggest(figures) {
			fmt.Fprintln(w, s)
		}
		return nil
	}
	g := Find(name)
	if g == nil {
		return fmt.Errorf("there is no graph %q; use one of %s", name, strings.Join(all(), ", "))
	}
	if err != nil {
		return err
	}
	out := ""
	switch what {
	case "config":
		out = g.Config(figures, p.Caps)
	case "", "fetch":
		out = g.Fetch(figures, p.Caps)
	default:
		return errors.New("use config, autoconf, suggest or nothing")
	}
	_, err = io.WriteString(w, out)
	return err
}

func all() []string {
	var out []string
	for _, g := range Graphs() {
		out = append(out, g.Name)
	}
	return out
}

// Wrapper is the script that Munin takes for the plugin: munin-node-configure looks for its markers, which a program
// in machine code does not show. Links to it have the names of graphs.
func Wrapper(program string) string {
	return `#!/bin/sh
# Graphs of varde. Link this file as /etc/munin/plugins/` + Prefix + `tunnels and so on; "suggest" names the graphs.
# In /etc/munin/plugin-conf.d: [` + Prefix + `*] and env.config /etc/varde/varde.yaml
#%# family=auto
#%# capabilities=autoconf suggest
exec '` + strings.ReplaceAll(program, "'", `'\''`) + `' munin "$(basename "$0")" "$@"
`
}
