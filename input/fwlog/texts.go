package fwlog

import "encoding/binary"

const (
	textSlots = 512 // a power of two; a firewall has fewer interfaces and rules than that in its lines
	maxText   = 255 // bytes of a name; netfilter's prefixes have at most 127
)

// texts keeps the strings of lines before, so that names which come again cost nothing and may be kept by anybody.
type texts struct{ slot [textSlots]string }

// of is b as a string.
func (t *texts) of(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	b = b[:min(len(b), maxText)]
	i := hash(b) % textSlots
	if t.slot[i] == string(b) {
		return t.slot[i]
	}
	if j := i ^ 1; t.slot[j] == string(b) {
		return t.slot[j]
	}
	t.slot[i^1] = t.slot[i]
	t.slot[i] = string(b)
	return t.slot[i]
}

// hash mixes the length and up to 32 bytes. It need not resist anybody: a collision costs one allocation.
func hash(b []byte) uint64 {
	const odd = 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio
	h := uint64(len(b)) * odd
	for n := 0; len(b) >= 8 && n < 3; n++ {
		h = (h ^ binary.LittleEndian.Uint64(b)) * odd
		h ^= h >> 29
		b = b[8:]
	}
	for i := 0; i < len(b) && i < 8; i++ {
		h = (h ^ uint64(b[len(b)-1-i])) * odd
	}
	return h >> 32
}
