//go:build !race

package flow_test

import (
	"encoding/binary"
	"log/slog"
	"net/netip"
	"runtime"
	"testing"

	"varde/event"
	"varde/input/flow"
	"varde/input/flow/flowgen"
)

// TestMemoryIsBounded sends what would fill a careless collector, with the default limits, and measures the heap that
// stays in use. The bounds are those that docs/performance.md states.
func TestMemoryIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("sends three million datagrams")
	}
	for _, tc := range []struct {
		name  string
		most  int // MB
		flood func(send func(from netip.AddrPort, b []byte))
	}{
		{"templates from one exporter", 20, func(send func(netip.AddrPort, []byte)) {
			for i := range 20_000 {
				send(router, inDomain(i/512, export(flow.NetFlow9, uint32(i), set(0, templatesOf(i%512*8, 8, 40)))))
			}
		}},
		{"templates of a thousand fields from one exporter", 20, func(send func(netip.AddrPort, []byte)) {
			for i := range 10_000 {
				send(router, inDomain(i/4096, export(flow.IPFIX, 0, set(2, templatesOf(i%4096, 1, 1000)))))
			}
		}},
		{"templates from many exporters", 150, func(send func(netip.AddrPort, []byte)) {
			for i := range 100_000 {
				send(spoofed(i%5000), export(flow.IPFIX, 0, set(2, templatesOf(i/5000, 1, 300))))
			}
		}},
		{"domains and source ports from many exporters", 150, func(send func(netip.AddrPort, []byte)) {
			b := datagrams(flowgen.NetFlow5, 1)[0]
			for i := range 1_000_000 {
				binary.BigEndian.PutUint16(b[20:], uint16(i/4096/64)) // engine
				send(netip.AddrPortFrom(spoofed(i%4096).Addr(), uint16(i/4096)), b)
			}
		}},
		{"a million spoofed exporters", 10, func(send func(netip.AddrPort, []byte)) {
			b := datagrams(flowgen.NetFlow5, 1)[0]
			for i := range 1_000_000 {
				send(spoofed(i), b)
			}
		}},
		{"a million spoofed exporters with templates and data", 25, func(send func(netip.AddrPort, []byte)) {
			all := datagrams(flowgen.NetFlow9, 1)
			for i := range 500_000 {
				send(spoofed(i), all[0])
				send(spoofed(i), all[1])
			}
		}},
		{"data whose template never comes", 95, func(send func(netip.AddrPort, []byte)) {
			b := export(flow.IPFIX, 0, set(300, make([]byte, 1300)))
			for i := range 200_000 {
				send(spoofed(i%5000), b)
			}
		}},
		{"interface names and samplers from many exporters", 150, func(send func(netip.AddrPort, []byte)) {
			options := optionsTemplate(flow.IPFIX, 1, []spec{{10, 4, 0}, {82, 32, 0}, {34, 4, 0}})
			names := make([]byte, 32*40)
			for i := range 100_000 {
				for j := range 32 {
					binary.BigEndian.PutUint32(names[40*j:], uint32(i/4000*32+j+1))
					copy(names[40*j+4:], "an interface with a long name")
					binary.BigEndian.PutUint32(names[40*j+36:], 100)
				}
				send(spoofed(i%4000), export(flow.IPFIX, 0, options, set(301, names)))
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := heap()
			c, err := flow.New(flow.DefaultConfig(), slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			r := c.Reader(func(*event.Event) {})
			real := datagrams(flowgen.NetFlow5, 1)[0]
			known := map[netip.Addr]bool{}
			tc.flood(func(from netip.AddrPort, b []byte) {
				if !known[from.Addr()] && len(known) < 5000 { // who has sent a record is not forgotten for the next one
					known[from.Addr()] = true
					r.Packet(from, real, now)
				}
				r.Packet(from, b, now)
			})
			known = nil
			used := int(heap()-before) / 1_000_000
			t.Logf("%d MB, estimated %d MB", used, estimated(t, c)/1_000_000)
			if used > tc.most {
				t.Errorf("%d MB in use, at most %d", used, tc.most)
			}
			runtime.KeepAlive(c)
		})
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
