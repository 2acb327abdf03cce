package intel

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/gaissmai/bart"

	"varde/event"
)

// AllowConfig says which hits are no reason to warn.
type AllowConfig struct {
	NeverAlert bool         `yaml:"never_alert" doc:"Ignore list entries for private, shared, link-local, multicast, documentation and reserved ranges."`
	Entries    []AllowEntry `yaml:"entries" doc:"Hits that are known to be harmless."`
	Warning    []string     `yaml:"warninglists" doc:"Files with MISP warninglists (JSON, type cidr): their addresses are downgraded."`
}

// AllowEntry is one exception; what it leaves out it does not ask for.
type AllowEntry struct {
	Prefix string `yaml:"prefix" doc:"Address or prefix of the foreign host."`
	Port   uint16 `yaml:"port" doc:"Only on this port of the foreign host."`
	List   string `yaml:"list" doc:"Only hits of this list."`
	Action string `yaml:"action" doc:"suppress (the default) or downgrade."`
	Until  string `yaml:"until" doc:"The last day that it holds, as 2026-12-31."`
	Why    string `yaml:"why" doc:"The reason, for whoever reads this next."`
}

// DefaultAllow keeps the never-alert ranges on.
func DefaultAllow() AllowConfig { return AllowConfig{NeverAlert: true} }

// Check says which value is impossible.
func (e *AllowEntry) Check() error {
	if e.Prefix == "" && e.Port == 0 && e.List == "" {
		return fmt.Errorf("an exception needs a prefix, a port or a list")
	}
	if _, _, ok := parseAddress(e.Prefix); e.Prefix != "" && !ok {
		return fmt.Errorf("%q is no address or prefix", e.Prefix)
	}
	if e.Action != "" && e.Action != "suppress" && e.Action != "downgrade" {
		return fmt.Errorf("action %q: use suppress or downgrade", e.Action)
	}
	if _, err := time.Parse(time.DateOnly, e.Until); e.Until != "" && err != nil {
		return fmt.Errorf("until %q is no day: write it as 2026-12-31", e.Until)
	}
	return nil
}

// neverAlert are ranges that lists hold by accident: RFC 6890 and its kin, and RFC 1918.
var neverAlert = [...]string{
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
	"192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
	"::/127", "100::/64", "2001:db8::/32", "fc00::/7", "fe80::/10", "ff00::/8",
}

// allow is the compiled form, asked only after a hit.
type allow struct {
	never   bart.Lite
	known   bart.Table[string] // MISP warninglists
	entries []allowed
}

type allowed struct {
	prefix    netip.Prefix
	port      uint16
	list      string
	downgrade bool
	until     int64
}

func newAllow(cfg AllowConfig) (*allow, error) {
	a := &allow{}
	if cfg.NeverAlert {
		for _, s := range neverAlert {
			a.never.Insert(netip.MustParsePrefix(s))
		}
	}
	for _, e := range cfg.Entries {
		if err := e.Check(); err != nil {
			return nil, err
		}
		x := allowed{port: e.Port, list: e.List, downgrade: e.Action == "downgrade"}
		x.prefix, _, _ = parseAddress(e.Prefix)
		if day, err := time.Parse(time.DateOnly, e.Until); err == nil {
			x.until = event.Nanos(day.AddDate(0, 0, 1))
		}
		a.entries = append(a.entries, x)
	}
	for _, file := range cfg.Warning {
		if err := a.warninglist(file); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// warninglist reads a MISP warninglist.
func (a *allow) warninglist(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read warninglist: %w", err)
	}
	var doc struct {
		Name, Type string
		List       []string
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return fmt.Errorf("read warninglist %s: %w", file, err)
	}
	for _, s := range doc.List {
		if p, _, ok := parseAddress(s); ok {
			a.known.Insert(p, doc.Name)
		}
	}
	return nil
}

// filter removes and downgrades evidence; what remains keeps its order.
func (a *allow) filter(all []event.Evidence, addr netip.Addr, port uint16, from int, now int64) []event.Evidence {
	kept := all[:from]
	if a.never.Contains(addr) {
		return kept
	}
	_, known := a.known.Lookup(addr)
	for _, v := range all[from:] {
		drop := false
		v.Downgraded = known
		for i := range a.entries {
			x := &a.entries[i]
			if x.until != 0 && now >= x.until || x.list != "" && x.list != v.List || x.port != 0 && x.port != port ||
				x.prefix.IsValid() && !x.prefix.Contains(addr) {
				continue
			}
			drop = drop || !x.downgrade
			v.Downgraded = true
		}
		if !drop {
			kept = append(kept, v)
		}
	}
	return kept
}
