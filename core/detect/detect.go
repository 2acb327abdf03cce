// Package detect holds the detectors: state machines that take events and give warnings. Their time is that of the
// events, so a replay says what live watching would have said.
package detect

import (
	"fmt"

	"varde/event/human"
)

// Config is the part of the configuration that is about incidents.
type Config struct {
	Quiet    human.Duration `yaml:"quiet" doc:"An incident ends, with a summary, after so long without traffic."`
	Again    human.Duration `yaml:"again" doc:"An incident that goes on is said again after so long."`
	Growth   uint64         `yaml:"growth" doc:"An incident is said again when its bytes have grown by this factor."`
	Grow     human.Size     `yaml:"growth_from" doc:"Growth below so many bytes is no news."`
	Answered human.Size     `yaml:"answered_bytes" doc:"A TCP answer of more than so many bytes counts as an answer even where flags are unknown."`
	Max      int            `yaml:"max_incidents" doc:"How many incidents are open at a time; the quietest leaves first."`
}

// DefaultConfig suits a network of some thousand hosts.
func DefaultConfig() Config {
	return Config{
		Quiet: human.Duration(3600e9), Again: human.Duration(24 * 3600e9), Growth: 10, Grow: 1 << 20,
		Answered: 200, Max: 100_000,
	}
}

// Check says which value is impossible.
func (c *Config) Check() error {
	if c.Growth < 2 {
		return fmt.Errorf("growth is %d; use 2 or more", c.Growth)
	}
	if c.Max < 1 || c.Max > 10_000_000 {
		return fmt.Errorf("max_incidents is %d; use 1 to 10000000", c.Max)
	}
	return nil
}
