package main

import (
	"bytes"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/netsampler/goflow2/v2/decoders/netflow"
	"github.com/netsampler/goflow2/v2/decoders/netflowlegacy"
	"github.com/netsampler/goflow2/v2/decoders/sflow"
	"github.com/netsampler/goflow2/v2/producer"
	protoproducer "github.com/netsampler/goflow2/v2/producer/proto"

	"varde/event"
	"varde/input/flow"
	"varde/input/flow/flowgen"
)

var (
	protocols = []flowgen.Protocol{flowgen.NetFlow5, flowgen.NetFlow9, flowgen.IPFIX, flowgen.SFlow}
	from      = netip.MustParseAddrPort("127.0.0.1:40000")
)

// goflow2 decodes as its collector does, without socket, queue and output.
type goflow2 struct {
	templates netflow.NetFlowTemplateSystem
	producer  producer.ProducerInterface // nil: only decode
	args      producer.ProduceArgs
}

func newGoflow2(t testing.TB, produce bool) *goflow2 {
	g := &goflow2{templates: netflow.CreateTemplateSystem()}
	if !produce {
		return g
	}
	var none *protoproducer.ProducerConfig
	cfg, err := none.Compile()
	if err != nil {
		t.Fatal(err)
	}
	if g.producer, err = protoproducer.CreateProtoProducer(cfg, protoproducer.CreateSamplingSystem); err != nil {
		t.Fatal(err)
	}
	g.args = producer.ProduceArgs{Src: from, SamplerAddress: from.Addr(), TimeReceived: time.Unix(1_700_000_000, 0)}
	return g
}

// datagram decodes one datagram and, with a producer, makes its flow messages; it tells how many.
func (g *goflow2) datagram(p flowgen.Protocol, b []byte) (int, error) {
	var (
		buf = bytes.NewBuffer(b)
		v5  netflowlegacy.PacketNetFlowV5
		v9  netflow.NFv9Packet
		v10 netflow.IPFIXPacket
		sf  sflow.Packet
		msg any
		err error
	)
	switch p {
	case flowgen.NetFlow5:
		msg, err = &v5, netflowlegacy.DecodeMessageVersion(buf, &v5)
	case flowgen.SFlow:
		msg, err = &sf, sflow.DecodeMessageVersion(buf, &sf)
	case flowgen.NetFlow9:
		msg, err = &v9, netflow.DecodeMessageVersion(buf, g.templates, &v9, &v10)
	default:
		msg, err = &v10, netflow.DecodeMessageVersion(buf, g.templates, &v9, &v10)
	}
	if err != nil || g.producer == nil {
		return 0, err
	}
	flows, err := g.producer.Produce(msg, &g.args)
	g.producer.Commit(flows)
	return len(flows), err
}

func newReader(t testing.TB, emit event.Emit) *flow.Reader {
	c, err := flow.New(flow.DefaultConfig(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return c.Reader(emit)
}

// BenchmarkDecode decodes the same datagrams by varde's decoder, by goflow2's decoder, and by goflow2's decoder and
// producer; the last gives what one of varde's events has.
func BenchmarkDecode(b *testing.B) {
	now := time.Now().UnixNano()
	for _, p := range protocols {
		run := func(name string, decode func(b []byte) error) {
			b.Run(p.String()+"/"+name, func(b *testing.B) {
				s := flowgen.BenchPackets(p, 1, now).Stream()
				records := 0
				b.ReportAllocs()
				for b.Loop() {
					d, n := s.Next()
					if err := decode(d); err != nil {
						b.Fatal(err)
					}
					records += n
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(records), "ns/record")
			})
		}
		r := newReader(b, func(*event.Event) {})
		run("varde", func(d []byte) error { r.Packet(from, d, now); return nil })
		plain, full := newGoflow2(b, false), newGoflow2(b, true)
		run("goflow2", func(d []byte) error { _, err := plain.datagram(p, d); return err })
		run("goflow2+producer", func(d []byte) error { _, err := full.datagram(p, d); return err })
	}
}

// TestBothSeeAllRecords guards the comparison: the two decoders find the same number of records in the mix.
func TestBothSeeAllRecords(t *testing.T) {
	now := time.Now().UnixNano()
	for _, p := range protocols {
		s := flowgen.BenchPackets(p, 1, now).Stream()
		ours, theirs, want := 0, 0, 0
		r, g := newReader(t, func(*event.Event) { ours++ }), newGoflow2(t, true)
		for range 4096 {
			d, n := s.Next()
			want += n
			r.Packet(from, d, now)
			found, err := g.datagram(p, d)
			if err != nil {
				t.Fatal(err)
			}
			theirs += found
		}
		if ours != want || theirs != want {
			t.Errorf("%v: %d records: varde found %d, goflow2 %d", p, want, ours, theirs)
		}
	}
}
