package intel

import (
	"errors"
	"io"
	"strconv"
	"strings"
)

// maxRulePorts bounds the ports that one rule binds its addresses to; more count as any.
const maxRulePorts = 16

// rules reads the rules of Suricata and Snort whose header names addresses, as Emerging Threats gives its block lists:
// action, protocol, source, port, direction, destination, port and options in brackets. Rules that name no address are
// left to the engines that they are made for.
func rules() Format {
	return Format{
		Name: "rules", About: "Suricata and Snort rules that name addresses, as those of Emerging Threats",
		Sniff: func(head []byte) bool {
			f := strings.Fields(firstLine(head))
			return len(f) > 6 && ruleAction(f[0]) && strings.Contains(string(head), "(msg:")
		},
		Parse: func(r io.Reader, to *Sink) error {
			return eachLine(r, to, func(n int, line string) {
				if isComment(line) {
					return
				}
				if err := rule(to, n, line); err != nil {
					to.Reject(Reject{n, clip(line), err.Error()})
				}
			})
		},
	}
}

func ruleAction(s string) bool {
	switch s {
	case "alert", "drop", "reject", "pass", "log", "block", "rejectsrc", "rejectdst", "rejectboth", "sdrop":
		return true
	}
	return false
}

// rule adds the addresses of one rule, with the ports of their end.
func rule(to *Sink, n int, line string) error {
	header, options, ok := strings.Cut(line, "(")
	f := ruleFields(header)
	if !ok || len(f) != 7 || !ruleAction(f[0]) {
		return errors.New("no rule: expected action, protocol, source, port, direction, destination, port and options")
	}
	if f[0] == "pass" {
		return nil // a rule that lets through accuses nobody
	}
	base := Indicator{
		Name: ruleOption(options, "msg"), Seen: ruleDate(ruleOption(options, "metadata")),
	}
	if kind := ruleOption(options, "classtype"); kind != "" {
		base.Tags = []string{kind}
	}
	if _, where, ok := strings.Cut(options, "reference:url,"); ok {
		where, _, _ = strings.Cut(where, ";")
		base.URL = "https://" + clip(strings.TrimSpace(where))
	}
	ruleEnd(to, n, f[2], f[3], base)
	ruleEnd(to, n, f[5], f[6], base)
	return nil
}

// ruleFields parts the header at white space outside brackets, since lists may hold spaces.
func ruleFields(header string) []string {
	var fields []string
	depth, from := 0, -1
	for i, c := range header {
		switch {
		case c == '[':
			depth++
		case c == ']':
			depth--
		}
		space := (c == ' ' || c == '\t') && depth <= 0
		if !space && from < 0 {
			from = i
		}
		if space && from >= 0 {
			fields, from = append(fields, header[from:i]), -1
		}
	}
	if from >= 0 {
		fields = append(fields, header[from:])
	}
	return fields
}

// ruleEnd adds one end of a rule: any, a variable, an address, or a list in brackets. An end with a negated list says
// who is not meant, so it names nobody.
func ruleEnd(to *Sink, n int, ends, ports string, base Indicator) {
	if strings.Contains(ends, "![") {
		return
	}
	for _, e := range strings.Split(strings.NewReplacer("[", "", "]", "").Replace(ends), ",") {
		e = strings.TrimSpace(e)
		if e == "" || e == "any" || e[0] == '$' || e[0] == '!' {
			continue
		}
		for _, port := range rulePorts(ports) {
			base.Port = port
			if _, _, ok := parseAddress(e); !ok {
				to.Reject(Reject{n, clip(e), "neither address nor prefix nor variable"})
				break
			}
			addText(to, n, e, base)
		}
	}
}

// rulePorts are the ports of an end; 0 stands for any, for ranges and for more than a few.
func rulePorts(s string) []uint16 {
	var ports []uint16
	for _, p := range strings.Split(strings.Trim(s, "[]"), ",") {
		n, err := strconv.ParseUint(strings.TrimSpace(p), 10, 16)
		if err != nil || n == 0 || len(ports) == maxRulePorts {
			return []uint16{0}
		}
		ports = append(ports, uint16(n))
	}
	return ports
}

// ruleOption is the value of an option of a rule, without quotes.
func ruleOption(options, key string) string {
	for from := 0; ; {
		i := strings.Index(options[from:], key+":")
		if i < 0 {
			return ""
		}
		from += i
		if from == 0 || strings.ContainsRune("; (", rune(options[from-1])) {
			value, _, _ := strings.Cut(options[from+len(key)+1:], ";")
			value = strings.Trim(strings.TrimSpace(value), `"`)
			return value[:min(len(value), maxNotice)]
		}
		from += len(key)
	}
}

// ruleDate reads updated_at 2024_05_01 of a rule's metadata.
func ruleDate(metadata string) int64 {
	_, rest, _ := strings.Cut(metadata, "updated_at ")
	day, _, _ := strings.Cut(rest, ",")
	return stamp(strings.ReplaceAll(strings.TrimSpace(day), "_", "-"))
}
