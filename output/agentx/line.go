package agentx

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// line is a connection on which a read waits in the kernel. A walk is some hundred short questions one after the other,
// each asked only after the answer to the one before: waiting for them by epoll, as package net does, doubles the calls
// into the kernel and costs more than finding the answer.
type line struct {
	file *os.File
	fd   int
}

// newLine takes over a connection. A read on it ends after wait with os.ErrDeadlineExceeded, a write after writeTimeout.
func newLine(conn net.Conn, wait time.Duration) (*line, error) {
	defer conn.Close()
	socket, ok := conn.(interface{ File() (*os.File, error) })
	if !ok {
		return nil, errors.New("this is no socket")
	}
	file, err := socket.File()
	if err != nil {
		return nil, err
	}
	l := &line{file, int(file.Fd())}
	limit := func(option int, d time.Duration) error {
		tv := unix.NsecToTimeval(d.Nanoseconds())
		return os.NewSyscallError("setsockopt", unix.SetsockoptTimeval(l.fd, unix.SOL_SOCKET, option, &tv))
	}
	if err := errors.Join(os.NewSyscallError("fcntl", unix.SetNonblock(l.fd, false)), limit(unix.SO_RCVTIMEO, wait), limit(unix.SO_SNDTIMEO, writeTimeout)); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return l, nil
}

func (l *line) Read(b []byte) (int, error) {
	for {
		switch n, err := unix.Read(l.fd, b); {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return 0, os.ErrDeadlineExceeded
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

func (l *line) Write(b []byte) (int, error) {
	done := 0
	for done < len(b) {
		switch n, err := unix.Write(l.fd, b[done:]); {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return done, os.ErrDeadlineExceeded
		case err != nil:
			return done, os.NewSyscallError("write", err)
		default:
			done += n
		}
	}
	return done, nil
}

// end ends a wait at once, and all later ones, from another goroutine. Close must still follow, or have been before.
func (l *line) end() error {
	raw, err := l.file.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) { unix.Shutdown(int(fd), unix.SHUT_RD) })
}

// Close gives the socket back.
func (l *line) Close() error { return l.file.Close() }
