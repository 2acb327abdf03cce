package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"varde/core/intel"
	"varde/event"
	"varde/event/human"
	"varde/output/check"
)

func checkFileCommand() *cobra.Command {
	path, host, output, verbose, quiet := "", "", "text", false, false
	least, most := human.Size(check.DefaultMinSize), human.Size(check.DefaultMaxSize)
	files := check.Files{MaxFiles: check.DefaultMaxFiles}
	cmd := &cobra.Command{
		Use: "check-file PATH...", Short: "files and folders against the checksums of the lists, for amavis and others", Args: cobra.MinimumNArgs(1),
		Long: `check-file looks whether a list names one of the files by its MD5, SHA-1 or SHA-256. Folders are looked at with all that is
in them; links in them are not followed. Empty and tiny files never match. A running varde is asked; where none answers,
the lists of the configuration are read, which takes longer.

One line for each match: PATH: LIST.NAME FOUND.
Exit codes: 0 clean, 1 something was found, 2 an error; also where something could not be looked at and nothing was found.`,
		Example: "  varde check-file /var/lib/amavis/tmp/amavis-1/parts\n  varde check-file -c /etc/varde/varde.yaml ~/Downloads -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if output != "text" && output != "json" {
				return fmt.Errorf("output %q: use text or json", output)
			}
			files.MinSize, files.MaxSize = int64(least), int64(most)
			files.Known = &knownHashes{path: path, host: host}
			out := cmd.OutOrStdout()
			n, err := files.Scan(cmd.Context(), args, func(m check.FileMatch) {
				if output == "json" {
					json.NewEncoder(out).Encode(matchedFile{m.Path, m.Size, m.Hash, m.Evidence.Text, m.Evidence.List, m.Evidence.Name, m.Evidence.URL, m.Evidence.Confidence})
					return
				}
				fmt.Fprintf(out, "%s: %s FOUND\n", human.Safe(m.Path), malware(&m.Evidence))
			})
			if verbose {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s looked at, %d too small, %s, %d found\n", plural(n.Files, "file"), n.Small, human.Bytes(uint64(n.Bytes)), n.Matched)
			}
			switch {
			case n.Matched > 0 && err != nil && !quiet:
				fmt.Fprintln(cmd.ErrOrStderr(), "varde:", err)
				return exit(exitFound)
			case n.Matched > 0:
				return exit(exitFound)
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", "", "configuration file")
	cmd.Flags().StringVarP(&host, "hostname", "H", "", "where varde serves its metrics; from the configuration when left out")
	cmd.Flags().StringVarP(&output, "output", "o", output, "text or json")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "say how much was looked at")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "say nothing of what could not be looked at where something was found")
	cmd.Flags().TextVar(&least, "min-size", least, "smaller files never match")
	cmd.Flags().TextVar(&most, "max-size", most, "larger files are not read, which is an error")
	cmd.Flags().IntVar(&files.MaxFiles, "max-files", files.MaxFiles, "how many files are looked at; more are an error")
	cmd.Flags().Uint8Var(&files.Confidence, "confidence", 0, "leave out entries of lists with less confidence")
	return cmd
}

// matchedFile is a match as JSON.
type matchedFile struct {
	Path       string `json:"path"`
	Size       int64  `json:"size"`
	Kind       string `json:"kind"`
	Hash       string `json:"hash"`
	List       string `json:"list"`
	Name       string `json:"name,omitempty"`
	URL        string `json:"url,omitempty"`
	Confidence uint8  `json:"confidence"`
}

// malware is the name that a scanner would give it: the list and what it calls the file, in characters that amavis and
// mail headers take.
func malware(v *event.Evidence) string {
	name := v.List
	if v.Name != "" {
		name += "." + v.Name
	}
	name = strings.Map(func(c rune) rune {
		if c < 0x7f && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("._-", c)) {
			return c
		}
		return '_'
	}, name)
	return name[:min(len(name), 100)]
}

// knownHashes asks the running varde, and reads the lists itself where none answers.
type knownHashes struct {
	path, host string
	from       check.Known
}

// Hashes answers check.Known.
func (k *knownHashes) Hashes(ctx context.Context, sums [][]byte) ([][]event.Evidence, error) {
	if k.from != nil {
		return k.from.Hashes(ctx, sums)
	}
	address, err := metricsAddress(k.host, k.path)
	if err != nil {
		return nil, err
	}
	remote := &check.RemoteHashes{URL: address + check.HashPath}
	out, err := remote.Hashes(ctx, sums)
	if err == nil {
		k.from = remote
		return out, nil
	}
	if !errors.Is(err, check.ErrNoAnswer) {
		return nil, err
	}
	set, loadErr := k.load()
	if loadErr != nil {
		return nil, errors.Join(err, loadErr)
	}
	k.from = listHashes{set}
	return k.from.Hashes(ctx, sums)
}

// load reads the lists of the configuration. A list that cannot be read is an error here: without it nothing is clean.
func (k *knownHashes) load() (*intel.Set, error) {
	cfg, err := loadOrDefault(k.path)
	if err != nil {
		return nil, err
	}
	if len(cfg.Lists) == 0 {
		return nil, errors.New("no list is configured; say with -c which configuration has them")
	}
	dir := ""
	if cfg.DataDir != "" {
		dir = filepath.Join(cfg.DataDir, "lists")
	}
	set, err := intel.New(cfg.Lists, cfg.Allow, dir, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	if err := set.Load(); err != nil {
		return nil, err
	}
	for _, l := range set.Lists() {
		if l.Loaded.IsZero() {
			return nil, fmt.Errorf("list %q has never been read; start varde run, which fetches it", l.Name)
		}
	}
	return set, nil
}

// listHashes asks lists that are here.
type listHashes struct{ set *intel.Set }

// Hashes answers check.Known.
func (l listHashes) Hashes(_ context.Context, sums [][]byte) ([][]event.Evidence, error) {
	now := time.Now().UnixNano()
	out := make([][]event.Evidence, len(sums))
	for i, s := range sums {
		out[i] = l.set.Hash(s, now)
	}
	return out, nil
}
