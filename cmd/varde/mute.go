package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"varde/core/intel"
	"varde/event"
	"varde/event/human"
	"varde/event/query"
	"varde/output/web"
)

func muteCommand() *cobra.Command {
	var a asked
	var m query.Mute
	length := human.Duration(0)
	cmd := &cobra.Command{
		Use: "mute [ADDRESS|PREFIX]", Short: "silence warnings of an address or a list for a while, with a reason", Args: cobra.MaximumNArgs(1),
		Long: `mute keeps warnings from going out; they are still stored and shown, greyed, with the reason. Without arguments it lists
what is muted. varde unmute ends a mute before its time.`,
		Example: "  varde mute 198.51.100.9 --list scanners --for 7d --why \"a CDN\"\n  varde mute --rule scan --for 1d --why \"a test of ours\"\n  varde mute",
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			nothing := len(args) == 0 && m.List == "" && m.Rule == ""
			if nothing && (m.Why != "" || length > 0) {
				return errors.New("say what to mute: an address, a prefix, --list or --rule")
			}
			if len(args) > 0 {
				if m.Prefix, err = onePrefix(args[0]); err != nil {
					return err
				}
			}
			cfg, _, f, done, err := a.open()
			if err != nil {
				return err
			}
			defer done()
			if nothing {
				mutes, err := f.Mutes(cmd.Context())
				if err != nil {
					return err
				}
				return printMutes(cmd.OutOrStdout(), a.output, mutes)
			}
			if known := func(l intel.ListConfig) bool { return l.Name == m.List }; m.List != "" && !slices.ContainsFunc(cfg.Lists, known) {
				fmt.Fprintf(cmd.ErrOrStderr(), "no list of the configuration is called %q; varde feeds shows them\n", m.List)
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
			return printMutes(cmd.OutOrStdout(), a.output, []query.Mute{m})
		},
	}
	a.flags(cmd, "")
	cmd.Flags().StringVar(&m.List, "list", "", "only warnings that this list alone speaks for")
	cmd.Flags().StringVar(&m.Rule, "rule", "", "only warnings of this rule: list, hunt, scan ...")
	cmd.Flags().StringVar(&m.Why, "why", "", "the reason; people will see it")
	cmd.Flags().Var(&length, "for", "how long: 1d, 7d ...; for good when left out")
	return cmd
}

func unmuteCommand() *cobra.Command {
	a := asked{output: "table"}
	cmd := &cobra.Command{
		Use: "unmute NUMBER|ADDRESS|PREFIX...", Short: "end mutes before their time", Args: cobra.MinimumNArgs(1),
		Long:    "unmute ends the mutes of these numbers, which varde mute shows, and all mutes of these addresses and prefixes.",
		Example: "  varde unmute 3\n  varde unmute 198.51.100.9",
		RunE: func(cmd *cobra.Command, args []string) error {
			_, _, f, done, err := a.open()
			if err != nil {
				return err
			}
			defer done()
			mutes, err := f.Mutes(cmd.Context())
			if err != nil {
				return err
			}
			ended, err := chosenMutes(mutes, args)
			if err != nil {
				return err
			}
			for _, m := range ended {
				if err := f.EndMute(cmd.Context(), m.ID); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "mute %d has ended: %s (%s)\n", m.ID, human.Safe(muteText(&m)), human.Safe(m.Why))
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&a.config, "config", "c", "", "configuration file, whose data_dir is asked; "+usualConfig+" where there is one")
	return cmd
}

// chosenMutes are those that arguments mean; each must mean one at least.
func chosenMutes(mutes []query.Mute, args []string) (out []query.Mute, err error) {
	for _, text := range args {
		id, numberErr := strconv.ParseUint(text, 10, 64)
		prefix, err := onePrefix(text)
		if numberErr != nil && err != nil {
			return nil, fmt.Errorf("%q is no number that varde mute shows, and no address or prefix", text)
		}
		before := len(out)
		for _, m := range mutes {
			if numberErr == nil && m.ID == id || numberErr != nil && m.Prefix == prefix {
				out = append(out, m)
			}
		}
		if len(out) == before {
			return nil, fmt.Errorf("there is no mute %s; varde mute shows them", text)
		}
	}
	return out, nil
}

// muteText tells what a mute silences.
func muteText(m *query.Mute) string {
	var parts []string
	if m.Prefix.IsValid() {
		parts = append(parts, entryText(m.Prefix))
	}
	if m.List != "" {
		parts = append(parts, "list "+m.List)
	}
	if m.Rule != "" {
		parts = append(parts, "rule "+m.Rule)
	}
	return strings.Join(parts, ", ")
}

func printMutes(out io.Writer, form string, mutes []query.Mute) error {
	if form == "json" {
		type muted struct {
			query.Mute
			Created time.Time `json:"created"`
			Expires time.Time `json:"expires,omitzero"`
		}
		all := []muted{}
		for _, m := range mutes {
			all = append(all, muted{m, event.Stamp(m.Created), event.Stamp(m.Expires)})
		}
		return encode(out, all)
	}
	t := newTable(out, form, "ID", "PREFIX", "LIST", "RULE", "EXPIRES", "BY", "WHY")
	t.none = "nothing is muted"
	for _, m := range mutes {
		prefix := ""
		if m.Prefix.IsValid() {
			prefix = entryText(m.Prefix)
		}
		until := t.time(event.Stamp(m.Expires))
		if m.Expires == 0 && form == "table" {
			until = "never"
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

// readPassword reads a line. Where a person types it, it is not shown, and asked for twice.
func readPassword(cmd *cobra.Command) (string, error) {
	if f, ok := cmd.InOrStdin().(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		var typed [2][]byte
		for i, prompt := range []string{"Password: ", "Again: "} {
			fmt.Fprint(cmd.ErrOrStderr(), prompt)
			b, err := term.ReadPassword(int(f.Fd()))
			fmt.Fprintln(cmd.ErrOrStderr())
			if err != nil {
				return "", err
			}
			typed[i] = b
		}
		if !bytes.Equal(typed[0], typed[1]) {
			return "", errors.New("the two passwords differ; type the same twice")
		}
		return string(typed[0]), nil
	}
	line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if errors.Is(err, io.EOF) {
		err = nil // the last line may lack its newline; an empty one is refused as too short
	}
	return strings.TrimRight(line, "\r\n"), err
}
