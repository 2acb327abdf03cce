package warn

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"varde/event"
	"varde/event/human"
)

// direction is the word that the eye looks for first.
func direction(w *event.Warning) string {
	switch {
	case w.State == event.Closed:
		return "QUIET"
	case w.Scan != nil:
		return "SCAN"
	case w.Surge != nil:
		return "SURGE"
	case w.Rule != "list" && w.Rule != "" && !(w.Own.Addr.IsValid() && w.Foreign.Addr.IsValid()):
		return strings.ToUpper(short(human.Safe(w.Rule), 16))
	}
	switch w.Verdict {
	case event.AnsweredOut, event.ContactOut, event.RefusedOut:
		return "OUTBOUND"
	case event.AnsweredIn, event.ProbeIn, event.RefusedIn:
		return "INBOUND"
	case event.Passing:
		return "PASSING"
	}
	return "TRAFFIC"
}

// sentence says who did what with whom, or what is said of the one end that is known.
func sentence(w *event.Warning) string {
	own, foreign := endpoint(w, &w.Own), endpoint(w, &w.Foreign)
	if ofProbes(w) {
		return alone(w, foreign)
	}
	if own == "" || foreign == "" {
		return alone(w, own+foreign)
	}
	s := own + " and " + foreign
	switch w.Verdict {
	case event.AnsweredOut:
		s = own + " answered by " + foreign
	case event.ContactOut:
		s = own + " tried " + foreign + ", no answer seen"
	case event.RefusedOut:
		s = own + " refused by " + foreign
	case event.AnsweredIn:
		s = own + " answered " + foreign
	case event.ProbeIn:
		s = own + " probed by " + foreign
	case event.RefusedIn:
		s = own + " refused " + foreign
	case event.ReplyOnly:
		s += ", only the reply was seen"
	case event.Passing:
		s += ", neither is ours"
	default:
		s += ", unknown who began"
	}
	if w.Event.HasICMP {
		return s + ", " + event.ICMPName(w.Event.Proto, w.Event.ICMPType, w.Event.ICMPCode)
	}
	if w.Proto != 0 && portless(w) {
		return s + ", " + event.ProtoName(w.Proto)
	}
	return s
}

// alone is the sentence of a warning that is not about a pair of addresses: the detector's own.
func alone(w *event.Warning, end string) string {
	why := short(human.Safe(w.Why), maxWhy)
	switch {
	case why == "" && end == "":
		return "the rule " + cmp.Or(host(w.Rule), "without a name") + " gives no words"
	case why == "":
		return end
	case end == "":
		return why
	}
	return end + ": " + why
}

// news is why the warning is said again, and what is not known. That a new incident is new, and a quiet one quiet, needs
// no words: of those it is what stands behind the first semicolon.
func news(w *event.Warning) string {
	if w.Why == "" || ofProbes(w) || !w.Own.Addr.IsValid() || !w.Foreign.Addr.IsValid() {
		return "" // the sentence has it
	}
	why := w.Why
	if w.State != event.Escalated && w.Rule == "list" {
		_, why, _ = strings.Cut(why, "; ")
	}
	why = short(human.Safe(why), maxWhy)
	if w.State == event.Escalated {
		return "again: " + why
	}
	return why
}

// portless tells that no port was printed. ICMP has none, whatever an exporter puts into the field.
func portless(w *event.Warning) bool {
	return w.Proto == event.ICMP || w.Proto == event.ICMPv6 || w.Own.Port == 0 && w.Foreign.Port == 0
}

// endpoint is one end by name, address and service, "" when it is not known.
func endpoint(w *event.Warning, e *event.Endpoint) string {
	if !e.Addr.IsValid() {
		return host(e.Name)
	}
	addr := address(e.Addr)
	if e.Port != 0 && !portless(w) {
		addr = addressPort(e.Addr, e.Port) + "/" + event.ProtoName(w.Proto)
	}
	if e.Name == "" {
		return addr
	}
	return host(e.Name) + " (" + addr + ")"
}

// address is safe even where a zone came with it.
func address(a netip.Addr) string { return human.Safe(a.String()) }

// addressPort writes IPv6 in brackets.
func addressPort(a netip.Addr, port uint16) string {
	return human.Safe(netip.AddrPortFrom(a, port).String())
}

// evidence tells the first entries, which are the strongest, and how many lists say more.
func evidence(w *event.Warning, most int) []string {
	most = min(most, len(w.Evidence))
	parts := make([]string, 0, most+1)
	var shown, more []string
	for i := range w.Evidence {
		v := &w.Evidence[i]
		switch {
		case i < most:
			parts = append(parts, claim(w, v))
			shown = append(shown, v.List)
		case !slices.Contains(shown, v.List) && !slices.Contains(more, v.List):
			more = append(more, v.List)
		}
	}
	switch {
	case len(more) > 0:
		parts = append(parts, "and "+plural(uint64(len(more)), "more list"))
	case len(w.Evidence) > most && len(w.Evidence)-most == 1:
		parts = append(parts, "and 1 more entry")
	case len(w.Evidence) > most:
		parts = append(parts, "and "+human.Count(uint64(len(w.Evidence)-most))+" more entries")
	}
	return parts
}

// claim is what one list says.
func claim(w *event.Warning, v *event.Evidence) string {
	s := host(v.List) + ": "
	switch {
	case v.Name != "":
		s += quote(v.Name)
	default:
		s += short(human.Safe(v.String()), maxName)
	}
	switch {
	case v.Info:
		s += ", a role and no threat"
	case v.Confidence > 0:
		s += " confidence " + strconv.Itoa(int(v.Confidence))
	}
	if v.PortMiss {
		s += ", listed for port " + strconv.Itoa(int(v.Port))
	}
	if v.Downgraded {
		s += ", downgraded by an exception"
	}
	if v.Seen != 0 && w.Time > v.Seen {
		s += ", seen " + human.Span(time.Duration(w.Time-v.Seen)) + " ago"
	}
	return s
}

// quote puts a hostile text between quotation marks that it cannot close.
func quote(s string) string {
	return `"` + strings.ReplaceAll(short(human.Safe(s), maxName), `"`, `\"`) + `"`
}
