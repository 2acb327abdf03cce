package flow_test

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"

	"varde/event"
	"varde/input/flow"
)

// words are 32-bit numbers one after the other, as XDR has them.
func words(v ...uint32) (b []byte) {
	for _, w := range v {
		b = binary.BigEndian.AppendUint32(b, w)
	}
	return b
}

// xdr is a sample or a record: format, length and body.
func xdr(format uint32, body ...[]byte) []byte {
	b := row(body...)
	return row(words(format, uint32(len(b))), b)
}

// sflow is a datagram of an agent with samples.
func sflow(samples ...[]byte) []byte {
	return row(words(5, 1), ip("192.0.2.1"), words(9, 1, 1000, uint32(len(samples))), row(samples...))
}

// flowSample is a sample of a packet in the usual form, and expandedSample in the one for large ifIndexes.
func flowSample(rate, in, out uint32, records ...[]byte) []byte {
	return xdr(1, words(1, 3, rate, 1000, 0, in, out, uint32(len(records))), row(records...))
}

func expandedSample(rate, inFormat, in, outFormat, out uint32, records ...[]byte) []byte {
	return xdr(3, words(1, 0, 3, rate, 1000, 0, inFormat, in, outFormat, out, uint32(len(records))), row(records...))
}

// rawRecord is the beginning of a sampled packet; the frame was of so many bytes, four of them stripped.
func rawRecord(protocol, frame uint32, header []byte) []byte {
	return xdr(1, words(protocol, frame, 4, uint32(len(header))), header, make([]byte, -len(header)&3))
}

func TestSFlow(t *testing.T) {
	udp := row([]byte{0x45, 0, 0, 60, 0, 0, 0, 0, 64, 17, 0, 0}, ip("198.51.100.1"), ip("203.0.113.9"), num(2, 5000), num(2, 53), num(2, 40), num(2, 0))
	ping6 := row([]byte{0x60, 0, 0, 0, 0, 8, 58, 64}, ip("2001:db8::1"), ip("2001:db8::9"), []byte{128, 0, 0, 0, 0, 0, 0, 0})
	ethernet := row(make([]byte, 12), []byte{0x81, 0, 0, 5, 8, 0}, udp)
	sampled4 := xdr(3, words(1500, 6), ip("198.51.100.1"), ip("203.0.113.9"), words(443, 50000, 0x12, 0))
	sampled6 := xdr(4, words(100, 58), ip("2001:db8::1"), ip("2001:db8::9"), words(1, 4, 0, 0))
	gateway := xdr(1003, words(1), ip("192.0.2.99"), words(0, 0, 0))
	dns := "198.51.100.1:5000 203.0.113.9:53 17"
	for name, tc := range map[string]struct {
		datagram []byte
		want     []string
		bad      uint64
	}{
		"Ethernet":                          {sflow(flowSample(512, 3, 4, rawRecord(1, 82, ethernet))), []string{dns + " 1 78 512 3 4"}, 0},
		"IPv4":                              {sflow(flowSample(512, 3, 4, rawRecord(11, 64, udp))), []string{dns + " 1 60 512 3 4"}, 0},
		"IPv6":                              {sflow(flowSample(1, 3, 4, rawRecord(12, 52, ping6))), []string{"[2001:db8::1]:0 [2001:db8::9]:0 58 icmp 128/0 1 48 1 3 4"}, 0},
		"sampled IPv4":                      {sflow(flowSample(100, 3, 4, sampled4)), []string{"198.51.100.1:443 203.0.113.9:50000 6 1 1500 100 3 4"}, 0},
		"sampled IPv6, ICMP":                {sflow(flowSample(100, 3, 4, sampled6)), []string{"[2001:db8::1]:0 [2001:db8::9]:0 58 icmp 1/4 1 100 100 3 4"}, 0},
		"the first record that tells":       {sflow(flowSample(512, 3, 4, gateway, rawRecord(1, 82, ethernet), sampled4)), []string{dns + " 1 78 512 3 4"}, 0},
		"expanded":                          {sflow(expandedSample(512, 0, 1<<24, 0, 7, rawRecord(1, 82, ethernet))), []string{dns + " 1 78 512 16777216 7"}, 0},
		"expanded, dropped on the way":      {sflow(expandedSample(512, 0, 3, 1, 256, rawRecord(1, 82, ethernet))), []string{dns + " 1 78 512 3 0"}, 0},
		"unknown and several interfaces":    {sflow(flowSample(512, 0x3fffffff, 2<<30|2, rawRecord(1, 82, ethernet))), []string{dns + " 1 78 512 0 0"}, 0},
		"no rate is every packet":           {sflow(flowSample(0, 3, 4, rawRecord(1, 82, ethernet))), []string{dns + " 1 78 1 3 4"}, 0},
		"counters and what others invented": {sflow(xdr(2, words(1, 2, 0)), xdr(4, words(1)), xdr(9<<12|1, words(7)), flowSample(512, 3, 4, rawRecord(11, 64, udp))), []string{dns + " 1 60 512 3 4"}, 0},
		"two samples":                       {sflow(flowSample(2, 3, 4, rawRecord(11, 64, udp)), flowSample(2, 3, 4, rawRecord(12, 52, ping6))), []string{dns + " 1 60 2 3 4", "[2001:db8::1]:0 [2001:db8::9]:0 58 icmp 128/0 1 48 2 3 4"}, 0},
		"no IP":                             {sflow(flowSample(512, 3, 4, rawRecord(1, 64, make([]byte, 60)))), nil, 0},
		"a protocol that we do not know":    {sflow(flowSample(512, 3, 4, rawRecord(7, 64, udp))), nil, 0},
		"a later fragment":                  {sflow(flowSample(512, 3, 4, rawRecord(11, 64, row(udp[:6], []byte{0, 9}, udp[8:])))), []string{"198.51.100.1:0 203.0.113.9:0 17 1 60 512 3 4"}, 0},
		"more stripped than there was":      {sflow(flowSample(512, 3, 4, rawRecord(11, 2, udp))), []string{dns + " 1 0 512 3 4"}, 0},
		"a sample cut short":                {sflow(xdr(1, words(1, 3, 512, 1000, 0, 3, 4))), nil, 1},
		"an expanded sample cut short":      {sflow(xdr(3, words(1, 0, 3, 512, 1000, 0, 0, 3, 0, 4))), nil, 1},
		"more records than there are":       {sflow(xdr(1, words(1, 3, 512, 1000, 0, 3, 4, 1<<31), rawRecord(11, 64, udp))), nil, 1},
		"a record beyond the sample":        {sflow(xdr(1, words(1, 3, 512, 1000, 0, 3, 4, 1, 1, 999))), nil, 1},
		"a header beyond the record":        {sflow(flowSample(512, 3, 4, xdr(1, words(11, 64, 4, 1<<31), udp))), nil, 1},
		"a record cut short":                {sflow(flowSample(512, 3, 4, xdr(3, words(1500, 6)))), nil, 1},
		"a sample beyond the datagram":      {row(sflow(flowSample(512, 3, 4, rawRecord(11, 64, udp)), nil), words(1, 1<<31)), []string{dns + " 1 60 512 3 4"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := flow.New(flow.DefaultConfig(), slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			r := c.Reader(func(e *event.Event) {
				icmp := ""
				if e.HasICMP {
					icmp = fmt.Sprintf(" icmp %d/%d", e.ICMPType, e.ICMPCode)
				}
				src, dst := fmt.Sprintf("%v:%d", e.Src, e.SrcPort), fmt.Sprintf("%v:%d", e.Dst, e.DstPort)
				if e.Src.Is6() {
					src, dst = fmt.Sprintf("[%v]:%d", e.Src, e.SrcPort), fmt.Sprintf("[%v]:%d", e.Dst, e.DstPort)
				}
				got = append(got, fmt.Sprintf("%s %s %d%s %d %d %d %d %d", src, dst, e.Proto, icmp, e.RawPackets, e.RawBytes, e.Sampling, e.InIndex, e.OutIndex))
				if e.Bytes != e.RawBytes*uint64(e.Sampling) || e.Packets != uint64(e.Sampling) || e.Time != now || e.Domain != 9 {
					t.Errorf("%+v", e)
				}
			})
			r.Packet(router, tc.datagram, now)
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Error(d)
			}
			figures, err := c.Figures(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			bad := uint64(0)
			for _, f := range figures {
				if f.Name == "varde_flow_bad_total" {
					bad += f.Count
				}
			}
			if bad != tc.bad {
				t.Errorf("%d counted as bad, want %d", bad, tc.bad)
			}
		})
	}
}
