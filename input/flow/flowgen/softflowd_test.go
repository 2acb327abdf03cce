package flowgen_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"varde/event"
	"varde/input/flow/flowgen"
)

// softflowdForms are the ways in which softflowd exports.
var softflowdForms = map[string][]string{
	"netflow5":       {"-v", "5"},
	"netflow9":       {"-v", "9"},
	"ipfix":          {"-v", "10"},
	"ipfix both":     {"-v", "10", "-b"},
	"ipfix seconds":  {"-v", "10", "-A", "sec"},
	"ipfix milli":    {"-v", "10", "-A", "milli"},
	"netflow9 VLANs": {"-v", "9", "-T", "vlan"},
	"ipfix Ethernet": {"-v", "10", "-T", "ether"},
}

// TestSoftflowdAsTsharkReadsIt compares each flow of what a real exporter sends with what tshark makes of it.
func TestSoftflowdAsTsharkReadsIt(t *testing.T) {
	for name, args := range softflowdForms {
		t.Run(name, func(t *testing.T) {
			datagrams := softflowd(t, args...)
			compareWithTshark(t, datagrams, softflowdFlows(args))
		})
	}
}

// TestSoftflowdAsNfdumpReadsIt does the same with nfcapd and nfdump, whose release 1.7.1 does not know times in seconds.
func TestSoftflowdAsNfdumpReadsIt(t *testing.T) {
	for name, args := range softflowdForms {
		if name == "ipfix seconds" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			datagrams := softflowd(t, append(args, "-a")...) // else uptimes lie before 0, which nfcapd does not wrap
			got, _ := nfdump(t, flowgen.NetFlow9, func(send func([]byte)) {
				for _, b := range datagrams {
					send(b)
				}
			})
			var want []row
			r := collector(t).Reader(func(e *event.Event) {
				if e.HasReverse {
					e.TCPFlags = e.RevTCPFlags // nfcapd has one field for both, the last one wins
				}
				if e.Proto == event.ICMPv6 && e.Source == "netflow9" {
					e.ICMPType, e.ICMPCode = 0, 0 // nfcapd 1.7.1 knows element 139 in IPFIX only
				}
				want = append(want, expectRow(e, flowgen.NetFlow9, 0))
			})
			for _, b := range datagrams {
				r.Packet(router, b, now)
			}
			for i := range got { // nfcapd 1.7.1 takes the uptimes in IPFIX for each other
				got[i].First, got[i].Last = min(got[i].First, got[i].Last), max(got[i].First, got[i].Last)
			}
			order := func(a, b row) int { return strings.Compare(a.Src4+a.Src6+a.Dst4+a.Dst6, b.Src4+b.Src6+b.Dst4+b.Dst6) }
			slices.SortStableFunc(want, order)
			slices.SortStableFunc(got, order)
			if d := gocmp.Diff(want, got); d != "" || len(want) != softflowdFlows(args) {
				t.Fatalf("%d flows; varde -, nfdump +\n%.3000s", len(want), d)
			}
		})
	}
}

// softflowdFlows is how many flows the traffic makes: two of each of its conversations, unless both directions share
// one record, as those of ICMP never do; NetFlow v5 knows no IPv6.
func softflowdFlows(args []string) (n int) {
	for _, c := range conversations {
		switch {
		case c.a.Is6() && slices.Equal(args, []string{"-v", "5"}):
		case slices.Contains(args, "-b") && (c.proto == event.TCP || c.proto == event.UDP):
			n++
		default:
			n += 2
		}
	}
	return n
}

// softflowd gives the datagrams that softflowd sends for the traffic below.
func softflowd(t *testing.T, args ...string) (datagrams [][]byte) {
	t.Helper()
	program, err := exec.LookPath("softflowd")
	if err != nil {
		t.Skip("softflowd is not installed (Debian package softflowd)")
	}
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	file := filepath.Join(t.TempDir(), "in.pcap")
	if err := os.WriteFile(file, traffic(), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	// In its debug mode, and without a control socket to wait for, softflowd ends at the end of the capture.
	cmd := exec.CommandContext(ctx, program, append([]string{"-D", "-r", file, "-n", conn.LocalAddr().String(), "-c", "none", "-p", file + ".pid"}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("softflowd: %v\n%s", err, out)
	}
	// All is in the socket by now.
	for buf := make([]byte, 1<<16); ; {
		conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		n, _, err := conn.ReadFrom(buf)
		if err != nil {
			return datagrams
		}
		datagrams = append(datagrams, bytes.Clone(buf[:n]))
	}
}

// conversation is one between two hosts; its first packet goes from a to b.
type conversation struct {
	a, b    netip.Addr
	proto   byte
	ap, bp  uint16 // for ICMP the words with type and code
	packets int    // each way
}

var conversations = []conversation{
	{netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("198.51.100.53"), event.UDP, 33000, 53, 2},
	{netip.MustParseAddr("192.0.2.11"), netip.MustParseAddr("198.51.100.80"), event.TCP, 44000, 443, 7},
	{netip.MustParseAddr("192.0.2.12"), netip.MustParseAddr("198.51.100.1"), event.ICMP, 8 << 8, 0, 3},
	{netip.MustParseAddr("2001:db8::10"), netip.MustParseAddr("2001:db8:1::53"), event.UDP, 33001, 53, 2},
	{netip.MustParseAddr("2001:db8::11"), netip.MustParseAddr("2001:db8:1::80"), event.TCP, 44001, 80, 5},
	{netip.MustParseAddr("2001:db8::12"), netip.MustParseAddr("2001:db8:1::1"), event.ICMPv6, 128 << 8, 129 << 8, 2},
}

// traffic is a capture of the conversations, 10 ms between packets, ending now.
func traffic() []byte {
	le, be := binary.LittleEndian, binary.BigEndian
	b := []byte{0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0}
	at := time.Now().Add(-5 * time.Second)
	packet := func(src, dst netip.Addr, proto byte, sp, dp uint16, flags byte) {
		body := be.AppendUint16(be.AppendUint16(nil, sp), dp)
		switch proto {
		case event.UDP:
			body = append(be.AppendUint16(body, 20), make([]byte, 14)...)
		case event.TCP:
			body = append(body, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 1, 0, 0, 0, 0, 0)
		default:
			body = append(be.AppendUint16(nil, sp), make([]byte, 10)...)
		}
		eth := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0}
		if src.Is4() {
			eth = be.AppendUint16(eth, uint16(20+len(body)))
			eth = append(eth, 0, 1, 0, 0, 64, proto, 0, 0)
		} else {
			eth = be.AppendUint16(append(eth[:12], 0x86, 0xdd, 0x60, 0, 0, 0), uint16(len(body)))
			eth = append(eth, proto, 64)
		}
		eth = append(append(append(eth, src.AsSlice()...), dst.AsSlice()...), body...)
		at = at.Add(10 * time.Millisecond)
		for _, v := range []uint32{uint32(at.Unix()), uint32(at.Nanosecond() / 1000), uint32(len(eth)), uint32(len(eth))} {
			b = le.AppendUint32(b, v)
		}
		b = append(b, eth...)
	}
	for _, c := range conversations {
		for i := range c.packets {
			there, back := byte(0x18), byte(0x10) // PSH and ACK
			if i == 0 {
				there, back = 0x02, 0x12
			}
			packet(c.a, c.b, c.proto, c.ap, c.bp, there)
			packet(c.b, c.a, c.proto, c.bp, c.ap, back)
		}
	}
	return b
}
