// Package fwloggen writes the firewall log of a day: for benchmarks and for trying varde out where no firewall is at hand.
// The same seed gives the same bytes. In the day are a slow scan that is a diagonal in the picture, eight fast scans, a
// port that comes up in the afternoon, and the noise of the Internet.
package fwloggen

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"time"
)

// Day says what to write.
type Day struct {
	Start time.Time // midnight
	Lines int
	Seed  uint64
}

const (
	seconds    = 24 * 60 * 60
	ipv6Share  = 0.115
	slowShare  = 0.004
	fastScans  = 8
	fastShare  = 0.3 // of the lines while such a scan goes on
	fastLength = 20 * 60
	surgePort  = 7547 // TR-069, which rose on an afternoon in November 2016
	surgeBegin = (14*60 + 50) * 60
	surgeShare = 0.1
	noiseShare = 0.62 // of the rest goes to the common ports
)

// commonPorts are what the Internet knocks at; those that come first more often.
var commonPorts = [...]uint16{23, 22, 445, 80, 1433, 3389, 8080, 443, 5060, 2323, 3306, 53, 81, 8443, 123, 1900, 5900, 6379, 161, 25, 21, 11211, 9200, 5555}

// packet is one line.
type packet struct {
	src, dst     netip.Addr
	sport, dport uint16
	udp          bool
	ttl          int
}

// generator remembers who scans.
type generator struct {
	rand *rand.Rand
	slow netip.Addr
	fast [fastScans]struct {
		src   netip.Addr
		begin int
		port  uint16
	}
}

// Write writes the log in the format of netfilter with the envelope of RFC 3164.
func (d Day) Write(w io.Writer) error {
	g := &generator{rand: rand.New(rand.NewPCG(d.Seed, 1))}
	g.slow = g.foreign(false)
	for i := range g.fast {
		g.fast[i].src = g.foreign(i%4 == 3)
		g.fast[i].begin = g.rand.IntN(seconds - fastLength)
		g.fast[i].port = 1
	}
	out := bufio.NewWriterSize(w, 1<<16)
	var line []byte
	for i := range d.Lines {
		sec := int(int64(i) * seconds / int64(d.Lines))
		p := g.next(sec)
		line = g.line(line[:0], d.Start.Add(time.Duration(sec)*time.Second), &p)
		if _, err := out.Write(line); err != nil {
			return fmt.Errorf("write firewall log: %w", err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write firewall log: %w", err)
	}
	return nil
}

func (g *generator) next(sec int) packet {
	x := g.rand.Float64()
	if x < slowShare {
		// Ports are tried so that the picture, whose axis is a logarithm, shows a line from high ports to low ones.
		return g.to(g.slow, uint16(max(1, 65535*(seconds-sec)/seconds)), false)
	}
	for i := range g.fast {
		f := &g.fast[i]
		if sec >= f.begin && sec < f.begin+fastLength && g.rand.Float64() < fastShare {
			f.port += uint16(1 + g.rand.IntN(4))
			return g.to(f.src, f.port, false)
		}
	}
	six := g.rand.Float64() < ipv6Share
	if sec >= surgeBegin && g.rand.Float64() < surgeShare {
		return g.to(g.foreign(six), surgePort, false)
	}
	port := uint16(1 + g.rand.IntN(65535))
	if g.rand.Float64() < noiseShare {
		port = commonPorts[min(g.rand.IntN(len(commonPorts)), g.rand.IntN(len(commonPorts)))]
	}
	udp := port == 53 || port == 123 || port == 161 || port == 1900 || port == 5060 || port == 11211 || g.rand.IntN(8) == 0
	return g.to(g.foreign(six), port, udp)
}

// foreign is an address out of the networks for documentation and for benchmarks, of which there are few: sources repeat.
func (g *generator) foreign(six bool) netip.Addr {
	n := g.rand.Uint32()
	if six {
		return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, byte(n >> 8 & 15), byte(n), 14: byte(n >> 16), 15: byte(n>>24) | 1})
	}
	return netip.AddrFrom4([4]byte{198, 18 | byte(n>>16&1), byte(n >> 8), byte(n)}) // 198.18.0.0/15, RFC 2544
}

func (g *generator) to(src netip.Addr, port uint16, udp bool) packet {
	p := packet{src: src, sport: uint16(1024 + g.rand.IntN(64512)), dport: port, udp: udp, ttl: 32 + g.rand.IntN(220)}
	if src.Is4() {
		p.dst = netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + g.rand.IntN(14))})
	} else {
		p.dst = netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0xff, 0xff, 15: byte(1 + g.rand.IntN(14))})
	}
	return p
}

// line writes what nf_log_syslog.c of Linux writes, and rsyslog before it.
func (g *generator) line(b []byte, t time.Time, p *packet) []byte {
	b = t.AppendFormat(b, time.Stamp)
	b = append(b, " fw kernel: [UFW BLOCK] IN=eth0 OUT= MAC=52:54:00:12:34:56:52:54:00:ab:cd:ef:"...)
	length := 40
	if p.udp {
		length = 48
	}
	if p.src.Is4() {
		b = append(b, "08:00 SRC="...)
		b = p.src.AppendTo(b)
		b = append(b, " DST="...)
		b = p.dst.AppendTo(b)
		b = append(b, " LEN="...)
		b = strconv.AppendInt(b, int64(length), 10)
		b = append(b, " TOS=0x00 PREC=0x00 TTL="...)
		b = strconv.AppendInt(b, int64(p.ttl), 10)
		b = append(b, " ID="...)
		b = strconv.AppendInt(b, int64(g.rand.IntN(65536)), 10)
	} else {
		b = append(b, "86:dd SRC="...)
		b = append(b, p.src.StringExpanded()...)
		b = append(b, " DST="...)
		b = append(b, p.dst.StringExpanded()...)
		b = append(b, " LEN="...)
		b = strconv.AppendInt(b, int64(length+20), 10)
		b = append(b, " TC=0 HOPLIMIT="...)
		b = strconv.AppendInt(b, int64(p.ttl), 10)
		b = append(b, " FLOWLBL=0"...)
	}
	proto := " PROTO=TCP SPT="
	if p.udp {
		proto = " PROTO=UDP SPT="
	}
	b = append(b, proto...)
	b = strconv.AppendInt(b, int64(p.sport), 10)
	b = append(b, " DPT="...)
	b = strconv.AppendInt(b, int64(p.dport), 10)
	if p.udp {
		return append(b, " LEN=28 \n"...)
	}
	b = append(b, " WINDOW="...)
	b = strconv.AppendInt(b, int64(1024*(1+g.rand.IntN(63))), 10)
	return append(b, " RES=0x00 SYN URGP=0 \n"...)
}
