package flow

import "encoding/binary"

// Recognise tells whether a UDP payload is an export datagram, by its content alone, so that captures are read
// whatever the port. It is strict: header and sets must fit each other.
func Recognise(b []byte) (Version, bool) {
	if len(b) < 16 {
		return 0, false
	}
	switch binary.BigEndian.Uint16(b) {
	case 5:
		count := int(binary.BigEndian.Uint16(b[2:]))
		return NetFlow5, count > 0 && len(b) >= v5Header && (len(b)-v5Header) == count*v5Record
	case 9:
		return NetFlow9, len(b) >= v9Header+4 && setsFit(b[v9Header:], 0)
	case 10:
		length := int(binary.BigEndian.Uint16(b[2:]))
		return IPFIX, length == len(b) && setsFit(b[ipfixHeader:], 2)
	case 0:
		if binary.BigEndian.Uint32(b) != 5 || len(b) < 28 {
			return 0, false
		}
		family := binary.BigEndian.Uint32(b[4:])
		return SFlow, family == 1 || family == 2
	}
	return 0, false
}

// setsFit tells whether b is a run of whole sets, with at most padding after them.
func setsFit(b []byte, lowest uint16) bool {
	for n := 0; len(b) >= 4 && n < maxSets; n++ {
		id, length := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		if id == 0 && length == 0 {
			return n > 0
		}
		if length < 4 || length > len(b) || id < lowest || id > 3 && id < 256 {
			return false
		}
		b = b[length:]
	}
	return true
}
