// Package config is the configuration: one YAML file, read strictly over defaults, so that an empty file runs.
package config

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"

	"github.com/goccy/go-yaml"
	"github.com/invopop/jsonschema"

	"varde/core/detect"
	"varde/core/geo"
	"varde/core/intel"
	"varde/core/store"
	"varde/input/flow"
	"varde/input/follow"
	"varde/input/fwlog"
	"varde/input/mailgw"
	"varde/input/syslog"
	"varde/output/agentx"
	"varde/output/warn"
	"varde/output/web"
)

// Config is everything that can be configured. Each package owns its part.
type Config struct {
	DataDir   string             `yaml:"data_dir" doc:"Where state, list copies and spools are kept."`
	Network   Network            `yaml:"network" doc:"What is ours."`
	Netflow   flow.Config        `yaml:"netflow" doc:"Receiving NetFlow, IPFIX and sFlow."`
	Lists     []intel.ListConfig `yaml:"lists" doc:"Lists of indicators to match against."`
	Allow     intel.AllowConfig  `yaml:"allow" doc:"Hits that are no reason to warn."`
	DNSBL     intel.DNSBLConfig  `yaml:"dnsbl" doc:"Block lists in DNS, asked only about addresses that are suspicious already."`
	Incidents detect.Config      `yaml:"incidents" doc:"When traffic with a listed address is said, again, and over."`
	Warn      []warn.Config      `yaml:"warn" doc:"Where warnings go; to the console when left out."`
	Store     store.Config       `yaml:"store" doc:"How much is kept and for how long."`
	Web       web.Config         `yaml:"web" doc:"The page and the API."`
	Syslog    syslog.Config      `yaml:"syslog" doc:"Receiving log lines of firewalls."`
	Logs      []Log              `yaml:"logs" doc:"Log files of firewalls, and the journal."`
	Firewall  fwlog.Config       `yaml:"firewall" doc:"What the lines of firewalls mean."`
	Geo       geo.Config         `yaml:"geo" doc:"Country and autonomous system of addresses."`
	Detection Detection          `yaml:"detection" doc:"Finding scans and ports on the rise."`
	Mail      mailgw.Config      `yaml:"mail" doc:"Reading the mail gateway: amavis, Postfix, rspamd, virus scanners."`
	MailLog   follow.Config      `yaml:"mail_log" doc:"The mail log of Postfix and amavis, whose lines become events."`
	Agentx    agentx.Config      `yaml:"agentx" doc:"All figures over SNMP."`
	HTTP      HTTP               `yaml:"http" doc:"Metrics and health."`
}

// Log is one set of log files that belong together.
type Log struct {
	Name          string `yaml:"name" doc:"What to call it, the first path when left out; how far it was read is kept under this name."`
	follow.Config `yaml:",inline"`
	Format        string `yaml:"format" doc:"Format of its lines where they are not found by content; see firewall.format."`
}

// Detection is what finds out who knocks.
type Detection struct {
	Ground detect.GroundConfig `yaml:"ground" doc:"What is served and used on our side."`
	Scans  detect.ScanConfig   `yaml:"scans" doc:"Who tries many things."`
	Surges detect.SurgeConfig  `yaml:"surges" doc:"Ports that many try."`
}

// Check gives a log its name.
func (l *Log) Check() error {
	if l.Name == "" && len(l.Paths) > 0 {
		l.Name = l.Paths[0]
	}
	if l.Name == "" && l.Journal != nil {
		l.Name = "journal"
	}
	if l.Name == "" {
		return fmt.Errorf("a log without paths and journal: name one of them")
	}
	return l.Config.Check()
}

// Network says what is ours.
type Network struct {
	Own   []string          `yaml:"own" doc:"Our addresses and prefixes; without them the unlisted end of a flow is taken as ours."`
	Names map[string]string `yaml:"names" doc:"Names of our hosts by address, as warnings should call them."`
}

// HTTP is the server of metrics and health.
type HTTP struct {
	Listen string `yaml:"listen" doc:"Address of /metrics, /healthz and /readyz; empty is off."`
}

// Default is what an empty file means.
func Default() Config {
	dir := "/var/lib/varde"
	if os.Geteuid() != 0 {
		if home, err := os.UserHomeDir(); err == nil {
			dir = filepath.Join(home, ".local", "share", "varde")
		}
	}
	flows := flow.DefaultConfig()
	flows.Listen = []string{"127.0.0.1:2055"}
	return Config{
		DataDir: dir, Netflow: flows, Allow: intel.DefaultAllow(), Incidents: detect.DefaultConfig(),
		DNSBL: intel.DefaultDNSBL(), Store: store.DefaultConfig(), Web: web.DefaultConfig(),
		Syslog: syslog.DefaultConfig(), Firewall: fwlog.DefaultConfig(),
		Detection: Detection{detect.DefaultGround(), detect.DefaultScan(), detect.DefaultSurge()},
		Mail:      mailgw.DefaultConfig(), Agentx: agentx.DefaultConfig(), HTTP: HTTP{Listen: "127.0.0.1:9055"},
	}
}

// Check says which value is impossible.
func (n *Network) Check() error {
	if _, err := n.Prefixes(); err != nil {
		return err
	}
	_, err := n.HostNames()
	return err
}

// Prefixes are our networks.
func (n *Network) Prefixes() ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range n.Own {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, err := netip.ParseAddr(s)
			if err != nil {
				return nil, fmt.Errorf("own %q is no address or prefix: use 192.0.2.0/24", s)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// HostNames are the names of our hosts.
func (n *Network) HostNames() (map[netip.Addr]string, error) {
	out := map[netip.Addr]string{}
	for s, name := range n.Names {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return nil, fmt.Errorf("names: %q is no address", s)
		}
		out[a.Unmap()] = name
	}
	return out, nil
}

// Load reads a file over the defaults.
func Load(path string) (Config, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("read configuration: %w", err)
	}
	return Parse(path, b)
}

// Parse reads the text of a file of that name over the defaults.
func Parse(name string, text []byte) (Config, error) {
	c := Default()
	if err := decode(name, text, &c); err != nil {
		return Config{}, err
	}
	if len(c.Warn) == 0 {
		c.Warn = []warn.Config{{Console: &warn.ConsoleConfig{}}}
	}
	return c, nil
}

// YAML is the effective configuration as a file.
func (c *Config) YAML() ([]byte, error) { return yaml.Marshal(c) }

// Schema is the JSON Schema of the file, for editors.
func Schema() ([]byte, error) {
	r := jsonschema.Reflector{FieldNameTag: "yaml", DoNotReference: true, RequiredFromJSONSchemaTags: true}
	r.LookupComment = func(t reflect.Type, field string) string {
		if t.Kind() != reflect.Struct {
			return ""
		}
		f, _ := t.FieldByName(field)
		return f.Tag.Get("doc")
	}
	s := r.Reflect(&Config{})
	s.Title = "varde"
	return json.MarshalIndent(s, "", "  ")
}
