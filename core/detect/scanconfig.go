package detect

import (
	"fmt"
	"time"

	"varde/event/human"
)

// ScanConfig is the part of the configuration that is about scans.
type ScanConfig struct {
	FastPorts  int            `yaml:"fast_ports" doc:"So many ports of one of our addresses, tried by one source within fast_window, are a vertical scan."`
	FastWindow human.Duration `yaml:"fast_window" doc:"The window for fast_ports."`
	SlowPorts  int            `yaml:"slow_ports" doc:"So many ports of one of our addresses within slow_window are a slow vertical scan."`
	SlowWindow human.Duration `yaml:"slow_window" doc:"The window for slow_ports."`
	Rho        float64        `yaml:"rho" doc:"A slow scan is a diagonal where the rank correlation of time and port is at least this."`
	Hosts      int            `yaml:"hosts" doc:"The same port of so many of our addresses within host_window is a horizontal scan."`
	HostShare  float64        `yaml:"host_share" doc:"So is this share of our IPv4 addresses, though never fewer than three."`
	HostWindow human.Duration `yaml:"host_window" doc:"The window for hosts, host_share and for the ports and hosts of a block scan."`
	OddProbes  int            `yaml:"odd_probes" doc:"So many Xmas, NULL, FIN or other impossible TCP packets within host_window are a scan."`
	Sources    int            `yaml:"sources" doc:"So many sources of one neighbourhood that share the ports between them are a distributed scan."`
	Growth     uint32         `yaml:"growth" doc:"A scan is said again when its ports or targets have grown by this factor."`
	Again      human.Duration `yaml:"again" doc:"A scan that goes on is said again after so long."`
	Quiet      human.Duration `yaml:"quiet" doc:"A scan ends after so long without a probe, a slow one after eight times the time that it leaves between probes."`
	MaxSources int            `yaml:"max_sources" doc:"How many sources are remembered; the quietest leaves first."`
	MaxScans   int            `yaml:"max_scans" doc:"How many scans are open at a time; the quietest leaves first."`
}

// DefaultScan suits a network of up to some thousand addresses.
func DefaultScan() ScanConfig {
	return ScanConfig{
		FastPorts: 15, FastWindow: human.Duration(5 * time.Minute), SlowPorts: 30, SlowWindow: human.Duration(24 * time.Hour), Rho: 0.95,
		Hosts: 5, HostShare: 0.25, HostWindow: human.Duration(time.Hour), OddProbes: 5, Sources: 3,
		Growth: 10, Again: human.Duration(24 * time.Hour), Quiet: human.Duration(time.Hour), MaxSources: 65_536, MaxScans: 2048,
	}
}

// Check says which value is impossible.
func (c *ScanConfig) Check() error {
	for _, v := range []struct {
		name      string
		value     int
		low, high int
	}{
		{"fast_ports", c.FastPorts, 3, manyPairs},
		{"slow_ports", c.SlowPorts, 3, manyPairs},
		{"hosts", c.Hosts, 2, manyPairs},
		{"odd_probes", c.OddProbes, 1, manyPairs},
		{"sources", c.Sources, 2, maxMembers},
		{"growth", int(c.Growth), 2, 1000},
		{"max_sources", c.MaxSources, 16, 10_000_000},
		{"max_scans", c.MaxScans, 16, 100_000},
	} {
		if v.value < v.low || v.value > v.high {
			return fmt.Errorf("%s is %d; use %d to %d", v.name, v.value, v.low, v.high)
		}
	}
	for _, v := range []struct {
		name  string
		value human.Duration
	}{
		{"fast_window", c.FastWindow}, {"slow_window", c.SlowWindow}, {"host_window", c.HostWindow}, {"again", c.Again}, {"quiet", c.Quiet},
	} {
		if v.value < human.Duration(time.Second) || v.value > human.Duration(31*24*time.Hour) {
			return fmt.Errorf("%s is %v; use 1s to 31d", v.name, v.value)
		}
	}
	if !(c.Rho > 0 && c.Rho <= 1) {
		return fmt.Errorf("rho is %v; use a number above 0 and up to 1", c.Rho)
	}
	if !(c.HostShare > 0 && c.HostShare <= 1) {
		return fmt.Errorf("host_share is %v; use a number above 0 and up to 1", c.HostShare)
	}
	return nil
}
