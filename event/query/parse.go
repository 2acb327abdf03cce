package query

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"
)

// Bounds on a filter, so that nobody can make one that is expensive to understand.
const (
	MaxText       = 4096 // bytes
	MaxDepth      = 32   // of parentheses and not
	MaxConditions = 1000
)

// Parse reads a filter. The words are those of nfdump where it has them:
//
//	src net 10.0.0.0/8 and dst port 443 and bytes > 1M
//	not (port in [22 23] or country NO)
//
// and each condition may also be written as key:value, with - for not and nothing for and:
//
//	src:10.0.0.0/8 port:7547 proto:tcp -country:NO
//
// Words and names go without regard to case; not binds closest, then and, then or. A != b is not A = b, so it is true
// for events that have no A. A range of ports or numbers is of one end or value: port 1000-2000. An empty filter is nil.
// The tree is flat: no And is part of an And, and no Or of an Or. Times are a matter of the Box. The error is a
// *SyntaxError.
func Parse(text string) (Expr, error) {
	if len(text) > MaxText {
		return nil, &SyntaxError{
			Text: strings.ToValidUTF8(text[:MaxText], "?"), At: 0,
			Problem: fmt.Sprintf("the filter has %d bytes, at most %d: use a list for many addresses", len(text), MaxText),
		}
	}
	tokens, err := lex(text)
	if err != nil {
		return nil, err
	}
	p := &parser{filter: text, tokens: tokens}
	if p.next().mark == endMark {
		return nil, nil
	}
	x := p.or()
	if t := p.next(); t.mark != endMark {
		p.fail(t, "", `expected "and", "or" or the end, not `+t.seen())
	}
	if p.err != nil {
		return nil, p.err
	}
	return x, nil
}

// parser goes over tokens once. After the first error next is the end for good, so that everything returns.
type parser struct {
	filter     string
	tokens     []token
	at         int
	depth      int
	conditions int
	err        *SyntaxError
}

func (p *parser) next() token { return p.tokens[p.at] }

func (p *parser) take() token {
	t := p.tokens[p.at]
	if t.mark != endMark {
		p.at++
	}
	return t
}

// accept takes the next token where it is this word or sign.
func (p *parser) accept(text string) bool {
	if p.next().is(text) {
		p.at++
		return true
	}
	return false
}

// fail notes the first problem.
func (p *parser) fail(t token, near, problem string) {
	if p.err == nil {
		p.err = &SyntaxError{Text: p.filter, At: t.at, Len: t.len, Problem: problem, Near: near}
		p.at = len(p.tokens) - 1
	}
}

// all is And of its parts, kept flat.
func all(parts ...Expr) Expr {
	var out And
	for _, x := range parts {
		if and, ok := x.(And); ok {
			out = append(out, and...)
		} else {
			out = append(out, x)
		}
	}
	if len(out) == 1 {
		return out[0]
	}
	if out == nil {
		return And{}
	}
	return out
}

// oneOf is Or of its parts, kept flat.
func oneOf(parts ...Expr) Expr {
	var out Or
	for _, x := range parts {
		if or, ok := x.(Or); ok {
			out = append(out, or...)
		} else {
			out = append(out, x)
		}
	}
	if len(out) == 1 {
		return out[0]
	}
	if out == nil {
		return Or{}
	}
	return out
}

func (p *parser) or() Expr {
	parts := []Expr{p.and()}
	for p.accept("or") || p.accept("||") {
		parts = append(parts, p.and())
	}
	return oneOf(parts...)
}

func (p *parser) and() Expr {
	parts := []Expr{p.not()}
	for {
		t := p.next()
		switch {
		case p.accept("and") || p.accept("&&"):
		case t.mark == endMark || t.is("or") || t.is("||") || t.mark != wordMark && !t.is("(") && !t.is("!"):
			return all(parts...)
		}
		parts = append(parts, p.not())
	}
}

func (p *parser) not() Expr {
	t := p.next()
	if p.depth >= MaxDepth {
		p.fail(t, "", fmt.Sprintf("nested deeper than %d", MaxDepth))
	}
	p.depth++
	defer func() { p.depth-- }()
	switch {
	case p.accept("not") || p.accept("!") || p.accept("-"):
		return Not{p.not()}
	case t.mark == wordMark && strings.HasPrefix(t.text, "-"):
		p.tokens[p.at] = token{wordMark, t.text[1:], t.at + 1, t.len - 1}
		return Not{p.not()}
	case p.accept("("):
		x := p.or()
		if end := p.next(); !p.accept(")") {
			p.fail(end, "", "expected "+`")" for the "(" in column `+fmt.Sprint((&SyntaxError{Text: p.filter, At: t.at}).Column())+", not "+end.seen())
		}
		return x
	}
	return p.condition()
}

// count counts one condition of the tree.
func (p *parser) count(t token, x Expr) Expr {
	if p.conditions++; p.conditions > MaxConditions {
		p.fail(t, "", fmt.Sprintf("more than %d conditions: use a list for many addresses", MaxConditions))
	}
	return x
}

// key takes the word that a condition begins with. Of key:value the key is taken and the value stands next.
func (p *parser) key() token {
	t := p.next()
	key, value, ok := strings.Cut(t.text, ":")
	if _, isNet := parseNet(t.text); ok && t.mark == wordMark && !isNet {
		p.tokens[p.at].text, p.tokens[p.at].len = key, len(key)
		if value != "" {
			p.tokens = slices.Insert(p.tokens, p.at+1, token{wordMark, value, t.at + len(key) + 1, len(value)})
		}
	}
	return p.take()
}

// ends are the words that say which end is meant.
var ends = map[string]End{"src": SrcEnd, "dst": DstEnd, "own": OwnEnd, "foreign": ForeignEnd, "nat": NATEnd}

// endAddresses are fields that are the address of an end.
var endAddresses = map[Field]End{FieldSrc: SrcEnd, FieldDst: DstEnd, FieldOwn: OwnEnd, FieldForeign: ForeignEnd}

func (p *parser) condition() Expr {
	t := p.key()
	if t.mark != wordMark {
		problem := "expected a condition, not " + t.seen()
		if t.mark == quotedMark {
			problem += ": say which field has it, as in rule ~ " + formatText(t.text)
		}
		p.fail(t, "", problem)
		return nil
	}
	name := strings.ToLower(t.text)
	if end, ok := ends[name]; ok {
		return p.ofEnd(end)
	}
	switch name {
	case "any":
		return And{}
	case "none":
		return Or{}
	case "host", "ip", "net", "addr":
		return p.addresses(Either, name == "net")
	case "port":
		return p.ports(Either)
	case "in", "out":
		return p.through(name)
	case "if":
		return p.interfaces()
	case "ipv4", "inet", "ipv6", "inet6":
		return p.count(t, Family{V4: name == "ipv4" || name == "inet"})
	}
	if f, ok := ParseField(name); ok {
		return p.field(f)
	}
	if n, ok := protoNumber(name); ok {
		return p.count(t, Number{FieldProto, Equal, uint64(n)})
	}
	if prefix, ok := parseNet(t.text); ok {
		return p.count(t, Net{Either, prefix})
	}
	p.unknown(t)
	return nil
}

// unknown explains a word that no condition begins with.
func (p *parser) unknown(t token) {
	name := strings.ToLower(t.text)
	near := nearest(name, starters())
	_, isKind := parseKind(name)
	_, isAction := parseAction(name)
	_, isNumber := parseQuantity(name)
	switch {
	case isKind:
		near = "kind " + name
	case isAction:
		near = "action " + name
	case isNumber:
		near = "port " + name
	case name == "and" || name == "or":
		p.fail(t, "", "expected a condition, not "+t.seen())
		return
	}
	p.fail(t, near, t.seen()+" is no word of the filter language, address or network")
}

// ofEnd reads what follows src, dst, own, foreign and nat: also src or dst port 22, src and dst net 10.0.0.0/8.
func (p *parser) ofEnd(end End) Expr {
	other, name := DstEnd, "dst"
	if end == DstEnd {
		other, name = SrcEnd, "src"
	}
	and := p.next().is("and")
	if end != SrcEnd && end != DstEnd || !and && !p.next().is("or") || !p.tokens[p.at+1].is(name) {
		return p.atEnd(end)
	}
	p.at += 2
	if !and {
		return p.atEnd(Either)
	}
	from := p.at
	x := p.atEnd(end)
	if p.err != nil {
		return nil
	}
	p.at = from
	return all(x, p.atEnd(other))
}

func (p *parser) atEnd(end End) Expr {
	at := p.at
	t := p.key()
	name := ""
	if t.mark == wordMark {
		name = strings.ToLower(t.text)
	}
	switch name {
	case "host", "ip", "net", "addr":
		return p.addresses(end, name == "net")
	case "port":
		if end == Either || end == SrcEnd || end == DstEnd {
			return p.ports(end)
		}
		p.fail(t, "", "a port is of src or dst")
	case "as", "asn", "country":
		p.fail(t, "", name+" is that of the foreign end: write it alone")
	}
	if p.err == nil {
		p.at = at
	}
	return p.addresses(end, false)
}

// addresses reads addresses, networks or in list NAME; with mask also 192.0.2.0 255.255.255.0.
func (p *parser) addresses(end End, mask bool) Expr {
	if at := p.at; p.accept("in") {
		if p.key().is("list") {
			return p.onList(end)
		}
		p.at = at
	}
	return p.values(onlyEqual, func(t token, _ Op) Expr {
		prefix, ok := parseNet(t.text)
		if !ok {
			near := nearest(t.text, []string{"host", "port", "net", "in list"})
			p.fail(t, near, "expected an address or a network, not "+t.seen()+hostHint(t))
			return nil
		}
		if bits, ok := maskBits(p.next().text); mask && ok && p.next().mark == wordMark && prefix.Addr().Is4() && prefix.IsSingleIP() {
			p.at++
			prefix = netip.PrefixFrom(prefix.Addr(), bits).Masked()
		}
		return Net{end, prefix}
	})
}

// hostHint helps those who write a name where an address is asked for.
func hostHint(t token) string {
	at := strings.LastIndexByte(t.text, '.')
	if at < 0 || at == len(t.text)-1 || strings.ContainsFunc(t.text[at+1:], func(r rune) bool { return !unicode.IsLetter(r) }) {
		return ""
	}
	return "; names are not looked up"
}

// onList reads the NAME of in list NAME.
func (p *parser) onList(end End) Expr {
	return p.values(onlyEqual, func(t token, _ Op) Expr {
		if t.text == "" {
			p.fail(t, "", "expected the name of a list")
		}
		return Nets{End: end, Name: t.text}
	})
}

// through reads what follows in and out.
func (p *parser) through(name string) Expr {
	k := p.key()
	switch {
	case k.is("if") && name == "in":
		return p.text(FieldInIf)
	case k.is("if"):
		return p.text(FieldOutIf)
	case k.is("list") && name == "in":
		return p.onList(Either)
	}
	if name == "out" {
		p.fail(k, nearest(k.text, []string{"if"}), `expected "if" after "out", not `+k.seen())
	} else {
		p.fail(k, nearest(k.text, []string{"if", "list"}), `expected "if" or "list" after "in", not `+k.seen())
	}
	return nil
}
