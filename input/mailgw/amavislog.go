package mailgw

import (
	"strings"

	"varde/event"
)

// parseAmavisLine reads the line that amavis writes for every message at level 0:
//
//	(12933-01) Blocked BANNED (exe,.pif) {DiscardedInbound,Quarantined}, ORIG LOCAL [192.0.2.1]:4711 [198.51.100.2]
//	<from> -> <to>,<to>, quarantine: .., Message-ID: <..>, mail_id: .., Hits: -, size: 990, queued_as: .., 59 ms
//
// Names of banned files are a stranger's and stand before the addresses. Where they could be taken for the rest of the
// line, no address is believed.
func parseAmavisLine(s string, e *event.Event) bool {
	task, rest, ok := strings.Cut(s, ") ")
	if !ok || !strings.HasPrefix(task, "(") || len(task) > 32 {
		return false
	}
	if rest, ok = strings.CutPrefix(rest, "Passed "); ok {
		e.Action = event.Accept
	} else if rest, ok = strings.CutPrefix(rest, "Blocked "); ok {
		e.Action = event.Deny
	} else {
		return false
	}
	category, rest := cutCategory(rest)
	head, tail, ok := strings.Cut(rest, "<")
	// Each recipient has a shorter line as well, without flow and address, which would say the same again.
	if category == "" || !ok || !strings.ContainsAny(head, "{[") {
		return false
	}
	e.Session = strings.Clone(task[1:])
	if _, flow, ok := strings.Cut(head, "{"); ok {
		flow, head, _ = strings.Cut(flow, "}")
		e.Rule = capped(flow)
	}
	if strings.Contains(category, "(") && strings.Contains(rest, ") {") {
		e.Detail.Set("verdict", capped(category))
		return true
	}
	e.Src = addrOf(head)
	// The second address is what the headers tell; it counts where the first is only the MTA on this machine.
	if i := strings.IndexByte(head, ']'); i >= 0 && (!e.Src.IsValid() || e.Src.IsLoopback()) {
		if second := addrOf(head[i+1:]); second.IsValid() {
			e.Src = second
		}
	}
	from, tail, ok := strings.Cut(tail, "> -> ")
	if !ok {
		return false
	}
	to, tail, _ := strings.Cut(tail, ", ")
	e.Detail.Set("from", capped(from))
	e.Detail.Set("to", capped(strings.NewReplacer("<", "", ">", "").Replace(to)))
	e.Detail.Set("subject", capped(field(tail, `, Subject: "`, `", `)))
	e.Detail.Set("size", capped(digits(field(tail, ", size: ", ","))))
	e.Detail.Set("verdict", capped(category))
	return true
}

// cutCategory takes the category of content with the names in brackets behind it, which may hold brackets themselves:
// "SPAM", "BAD-HEADER-2", "INFECTED (Eicar-Test-Signature)". It is said in small letters, the names as they are.
func cutCategory(s string) (category, rest string) {
	end := strings.IndexAny(s, " ,")
	if end <= 0 {
		return "", ""
	}
	category, rest = strings.ToLower(s[:end]), s[end:]
	if !strings.HasPrefix(rest, " (") {
		return category, rest
	}
	depth := 0
	for i := 1; i < len(rest); i++ {
		switch rest[i] {
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth == 0 {
			return category + rest[:i+1], rest[i+1:]
		}
	}
	return "", ""
}
