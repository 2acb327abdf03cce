package query

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"varde/event"
	"varde/event/human"
)

// comparison is an operator as it is written; Op has no words for the last two.
type comparison uint8

const (
	equal comparison = iota
	less
	atMost
	more
	atLeast
	unequal
	contains
)

var comparisons = map[string]comparison{
	"=": equal, "==": equal, "<": less, "<=": atMost, ">": more, ">=": atLeast, "!=": unequal, "~": contains,
}

// What a condition may be compared with.
const (
	onlyEqual = "= and !="
	ordered   = "=, !=, <, <=, > and >="
	textual   = "=, != and ~"
	noOp      = "no comparison"
)

func (c comparison) allowed(set string) bool {
	switch c {
	case equal, unequal:
		return set != noOp
	case contains:
		return set == textual
	}
	return set == ordered
}

// values reads an operator, which may be left out, and a value, values with commas between them, or [a list of them].
// one makes the condition of one value.
func (p *parser) values(allowed string, one func(t token, op Op) Expr) Expr {
	return p.compared(allowed, func(t token, c comparison) Expr {
		op := Equal
		if c < unequal {
			op = Op(c)
		}
		return one(t, op)
	})
}

func (p *parser) compared(allowed string, one func(t token, c comparison) Expr) Expr {
	c, subject := equal, ""
	if p.at > 0 {
		subject = p.tokens[p.at-1].text
	}
	expected := "a value"
	if subject != "" {
		expected += ` after "` + subject + `"`
	}
	if t := p.next(); t.mark == opMark {
		c = comparisons[t.text]
		if !c.allowed(allowed) {
			p.fail(t, "", fmt.Sprintf("%q takes %s, not %q", subject, allowed, t.text))
		}
		p.take()
	}
	t := p.next()
	several := p.accept("in")
	if several {
		t = p.next()
	}
	var parts []Expr
	switch {
	case p.accept("["):
		for !p.accept("]") && p.err == nil {
			parts = append(parts, p.value(`a value or "]"`, c, one))
			p.accept(",")
		}
		if len(parts) == 0 {
			p.fail(t, "", "the list is empty")
		}
	case several:
		p.fail(t, "", `expected "[" after "in", not `+t.seen())
	default:
		parts = append(parts, p.value(expected, c, one))
		for p.accept(",") {
			parts = append(parts, p.value(expected, c, one))
		}
	}
	x := oneOf(parts...)
	if c == unequal {
		return Not{x}
	}
	return x
}

func (p *parser) value(expected string, c comparison, one func(t token, c comparison) Expr) Expr {
	t := p.take()
	switch {
	case t.mark != wordMark && t.mark != quotedMark:
		p.fail(t, "", "expected "+expected+", not "+t.seen())
	case t.mark == wordMark && reserved(t.text):
		p.fail(t, "", "expected "+expected+", not "+t.seen()+"; quote it if it is a name")
	}
	if p.err != nil {
		return nil
	}
	return p.count(t, one(t, c))
}

// reserved tells words that a value must quote.
func reserved(word string) bool {
	switch strings.ToLower(word) {
	case "and", "or", "not", "in":
		return true
	}
	return false
}

// ports reads port numbers and ranges of them.
func (p *parser) ports(end End) Expr {
	return p.values(ordered, func(t token, op Op) Expr {
		return p.span(t, op, end == Either, func(n string) (uint64, bool) {
			v, err := strconv.ParseUint(n, 10, 16)
			return v, err == nil
		}, "a port from 0 to 65535", func(part End, op Op, n uint64) Expr {
			if end != Either {
				part = end
			}
			return Port{part, op, uint16(n)}
		})
	})
}

// span reads a number or, with =, a range as 1000-2000. A range of either end has both bounds at the same end.
func (p *parser) span(t token, op Op, either bool, parse func(string) (uint64, bool), what string, one func(End, Op, uint64) Expr) Expr {
	if n, ok := parse(t.text); ok {
		return one(Either, op, n)
	}
	low, high, ok := strings.Cut(t.text, "-")
	first, ok1 := parse(low)
	last, ok2 := parse(high)
	if !ok || !ok1 || !ok2 || first > last || op != Equal {
		p.fail(t, "", "expected "+what+", not "+t.seen())
		return nil
	}
	if !either {
		return all(one(Either, AtLeast, first), one(Either, AtMost, last))
	}
	return oneOf(
		all(one(SrcEnd, AtLeast, first), one(SrcEnd, AtMost, last)),
		all(one(DstEnd, AtLeast, first), one(DstEnd, AtMost, last)))
}

// numbers reads values of a number field and ranges of them.
func (p *parser) numbers(f Field, what string, parse func(string) (uint64, bool)) Expr {
	return p.values(ordered, func(t token, op Op) Expr {
		return p.span(t, op, false, parse, what, func(_ End, op Op, n uint64) Expr { return Number{f, op, n} })
	})
}

// text reads values of a text field.
func (p *parser) text(f Field) Expr {
	return p.compared(textual, func(t token, c comparison) Expr {
		value := t.text
		if f == FieldCountry && c != contains {
			value = strings.ToUpper(value)
			if len(value) != 2 && value != "" {
				p.fail(t, "", `expected a country in two letters, as NO, not `+t.seen())
			}
		}
		return Text{f, value, c == contains}
	})
}

// interfaces reads values of either interface.
func (p *parser) interfaces() Expr {
	return p.compared(textual, func(t token, c comparison) Expr {
		return oneOf(Text{FieldInIf, t.text, c == contains}, Text{FieldOutIf, t.text, c == contains})
	})
}

// field reads what follows the name of a field.
func (p *parser) field(f Field) Expr {
	switch f {
	case FieldSrc, FieldDst, FieldOwn, FieldForeign:
		return p.addresses(endAddresses[f], false)
	case FieldSrc24:
		return p.networks(SrcEnd)
	case FieldDst24:
		return p.networks(DstEnd)
	case FieldSrcPort:
		return p.ports(SrcEnd)
	case FieldDstPort:
		return p.ports(DstEnd)
	case FieldService:
		return p.services()
	case FieldTCPFlags:
		return p.flags()
	case FieldKind:
		return p.values(onlyEqual, func(t token, _ Op) Expr {
			k, ok := parseKind(strings.ToLower(t.text))
			p.check(ok, t, "a kind of event", kindNames())
			return IsKind{k}
		})
	case FieldAction:
		return p.values(onlyEqual, func(t token, _ Op) Expr {
			a, ok := parseAction(strings.ToLower(t.text))
			p.check(ok, t, "an action", actionNames())
			return IsAction{a}
		})
	case FieldProto:
		return p.protocols()
	case FieldICMPType, FieldICMPCode:
		return p.numbers(f, "a number from 0 to 255", parseByte)
	case FieldASN:
		return p.numbers(f, "the number of an AS", func(s string) (uint64, bool) {
			n, err := strconv.ParseUint(strings.TrimPrefix(strings.ToUpper(s), "AS"), 10, 32)
			return n, err == nil
		})
	case FieldDuration:
		return p.numbers(f, "a duration with its unit, as 500ms, 30s or 5m", parseSpan)
	case FieldPackets, FieldBytes, FieldCount, FieldSampling, FieldPacketRate, FieldBitRate, FieldPacketSize:
		return p.numbers(f, "a whole number, as 1500, 10k or 1.5M", parseQuantity)
	}
	return p.text(f)
}

// check fails where a name is none of those that there are.
func (p *parser) check(ok bool, t token, what string, names []string) {
	if !ok {
		p.fail(t, nearest(t.text, names), "expected "+what+", not "+t.seen()+": "+strings.Join(names, ", "))
	}
}

func parseByte(s string) (uint64, bool) {
	n, err := strconv.ParseUint(s, 10, 8)
	return n, err == nil
}

func parseSpan(s string) (uint64, bool) {
	if s == "0" {
		return 0, true
	}
	d, err := human.ParseDuration(s)
	return uint64(d), err == nil && s[0] >= '0' && s[0] <= '9' // not NaN
}

// networks reads networks; an address stands for the network that Keys would put it into.
func (p *parser) networks(end End) Expr {
	return p.values(onlyEqual, func(t token, _ Op) Expr {
		prefix, ok := parseNet(t.text)
		if !ok {
			p.fail(t, "", "expected a network, not "+t.seen())
			return nil
		}
		if prefix.IsSingleIP() {
			prefix = around(prefix.Addr())
		}
		return Net{end, prefix}
	})
}

func (p *parser) protocols() Expr {
	return p.values(ordered, func(t token, op Op) Expr {
		n, ok := parseProto(t.text)
		p.check(ok, t, "a number from 0 to 255 or a protocol", protoNames())
		return Number{FieldProto, op, uint64(n)}
	})
}

// parseProto reads a protocol by name or number.
func parseProto(s string) (uint8, bool) {
	if n, ok := protoNumber(strings.ToLower(s)); ok {
		return n, true
	}
	n, err := strconv.ParseUint(s, 10, 8)
	return uint8(n), err == nil
}

// services reads destination port and protocol as 443/tcp, or a protocol alone.
func (p *parser) services() Expr {
	return p.values(onlyEqual, func(t token, _ Op) Expr {
		port, name, given := strings.Cut(t.text, "/")
		if !given {
			port, name = "", port
		}
		proto, ok := parseProto(name)
		n, err := strconv.ParseUint(port, 10, 16)
		if !ok || given && err != nil {
			p.fail(t, "", "expected a port and a protocol, as 443/tcp, not "+t.seen())
		}
		of := Number{FieldProto, Equal, uint64(proto)}
		if !given {
			return of
		}
		return all(of, Port{DstEnd, Equal, uint16(n)})
	})
}

func (p *parser) flags() Expr {
	return p.values(noOp, func(t token, _ Op) Expr {
		set, ok := event.ParseFlags(strings.ToUpper(t.text))
		if !ok || set == 0 {
			p.fail(t, "", "expected TCP flags, letters of CEUAPRSF, not "+t.seen())
		}
		return Flags{set}
	})
}

// maxSpan is the longest duration that a filter can tell.
const maxSpan = math.MaxInt64
