package demo

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"varde/event"
)

// The exporters of the sample network, by their place in exporters.
const (
	edge   = iota // NetFlow v9, one-way flows
	branch        // NetFlow v5, IPv4 only
	fw            // IPFIX, bidirectional flows
	access        // sFlow, sampled
	numExporters
)

// scene makes the traffic of a small network: everyday flows that nobody should be warned of, and a script of a few
// that somebody should. The same seed gives the same traffic.
type scene struct {
	rng   *rand.Rand
	start int64
	due   float64 // fraction of an everyday flow that is owed
	cues  []cue
	emit  func(exporter int, e *event.Event)
}

// everydayRate is how many everyday flows a second there are.
const everydayRate = 3

// cue is one step of the script.
type cue struct {
	at time.Duration // after the start
	do func(s *scene, now int64)
}

func newScene(seed uint64, start int64, emit func(exporter int, e *event.Event)) *scene {
	s := &scene{rng: rand.New(rand.NewPCG(seed, 3)), start: start, emit: emit}
	s.cues = script()
	return s
}

// advance emits everything that ended between the last call and now; step is the time since that call.
func (s *scene) advance(now int64, step time.Duration) {
	for s.due += everydayRate * step.Seconds(); s.due >= 1; s.due-- {
		s.everyday(now)
	}
	for len(s.cues) > 0 && now-s.start >= int64(s.cues[0].at) {
		s.cues[0].do(s, now)
		s.cues = s.cues[1:]
		if len(s.cues) == 0 {
			s.start, s.cues = now, script()
		}
	}
}

var (
	officePC = netip.MustParseAddr("192.0.2.17")
	bastion  = netip.MustParseAddr("192.0.2.22")
	mail     = netip.MustParseAddr("192.0.2.25")
	printer  = netip.MustParseAddr("192.0.2.40")
	camera   = netip.MustParseAddr("192.0.2.60")
	web      = netip.MustParseAddr("192.0.2.80")
	web6     = netip.MustParseAddr("2001:db8:1::80")
	laptop6  = netip.MustParseAddr("2001:db8:1::22")

	qakbot    = netip.MustParseAddr("203.0.113.94")
	brute     = netip.MustParseAddr("198.51.100.66")
	beacon    = netip.MustParseAddr("198.51.100.77")
	resolver  = netip.MustParseAddr("203.0.113.200")
	torExit   = netip.MustParseAddr("203.0.113.70")
	dropped6  = netip.MustParseAddr("2001:db8:bad::66")
	blockHost = netip.MustParseAddr("198.51.100.201")
)

const (
	synOnly  = event.SYN
	complete = event.SYN | event.ACK | event.PSH | event.FIN
	refused  = event.RST | event.ACK
)

// script is the story that the demo tells, over and over: it takes about three minutes.
func script() []cue {
	ssh := func(s *scene, now int64) {
		for i := range 6 {
			port := uint16(41000 + s.rng.IntN(2000))
			s.oneWay(edge, now-int64(i), event.TCP, brute, port, bastion, 22, complete, 14, 2900)
			s.oneWay(edge, now-int64(i), event.TCP, bastion, 22, brute, port, complete, 13, 3400)
		}
	}
	qak := func(out, in uint64) func(*scene, int64) {
		return func(s *scene, now int64) {
			s.twoWay(fw, now, event.TCP, officePC, uint16(49152+s.rng.IntN(9000)), qakbot, 4444, complete, out/400+5, out, in/900+5, in)
		}
	}
	return []cue{
		{300 * time.Millisecond, qak(16_000, 400_000)},
		{700 * time.Millisecond, qak(16_400, 402_000)},
		{1100 * time.Millisecond, qak(15_700, 399_000)},
		{2 * time.Second, func(s *scene, now int64) {
			for _, port := range []uint16{22, 23, 80, 443, 3389, 5900} {
				s.oneWay(branch, now, event.TCP, blockHost, 48928, web, port, synOnly, 1, 40)
				s.oneWay(branch, now, event.TCP, web, port, blockHost, 48928, refused, 1, 40)
			}
		}},
		{4 * time.Second, ssh},
		{7 * time.Second, func(s *scene, now int64) {
			s.twoWay(fw, now, event.TCP, torExit, 52011, web, 443, complete, 21, 3100, 40, 51_000)
		}},
		{9 * time.Second, func(s *scene, now int64) {
			s.oneWay(edge, now, event.UDP, printer, 34567, resolver, 53, 0, 1, 71)
		}},
		{14 * time.Second, func(s *scene, now int64) {
			s.oneWay(edge, now, event.UDP, printer, 34567, resolver, 53, 0, 1, 71)
			s.oneWay(edge, now, event.UDP, resolver, 53, printer, 34567, 0, 1, 412)
		}},
		{18 * time.Second, func(s *scene, now int64) {
			s.twoWay(fw, now, event.TCP, laptop6, 50123, dropped6, 443, complete, 31, 5200, 44, 38_000)
		}},
		{24 * time.Second, func(s *scene, now int64) {
			for range 4 {
				s.oneWay(access, now, event.TCP, camera, 40022, beacon, 8443, event.ACK|event.PSH, 1, 1400)
			}
		}},
		{31 * time.Second, func(s *scene, now int64) { s.icmp(edge, now, mail, blockHost, 3, 3) }},
		{45 * time.Second, qak(5_800_000, 22_000_000)},
		{80 * time.Second, ssh},
		{180 * time.Second, func(*scene, int64) {}},
	}
}

// everyday emits one flow between an office client or server and a harmless address outside.
func (s *scene) everyday(now int64) {
	inside := netip.AddrFrom4([4]byte{192, 0, 2, byte(100 + s.rng.IntN(60))})
	outside := netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + s.rng.IntN(50))})
	port, client := uint16(443), uint16(32768+s.rng.IntN(28000))
	proto := uint8(event.TCP)
	switch s.rng.IntN(10) {
	case 0, 1, 2:
		port, proto = 53, event.UDP
	case 3:
		port = 80
	case 4:
		port, inside, outside = 25, mail, netip.AddrFrom4([4]byte{203, 0, 113, byte(1 + s.rng.IntN(20))})
	}
	out, in := uint64(200+s.rng.IntN(4000)), uint64(400+s.rng.IntN(90_000))
	flags := uint8(complete)
	if proto == event.UDP {
		out, in, flags = uint64(60+s.rng.IntN(40)), uint64(90+s.rng.IntN(400)), 0
	}
	switch s.rng.IntN(4) {
	case 0:
		s.twoWay(fw, now, proto, inside, client, outside, port, flags, out/300+1, out, in/900+1, in)
	case 1:
		s.oneWay(branch, now, proto, inside, client, outside, port, flags, out/300+1, out)
		s.oneWay(branch, now, proto, outside, port, inside, client, flags, in/900+1, in)
	case 2:
		s.oneWay(access, now, proto, outside, port, inside, client, flags&(event.ACK|event.PSH), 1, min(in, 1400)) // one sampled packet
	default:
		s.oneWay(edge, now, proto, inside, client, outside, port, flags, out/300+1, out)
		s.oneWay(edge, now, proto, outside, port, inside, client, flags, in/900+1, in)
		if s.rng.IntN(5) == 0 {
			s.twoWay(fw, now, event.TCP, netip.MustParseAddr("2001:db8:2::7"), client, web6, 443, complete, 9, out, 12, in)
		}
	}
}

func (s *scene) oneWay(x int, now int64, proto uint8, src netip.Addr, sport uint16, dst netip.Addr, dport uint16, flags uint8, packets, bytes uint64) {
	e := s.flow(now, proto, src, sport, dst, dport)
	if flags == complete {
		packets = max(packets, 4) // fewer cannot have all these flags
	}
	e.TCPFlags, e.Packets, e.Bytes = flags, packets, bytes
	s.emit(x, &e)
}

func (s *scene) twoWay(x int, now int64, proto uint8, src netip.Addr, sport uint16, dst netip.Addr, dport uint16, flags uint8, packets, bytes, rpackets, rbytes uint64) {
	e := s.flow(now, proto, src, sport, dst, dport)
	e.TCPFlags, e.Packets, e.Bytes = flags, packets, bytes
	e.HasReverse, e.RevPackets, e.RevBytes, e.RevTCPFlags = true, rpackets, rbytes, flags
	s.emit(x, &e)
}

func (s *scene) icmp(x int, now int64, src, dst netip.Addr, typ, code uint8) {
	e := s.flow(now, event.ICMP, src, 0, dst, 0)
	e.HasICMP, e.ICMPType, e.ICMPCode, e.Packets, e.Bytes = true, typ, code, 1, 56
	s.emit(x, &e)
}

// flow is a flow that a router with the usual timeouts would export now: it ended some seconds ago.
func (s *scene) flow(now int64, proto uint8, src netip.Addr, sport uint16, dst netip.Addr, dport uint16) event.Event {
	end := now - int64(15*time.Second) - s.rng.Int64N(int64(2*time.Second))
	return event.Event{
		Kind: event.Flow, Time: end - s.rng.Int64N(int64(12*time.Second)), End: end,
		Proto: proto, Src: src, SrcPort: sport, Dst: dst, DstPort: dport, InIndex: 2, OutIndex: 3,
	}
}
