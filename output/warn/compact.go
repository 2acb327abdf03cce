package warn

import (
	"net/netip"
	"strconv"
	"strings"

	"varde/event"
	"varde/event/human"
)

// appendCompact appends a warning as one line without its newline: the sentence for people, then fields as name=value
// for programs that read lines, with lists of at most so many entries of evidence. The names are those of the JSON form;
// a value is quoted where it holds more than letters, digits and the marks of addresses.
func appendCompact(b []byte, w *event.Warning, most int) []byte {
	b = append(append(b, direction(w)...), ' ')
	b = append(append(b, w.Severity.String()...), ": "...)
	b = append(append(b, noField.Replace(sentence(w))...), " |"...)
	for _, p := range fields(w, most) {
		b = append(append(append(b, ' '), p.Key...), '=')
		b = appendValue(b, p.Value)
	}
	return b
}

// noField keeps a name in the sentence from looking like a field to whoever searches the line for the first match.
var noField = strings.NewReplacer("=", ":", "|", "/")

// fields are what structured data and the compact line tell, in this order; empty ones are left out. What strangers can
// choose stands behind everything that they cannot, for those who search for the first match.
func fields(w *event.Warning, most int) []event.Pair {
	var out event.Detail
	text := func(key, value string) { out.Set(key, human.Safe(value)) }
	number := func(key string, n uint64) {
		if n != 0 {
			out.Set(key, strconv.FormatUint(n, 10))
		}
	}
	addr := func(key string, a netip.Addr) {
		if a.IsValid() {
			text(key, a.String())
		}
	}
	text("id", host(w.ID))
	text("rule", host(w.Rule))
	text("state", w.State.String())
	text("severity", w.Severity.String())
	text("verdict", w.Verdict.String())
	e := &w.Event
	addr("src", e.Src)
	addr("dst", e.Dst)
	if hasPorts(e.Proto) {
		number("sport", uint64(e.SrcPort))
		number("dport", uint64(e.DstPort))
	}
	if e.HasICMP {
		out.Set("icmp_type", strconv.Itoa(int(e.ICMPType)))
		out.Set("icmp_code", strconv.Itoa(int(e.ICMPCode)))
	}
	number("proto", uint64(e.Proto))
	addr("own", w.Own.Addr)
	addr("foreign", w.Foreign.Addr)
	number("count", w.Count)
	out.Set("bytes_out", strconv.FormatUint(w.BytesOut, 10))
	out.Set("bytes_in", strconv.FormatUint(w.BytesIn, 10))
	number("sampling", uint64(w.Sampling))
	evidenceFields(&out, w, min(most, len(w.Evidence)))
	text("own_name", host(w.Own.Name))
	text("foreign_name", host(w.Foreign.Name))
	text("exporter", host(e.Exporter))
	text("why", short(human.Safe(w.Why), maxWhy))
	return out
}

// evidenceFields tell all lists by name, and of the strongest entry what it says.
func evidenceFields(out *event.Detail, w *event.Warning, most int) {
	if most == 0 {
		return
	}
	var lists []string
	for i := range w.Evidence[:most] {
		lists = appendNew(lists, host(w.Evidence[i].List))
	}
	first := &w.Evidence[0]
	out.Set("lists", strings.Join(lists, ","))
	if first.Confidence > 0 {
		out.Set("confidence", strconv.Itoa(int(first.Confidence)))
	}
	out.Set("entry", short(human.Safe(first.String()), maxName))
	out.Set("name", short(human.Safe(first.Name), maxName))
	out.Set("url", short(human.Safe(first.URL), maxURL))
}

func appendNew(list []string, s string) []string {
	for _, have := range list {
		if have == s {
			return list
		}
	}
	return append(list, s)
}

// appendValue quotes what would not end at the next space.
func appendValue(b []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		plain := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(".:/_-,+@%?&~#", c) >= 0
		if !plain {
			b = append(b, '"')
			b = append(b, valueEscape.Replace(s)...)
			return append(b, '"')
		}
	}
	return append(b, s...)
}

var valueEscape = strings.NewReplacer(`\`, `\\`, `"`, `\"`)
