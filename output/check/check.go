// Package check is varde as a plugin of Nagios and Icinga: exit codes, ranges, performance data, timeouts and text as
// the guidelines of monitoring-plugins want them, and the checks themselves, one file each. A check judges figures and
// knows nothing of where they come from. What is not known is never OK.
package check

import "time"

// Check is one plugin. Its flags are told here once; command line, Icinga's CheckCommand and NRPE's line come from that.
type Check struct {
	Name    string // as in "varde check av"
	Help    string // one line, without a full stop
	Long    string // what it alerts of, for the manual
	Example string
	Reads   Part
	Flags   []Flag
	Judge   func(*Reading, *Values) Result
}

// Part says where the figures of a check come from.
type Part uint8

// The parts of varde that checks ask.
const (
	Daemon Part = iota // a running varde
	Mail               // the mail gateway on this machine, which needs no running varde
)

// DefaultTimeout ends a check before check_nrpe stops waiting for it, which is after 10 s.
const DefaultTimeout = 9 * time.Second

// Checks are all there are.
func Checks() []*Check {
	return []*Check{
		av(), mailq(), amavis(), rspamd(),
		inputs(), feed(), flow(), warnings(), honeypot(), daemon(),
	}
}

// AllFlags are those of the check and those that every check of its part has.
func (c *Check) AllFlags() []Flag {
	out := append([]Flag(nil), c.Flags...)
	if c.Reads == Daemon {
		out = append(out,
			Flag{Name: "hostname", Short: "H", Hint: "ADDRESS", Help: "where varde serves its metrics, host:port or URL; from the configuration when left out"},
			Flag{Name: "state", Hint: "FILE", Help: "where the counters of this look are kept for the next; below the folder for temporary files when left out"})
	}
	return append(out,
		Flag{Name: "config", Hint: "FILE", Help: "varde's configuration"},
		Flag{Name: "timeout", Short: "t", Kind: Span, Default: DefaultTimeout.String(), Help: "when to give up, which is UNKNOWN"},
		Flag{Name: "verbose", Short: "v", Kind: Switch, Help: "all details"})
}
