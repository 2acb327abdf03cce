package flow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"varde/event/human"
)

// open binds n sockets to one address. The first is bound alone and shared only afterwards: otherwise a second
// varde would silently take half of the flows away from the first.
func open(ctx context.Context, address string, n int) (conns []*net.UDPConn, err error) {
	for i := range n {
		conn, err := listen(ctx, address, i > 0)
		if err != nil {
			for _, c := range conns {
				c.Close()
			}
			return nil, err
		}
		conns = append(conns, conn)
		address = conn.LocalAddr().String()
	}
	return conns, nil
}

// listen binds one socket that tells of its drops and of the time when each datagram arrived.
func listen(ctx context.Context, address string, join bool) (*net.UDPConn, error) {
	network := "udp"
	if ap, err := netip.ParseAddrPort(address); err == nil && ap.Addr().Is4() {
		network = "udp4" // for 0.0.0.0 Go would listen on IPv6 too
	}
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		if err := option(raw, unix.SO_RXQ_OVFL); err != nil {
			return err
		}
		if err := option(raw, unix.SO_TIMESTAMPNS); err != nil || !join {
			return err
		}
		return option(raw, unix.SO_REUSEPORT)
	}}
	pc, err := lc.ListenPacket(ctx, network, address)
	if err != nil {
		return nil, err
	}
	conn := pc.(*net.UDPConn)
	raw, err := conn.SyscallConn()
	if err == nil {
		err = option(raw, unix.SO_REUSEPORT)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// option switches an option of a socket on.
func option(raw syscall.RawConn, name int) (err error) {
	cerr := raw.Control(func(fd uintptr) {
		err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, name, 1))
	})
	return errors.Join(cerr, err)
}

// setBuffer asks for a receive buffer, past net.core.rmem_max where we may (CAP_NET_ADMIN), and tells what was granted.
func setBuffer(conn *net.UDPConn, want int) (granted int) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0
	}
	if raw.Control(func(fd uintptr) {
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, want) != nil {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, want)
		}
		granted, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
	}) != nil || err != nil {
		return 0
	}
	return granted / 2 // the kernel doubles what it is asked for, for its own bookkeeping
}

// sayBuffer logs what is received where, and when the kernel granted less than wanted, what to do.
func sayBuffer(log *slog.Logger, addr net.Addr, sockets, granted, wanted int) {
	if granted >= wanted {
		log.Info("receiving flows", "address", addr, "sockets", sockets, "buffer", human.Bytes(uint64(granted)))
		return
	}
	log.Warn("receiving flows with a smaller buffer than wanted: bursts may be lost",
		"address", addr, "sockets", sockets, "buffer", human.Bytes(uint64(granted)), "wanted", human.Bytes(uint64(wanted)),
		"mend", fmt.Sprintf("sysctl -w net.core.rmem_max=%d", wanted))
}

// socketDrops is how many datagrams a socket has dropped in all (SK_MEMINFO_DROPS of SO_MEMINFO, Linux 4.12).
func socketDrops(fd uintptr) (drops uint32, ok bool) {
	const dropsAt, words = 8, 9
	var info [words]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	return info[dropsAt], errno == 0 && size >= uint32(unsafe.Sizeof(info))
}

// explainBind says in one sentence why an address cannot be listened on and what to do.
func explainBind(address string, err error) error {
	what := "receive flows on " + address
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		who := portOwner(address)
		if who == "" {
			who = "another program (`ss -lunp` as root tells which)"
		}
		return fmt.Errorf("%s: %s has this port; stop it or change netflow.listen: %w", what, who, unix.EADDRINUSE)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%s: a port below 1024 needs CAP_NET_BIND_SERVICE; grant it or change netflow.listen: %w", what, os.ErrPermission)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("%s: no interface of this machine has that address; change netflow.listen: %w", what, unix.EADDRNOTAVAIL)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// portOwner names the process that has the UDP port of an address, as far as /proc tells us.
func portOwner(address string) string {
	_, service, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	port, err := net.LookupPort("udp", service)
	if err != nil {
		return ""
	}
	sockets := socketsOn(uint16(port))
	if len(sockets) == 0 {
		return ""
	}
	fds, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return ""
	}
	for _, fd := range fds {
		if link, err := os.Readlink(fd); err != nil || !slices.Contains(sockets, link) {
			continue
		}
		dir := filepath.Dir(filepath.Dir(fd))
		comm, err := os.ReadFile(filepath.Join(dir, "comm"))
		if err != nil {
			continue
		}
		return fmt.Sprintf("%s (pid %s)", human.Safe(strings.TrimSpace(string(comm))), filepath.Base(dir))
	}
	return ""
}

// socketsOn gives the UDP sockets bound to a port as links below /proc/PID/fd show them.
func socketsOn(port uint16) (links []string) {
	const local, inode = 1, 9 // columns of proc(5), /proc/net/udp
	suffix := fmt.Sprintf(":%04X", port)
	for _, table := range []string{"/proc/net/udp", "/proc/net/udp6"} {
		b, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			if len(f) > inode && strings.HasSuffix(f[local], suffix) {
				if n, err := strconv.ParseUint(f[inode], 10, 64); err == nil {
					links = append(links, fmt.Sprintf("socket:[%d]", n))
				}
			}
		}
	}
	return links
}
