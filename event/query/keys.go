package query

import (
	"net/netip"
	"slices"
	"strconv"

	"varde/event"
)

// Keys are the values of a field that Groups, as text: one for every field but FieldList, which has each list once.
// What the event lacks is "", and no list is no value at all.
//
//   - addresses: 192.0.2.1; networks: 192.0.2.0/24
//   - ports: 443; services: 443/tcp, or the protocol alone where it has no ports: gre
//   - protocols: tcp, or a number where there is no usual name
//   - TCP flags: letters of CEUAPRSF; ICMP and AS: plain numbers
//   - interfaces: the name, or the ifIndex where there is none
//   - all else: the text as it came, with its case
func Keys(f Field, e *event.Event) []string {
	if f != FieldList {
		return []string{string(AppendKey(nil, f, e))}
	}
	var names []string
	for i := range e.Evidence {
		if !slices.Contains(names, e.Evidence[i].List) {
			names = append(names, e.Evidence[i].List)
		}
	}
	return names
}

// AppendKey appends the value of a field with one value, as Keys has it; of several lists it is the first.
func AppendKey(b []byte, f Field, e *event.Event) []byte {
	switch f {
	case FieldSrc:
		return appendAddr(b, e.Src)
	case FieldDst:
		return appendAddr(b, e.Dst)
	case FieldOwn, FieldForeign:
		return appendAddr(b, sideOf(e, f == FieldOwn))
	case FieldSrc24:
		return appendNetwork(b, e.Src)
	case FieldDst24:
		return appendNetwork(b, e.Dst)
	case FieldSrcPort:
		return appendPort(b, e.Proto, e.SrcPort)
	case FieldDstPort:
		return appendPort(b, e.Proto, e.DstPort)
	case FieldService:
		if HasPort(e.Proto, e.DstPort) {
			b = append(appendPort(b, e.Proto, e.DstPort), '/')
		}
		return append(b, event.ProtoName(e.Proto)...)
	case FieldProto:
		return append(b, event.ProtoName(e.Proto)...)
	case FieldTCPFlags:
		if e.Proto != event.TCP {
			return b
		}
		return event.AppendFlags(b, e.TCPFlags)
	case FieldKind:
		return append(b, e.Kind.String()...)
	case FieldAction:
		return append(b, e.Action.String()...)
	case FieldICMPType, FieldICMPCode, FieldASN:
		if n, ok := number(f, e); ok {
			b = strconv.AppendUint(b, n, 10)
		}
		return b
	}
	return appendTextKey(b, f, e)
}

func appendTextKey(b []byte, f Field, e *event.Event) []byte {
	switch f {
	case FieldSource:
		b = append(b, e.Source...)
	case FieldExporter:
		b = append(b, e.Exporter...)
	case FieldSession:
		b = append(b, e.Session...)
	case FieldInIf:
		b = appendInterface(b, e.InIf, e.InIndex)
	case FieldOutIf:
		b = appendInterface(b, e.OutIf, e.OutIndex)
	case FieldRule:
		b = append(b, e.Rule...)
	case FieldCountry:
		b = append(b, e.Country...)
	case FieldList:
		if len(e.Evidence) > 0 {
			b = append(b, e.Evidence[0].List...)
		}
	}
	return b
}

// sideOf is the first of source and destination that is ours, or that is not.
func sideOf(e *event.Event, ours bool) netip.Addr {
	switch {
	case e.Own&event.SideSrc != 0 == ours:
		return e.Src
	case e.Own&event.SideDst != 0 == ours:
		return e.Dst
	}
	return netip.Addr{}
}

func appendAddr(b []byte, a netip.Addr) []byte {
	if !a.IsValid() {
		return b
	}
	return a.AppendTo(b)
}

func appendNetwork(b []byte, a netip.Addr) []byte {
	if !a.IsValid() {
		return b
	}
	return around(a).AppendTo(b)
}

func appendPort(b []byte, proto uint8, port uint16) []byte {
	if !HasPort(proto, port) {
		return b
	}
	return strconv.AppendUint(b, uint64(port), 10)
}

func appendInterface(b []byte, name string, index uint32) []byte {
	if name == "" && index != 0 {
		return strconv.AppendUint(b, uint64(index), 10)
	}
	return append(b, name...)
}
