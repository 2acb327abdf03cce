package query

import (
	"fmt"
	"net/netip"
	"slices"
)

// Resolve fills in the prefixes of each "in list NAME" of x. It returns a new tree where there are any and leaves x as
// it is. A name that lookup does not know is an error.
func Resolve(x Expr, lookup func(name string) ([]netip.Prefix, bool)) (Expr, error) {
	switch x := x.(type) {
	case And:
		parts, err := resolveAll(x, lookup)
		return And(parts), err
	case Or:
		parts, err := resolveAll(x, lookup)
		return Or(parts), err
	case Not:
		of, err := Resolve(x.Of, lookup)
		return Not{of}, err
	case Nets:
		if x.Name == "" {
			x.Prefixes = Tidy(x.Prefixes)
			return x, nil
		}
		prefixes, ok := lookup(x.Name)
		if !ok {
			return nil, fmt.Errorf("filter: there is no list %q", x.Name)
		}
		x.Prefixes = Tidy(prefixes)
		return x, nil
	}
	return x, nil
}

func resolveAll(parts []Expr, lookup func(name string) ([]netip.Prefix, bool)) ([]Expr, error) {
	out := make([]Expr, len(parts))
	for i, part := range parts {
		var err error
		if out[i], err = Resolve(part, lookup); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Tidy is a sorted copy of prefixes, masked, without invalid ones and without those that another one covers.
func Tidy(prefixes []netip.Prefix) []netip.Prefix {
	out := make([]netip.Prefix, 0, len(prefixes))
	for _, p := range prefixes {
		if p, ok := plain(p); ok {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b netip.Prefix) int {
		if c := a.Addr().Compare(b.Addr()); c != 0 {
			return c
		}
		return a.Bits() - b.Bits()
	})
	kept := out[:0]
	for _, p := range out {
		if n := len(kept); n == 0 || !kept[n-1].Contains(p.Addr()) {
			kept = append(kept, p)
		}
	}
	return slices.Clip(kept)
}

// plain is p masked and without a mapped address; ok is false where that is no prefix.
func plain(p netip.Prefix) (netip.Prefix, bool) {
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return netip.Prefix{}, false
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), p.IsValid()
}
