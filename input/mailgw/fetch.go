package mailgw

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Bounds on what other programs and servers may make us read.
const (
	maxAnswer  = 1 << 20
	runTimeout = 20 * time.Second
	maxSecret  = 4096
)

// Open opens a page by its http or https address; webget has one. Its error names the address.
type Open func(ctx context.Context, url string, header map[string]string) (io.ReadCloser, error)

// get reads a page whole, up to maxAnswer bytes.
func (o Open) get(ctx context.Context, url string, header map[string]string) ([]byte, error) {
	body, err := o(ctx, url, header)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return readBounded(body, url)
}

func readBounded(r io.Reader, what string) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	if len(b) > maxAnswer {
		return nil, fmt.Errorf("read %s: more than %d bytes", what, maxAnswer)
	}
	return b, nil
}

// fileOrURL reads what stands at a path or behind an http or https address.
func fileOrURL(ctx context.Context, open Open, where string) ([]byte, error) {
	if isURL(where) {
		return open.get(ctx, where, nil)
	}
	f, err := os.Open(where)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil, errors.Join(fmt.Errorf("read %s: not a plain file", where), err)
	}
	return readBounded(f, where)
}

func isURL(s string) bool { return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") }

// run starts a program without a shell and returns what it writes, up to maxAnswer bytes.
func run(ctx context.Context, argv []string) ([]byte, error) {
	if len(argv) == 0 {
		return nil, errors.New("no program is given")
	}
	ctx, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.WaitDelay = time.Second
	var out answer
	var complaints limited
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		if why := firstLine(complaints.b); why != "" {
			err = fmt.Errorf("%w: %s", err, why)
		}
		return nil, fmt.Errorf("run %s: %w", argv[0], err)
	}
	return out.b, nil
}

// answer refuses to grow beyond maxAnswer, which ends the program that fills it. It is no bytes.Buffer, whose ReadFrom
// would get round that.
type answer struct{ b []byte }

func (a *answer) Write(p []byte) (int, error) {
	if len(a.b)+len(p) > maxAnswer {
		return 0, fmt.Errorf("it writes more than %d bytes", maxAnswer)
	}
	a.b = append(a.b, p...)
	return len(p), nil
}

// secret reads a password file; white space around it is not part of it.
func secret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err == nil && len(b) > maxSecret {
		err = fmt.Errorf("read %s: a password of more than %d bytes", path, maxSecret)
	}
	return strings.TrimSpace(string(b)), err
}
