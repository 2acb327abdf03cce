package detect

import (
	"fmt"
	"math"
	"time"

	"varde/event/human"
)

// SurgeConfig is the part of the configuration that is about ports on the rise.
type SurgeConfig struct {
	Sources    int            `yaml:"sources" doc:"So many new sources of a port within a window are needed for a warning."`
	FewSources int            `yaml:"few_sources" doc:"The same where the site sees less than one new source for each port and day."`
	Excess     float64        `yaml:"excess" doc:"There must be so many times the new sources that are expected."`
	Chance     float64        `yaml:"chance" doc:"The highest probability that so many come by chance."`
	Networks   int            `yaml:"networks" doc:"The new sources must come from so many autonomous systems, or /16 and IPv6 /32 where these are not known."`
	Clip       float64        `yaml:"clip" doc:"A port learns at most so many times what is expected of it, so that a surge does not teach itself."`
	HalfLife   human.Duration `yaml:"half_life" doc:"What was learnt counts half after so long."`
	ColdStart  human.Duration `yaml:"cold_start" doc:"Nothing is said before so long was watched."`
	BusyFrom   float64        `yaml:"busy_from" doc:"Ports with so many remembered sources are also watched for a lasting rise to about twice as many."`
	BusyLimit  float64        `yaml:"busy_limit" doc:"How certain such a rise must be: the logarithm of how much likelier it is than no rise."`
	Growth     uint64         `yaml:"growth" doc:"A surge is said again when its sources have grown by this factor."`
	Again      human.Duration `yaml:"again" doc:"A surge that goes on is said again after so long."`
	Quiet      human.Duration `yaml:"quiet" doc:"A surge ends when there were no more sources than usual for so long."`
	SeenPairs  int            `yaml:"seen_pairs" doc:"How many pairs of source and port are remembered for a day, at 8 bytes each."`
}

// DefaultSurge is what docs/detection.md gives measured figures for.
func DefaultSurge() SurgeConfig {
	return SurgeConfig{
		Sources: 8, FewSources: 5, Excess: 1.5, Chance: 1e-8, Networks: 5, Clip: 4, HalfLife: human.Duration(7 * 24 * time.Hour),
		ColdStart: human.Duration(3 * 24 * time.Hour), BusyFrom: 200, BusyLimit: 15, Growth: 4,
		Again: human.Duration(24 * time.Hour), Quiet: human.Duration(24 * time.Hour), SeenPairs: 1 << 20,
	}
}

// Check says which value is impossible.
func (c *SurgeConfig) Check() error {
	for _, v := range []struct {
		name             string
		value, low, high float64
	}{
		{"sources", float64(c.Sources), 2, 10_000},
		{"few_sources", float64(c.FewSources), 2, 10_000},
		{"excess", c.Excess, 1, 1000},
		{"chance", c.Chance, 1e-300, 0.5},
		{"networks", float64(c.Networks), 1, tallyRows},
		{"clip", c.Clip, 1, 1000},
		{"busy_from", c.BusyFrom, 1, math.MaxFloat32},
		{"busy_limit", c.BusyLimit, 1, 10_000},
		{"growth", float64(c.Growth), 2, 1000},
		{"seen_pairs", float64(c.SeenPairs), 1 << 10, 1 << 30},
	} {
		if !(v.value >= v.low && v.value <= v.high) {
			return fmt.Errorf("%s is %v; use %v to %v", v.name, v.value, v.low, v.high)
		}
	}
	for _, v := range []struct {
		name  string
		value human.Duration
	}{
		{"half_life", c.HalfLife}, {"cold_start", c.ColdStart}, {"again", c.Again}, {"quiet", c.Quiet},
	} {
		if v.value < human.Duration(time.Hour) || v.value > human.Duration(366*24*time.Hour) {
			return fmt.Errorf("%s is %v; use 1h to 366d", v.name, v.value)
		}
	}
	return nil
}
