package flow_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"varde/event"
	"varde/input/flow"
	"varde/input/flow/flowgen"
)

func FuzzNetFlow5(f *testing.F) { fuzz(f, flowgen.NetFlow5, 0, 5) }
func FuzzNetFlow9(f *testing.F) { fuzz(f, flowgen.NetFlow9, 0, 9) }
func FuzzIPFIX(f *testing.F)    { fuzz(f, flowgen.IPFIX, 0, 10) }
func FuzzSFlow(f *testing.F)    { fuzz(f, flowgen.SFlow, 0, 0, 0, 5) }

// fuzz lets a router send two datagrams that begin with the version, twice. They must be decoded to the same records
// whatever came from another router before, and what they taught must survive being saved.
func fuzz(f *testing.F, p flowgen.Protocol, version ...byte) {
	all := datagrams(p, 2)
	f.Add(all[0][len(version):], all[1][len(version):])
	if p == flowgen.IPFIX || p == flowgen.NetFlow9 {
		v := flow.Version(version[1])
		fields := []spec{{8, 4, 0}, {27, 16, 0}, {236, variable, 0}, {14, 1, 6871}, {182, 2, 0}, {180, 2, 0}, {161, 4, 0}, {306, 1, 0}, {48, 2, 0}}
		options := optionsTemplate(v, 1, []spec{{1, 4, 0}, {48, 2, 0}, {305, 4, 0}, {306, 4, 0}, {10, 2, 0}, {82, 8, 0}})
		f.Add(export(v, 1, templates(v, fields), set(300, make([]byte, 60)), make([]byte, 8))[2:], export(v, 2, options, set(301, make([]byte, 48)))[2:])
	}
	var noise [][]byte
	for _, p := range []flowgen.Protocol{flowgen.NetFlow5, flowgen.NetFlow9, flowgen.IPFIX, flowgen.SFlow} {
		noise = append(noise, datagrams(p, 3)...)
	}
	other := netip.MustParseAddrPort("192.0.2.99:40000")
	f.Fuzz(func(t *testing.T, a, b []byte) {
		a, b = append(bytes.Clone(version), a...), append(bytes.Clone(version), b...)
		decode := func(before [][]byte) (*flow.Collector, []event.Event) {
			c := collector(t)
			var got []event.Event
			r := c.Reader(func(e *event.Event) {
				if e.Exporter == router.Addr().String() {
					got = append(got, e.Clone())
				}
			})
			for _, b := range before {
				r.Packet(other, b, now)
			}
			for _, b := range [][]byte{a, b, a, b} {
				r.Packet(router, b, now)
			}
			return c, got
		}
		c, alone := decode(nil)
		if most := 2 * (len(a) + len(b)); len(alone) > most {
			t.Fatalf("%d records out of %d bytes", len(alone), most)
		}
		for i := range alone {
			if e := &alone[i]; e.Src.Is4In6() || e.Dst.Is4In6() || e.Packets < e.RawPackets || e.Bytes < e.RawBytes {
				t.Fatalf("%+v", e)
			}
		}
		if _, after := decode(noise); !reflect.DeepEqual(alone, after) {
			t.Fatalf("another router's records change what is decoded:\n%s", cmp.Diff(alone, after, cmpopts.EquateComparable(netip.Addr{})))
		}
		var state bytes.Buffer
		if err := c.SaveState(&state); err != nil {
			t.Fatal(err)
		}
		if err := collector(t).LoadState(&state); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzFile reads files of IPFIX messages (RFC 5655).
func FuzzFile(f *testing.F) {
	f.Add(bytes.Join(datagrams(flowgen.IPFIX, 3), nil))
	withdrawal := set(2, []byte{1, 44, 0, 0})
	flows := set(300, ip("198.51.100.1"))
	f.Add(bytes.Join([][]byte{
		export(flow.IPFIX, 0, flows),
		export(flow.IPFIX, 1, templates(flow.IPFIX, []spec{{8, 4, 0}}), flows),
		export(flow.IPFIX, 2, withdrawal, flows),
		export(flow.IPFIX, 3, templates(flow.IPFIX, []spec{{12, 4, 0}}), flows),
	}, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		records := 0
		c := collector(t)
		err := c.Reader(func(*event.Event) { records++ }).File("fuzz", bytes.NewReader(b))
		whole := 0 // what the lengths of the messages make up
		for rest := b; len(rest) >= 16 && rest[0] == 0 && rest[1] == 10; {
			n := int(binary.BigEndian.Uint16(rest[2:]))
			if n < 16 || n > len(rest) {
				break
			}
			whole += n
			rest = rest[n:]
		}
		if (err == nil) != (whole == len(b)) {
			t.Fatalf("%d of %d bytes are whole messages, the error is %v", whole, len(b), err)
		}
		if records > len(b) {
			t.Fatalf("%d records out of %d bytes", records, len(b))
		}
	})
}
