// Package flowgen is an exporter: it writes events as export datagrams of NetFlow v5, v9, IPFIX and sFlow v5, for the
// demo, for tests and for measurements.
package flowgen

import (
	"net/netip"
	"time"

	"varde/event"
)

// Protocol is what an Exporter speaks.
type Protocol uint8

// The protocols.
const (
	NetFlow5 Protocol = iota
	NetFlow9
	IPFIX
	SFlow
)

// String is the protocol's name as events carry it for their source.
func (p Protocol) String() string { return [...]string{"netflow5", "netflow9", "ipfix", "sflow"}[p] }

// Defaults of a Config. The payload leaves room for IPv6, a tunnel or a VLAN tag in a path with an MTU of 1500.
const (
	defaultTemplateEvery = 20
	defaultPayload       = 1400
	minPayload           = 512
)

// Config describes an Exporter.
type Config struct {
	Protocol      Protocol
	Domain        uint32     // observation domain, source id, sub-agent; for NetFlow v5 engine type and id in its lower 16 bits
	Agent         netip.Addr // sFlow: the agent's address
	Boot          int64      // when the exporter started, nanoseconds since 1970
	Sampling      uint32     // one in so many packets; 0 says nothing, 1 says every packet
	TemplateEvery int        // templates come again after so many datagrams; 0 is 20
	Payload       int        // largest datagram in bytes, at least 512; 0 is 1400
	Interfaces    []string   // NetFlow v9 and IPFIX: names of the interfaces from ifIndex 1 on, told with the templates
}

// Exporter gathers events and writes them as datagrams.
type Exporter struct {
	cfg       Config
	layouts   []layout
	algorithm bool // tell samplingAlgorithm beside the rate
	waiting   []event.Event
	sequence  uint32
	samples   uint32 // sFlow: sequence of flow samples
	sent      int    // datagrams
}

// New makes an Exporter.
func New(cfg Config) *Exporter {
	if cfg.TemplateEvery <= 0 {
		cfg.TemplateEvery = defaultTemplateEvery
	}
	if cfg.Payload == 0 {
		cfg.Payload = defaultPayload
	}
	cfg.Payload = max(cfg.Payload, minPayload)
	if !cfg.Agent.IsValid() {
		cfg.Agent = netip.IPv4Unspecified()
	}
	x := &Exporter{cfg: cfg}
	if cfg.Protocol == NetFlow9 || cfg.Protocol == IPFIX {
		x.layouts = layouts(cfg.Protocol == IPFIX)
	}
	return x
}

// Add takes an event to be exported with the next Flush. Its Packets and Bytes are written as they are: whoever sets
// Sampling gives counts as the router saw them. Only IPFIX carries the other direction of a bidirectional flow. For
// sFlow an event stands for one sampled packet of Bytes bytes.
func (x *Exporter) Add(e *event.Event) { x.waiting = append(x.waiting, *e) }

// Flush writes what waits as datagrams of the time now and hands each to send; they are valid only during the call.
// It returns how many events were left out because the protocol cannot carry their addresses.
func (x *Exporter) Flush(now int64, send func([]byte)) (left int) {
	switch x.cfg.Protocol {
	case NetFlow5:
		left = x.flush5(now, send)
	case SFlow:
		left = x.flushSFlow(now, send)
	default:
		left = x.flushTemplated(now, send)
	}
	x.waiting = x.waiting[:0]
	return left
}

const milli = int64(time.Millisecond)

// uptime is the exporter's uptime at t, in milliseconds by the clock so that none is lost by rounding twice. It wraps
// after 49.7 days, as in a router.
func (x *Exporter) uptime(t int64) uint32 { return uint32(t/milli - x.cfg.Boot/milli) }

// ports are the ports as most exporters write them: ICMP has its type and code in the destination port.
func ports(e *event.Event) (src, dst uint16) {
	if e.HasICMP {
		return 0, typeCode(e)
	}
	return e.SrcPort, e.DstPort
}

func typeCode(e *event.Event) uint16 { return uint16(e.ICMPType)<<8 | uint16(e.ICMPCode) }

func is4(e *event.Event) bool { return e.Src.Is4() && e.Dst.Is4() }
func is6(e *event.Event) bool { return e.Src.Is6() && e.Dst.Is6() }
