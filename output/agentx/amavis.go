package agentx

import (
	"context"
	_ "embed"
	"fmt"
	"strings"
	"time"

	"varde/event"
)

// Amavis reads what amavis tells. age is how old that is.
type Amavis interface {
	Snapshot(context.Context) (values AmavisValues, age time.Duration, err error)
}

// AmavisValues finds a value by the name that amavis's variables have, in the form in which its own sub-agent gives
// them to SNMP: sysUpTime and TimeElapsed* in 1/100 s, and the counts of processes as Proc*. It says false of
// a name that amavis has not stored, or of Proc* where nothing is known of its processes.
type AmavisValues func(name string) (AmavisValue, bool)

// AmavisValue is one value: a number in Count, or in Int where it is signed, or a text.
type AmavisValue struct {
	Count uint64
	Int   int64
	Text  string
}

// amavisObject is one object of AMAVIS-MIB.
type amavisObject struct {
	at       oid    // below the root of amavis
	instance oid    // its only one, with the root before it and 0 behind
	typ      string // C32, C64, G32, INT, TIM, STR or OID
	name     string // in snmp.db
	mib      string // in AMAVIS-MIB
}

//go:embed amavis.txt
var amavisText string

// amavisRoot is where amavis has its objects, below the number of the Jozef Stefan Institute.
func amavisRoot() oid { return oid{1, 3, 6, 1, 4, 1, 15312, 2, 1} }

// amavisRegions are the subtrees that amavisd-snmp-subagent registers: counters, processes, four queues. The same
// ones, so that two sub-agents at once are noticed.
func amavisRegions() []oid {
	root := amavisRoot()
	return []oid{root.plus(1), root.plus(2), root.plus(3, 1, 1), root.plus(3, 1, 2), root.plus(3, 1, 3), root.plus(3, 1, 4)}
}

// amavisObjects reads the table of objects, in the order of their identifiers.
func amavisObjects() ([]amavisObject, error) {
	var out []amavisObject
	for line := range strings.Lines(amavisText) {
		f := strings.Fields(line)
		if len(f) < 3 || f[0] == "#" {
			continue
		}
		at, err := parseOID("1.3." + f[0])
		if err != nil || len(f) > 4 {
			return nil, fmt.Errorf("amavis.txt: %q is not: where, type, name, name in the MIB", line)
		}
		o := amavisObject{at: at[2:], typ: f[1], name: f[2], mib: strings.ToLower(f[2][:1]) + f[2][1:]}
		o.instance = amavisRoot().plus(o.at...).plus(0)
		if len(f) == 4 {
			o.mib = f[3]
		}
		out = append(out, o)
	}
	return out, nil
}

// amavisVariables adds the variables of all objects to out. What amavis has not stored is zero or empty, as it counts by
// storing; what is not known is left out. queues are figures by the name of a queue.
func amavisVariables(out []variable, objects []amavisObject, values AmavisValues, queues map[string]*event.Figure) []variable {
	for i := range objects {
		o := &objects[i]
		var v AmavisValue
		if queue, ok := strings.CutPrefix(o.name, "MtaQueueEntries"); ok {
			f := queues[strings.ToLower(queue)]
			if f == nil {
				continue
			}
			v.Count = whole(f.Float())
		} else {
			if values == nil {
				continue
			}
			if v, ok = values(o.name); !ok && strings.HasPrefix(o.name, "Proc") {
				continue
			}
		}
		out = append(out, variable{o.instance, o.value(v)})
	}
	return out
}

// value turns what amavis tells into a value of SNMP. Counters wrap at their size, as counters do; amavis itself lets
// those of 32 bits grow on.
func (o *amavisObject) value(v AmavisValue) value {
	n := v.Count + uint64(v.Int)
	switch o.typ {
	case "C64":
		return value{typ: typeCounter64, number: n}
	case "G32":
		return value{typ: typeGauge32, number: uint64(uint32(n))}
	case "TIM":
		return value{typ: typeTimeTicks, number: uint64(uint32(n))}
	case "INT":
		return value{typ: typeInteger, number: uint64(uint32(n))}
	case "STR":
		return textValue(v.Text)
	case "OID":
		id, err := parseOID(v.Text)
		if err != nil {
			id = oid{0, 0} // zeroDotZero, which is no object
		}
		return value{typ: typeOID, oid: id}
	}
	return value{typ: typeCounter32, number: uint64(uint32(n))}
}
