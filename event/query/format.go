package query

import (
	"net/netip"
	"strconv"
	"strings"
	"unicode"

	"varde/event"
	"varde/event/human"
)

// Format writes x as Parse reads it: Parse(Format(x)) is x again where x came from Parse, and means the same where it
// was made by hand. What a filter cannot say in words, as a prefix that is none, is none. Format of nil is "".
func Format(x Expr) string {
	if x == nil {
		return ""
	}
	return string(appendExpr(nil, x, false))
}

// appendExpr appends x; as part of another one it may need parentheses.
func appendExpr(b []byte, x Expr, part bool) []byte {
	switch x := x.(type) {
	case And:
		return appendParts(b, x, " and ", "any", part)
	case Or:
		if head, values, ok := together(x); ok {
			return append(append(append(append(b, head...), " in ["...), strings.Join(values, " ")...), ']')
		}
		return appendParts(b, x, " or ", "none", part)
	case Not:
		return appendExpr(append(b, "not "...), x.Of, true)
	case nil:
		return append(b, "any"...)
	}
	head, op, value := condition(x)
	b = append(b, head...)
	if op != "" {
		b = append(append(b, ' '), op...)
	}
	if value != "" {
		b = append(append(b, ' '), value...)
	}
	return b
}

func appendParts(b []byte, parts []Expr, between, empty string, part bool) []byte {
	switch {
	case len(parts) == 0:
		return append(b, empty...)
	case len(parts) == 1:
		return appendExpr(b, parts[0], part)
	case part:
		b = append(b, '(')
	}
	for i, x := range parts {
		if i > 0 {
			b = append(b, between...)
		}
		b = appendExpr(b, x, true)
	}
	if part {
		b = append(b, ')')
	}
	return b
}

// together tells whether all parts are about the same and ask for a value each: port in [22 23].
func together(parts []Expr) (head string, values []string, ok bool) {
	if len(parts) < 2 {
		return "", nil, false
	}
	for i, x := range parts {
		switch x.(type) {
		case And, Or, Not, nil:
			return "", nil, false
		}
		h, op, value := condition(x)
		if n, isNet := x.(Net); isNet && h != "none" {
			h = strings.TrimLeft(endWord(n.End)+" ip", " ")
		}
		if op != "" || value == "" || i > 0 && h != head {
			return "", nil, false
		}
		head = h
		values = append(values, value)
	}
	return head, values, true
}

// condition is one condition in words; the parts that it has none of are "".
func condition(x Expr) (head, op, value string) {
	const none = "none"
	switch x := x.(type) {
	case Net:
		prefix, ok := plain(x.Prefix)
		switch {
		case !ok:
			return none, "", ""
		case prefix.IsSingleIP():
			return strings.TrimLeft(endWord(x.End)+" host", " "), "", prefix.Addr().String()
		}
		return strings.TrimLeft(endWord(x.End)+" net", " "), "", prefix.String()
	case Nets:
		if x.Name != "" {
			return strings.TrimLeft(endWord(x.End)+" in list", " "), "", formatText(x.Name)
		}
		return formatPrefixes(x), "", ""
	case Port:
		end := ""
		if x.End == SrcEnd || x.End == DstEnd {
			end = endWord(x.End)
		}
		return strings.TrimLeft(end+" port", " "), opWord(x.Op), strconv.Itoa(int(x.Value))
	case Number:
		if _, ok := number(x.Field, &event.Event{HasICMP: true, ASN: 1, Packets: 1, End: 1e9}); !ok {
			return none, "", ""
		}
		return numberWord(x.Field), opWord(x.Op), formatNumber(x)
	case Flags:
		if x.Set == 0 {
			return FieldProto.String(), "", event.ProtoName(event.TCP)
		}
		return "flags", "", event.FlagLetters(x.Set)
	case Text:
		return formatTextField(x)
	case IsKind:
		return "kind", "", x.Kind.String()
	case IsAction:
		if x.Action == event.NoAction {
			return "action", "", noAction
		}
		return "action", "", x.Action.String()
	case Family:
		if x.V4 {
			return "ipv4", "", ""
		}
		return "ipv6", "", ""
	}
	return none, "", ""
}

func endWord(end End) string {
	for word, e := range ends {
		if e == end {
			return word
		}
	}
	return ""
}

func opWord(op Op) string {
	for word, c := range comparisons {
		if c == comparison(op) && c != equal {
			return word
		}
	}
	return ""
}

func numberWord(f Field) string {
	switch f {
	case FieldICMPType:
		return "icmp-type"
	case FieldICMPCode:
		return "icmp-code"
	case FieldASN:
		return "as"
	}
	return f.String()
}

func formatNumber(x Number) string {
	switch x.Field {
	case FieldProto:
		if x.Op == Equal && x.Value <= 255 {
			return event.ProtoName(uint8(x.Value))
		}
	case FieldDuration:
		return human.Duration(min(x.Value, maxSpan)).String()
	case FieldPackets, FieldBytes, FieldCount, FieldSampling, FieldPacketRate, FieldBitRate, FieldPacketSize:
		return quantity(x.Value)
	}
	return strconv.FormatUint(x.Value, 10)
}

func formatTextField(x Text) (head, op, value string) {
	switch x.Field {
	case FieldInIf:
		head = "in if"
	case FieldOutIf:
		head = "out if"
	case FieldSource, FieldExporter, FieldSession, FieldRule, FieldCountry, FieldList:
		head = x.Field.String()
	default:
		return "none", "", ""
	}
	if x.Part {
		op = "~"
	}
	return head, op, formatText(x.Value)
}

// formatPrefixes are prefixes without the name of a list.
func formatPrefixes(x Nets) string {
	var parts Or
	for _, p := range x.Prefixes {
		parts = append(parts, Net{x.End, p})
	}
	return string(appendExpr(nil, parts, true))
}

// formatText is a text as one word, in quotes where it must be.
func formatText(s string) string {
	bare := s != "" && !reserved(s)
	for _, r := range s {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("_./:@+%-", r) || r == unicode.ReplacementChar {
			bare = false
		}
	}
	if bare {
		return s
	}
	return strconv.Quote(s)
}

// around is the network of an address that FieldSrc24 and FieldDst24 name.
func around(a netip.Addr) netip.Prefix {
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
