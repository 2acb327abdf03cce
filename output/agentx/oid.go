package agentx

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// oid is an object identifier by its arcs. SNMP orders them arc by arc, as slices.Compare does.
type oid []uint32

// maxArcs is the most arcs that SNMP allows (RFC 2578 section 3.5, RFC 2741 section 5.1).
const maxArcs = 128

// parseOID reads 1.3.6.1.4.1 or .1.3.6.1.4.1.
func parseOID(s string) (oid, error) {
	arcs := strings.Split(strings.TrimPrefix(s, "."), ".")
	if len(arcs) < 2 || len(arcs) > maxArcs {
		return nil, fmt.Errorf("%q is no object identifier: use 2 to %d numbers with points between them", s, maxArcs)
	}
	out := make(oid, len(arcs))
	for i, a := range arcs {
		n, err := strconv.ParseUint(a, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("%q is no object identifier: %q is no number up to 4294967295", s, a)
		}
		out[i] = uint32(n)
	}
	// BER packs the first two arcs into one number (X.690 section 8.19).
	if out[0] > 2 || out[0] < 2 && out[1] > 39 {
		return nil, fmt.Errorf("%q is no object identifier: there is no %d.%d", s, out[0], out[1])
	}
	return out, nil
}

// String writes the arcs with points between them.
func (o oid) String() string {
	b := make([]byte, 0, 4*len(o))
	for i, a := range o {
		if i > 0 {
			b = append(b, '.')
		}
		b = strconv.AppendUint(b, uint64(a), 10)
	}
	return string(b)
}

// under tells whether o is root or below it.
func (o oid) under(root oid) bool { return len(o) >= len(root) && slices.Equal(o[:len(root)], root) }

// plus is a new identifier below o.
func (o oid) plus(arcs ...uint32) oid {
	return append(append(make(oid, 0, len(o)+len(arcs)), o...), arcs...)
}
