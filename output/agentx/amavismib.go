package agentx

import (
	"fmt"
	"strings"
)

// AmavisMIB prints a module with the names that AMAVIS-MIB has for amavis's objects, for whoever has not got that.
// It has a name of its own, since AMAVIS-MIB is its authors' to change.
func AmavisMIB() (string, error) {
	objects, err := amavisObjects()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, amavisHead, mibRevision, mibRevision)
	m := mib{b: &b}
	branches := map[uint32]string{1: "amavisStats", 2: "amavisProc", 3: "amavisMta"}
	for i := range objects {
		o := &objects[i]
		place := branches[o.at[0]]
		for _, arc := range o.at[1:] {
			place += fmt.Sprintf(" %d", arc)
		}
		syntax, units, help := o.describe()
		m.definition(o.mib, syntax, units, "read-only", help, "", place)
	}
	b.WriteString("END\n")
	return b.String(), nil
}

const amavisHead = `VARDE-AMAVIS-MIB DEFINITIONS ::= BEGIN

-- Names of amavis's objects, as in AMAVIS-MIB. Printed by varde. What they
-- mean is said in AMAVIS-MIB, which comes with amavis.

IMPORTS
    MODULE-IDENTITY, OBJECT-TYPE, Counter32, Counter64, Gauge32, Integer32, TimeTicks, enterprises
        FROM SNMPv2-SMI
    DisplayString, TimeInterval
        FROM SNMPv2-TC;

amavis MODULE-IDENTITY
    LAST-UPDATED "%s"
    ORGANIZATION "The varde project"
    CONTACT-INFO "The page of the project from which varde was obtained."
    DESCRIPTION
        "Names of the objects of amavis that varde serves. Every instance
        ends in .0."
    REVISION "%s"
    DESCRIPTION "The first version."
    ::= { enterprises 15312 2 1 }

amavisStats OBJECT IDENTIFIER ::= { amavis 1 }
amavisProc  OBJECT IDENTIFIER ::= { amavis 2 }
amavisMta   OBJECT IDENTIFIER ::= { amavis 3 }

`

// describe says what an object is.
func (o *amavisObject) describe() (syntax, units, help string) {
	help = "What amavis calls " + o.name + "."
	switch {
	case strings.HasPrefix(o.name, "TimeElapsed"):
		return "TimeInterval", "", help
	case strings.HasPrefix(o.name, "MtaQueueEntries"):
		return "Gauge32", "messages", "Messages in Postfix's queue " + strings.ToLower(o.name[len("MtaQueueEntries"):]) + "."
	case strings.Contains(o.name, "Size"):
		units = "bytes"
	}
	switch o.typ {
	case "C64":
		return "Counter64", units, help
	case "G32":
		return "Gauge32", units, help
	case "TIM":
		return "TimeTicks", units, help
	case "INT":
		return "Integer32", units, help
	case "STR":
		return "DisplayString", units, help
	case "OID":
		return "OBJECT IDENTIFIER", units, help
	}
	return "Counter32", units, help
}
