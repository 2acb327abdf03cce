package mailgw

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// amavis-services answers requests over ZeroMQ: a REQ socket speaking ZMTP 3.0 (rfc.zeromq.org/spec/23) with the NULL
// mechanism. One request and its answer need so little of it that it is written here: a length that the peer sends is
// checked before room is made for it, which the usual library does not do.
const (
	zmtpMore    = 1
	zmtpLong    = 2
	zmtpCommand = 4

	zmtpGreeting = 64
	maxFrame     = 64 << 10
	maxFrames    = 4096
	zmqTimeout   = 2 * time.Second
)

// splitZMQ turns tcp://host:port and ipc:///path into what net.Dial wants.
func splitZMQ(address string) (network, target string, err error) {
	if s, ok := strings.CutPrefix(address, "ipc://"); ok && strings.HasPrefix(s, "/") {
		return "unix", s, nil
	}
	if s, ok := strings.CutPrefix(address, "tcp://"); ok {
		if _, _, err := net.SplitHostPort(s); err == nil {
			return "tcp", s, nil
		}
	}
	return "", "", fmt.Errorf("zmq is %q; use tcp://127.0.0.1:23233 or ipc:///path", address)
}

// zmqAsk sends one request on a socket of its own and returns the frames of the answer. The responder may leave a
// request without an answer, so it has a time limit.
func zmqAsk(ctx context.Context, address, question string) ([][]byte, error) {
	network, target, err := splitZMQ(address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, zmqTimeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, target)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	frames, err := zmtpRequest(conn, question)
	if err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("no answer within %s: %w", zmqTimeout, context.Cause(ctx))
		}
		return nil, fmt.Errorf("ask %s for %s: %w", address, question, err)
	}
	return frames, nil
}

// zmtpRequest shakes hands as a REQ socket, asks and reads the answer.
func zmtpRequest(conn io.ReadWriter, question string) ([][]byte, error) {
	hello := make([]byte, zmtpGreeting) // signature, version 3.0, mechanism, no server, zeros
	hello[0], hello[9], hello[10] = 0xff, 0x7f, 3
	copy(hello[12:], "NULL")
	if _, err := conn.Write(hello); err != nil {
		return nil, err
	}
	r := bufio.NewReader(conn)
	theirs := make([]byte, zmtpGreeting)
	if _, err := io.ReadFull(r, theirs); err != nil {
		return nil, err
	}
	if theirs[0] != 0xff || theirs[9] != 0x7f || theirs[10] < 3 || !bytes.Equal(theirs[12:17], []byte("NULL\x00")) {
		return nil, errors.New("the peer does not speak ZMTP 3 without security")
	}
	ready := "\x05READY\x0bSocket-Type\x00\x00\x00\x03REQ\x08Identity\x00\x00\x00\x00"
	out := append([]byte{zmtpCommand, byte(len(ready))}, ready...)
	out = append(out, zmtpMore, 0, 0, byte(len(question)))
	out = append(out, question...)
	if _, err := conn.Write(out); err != nil {
		return nil, err
	}
	return zmtpMessage(r)
}

// zmtpMessage reads frames up to the end of one message, past commands, and drops the empty frame in front that a
// REP socket sends.
func zmtpMessage(r io.Reader) ([][]byte, error) {
	var frames [][]byte
	for range maxFrames {
		flags, body, err := zmtpFrame(r)
		if err != nil {
			return nil, err
		}
		if flags&zmtpCommand != 0 {
			continue
		}
		frames = append(frames, body)
		if flags&zmtpMore == 0 {
			if len(frames) < 2 || len(frames[0]) > 0 {
				return nil, errors.New("the answer does not begin with an empty frame")
			}
			return frames[1:], nil
		}
	}
	return nil, fmt.Errorf("the answer has more than %d frames", maxFrames)
}

func zmtpFrame(r io.Reader) (byte, []byte, error) {
	var head [9]byte
	if _, err := io.ReadFull(r, head[:2]); err != nil {
		return 0, nil, err
	}
	size := uint64(head[1])
	if head[0]&zmtpLong != 0 {
		if _, err := io.ReadFull(r, head[2:]); err != nil {
			return 0, nil, err
		}
		size = binary.BigEndian.Uint64(head[1:])
	}
	if size > maxFrame {
		return 0, nil, fmt.Errorf("a frame of %d bytes is longer than %d", size, maxFrame)
	}
	body := make([]byte, size)
	_, err := io.ReadFull(r, body)
	return head[0], body, err
}

// askServices fills v with the totals of amavis-services. Before the first child has spoken the responder gives no
// answer for processes; then only they are unknown.
func askServices(ctx context.Context, address string, v *AmavisValues) error {
	frames, err := zmqAsk(ctx, address, "am.snmp?")
	if err != nil {
		return err
	}
	v.fill(zmqRows(frames, "am.snmp "))
	if len(v.Values) == 0 {
		return fmt.Errorf("ask %s for am.snmp?: the answer holds no counters", address)
	}
	frames, err = zmqAsk(ctx, address, "am.nanny?")
	if err != nil {
		return ctx.Err()
	}
	v.Processes = zmqProcesses(zmqRows(frames, "am.nanny "))
	return nil
}

// zmqRows takes "am.snmp NAME TYPE VALUE" apart into the rows that snmp.db would hold.
func zmqRows(frames [][]byte, prefix string) []row {
	var rows []row
	for _, f := range frames {
		rest, ok := strings.CutPrefix(string(f), prefix)
		name, value, ok2 := strings.Cut(rest, " ")
		if ok && ok2 {
			rows = append(rows, row{name, value})
		}
	}
	return rows
}

func zmqProcesses(rows []row) Processes {
	ps := Processes{Known: len(rows) > 0}
	for _, r := range rows {
		v, ok := parseAmavisValue(r.key, r.value)
		if !ok {
			continue
		}
		if r.key == "ProcGone" {
			ps.Gone = v.Count
		} else if n := ps.slot(r.key); n != nil {
			*n = int(min(v.Count, maxProcesses))
		}
	}
	return ps
}
