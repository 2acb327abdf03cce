package flow

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Sizes of one batch of datagrams.
const (
	batch       = 64
	maxDatagram = 1 << 14 // exporters keep below the path's MTU, jumbo frames included; larger ones count as truncated
	controlSize = 128     // room for a time stamp and a drop count
)

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// batchReader holds the buffers into which recvmmsg(2) writes up to a batch of datagrams of one socket.
type batchReader struct {
	headers [batch]mmsghdr
	vectors [batch]unix.Iovec
	names   [batch]unix.RawSockaddrInet6
	control [batch][controlSize]byte
	data    [batch][maxDatagram]byte
}

func newBatchReader() *batchReader {
	b := &batchReader{}
	for i := range batch {
		b.vectors[i].Base = &b.data[i][0]
		b.vectors[i].SetLen(maxDatagram)
		h := &b.headers[i].hdr
		h.Iov, h.Name, h.Control = &b.vectors[i], (*byte)(unsafe.Pointer(&b.names[i])), &b.control[i][0]
		h.SetIovlen(1)
	}
	return b
}

// read takes what the socket holds, at most a batch, without waiting.
func (b *batchReader) read(fd uintptr) (int, syscall.Errno) {
	for i := range b.headers {
		h := &b.headers[i].hdr
		h.Namelen = unix.SizeofSockaddrInet6
		h.SetControllen(controlSize)
		h.Flags = 0
	}
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&b.headers[0])), batch, unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), 0
		case unix.EINTR:
			continue
		}
		return 0, errno
	}
}

// sender is the address of datagram i; IPv4 comes mapped into IPv6 on a dual-stack socket.
func (b *batchReader) sender(i int) netip.AddrPort {
	sa := &b.names[i]
	if sa.Family == unix.AF_INET {
		sa4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(sa4.Addr), networkOrder(sa4.Port))
	}
	return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), networkOrder(sa.Port))
}

func networkOrder(port uint16) uint16 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], port)
	return binary.BigEndian.Uint16(b[:])
}

// ancillary reads when the kernel received datagram i (SO_TIMESTAMPNS; now where it does not say) and how many
// datagrams the socket had dropped by then (SO_RXQ_OVFL; counted is false as long as there are none).
func (b *batchReader) ancillary(i int, now int64) (received int64, drops uint32, counted bool) {
	received = now
	head := unix.CmsgLen(0)
	for c := b.control[i][:min(int(b.headers[i].hdr.Controllen), controlSize)]; len(c) >= unix.SizeofCmsghdr; {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&c[0]))
		size := int(h.Len)
		if size < head || size > len(c) {
			break
		}
		data := c[head:size]
		switch {
		case h.Level != unix.SOL_SOCKET:
		case h.Type == unix.SO_RXQ_OVFL && len(data) >= 4:
			drops, counted = binary.NativeEndian.Uint32(data), true
		case h.Type == unix.SO_TIMESTAMPNS && len(data) == int(unsafe.Sizeof(unix.Timespec{})):
			ts := (*unix.Timespec)(unsafe.Pointer(&data[0]))
			received = int64(ts.Sec)*int64(time.Second) + int64(ts.Nsec)
		}
		c = c[min(unix.CmsgSpace(size-head), len(c)):]
	}
	return received, drops, counted
}
