package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"time"
)

// Block types of pcapng. That of a section reads the same in both byte orders.
const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockOld       = 2
	blockSimple    = 3
	blockEnhanced  = 6
	byteOrderMagic = 0x1a2b3c4d
	optionTSResol  = 9
)

// iface is what an interface description says.
type iface struct {
	link     uint16
	perSec   uint64 // units of its timestamps in a second
	snapshot uint32
}

// blocks reads a pcapng file.
func (r *reader) blocks() error {
	var order binary.ByteOrder = binary.LittleEndian
	var interfaces []iface
	for {
		head, err := r.in.Peek(12)
		if len(head) == 0 && errors.Is(err, io.EOF) {
			return nil
		}
		if len(head) < 12 {
			return fmt.Errorf("%s: block at byte %d is cut short", r.name, r.offset)
		}
		kind := order.Uint32(head)
		if binary.LittleEndian.Uint32(head) == blockSection {
			kind, interfaces = blockSection, interfaces[:0]
			switch uint32(byteOrderMagic) {
			case binary.LittleEndian.Uint32(head[8:]):
				order = binary.LittleEndian
			case binary.BigEndian.Uint32(head[8:]):
				order = binary.BigEndian
			default:
				return fmt.Errorf("%s: section at byte %d has no byte order", r.name, r.offset)
			}
		}
		length := order.Uint32(head[4:])
		if length < 12 || length%4 != 0 || length > maxBlock {
			return fmt.Errorf("%s: block at byte %d claims %d bytes, expected a multiple of 4 up to %d", r.name, r.offset, length, maxBlock)
		}
		b, err := r.next(int(length), "block")
		if err != nil {
			return err
		}
		body := b[8 : length-4]
		if kind == blockInterface {
			if len(body) < 8 || len(interfaces) >= maxInterfaces {
				return fmt.Errorf("%s: interface before byte %d is cut short or one of too many", r.name, r.offset)
			}
			interfaces = append(interfaces, iface{order.Uint16(body), resolution(order, body[8:]), order.Uint32(body[4:])})
			continue
		}
		r.block(order, interfaces, kind, body)
	}
}

// block takes the packet of a block, if it is one that holds any.
func (r *reader) block(order binary.ByteOrder, interfaces []iface, kind uint32, b []byte) {
	switch {
	case kind == blockSimple && len(b) >= 4 && len(interfaces) > 0:
		length := order.Uint32(b)
		n := min(int64(length), int64(len(b)-4))
		if s := interfaces[0].snapshot; s > 0 {
			n = min(n, int64(s))
		}
		r.give(interfaces[0].link, 0, b[4:4+n], int64(length) > n)
	case (kind == blockEnhanced || kind == blockOld) && len(b) >= 20:
		id := order.Uint32(b)
		if kind == blockOld {
			id = uint32(order.Uint16(b))
		}
		captured, length := order.Uint32(b[12:]), order.Uint32(b[16:])
		if int64(id) >= int64(len(interfaces)) || int64(captured) > int64(len(b)-20) {
			r.stats.Packets++
			r.stats.Truncated++
			return
		}
		i := &interfaces[id]
		at := stampOf(uint64(order.Uint32(b[4:]))<<32|uint64(order.Uint32(b[8:])), i.perSec)
		r.give(i.link, at, b[20:20+captured], captured < length)
	}
}

// stampOf turns a timestamp in units of which there are perSec a second into nanoseconds.
func stampOf(v, perSec uint64) int64 {
	seconds, rest := v/perSec, v%perSec
	hi, lo := bits.Mul64(rest, uint64(time.Second))
	fraction, _ := bits.Div64(hi, lo, perSec)
	if seconds > math.MaxInt64/uint64(time.Second)-1 {
		return 0
	}
	return int64(seconds*uint64(time.Second) + fraction)
}

// resolution finds if_tsresol among the options of an interface: a power of ten, or of two with the top bit set.
func resolution(order binary.ByteOrder, options []byte) uint64 {
	for len(options) >= 4 {
		code, n := order.Uint16(options), int(order.Uint16(options[2:]))
		if code == 0 || n > len(options)-4 {
			break
		}
		if code == optionTSResol && n == 1 {
			v := options[4]
			switch {
			case v&0x80 != 0 && v&0x7f < 63:
				return 1 << (v & 0x7f)
			case v <= 18:
				return uint64(math.Pow10(int(v)))
			}
		}
		options = options[min(4+(n+3)&^3, len(options)):]
	}
	return 1_000_000
}
