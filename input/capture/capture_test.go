package capture

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// ip4 is a UDP datagram from 192.0.2.1:5000 to 192.0.2.2:2055 with that payload, without a link header.
func ip4(payload string, fragment uint16) []byte {
	n := 28 + len(payload)
	b := []byte{0x45, 0, byte(n >> 8), byte(n), 0, 0, byte(fragment >> 8), byte(fragment), 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2}
	b = append(b, 0x13, 0x88, 8, 7, byte((n-20)>>8), byte(n-20), 0, 0)
	return append(b, payload...)
}

// ip6 is the same over IPv6 behind a hop-by-hop header.
func ip6(payload string) []byte {
	n := 16 + len(payload)
	b := append([]byte{0x60, 0, 0, 0, byte(n >> 8), byte(n), 0, 64, 0x20, 1, 0xd, 0xb8}, make([]byte, 12)...)
	b = append(append(b, 0x20, 1, 0xd, 0xb8), make([]byte, 12)...)
	b = append(b, 17, 0, 1, 4, 0, 0, 0, 0)
	b = append(b, 0x13, 0x88, 8, 7, byte((n-8)>>8), byte(n-8), 0, 0)
	return append(b, payload...)
}

func ether(tags []byte, ip []byte) []byte {
	b := append([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}, tags...)
	if ip[0]>>4 == 6 {
		return append(append(b, 0x86, 0xdd), ip...)
	}
	return append(append(b, 8, 0), ip...)
}

// pcap is a classic file of one link type; every packet is one second and one unit later than the one before.
func pcap(order binary.AppendByteOrder, magic uint32, link uint32, packets ...[]byte) []byte {
	b := order.AppendUint32(nil, magic)
	b = order.AppendUint16(b, 2)
	b = order.AppendUint16(b, 4)
	for _, v := range []uint32{0, 0, 1 << 16, link} {
		b = order.AppendUint32(b, v)
	}
	for i, p := range packets {
		for _, v := range []uint32{uint32(i + 1), uint32(i + 1), uint32(len(p)), uint32(len(p))} {
			b = order.AppendUint32(b, v)
		}
		b = append(b, p...)
	}
	return b
}

func read(t *testing.T, b []byte) (payloads []string, times []int64, stats Stats) {
	t.Helper()
	stats, err := Read("test", bytes.NewReader(b), func(d Datagram) {
		if d.Src.Port() != 5000 || d.Dst.Port() != 2055 {
			t.Errorf("%v -> %v", d.Src, d.Dst)
		}
		payloads, times = append(payloads, string(d.Payload)), append(times, d.Time)
	})
	if err != nil {
		t.Fatal(err)
	}
	return payloads, times, stats
}

func TestClassicForms(t *testing.T) {
	for name, b := range map[string][]byte{
		"little µs, Ethernet":  pcap(binary.LittleEndian, 0xa1b2c3d4, 1, ether(nil, ip4("x", 0)), ether(nil, ip6("y"))),
		"big µs, VLAN, QinQ":   pcap(binary.BigEndian, 0xa1b2c3d4, 1, ether([]byte{0x81, 0, 0, 5}, ip4("x", 0)), ether([]byte{0x88, 0xa8, 0, 1, 0x81, 0, 0, 5}, ip6("y"))),
		"little ns, raw":       pcap(binary.LittleEndian, 0xa1b23c4d, 101, ip4("x", 0), ip6("y")),
		"big ns, cooked":       pcap(binary.BigEndian, 0xa1b23c4d, 113, append(append(make([]byte, 14), 8, 0), ip4("x", 0)...), append(append(make([]byte, 14), 0x86, 0xdd), ip6("y")...)),
		"little µs, cooked v2": pcap(binary.LittleEndian, 0xa1b2c3d4, 276, append(append([]byte{8, 0}, make([]byte, 18)...), ip4("x", 0)...), append(append([]byte{0x86, 0xdd}, make([]byte, 18)...), ip6("y")...)),
		"little µs, loopback":  pcap(binary.LittleEndian, 0xa1b2c3d4, 0, append([]byte{2, 0, 0, 0}, ip4("x", 0)...), append([]byte{24, 0, 0, 0}, ip6("y")...)),
	} {
		payloads, times, stats := read(t, b)
		unit := int64(1000)
		if strings.Contains(name, "ns") {
			unit = 1
		}
		if strings.Join(payloads, " ") != "x y" || stats.Datagrams != 2 || times[1] != 2e9+2*unit {
			t.Errorf("%s: %q at %v, %+v", name, payloads, times, stats)
		}
	}
}

func TestWhatIsSkippedIsCounted(t *testing.T) {
	tcp := ip4("", 0)
	tcp[9] = 6
	cut := ether(nil, ip4("payload", 0))
	_, _, stats := read(t, pcap(binary.LittleEndian, 0xa1b2c3d4, 1,
		ether(nil, ip4("frag", 0x2000)), ether(nil, ip4("rest", 10)), ether(nil, tcp), cut[:len(cut)-3], []byte{1, 2, 3}))
	if stats != (Stats{Packets: 5, Other: 2, Fragments: 2, Truncated: 1}) {
		t.Errorf("%+v", stats)
	}
}

func TestCutFileGivesWhatCameBefore(t *testing.T) {
	b := pcap(binary.LittleEndian, 0xa1b2c3d4, 1, ether(nil, ip4("x", 0)), ether(nil, ip4("y", 0)))
	got := 0
	_, err := Read("cut.pcap", bytes.NewReader(b[:len(b)-5]), func(Datagram) { got++ })
	if got != 1 || err == nil || !strings.Contains(err.Error(), "cut.pcap: packet at byte") {
		t.Errorf("%d datagrams, %v", got, err)
	}
}

// TestPcapng reads what the real editcap makes of a capture.
func TestPcapng(t *testing.T) {
	editcap, err := exec.LookPath("editcap")
	if err != nil {
		t.Skip("editcap (package tshark) is not installed")
	}
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.pcap"), filepath.Join(dir, "out.pcapng")
	if err := os.WriteFile(in, pcap(binary.LittleEndian, 0xa1b23c4d, 1, ether(nil, ip4("x", 0)), ether(nil, ip6("y"))), 0o600); err != nil {
		t.Fatal(err)
	}
	if msg, err := exec.Command(editcap, "-F", "pcapng", in, out).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, msg)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if !Is(b) {
		t.Error("not recognised as a capture")
	}
	if payloads, times, _ := read(t, b); strings.Join(payloads, " ") != "x y" || times[1] != 2_000_000_002 {
		t.Errorf("%q at %v", payloads, times)
	}
}

func TestReadAllocatesNothingAPacket(t *testing.T) {
	var packets [][]byte
	for range 2000 {
		packets = append(packets, ether(nil, ip4("payload", 0)))
	}
	b := pcap(binary.LittleEndian, 0xa1b2c3d4, 1, packets...)
	if n := testing.AllocsPerRun(5, func() { Read("x", bytes.NewReader(b), func(Datagram) {}) }); n > 20 {
		t.Errorf("%v allocations for 2000 packets", n)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(pcap(binary.LittleEndian, 0xa1b2c3d4, 1, ether(nil, ip4("x", 0)), ether([]byte{0x81, 0, 0, 5}, ip6("y"))))
	f.Add([]byte("\x0a\x0d\x0d\x0a\x1c\x00\x00\x00\x4d\x3c\x2b\x1a\x01\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\x1c\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		stats, _ := Read("fuzz", bytes.NewReader(b), func(d Datagram) {
			if len(d.Payload) > len(b) {
				t.Fatalf("%d bytes out of %d", len(d.Payload), len(b))
			}
		})
		if stats.Packets != stats.Datagrams+stats.Other+stats.Fragments+stats.Truncated {
			t.Fatalf("%+v", stats)
		}
	})
}
