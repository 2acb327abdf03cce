// Package event holds the one record that everything in varde speaks of: a flow, a firewall line, a honeypot
// connection, a mail is an Event; what a detector has to say about it is a Warning; what is polled rather than
// streamed is a Figure. The package imports the standard library only, and every other package imports it.
package event

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Emit takes one event. The event belongs to the caller: it is valid only during the call and reused after it,
// so whoever keeps it keeps a Clone.
type Emit func(*Event)

// Event is one thing that the edge of the network told. All times are nanoseconds since 1970 in UTC, 0 where the
// source does not say. A reader resets its Event when the layout of what it reads changes and otherwise overwrites
// only the fields that vary; therefore nobody but the reader and the pipe writes to it.
type Event struct {
	Kind   Kind
	Action Action
	Source string // the input and format that gave it: netflow5, netflow9, ipfix, sflow, netfilter, cowrie ...

	Time     int64 // when it began
	End      int64 // when it ended
	Exported int64 // when the exporter sent it, by the exporter's clock
	Received int64 // when it reached this machine

	Exporter string // name or address of the router or sensor that saw it
	Domain   uint32 // observation domain, source id, engine or sub-agent of the exporter
	Session  string // the honeypot session it belongs to

	Proto    uint8 // IANA protocol number
	TCPFlags uint8 // cumulative TCP flags, RFC 9293 and RFC 3168: CWR is the top bit, FIN the lowest
	HasICMP  bool  // ICMPType and ICMPCode are known
	ICMPType uint8
	ICMPCode uint8

	Src, Dst         netip.Addr // never IPv4-mapped
	SrcPort, DstPort uint16

	NATSrc, NATDst         netip.Addr // addresses after translation
	NATSrcPort, NATDstPort uint16
	NATEvent               uint8 // IPFIX natEvent (RFC 8158), 0 when not told

	Packets, Bytes       uint64 // scaled by the sampling rate
	RawPackets, RawBytes uint64 // as told
	Sampling             uint32 // one in so many packets was seen; 1 is every packet, 0 is unknown (taken as 1)

	// The other direction of a bidirectional flow (RFC 5103), scaled; HasReverse tells that it was reported.
	HasReverse        bool
	RevPackets        uint64
	RevBytes          uint64
	RevTCPFlags       uint8
	InIndex, OutIndex uint32 // SNMP ifIndex, 0 when not told
	InIf, OutIf       string // interface names
	Rule              string // firewall rule, chain or policy
	Count             uint32 // how many hits this stands for; 0 is taken as 1
	Detail            Detail // text that matters only to people or to one kind
	Own               Side   // which ends are ours; set by the pipe
	Country           string // two letters of the foreign end, "" when not looked up
	ASN               uint32 // autonomous system of the foreign end
	Evidence          []Evidence
}

// Kind says what an Event is.
type Kind uint8

// The kinds and the details that go with them.
const (
	Unknown Kind = iota
	Flow         // a flow record of a router
	Probe        // a packet that a firewall saw: rule, chain
	Connect      // a honeypot session opens: client, hassh, ja3, ja4
	Login        // username, password, method, result = accepted|rejected
	Command      // command
	Tunnel       // a request to be forwarded: Src is the intruder, Dst the target; a target by name is in host
	Payload      // bytes caught: data, data_b64, sha256, size, class, cve, host, helo
	File         // url, sha256, size, direction = download|upload, name
	Mail         // helo, from, to, subject, size, sha256, verdict
	Close        // a session ends: duration in seconds
	TTY          // one record of a terminal log: direction = input|output, data, data_b64
)

var kindNames = [...]string{"unknown", "flow", "probe", "connect", "login", "command", "tunnel", "payload", "file", "mail", "close", "tty"}

// String is the kind's name as it stands in JSON.
func (k Kind) String() string { return name(kindNames[:], int(k)) }

// ParseKind is the inverse of String.
func ParseKind(s string) (Kind, bool) {
	i := slices.Index(kindNames[:], s)
	return Kind(max(i, 0)), i > 0
}

// Action is what a firewall did with a packet.
type Action uint8

// The actions; NoAction is an event that knows of none.
const (
	NoAction Action = iota
	Deny
	Accept
	Audit
	UnknownAction
)

var actionNames = [...]string{"", "deny", "accept", "audit", "unknown"}

// String is the action's name as it stands in JSON, "" for NoAction.
func (a Action) String() string { return name(actionNames[:], int(a)) }

// ParseAction is the inverse of String.
func ParseAction(s string) (Action, bool) {
	i := slices.Index(actionNames[:], s)
	return Action(max(i, 0)), i > 0
}

// Side tells ends of an event: a set of SideSrc and SideDst (and their translated addresses).
type Side uint8

// The two ends. SideNATSrc and SideNATDst mark evidence that was found on the translated address.
const (
	SideSrc Side = 1 << iota
	SideDst
	SideNATSrc
	SideNATDst
)

// Names of IANA protocol numbers that the code asks for.
const (
	ICMP   = 1
	TCP    = 6
	UDP    = 17
	ICMPv6 = 58
)

// TCP flag bits.
const (
	FIN = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)

// Detail is a small ordered list of named texts, cheap to reuse: a reader empties it with d[:0] and appends.
type Detail []Pair

// Pair is one entry of a Detail.
type Pair struct{ Key, Value string }

// Get is the value of key, "" where there is none.
func (d Detail) Get(key string) string {
	for i := range d {
		if d[i].Key == key {
			return d[i].Value
		}
	}
	return ""
}

// Set replaces or appends the value of key; an empty value is not stored.
func (d *Detail) Set(key, value string) {
	for i := range *d {
		if (*d)[i].Key == key {
			(*d)[i].Value = value
			return
		}
	}
	if value != "" {
		*d = append(*d, Pair{key, value})
	}
}

// Reset makes e an empty event but keeps the memory of its Detail and Evidence.
func (e *Event) Reset() {
	detail, evidence := e.Detail[:0], e.Evidence[:0]
	*e = Event{Detail: detail, Evidence: evidence}
}

// Clone is a deep copy that stays valid: strings are copied too, since a reader may let them point into its buffer.
func (e *Event) Clone() Event {
	c := *e
	for _, s := range []*string{&c.Source, &c.Exporter, &c.Session, &c.InIf, &c.OutIf, &c.Rule, &c.Country} {
		*s = strings.Clone(*s)
	}
	c.Detail = make(Detail, len(e.Detail))
	for i, p := range e.Detail {
		c.Detail[i] = Pair{strings.Clone(p.Key), strings.Clone(p.Value)}
	}
	c.Evidence = slices.Clone(e.Evidence)
	return c
}

// Hits is how many hits the event stands for, at least 1.
func (e *Event) Hits() uint64 { return uint64(max(e.Count, 1)) }

// Last is the end of the event, or its beginning where the source tells no end.
func (e *Event) Last() int64 { return max(e.End, e.Time) }

// Stamp turns nanoseconds since 1970 into a time in UTC; 0 is the zero time.
func Stamp(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

// Nanos is the inverse of Stamp.
func Nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func name(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return names[0]
}
