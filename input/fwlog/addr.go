package fwlog

import (
	"bytes"
	"net/netip"
)

// address reads an IPv4 or IPv6 address at the beginning of b and tells how long it is, 0 where there is none. What
// follows it must not look like a part of it. The zone of an address is left for the caller.
func address(b []byte) (netip.Addr, int) {
	for i := 0; i < len(b) && i < 5; i++ {
		switch c := b[i]; {
		case c == '.':
			return addr4(b)
		case c == ':':
			return addr6(b)
		case hexDigit(c) > 15:
			return netip.Addr{}, 0
		}
	}
	return netip.Addr{}, 0
}

// wholeAddress reads an address that is all of b, but for a zone.
func wholeAddress(b []byte) (netip.Addr, bool) {
	a, n := address(b)
	return a, n > 0 && (n == len(b) || b[n] == '%')
}

func addr4(b []byte) (netip.Addr, int) {
	v, n := quad(b)
	if n == 0 {
		return netip.Addr{}, 0
	}
	return netip.AddrFrom4(v), n
}

// quad reads four decimal numbers with dots between them.
func quad(b []byte) (v [4]byte, n int) {
	for part := range v {
		if part > 0 {
			if n >= len(b) || b[n] != '.' {
				return v, 0
			}
			n++
		}
		if n >= len(b) || !isDigit(b[n]) {
			return v, 0
		}
		d := uint(b[n] - '0')
		for n++; n < len(b) && isDigit(b[n]); n++ {
			if d = d*10 + uint(b[n]-'0'); d > 255 {
				return v, 0
			}
		}
		v[part] = byte(d)
	}
	if n+1 < len(b) && b[n] == '.' && isDigit(b[n+1]) {
		return v, 0
	}
	return v, n
}

// full is the length of an IPv6 address as netfilter writes it: eight groups of four digits.
const full = 39

func addr6(b []byte) (netip.Addr, int) {
	var v [16]byte
	if len(b) >= full && b[4] == ':' && full6(b, &v) && (len(b) == full || b[full] != ':' && hexDigit(b[full]) > 15) {
		return netip.AddrFrom16(v).Unmap(), full
	}
	v = [16]byte{}
	gap, groups, i := -1, 0, 0
	if len(b) > 1 && b[0] == ':' && b[1] == ':' {
		gap, i = 0, 2
	}
	for groups < 8 {
		start, x := i, 0
		for i < len(b) && i < start+4 && hexDigit(b[i]) < 16 {
			x = x<<4 | int(hexDigit(b[i]))
			i++
		}
		if i == start {
			break
		}
		if i < len(b) && b[i] == '.' && groups <= 6 {
			q, n := quad(b[start:])
			if n == 0 {
				return netip.Addr{}, 0
			}
			copy(v[groups*2:], q[:])
			groups, i = groups+2, start+n
			break
		}
		v[groups*2], v[groups*2+1] = byte(x>>8), byte(x)
		groups++
		if i >= len(b) || b[i] != ':' || groups == 8 {
			break
		}
		if i+1 < len(b) && b[i+1] == ':' {
			if gap >= 0 {
				return netip.Addr{}, 0
			}
			gap, i = groups, i+2
			continue
		}
		if i+1 >= len(b) || hexDigit(b[i+1]) > 15 {
			break
		}
		i++
	}
	switch {
	case i < len(b) && hexDigit(b[i]) < 16, gap < 0 && groups < 8, gap >= 0 && groups == 8:
		return netip.Addr{}, 0
	case gap >= 0:
		tail := (groups - gap) * 2
		copy(v[16-tail:], v[gap*2:groups*2])
		clear(v[gap*2 : 16-tail])
	}
	return netip.AddrFrom16(v).Unmap(), i
}

func full6(b []byte, v *[16]byte) bool {
	bad := byte(0)
	for g := range 8 {
		p := b[g*5 : g*5+4 : g*5+4]
		h0, h1, h2, h3 := hexDigit(p[0]), hexDigit(p[1]), hexDigit(p[2]), hexDigit(p[3])
		v[g*2], v[g*2+1] = h0<<4|h1, h2<<4|h3
		bad |= h0 | h1 | h2 | h3
		if g < 7 && b[g*5+4] != ':' {
			return false
		}
	}
	return bad < 16
}

// hexDigit is the value of a hexadecimal digit, 255 for anything else.
func hexDigit(c byte) byte { return hexDigits[c] }

var hexDigits = func() (t [256]byte) {
	for c := range t {
		t[c] = 255
		if i := bytes.IndexByte([]byte("0123456789abcdef"), byte(c)); i >= 0 {
			t[c] = byte(i)
		} else if i := bytes.IndexByte([]byte("ABCDEF"), byte(c)); i >= 0 {
			t[c] = byte(10 + i)
		}
	}
	return t
}()

// endpoint reads "192.0.2.1:80", "[2001:db8::1]:80" or an address alone, with the given mark before the port.
func endpoint(b []byte, mark byte) (a netip.Addr, p uint16, n int) {
	bracket := len(b) > 0 && b[0] == '['
	if bracket {
		n = 1
	}
	a, k := address(b[n:])
	if k == 0 {
		return a, 0, 0
	}
	n += k
	if n < len(b) && b[n] == '%' {
		for n < len(b) && b[n] != ']' && b[n] != mark && b[n] != ' ' && b[n] != ',' {
			n++
		}
	}
	if bracket {
		if n >= len(b) || b[n] != ']' {
			return a, 0, 0
		}
		n++
	}
	if n+1 < len(b) && b[n] == mark && isDigit(b[n+1]) {
		v, k := port(b[n+1:])
		if k == 0 {
			return a, 0, 0
		}
		return a, v, n + 1 + k
	}
	return a, 0, n
}

// end takes an address and the port behind a colon, where there is one.
func (c *cursor) end() (netip.Addr, uint16, bool) {
	a, p, n := endpoint(c.b, ':')
	c.b = c.b[n:]
	return a, p, n > 0
}
