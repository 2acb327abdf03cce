package capture

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

// block is a block of pcapng in the byte order given.
func block(order binary.AppendByteOrder, kind uint32, body ...[]byte) []byte {
	all := bytes.Join(body, nil)
	all = append(all, make([]byte, -len(all)&3)...)
	length := uint32(12 + len(all))
	b := order.AppendUint32(order.AppendUint32(nil, kind), length)
	return order.AppendUint32(append(b, all...), length)
}

func words(order binary.AppendByteOrder, v ...uint32) (b []byte) {
	for _, w := range v {
		b = order.AppendUint32(b, w)
	}
	return b
}

func section(order binary.AppendByteOrder) []byte {
	return block(order, blockSection, words(order, byteOrderMagic, 1, 0xffffffff, 0xffffffff))
}

// describe is an interface of raw IP with a resolution of its timestamps, 0 for none.
func describe(order binary.AppendByteOrder, link uint16, snapshot uint32, resolution byte) []byte {
	var options []byte
	if resolution != 0 {
		options = order.AppendUint16(order.AppendUint16(nil, optionTSResol), 1)
		options = append(options, resolution, 0, 0, 0)
	}
	return block(order, blockInterface, order.AppendUint16(order.AppendUint16(nil, link), 0), words(order, snapshot), options)
}

func enhanced(order binary.AppendByteOrder, id uint32, at uint64, packet []byte) []byte {
	n := uint32(len(packet))
	return block(order, blockEnhanced, words(order, id, uint32(at>>32), uint32(at), n, n), packet)
}

func TestPcapngBlocks(t *testing.T) {
	le, be := binary.LittleEndian, binary.BigEndian
	x, y := ip4("x", 0), ip6("y")
	for name, tc := range map[string]struct {
		file  []byte
		want  string
		times []int64
		stats Stats
	}{
		"microseconds, nanoseconds and binary fractions": {
			bytes.Join([][]byte{
				section(le), describe(le, 101, 0, 0), describe(le, 101, 0, 9), describe(le, 101, 0, 0x80|10),
				enhanced(le, 0, 5_000_001, x), enhanced(le, 1, 5_000_000_001, y), enhanced(le, 2, 5<<10|512, x),
			}, nil), "x y x", []int64{5_000_001_000, 5_000_000_001, 5_500_000_000}, Stats{Packets: 3, Datagrams: 3},
		},
		"big-endian, and another section in the other order": {
			bytes.Join([][]byte{
				section(be), describe(be, 101, 0, 3), enhanced(be, 0, 7_001, x),
				section(le), describe(le, 101, 0, 0), enhanced(le, 0, 8_000_000, y),
			}, nil), "x y", []int64{7_001_000_000, 8_000_000_000}, Stats{Packets: 2, Datagrams: 2},
		},
		"simple packets and those of the old kind": {
			bytes.Join([][]byte{
				section(le), describe(le, 101, 0, 0), block(le, blockSimple, words(le, uint32(len(x))), x),
				block(le, blockOld, []byte{0, 0, 0, 0}, words(le, 0, 3_000_000, uint32(len(y)), uint32(len(y))), y),
			}, nil), "x y", []int64{0, 3_000_000_000}, Stats{Packets: 2, Datagrams: 2},
		},
		"cut by the capture's own limit": {
			bytes.Join([][]byte{section(le), describe(le, 101, 20, 0), block(le, blockSimple, words(le, uint32(len(x))), x[:20])}, nil),
			"", nil,
			Stats{Packets: 1, Truncated: 1},
		},
		"blocks that we do not know": {
			bytes.Join([][]byte{section(le), block(le, 0xbad, words(le, 1, 2, 3)), describe(le, 101, 0, 0), block(le, 5, words(le, 0)), enhanced(le, 0, 0, x)}, nil),
			"x",
			[]int64{0},
			Stats{Packets: 1, Datagrams: 1},
		},
		"an interface that was not described": {
			bytes.Join([][]byte{section(le), describe(le, 101, 0, 0), enhanced(le, 1, 0, x)}, nil), "", nil, Stats{Packets: 1, Truncated: 1},
		},
		"interfaces end with their section": {
			bytes.Join([][]byte{section(le), describe(le, 101, 0, 0), section(le), enhanced(le, 0, 0, x)}, nil), "", nil, Stats{Packets: 1, Truncated: 1},
		},
		"more bytes than the block has": {
			bytes.Join([][]byte{section(le), describe(le, 101, 0, 0), block(le, blockEnhanced, words(le, 0, 0, 0, 9999, 9999), x)}, nil),
			"", nil,
			Stats{Packets: 1, Truncated: 1},
		},
		"packets too short to be any": {
			bytes.Join([][]byte{section(le), describe(le, 101, 0, 0), block(le, blockEnhanced, words(le, 0, 0, 0, 0)), block(le, blockSimple)}, nil), "", nil, Stats{},
		},
		"resolutions that nobody has": {
			bytes.Join([][]byte{
				section(le), describe(le, 101, 0, 0x7f), describe(le, 101, 0, 0x80|63), describe(le, 101, 0, 18),
				enhanced(le, 0, 1_000_000, x), enhanced(le, 1, 1_000_000, x), enhanced(le, 2, 2_000_000_000_000_000_000, x),
			}, nil), "x x x", []int64{1e9, 1e9, 2e9}, Stats{Packets: 3, Datagrams: 3},
		},
		"a time beyond all": {
			bytes.Join([][]byte{section(le), describe(le, 101, 0, 0x80|1), enhanced(le, 0, 1<<63, x)}, nil), "x", []int64{0}, Stats{Packets: 1, Datagrams: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			payloads, times, stats := read(t, tc.file)
			if got := strings.Join(payloads, " "); got != tc.want || stats != tc.stats {
				t.Errorf("%q, %+v", got, stats)
			}
			for i := range min(len(times), len(tc.times)) {
				if times[i] != tc.times[i] {
					t.Errorf("packet %d at %d, want %d", i, times[i], tc.times[i])
				}
			}
		})
	}
}

func TestErrorsNameTheirPlace(t *testing.T) {
	le := binary.LittleEndian
	many := section(le)
	for range maxInterfaces + 1 {
		many = append(many, describe(le, 101, 0, 0)...)
	}
	huge := pcap(le, 0xa1b2c3d4, 101, ip4("x", 0))
	le.PutUint32(huge[32:], maxPacket+1)
	for want, b := range map[string][]byte{
		"x.pcap: no capture: it has 0 bytes":                                            nil,
		"x.pcap: no capture: it has 3 bytes":                                            {1, 2, 3},
		"x.pcap: no pcap or pcapng file":                                                []byte("GET / HTTP/1.1"),
		"x.pcap: file header cut short":                                                 huge[:20],
		"x.pcap: packet header at byte 24 is cut short: 6 of 16 bytes":                  huge[:30],
		"x.pcap: packet at byte 40 claims 262145 bytes, at most 262144":                 huge,
		"x.pcap: packet at byte 40 is cut short":                                        pcap(le, 0xa1b2c3d4, 101, ip4("x", 0))[:40],
		"x.pcap: block at byte 28 is cut short":                                         append(section(le), 1, 2, 3),
		"x.pcap: section at byte 0 has no byte order":                                   block(le, blockSection, words(le, 1, 1, 0, 0)),
		"x.pcap: block at byte 28 claims 11 bytes, expected a multiple of 4 up to":      append(section(le), words(le, 1, 11, 0)...),
		"x.pcap: block at byte 28 claims 14 bytes, expected a multiple of 4 up to":      append(section(le), words(le, 1, 14, 0)...),
		"x.pcap: block at byte 28 claims 4294967292 bytes, expected a multiple of 4 up": append(section(le), words(le, 1, 0xfffffffc, 0)...),
		"x.pcap: block at byte 28 is cut short: 12 of 100 bytes":                        append(section(le), words(le, 1, 100, 0)...),
		"x.pcap: interface before byte 40 is cut short or one of too many":              append(section(le), block(le, blockInterface)...),
		"x.pcap: interface before byte 81968 is cut short or one of too many":           many,
	} {
		_, err := Read("x.pcap", bytes.NewReader(b), func(Datagram) {})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	for want, b := range map[bool][]byte{true: section(binary.BigEndian), false: {0x0a, 0x0d, 0x0d}} {
		if Is(b) != want {
			t.Errorf("%x is a capture: %v", b, !want)
		}
	}
}
