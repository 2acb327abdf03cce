package flow_test

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"net/netip"
	"testing"

	"varde/event"
	"varde/input/flow"
	"varde/input/flow/flowgen"
)

// TestListedExportersKeepTheirRoom has spoofed exporters use up the memory: what one that is listed by its address
// teaches is taken all the same, and a listed prefix gives none of its addresses such a right.
func TestListedExportersKeepTheirRoom(t *testing.T) {
	cfg := flow.DefaultConfig()
	cfg.Max = 3000
	cfg.Exporters = []flow.ExporterConfig{{Address: "10.0.0.0/8"}, {Address: router.Addr().String()}}
	c, err := flow.New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	records := map[string]int{}
	r := c.Reader(func(e *event.Event) { records[e.Exporter]++ })
	real := datagrams(flowgen.NetFlow5, 1)[0]
	for i := range 4000 {
		r.Packet(spoofed(i), real, now)
		for j := range 8 {
			r.Packet(spoofed(i), export(flow.IPFIX, 0, set(2, templatesOf(j, 1, 340))), now)
		}
	}
	if n := len(c.Exporters()); n != 3000 {
		t.Errorf("%d exporters known, want 3000", n)
	}
	flows := row(templates(flow.IPFIX, []spec{{8, 4, 0}}), set(300, ip("198.51.100.1")))
	r.Packet(spoofed(1), export(flow.IPFIX, 0, flows), now)
	r.Packet(router, export(flow.IPFIX, 0, flows), now)
	if records[spoofed(1).Addr().String()] != 1 || records[router.Addr().String()] != 1 {
		t.Errorf("%d records of a spoofed exporter, %d of the listed one, want 1 and 1", records[spoofed(1).Addr().String()], records[router.Addr().String()])
	}
}

// TestManyRestarts has an exporter come back from another port each time, with another layout under the same number.
func TestManyRestarts(t *testing.T) {
	got := 0
	r := collector(t).Reader(func(e *event.Event) {
		if got++; e.DstPort != 80 {
			t.Errorf("%+v", e)
		}
	})
	const restarts = 200
	for i := range restarts {
		fields, values := []spec{{8, 4, 0}, {11, 2, 0}}, row(ip("198.51.100.1"), num(2, 80))
		if i%2 == 1 {
			fields, values = []spec{{11, 2, 0}, {8, 4, 0}}, row(num(2, 80), ip("198.51.100.1"))
		}
		from := netip.AddrPortFrom(router.Addr(), uint16(1000+i))
		at := now + int64(i)*second
		r.Packet(from, export(flow.NetFlow9, 0, templates(flow.NetFlow9, fields)), at)
		r.Packet(from, export(flow.NetFlow9, 1, set(300, values)), at)
	}
	if got != restarts {
		t.Errorf("%d of %d records", got, restarts)
	}
}

// TestSilentDomainsMakeRoom has an exporter use a new domain each time, as those do that take a process id for it.
func TestSilentDomainsMakeRoom(t *testing.T) {
	c := collector(t)
	got := 0
	r := c.Reader(func(*event.Event) { got++ })
	flows := row(templates(flow.IPFIX, []spec{{8, 4, 0}}), set(300, ip("198.51.100.1")))
	for i := range 300 {
		r.Packet(router, inDomain(i, export(flow.IPFIX, 0, flows)), now)
	}
	if got != 256 {
		t.Errorf("%d records of as many domains at once, want 256", got)
	}
	for i := range 300 {
		r.Packet(router, inDomain(1000+i, export(flow.IPFIX, 0, flows)), now+int64(3*i+700)*second)
	}
	if got != 256+300 {
		t.Errorf("%d records of domains one after the other, want 300", got-256)
	}
}

// TestForgottenByAnotherReader has one reader forget the exporter that another one still holds to.
func TestForgottenByAnotherReader(t *testing.T) {
	cfg := flow.DefaultConfig()
	cfg.Max = 1
	c, err := flow.New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	first, second := c.Reader(func(*event.Event) {}), c.Reader(func(*event.Event) {})
	template := export(flow.IPFIX, 0, templates(flow.IPFIX, []spec{{8, 4, 0}}))
	for range 3 {
		first.Packet(router, template, now)
		second.Packet(spoofed(1), template, now)
	}
	first.Packet(router, template, now)
	all := c.Exporters()
	if len(all) != 1 || all[0].Addr != router.Addr() || all[0].Datagrams != 1 {
		t.Errorf("%+v", all)
	}
	if n := estimated(t, c); n > 5000 {
		t.Errorf("%d bytes for one exporter with one template", n)
	}
}

// TestFilesGiveTheirMemoryBack reads a file with templates; nothing of it stays booked.
func TestFilesGiveTheirMemoryBack(t *testing.T) {
	c := collector(t)
	file := bytes.Join([][]byte{
		export(flow.IPFIX, 0, set(2, templatesOf(0, 100, 10))),
		export(flow.IPFIX, 0, set(2, []byte{1, 44, 0, 0})), // withdrawn
		export(flow.IPFIX, 0, set(2, []byte{0, 2, 0, 0})),  // all withdrawn
		export(flow.IPFIX, 0, set(2, templatesOf(0, 7, 10))),
	}, nil)
	if err := c.Reader(func(*event.Event) {}).File("test", bytes.NewReader(file)); err != nil {
		t.Fatal(err)
	}
	if n := estimated(t, c); n != 0 {
		t.Errorf("%d bytes are still booked", n)
	}
}

// estimated is what the collector believes to use.
func estimated(t *testing.T, c *flow.Collector) (bytes int) {
	t.Helper()
	figures, err := c.Figures(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range figures {
		if f.Name == "varde_flow_memory_bytes" || f.Name == "varde_flow_held_bytes" {
			bytes += int(f.Value)
		}
	}
	return bytes
}

// spoofed is the n-th of many senders.
func spoofed(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 40000)
}

// inDomain puts a message into another domain.
func inDomain(n int, b []byte) []byte {
	at := 16
	if flow.Version(b[1]) == flow.IPFIX {
		at = 12
	}
	binary.BigEndian.PutUint32(b[at:], uint32(n))
	return b
}

// templatesOf are n templates of so many fields, with numbers from first on.
func templatesOf(first, n, fields int) (b []byte) {
	for i := range n {
		b = binary.BigEndian.AppendUint16(b, uint16(256+first+i))
		b = binary.BigEndian.AppendUint16(b, uint16(fields))
		for range fields {
			b = append(b, 0, 8, 0, 4)
		}
	}
	return b
}
