package detect

import (
	"time"

	"varde/event"
)

// technique is how somebody probes, by the names that nmap made common.
type technique uint8

const (
	notProbe technique = iota
	bySYN
	byUDP
	byConnect // a connection that a honeypot took
	byPing
	byXmas   // FIN, PSH and URG, or every flag: lit up like a Christmas tree
	byNull   // no flag at all
	byFIN    // FIN alone
	byMaimon // FIN and ACK (Uriel Maimon, Phrack 49)
	byACK    // ACK alone, which maps what a stateless filter lets through
	byOdd    // what no stack sends, as SYN with FIN
	letIn    // no probe: a port that we serve was visited
)

var techniqueNames = [...]string{"", "syn", "udp", "connect", "ping", "xmas", "null", "fin", "maimon", "ack", "odd flags", ""}

// odd are the techniques that no ordinary program uses, so that few of them are a scan.
const odd = 1<<byXmas | 1<<byNull | 1<<byFIN | 1<<byOdd

func (t technique) odd() bool { return odd>>t&1 != 0 }

// techniques names a set of techniques.
func techniques(set uint16) []string {
	var out []string
	for i := bySYN; i < letIn; i++ {
		if set>>i&1 != 0 {
			out = append(out, techniqueNames[i])
		}
	}
	return out
}

// look tells whether an event is a probe of our side, and how it probes.
func (g *Ground) look(e *event.Event) technique {
	if e.Kind != event.Probe && e.Kind != event.Flow && e.Kind != event.Connect || e.Own&event.SideSrc != 0 {
		return notProbe
	}
	if e.Own&event.SideDst == 0 && (g.hasOwn || e.Kind == event.Flow && e.Action == event.NoAction) {
		return notProbe
	}
	if !e.Src.IsValid() || !e.Dst.IsValid() || moment(e) < earliest {
		return notProbe
	}
	how := notProbe
	switch e.Kind {
	case event.Connect:
		return byConnect
	case event.Probe:
		how = packet(e)
	default:
		switch e.Action {
		case event.Accept:
			return letIn
		case event.Deny:
			how = packet(e)
		case event.NoAction, event.UnknownAction:
			how = g.flow(e)
		}
	}
	switch {
	case how == notProbe, how == letIn:
		return how
	case !g.probeable(e), e.Proto != event.ICMP && e.Proto != event.ICMPv6 && g.serves(e):
		return notProbe
	}
	return how
}

// earliest is before every clock that is worth believing: a year after 1970.
const earliest = 365 * 24 * int64(time.Hour)

// moment is when an event happened; a clock that runs ahead is not believed.
func moment(e *event.Event) int64 {
	if e.Received > 0 && e.Time > e.Received {
		return e.Received
	}
	return e.Time
}

// probeable leaves out what is sent to everybody, and what has no address of its own.
func (g *Ground) probeable(e *event.Event) bool {
	if e.Dst.IsMulticast() || e.Dst.IsLinkLocalUnicast() || e.Src.IsUnspecified() || e.Src.IsMulticast() {
		return false
	}
	if e.Dst.Is4() {
		b := e.Dst.As4()
		return b != [4]byte{255, 255, 255, 255} && !(len(g.broadcast) > 0 && g.broadcast[e.Dst])
	}
	return true
}

// packet judges what a firewall refused, or does not say what it did with.
func packet(e *event.Event) technique {
	switch e.Proto {
	case event.TCP:
		if e.TCPFlags == 0 {
			if e.Detail.Get("flags") == "none" {
				return byNull
			}
			if fragment(e) {
				return notProbe
			}
			return bySYN // the log does not tell flags; what it refuses are first packets mostly
		}
		how := byFlags(e.TCPFlags)
		if (how == byACK || how == byMaimon) && late(e.SrcPort, e.DstPort) {
			return notProbe
		}
		return how
	case event.UDP:
		if fragment(e) || late(e.SrcPort, e.DstPort) {
			return notProbe
		}
		return byUDP
	case event.ICMP, event.ICMPv6:
		if e.HasICMP && (e.Proto == event.ICMP && e.ICMPType == 8 || e.Proto == event.ICMPv6 && e.ICMPType == 128) {
			return byPing
		}
	}
	return notProbe
}

func fragment(e *event.Event) bool { return e.SrcPort == 0 && e.DstPort == 0 }

// byFlags names what a single TCP packet is sent for. Answers to what somebody sent in our name (SYN with ACK, RST) and
// parts of conversations that nobody remembers (PSH with ACK) are nothing.
func byFlags(flags uint8) technique {
	const mask = event.FIN | event.SYN | event.RST | event.PSH | event.ACK | event.URG
	switch f := flags & mask; {
	case f == event.SYN:
		return bySYN
	case f == event.FIN|event.PSH|event.URG, f == mask:
		return byXmas
	case f == event.FIN:
		return byFIN
	case f&event.SYN != 0 && f&(event.FIN|event.RST) != 0, f == event.URG, f == event.PSH, f == event.PSH|event.URG, f == event.FIN|event.URG:
		return byOdd
	case f == event.FIN|event.ACK:
		return byMaimon
	case f == event.ACK:
		return byACK
	case f&(event.SYN|event.ACK) == event.SYN:
		return bySYN // with PSH or URG: TCP Fast Open and careless tools
	}
	return notProbe
}

// late tells an answer of a service to a port that a client of ours may have used: it came too late, or to a question
// that was asked in our name.
func late(sport, dport uint16) bool {
	if dport < 1024 {
		return false
	}
	switch sport {
	case 1194, 1900, 3306, 3389, 3478, 3702, 4500, 5060, 5222, 5228, 5353, 5355, 6881, 8080, 8443, 11211, 19302, 27015, 51820:
		return true
	}
	return sport < 1024 && sport != dport
}

// flow judges the record of a router, which tells what was never answered but not what was refused.
func (g *Ground) flow(e *event.Event) technique {
	if e.HasReverse && e.RevPackets > 0 && !refusal(e.RevTCPFlags) {
		return letIn
	}
	whole := e.Sampling <= 1 // otherwise the rest of the conversation may not have been seen
	switch e.Proto {
	case event.TCP:
		how := byFlags(e.TCPFlags)
		raw := max(e.RawPackets, 1)
		if e.RawPackets == 0 {
			raw = max(e.Packets, 1) // not told apart
		}
		switch {
		case e.TCPFlags&event.ACK != 0 && e.SrcPort != 0 && late(e.SrcPort, e.DstPort):
			return notProbe // what a server sends to a client of ours
		case e.TCPFlags&(event.SYN|event.RST|event.FIN|event.ACK) == event.SYN|event.RST:
			how = bySYN // a reset to our answer: a scan that leaves connections half open
		case e.TCPFlags&(event.ACK|event.PSH) == event.ACK|event.PSH && raw >= 3:
			return letIn
		case how == byOdd && e.TCPFlags&event.ACK != 0 && raw > 1:
			how = notProbe // the flags of all packets together, as of any conversation
		case e.TCPFlags == 0:
			how = bySYN // flags are not told
			whole = false
		}
		if how == notProbe || (how == byACK || how == byMaimon || !whole && !how.odd()) && !g.dark(e.Dst, e.Time) {
			return notProbe
		}
		return how
	case event.UDP:
		if late(e.SrcPort, e.DstPort) || !g.dark(e.Dst, e.Time) {
			return notProbe
		}
		return byUDP
	case event.ICMP, event.ICMPv6:
		if !g.dark(e.Dst, e.Time) {
			return notProbe
		}
		return packet(e)
	}
	return notProbe
}
