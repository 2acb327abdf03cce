package main

import (
	"bufio"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"varde/event"
	"varde/event/human"
	"varde/event/query"
	"varde/output/web"
)

func muteCommand() *cobra.Command {
	var a asked
	var m query.Mute
	length := human.Duration(0)
	end := ""
	cmd := &cobra.Command{
		Use: "mute [ADDRESS|PREFIX]", Short: "silence warnings of an address or a list for a while, with a reason", Args: cobra.MaximumNArgs(1),
		Long:    "mute keeps warnings from going out; they are still stored and shown, greyed, with the reason. Without arguments it lists what is muted.",
		Example: "  varde mute 198.51.100.9 --list scanners --for 7d --why \"a CDN\"\n  varde mute\n  varde mute --end 3",
		RunE: func(cmd *cobra.Command, args []string) error {
			_, _, f, done, err := a.open()
			if err != nil {
				return err
			}
			defer done()
			switch {
			case end != "":
				id, err := strconv.ParseUint(end, 10, 64)
				if err != nil {
					return fmt.Errorf("--end %q: give the number that varde mute shows", end)
				}
				return f.EndMute(cmd.Context(), id)
			case len(args) == 0 && m.List == "" && m.Rule == "":
				mutes, err := f.Mutes(cmd.Context())
				if err != nil {
					return err
				}
				return printMutes(cmd, a.output, mutes)
			case len(args) > 0:
				if m.Prefix, err = onePrefix(args[0]); err != nil {
					return err
				}
			}
			if length > 0 {
				m.Expires = time.Now().Add(time.Duration(length)).UnixNano()
			}
			if u, err := user.Current(); err == nil {
				m.By = u.Username
			}
			if m, err = f.AddMute(cmd.Context(), m); err != nil {
				return err
			}
			return printMutes(cmd, a.output, []query.Mute{m})
		},
	}
	a.flags(cmd, "90d")
	cmd.Flags().StringVar(&m.List, "list", "", "only warnings that this list alone speaks for")
	cmd.Flags().StringVar(&m.Rule, "rule", "", "only warnings of this rule: list, hunt, scan ...")
	cmd.Flags().StringVar(&m.Why, "why", "", "the reason; people will see it")
	cmd.Flags().Var(&length, "for", "how long: 1d, 7d ...; for good when left out")
	cmd.Flags().StringVar(&end, "end", "", "end the mute of this number")
	return cmd
}

func printMutes(cmd *cobra.Command, form string, mutes []query.Mute) error {
	if form == "json" {
		return encode(cmd.OutOrStdout(), mutes)
	}
	t := newTable(cmd.OutOrStdout(), form, "ID", "ADDRESS", "LIST", "RULE", "UNTIL", "BY", "WHY")
	for _, m := range mutes {
		prefix := ""
		if m.Prefix.IsValid() {
			prefix = entryText(m.Prefix)
		}
		until := t.time(event.Stamp(m.Expires))
		if m.Expires == 0 {
			until = "for good"
		}
		t.row(fmt.Sprint(m.ID), prefix, m.List, m.Rule, until, m.By, m.Why)
	}
	return t.end()
}

func passwdCommand() *cobra.Command {
	return &cobra.Command{
		Use: "passwd", Short: "make the hash of a password for web.users", Args: cobra.NoArgs,
		Example: "  varde passwd\n  pass show varde | varde passwd",
		RunE: func(cmd *cobra.Command, _ []string) error {
			password, err := readPassword(cmd)
			if err != nil {
				return err
			}
			hash, err := web.HashPassword(password)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), hash)
			return nil
		},
	}
}

// readPassword reads a line, without showing it where a person types it.
func readPassword(cmd *cobra.Command) (string, error) {
	if f, ok := cmd.InOrStdin().(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprint(cmd.ErrOrStderr(), "Password: ")
		b, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(cmd.ErrOrStderr())
		return string(b), err
	}
	line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if line == "" {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}
