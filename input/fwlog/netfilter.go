package fwlog

import (
	"bytes"
	"encoding/binary"
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
	if hasPrefix(b[at:], "IN=") {
		k.i += len("IN=")
		e.InIf = r.texts.of(k.value())
	}
	if hasPrefix(b[k.i:], " OUT=") {
		k.i += len(" OUT=")
		e.OutIf = r.texts.of(k.value())
	}
	v := k.read(r, e)
	if v != parsed {
		return v
	}
	p := r.prefixes.of(uptime(b[:at]), (*Reader).judge, r)
	return r.finish(r.rule(p), 0)
}

// packetHead is where "IN=" stands that has OUT= behind it, -1 where there is none. Nothing need stand between the prefix
// and IN=, and the prefix may hold the like of it. Proxmox leaves out the one that would be empty.
func packetHead(b []byte) int {
	from, most := 0, min(len(b), maxPrefix)
	for from < most {
		k := bytes.Index(b[from:most], []byte(" OUT="))
		if k < 0 {
			break
		}
		k += from
		from = k + 1
		in := lastKey(b[:k], "IN=")
		if in >= 5 && string(b[in-4:in]) == "PHYS" { // kernels before 2.6 wrote PHYSIN before OUT
			if b[in-5] != ' ' {
				continue
			}
			in = lastKey(b[:in-5], "IN=")
		}
		if in >= 0 {
			return in
		}
	}
	for _, next := range [...]string{" MAC=", " SRC="} {
		if k := bytes.Index(b[:most], []byte(next)); k >= 0 {
			return max(lastKey(b[:k], "IN="), lastKey(b[:k], "OUT="))
		}
	}
	return -1
}

// lastKey is where key stands in the last word of b, -1 where it does not.
func lastKey(b []byte, key string) int {
	for i := len(b) - len(key); i >= 0 && b[i] != ' '; i-- {
		if b[i] == key[0] && string(b[i:i+len(key)]) == key {
			return i
		}
	}
	return -1
}

// packet is a netfilter line while it is read.
type packet struct {
	b    []byte
	i    int
	src  netip.Addr
	dst  netip.Addr
	told uint16 // which of those below were

	flags uint8
}

const (
	toldProto = 1 << iota
	toldLength
	toldPorts // or why there are none
	toldFlags // all flags are shown, since what follows them is
	toldType
	toldLink // it is no IP packet
	toldFragment
)

// read goes from word to word. The keys are told apart by their first four bytes, as one number, which is twice as fast as
// to look for the end of each.
func (k *packet) read(r *Reader, e *event.Event) verdict {
	b, i, n, ok := k.b, k.i, 1, true
	for n > 0 && ok && i+4 <= len(b) {
		if b[i] == ' ' {
			i++
			continue
		}
		switch binary.LittleEndian.Uint32(b[i:]) {
		case 'S' | 'R'<<8 | 'C'<<16 | '='<<24:
			k.src, n = address(b[i+4:])
			i += 4 + n
		case 'D' | 'S'<<8 | 'T'<<16 | '='<<24:
			k.dst, n = address(b[i+4:])
			i += 4 + n
		case 'S' | 'P'<<8 | 'T'<<16 | '='<<24:
			e.SrcPort, n = port(b[i+4:])
			i += 4 + n
		case 'D' | 'P'<<8 | 'T'<<16 | '='<<24:
			e.DstPort, n = port(b[i+4:])
			i += 4 + n
			k.told |= toldPorts
			ok = i < len(b) // it is never the last: if it is, it may be cut
		case 'L' | 'E'<<8 | 'N'<<16 | '='<<24:
			v, digits := number(b[i+4:])
			i += 4 + digits
			if k.told&toldLength == 0 { // UDP has a second one
				e.Bytes, k.told = min(v, math.MaxUint32), k.told|toldLength
			}
		case 'M' | 'A'<<8 | 'C'<<16 | '='<<24:
			const link = 4 + 41 // the 14 bytes of an Ethernet header
			if i+link < len(b) && b[i+link] == ' ' && b[i+6] == ':' {
				i += link
			} else {
				i = wordEnd(b, i+4)
			}
		case 'T' | 'O'<<8 | 'S'<<16 | '='<<24:
			const usual = "TOS=0x00 PREC=0x00 "
			if len(b)-i > len(usual) && string(b[i:i+len(usual)]) == usual {
				i += len(usual)
			} else {
				i = wordEnd(b, i+4)
			}
		case 'T' | 'T'<<8 | 'L'<<16 | '='<<24, 'P' | 'R'<<8 | 'E'<<16 | 'C'<<24, 'W' | 'I'<<8 | 'N'<<16 | 'D'<<24:
			i = wordEnd(b, i+4)
		case 'D' | 'F'<<8 | ' '<<16 | 'P'<<24:
			i += len("DF ")
		case 'R' | 'E'<<8 | 'S'<<16 | '='<<24, 'U' | 'R'<<8 | 'G'<<16 | 'P'<<24:
			k.told |= toldFlags
			i = wordEnd(b, i+4)
		case 'P' | 'R'<<8 | 'O'<<16 | 'T'<<24:
			k.told |= toldProto
			end := wordEnd(b, i+4)
			e.Proto, ok = netfilterProtocol(b[min(i+len("PROTO="), end):end])
			i = end
		case 'S' | 'Y'<<8 | 'N'<<16 | ' '<<24:
			k.flags |= event.SYN
			i += 4
		case 'A' | 'C'<<8 | 'K'<<16 | ' '<<24:
			k.flags |= event.ACK
			i += 4
		default:
			if b[i] == 'I' && b[i+1] == 'D' && b[i+2] == '=' {
				i = wordEnd(b, i+3)
				break
			}
			k.i = i
			ok = k.word(r, e)
			i = k.i
		}
	}
	if n == 0 || !ok {
		return broken
	}
	k.bare(r, bytes.TrimSpace(b[i:])) // too short for a key and a value
	return k.verdict(r, e)
}

// wordEnd is where the blank behind a short word stands.
func wordEnd(b []byte, i int) int {
	for i < len(b) && b[i] != ' ' {
		i++
	}
	return i
}

// verdict looks at what was told when the line is at its end.
func (k *packet) verdict(r *Reader, e *event.Event) verdict {
	switch {
	case !k.src.IsValid() && k.told&toldLink != 0:
		return ignored
	case !k.src.IsValid() || !k.dst.IsValid() || k.told&toldProto == 0:
		return broken
	case (e.Proto == event.TCP || e.Proto == event.UDP) && k.told&toldPorts == 0:
		return broken
	}
	e.Src, e.Dst = k.src, k.dst
	if k.told&toldFragment != 0 {
		e.SrcPort, e.DstPort = 0, 0 // ulogd takes what stands in a later fragment for them
	} else if e.Proto == event.TCP {
		if e.TCPFlags = k.flags; k.flags == 0 && k.told&toldFlags != 0 {
			r.note("flags", "none")
		}
	}
	return parsed
}

// word reads what is rarer.
func (k *packet) word(r *Reader, e *event.Event) bool {
	if k.b[k.i] == '[' { // the packet that an ICMP error is about, or "[8 bytes]" of an incomplete one
		k.i = len(k.b)
		k.told |= toldPorts
		return true
	}
	start := k.i
	for k.i < len(k.b) && k.b[k.i] != '=' && k.b[k.i] != ' ' {
		k.i++
	}
	word := k.b[start:k.i]
	if k.i == len(k.b) || k.b[k.i] == ' ' {
		k.bare(r, word)
		return true
	}
	k.i++
	return k.rare(r, e, word)
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

func (k *packet) rare(r *Reader, e *event.Event, key []byte) bool {
	value := k.value()
	switch string(key) {
	case "OUT":
		e.OutIf = r.texts.of(value)
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
	k.flags |= flagWord(w)
	switch {
	case hasPrefix(w, "FRAG:"):
		offset := w[len("FRAG:"):]
		if len(offset) == 0 { // ulogd writes a blank
			k.i = min(k.i+1, len(k.b))
			offset = k.value()
		}
		if string(offset) != "0" { // the first fragment has all that matters
			k.told |= toldFragment | toldPorts
			r.detail("fragment", offset)
		}
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
