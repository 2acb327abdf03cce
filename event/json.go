package event

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"
)

// The names of the fields below are a contract: JSON keys, CSV headers, store columns and documentation use the same.

// AppendJSON appends e as one JSON object without a newline. Fields that the source did not tell are left out.
func (e *Event) AppendJSON(b []byte) []byte {
	o := object{append(b, '{')}
	o.stamp("time", e.Time)
	if e.End != e.Time {
		o.stamp("end", e.End)
	}
	o.text("kind", e.Kind.String())
	o.optional("source", e.Source)
	o.optional("exporter", e.Exporter)
	o.nonzero("domain", uint64(e.Domain))
	o.optional("session", e.Session)
	o.nonzero("proto", uint64(e.Proto))
	ports := e.Proto != ICMP && e.Proto != ICMPv6
	o.endpoint("src", "sport", e.Src, e.SrcPort, ports)
	o.endpoint("dst", "dport", e.Dst, e.DstPort, ports)
	o.endpoint("nat_src", "nat_sport", e.NATSrc, e.NATSrcPort, ports)
	o.endpoint("nat_dst", "nat_dport", e.NATDst, e.NATDstPort, ports)
	o.nonzero("nat_event", uint64(e.NATEvent))
	if e.Packets|e.Bytes != 0 || e.Kind == Flow {
		o.number("packets", e.Packets)
		o.number("bytes", e.Bytes)
	}
	o.nonzero("sampling", uint64(e.Sampling))
	if e.TCPFlags != 0 {
		o.text("tcp_flags", FlagLetters(e.TCPFlags))
	}
	if e.HasICMP {
		o.number("icmp_type", uint64(e.ICMPType))
		o.number("icmp_code", uint64(e.ICMPCode))
	}
	if e.HasReverse {
		o.number("rev_packets", e.RevPackets)
		o.number("rev_bytes", e.RevBytes)
		if e.RevTCPFlags != 0 {
			o.text("rev_tcp_flags", FlagLetters(e.RevTCPFlags))
		}
	}
	o.optional("in_if", ifName(e.InIf, e.InIndex))
	o.optional("out_if", ifName(e.OutIf, e.OutIndex))
	o.optional("action", e.Action.String())
	o.optional("rule", e.Rule)
	o.nonzero("count", uint64(e.Count))
	o.optional("country", e.Country)
	o.nonzero("asn", uint64(e.ASN))
	if len(e.Detail) > 0 {
		o.key("detail")
		o.b = e.Detail.AppendJSON(o.b)
	}
	return append(o.b, '}')
}

// AppendJSON appends d as one JSON object of strings, in its order.
func (d Detail) AppendJSON(b []byte) []byte {
	o := object{append(b, '{')}
	for _, p := range d {
		o.text(p.Key, p.Value)
	}
	return append(o.b, '}')
}

// AppendJSON appends w as one JSON object without a newline; ages of evidence are seconds before now.
func (w *Warning) AppendJSON(b []byte, now int64) []byte {
	o := object{append(b, '{')}
	o.stamp("time", w.Time)
	o.optional("id", w.ID)
	o.text("rule", w.Rule)
	o.text("state", w.State.String())
	o.text("severity", w.Severity.String())
	o.text("verdict", w.Verdict.String())
	o.end("own", &w.Own)
	o.end("foreign", &w.Foreign)
	o.nonzero("proto", uint64(w.Proto))
	o.stamp("first", w.First)
	o.stamp("last", w.Last)
	o.number("count", w.Count)
	o.number("packets_out", w.PacketsOut)
	o.number("bytes_out", w.BytesOut)
	o.number("packets_in", w.PacketsIn)
	o.number("bytes_in", w.BytesIn)
	o.nonzero("sampling", uint64(w.Sampling))
	o.seconds("export_lag", w.ExportLag)
	o.seconds("match_lag", w.MatchLag)
	o.optional("why", w.Why)
	o.key("event")
	o.b = w.Event.AppendJSON(o.b)
	o.key("evidence")
	o.b = append(o.b, '[')
	for i := range w.Evidence {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		o.b = w.Evidence[i].appendJSON(o.b, now)
	}
	o.b = append(o.b, ']')
	if w.Scan != nil {
		o.nested("scan", w.Scan)
	}
	if w.Surge != nil {
		o.nested("surge", w.Surge.wire())
	}
	return append(o.b, '}')
}

// wireSurge is a Surge with its times as JSON has them: stamps, and seconds.
type wireSurge struct {
	Meaning   string    `json:"meaning,omitempty"`
	Sources   uint64    `json:"sources"`
	Window    float64   `json:"window"`
	Expected  float64   `json:"expected"`
	Networks  uint32    `json:"networks"`
	FirstSeen time.Time `json:"first_seen,omitzero"`
	Curve     []uint32  `json:"curve,omitempty"`
	CurveFrom time.Time `json:"curve_from,omitzero"`
	CurveBin  float64   `json:"curve_bin,omitempty"`
	Countries []Share   `json:"countries,omitempty"`
	ASes      []Share   `json:"ases,omitempty"`
}

func (s *Surge) wire() *wireSurge {
	return &wireSurge{
		Meaning: s.Meaning, Sources: s.Sources, Window: s.Window.Seconds(), Expected: s.Expected, Networks: s.Networks,
		FirstSeen: Stamp(s.FirstSeen), Curve: s.Curve, CurveFrom: Stamp(s.CurveFrom), CurveBin: s.CurveBin.Seconds(),
		Countries: s.Countries, ASes: s.ASes,
	}
}

func (v *Evidence) appendJSON(b []byte, now int64) []byte {
	o := object{append(b, '{')}
	o.text("list", v.List)
	o.text("entry", v.String())
	o.optional("name", v.Name)
	o.optional("url", v.URL)
	o.nonzero("confidence", uint64(v.Confidence))
	if len(v.Tags) > 0 {
		o.key("tags")
		o.b = append(o.b, '[')
		for i, t := range v.Tags {
			if i > 0 {
				o.b = append(o.b, ',')
			}
			o.b = appendString(o.b, t)
		}
		o.b = append(o.b, ']')
	}
	o.stamp("seen", v.Seen)
	if v.Seen != 0 && now > v.Seen {
		o.number("age", uint64(now-v.Seen)/uint64(time.Second))
	}
	o.nonzero("side", uint64(v.Side))
	o.yes("downgraded", v.Downgraded)
	o.yes("port_miss", v.PortMiss)
	o.yes("info", v.Info)
	return append(o.b, '}')
}

// object appends the members of one JSON object.
type object struct{ b []byte }

func (o *object) key(k string) {
	if o.b[len(o.b)-1] != '{' {
		o.b = append(o.b, ',')
	}
	o.b = append(appendString(o.b, k), ':')
}

func (o *object) text(k, v string) { o.key(k); o.b = appendString(o.b, v) }

func (o *object) optional(k, v string) {
	if v != "" {
		o.text(k, v)
	}
}

// nested appends a value of ours that is too rare to be worth its own writer.
func (o *object) nested(k string, v any) {
	if b, err := json.Marshal(v); err == nil { // it fails for numbers that JSON has not, which no detector gives
		o.key(k)
		o.b = append(o.b, b...)
	}
}

func (o *object) number(k string, v uint64) { o.key(k); o.b = strconv.AppendUint(o.b, v, 10) }

func (o *object) nonzero(k string, v uint64) {
	if v != 0 {
		o.number(k, v)
	}
}

func (o *object) yes(k string, v bool) {
	if v {
		o.key(k)
		o.b = append(o.b, "true"...)
	}
}

func (o *object) stamp(k string, ns int64) {
	if ns != 0 {
		o.key(k)
		o.b = append(Stamp(ns).AppendFormat(append(o.b, '"'), time.RFC3339Nano), '"')
	}
}

func (o *object) seconds(k string, d time.Duration) {
	if d != 0 {
		o.key(k)
		o.b = strconv.AppendFloat(o.b, d.Seconds(), 'f', -1, 64)
	}
}

func (o *object) endpoint(addr, port string, a netip.Addr, p uint16, ports bool) {
	if a.IsValid() {
		o.key(addr)
		o.b = append(a.AppendTo(append(o.b, '"')), '"')
	}
	if ports && (a.IsValid() || p != 0) {
		o.number(port, uint64(p))
	}
}

func (o *object) end(k string, e *Endpoint) {
	o.key(k)
	in := object{append(o.b, '{')}
	in.endpoint("addr", "port", e.Addr, e.Port, e.Port != 0)
	in.optional("name", e.Name)
	o.b = append(in.b, '}')
}

// appendString appends s as a JSON string. Beyond what JSON asks for, everything unprintable is escaped, bidirectional
// marks and C1 controls among it, so that the line is safe on a terminal; invalid UTF-8 becomes U+FFFD.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' && c != 0x7f {
			b = append(b, c)
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', c)
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\t':
			b = append(b, `\t`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r <= 0xffff && !unicode.IsPrint(r) || r == utf8.RuneError:
			b = fmt.Appendf(b, `\u%04x`, r)
		case !unicode.IsPrint(r):
			hi, lo := (r-0x10000)>>10+0xd800, (r-0x10000)&0x3ff+0xdc00
			b = fmt.Appendf(b, `\u%04x\u%04x`, hi, lo)
		default:
			b = append(b, s[i:i+n]...)
		}
		i += n
	}
	return append(b, '"')
}
