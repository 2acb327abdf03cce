package fwlog

import "encoding/binary"

const (
	ways     = 4   // places for texts with the same hash
	textSets = 256 // a power of two; a firewall has fewer interfaces and rules than fit
	maxText  = 255 // bytes of a name; netfilter's prefixes have at most 127
)

// texts keeps the strings of lines before, so that names which come again cost nothing and may be kept by anybody.
type texts struct{ set [textSets][ways]string }

// of is b as a string.
func (t *texts) of(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	b = b[:min(len(b), maxText)]
	set := &t.set[hash(b)%textSets]
	for i := range set {
		if set[i] == string(b) {
			return set[i]
		}
	}
	copy(set[1:], set[:])
	set[0] = string(b)
	return set[0]
}

// hash mixes the length, the beginning and the end. It need not resist anybody: a collision costs one allocation.
func hash(b []byte) uint64 {
	const odd = 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio
	h := uint64(len(b))
	if n := len(b); n >= 8 {
		h ^= binary.LittleEndian.Uint64(b) * odd
		h = (h ^ h>>32) + binary.LittleEndian.Uint64(b[n-8:])
		if n > 16 {
			h = (h^h>>31)*odd + binary.LittleEndian.Uint64(b[n/2-4:])
		}
	} else {
		for _, c := range b {
			h = h<<8 | uint64(c)
		}
	}
	h *= odd
	return h >> 40
}
