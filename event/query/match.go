package query

import (
	"math"
	"math/bits"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"varde/event"
)

// Match tells whether e fulfils x. It allocates nothing. What a store finds is what Match says.
func Match(x Expr, e *event.Event) bool {
	switch x := x.(type) {
	case And:
		for _, part := range x {
			if !Match(part, e) {
				return false
			}
		}
		return true
	case Or:
		for _, part := range x {
			if Match(part, e) {
				return true
			}
		}
		return false
	case Not:
		return !Match(x.Of, e)
	case Net:
		ends := endsOf(x.End, e)
		return x.Prefix.Contains(ends[0]) || x.Prefix.Contains(ends[1])
	case Nets:
		ends := endsOf(x.End, e)
		return covered(x.Prefixes, ends[0]) || covered(x.Prefixes, ends[1])
	case Port:
		return x.End != DstEnd && x.fits(e.Proto, e.SrcPort) || x.End != SrcEnd && x.fits(e.Proto, e.DstPort)
	case Number:
		n, ok := number(x.Field, e)
		return ok && x.Op.holds(n, x.Value)
	case Flags:
		return e.Proto == event.TCP && e.TCPFlags&x.Set == x.Set
	case Text:
		return x.match(e)
	case IsKind:
		return e.Kind == x.Kind
	case IsAction:
		return e.Action == x.Action
	case Family:
		v4, v6 := family(e)
		return x.V4 && v4 || !x.V4 && v6
	}
	return x == nil
}

// endsOf are the addresses of an end; those it does not have are invalid and in no prefix.
func endsOf(end End, e *event.Event) (ends [2]netip.Addr) {
	switch end {
	case SrcEnd:
		ends[0] = e.Src
	case DstEnd:
		ends[0] = e.Dst
	case NATEnd:
		ends[0], ends[1] = e.NATSrc, e.NATDst
	default:
		if end == Either || (e.Own&event.SideSrc != 0) == (end == OwnEnd) {
			ends[0] = e.Src
		}
		if end == Either || (e.Own&event.SideDst != 0) == (end == OwnEnd) {
			ends[1] = e.Dst
		}
	}
	return ends
}

// covered tells whether a is in one of the prefixes as Resolve sorts them: only the last one that begins at or before
// a can hold it.
func covered(prefixes []netip.Prefix, a netip.Addr) bool {
	low, high := 0, len(prefixes)
	for low < high {
		if mid := int(uint(low+high) >> 1); a.Less(prefixes[mid].Addr()) {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low > 0 && prefixes[low-1].Contains(a)
}

// HasPort tells whether a port of an event is one: TCP, UDP, DCCP, SCTP and UDP-Lite have ports; where no protocol is
// told, a port other than 0 is taken for one.
func HasPort(proto uint8, port uint16) bool {
	switch proto {
	case event.TCP, event.UDP, 33, 132, 136:
		return true
	}
	return proto == 0 && port != 0
}

func (p Port) fits(proto uint8, port uint16) bool {
	return HasPort(proto, port) && p.Op.holds(uint64(port), uint64(p.Value))
}

func (o Op) holds(a, b uint64) bool {
	switch o {
	case Equal:
		return a == b
	case Less:
		return a < b
	case AtMost:
		return a <= b
	case More:
		return a > b
	case AtLeast:
		return a >= b
	}
	return false
}

// Volume is what an event moved in both directions, as the number fields and Totals have it.
func Volume(e *event.Event) (packets, bytes uint64) {
	if !e.HasReverse {
		return e.Packets, e.Bytes
	}
	return sum(e.Packets, e.RevPackets), sum(e.Bytes, e.RevBytes)
}

// number is the value of a number field; ok is false where the event has none.
func number(f Field, e *event.Event) (n uint64, ok bool) {
	packets, volume := Volume(e)
	micros := uint64(e.Last()-e.Time) / 1000
	switch f {
	case FieldProto:
		return uint64(e.Proto), true
	case FieldICMPType:
		return uint64(e.ICMPType), e.HasICMP
	case FieldICMPCode:
		return uint64(e.ICMPCode), e.HasICMP
	case FieldASN:
		return uint64(e.ASN), e.ASN != 0
	case FieldPackets:
		return packets, true
	case FieldBytes:
		return volume, true
	case FieldCount:
		return e.Hits(), true
	case FieldSampling:
		return uint64(max(e.Sampling, 1)), true
	case FieldDuration:
		return micros * 1000, true
	case FieldPacketRate:
		return rate(packets, 1e6, micros)
	case FieldBitRate:
		return rate(volume, 8e6, micros)
	case FieldPacketSize:
		return rate(volume, 1, packets)
	}
	return 0, false
}

// rate is n*times/per, rounded down; what does not fit is the largest number.
func rate(n, times, per uint64) (uint64, bool) {
	if per == 0 {
		return 0, false
	}
	hi, lo := bits.Mul64(n, times)
	if hi >= per {
		return math.MaxUint64, true
	}
	q, _ := bits.Div64(hi, lo, per)
	return q, true
}

// family tells of which family the addresses are; both are false where there is none.
func family(e *event.Event) (v4, v6 bool) {
	a := e.Src
	if !a.IsValid() {
		a = e.Dst
	}
	return a.Is4(), a.Is6()
}

func (t Text) match(e *event.Event) bool {
	switch t.Field {
	case FieldSource:
		return t.is(e.Source)
	case FieldExporter:
		return t.is(e.Exporter)
	case FieldSession:
		return t.is(e.Session)
	case FieldRule:
		return t.is(e.Rule)
	case FieldCountry:
		return t.is(e.Country)
	case FieldInIf:
		return t.isInterface(e.InIf, e.InIndex)
	case FieldOutIf:
		return t.isInterface(e.OutIf, e.OutIndex)
	case FieldList:
		for i := range e.Evidence {
			if t.is(e.Evidence[i].List) {
				return true
			}
		}
		return t.Value == "" && !t.Part && len(e.Evidence) == 0
	}
	return false
}

func (t Text) is(s string) bool {
	if !t.Part {
		rest, ok := cutFold(s, t.Value)
		return ok && rest == ""
	}
	for {
		if _, ok := cutFold(s, t.Value); ok {
			return true
		}
		if s == "" {
			return false
		}
		_, n := utf8.DecodeRuneInString(s)
		s = s[n:]
	}
}

// isInterface is is for an interface, which goes by its ifIndex where it has no name.
func (t Text) isInterface(name string, index uint32) bool {
	if name != "" || index == 0 {
		return t.is(name)
	}
	var digits [10]byte // as many as 32 bits have
	b := strconv.AppendUint(digits[:0], uint64(index), 10)
	if t.Part {
		return strings.Contains(string(b), t.Value)
	}
	return string(b) == t.Value
}

// cutFold cuts prefix from s without regard to case.
func cutFold(s, prefix string) (rest string, ok bool) {
	for prefix != "" {
		if s == "" {
			return s, false
		}
		a, n := utf8.DecodeRuneInString(s)
		b, m := utf8.DecodeRuneInString(prefix)
		if a != b && unicode.ToLower(a) != unicode.ToLower(b) {
			return s, false
		}
		s, prefix = s[n:], prefix[m:]
	}
	return s, true
}
