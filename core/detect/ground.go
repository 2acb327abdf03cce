package detect

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"varde/event"
	"varde/event/human"
)

// GroundConfig is the part of the configuration that is about what is served and used on our side.
type GroundConfig struct {
	Served human.List     `yaml:"served" doc:"Ports that we serve to strangers, as 443, tcp/25 or udp/53: who tries them is no prober. What firewalls accept and what our hosts answer is learnt."`
	Forget human.Duration `yaml:"forget" doc:"An address that sent nothing, and a port that answered nobody, for so long counts as unused again."`
	Learn  human.Duration `yaml:"learn" doc:"Flows must have been watched for so long before an address that sent nothing counts as unused."`
}

// DefaultGround suits most networks.
func DefaultGround() GroundConfig {
	return GroundConfig{Forget: human.Duration(14 * 24 * time.Hour), Learn: human.Duration(24 * time.Hour)}
}

// Check says which value is impossible.
func (c *GroundConfig) Check() error {
	if c.Forget < human.Duration(time.Hour) || c.Forget > human.Duration(5*365*24*time.Hour) {
		return fmt.Errorf("forget is %v; use 1h to 1825d", c.Forget)
	}
	for _, s := range c.Served {
		if _, _, err := parseService(s); err != nil {
			return err
		}
	}
	return nil
}

// parseService reads 443, tcp/25 or udp/53; protocol 0 is either.
func parseService(s string) (proto uint8, port uint16, err error) {
	text, number := "", s
	if before, after, ok := strings.Cut(s, "/"); ok {
		text, number = before, after
	}
	switch text {
	case "tcp":
		proto = event.TCP
	case "udp":
		proto = event.UDP
	case "":
	default:
		return 0, 0, fmt.Errorf("served %q: use a port, tcp/PORT or udp/PORT", s)
	}
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return 0, 0, fmt.Errorf("served %q: use a port, tcp/PORT or udp/PORT", s)
	}
	return proto, uint16(n), nil
}

// Sizes of what is learnt of our own side: half a MiB each.
const (
	maxUsed   = 1 << 16 // own addresses that send
	maxServed = 1 << 16 // own address, protocol and port that answer or are let in
)

// Ground is what the detectors of probes know of our own side: which addresses are in use, and which ports are served.
// It learns from flows and from what firewalls accept. Its memory is fixed.
type Ground struct {
	used, served stamps
	configured   map[service]bool
	broadcast    map[netip.Addr]bool
	hasOwn       bool
	size         int // own IPv4 addresses
	forget       uint32
	learn        int64
	began        atomic.Int64 // time of the first flow
	serving      atomic.Bool  // served has something in it, which spares most firewalls a look
}

type service struct {
	proto uint8
	port  uint16
}

// NewGround makes a Ground for our own networks. A configuration that Check refuses loses the ports that it refuses.
func NewGround(cfg GroundConfig, own []netip.Prefix) *Ground {
	g := &Ground{
		used: newStamps(maxUsed), served: newStamps(maxServed), configured: map[service]bool{}, broadcast: map[netip.Addr]bool{},
		hasOwn: len(own) > 0, size: size(own), forget: uint32(time.Duration(cfg.Forget) / time.Minute), learn: int64(cfg.Learn),
	}
	for _, s := range cfg.Served {
		proto, port, err := parseService(s)
		if err != nil {
			continue
		}
		for _, p := range []uint8{event.TCP, event.UDP} {
			if proto == 0 || proto == p {
				g.configured[service{p, port}] = true
			}
		}
	}
	for _, p := range own {
		if a := p.Masked().Addr(); a.Is4() && p.Bits() < 31 {
			g.broadcast[last(p)] = true
		}
	}
	return g
}

// last is the highest address of an IPv4 prefix.
func last(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(b)
}

// size counts own IPv4 addresses, those that strangers can reach where there are any.
func size(own []netip.Prefix) int {
	public, all := 0, 0
	for _, p := range own {
		if !p.Addr().Is4() {
			continue
		}
		n := 1 << (32 - p.Bits())
		if all += n; !p.Addr().IsPrivate() {
			public += n
		}
	}
	if public > 0 {
		return public
	}
	return all
}

// Judge learns from an event and never warns; Ground stands before Scans and Surges in the order of detectors.
func (g *Ground) Judge(e *event.Event) *event.Warning {
	switch {
	case e.Kind != event.Flow || e.Proto != event.TCP && e.Proto != event.UDP:
	case e.Own&event.SideSrc == 0:
		if e.Action == event.Accept && (e.Own&event.SideDst != 0 || !g.hasOwn) && opens(e) {
			g.serve(serviceHash(e.Dst, e.Proto, e.DstPort), e.Time)
		}
		if e.HasReverse && e.Own&event.SideDst != 0 && answers(e.RevTCPFlags, e.Proto) {
			g.used.mark(addrHash(e.Dst), minute(e.Time))
			g.serve(serviceHash(e.Dst, e.Proto, e.DstPort), e.Time)
		}
	case e.Action == event.NoAction && answers(e.TCPFlags, e.Proto):
		g.watched(e.Time)
		g.used.mark(addrHash(e.Src), minute(e.Time))
		reply := e.Proto == event.UDP || e.TCPFlags&(event.SYN|event.ACK) == event.SYN|event.ACK
		alone := e.Proto == event.TCP && e.RawPackets == 1
		if reply && e.Own&event.SideDst == 0 && (alone || clear(e.SrcPort, e.DstPort) && serves(e.SrcPort, e.DstPort)) {
			g.serve(serviceHash(e.Src, e.Proto, e.SrcPort), e.Time)
		}
	}
	return nil
}

func (g *Ground) serve(hash uint64, at int64) {
	g.served.mark(hash, minute(at))
	if !g.serving.Load() {
		g.serving.Store(true)
	}
}

func (g *Ground) watched(at int64) {
	for {
		began := g.began.Load()
		if began != 0 && began <= at || g.began.CompareAndSwap(began, at) {
			return
		}
	}
}

// answers tells traffic that only a host in use sends; a firewall may send resets in the name of any address.
func answers(flags, proto uint8) bool {
	return proto == event.UDP || flags&event.RST == 0 || flags&(event.SYN|event.PSH|event.FIN) != 0
}

// opens tells an accepted event that begins a conversation from one that is part of our own.
func opens(e *event.Event) bool {
	if e.Proto == event.TCP && e.TCPFlags != 0 {
		return e.TCPFlags&(event.SYN|event.ACK) == event.SYN
	}
	return clear(e.DstPort, e.SrcPort) && serves(e.DstPort, e.SrcPort)
}

func (g *Ground) serves(e *event.Event) bool {
	if len(g.configured) > 0 && g.configured[service{e.Proto, e.DstPort}] {
		return true
	}
	if !g.serving.Load() {
		return false
	}
	age, known := g.served.age(serviceHash(e.Dst, e.Proto, e.DstPort), minute(e.Time))
	return known && age <= g.forget
}

// dark tells an address of ours that nobody uses, as far as flows tell.
func (g *Ground) dark(a netip.Addr, at int64) bool {
	began := g.began.Load()
	if began == 0 || at-began < g.learn {
		return false
	}
	age, known := g.used.age(addrHash(a), minute(at))
	return !known || age > g.forget
}

func minute(at int64) uint32 { return uint32(at / int64(time.Minute)) }

// sourceKey is who is counted as one source: an IPv4 address, or the /64 of an IPv6 address. IPv4 stands where IPv6 has
// multicast (ff00::/8, RFC 4291), which is never a source; so do the keys of groups and of swept ports.
func sourceKey(a netip.Addr) uint64 {
	if a.Is4() {
		b := a.As4()
		return v4Key | uint64(binary.BigEndian.Uint32(b[:]))
	}
	b := a.As16()
	return binary.BigEndian.Uint64(b[:8])
}

const (
	v4Key    = 0xffff << 48 // an IPv4 address
	net4Key  = 0xfffe << 48 // a /24
	net6Key  = 0xfffd << 48 // a /48
	asKey    = 0xfffc << 48 // an autonomous system
	portTag  = 0xfffb << 48 // a port that is swept
	tagOfKey = 0xffff << 48
)

// sourcePrefix is the inverse of sourceKey, and of the keys of neighbourhoods; invalid for autonomous systems and ports.
func sourcePrefix(key uint64) netip.Prefix {
	switch key & tagOfKey {
	case v4Key:
		return netip.PrefixFrom(addr4(uint32(key)), 32)
	case net4Key:
		return netip.PrefixFrom(addr4(uint32(key)<<8), 24)
	case net6Key:
		return netip.PrefixFrom(addr6(key<<16), 48)
	case asKey, portTag:
		return netip.Prefix{}
	}
	return netip.PrefixFrom(addr6(key), 64)
}

func addr4(v uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], v)
	return netip.AddrFrom4(b)
}

func addr6(hi uint64) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], hi)
	return netip.AddrFrom16(b)
}

// addrHash is the same in every run, so that a replay ends the same.
func addrHash(a netip.Addr) uint64 {
	if a.Is4() {
		b := a.As4()
		return mix(uint64(binary.BigEndian.Uint32(b[:])) + 1)
	}
	b := a.As16()
	return mix(mix(binary.BigEndian.Uint64(b[:8])) ^ binary.BigEndian.Uint64(b[8:]))
}

func serviceHash(a netip.Addr, proto uint8, port uint16) uint64 {
	return mix(addrHash(a) + uint64(proto)<<16 + uint64(port))
}
