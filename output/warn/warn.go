// Package warn says warnings to whoever should hear them: console, file, syslog, webhook, mail, program. Each way has
// its own bounded queue, retries and spool on disk, so that a slow or dead one neither slows the watch nor loses
// a warning in silence.
package warn

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"

	"varde/event"
	"varde/event/human"
)

// Config is one way to warn: exactly one of the ways is set.
type Config struct {
	Name    string         `yaml:"name" doc:"What figures, log and spool call it; the way itself when left out."`
	Min     string         `yaml:"min" doc:"Lowest severity that is said: info (the default), low, medium, high or critical."`
	Rules   human.List     `yaml:"rules" doc:"Only warnings of these rules, such as list; all when left out."`
	States  human.List     `yaml:"states" doc:"Only these of opened, escalated and closed; all when left out."`
	Spool   human.Size     `yaml:"spool" doc:"How much may wait on disk while the receiver is down; 64MiB by default."`
	Console *ConsoleConfig `yaml:"console" doc:"On standard output."`
	File    *FileConfig    `yaml:"file" doc:"To a file."`
	Syslog  *SyslogConfig  `yaml:"syslog" doc:"To a syslog receiver (RFC 5424)."`
	Webhook *WebhookConfig `yaml:"webhook" doc:"By HTTP POST."`
	Mail    *MailConfig    `yaml:"mail" doc:"By mail, many warnings in one."`
	Exec    *ExecConfig    `yaml:"exec" doc:"To a program, which gets the warning as JSON on standard input."`
}

// DefaultConfig says warnings on the console.
func DefaultConfig() []Config {
	return []Config{{Spool: defaultSpool, Console: &ConsoleConfig{Format: "line"}}}
}

// Bounds of what may wait on disk for one output.
const (
	defaultSpool = 64 << 20
	leastSpool   = 64 << 10
	maxNameBytes = 64
)

// Check says which value is impossible.
func (c *Config) Check() error {
	ways := 0
	for _, set := range []bool{c.Console != nil, c.File != nil, c.Syslog != nil, c.Webhook != nil, c.Mail != nil, c.Exec != nil} {
		if set {
			ways++
		}
	}
	if ways != 1 {
		return errors.New("each entry under warn has exactly one of console, file, syslog, webhook, mail and exec")
	}
	if strings.ContainsFunc(c.Name, notInName) || strings.HasPrefix(c.Name, ".") || len(c.Name) > maxNameBytes {
		return fmt.Errorf("name %q: use letters, digits, - and _, since the spool is called so", c.Name)
	}
	if _, ok := event.ParseSeverity(c.Min); c.Min != "" && !ok {
		return fmt.Errorf("min %q: use info, low, medium, high or critical", c.Min)
	}
	for _, s := range c.States {
		if _, ok := event.ParseState(s); !ok {
			return fmt.Errorf("states: %q: use opened, escalated and closed", s)
		}
	}
	if c.Spool != 0 && c.Spool < leastSpool {
		return fmt.Errorf("spool %s: use at least %s", c.Spool, human.Size(leastSpool))
	}
	return nil
}

func notInName(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.')
}

// wants tells which warnings this output says.
func (c *Config) wants(w *event.Warning) bool {
	least, _ := event.ParseSeverity(c.Min)
	return w.Severity >= least &&
		(len(c.Rules) == 0 || slices.Contains(c.Rules, w.Rule)) &&
		(len(c.States) == 0 || slices.Contains(c.States, w.State.String()))
}

// sayer makes the way that is configured. Nothing is opened yet, but what it reads at the start is read.
func (c *Config) sayer(log *slog.Logger) (event.Sayer, error) {
	switch {
	case c.Console != nil:
		return newConsole(*c.Console, os.Stdout)
	case c.File != nil:
		return newFile(*c.File)
	case c.Syslog != nil:
		return newSyslog(*c.Syslog)
	case c.Webhook != nil:
		return newWebhook(*c.Webhook)
	case c.Mail != nil:
		return newMail(*c.Mail, log)
	}
	return newExec(*c.Exec)
}
