package mailgw

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxDump     = 16 << 20 // bytes that db_dump may write
	dumpTimeout = 10 * time.Second
)

// dumper runs db_dump, which knows the libdb that is installed and takes a proper read lock of the environment. A
// process that dies with such a lock would stop amavis for good. So it is never killed but asked to end, it writes
// into memory of its own rather than into a pipe that may break, and there is never a second one beside it.
type dumper struct {
	program string

	mu   sync.Mutex
	done chan struct{} // open while one runs
}

var errDumpRuns = errors.New("an earlier db_dump has not ended yet")

// dump is the content of a database as db_dump tells it.
func (d *dumper) dump(ctx context.Context, dir, name string) (*table, error) {
	out, err := memory("db_dump")
	if err != nil {
		return nil, err
	}
	defer out.Close()
	if err := d.run(ctx, out, dir, name); err != nil {
		return nil, err
	}
	b, err := readWhole(out, nil, maxDump)
	if err != nil {
		return nil, err
	}
	t, err := parseDump(b)
	if err != nil {
		return nil, fmt.Errorf("%s -p -h %s %s: %w", d.program, dir, name, err)
	}
	return t, nil
}

func (d *dumper) run(ctx context.Context, out *os.File, dir, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-d.done:
	default:
		if d.done != nil {
			return errDumpRuns
		}
	}
	complaints, err := memory("db_dump errors")
	if err != nil {
		return err
	}
	defer complaints.Close()
	cmd := exec.Command(d.program, "-p", "-h", dir, name)
	cmd.Stdout, cmd.Stderr, cmd.Env = out, complaints, []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH")}
	// A signal to varde's process group, as by Ctrl-C, must not reach it either.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	d.done = done
	var ended error
	go func() {
		ended = cmd.Wait()
		close(done)
	}()
	timeout := time.NewTimer(dumpTimeout)
	defer timeout.Stop()
	select {
	case <-done:
	case <-ctx.Done():
		return errors.Join(ctx.Err(), cmd.Process.Signal(syscall.SIGTERM))
	case <-timeout.C:
		return errors.Join(fmt.Errorf("%s has not ended after %s", d.program, dumpTimeout), cmd.Process.Signal(syscall.SIGTERM))
	}
	if ended != nil {
		why, _ := io.ReadAll(io.NewSectionReader(complaints, 0, 300))
		return fmt.Errorf("%s -h %s %s: %w: %s", d.program, dir, name, ended, firstLine(why))
	}
	return nil
}

// memory is a file without a name that lives in memory.
func memory(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make room for %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

func firstLine(b []byte) string {
	line, _, _ := bytes.Cut(bytes.TrimSpace(b), []byte("\n"))
	return string(line)
}

// parseDump reads the output of db_dump -p: a header that ends with HEADER=END, then key and value lines that begin
// with a blank, then DATA=END. Bytes that do not print stand as a backslash and two hexadecimal digits, the backslash
// itself is doubled.
func parseDump(b []byte) (*table, error) {
	_, data, ok := bytes.Cut(b, []byte("HEADER=END\n"))
	if !ok || !bytes.Contains(b[:len(b)-len(data)], []byte("format=print\n")) {
		return nil, errors.New("the answer has no header of db_dump -p")
	}
	t := &table{}
	for {
		line, rest, ok := bytes.Cut(data, []byte("\n"))
		if !ok {
			return nil, errors.New("the answer ends before DATA=END")
		}
		if string(line) == "DATA=END" {
			return t, nil
		}
		second, rest, ok := bytes.Cut(rest, []byte("\n"))
		if !ok || len(line) == 0 || len(second) == 0 || line[0] != ' ' || second[0] != ' ' || len(t.rows) == maxPairs {
			return nil, errors.New("a line of the answer is no key or value")
		}
		t.rows = append(t.rows, row{unescape(line[1:]), unescape(second[1:])})
		data = rest
	}
}

func unescape(b []byte) string {
	if bytes.IndexByte(b, '\\') < 0 {
		return string(b)
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' && i+1 < len(b) && b[i+1] == '\\' {
			i++
		} else if b[i] == '\\' && i+2 < len(b) {
			hi, ok := hexDigit(b[i+1])
			lo, ok2 := hexDigit(b[i+2])
			if ok && ok2 {
				out = append(out, hi<<4|lo)
				i += 2
				continue
			}
		}
		out = append(out, b[i])
	}
	return string(out)
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}
