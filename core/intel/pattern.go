package intel

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Bounds on one STIX pattern.
const (
	maxPattern      = 1 << 16 // bytes
	maxPatternDepth = 32      // brackets within brackets
	maxPatternAtoms = 1000    // indicators that one pattern gives
)

// atomKind says what a comparison of a pattern is about.
type atomKind uint8

const (
	atomAddress atomKind = iota
	atomPort             // means something only together with an address
	atomName             // a domain or URL
	atomHash
	atomTraffic // narrows traffic, as its protocol does: means something only together with an address or port
	atomFile    // narrows a file, as its name does: means something only together with a hash
)

// atom is one thing that a pattern names. Several are alternatives.
type atom struct {
	kind  atomKind
	value string
	port  uint16
	side  byte // s or d for an end of traffic, 0 for either
	weak  bool // only a part of what the pattern asks for
}

// parsePattern gives the indicators of a STIX 2.1 pattern (part 9 of the standard). OR gives each of its sides. AND of
// an address with a port gives both as one, AND of several hashes of a file each of them; any other AND, and
// FOLLOWEDBY, gives its parts as weak ones, since neither alone is what the pattern asks for. Whatever else lists
// cannot say, as a negation or a process name, is an error: then nothing of the pattern is used, except that
// alternatives which can be said stay beside those that cannot.
func parsePattern(s string) ([]atom, error) {
	if len(s) > maxPattern {
		return nil, fmt.Errorf("a pattern of more than %d bytes", maxPattern)
	}
	p := &patternParser{rest: s}
	p.next()
	atoms, err := p.observations(0)
	if err == nil && p.token != "" {
		err = fmt.Errorf("%q where the pattern should end", clip(p.token))
	}
	if err != nil {
		return nil, err
	}
	said := atoms[:0]
	for _, a := range atoms {
		if a.kind == atomAddress || a.kind == atomName || a.kind == atomHash {
			said = append(said, a)
		}
	}
	switch {
	case len(said) == 0:
		return nil, errors.New("it names neither address, domain, URL nor hash")
	case len(said) < len(atoms):
		return said, errors.New("some of its alternatives name neither address, domain, URL nor hash")
	}
	return said, nil
}

type patternParser struct {
	rest   string
	token  string // the present one, "" at the end; strings without their quotes
	quoted bool   // token is a string
}

// next reads the next token: a bracket, comma, operator, string, or a run of anything else.
func (p *patternParser) next() {
	p.rest = strings.TrimLeft(p.rest, " \t\r\n")
	p.token, p.quoted = "", false
	if p.rest == "" {
		return
	}
	switch c := p.rest[0]; {
	case c == '\'':
		p.token, p.rest = cutString(p.rest[1:])
		p.quoted = true
	case strings.IndexByte("[](),", c) >= 0:
		p.token, p.rest = p.rest[:1], p.rest[1:]
	case strings.IndexByte("=!<>", c) >= 0:
		n := 1
		if len(p.rest) > 1 && strings.IndexByte("=>", p.rest[1]) >= 0 {
			n = 2
		}
		p.token, p.rest = p.rest[:n], p.rest[n:]
	default:
		n := wordEnd(p.rest)
		p.token, p.rest = p.rest[:n], p.rest[n:]
	}
}

// wordEnd is where a word ends; the quotes and brackets inside a path, as in file:hashes.'SHA-256' and protocols[*],
// belong to it.
func wordEnd(s string) int {
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\'':
			end := strings.IndexByte(s[i+1:], '\'')
			if end < 0 {
				return len(s)
			}
			i += end + 1
		case c == '[':
			end := strings.IndexByte(s[i:], ']')
			if end < 0 {
				return len(s)
			}
			i += end
		case strings.IndexByte(" \t\r\n](),=!<>", c) >= 0:
			return i
		}
	}
	return len(s)
}

// cutString reads a string up to its quote; \' and \\ are escapes.
func cutString(s string) (value, rest string) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case s[i] == '\'':
			return b.String(), s[i+1:]
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), ""
}

// is takes a keyword or mark if it stands there.
func (p *patternParser) is(word string) bool {
	if p.quoted || !strings.EqualFold(p.token, word) {
		return false
	}
	p.next()
	return true
}

// chain reads one or more terms joined by a keyword.
func (p *patternParser) chain(word string, depth int, term func(int) ([]atom, error), join func(a, b []atom) ([]atom, error)) ([]atom, error) {
	all, err := term(depth)
	for err == nil && p.is(word) {
		var more []atom
		if more, err = term(depth); err == nil {
			all, err = join(all, more)
		}
		if err == nil && len(all) > maxPatternAtoms {
			err = fmt.Errorf("it gives more than %d indicators", maxPatternAtoms)
		}
	}
	return all, err
}

func either(a, b []atom) ([]atom, error) { return append(a, b...), nil }

// parts joins what has to be met together but not by the same observation.
func parts(a, b []atom) ([]atom, error) {
	for i := range b {
		b[i].weak = true
	}
	for i := range a {
		a[i].weak = true
	}
	return append(a, b...), nil
}

func (p *patternParser) observations(depth int) ([]atom, error) {
	return p.chain("FOLLOWEDBY", depth, func(depth int) ([]atom, error) {
		return p.chain("OR", depth, func(depth int) ([]atom, error) {
			return p.chain("AND", depth, p.observation, parts)
		}, either)
	}, parts)
}

func (p *patternParser) observation(depth int) (atoms []atom, err error) {
	switch {
	case depth > maxPatternDepth:
		return nil, errors.New("brackets within brackets, too deep")
	case p.is("["):
		atoms, err = p.comparisons(depth + 1)
		if err == nil && !p.is("]") {
			err = fmt.Errorf("%q where ] should stand", clip(p.token))
		}
	case p.is("("):
		atoms, err = p.observations(depth + 1)
		if err == nil && !p.is(")") {
			err = fmt.Errorf("%q where ) should stand", clip(p.token))
		}
	default:
		return nil, fmt.Errorf("%q where [ should stand", clip(p.token))
	}
	for err == nil {
		switch {
		case p.is("WITHIN"): // n SECONDS
			p.next()
			p.next()
		case p.is("REPEATS"): // n TIMES
			p.next()
			p.next()
			for i := range atoms {
				atoms[i].weak = true
			}
		case p.is("START"):
			return nil, errors.New("it holds for a span of time only")
		default:
			return atoms, nil
		}
	}
	return nil, err
}

func (p *patternParser) comparisons(depth int) ([]atom, error) {
	return p.chain("OR", depth, func(depth int) ([]atom, error) {
		return p.chain("AND", depth, p.comparison, together)
	}, either)
}

// together joins alternatives that the same observation has to meet.
func together(a, b []atom) ([]atom, error) {
	switch {
	case narrows(b, a):
		return a, nil
	case narrows(a, b):
		return b, nil
	case all(a, atomHash) && all(b, atomHash):
		return append(a, b...), nil
	case all(a, atomPort) && all(b, atomAddress):
		a, b = b, a
	}
	if all(a, atomAddress) && all(b, atomPort) {
		return withPorts(a, b)
	}
	for _, x := range [...][]atom{a, b} {
		for _, y := range x {
			if y.kind == atomPort || y.kind == atomTraffic || y.kind == atomFile {
				return nil, errors.New("it joins by AND what lists cannot join")
			}
		}
	}
	return parts(a, b)
}

// narrows tells whether a says nothing that lists could use beyond b.
func narrows(a, b []atom) bool {
	for _, x := range a {
		for _, y := range b {
			traffic := x.kind == atomTraffic && (y.kind == atomAddress || y.kind == atomPort || y.kind == atomTraffic)
			file := x.kind == atomFile && (y.kind == atomHash || y.kind == atomFile)
			if !traffic && !file {
				return false
			}
		}
	}
	return true
}

func all(atoms []atom, kind atomKind) bool {
	for _, a := range atoms {
		if a.kind != kind {
			return false
		}
	}
	return true
}

// withPorts gives each address with each port of its own end.
func withPorts(addresses, ports []atom) ([]atom, error) {
	if len(addresses)*len(ports) > maxPatternAtoms {
		return nil, fmt.Errorf("it gives more than %d indicators", maxPatternAtoms)
	}
	var out []atom
	for _, a := range addresses {
		for _, p := range ports {
			if a.port != 0 || a.side != 0 && p.side != 0 && a.side != p.side {
				return nil, errors.New("its address and port belong to different ends")
			}
			joined := a
			joined.port = p.port
			out = append(out, joined)
		}
	}
	return out, nil
}

// comparison reads path, operator and constant, or the same in parentheses.
func (p *patternParser) comparison(depth int) ([]atom, error) {
	if depth > maxPatternDepth {
		return nil, errors.New("brackets within brackets, too deep")
	}
	if p.is("(") {
		atoms, err := p.comparisons(depth + 1)
		if err == nil && !p.is(")") {
			err = fmt.Errorf("%q where ) should stand", clip(p.token))
		}
		return atoms, err
	}
	path := p.token
	p.next()
	op := strings.ToUpper(p.token)
	p.next()
	var values []string
	switch op {
	case "=", "==", "ISSUBSET":
		values = []string{p.token}
		p.next()
	case "IN":
		if !p.is("(") {
			return nil, errors.New("IN without a list in parentheses")
		}
		for !p.is(")") {
			if p.token == "" || len(values) == maxPatternAtoms {
				return nil, errors.New("a list that does not end")
			}
			values = append(values, p.token)
			p.next()
			p.is(",")
		}
	default:
		return nil, fmt.Errorf("only =, IN and ISSUBSET are read, not %q", clip(op))
	}
	var atoms []atom
	for _, v := range values {
		a, err := comparisonAtom(path, v)
		if err != nil {
			return nil, err
		}
		atoms = append(atoms, a)
	}
	if len(atoms) == 0 {
		return nil, errors.New("a comparison with nothing")
	}
	return atoms, nil
}

// comparisonAtom is what comparing a path with a value is about.
func comparisonAtom(path, value string) (atom, error) {
	switch path {
	case "ipv4-addr:value", "ipv6-addr:value":
		return atom{kind: atomAddress, value: value}, nil
	case "network-traffic:dst_ref.value":
		return atom{kind: atomAddress, value: value, side: 'd'}, nil
	case "network-traffic:src_ref.value":
		return atom{kind: atomAddress, value: value, side: 's'}, nil
	case "domain-name:value", "url:value":
		return atom{kind: atomName, value: value}, nil
	case "network-traffic:dst_port", "network-traffic:src_port":
		port, err := strconv.ParseUint(value, 10, 16)
		if err != nil || port == 0 {
			return atom{}, fmt.Errorf("%q is no port", clip(value))
		}
		return atom{kind: atomPort, port: uint16(port), side: path[len("network-traffic:")]}, nil
	}
	if strings.HasPrefix(path, "network-traffic:protocols[") || strings.HasPrefix(path, "network-traffic:") && strings.HasSuffix(path, "_ref.type") {
		return atom{kind: atomTraffic}, nil
	}
	if sum, ok := strings.CutPrefix(path, "file:hashes."); ok {
		switch strings.ToUpper(strings.Trim(sum, "'")) {
		case "MD5", "SHA-1", "SHA1", "SHA-256", "SHA256":
			return atom{kind: atomHash, value: value}, nil
		}
	}
	if strings.HasPrefix(path, "file:") {
		return atom{kind: atomFile}, nil
	}
	return atom{}, fmt.Errorf("%s is nothing that lists are matched by", clip(path))
}
