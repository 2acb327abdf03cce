package agentx

import (
	"slices"
	"time"
)

// picture is all variables at one moment. It never changes once it is made.
type picture struct {
	made    time.Time
	serial  uint32
	regions []region
	objects []oid // without what follows the object to name an instance; sorted
}

// region is a subtree that is registered by itself.
type region struct {
	root oid
	vars []variable // sorted by name
}

// newPicture sorts the variables into the regions below which they lie. Of two variables of one name the first
// stays; a variable below no region is left out. Both sorted lists, roots and objects, stay the caller's.
func newPicture(made time.Time, serial uint32, roots, objects []oid, vars []variable) *picture {
	p := &picture{made: made, serial: serial, objects: objects, regions: make([]region, len(roots))}
	slices.SortStableFunc(vars, func(a, b variable) int { return slices.Compare(a.name, b.name) })
	vars = slices.CompactFunc(vars, func(a, b variable) bool { return slices.Equal(a.name, b.name) })
	for i, root := range roots {
		lo, _ := slices.BinarySearchFunc(vars, root, byName)
		hi := lo
		for hi < len(vars) && vars[hi].name.under(root) {
			hi++
		}
		p.regions[i] = region{root, vars[lo:hi:hi]}
	}
	return p
}

func byName(v variable, name oid) int { return slices.Compare(v.name, name) }

// get finds a variable by its exact name, in the regions that are granted. Where there is none, the type of the
// answer says whether the object is known at all (RFC 2741 section 7.2.3.1).
func (p *picture) get(name oid, granted []bool) variable {
	for i := range p.regions {
		r := &p.regions[i]
		if !granted[i] || !name.under(r.root) {
			continue
		}
		if at, ok := slices.BinarySearchFunc(r.vars, name, byName); ok {
			return r.vars[at]
		}
		// The object that holds the name, if any, is the last that sorts before it: objects do not nest.
		at, same := slices.BinarySearchFunc(p.objects, name, func(o, name oid) int { return slices.Compare(o, name) })
		if !same && at > 0 && name.under(p.objects[at-1]) {
			return variable{name: name, value: value{typ: noSuchInstance}}
		}
	}
	return variable{name: name, value: value{typ: noSuchObject}}
}

// next finds the first variable after r.start (or at it, where r.include says so) and before r.end, in the regions
// that are granted; their roots are sorted and do not nest.
func (p *picture) next(r *searchRange, granted []bool) variable {
	for i := range p.regions {
		g := &p.regions[i]
		if !granted[i] {
			continue
		}
		at, same := slices.BinarySearchFunc(g.vars, r.start, byName)
		if same && !r.include {
			at++
		}
		if at == len(g.vars) {
			continue
		}
		if v := g.vars[at]; len(r.end) == 0 || slices.Compare(v.name, r.end) < 0 {
			return v
		}
		break
	}
	return variable{name: r.start, value: value{typ: endOfMIBView}}
}
