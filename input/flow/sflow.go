package flow

import "net/netip"

// sflow decodes an sFlow v5 datagram.
func (r *Reader) sflow(from netip.AddrPort, b []byte, received int64) {
	r.c.reject(badSample, from, received, len(b))
}
