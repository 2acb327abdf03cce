package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"time"
)

// wireEvent mirrors AppendJSON for reading; a test holds the two together.
type wireEvent struct {
	Time        time.Time  `json:"time"`
	End         time.Time  `json:"end"`
	Kind        string     `json:"kind"`
	Source      string     `json:"source"`
	Exporter    string     `json:"exporter"`
	Domain      uint32     `json:"domain"`
	Session     string     `json:"session"`
	Proto       uint8      `json:"proto"`
	Src         netip.Addr `json:"src"`
	SrcPort     uint16     `json:"sport"`
	Dst         netip.Addr `json:"dst"`
	DstPort     uint16     `json:"dport"`
	NATSrc      netip.Addr `json:"nat_src"`
	NATSrcPort  uint16     `json:"nat_sport"`
	NATDst      netip.Addr `json:"nat_dst"`
	NATDstPort  uint16     `json:"nat_dport"`
	NATEvent    uint8      `json:"nat_event"`
	Packets     uint64     `json:"packets"`
	Bytes       uint64     `json:"bytes"`
	Sampling    uint32     `json:"sampling"`
	TCPFlags    string     `json:"tcp_flags"`
	ICMPType    *uint8     `json:"icmp_type"`
	ICMPCode    *uint8     `json:"icmp_code"`
	RevPackets  *uint64    `json:"rev_packets"`
	RevBytes    uint64     `json:"rev_bytes"`
	RevTCPFlags string     `json:"rev_tcp_flags"`
	InIf        string     `json:"in_if"`
	OutIf       string     `json:"out_if"`
	Action      string     `json:"action"`
	Rule        string     `json:"rule"`
	Count       uint32     `json:"count"`
	Country     string     `json:"country"`
	ASN         uint32     `json:"asn"`
	Detail      Detail     `json:"detail"`
}

// ParseJSON reads one object as AppendJSON writes it into e. Unknown keys are ignored, so that newer sensors can
// talk to older ones; unknown kinds, actions and flag letters are errors.
func (e *Event) ParseJSON(b []byte) error {
	var w wireEvent
	if err := json.Unmarshal(b, &w); err != nil {
		return fmt.Errorf("parse event: %w", err)
	}
	return e.fromWire(&w)
}

func (e *Event) fromWire(w *wireEvent) error {
	e.Reset()
	kind, ok := ParseKind(w.Kind)
	if !ok && w.Kind != "unknown" {
		return fmt.Errorf("parse event: %q is no kind of event", w.Kind)
	}
	action, ok := ParseAction(w.Action)
	if !ok && w.Action != "" {
		return fmt.Errorf("parse event: %q is no action: use deny, accept, audit or unknown", w.Action)
	}
	flags, ok := ParseFlags(w.TCPFlags)
	revFlags, ok2 := ParseFlags(w.RevTCPFlags)
	if !ok || !ok2 {
		return fmt.Errorf("parse event: TCP flags %q %q: use the letters CEUAPRSF", w.TCPFlags, w.RevTCPFlags)
	}
	e.Kind, e.Action, e.TCPFlags, e.RevTCPFlags = kind, action, flags, revFlags
	e.Time, e.End = Nanos(w.Time), Nanos(w.End)
	e.Source, e.Exporter, e.Domain, e.Session = w.Source, w.Exporter, w.Domain, w.Session
	e.Proto, e.NATEvent, e.Rule, e.Count = w.Proto, w.NATEvent, w.Rule, w.Count
	e.Src, e.SrcPort, e.Dst, e.DstPort = w.Src.Unmap(), w.SrcPort, w.Dst.Unmap(), w.DstPort
	e.NATSrc, e.NATSrcPort, e.NATDst, e.NATDstPort = w.NATSrc.Unmap(), w.NATSrcPort, w.NATDst.Unmap(), w.NATDstPort
	e.Packets, e.Bytes, e.Sampling = w.Packets, w.Bytes, w.Sampling
	e.RawPackets, e.RawBytes = w.Packets/uint64(max(w.Sampling, 1)), w.Bytes/uint64(max(w.Sampling, 1))
	if w.ICMPType != nil {
		e.HasICMP, e.ICMPType = true, *w.ICMPType
		if w.ICMPCode != nil {
			e.ICMPCode = *w.ICMPCode
		}
	}
	if w.RevPackets != nil {
		e.HasReverse, e.RevPackets, e.RevBytes = true, *w.RevPackets, w.RevBytes
	}
	e.InIf, e.InIndex = ifIndex(w.InIf)
	e.OutIf, e.OutIndex = ifIndex(w.OutIf)
	e.Country, e.ASN = w.Country, w.ASN
	e.Detail = append(e.Detail, w.Detail...)
	return nil
}

// UnmarshalJSON appends the texts of a JSON object of strings in its order.
func (d *Detail) UnmarshalJSON(b []byte) error {
	var texts map[string]string
	if err := json.Unmarshal(b, &texts); err != nil {
		return fmt.Errorf("detail: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	for depth := 0; ; {
		t, err := dec.Token()
		if err != nil {
			return nil
		}
		switch t := t.(type) {
		case json.Delim:
			depth++
		case string:
			if v, ok := texts[t]; ok && depth == 1 {
				*d = append(*d, Pair{t, v})
				delete(texts, t)
			}
			if _, err := dec.Token(); err != nil {
				return nil
			}
		}
	}
}

type wireWarning struct {
	Time       time.Time      `json:"time"`
	ID         string         `json:"id"`
	Rule       string         `json:"rule"`
	State      string         `json:"state"`
	Severity   string         `json:"severity"`
	Verdict    string         `json:"verdict"`
	Own        wireEnd        `json:"own"`
	Foreign    wireEnd        `json:"foreign"`
	Proto      uint8          `json:"proto"`
	First      time.Time      `json:"first"`
	Last       time.Time      `json:"last"`
	Count      uint64         `json:"count"`
	PacketsOut uint64         `json:"packets_out"`
	BytesOut   uint64         `json:"bytes_out"`
	PacketsIn  uint64         `json:"packets_in"`
	BytesIn    uint64         `json:"bytes_in"`
	Sampling   uint32         `json:"sampling"`
	ExportLag  float64        `json:"export_lag"`
	MatchLag   float64        `json:"match_lag"`
	Why        string         `json:"why"`
	Event      wireEvent      `json:"event"`
	Evidence   []wireEvidence `json:"evidence"`
	Scan       *Scan          `json:"scan"`
	Surge      *wireSurge     `json:"surge"`
}

type wireEnd struct {
	Addr netip.Addr `json:"addr"`
	Port uint16     `json:"port"`
	Name string     `json:"name"`
}

type wireEvidence struct {
	List       string    `json:"list"`
	Entry      string    `json:"entry"`
	Name       string    `json:"name"`
	URL        string    `json:"url"`
	Confidence uint8     `json:"confidence"`
	Tags       []string  `json:"tags"`
	Seen       time.Time `json:"seen"`
	Side       Side      `json:"side"`
	Downgraded bool      `json:"downgraded"`
	PortMiss   bool      `json:"port_miss"`
	Info       bool      `json:"info"`
}

// ParseWarning reads one object as AppendJSON writes it.
func ParseWarning(b []byte) (Warning, error) {
	var x wireWarning
	if err := json.Unmarshal(b, &x); err != nil {
		return Warning{}, fmt.Errorf("parse warning: %w", err)
	}
	state, ok1 := ParseState(x.State)
	severity, ok2 := ParseSeverity(x.Severity)
	verdict, ok3 := ParseVerdict(x.Verdict)
	if !ok1 || !ok2 || !ok3 {
		return Warning{}, fmt.Errorf("parse warning: unknown state %q, severity %q or verdict %q", x.State, x.Severity, x.Verdict)
	}
	w := Warning{
		ID: x.ID, Rule: x.Rule, State: state, Severity: severity, Verdict: verdict,
		Own: Endpoint(x.Own), Foreign: Endpoint(x.Foreign), Proto: x.Proto,
		Time: Nanos(x.Time), First: Nanos(x.First), Last: Nanos(x.Last), Count: x.Count,
		PacketsOut: x.PacketsOut, BytesOut: x.BytesOut, PacketsIn: x.PacketsIn, BytesIn: x.BytesIn, Sampling: x.Sampling,
		ExportLag: fromSeconds(x.ExportLag), MatchLag: fromSeconds(x.MatchLag), Why: x.Why, Scan: x.Scan,
	}
	if s := x.Surge; s != nil {
		w.Surge = &Surge{
			Meaning: s.Meaning, Sources: s.Sources, Window: fromSeconds(s.Window), Expected: s.Expected, Networks: s.Networks,
			FirstSeen: Nanos(s.FirstSeen), Curve: s.Curve, CurveFrom: Nanos(s.CurveFrom), CurveBin: fromSeconds(s.CurveBin),
			Countries: s.Countries, ASes: s.ASes,
		}
	}
	if err := w.Event.fromWire(&x.Event); err != nil {
		return Warning{}, err
	}
	for _, v := range x.Evidence {
		e := Evidence{
			List: v.List, Name: v.Name, URL: v.URL, Confidence: v.Confidence, Tags: v.Tags, Seen: Nanos(v.Seen),
			Side: v.Side, Downgraded: v.Downgraded, PortMiss: v.PortMiss, Info: v.Info,
		}
		e.parseEntry(v.Entry)
		w.Evidence = append(w.Evidence, e)
	}
	return w, nil
}

// parseEntry is the inverse of String.
func (v *Evidence) parseEntry(s string) {
	if p, err := netip.ParsePrefix(s); err == nil {
		v.Entry = p
	} else if a, err := netip.ParseAddr(s); err == nil {
		v.Entry = netip.PrefixFrom(a, a.BitLen())
	} else if ap, err := netip.ParseAddrPort(s); err == nil {
		v.Entry, v.Port = netip.PrefixFrom(ap.Addr(), ap.Addr().BitLen()), ap.Port()
	} else {
		v.Text = s
	}
}

func fromSeconds(s float64) time.Duration {
	if !(math.Abs(s) < math.MaxInt64/1e9) {
		return 0
	}
	return time.Duration(s * 1e9)
}
