package agentx

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Variable is one value as a walk through the SNMP agent shows it.
type Variable struct {
	OID   string `json:"oid"`
	Name  string `json:"name"` // of the object in its MIB, with what names the instance
	Type  string `json:"type"` // as SNMP has it: Counter64, STRING ...
	Value string `json:"value"`
}

var typeWords = map[valueType]string{
	typeInteger: "INTEGER", typeOctets: "STRING", typeOID: "OID", typeCounter32: "Counter32", typeGauge32: "Gauge32",
	typeTimeTicks: "TimeTicks", typeCounter64: "Counter64",
}

// Values is everything that a walk would show now, in its order.
func (a *Agent) Values(ctx context.Context) ([]Variable, error) {
	objects, err := a.cfg.Objects()
	if err != nil {
		return nil, err
	}
	p := a.collector.picture(ctx)
	var out []Variable
	for i := range p.regions {
		for _, v := range p.regions[i].vars {
			out = append(out, Variable{OID: v.name.String(), Name: nameOf(objects, v.name), Type: typeWords[v.typ], Value: v.String()})
		}
	}
	return out, nil
}

// nameOf finds the object that a name is an instance of, among sorted ones.
func nameOf(objects []Object, name oid) string {
	at, same := slices.BinarySearchFunc(objects, name, func(o Object, name oid) int { return slices.Compare(o.at, name) })
	if !same {
		at--
	}
	if at < 0 || !name.under(objects[at].at) {
		return ""
	}
	return objects[at].Name + strings.TrimPrefix(name.String(), objects[at].at.String())
}

// String writes a value for people; octets that are no text are written in hexadecimal.
func (v value) String() string {
	switch v.typ {
	case typeInteger:
		return strconv.Itoa(int(int32(v.number)))
	case typeOctets:
		if utf8.ValidString(v.octets) {
			return v.octets
		}
		return fmt.Sprintf("% X", v.octets)
	case typeOID:
		return "." + v.oid.String()
	case typeTimeTicks:
		return (time.Duration(v.number) * 10 * time.Millisecond).String()
	default:
		return strconv.FormatUint(v.number, 10)
	}
}
