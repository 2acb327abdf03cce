package fwlog

import (
	"bytes"
	"strings"

	"varde/event"
)

// ruling is what a log prefix says: which rule of which chain, and what that does with the packet.
type ruling struct {
	text        string // the prefix as it stands in the line
	rule, chain string
	description string
	action      event.Action
}

const rulingSets = 64 // a power of two; firewalls have fewer rules that log than fit

// rulings keeps what was found in prefixes before.
type rulings struct{ set [rulingSets][ways]*ruling }

// of is the ruling of a prefix, made by judge where it is new.
func (s *rulings) of(b []byte, judge func(*Reader, string) ruling, r *Reader) *ruling {
	b = b[:min(len(b), maxText)]
	set := &s.set[hash(b)%rulingSets]
	for _, p := range set {
		if p != nil && p.text == string(b) {
			return p
		}
	}
	copy(set[1:], set[:])
	p := judge(r, string(b))
	set[0] = &p
	return &p
}

// judge reads a prefix of netfilter. Shorewall, ufw, firewalld, EdgeOS and UniFi write theirs by a pattern; others are
// written by people, and their words decide.
func (r *Reader) judge(text string) ruling {
	p := ruling{text: text, rule: strings.Trim(text, " :-")}
	letter := event.UnknownAction
	switch {
	case strings.HasPrefix(p.rule, "["):
		letter = p.bracket()
	case strings.HasPrefix(p.rule, "Shorewall:"), strings.HasPrefix(p.rule, "Shorewall6:"):
		if part := strings.Split(p.rule, ":"); len(part) > 2 {
			p.chain = part[1]
		}
	}
	if p.chain == "" {
		p.chain = chainWord(text)
	}
	if p.action = r.action(text); p.action == event.NoAction {
		if p.action = letter; letter == event.UnknownAction {
			p.action = words(text)
		}
	}
	return p
}

// bracket reads "[UFW BLOCK]", "[WAN_LOCAL-default-D]" and `[WAN_LOCAL-D-2147483647]DESCR="[WAN_LOCAL]Block All Traffic"`,
// and what the letter among them says.
func (p *ruling) bracket() event.Action {
	inside, rest, ok := strings.Cut(p.rule[1:], "]")
	if !ok {
		return event.UnknownAction
	}
	if _, d, ok := strings.Cut(rest, `DESCR="`); ok {
		p.description = strings.Trim(d, `" `)
		p.rule = inside
	} else if strings.Trim(rest, " :") == "" {
		p.rule = inside
	}
	part := strings.Split(inside, "-")
	n := len(part)
	for _, i := range []int{n - 1, n - 2} { // NAME-NUMBER-D, NAME-D-NUMBER
		if i < 1 || len(part[i]) != 1 {
			continue
		}
		a := letterAction(part[i])
		if a == event.UnknownAction {
			continue
		}
		p.chain = strings.Join(part[:min(i, max(n-2, 1))], "-")
		return a
	}
	return event.UnknownAction
}

func letterAction(s string) event.Action {
	switch s {
	case "D", "R":
		return event.Deny
	case "A":
		return event.Accept
	}
	return event.UnknownAction
}

// action is what the operator says of a prefix, NoAction where that is nothing.
func (r *Reader) action(text string) event.Action {
	for _, a := range r.actions {
		if strings.Contains(text, a.text) {
			return a.action
		}
	}
	return event.NoAction
}

// words looks for words that tell what the rule does. A prefix that says both is not believed; "audit" stands above
// both, since ufw audits packets before it knows.
func words(text string) event.Action {
	var found [event.UnknownAction + 1]bool
	for _, w := range letters(text) {
		found[wordAction(w)] = true
	}
	switch {
	case found[event.Audit]:
		return event.Audit
	case found[event.Deny] && !found[event.Accept]:
		return event.Deny
	case found[event.Accept] && !found[event.Deny]:
		return event.Accept
	}
	return event.UnknownAction
}

func letters(text string) []string {
	return strings.FieldsFunc(text, func(c rune) bool { return (c|0x20) < 'a' || (c|0x20) > 'z' })
}

func wordAction(w string) event.Action {
	switch strings.ToLower(w) {
	case "drop", "drops", "dropped", "dropping", "drp", "deny", "denied", "denying", "block", "blocked", "blocking", "reject",
		"rejected", "refuse", "refused", "discard", "discarded", "ban", "banned", "blacklist", "blacklisted",
		"blocklist", "quarantine", "kill", "killed":
		return event.Deny
	case "accept", "accepted", "allow", "allowed", "permit", "permitted", "pass", "passed", "acc":
		return event.Accept
	case "audit", "audited":
		return event.Audit
	}
	return event.UnknownAction
}

func chainWord(text string) string {
	for _, w := range letters(text) {
		switch w {
		case "INPUT", "OUTPUT", "FORWARD", "PREROUTING", "POSTROUTING", "input", "output", "forward", "prerouting", "postrouting":
			return w
		}
	}
	return ""
}

// rule puts a ruling into the event.
func (r *Reader) rule(p *ruling) event.Action {
	r.ev.Rule = p.rule
	if p.chain != "" {
		r.note("chain", p.chain)
	}
	if p.description != "" {
		r.note("description", p.description)
	}
	return p.action
}

// uptime takes the seconds since boot off that the kernel writes: "[12345.678901] ", "[  307.757925] ".
func uptime(b []byte) []byte {
	if len(b) == 0 || b[0] != '[' {
		return b
	}
	end := bytes.IndexByte(b, ']')
	if end < 2 {
		return b
	}
	for _, c := range b[1:end] {
		if !isDigit(c) && c != '.' && c != ' ' {
			return b
		}
	}
	rest := cursor{b[end+1:]}
	rest.blanks()
	return rest.b
}
