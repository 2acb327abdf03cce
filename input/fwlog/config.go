package fwlog

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"varde/event"
)

// Auto is the format that stands for all of them: each line is recognised by its content.
const Auto = "auto"

// Config is the part of the configuration that is about what the lines of one source mean.
type Config struct {
	Format  string            `yaml:"format" doc:"Format of the lines; auto finds it by content, line by line."`
	Zone    string            `yaml:"zone" doc:"Zone of times in formats without an envelope that tell none (Windows, FortiGate), as Europe/Berlin; empty is that of this machine."`
	Actions map[string]string `yaml:"actions" doc:"Texts in the log prefixes of netfilter and RouterOS, and what they stand for: deny, accept, audit or unknown, as \"FW-IN\": deny; the longest that is found decides."`
}

// DefaultConfig recognises every format.
func DefaultConfig() Config { return Config{Format: Auto} }

// Check says which value is impossible.
func (c *Config) Check() error {
	if _, ok := formatIndex(c.Format); !ok && c.Format != "" && c.Format != Auto {
		return fmt.Errorf("format %q is unknown; use auto or one of %s", c.Format, strings.Join(Formats(), ", "))
	}
	if _, err := loadZone(c.Zone); err != nil {
		return fmt.Errorf("zone %q is unknown; use a name like Europe/Berlin or UTC (Debian's package tzdata has them)", c.Zone)
	}
	for text, word := range c.Actions {
		if _, ok := event.ParseAction(word); !ok {
			return fmt.Errorf("action %q of %q is unknown; use deny, accept, audit or unknown", word, text)
		}
		if text == "" {
			return errors.New("actions has an empty text, which every prefix holds; use a part of the prefix")
		}
	}
	return nil
}

// namedAction is an action that the operator has given to a text in prefixes.
type namedAction struct {
	text   string
	action event.Action
}

// actions are the operator's, the longest text first.
func (c *Config) actions() []namedAction {
	var out []namedAction
	for text, word := range c.Actions {
		a, _ := event.ParseAction(word)
		out = append(out, namedAction{text, a})
	}
	slices.SortFunc(out, func(a, b namedAction) int {
		return cmp.Or(cmp.Compare(len(b.text), len(a.text)), strings.Compare(a.text, b.text))
	})
	return out
}
