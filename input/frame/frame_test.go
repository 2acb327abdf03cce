package frame_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"varde/input/frame"
)

var (
	src4, dst4 = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.7")
	src6, dst6 = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::7")
)

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func u16(v int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(v)) }

// udp is a datagram from port 5000 to 53.
func udp(payload string) []byte {
	return join(u16(5000), u16(53), u16(8+len(payload)), u16(0), []byte(payload))
}

// tcp is a segment from port 50000 to 443 with SYN and ACK.
func tcp(payload string) []byte {
	return join(u16(50000), u16(443), make([]byte, 8), []byte{0x50, 0x12}, make([]byte, 6), []byte(payload))
}

// ip4 is a packet with options of so many bytes; offset is the word with the flags of fragments.
func ip4(proto byte, offset, options int, body []byte) []byte {
	header := 20 + options
	return join([]byte{byte(4<<4 | header/4), 0}, u16(header+len(body)), u16(1), u16(offset), []byte{64, proto}, u16(0),
		src4.AsSlice(), dst4.AsSlice(), make([]byte, options), body)
}

func ip6(next byte, body []byte) []byte {
	return join([]byte{6 << 4, 0, 0, 0}, u16(len(body)), []byte{next, 64}, src6.AsSlice(), dst6.AsSlice(), body)
}

// extension is an IPv6 extension header that leads to next, size bytes long.
func extension(next byte, size int, body []byte) []byte {
	return join([]byte{next, byte(size/8 - 1)}, make([]byte, size-2), body)
}

func ethernet(tags []byte, etherType int, packet []byte) []byte {
	return join(make([]byte, 12), tags, u16(etherType), packet)
}

// label is an MPLS label; the last of a stack has its bottom bit set.
func label(bottom bool) []byte {
	if bottom {
		return []byte{0, 1, 1, 64}
	}
	return []byte{0, 1, 0, 64}
}

func TestEthernet(t *testing.T) {
	dns4 := frame.Packet{Src: src4, Dst: dst4, Proto: 17, SrcPort: 5000, DstPort: 53, Payload: []byte("query")}
	dns6 := dns4
	dns6.Src, dns6.Dst = src6, dst6
	plain4, plain6 := ip4(17, 0, 0, udp("query")), ip6(17, udp("query"))
	vlan, service := []byte{0x81, 0, 0, 5}, []byte{0x88, 0xa8, 0, 1}
	for name, tc := range map[string]struct {
		frame []byte
		want  frame.Packet
		ok    bool
	}{
		"IPv4":                         {ethernet(nil, 0x0800, plain4), dns4, true},
		"IPv6":                         {ethernet(nil, 0x86dd, plain6), dns6, true},
		"VLAN":                         {ethernet(vlan, 0x0800, plain4), dns4, true},
		"QinQ":                         {ethernet(join(service, vlan), 0x86dd, plain6), dns6, true},
		"QinQ by the old number":       {ethernet(join([]byte{0x91, 0, 0, 1}, vlan), 0x0800, plain4), dns4, true},
		"MPLS":                         {ethernet(nil, 0x8847, join(label(true), plain4)), dns4, true},
		"MPLS upstream, three labels":  {ethernet(nil, 0x8848, join(label(false), label(false), label(true), plain6)), dns6, true},
		"MPLS behind a VLAN":           {ethernet(vlan, 0x8847, join(label(true), plain6)), dns6, true},
		"padded to the least length":   {ethernet(nil, 0x0800, join(ip4(17, 0, 0, udp("query")), make([]byte, 13))), dns4, true},
		"IPv6 padded":                  {ethernet(nil, 0x86dd, join(plain6, make([]byte, 3))), dns6, true},
		"ARP":                          {ethernet(nil, 0x0806, make([]byte, 28)), frame.Packet{}, false},
		"a length instead of a type":   {ethernet(nil, 100, plain4), frame.Packet{}, false},
		"an Ethernet in MPLS":          {ethernet(nil, 0x8847, join(label(true), make([]byte, 40))), frame.Packet{}, false},
		"cut in the Ethernet header":   {make([]byte, 13), frame.Packet{}, false},
		"cut in a VLAN tag":            {ethernet(nil, 0x8100, []byte{0, 5, 8}), frame.Packet{}, false},
		"cut in a label":               {ethernet(nil, 0x8847, []byte{0, 1, 1}), frame.Packet{}, false},
		"labels without end":           {ethernet(nil, 0x8847, bytes.Repeat(label(false), 100)), frame.Packet{}, false},
		"tags without end":             {ethernet(bytes.Repeat(vlan, 100), 0x0800, plain4), frame.Packet{}, false},
		"no more than eight tags":      {ethernet(bytes.Repeat(vlan, 8), 0x0800, plain4), frame.Packet{}, false},
		"seven tags and the packet":    {ethernet(bytes.Repeat(vlan, 7), 0x0800, plain4), dns4, true},
		"IPv6 under the type of IPv4":  {ethernet(nil, 0x0800, plain6), dns6, true},
		"IP of another version":        {ethernet(nil, 0x0800, join([]byte{0x55}, make([]byte, 40))), frame.Packet{}, false},
		"nothing behind the EtherType": {ethernet(nil, 0x0800, nil), frame.Packet{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var got frame.Packet
			if ok := got.Ethernet(tc.frame); ok != tc.ok {
				t.Fatalf("ok is %v, want %v", ok, tc.ok)
			}
			equal(t, tc.want, got)
		})
	}
}

func equal(t *testing.T, want, got frame.Packet) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()); d != "" {
		t.Error(d)
	}
}

func TestIP(t *testing.T) {
	v4 := func(p frame.Packet) frame.Packet { p.Src, p.Dst = src4, dst4; return p }
	v6 := func(p frame.Packet) frame.Packet { p.Src, p.Dst = src6, dst6; return p }
	dns := frame.Packet{Proto: 17, SrcPort: 5000, DstPort: 53, Payload: []byte("query")}
	syn := frame.Packet{Proto: 6, SrcPort: 50000, DstPort: 443, TCPFlags: 0x12}
	many := udp("query")
	for range 8 {
		many = extension(0, 8, many)
	}
	many[56] = 17
	long := ip4(17, 0, 0, udp("query"))
	binary.BigEndian.PutUint16(long[24:], 999)
	unsegmented := ip4(6, 0, 0, tcp("GET"))
	binary.BigEndian.PutUint16(unsegmented[2:], 0)
	jumbo := ip6(17, udp("query"))
	binary.BigEndian.PutUint16(jumbo[4:], 0)
	mapped := ip6(6, tcp(""))
	copy(mapped[8:24], []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1})
	for name, tc := range map[string]struct {
		packet []byte
		want   frame.Packet
	}{
		"TCP":                            {ip4(6, 0, 0, tcp("GET")), v4(syn)},
		"options":                        {ip4(6, 0, 40, tcp("GET")), v4(syn)},
		"do not fragment":                {ip4(17, 0x4000, 0, udp("query")), v4(dns)},
		"SCTP":                           {ip4(132, 0, 0, join(u16(9), u16(2905), make([]byte, 8))), v4(frame.Packet{Proto: 132, SrcPort: 9, DstPort: 2905})},
		"ICMP":                           {ip4(1, 0, 0, []byte{3, 13, 0, 0}), v4(frame.Packet{Proto: 1, ICMPType: 3, ICMPCode: 13})},
		"ICMPv6":                         {ip6(58, []byte{135, 0, 0, 0}), v6(frame.Packet{Proto: 58, ICMPType: 135})},
		"GRE":                            {ip4(47, 0, 0, make([]byte, 20)), v4(frame.Packet{Proto: 47})},
		"first fragment":                 {ip4(6, 0x2000, 0, tcp("GET")), v4(frame.Packet{Proto: 6, SrcPort: 50000, DstPort: 443, TCPFlags: 0x12, Fragment: true})},
		"later fragment":                 {ip4(6, 100, 0, tcp("GET")), v4(frame.Packet{Proto: 6, Fragment: true})},
		"first fragment of IPv6":         {ip6(44, join([]byte{6, 0, 0, 1}, u16(0), u16(7), tcp(""))), v6(frame.Packet{Proto: 6, SrcPort: 50000, DstPort: 443, TCPFlags: 0x12, Fragment: true})},
		"later fragment of IPv6":         {ip6(44, join([]byte{17, 0, 0, 8}, u16(0), u16(7), []byte("the rest"))), v6(frame.Packet{Proto: 17, Fragment: true})},
		"every extension header":         {ip6(0, extension(43, 8, extension(60, 24, extension(135, 8, extension(139, 16, extension(140, 8, extension(17, 8, udp("query")))))))), v6(dns)},
		"authentication header":          {ip6(51, join([]byte{17, 4}, make([]byte, 22), udp("query"))), v6(dns)},
		"extension headers without end":  {ip6(0, many), v6(frame.Packet{Proto: 17, Short: true})},
		"no next header":                 {ip6(59, []byte("x")), v6(frame.Packet{Proto: 59})},
		"cut extension header":           {ip6(0, []byte{17, 1, 0, 0, 0, 0, 0, 0, 0}), v6(frame.Packet{Proto: 0, Short: true})},
		"cut fragment header":            {ip6(44, []byte{17, 0, 0}), v6(frame.Packet{Proto: 44, Short: true})},
		"cut TCP":                        {ip4(6, 0, 0, tcp("")[:13]), v4(frame.Packet{Proto: 6, Short: true})},
		"cut UDP":                        {ip4(17, 0, 0, udp("")[:7]), v4(frame.Packet{Proto: 17, Short: true})},
		"cut SCTP":                       {ip6(132, []byte{0, 1, 2}), v6(frame.Packet{Proto: 132, Short: true})},
		"cut ICMP":                       {ip4(1, 0, 0, []byte{3}), v4(frame.Packet{Proto: 1, Short: true})},
		"UDP longer than captured":       {long, v4(frame.Packet{Proto: 17, SrcPort: 5000, DstPort: 53, Short: true, Payload: []byte("query")})},
		"not yet segmented, length zero": {unsegmented, v4(syn)},
		"jumbogram":                      {jumbo, v6(dns)},
		"IPv4 mapped into IPv6":          {mapped, frame.Packet{Src: src4, Dst: dst6, Proto: 6, SrcPort: 50000, DstPort: 443, TCPFlags: 0x12}},
	} {
		t.Run(name, func(t *testing.T) {
			got := frame.Packet{SrcPort: 9, TCPFlags: 9, Fragment: true, Short: true, Payload: []byte("of the packet before")}
			if !got.IP(tc.packet) {
				t.Fatal("not taken for IP")
			}
			equal(t, tc.want, got)
		})
	}
	for name, b := range map[string][]byte{
		"empty": nil, "IPv4 cut": ip4(6, 0, 0, nil)[:19], "IPv4 options cut": ip4(6, 0, 40, nil)[:59],
		"IPv4 header too small": join([]byte{0x44}, make([]byte, 30)), "IPv6 cut": ip6(6, nil)[:39],
	} {
		if (&frame.Packet{}).IP(b) {
			t.Errorf("%s: taken for IP", name)
		}
	}
}

// TestEveryCut cuts packets at each byte: what is left is never read beyond and never invented.
func TestEveryCut(t *testing.T) {
	for _, whole := range [][]byte{
		ethernet([]byte{0x81, 0, 0, 5}, 0x0800, ip4(6, 0, 8, tcp("GET"))),
		ethernet(nil, 0x86dd, ip6(0, extension(44, 16, join([]byte{17, 0, 0, 1}, u16(0), u16(7), udp("query"))))),
		ethernet(nil, 0x8847, join(label(false), label(true), ip4(1, 0, 0, []byte{8, 0, 0, 0}))),
	} {
		var all frame.Packet
		all.Ethernet(whole)
		for n := range len(whole) {
			var got frame.Packet
			got.Ethernet(bytes.Clone(whole[:n])[:n:n])
			if got.SrcPort != 0 && got.SrcPort != all.SrcPort || got.DstPort != 0 && got.DstPort != all.DstPort || len(got.Payload) > len(all.Payload) {
				t.Fatalf("cut at %d: %+v", n, got)
			}
		}
	}
}

func FuzzEthernet(f *testing.F) {
	f.Add(ethernet([]byte{0x88, 0xa8, 0, 1, 0x81, 0, 0, 5}, 0x0800, ip4(6, 0x2000, 8, tcp("GET"))))
	f.Add(ethernet(nil, 0x86dd, ip6(0, extension(44, 16, join([]byte{17, 0, 0, 1}, u16(0), u16(7), udp("query"))))))
	f.Add(ethernet(nil, 0x8847, join(label(false), label(true), ip6(51, join([]byte{58, 4}, make([]byte, 22), []byte{1, 0})))))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p frame.Packet
		ok := p.Ethernet(b)
		switch {
		case !ok && p.Src.IsValid():
			t.Errorf("no packet, but %+v", p)
		case ok && (!p.Src.IsValid() || !p.Dst.IsValid()):
			t.Errorf("a packet without addresses: %+v", p)
		case p.Src.Is4In6() || p.Dst.Is4In6():
			t.Errorf("an IPv4 address mapped into IPv6: %+v", p)
		case len(p.Payload) > len(b):
			t.Errorf("%d bytes out of %d", len(p.Payload), len(b))
		case p.Short && p.Proto == 6 && p.DstPort != 0:
			t.Errorf("ports that were not captured: %+v", p)
		}
	})
}
