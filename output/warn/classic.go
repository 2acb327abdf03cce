package warn

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"varde/event"
	"varde/event/human"
)

// AppendClassic appends a warning in the form of the script that varde grew out of: one line for the flow, an
// indented URL for each evidence, and a blank line. An entry without a URL is told by its list and itself.
func AppendClassic(b []byte, w *event.Warning, zone *time.Location) []byte {
	e := &w.Event
	at := e.Last()
	if at == 0 {
		at = w.Time
	}
	b = event.Stamp(at).In(zone).AppendFormat(b, time.DateTime)
	b = append(append(b, " : "...), classicEnd(e, e.Src, e.SrcPort, "")...)
	b = append(append(b, " -> "...), classicEnd(e, e.Dst, e.DstPort, e.Detail.Get("host"))...)
	b = append(append(append(b, " ("...), classicProto(e)...), ")\n"...)
	var said []string
	for i := range w.Evidence {
		v := &w.Evidence[i]
		text := v.URL
		if text == "" {
			text = v.List + " " + v.String()
		}
		if !slices.Contains(said, text) {
			said = append(said, text)
			b = append(human.AppendSafe(append(b, ' '), short(text, maxURL)), '\n')
		}
	}
	return append(b, '\n')
}

// classicEnd is one end of the flow; IPv6 stands in brackets before a port.
func classicEnd(e *event.Event, a netip.Addr, port uint16, name string) string {
	switch {
	case !a.IsValid() && name == "":
		return "-"
	case !a.IsValid():
		return host(name)
	case hasPorts(e.Proto) || e.Proto == 0 && port != 0:
		return addressPort(a, port)
	}
	return address(a)
}

// hasPorts tells the protocols whose header has ports: TCP, UDP, DCCP, SCTP and UDP-Lite. Other exporters' port
// fields hold nothing, or for ICMP the type and code.
func hasPorts(proto uint8) bool {
	switch proto {
	case event.TCP, event.UDP, 33, 132, 136:
		return true
	}
	return false
}

func classicProto(e *event.Event) string {
	name := event.ProtoName(e.Proto)
	if !e.HasICMP {
		return strings.ToUpper(name)
	}
	return strings.ToUpper(name) + strings.TrimPrefix(event.ICMPName(e.Proto, e.ICMPType, e.ICMPCode), name)
}
