package agentx

import "slices"

// Object is one object that the sub-agent serves, by the name that its MIB has for it.
type Object struct {
	OID    string `json:"oid"` // without what names an instance: .0, or the index of a row
	Name   string `json:"name"`
	Module string `json:"module"`
	Type   string `json:"type"`
	Units  string `json:"units,omitempty"`
	Figure string `json:"figure,omitempty"` // whose value it shows, where it is one of varde's figures
	Help   string `json:"help"`

	at oid
}

// Objects lists all objects in the order of a walk: those of amavis and varde's own.
func (c *Config) Objects() ([]Object, error) {
	root, err := parseOID(c.Root)
	if err != nil {
		return nil, err
	}
	amavis, err := amavisObjects()
	if err != nil {
		return nil, err
	}
	var out []Object
	for i := range amavis {
		o := &amavis[i]
		typ, units, help := o.describe()
		out = append(out, Object{Name: o.mib, Module: "VARDE-AMAVIS-MIB", Type: typ, Units: units, Help: help, at: amavisRoot().plus(o.at...)})
	}
	own := func(group string, o *object, at oid) {
		out = append(out, Object{Name: group + o.name, Module: "VARDE-MIB", Type: o.syntax.String(), Units: o.units, Figure: o.figure, Help: o.help, at: at})
	}
	for _, g := range ownGroups() {
		for i := range g.objects {
			own(g.name, &g.objects[i], root.plus(1, g.arc, g.objects[i].arc))
		}
	}
	for _, t := range append(ownTables(), figureTable()) {
		for i := range t.columns {
			own(t.name, &t.columns[i], root.plus(1, t.arc, 1, t.columns[i].arc))
		}
	}
	slices.SortFunc(out, func(a, b Object) int { return slices.Compare(a.at, b.at) })
	for i := range out {
		out[i].OID = out[i].at.String()
	}
	return out, nil
}
