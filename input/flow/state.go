package flow

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/netip"
)

// stateVersion is raised when the form of the state changes in a way that older programs misread.
const stateVersion = 1

// maxState bounds the state that is read back.
const maxState = 256 << 20

type savedState struct {
	Version   int             `json:"version"`
	Exporters []savedExporter `json:"exporters"`
}

type savedExporter struct {
	Address netip.Addr    `json:"address"`
	Last    int64         `json:"last"`
	Domains []savedDomain `json:"domains"`
}

type savedDomain struct {
	Version        Version           `json:"version"`
	ID             uint32            `json:"id"`
	Rates          map[uint64]uint32 `json:"rates,omitempty"`
	InterfaceRates map[uint32]uint32 `json:"interface_rates,omitempty"`
	Interfaces     map[uint32]string `json:"interfaces,omitempty"`
	Templates      []savedTemplate   `json:"templates,omitempty"`
}

type savedTemplate struct {
	ID     uint16  `json:"id"`
	Port   uint16  `json:"port"`
	Scope  int     `json:"scope,omitempty"`
	Seen   int64   `json:"seen"`
	Fields []field `json:"fields"`
}

// SaveState writes what exporters have taught: templates, sampling rates, interface names.
func (c *Collector) SaveState(w io.Writer) error {
	state := savedState{Version: stateVersion}
	for _, x := range c.all() {
		x.mu.Lock()
		s := savedExporter{Address: x.addr, Last: x.last}
		for key, d := range x.domains {
			if key.version != NetFlow9 && key.version != IPFIX {
				continue
			}
			saved := savedDomain{
				Version: key.version, ID: key.id, Rates: maps.Clone(d.rates),
				InterfaceRates: maps.Clone(d.interfaceRates), Interfaces: maps.Clone(d.interfaces),
			}
			for _, all := range d.templates {
				for _, t := range all {
					saved.Templates = append(saved.Templates, savedTemplate{t.id, t.port, t.scope, t.seen, t.fields})
				}
			}
			s.Domains = append(s.Domains, saved)
		}
		x.mu.Unlock()
		if len(s.Domains) > 0 {
			state.Exporters = append(state.Exporters, s)
		}
	}
	if err := json.NewEncoder(w).Encode(state); err != nil {
		return fmt.Errorf("save flow state: %w", err)
	}
	return nil
}

// LoadState takes back what SaveState wrote. Everything in it is checked as if it had come from an exporter.
func (c *Collector) LoadState(r io.Reader) error {
	var state savedState
	if err := json.NewDecoder(io.LimitReader(r, maxState)).Decode(&state); err != nil {
		return fmt.Errorf("load flow state: %w", err)
	}
	if state.Version != stateVersion {
		return fmt.Errorf("load flow state: it has version %d, this program writes %d", state.Version, stateVersion)
	}
	for _, s := range state.Exporters {
		if !s.Address.IsValid() {
			continue
		}
		x := c.admit(s.Address.Unmap(), s.Last)
		if x == nil {
			continue
		}
		x.mu.Lock()
		for i := range s.Domains {
			x.restore(&s.Domains[i])
		}
		x.mu.Unlock()
	}
	return nil
}

func (x *exporter) restore(s *savedDomain) {
	d := x.domain(domainKey{version: s.Version, id: s.ID})
	if d == nil || s.Version != NetFlow9 && s.Version != IPFIX {
		return
	}
	for sampler, rate := range s.Rates {
		d.learn(&told{sampler: sampler, rate: uint64(rate)})
	}
	for index, rate := range s.InterfaceRates {
		d.learn(&told{index: index, rate: uint64(rate)})
	}
	for index, name := range s.Interfaces {
		d.learn(&told{index: index, name: cleanName([]byte(name))})
	}
	for _, t := range s.Templates {
		if t.ID < 256 || len(t.Fields) == 0 || len(t.Fields) > maxFields || t.Scope < 0 || t.Scope > len(t.Fields) {
			continue
		}
		if compiled, ok := compile(t.ID, t.Fields, t.Scope); ok {
			compiled.seen = t.Seen
			d.teach(t.Port, compiled)
		}
	}
}

func (c *Collector) all() []*exporter {
	c.mu.RLock()
	defer c.mu.RUnlock()
	all := make([]*exporter, 0, len(c.exporters))
	for _, x := range c.exporters {
		all = append(all, x)
	}
	return all
}
