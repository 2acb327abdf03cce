package fwlog

import (
	"bytes"
	"math"
	"net/netip"

	"varde/event"
	"varde/input/syslog"
)

// maxPrefix is how far into a line its IN= and OUT= may begin: a prefix has at most 127 bytes, and bridges and odd
// envelopes write before it.
const maxPrefix = 512

// netfilter reads the LOG target of Linux (nf_log_syslog.c): iptables, nftables, ufw, Shorewall, firewalld, EdgeOS,
// UniFi, Proxmox.
func (r *Reader) netfilter(l *syslog.Line) verdict {
	b := l.Text
	switch {
	case string(l.Tag) == "kernel" || string(l.Tag) == "ulogd":
		b = l.Body
	case len(l.PID) > 0:
		return foreign // a program may say what strangers told it
	}
	at := packetHead(b)
	if at < 0 {
		return foreign
	}
	e := r.fresh(l)
	k := packet{b: b, i: at}
	v := k.read(r, e)
	if v != parsed {
		return v
	}
	p := r.prefixes.of(uptime(b[:at]), (*Reader).judge, r)
	return r.finish(r.rule(p), 0)
}

// packetHead is where "IN=" stands that has OUT= behind it, -1 where there is none. Nothing need stand between the prefix
// and IN=, and the prefix may hold the like of it.
func packetHead(b []byte) int {
	from, most := 0, min(len(b), maxPrefix)
	for from < most {
		k := bytes.Index(b[from:most], []byte(" OUT="))
		if k < 0 {
			return -1
		}
		k += from
		w := bytes.LastIndexByte(b[:k], ' ') + 1
		in := bytes.LastIndex(b[w:k], []byte("IN="))
		if in >= 4 && string(b[w+in-4:w+in]) == "PHYS" && w > 0 { // kernels before 2.6 wrote PHYSIN before OUT
			k = w - 1
			w = bytes.LastIndexByte(b[:k], ' ') + 1
			in = bytes.LastIndex(b[w:k], []byte("IN="))
		}
		if in >= 0 {
			return w + in
		}
		from = k + 1
	}
	return -1
}

// packet is a netfilter line while it is read.
type packet struct {
	b    []byte
	i    int
	src  netip.Addr
	dst  netip.Addr
	told uint16 // which of the fields below were
}

const (
	toldProto = 1 << iota
	toldLength
	toldFlags // all flags are shown, since what follows them is
	toldType
	toldLink // it is no IP packet
)

func (k *packet) read(r *Reader, e *event.Event) verdict {
	b, flags := k.b, uint8(0)
	for k.i < len(b) {
		switch b[k.i] {
		case ' ':
			k.i++
			continue
		case '[': // the packet that an ICMP error is about, or "[8 bytes]" of an incomplete one
			k.i = len(b)
			continue
		}
		j := k.i + 1
		for j < len(b) && b[j] != '=' && b[j] != ' ' {
			j++
		}
		word := b[k.i:j]
		if j == len(b) || b[j] == ' ' {
			k.i = j
			if f := flagWord(word); f != 0 {
				flags |= f
			} else {
				k.bare(r, word)
			}
			continue
		}
		k.i = j + 1
		if !k.field(r, e, word) {
			return broken
		}
	}
	if !k.src.IsValid() || !k.dst.IsValid() || k.told&toldProto == 0 {
		if k.told&toldLink != 0 {
			return ignored
		}
		return broken
	}
	e.Src, e.Dst = k.src, k.dst
	if e.Proto == event.TCP {
		if e.TCPFlags = flags; flags == 0 && k.told&toldFlags != 0 {
			r.note("flags", "none")
		}
	}
	return parsed
}

// value takes everything up to the next blank.
func (k *packet) value() []byte {
	start := k.i
	n := bytes.IndexByte(k.b[start:], ' ')
	if n < 0 {
		n = len(k.b) - start
	}
	k.i += n
	return k.b[start:k.i]
}

func (k *packet) field(r *Reader, e *event.Event, key []byte) bool {
	n := 0
	switch string(key) {
	case "SRC":
		k.src, n = address(k.b[k.i:])
		k.i += n
		return n > 0
	case "DST":
		k.dst, n = address(k.b[k.i:])
		k.i += n
		return n > 0
	case "SPT":
		e.SrcPort, n = port(k.b[k.i:])
		k.i += n
		return n > 0
	case "DPT":
		e.DstPort, n = port(k.b[k.i:])
		k.i += n
		return n > 0 && k.i < len(k.b) // it is never the last, so that it would be cut
	case "MAC":
		const link = 41 // the 14 bytes of an Ethernet header
		if k.i+link < len(k.b) && k.b[k.i+link] == ' ' && k.b[k.i+2] == ':' {
			k.i += link
			return true
		}
		k.value()
	case "LEN":
		v, n := number(k.b[k.i:])
		k.i += n
		if k.told&toldLength == 0 {
			e.Bytes, k.told = min(v, math.MaxUint32), k.told|toldLength
		}
	case "IN":
		e.InIf = r.texts.of(k.value())
	case "OUT":
		e.OutIf = r.texts.of(k.value())
	case "PROTO":
		var ok bool
		e.Proto, ok = netfilterProtocol(k.value())
		k.told |= toldProto
		return ok
	case "RES", "URGP":
		k.told |= toldFlags
		k.value()
	default:
		return k.rare(r, e, key)
	}
	return true
}

func (k *packet) rare(r *Reader, e *event.Event, key []byte) bool {
	value := k.value()
	switch string(key) {
	case "TYPE", "CODE":
		if e.Proto != event.ICMP && e.Proto != event.ICMPv6 {
			return true
		}
		v, ok := whole(value, math.MaxUint8)
		if key[0] == 'T' {
			e.ICMPType, k.told = uint8(v), k.told|toldType
		} else {
			e.ICMPCode, e.HasICMP = uint8(v), k.told&toldType != 0
		}
		return ok
	case "PHYSIN":
		r.detail("physin", value)
	case "PHYSOUT":
		r.detail("physout", value)
	case "MACPROTO":
		k.told |= toldLink
	}
	return true
}

// bare takes words without a value: DF, MF, TRUNCATED, and those that matter.
func (k *packet) bare(r *Reader, w []byte) {
	switch {
	case hasPrefix(w, "FRAG:"):
		r.detail("fragment", w[len("FRAG:"):])
	case string(w) == "ARP":
		k.told |= toldLink
	}
}

func netfilterProtocol(b []byte) (uint8, bool) {
	switch string(b) {
	case "TCP":
		return event.TCP, true
	case "UDP":
		return event.UDP, true
	case "ICMP":
		return event.ICMP, true
	}
	return protocol(b)
}
