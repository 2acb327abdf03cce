package flow

// op takes one field of a record. For templates with variable fields, at is the field's index, otherwise its offset.
type op struct {
	do, then action // then is what orElse does
	len, at  uint16
}

// needs tells which work a record wants after its fields were taken.
type needs struct {
	sampler, rate, icmp, firewall, reverse, duration, init bool
	hasTime, hasEnd                                        bool
	start, end                                             clock // how beginning and end are told
}

// clock says what a time in a record counts from.
type clock uint8

const (
	absolute clock = iota // 1970 or 1900: the event has it already
	uptime                // when the exporter started
	delta                 // back from the export
)

// better are the fields that make another one superfluous where a template has both: deltas are better than totals,
// which tell the same octets again in each report, and the port of the flow is better than that of one transport protocol.
var better = [numActions][]action{
	totalBytes: {bytesField}, initiatorBytes: {bytesField, totalBytes}, postBytes: {bytesField, totalBytes, initiatorBytes},
	totalPackets: {packetsField}, initiatorPackets: {packetsField, totalPackets}, postPackets: {packetsField, totalPackets, initiatorPackets},
	responderBytes: {reverseBytes}, responderPackets: {reversePackets},
	ofSrcPort: {srcPort}, ofDstPort: {dstPort}, inPhysical: {inIf}, outPhysical: {outIf}, station4: {src4, src6},
	startMicro: {startNano}, startMilli: {startNano, startMicro}, startSecond: {startNano, startMicro, startMilli},
	startUptime: {startNano, startMicro, startMilli, startSecond}, startDelta: {startNano, startMicro, startMilli, startSecond, startUptime},
	endMicro: {endNano}, endMilli: {endNano, endMicro}, endSecond: {endNano, endMicro, endMilli},
	endUptime: {endNano, endMicro, endMilli, endSecond}, endDelta: {endNano, endMicro, endMilli, endSecond, endUptime},
	observed: {endNano, endMicro, endMilli, endSecond, endUptime, endDelta},
}

// actions is a set of actions.
type actions [numActions]bool

func (s *actions) any(of ...action) bool {
	for _, a := range of {
		if s[a] {
			return true
		}
	}
	return false
}

// plan makes the ops of a data template: which of its fields are taken, and how.
func (t *template) plan() {
	var has, taken actions
	wanted := 0
	for _, f := range t.fields {
		if do := f.action(); do != skip {
			has[do] = true
			wanted++
		}
	}
	start := has.any(startNano, startMicro, startMilli, startSecond, startUptime, startDelta)
	t.ops = make([]op, 0, wanted)
	offset := 0
	for i, f := range t.fields {
		at := offset
		if t.vary {
			at = i
		}
		if f.Length != variable {
			offset += int(f.Length)
		}
		do := f.action()
		if do == skip || has.any(better[do]...) {
			continue
		}
		do = do.plain(start)
		t.needs.note(do)
		o := op{do: do.sized(f.Length), len: f.Length, at: uint16(at)}
		if target := do.target(); taken[target] {
			o.again(do)
		} else {
			taken[target] = true
		}
		t.ops = append(t.ops, o)
	}
	if !t.vary {
		t.ops = pair(t.ops)
	}
}

// pairs are fields that usually stand side by side, with the action that takes both.
var pairs = [...]struct{ first, second, both action }{
	{src4, dst4, ends4},
	{src6, dst6, ends6},
	{srcPort2, dstPort2, ports},
	{in4, out4, interfaces},
	{packets8, bytes8, packetsBytes8},
	{bytes8, packets8, bytesPackets8},
	{packets4, bytes4, packetsBytes4},
	{bytes4, packets4, bytesPackets4},
	{startUptime4, endUptime4, startEndUptime},
	{endUptime4, startUptime4, endStartUptime},
	{startMilli8, endMilli8, startEndMilli},
}

// pair puts ops on neighbouring fields together.
func pair(ops []op) []op {
	out := ops[:0]
	for _, o := range ops {
		if n := len(out) - 1; n >= 0 && out[n].at+out[n].len == o.at {
			for _, p := range pairs {
				if out[n].do == p.first && o.do == p.second {
					out[n].do, out[n].len = p.both, out[n].len+o.len
					o.do = skip
					break
				}
			}
		}
		if o.do != skip {
			out = append(out, o)
		}
	}
	return out
}

// plain is the action that a stand-in does once it is known to be the best: that of the field it stands in for. The
// time of an observation is the end of what has a beginning, as in the teardown events of a firewall.
func (a action) plain(start bool) action {
	switch a {
	case totalBytes, initiatorBytes, postBytes:
		return bytesField
	case totalPackets, initiatorPackets, postPackets:
		return packetsField
	case responderBytes:
		return reverseBytes
	case responderPackets:
		return reversePackets
	case ofSrcPort:
		return srcPort
	case ofDstPort:
		return dstPort
	case inPhysical:
		return inIf
	case outPhysical:
		return outIf
	case station4:
		return src4
	case observed:
		if start {
			return endMilli
		}
		return startMilli
	}
	return a
}

// target is the same for actions that write to the same place.
func (a action) target() action {
	switch a {
	case src6:
		return src4
	case dst6:
		return dst4
	case natSrc6:
		return natSrc4
	case natDst6:
		return natDst4
	case icmp6:
		return icmp4
	}
	return a
}

// again makes o an op on a place that another op of the record has written to before: flags are added up, and of all
// else the last that is not zero counts. A template may so have addresses of both families, one of them empty.
func (o *op) again(do action) {
	switch do {
	case tcpFlags:
		o.do = moreFlags
	case reverseFlags:
		o.do = moreReverseFlags
	default:
		o.do, o.then = orElse, o.do
	}
}

func (n *needs) note(a action) {
	switch a {
	case samplerID:
		n.sampler = true
	case recordRate, recordInterval, recordSpace:
		n.rate = true
	case startUptime:
		n.start = uptime
	case endUptime:
		n.end = uptime
	case startDelta:
		n.start = delta
	case endDelta:
		n.end = delta
	case initMilli:
		n.init = true
	case durationMilli, durationMicro:
		n.duration = true
	case icmp4, icmp6, icmpType, icmpCode:
		n.icmp = true
	case firewallEvent:
		n.firewall = true
	case reverseBytes, reversePackets, reverseFlags:
		n.reverse = true
	}
	switch a {
	case startUptime, startSecond, startMilli, startMicro, startNano, startDelta:
		n.hasTime = true
	case endUptime, endSecond, endMilli, endMicro, endNano, endDelta:
		n.hasEnd = true
	}
}
