package event

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// Evidence is one reason why an address, name or file is held to be hostile: one entry of one list.
// Its strings belong to the list and are never copied.
type Evidence struct {
	List       string       // name of the list as the operator configured it
	Entry      netip.Prefix // the listed prefix that covers the address; invalid for entries that are no address
	Port       uint16       // the port of an address:port entry, 0 for entries without one
	Text       string       // the entry where it is a domain, URL or hash
	Name       string       // what the list calls it: pulse name, malware family, SBL number
	URL        string       // where a person can read on
	Confidence uint8        // 0..100
	Tags       []string
	Seen       int64 // when the list last saw it, nanoseconds since 1970, 0 unknown
	Side       Side  // which end of the event it speaks of
	Downgraded bool  // an allow entry says: report it, but low
	PortMiss   bool  // the entry names a port and the traffic was on another: weak
	Info       bool  // the list tells a role (Tor exit, scanner for research), not hostility
}

// String is the entry as text: prefix (without /32 or /128), address:port, or the text itself.
func (v *Evidence) String() string {
	if !v.Entry.IsValid() {
		return v.Text
	}
	s := v.Entry.String()
	if v.Entry.IsSingleIP() {
		s = v.Entry.Addr().String()
	}
	if v.Port == 0 {
		return s
	}
	if v.Entry.Addr().Is6() {
		s = "[" + s + "]"
	}
	return s + ":" + strconv.Itoa(int(v.Port))
}

// Severity ranks warnings.
type Severity uint8

// The severities, lowest first.
const (
	Info Severity = iota
	Low
	Medium
	High
	Critical
)

var severityNames = [...]string{"info", "low", "medium", "high", "critical"}

// String is the severity's name as it stands in JSON.
func (s Severity) String() string { return name(severityNames[:], int(s)) }

// ParseSeverity is the inverse of String.
func ParseSeverity(s string) (Severity, bool) {
	i := slices.Index(severityNames[:], s)
	return Severity(max(i, 0)), i >= 0
}

// Verdict says in one word what happened between our side and the foreign one.
type Verdict uint8

// The verdicts.
const (
	VerdictUnknown Verdict = iota // evidence of who began and who answered is too weak
	ProbeIn                       // they tried us; no answer of ours was seen
	AnsweredIn                    // they came to us and our host answered
	RefusedIn                     // they tried us and were refused: RST or ICMP unreachable only
	ContactOut                    // our host tried them; no answer was seen
	AnsweredOut                   // our host went to them and they answered
	RefusedOut                    // our host tried them and was refused
	ReplyOnly                     // only one direction was seen and it looks like the reply
	Passing                       // neither end is ours
)

var verdictNames = [...]string{
	"unknown", "probe in", "answered in", "refused in", "contact out", "answered out", "refused out", "reply only", "passing",
}

// String is the verdict as it stands in JSON and in the line.
func (v Verdict) String() string { return name(verdictNames[:], int(v)) }

// ParseVerdict is the inverse of String.
func ParseVerdict(s string) (Verdict, bool) {
	i := slices.Index(verdictNames[:], s)
	return Verdict(max(i, 0)), i >= 0
}

// State is where an incident stands when it speaks.
type State uint8

// The states.
const (
	Opened    State = iota // said for the first time
	Escalated              // said again, since something got worse: Why tells what
	Closed                 // the summary after it went quiet
)

var stateNames = [...]string{"opened", "escalated", "closed"}

// String is the state's name as it stands in JSON.
func (s State) String() string { return name(stateNames[:], int(s)) }

// ParseState is the inverse of String.
func ParseState(s string) (State, bool) {
	i := slices.Index(stateNames[:], s)
	return State(max(i, 0)), i >= 0
}

// Endpoint is one end of what a Warning is about.
type Endpoint struct {
	Addr netip.Addr
	Port uint16 // 0 where the port is of no interest, as the client's
	Name string // what the operator calls this host, "" when unknown
}

// Warning is one thing a person can act on. Unlike an Event it is a value that may be kept.
type Warning struct {
	ID       string // the same for every warning of one incident
	Rule     string // the detector that raised it: "list", "scan", "surge" ...
	State    State
	Severity Severity
	Verdict  Verdict
	Own      Endpoint
	Foreign  Endpoint
	Proto    uint8

	Time  int64 // when it was raised, on the clock of the events
	First int64 // first and last activity of the incident
	Last  int64
	Count uint64 // events so far: flows, hits, sessions

	PacketsOut, BytesOut uint64 // from our side, scaled by sampling
	PacketsIn, BytesIn   uint64 // towards our side
	Sampling             uint32 // highest sampling rate met; above 1 the counters are estimates

	ExportLag time.Duration // from the end of the flow to its export, 0 unknown
	MatchLag  time.Duration // from its arrival here to this warning

	Why      string // one sentence: why it is said (again), and what is not known
	Event    Event  // a clone of the event that raised it
	Evidence []Evidence
	Scan     *Scan  // of the rule "scan" only; never changed once said
	Surge    *Surge // of the rule "surge" only; likewise
}

// Scan is how far a scan reached and how it was done. First, Last, Count and Foreign stand in its Warning.
type Scan struct {
	Pattern   string         `json:"pattern"`             // vertical, slow vertical, diagonal, horizontal, block, distributed
	Technique []string       `json:"technique,omitempty"` // syn, udp, connect, ping, xmas, null, fin, maimon, ack, odd flags
	Order     string         `json:"order,omitempty"`     // ascending or descending where ports were tried in that order
	Ports     uint32         `json:"ports"`               // distinct ports
	Low       uint16         `json:"port_low"`            // the lowest and the highest of them
	High      uint16         `json:"port_high"`           //
	Tried     []uint16       `json:"tried,omitempty"`     // the first of them, in the order in which they were tried
	Targets   uint32         `json:"targets"`             // distinct addresses of ours; an estimate above 16
	Sources   uint32         `json:"sources"`             // distinct sources
	From      []netip.Prefix `json:"from,omitempty"`      // the first of them; a /64 counts as one source
	Rate      float64        `json:"rate,omitempty"`      // probes a second over the whole scan
	Reached   []uint16       `json:"reached,omitempty"`   // ports that we serve and where the scanner was let in meanwhile
}

// Surge is a port that many new sources try. The port is in Own.Port of its Warning, the onset in First, all sources
// since then in Count.
type Surge struct {
	Meaning   string        // what the port is known for, "" where nothing is
	Sources   uint64        // new sources within Window
	Window    time.Duration // the window in which there were far too many
	Expected  float64       // how many there would be otherwise
	Networks  uint32        // autonomous systems, or /16 and /32 where these are not known, that they came from
	FirstSeen int64         // when anybody ever tried the port, nanoseconds since 1970, as far as is remembered
	Curve     []uint32      // new sources by CurveBin, oldest first, the last bin up to now
	CurveFrom int64         // where the first bin begins
	CurveBin  time.Duration
	Countries []Share // most frequent first, at most ten
	ASes      []Share // likewise, as AS64500
}

// Share is how often one value occurred.
type Share struct {
	Name  string `json:"name"`
	Count uint64 `json:"count"`
}

// Sayer is a way to warn. Say returns once the warning is delivered or with the reason why not; it may be called
// again with the same warning. Queues, retries and spools are not its business.
type Sayer interface {
	Name() string
	Say(context.Context, Warning) error
}
