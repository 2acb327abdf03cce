package detect

import (
	"cmp"
	"container/list"
	"context"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"varde/event"
)

// maxEvidence bounds what an incident remembers of the lists that speak of it.
const maxEvidence = 32

// key is what makes two flows one incident: who, with whom, at which service. The service is the port of the side
// that serves; a side whose port is not the service has any. Of packets that a firewall refused only the foreign end
// counts: a listed prober that goes through a network would be as many incidents as that has addresses and ports.
type key struct {
	own, foreign netip.Addr
	proto        uint8
	port         uint16
	outbound     bool
}

// incident is all traffic of one key until it goes quiet.
type incident struct {
	key
	id          string
	first, last int64
	touched     int64 // by the clock of this machine, for going quiet
	count       uint64
	packets     [2]uint64 // out, in
	bytes       [2]uint64
	flags       [2]uint8
	rejected    bool // an ICMP unreachable was the answer
	sampling    uint32
	vague       bool // who began is a guess
	refused     *refused
	evidence    []event.Evidence
	said        said
	place       *list.Element
}

// refused is what a listed address tried and our firewall refused.
type refused struct {
	first   event.Endpoint // of ours
	proto   uint8
	targets distinct
}

// said is what an incident looked like when it was last said.
type said struct {
	at       int64
	verdict  event.Verdict
	severity event.Severity
	bytes    uint64
	lists    int
	raised   event.Event
}

const (
	out = iota
	in
)

// Contacts is the detector of traffic with listed addresses: one incident for each own host, foreign host, direction
// and service.
type Contacts struct {
	cfg   Config
	names map[netip.Addr]string
	clock func() int64

	mu        sync.Mutex
	open      map[key]*incident
	order     *list.List // of *incident, longest untouched first
	kept      *list.List // the same of what firewalls refused, for which quiet is a day
	opened    uint64
	escalated uint64
	closed    uint64
	evicted   uint64
}

// NewContacts makes the detector. Names are those of own hosts; clock gives the time of this machine for the lag of
// matching, nil in a replay.
func NewContacts(cfg Config, names map[netip.Addr]string, clock func() int64) *Contacts {
	return &Contacts{cfg: cfg, names: names, clock: clock, open: map[key]*incident{}, order: list.New(), kept: list.New()}
}

// Judge takes an event with evidence into its incident and says what is news.
func (c *Contacts) Judge(e *event.Event) *event.Warning {
	if len(e.Evidence) == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	i, fresh := c.find(e)
	i.add(e)
	c.in(i).MoveToBack(i.place)
	w, why := c.assess(i, e, fresh)
	if why == "" {
		return nil
	}
	i.said = said{w.Time, w.Verdict, w.Severity, i.bytes[out] + i.bytes[in], i.listed(), w.Event}
	if fresh {
		c.opened++
	} else {
		c.escalated++
	}
	news := w // is kept; what is no news costs no memory
	return &news
}

// find gives the incident of an event: by the direction that the event itself shows, else by one that is open for
// the same hosts and service in whichever direction.
func (c *Contacts) find(e *event.Event) (i *incident, fresh bool) {
	k, vague := keyOf(e)
	if i := c.open[k]; i != nil {
		return i, false
	}
	// The two one-way halves of a conversation have one key once the service port is known; where that is a guess,
	// the half that came first has decided.
	for _, other := range []key{
		{k.own, k.foreign, k.proto, e.SrcPort, !k.outbound},
		{k.own, k.foreign, k.proto, e.DstPort, !k.outbound},
		{k.own, k.foreign, k.proto, e.SrcPort, k.outbound},
		{k.own, k.foreign, k.proto, e.DstPort, k.outbound},
	} {
		i := c.open[other]
		if i == nil || !vague && !i.vague {
			continue
		}
		if i.vague && !vague {
			// Now it is known who began: the incident moves to its true key.
			delete(c.open, i.key)
			i.key, i.vague = k, false
			c.open[k] = i
		}
		return i, false
	}
	if len(c.open) >= c.cfg.Max {
		oldest := c.kept.Front()
		if oldest == nil {
			oldest = c.order.Front()
		}
		c.drop(oldest.Value.(*incident))
		c.evicted++
	}
	i = &incident{key: k, first: e.Time, last: e.Last(), vague: vague}
	if k == (key{foreign: e.Src}) {
		i.refused = &refused{first: event.Endpoint{Addr: e.Dst, Port: e.DstPort}, proto: e.Proto}
	}
	h := fnv.New64a()
	fmt.Fprint(h, k.own, k.foreign, k.proto, k.port, k.outbound, e.Time)
	i.id = fmt.Sprintf("%016x", h.Sum64())
	i.place = c.in(i).PushBack(i)
	c.open[k] = i
	return i, true
}

// in is the list that an incident stands in.
func (c *Contacts) in(i *incident) *list.List {
	if i.refused != nil {
		return c.kept
	}
	return c.order
}

func (c *Contacts) drop(i *incident) {
	delete(c.open, i.key)
	c.in(i).Remove(i.place)
}

// keyOf tells whose side is whose and which port is the service. The initiator of a bidirectional flow is its source
// (RFC 5103); a lone SYN gives the client away; otherwise the service is the port that is well known, or lower.
func keyOf(e *event.Event) (k key, vague bool) {
	fromOwn := e.Own&event.SideSrc != 0
	if e.Own == 0 { // neither end is ours: the unlisted one stands on our side
		fromOwn = !speaksOf(e.Evidence, event.SideSrc|event.SideNATSrc)
	}
	if !fromOwn && (e.Kind == event.Probe || e.Action == event.Deny) {
		return key{foreign: e.Src}, false
	}
	k = key{own: e.Dst, foreign: e.Src, proto: e.Proto}
	if fromOwn {
		k.own, k.foreign = e.Src, e.Dst
	}
	if e.HasICMP || e.Proto != event.TCP && e.Proto != event.UDP && e.Proto != 132 {
		k.outbound = fromOwn
		if e.HasICMP && isReply(e) {
			k.outbound = !fromOwn
		}
		return k, false
	}
	fromClient := false
	switch {
	case e.HasReverse, e.Proto == event.TCP && e.TCPFlags&(event.SYN|event.ACK|event.RST) == event.SYN:
		fromClient = true
	case e.Proto == event.TCP && e.TCPFlags&(event.SYN|event.ACK|event.RST) == event.SYN|event.ACK && e.RawPackets == 1,
		e.Proto == event.TCP && e.TCPFlags&event.RST != 0 && e.TCPFlags&(event.SYN|event.PSH) == 0 && e.RawPackets <= 2:
		fromClient = false // the answer to a SYN
	default:
		fromClient = serves(e.DstPort, e.SrcPort)
		vague = !clear(e.DstPort, e.SrcPort)
	}
	k.port = e.SrcPort
	if fromClient {
		k.port = e.DstPort
	}
	k.outbound = fromClient == fromOwn
	return k, vague
}

func speaksOf(all []event.Evidence, side event.Side) bool {
	return slices.ContainsFunc(all, func(v event.Evidence) bool { return v.Side&side != 0 })
}

// lowestDynamic is where ports that clients take at random begin on most systems.
const lowestDynamic = 32768

// serves tells whether port a rather than b is the service.
func serves(a, b uint16) bool { return a < b }

// clear tells whether two ports leave no doubt about which is the service: one is well known and the other dynamic.
func clear(a, b uint16) bool {
	low, high := min(a, b), max(a, b)
	return low < 1024 && high >= 1024 || low < lowestDynamic/2 && high >= lowestDynamic
}

// isReply tells ICMP messages that answer something: echo and timestamp replies, unreachable, time exceeded.
func isReply(e *event.Event) bool {
	if e.Proto == event.ICMPv6 {
		return e.ICMPType < 128 || e.ICMPType == 129
	}
	return e.ICMPType == 0 || e.ICMPType == 3 || e.ICMPType == 11 || e.ICMPType == 14
}

// add counts an event into its incident.
func (i *incident) add(e *event.Event) {
	i.count += e.Hits()
	i.first, i.last = min(i.first, e.Time), max(i.last, e.Last())
	i.touched = max(i.touched, e.Received, e.Last())
	i.sampling = max(i.sampling, e.Sampling)
	if i.refused != nil {
		i.refused.targets.add(addrHash(e.Dst))
		if e.DstPort != i.refused.first.Port {
			i.refused.first.Port = 0
		}
	}
	way := in
	if e.Src == i.own {
		way = out
	}
	i.packets[way] += e.Packets
	i.bytes[way] += e.Bytes
	i.flags[way] |= e.TCPFlags
	if e.HasReverse {
		i.packets[1-way] += e.RevPackets
		i.bytes[1-way] += e.RevBytes
		i.flags[1-way] |= e.RevTCPFlags
	}
	if e.HasICMP && (e.Proto == event.ICMP && e.ICMPType == 3 || e.Proto == event.ICMPv6 && e.ICMPType == 1) {
		i.rejected = true
	}
	for _, v := range e.Evidence {
		at := slices.IndexFunc(i.evidence, func(o event.Evidence) bool {
			return o.List == v.List && o.Entry == v.Entry && o.Port == v.Port && o.Name == v.Name && o.URL == v.URL
		})
		switch {
		case at >= 0:
			i.evidence[at].PortMiss = i.evidence[at].PortMiss && v.PortMiss
		case len(i.evidence) < maxEvidence:
			i.evidence = append(i.evidence, v)
		}
	}
}

// assess says what is news of an incident, "" when nothing is.
func (c *Contacts) assess(i *incident, e *event.Event, fresh bool) (w event.Warning, why string) {
	w = c.warning(i)
	w.Event = e.Clone()
	w.Time = max(e.Received, e.Last())
	if e.Exported > e.Last() && e.Last() > 0 {
		w.ExportLag = time.Duration(e.Exported - e.Last())
	}
	if c.clock != nil && e.Received > 0 {
		w.MatchLag = time.Duration(c.clock() - e.Received)
	}
	total := i.bytes[out] + i.bytes[in]
	switch {
	case fresh:
		w.State, why = event.Opened, "first traffic with this address"
	case w.Severity > i.said.severity && answered(w.Verdict) && !answered(i.said.verdict):
		why = "there is an answer now"
	case w.Verdict != i.said.verdict && w.Severity > i.said.severity:
		why = "it is now: " + w.Verdict.String()
	case i.listed() > i.said.lists:
		why = "another list names it now"
	case total >= uint64(c.cfg.Grow) && total >= i.said.bytes*c.cfg.Growth:
		why = fmt.Sprintf("%d times the bytes since it was last said", total/max(i.said.bytes, 1))
	case w.Time-i.said.at >= int64(c.cfg.Again):
		why = "it goes on"
	default:
		return w, ""
	}
	if !fresh {
		w.State = event.Escalated
	}
	w.Why = why
	if i.refused != nil && !w.Own.Addr.IsValid() {
		w.Why = fmt.Sprintf("the firewall refused it at %d addresses of ours: %s", i.refused.targets.count(), why)
	}
	if i.sampling > 1 && !answered(w.Verdict) {
		w.Why += "; the traffic is sampled, so that no answer was seen proves nothing"
	}
	return w, why
}

// listed is how many lists speak of the incident.
func (i *incident) listed() int {
	n := 0
	for at := range i.evidence {
		if !slices.ContainsFunc(i.evidence[:at], func(o event.Evidence) bool { return o.List == i.evidence[at].List }) {
			n++
		}
	}
	return n
}

// warning is the incident as it stands.
func (c *Contacts) warning(i *incident) event.Warning {
	w := event.Warning{
		ID: i.id, Rule: "list", Proto: i.proto, First: i.first, Last: i.last, Count: i.count,
		Own: event.Endpoint{Addr: i.own, Name: c.names[i.own]}, Foreign: event.Endpoint{Addr: i.foreign},
		PacketsOut: i.packets[out], BytesOut: i.bytes[out], PacketsIn: i.packets[in], BytesIn: i.bytes[in],
		Sampling: i.sampling, Verdict: c.verdict(i), Evidence: slices.Clone(i.evidence),
	}
	switch {
	case i.refused != nil:
		w.Proto = i.refused.proto
		if i.refused.targets.count() == 1 {
			w.Own = i.refused.first
			w.Own.Name = c.names[w.Own.Addr]
		}
	case i.outbound:
		w.Foreign.Port = i.port
	default:
		w.Own.Port = i.port
	}
	slices.SortStableFunc(w.Evidence, func(a, b event.Evidence) int {
		return cmp.Or(cmp.Compare(weight(&b), weight(&a)), strings.Compare(a.List, b.List))
	})
	w.Severity = severity(w.Verdict, w.Evidence)
	return w
}

func answered(v event.Verdict) bool { return v == event.AnsweredIn || v == event.AnsweredOut }

// verdict says what happened, by what came back from the side that did not begin.
func (c *Contacts) verdict(i *incident) event.Verdict {
	if i.refused != nil {
		return event.RefusedIn
	}
	ask, reply := in, out
	if i.outbound {
		ask, reply = out, in
	}
	pick := func(inbound, outbound event.Verdict) event.Verdict {
		if i.outbound {
			return outbound
		}
		return inbound
	}
	none := i.packets[reply] == 0 && i.bytes[reply] == 0
	if i.proto == event.TCP && i.packets[ask] >= 3 && i.flags[ask]&(event.ACK|event.PSH) == event.ACK|event.PSH && !refusal(i.flags[reply]) {
		// Who acknowledges and sends data was answered, even where the other half was not seen, or not yet.
		return pick(event.AnsweredIn, event.AnsweredOut)
	}
	switch {
	case i.packets[ask] == 0 && i.bytes[ask] == 0 && !i.rejected:
		if i.proto == event.TCP && refusal(i.flags[reply]) {
			return pick(event.RefusedIn, event.RefusedOut)
		}
		return event.ReplyOnly
	case i.rejected && (none || i.proto == event.ICMP || i.proto == event.ICMPv6):
		return pick(event.RefusedIn, event.RefusedOut)
	case none:
		return pick(event.ProbeIn, event.ContactOut)
	case i.proto == event.TCP && refusal(i.flags[reply]):
		return pick(event.RefusedIn, event.RefusedOut)
	case i.proto == event.TCP && i.flags[reply] != 0 && i.flags[reply]&event.PSH == 0 && i.packets[reply] <= 3 && i.bytes[reply] < uint64(c.cfg.Answered):
		return pick(event.ProbeIn, event.ContactOut) // a handshake at most
	}
	return pick(event.AnsweredIn, event.AnsweredOut)
}

// refusal tells the flags of a side that only ever refused.
func refusal(flags uint8) bool {
	return flags&event.RST != 0 && flags&(event.SYN|event.PSH|event.FIN) == 0
}

// Sweep closes what has been quiet and says a summary of what was answered or went out; probes end silently.
func (c *Contacts) Sweep(now int64, say func(event.Warning)) {
	c.mu.Lock()
	var done []event.Warning
	for front := c.kept.Front(); front != nil && now-front.Value.(*incident).touched >= int64(c.cfg.Again); front = c.kept.Front() {
		c.drop(front.Value.(*incident))
		c.closed++
	}
	for front := c.order.Front(); front != nil; front = c.order.Front() {
		i := front.Value.(*incident)
		if now-i.touched < int64(c.cfg.Quiet) {
			break
		}
		c.drop(i)
		c.closed++
		if i.said.severity < event.Medium {
			continue
		}
		w := c.warning(i)
		w.State, w.Time, w.Event = event.Closed, i.touched+int64(c.cfg.Quiet), i.said.raised
		w.Why = "quiet since then"
		done = append(done, w)
	}
	c.mu.Unlock()
	for _, w := range done {
		say(w)
	}
}

// Figures counts incidents.
func (c *Contacts) Figures(context.Context) ([]event.Figure, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return []event.Figure{
		event.Measure("varde_incidents_open", "Incidents that are not quiet yet.", "", float64(len(c.open))),
		event.Count("varde_incidents_opened_total", "Incidents begun.", c.opened),
		event.Count("varde_incidents_escalated_total", "Incidents said again since they got worse.", c.escalated),
		event.Count("varde_incidents_closed_total", "Incidents that went quiet.", c.closed),
		event.Count("varde_incidents_evicted_total", "Incidents forgotten to make room.", c.evicted),
	}, nil
}
