package agentx

import (
	"fmt"
	"strings"
)

// mibRevision is when an object was last added or changed, as LAST-UPDATED has it.
const mibRevision = "202611230000Z"

// MIB prints the SMIv2 module (RFC 2578 to 2580) of varde's own objects, below the root that is configured.
func (c *Config) MIB() string {
	var b strings.Builder
	fmt.Fprintf(&b, mibHead, mibRevision, mibRevision, rootText(c.Root))
	m := mib{b: &b}
	for _, g := range ownGroups() {
		fmt.Fprintf(&b, "-- %s\n\n%s OBJECT IDENTIFIER ::= { vardeObjects %d }\n\n", g.help, g.name, g.arc)
		for _, o := range g.objects {
			m.object(g.name+o.name, o.syntax, o.units, o.help, fmt.Sprintf("%s %d", g.name, o.arc))
		}
		m.group(g.name+"Group", g.help, g.arc)
	}
	for _, t := range append(ownTables(), figureTable()) {
		m.table(&t)
	}
	m.conformance()
	b.WriteString("END\n")
	return b.String()
}

// rootText writes the root as the value of a MODULE-IDENTITY.
func rootText(root string) string {
	root = strings.TrimPrefix(root, ".")
	if rest, ok := strings.CutPrefix(root, "1.3.6.1.4.1."); ok {
		return "enterprises " + strings.ReplaceAll(rest, ".", " ")
	}
	return "iso " + strings.ReplaceAll(strings.TrimPrefix(root, "1."), ".", " ")
}

const mibHead = `VARDE-MIB DEFINITIONS ::= BEGIN

-- What varde tells over SNMP. Printed by varde itself.

IMPORTS
    MODULE-IDENTITY, OBJECT-TYPE, Counter64, Gauge32, Integer32, TimeTicks, enterprises
        FROM SNMPv2-SMI
    TruthValue
        FROM SNMPv2-TC
    MODULE-COMPLIANCE, OBJECT-GROUP
        FROM SNMPv2-CONF
    CounterBasedGauge64
        FROM HCNUM-TC
    SnmpAdminString
        FROM SNMP-FRAMEWORK-MIB;

varde MODULE-IDENTITY
    LAST-UPDATED "%s"
    ORGANIZATION "The varde project"
    CONTACT-INFO "The page of the project from which varde was obtained."
    DESCRIPTION
        "Figures of varde, which watches the edge of a network. All objects
        are read-only. An object of which nothing is known is not there,
        rather than zero."
    REVISION "%s"
    DESCRIPTION "The first version."
    ::= { %s }

vardeObjects     OBJECT IDENTIFIER ::= { varde 1 }
vardeConformance OBJECT IDENTIFIER ::= { varde 2 }
vardeCompliances OBJECT IDENTIFIER ::= { vardeConformance 1 }
vardeGroups      OBJECT IDENTIFIER ::= { vardeConformance 2 }

`

// mib writes definitions and remembers what the conformance statement at the end must name.
type mib struct {
	b      *strings.Builder
	groups []string
	inside []string // objects that belong to the next group
}

func (m *mib) object(name string, s syntax, units, help, place string) {
	m.definition(name, s.String(), units, "read-only", help, "", place)
	m.inside = append(m.inside, name)
}

// definition writes one OBJECT-TYPE.
func (m *mib) definition(name, syntax, units, access, help, index, place string) {
	fmt.Fprintf(m.b, "%s OBJECT-TYPE\n    SYNTAX      %s\n", name, syntax)
	if units != "" {
		fmt.Fprintf(m.b, "    UNITS       \"%s\"\n", units)
	}
	fmt.Fprintf(m.b, "    MAX-ACCESS  %s\n    STATUS      current\n    DESCRIPTION\n        \"%s\"\n", access, wrapped(help))
	if index != "" {
		fmt.Fprintf(m.b, "    INDEX       { %s }\n", index)
	}
	fmt.Fprintf(m.b, "    ::= { %s }\n\n", place)
}

func (m *mib) table(t *table) {
	row := strings.ToUpper(t.name[:1]) + t.name[1:] + "Entry"
	m.definition(t.name+"Table", "SEQUENCE OF "+row, "", "not-accessible", t.help, "", fmt.Sprintf("vardeObjects %d", t.arc))
	var names []string
	for _, x := range t.index {
		names = append(names, t.name+x.name)
	}
	if t.implied() && t.index[0].text() {
		names[0] = "IMPLIED " + names[0]
	}
	m.definition(t.name+"Entry", row, "", "not-accessible", "A row. It has what is known of it.", strings.Join(names, ", "), t.name+"Table 1")
	fmt.Fprintf(m.b, "%s ::= SEQUENCE {\n", row)
	for _, x := range t.index {
		fmt.Fprintf(m.b, "    %-26s %s,\n", t.name+x.name, x.base())
	}
	for i, c := range t.columns {
		comma := ","
		if i == len(t.columns)-1 {
			comma = ""
		}
		base, _, _ := strings.Cut(c.syntax.String(), " ")
		fmt.Fprintf(m.b, "    %-26s %s%s\n", t.name+c.name, base, comma)
	}
	m.b.WriteString("}\n\n")
	for i, x := range t.index {
		m.definition(t.name+x.name, x.syntax(i, t.maxText()), "", "not-accessible", x.help, "", fmt.Sprintf("%sEntry %d", t.name, i+1))
	}
	for _, c := range t.columns {
		m.object(t.name+c.name, c.syntax, c.units, c.help, fmt.Sprintf("%sEntry %d", t.name, c.arc))
	}
	m.group(t.name+"Group", t.help, t.arc)
}

// group puts the objects since the last one into an OBJECT-GROUP, numbered as the branch.
func (m *mib) group(name, help string, arc uint32) {
	m.groups = append(m.groups, name)
	fmt.Fprintf(m.b, "%s OBJECT-GROUP\n    OBJECTS {\n        %s\n    }\n    STATUS      current\n    DESCRIPTION\n        \"%s\"\n    ::= { vardeGroups %d }\n\n",
		name, strings.Join(m.inside, ",\n        "), wrapped(help), arc)
	m.inside = nil
}

func (m *mib) conformance() {
	fmt.Fprintf(m.b, `vardeCompliance MODULE-COMPLIANCE
    STATUS      current
    DESCRIPTION
        "What every varde has. The other groups are there where what they
        speak of is configured."
    MODULE
        MANDATORY-GROUPS { %s, vardeFigureGroup }
`, m.groups[0])
	for _, g := range m.groups[1 : len(m.groups)-1] {
		fmt.Fprintf(m.b, "        GROUP       %s\n        DESCRIPTION \"Where it is configured.\"\n", g)
	}
	m.b.WriteString("    ::= { vardeCompliances 1 }\n\n")
}

// String is the syntax as the MIB has it.
func (s syntax) String() string {
	switch s {
	case counter64:
		return "Counter64"
	case gauge32:
		return "Gauge32"
	case gauge64:
		return "CounterBasedGauge64"
	case truth:
		return "TruthValue"
	case text:
		return "SnmpAdminString"
	case ticks:
		return "TimeTicks"
	}
	return "INTEGER { counter(1), gauge(2) }"
}

// text tells an index that is a text.
func (x *index) text() bool { return x.label != "" && x.words == nil }

// base is the type of an index in its row.
func (x *index) base() string {
	switch {
	case x.text():
		return "SnmpAdminString"
	case x.words != nil:
		return "INTEGER"
	}
	return "Integer32"
}

// syntax is the type of the i-th part of an index, with its range.
func (x *index) syntax(i, maxText int) string {
	switch {
	case x.text() && i > 0:
		return fmt.Sprintf("SnmpAdminString (SIZE (0..%d))", maxText)
	case x.text():
		return fmt.Sprintf("SnmpAdminString (SIZE (1..%d))", maxText)
	case x.words != nil:
		var b strings.Builder
		for i, w := range x.words {
			if i > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "%s(%d)", w, i+1)
		}
		return "INTEGER { " + b.String() + " }"
	}
	return "Integer32 (1..2147483647)"
}

// wrapped breaks a sentence into lines that fit below DESCRIPTION. A module holds no double quotes within quotes.
func wrapped(s string) string {
	const width = 68
	s = strings.ReplaceAll(s, `"`, "'")
	var b strings.Builder
	column := 0
	for i, w := range strings.Fields(s) {
		switch {
		case i > 0 && column+1+len(w) > width:
			b.WriteString("\n        ")
			column = 0
		case i > 0:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(w)
		column += len(w)
	}
	return b.String()
}
