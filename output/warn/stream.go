package warn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// syslogDialer opens the way to a receiver.
type syslogDialer struct {
	url           *url.URL
	ca, cert, key string
}

// streams tells whether messages need framing, and whether their arrival can be known.
func (d *syslogDialer) streams() bool { return d.url.Scheme == "tcp" || d.url.Scheme == "tls" }

func (d *syslogDialer) dial(ctx context.Context) (net.Conn, error) {
	var plain net.Dialer
	switch d.url.Scheme {
	case "unix":
		return plain.DialContext(ctx, "unixgram", d.url.Path)
	case "tls":
		cfg, err := clientTLS(d.url.Hostname(), d.ca, d.cert, d.key)
		if err != nil {
			return nil, err
		}
		return (&tls.Dialer{Config: cfg}).DialContext(ctx, "tcp", d.url.Host)
	}
	return plain.DialContext(ctx, d.url.Scheme, d.url.Host)
}

// clientTLS checks the receiver against the certificates in ca, or those of the system, and shows our own certificate
// where there is one. The files are read for each connection, so that they may be renewed.
func clientTLS(host, ca, cert, key string) (*tls.Config, error) {
	cfg := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("read ca_file: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca_file %s holds no certificate: it is expected in PEM", ca)
		}
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("read cert_file and key_file: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// rawOf is the socket under a connection.
func rawOf(c net.Conn) (syscall.RawConn, error) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	s, ok := c.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("%T has no socket", c)
	}
	return s.SyscallConn()
}

// errClosed says that the receiver has closed the connection.
var errClosed = errors.New("the receiver closed the connection")

// stream is a connection of which gone is closed as soon as the other side hangs up. Receivers of syslog say nothing;
// whatever one does say is read and dropped.
type stream struct {
	net.Conn
	gone chan struct{}
}

func newStream(c net.Conn) *stream {
	s := &stream{c, make(chan struct{})}
	go func() {
		defer close(s.gone)
		io.Copy(io.Discard, c) // until somebody closes it
	}()
	return s
}

func (s *stream) isGone() bool {
	select {
	case <-s.gone:
		return true
	default:
		return false
	}
}

// pendingError is what the network has told about datagrams that were sent before, such as that nobody listens.
func pendingError(c net.Conn) error {
	raw, err := rawOf(c)
	if err != nil {
		return err
	}
	code := 0
	if ctlErr := raw.Control(func(fd uintptr) { code, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR) }); ctlErr != nil {
		return ctlErr
	}
	if err == nil && code != 0 {
		err = os.NewSyscallError("write", syscall.Errno(code))
	}
	return err
}

// Waits between two looks at what is not acknowledged yet.
const (
	firstLook = 50 * time.Microsecond
	lastLook  = 20 * time.Millisecond
)

// acknowledged waits until the other machine has acknowledged all that was written, by SIOCOUTQ of tcp(7).
func (s *stream) acknowledged(ctx context.Context) error {
	raw, err := rawOf(s.Conn)
	if err != nil {
		return err
	}
	for wait := firstLook; ; wait = min(2*wait, lastLook) {
		left := 0
		if ctlErr := raw.Control(func(fd uintptr) { left, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }); ctlErr != nil {
			return ctlErr
		}
		if err != nil {
			return os.NewSyscallError("ioctl SIOCOUTQ", err)
		}
		if left == 0 && !s.isGone() {
			return nil
		}
		select {
		case <-s.gone:
			return errClosed
		case <-ctx.Done():
			return fmt.Errorf("%d bytes are not acknowledged: %w", left, context.Cause(ctx))
		case <-time.After(wait):
		}
	}
}

// drain reads what is left of a body, within bounds, so that its connection can be used again.
func drain(r io.Reader) { io.Copy(io.Discard, io.LimitReader(r, 64<<10)) }
