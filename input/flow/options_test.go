package flow_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"varde/event"
	"varde/input/flow"
	"varde/input/flow/flowgen"
)

// TestInterfaceNames has flowgen send its table of interface names with its flows, and look at them again after the
// state was saved and loaded.
func TestInterfaceNames(t *testing.T) {
	names := make([]string, 300)
	for i := range names {
		names[i] = fmt.Sprintf("xe-0/0/%d", i)
	}
	names[4] = "" // nothing is told of this one
	for name, p := range map[string]flowgen.Protocol{"netflow9": flowgen.NetFlow9, "ipfix": flowgen.IPFIX} {
		t.Run(name, func(t *testing.T) {
			x := flowgen.New(flowgen.Config{Protocol: p, Domain: 7, Boot: boot, Interfaces: names, TemplateEvery: 1 << 30})
			send := func(c *flow.Collector) (got []string) {
				r := c.Reader(func(e *event.Event) {
					got = append(got, fmt.Sprintf("%d %s %d %s", e.InIndex, e.InIf, e.OutIndex, e.OutIf))
				})
				for _, index := range []uint32{1, 300, 5, 301, 0} {
					x.Add(&event.Event{Src: router.Addr(), Dst: router.Addr(), Time: now, End: now, InIndex: index, OutIndex: 2})
				}
				x.Flush(now, func(b []byte) { r.Packet(router, b, now) })
				if s := c.Exporters()[0]; s.LostBefore != 0 || s.Held+int(s.Undecoded) != 0 {
					t.Errorf("%+v", s)
				}
				return got
			}
			first, second := collector(t), collector(t)
			want := []string{"1 xe-0/0/0 2 xe-0/0/1", "300 xe-0/0/299 2 xe-0/0/1", "5  2 xe-0/0/1", "301  2 xe-0/0/1", "0  2 xe-0/0/1"}
			if d := cmp.Diff(want, send(first)); d != "" {
				t.Error(d)
			}
			var state bytes.Buffer
			if err := first.SaveState(&state); err != nil {
				t.Fatal(err)
			}
			if err := second.LoadState(&state); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, send(second)); d != "" {
				t.Errorf("after a restart:\n%s", d)
			}
		})
	}
}

// TestTablesOfInterfaces are the forms in which makers send names.
func TestTablesOfInterfaces(t *testing.T) {
	fixed := func(s string, n int) []byte { return append([]byte(s), make([]byte, n-len(s))...) }
	for name, tc := range map[string]struct {
		version flow.Version
		scope   int
		fields  []spec
		records []byte
		want    string
	}{
		"scope system, index, name and description": {
			flow.NetFlow9, 1,
			[]spec{{1, 4, 0}, {10, 4, 0}, {82, 16, 0}, {83, 32, 0}},
			row(num(4, 1), num(4, 3), fixed("Gi0/3", 16), fixed("uplink", 32)), "Gi0/3",
		},
		"scope interface": {flow.NetFlow9, 1, []spec{{2, 4, 0}, {82, 16, 0}}, row(num(4, 3), fixed("ether3", 16)), "ether3"},
		"scope interface in two bytes, description alone": {
			flow.NetFlow9, 1, []spec{{2, 2, 0}, {83, 64, 0}}, row(num(2, 3), fixed("TenGigE0_0_0_3", 64)), "TenGigE0_0_0_3",
		},
		"scope ingress interface, names of variable length": {
			flow.IPFIX, 1,
			[]spec{{10, 4, 0}, {82, variable, 0}, {83, variable, 0}},
			row(num(4, 3), text("et-0/0/3"), text("to the south")), "et-0/0/3",
		},
		"scope line card and interface": {
			flow.IPFIX, 2, []spec{{141, 4, 0}, {10, 4, 0}, {82, 16, 0}}, row(num(4, 1), num(4, 3), fixed("port 3", 16)), "port 3",
		},
		"physical interface":      {flow.IPFIX, 1, []spec{{252, 4, 0}, {82, 8, 0}}, row(num(4, 3), fixed("p3", 8)), "p3"},
		"empty name, description": {flow.IPFIX, 1, []spec{{10, 4, 0}, {82, 8, 0}, {83, 8, 0}}, row(num(4, 3), fixed("", 8), fixed("south", 8)), "south"},
		"padded with spaces":      {flow.NetFlow9, 1, []spec{{2, 4, 0}, {82, 8, 0}}, row(num(4, 3), []byte("eth0    ")), "eth0"},
		"the last one counts":     {flow.NetFlow9, 1, []spec{{2, 4, 0}, {82, 8, 0}}, row(num(4, 3), fixed("old", 8), num(4, 3), fixed("new", 8)), "new"},
		"remains of an old name":  {flow.NetFlow9, 1, []spec{{2, 4, 0}, {82, 8, 0}}, row(num(4, 3), []byte("e3\x00tail\x00")), "e3"},
		"broken UTF-8":            {flow.NetFlow9, 1, []spec{{2, 4, 0}, {82, 8, 0}}, row(num(4, 3), fixed("a\xff\xfeb", 8)), "a\ufffdb"},
		"a name far too long":     {flow.IPFIX, 1, []spec{{10, 4, 0}, {82, variable, 0}}, row(num(4, 3), text(strings.Repeat("n", 200))), strings.Repeat("n", 64)},
		"another interface":       {flow.NetFlow9, 1, []spec{{2, 4, 0}, {82, 8, 0}}, row(num(4, 4), fixed("eth4", 8)), ""},
		"interface 0 is none":     {flow.NetFlow9, 1, []spec{{2, 4, 0}, {82, 8, 0}}, row(num(4, 0), fixed("eth0", 8)), ""},
	} {
		t.Run(name, func(t *testing.T) {
			flows := row(templates(tc.version, []spec{{8, 4, 0}, {10, 4, 0}}), set(300, row(ip("198.51.100.1"), num(4, 3))))
			got := decode(t, export(tc.version, 0, optionsTemplate(tc.version, tc.scope, tc.fields), set(301, tc.records), flows))
			if len(got) != 1 || got[0].InIf != tc.want {
				t.Errorf("%q, want %q in one record", got[0].InIf, tc.want)
			}
		})
	}
}

// TestTooManyNames floods the table of one domain: what it holds stays, and nothing is added beyond its bound.
func TestTooManyNames(t *testing.T) {
	options := optionsTemplate(flow.IPFIX, 1, []spec{{10, 4, 0}, {82, 4, 0}})
	var records []byte
	for i := range uint64(5000) {
		records = append(records, row(num(4, i+1), []byte("port"))...)
	}
	last := ""
	r := collector(t).Reader(func(e *event.Event) { last = fmt.Sprintf("%q %q", e.InIf, e.OutIf) })
	r.Packet(router, export(flow.IPFIX, 0, options, set(301, records)), now)
	r.Packet(router, export(flow.IPFIX, 0, templates(flow.IPFIX, []spec{{10, 4, 0}, {14, 4, 0}}), set(300, row(num(4, 4096), num(4, 4097)))), now)
	if last != `"port" ""` {
		t.Errorf("interfaces 4096 and 4097 are %s", last)
	}
}

// TestSamplers are the forms in which makers tell their sampling rates.
func TestSamplers(t *testing.T) {
	twoSamplers := row(num(4, 0), num(2, 1), num(4, 100), num(1, 2), num(4, 0), num(2, 2), num(4, 512), num(1, 2))
	for name, tc := range map[string]struct {
		version flow.Version
		scope   int
		fields  []spec // of the options
		records []byte
		flow    []spec // beside an address
		values  []byte
		change  func(*flow.ExporterConfig)
		want    uint32
	}{
		"interval of the system": {flow.NetFlow9, 1, []spec{{1, 4, 0}, {34, 4, 0}, {35, 1, 0}}, row(num(4, 0), num(4, 1000), num(1, 2)), nil, nil, nil, 1000},
		"a scope without length": {flow.NetFlow9, 1, []spec{{1, 0, 0}, {35, 1, 0}, {34, 4, 0}}, row(num(1, 2), num(4, 7)), nil, nil, nil, 7},
		"interval of the exporting process": {
			flow.IPFIX, 1, []spec{{144, 4, 0}, {41, 8, 0}, {34, 4, 0}}, row(num(4, 2), num(8, 9), num(4, 1000)), nil, nil, nil, 1000,
		},
		"sampler table, first sampler": {
			flow.NetFlow9, 1, []spec{{1, 4, 0}, {48, 2, 0}, {50, 4, 0}, {49, 1, 0}}, twoSamplers, []spec{{48, 1, 0}}, num(1, 1), nil, 100,
		},
		"sampler table, second sampler": {
			flow.NetFlow9, 1, []spec{{1, 4, 0}, {48, 2, 0}, {50, 4, 0}, {49, 1, 0}}, twoSamplers, []spec{{48, 4, 0}}, num(4, 2), nil, 512,
		},
		"sampler table, unknown sampler": {
			flow.NetFlow9, 1, []spec{{1, 4, 0}, {48, 2, 0}, {50, 4, 0}, {49, 1, 0}}, twoSamplers, []spec{{48, 1, 0}}, num(1, 3), nil, 0,
		},
		"unknown sampler, static rate": {
			flow.NetFlow9, 1,
			[]spec{{1, 4, 0}, {48, 2, 0}, {50, 4, 0}, {49, 1, 0}},
			twoSamplers,
			[]spec{{48, 1, 0}},
			num(1, 3),
			func(x *flow.ExporterConfig) { x.Sampling = 33 }, 33,
		},
		"the only sampler, flows without its number": {
			flow.NetFlow9, 1, []spec{{1, 4, 0}, {48, 1, 0}, {50, 4, 0}}, row(num(4, 0), num(1, 1), num(4, 64)), nil, nil, nil, 64,
		},
		"interval and space of a selector": {
			flow.IPFIX, 1,
			[]spec{{302, 8, 0}, {304, 2, 0}, {305, 4, 0}, {306, 4, 0}},
			row(num(8, 5), num(2, 1), num(4, 1), num(4, 999)),
			[]spec{{302, 8, 0}},
			num(8, 5), nil, 1000,
		},
		"two in a hundred":       {flow.IPFIX, 1, []spec{{149, 4, 0}, {305, 2, 0}, {306, 2, 0}}, row(num(4, 7), num(2, 2), num(2, 98)), nil, nil, nil, 50},
		"each interface its own": {flow.NetFlow9, 1, []spec{{2, 4, 0}, {34, 4, 0}}, row(num(4, 3), num(4, 100), num(4, 4), num(4, 400)), []spec{{10, 4, 0}}, num(4, 4), nil, 400},
		"each interface its own, by the way out": {
			flow.IPFIX, 1, []spec{{10, 4, 0}, {34, 4, 0}}, row(num(4, 3), num(4, 100)), []spec{{10, 4, 0}, {14, 4, 0}}, row(num(4, 9), num(4, 3)), nil, 100,
		},
		"interface 0 is all":        {flow.NetFlow9, 1, []spec{{2, 4, 0}, {34, 4, 0}}, row(num(4, 0), num(4, 100)), []spec{{10, 4, 0}}, num(4, 4), nil, 100},
		"the record knows better":   {flow.NetFlow9, 1, []spec{{1, 4, 0}, {34, 4, 0}}, row(num(4, 0), num(4, 100)), []spec{{34, 4, 0}}, num(4, 20), nil, 20},
		"the record says nothing":   {flow.NetFlow9, 1, []spec{{1, 4, 0}, {34, 4, 0}}, row(num(4, 0), num(4, 100)), []spec{{34, 4, 0}}, num(4, 0), nil, 100},
		"the operator knows better": {flow.NetFlow9, 1, []spec{{2, 4, 0}, {34, 4, 0}}, row(num(4, 4), num(4, 100)), []spec{{10, 4, 0}, {34, 4, 0}}, row(num(4, 4), num(4, 20)), func(x *flow.ExporterConfig) { x.Sampling, x.Force = 5, true }, 5},
		"forced to nothing":         {flow.NetFlow9, 1, []spec{{1, 4, 0}, {34, 4, 0}}, row(num(4, 0), num(4, 100)), nil, nil, func(x *flow.ExporterConfig) { x.Force = true }, 100},
		"a rate beyond 32 bits":     {flow.IPFIX, 1, []spec{{149, 4, 0}, {34, 8, 0}}, row(num(4, 7), num(8, 1<<40)), nil, nil, nil, 1<<32 - 1},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := flow.DefaultConfig()
			if tc.change != nil {
				x := flow.ExporterConfig{Address: router.Addr().String()}
				tc.change(&x)
				cfg.Exporters = append(cfg.Exporters, x)
			}
			c, err := flow.New(cfg, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			var got []event.Event
			r := c.Reader(func(e *event.Event) { got = append(got, e.Clone()) })
			fields, flows := append([]spec{{8, 4, 0}, {2, 4, 0}}, tc.flow...), row(ip("198.51.100.1"), num(4, 3), tc.values)
			r.Packet(router, export(tc.version, 0, optionsTemplate(tc.version, tc.scope, tc.fields), set(301, tc.records),
				templates(tc.version, fields), set(300, flows)), now)
			if len(got) != 1 || got[0].Sampling != tc.want || got[0].RawPackets != 3 || got[0].Packets != 3*uint64(max(tc.want, 1)) {
				t.Fatalf("want the rate %d in one record: %+v", tc.want, got)
			}
		})
	}
}

func TestForcedSamplingNeedsARate(t *testing.T) {
	x := flow.ExporterConfig{Address: "192.0.2.1", Force: true}
	if err := x.Check(); err == nil || err.Error() != "force_sampling of exporter 192.0.2.1 has no rate; add sampling, 1 where every packet counts" {
		t.Error(err)
	}
}
