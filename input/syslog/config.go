package syslog

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"varde/event/human"
)

// Config is the part of the configuration that is about receiving log lines.
type Config struct {
	UDP         human.List     `yaml:"udp" doc:"UDP addresses to receive syslog on, as \":514\" or \"192.0.2.1:5514\"; empty is off."`
	TCP         human.List     `yaml:"tcp" doc:"TCP addresses; lines end in a newline or have their length before them (RFC 6587), which is seen by itself."`
	TLS         human.List     `yaml:"tls" doc:"TCP addresses that speak TLS (RFC 5425), as \":6514\"."`
	Cert        string         `yaml:"cert_file" doc:"Certificate and its chain for TLS, PEM; read again when it changes."`
	Key         string         `yaml:"key_file" doc:"Private key, PEM."`
	ClientCA    string         `yaml:"client_ca_file" doc:"Senders must show a certificate that one of these has signed, PEM; empty asks for none."`
	Zone        string         `yaml:"zone" doc:"Zone of times that tell none, as Europe/Berlin; empty is that of this machine."`
	Peers       []PeerConfig   `yaml:"peers" doc:"What is known of senders beforehand: names and zones."`
	OnlyListed  bool           `yaml:"only_listed" doc:"Drop, and count, what comes from senders that are not listed."`
	Buffer      human.Size     `yaml:"buffer" doc:"Receive buffer wanted for each UDP socket; the kernel may grant less, which is said at start."`
	Sockets     int            `yaml:"sockets" doc:"UDP sockets for each address; 0 is one for each processor."`
	Connections int            `yaml:"max_connections" doc:"How many TCP connections may be open; one sender may have a quarter of them."`
	Idle        human.Duration `yaml:"idle" doc:"A connection over which nothing came for so long is closed; senders lose a line when that happens to them."`
}

// PeerConfig is what the operator knows of one sender or a prefix of them.
type PeerConfig struct {
	Address string `yaml:"address" doc:"Address or prefix of the sender."`
	Name    string `yaml:"name" doc:"What to call it."`
	Zone    string `yaml:"zone" doc:"Zone of its times, where they tell none."`
}

// DefaultConfig listens nowhere.
func DefaultConfig() Config {
	return Config{Buffer: 16 << 20, Connections: 512, Idle: human.Duration(24 * time.Hour)}
}

// Check says which value is impossible.
func (c *Config) Check() error {
	switch {
	case c.Sockets < 0 || c.Sockets > 256:
		return fmt.Errorf("sockets is %d; use 1 to 256, or 0 for one a processor", c.Sockets)
	case c.Connections < 4 || c.Connections > 1<<16:
		return fmt.Errorf("max_connections is %d; use 4 to %d", c.Connections, 1<<16)
	case time.Duration(c.Idle) < time.Minute:
		return fmt.Errorf("idle is %s; use at least 1m", c.Idle)
	case len(c.TLS) > 0 && (c.Cert == "" || c.Key == ""):
		return errors.New("tls needs cert_file and key_file")
	case len(c.TLS) == 0 && (c.Cert != "" || c.Key != "" || c.ClientCA != ""):
		return errors.New("cert_file, key_file and client_ca_file are for tls, which has no address")
	}
	_, err := loadZone(c.Zone, time.Local)
	return err
}

// Check says which value is impossible.
func (c *PeerConfig) Check() error {
	if _, err := parsePrefix(c.Address); err != nil {
		return err
	}
	_, err := loadZone(c.Zone, time.Local)
	return err
}

func loadZone(name string, otherwise *time.Location) (*time.Location, error) {
	if name == "" {
		return otherwise, nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("zone %q is unknown; use a name like Europe/Berlin or UTC (Debian's package tzdata has them)", name)
	}
	return zone, nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("peer %q is no address or prefix; use 192.0.2.1 or 192.0.2.0/24", s)
	}
	return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
}

// known is a PeerConfig, ready to be asked.
type known struct {
	prefix netip.Prefix
	name   string
	zone   *time.Location
}

// knownPeers are the configured peers, the narrowest prefix first.
func (c *Config) knownPeers(zone *time.Location) ([]known, error) {
	var out []known
	for i := range c.Peers {
		if err := c.Peers[i].Check(); err != nil {
			return nil, err
		}
		p, _ := parsePrefix(c.Peers[i].Address) // Check has seen that both can be read
		z, _ := loadZone(c.Peers[i].Zone, zone)
		out = append(out, known{p, c.Peers[i].Name, z})
	}
	slices.SortStableFunc(out, func(a, b known) int { return b.prefix.Bits() - a.prefix.Bits() })
	return out, nil
}
