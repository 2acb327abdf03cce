package follow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// JournalConfig is about the journal of systemd.
type JournalConfig struct {
	Match     []string `yaml:"match" doc:"Only entries with these fields, as _TRANSPORT=kernel or SYSLOG_IDENTIFIER=sshd; see journalctl(1)."`
	Directory string   `yaml:"directory" doc:"Read the journal in this folder instead of this machine's, as where systemd-journal-remote puts it."`
}

// Check says which value is impossible.
func (c *JournalConfig) Check() error {
	for _, m := range c.Match {
		name, _, ok := strings.Cut(m, "=")
		if m != "+" && (!ok || name == "" || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "") {
			return fmt.Errorf("match %q is no field of the journal; use one like _TRANSPORT=kernel", m)
		}
	}
	return nil
}

const (
	// journalLine is more than the text of an entry: it is escaped, or an array of numbers where it is not UTF-8.
	journalLine  = 64 << 10
	journalPause = time.Second // doubled each time that journalctl ends at once
	longestPause = time.Minute
	steady       = 10 * time.Second // having run so long, it did not end at once
	maxStderr    = 4 << 10
	// journalFields are those that an envelope has; the cursor and the time come by themselves.
	journalFields = "MESSAGE,_HOSTNAME,SYSLOG_IDENTIFIER,SYSLOG_PID,_PID,_COMM,PRIORITY,SYSLOG_FACILITY,_TRANSPORT"
)

// journal reads the journal by journalctl, which knows its format, its rotation and its compression.
type journal struct {
	cfg      JournalConfig
	f        *Follower
	restarts atomic.Uint64
	mu       sync.Mutex
	at       string // the cursor of the last entry that was taken
}

func (j *journal) cursor() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.at
}

// run keeps journalctl running until ctx ends.
func (j *journal) run(ctx context.Context) {
	pause := journalPause
	for ctx.Err() == nil {
		began := time.Now()
		err := j.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		j.restarts.Add(1)
		if time.Since(began) > steady {
			pause = journalPause
		}
		j.f.log.Warn("journalctl ended; it is started again", "err", err, "in", pause)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, longestPause)
	}
}

// arguments are those that journalctl always gets.
func (j *journal) arguments() []string {
	// Without --merge, --follow shows the present boot only, and the end of the one before would be lost.
	args := []string{"--merge", "--output=json", "--all", "--no-pager", "--quiet", "--output-fields=" + journalFields}
	if j.cfg.Directory != "" {
		args = append(args, "--directory="+j.cfg.Directory)
	}
	return args
}

// begin finds the last entry that is there the first time, after which everything is new.
func (j *journal) begin(ctx context.Context) error {
	if j.cursor() != "" || j.f.cfg.FromStart {
		return nil
	}
	out, err := exec.CommandContext(ctx, "journalctl", append(j.arguments(), "--lines=1")...).Output()
	if err != nil {
		return fmt.Errorf("ask journalctl for its last entry: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.at = string(cursorOf(out))
	return nil
}

// follow runs journalctl once.
func (j *journal) follow(ctx context.Context) error {
	if err := j.begin(ctx); err != nil {
		return err
	}
	args := append(j.arguments(), "--follow", "--no-tail")
	if at := j.cursor(); at != "" {
		args = append(args, "--after-cursor="+at)
	}
	cmd := exec.CommandContext(ctx, "journalctl", append(args, j.cfg.Match...)...)
	said := &bounded{}
	cmd.Stderr = said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start journalctl: %w", err)
	}
	o := &Origin{Name: "journal", File: "journal", Zone: j.f.zone}
	l := lines{most: journalLine}
	rerr := readAll(ctx, out, make([]byte, 64<<10), func(b []byte) {
		before := l.cut
		l.feed(b, func(line []byte) { j.take(o, line) })
		j.f.counters.cut.Add(l.cut - before)
		j.f.counters.octets.Add(uint64(len(b)))
	})
	werr := cmd.Wait()
	if text := strings.TrimSpace(said.String()); text != "" {
		werr = errors.Join(werr, errors.New(text))
	}
	return errors.Join(rerr, werr)
}

// take hands on an entry and keeps its cursor.
func (j *journal) take(o *Origin, line []byte) {
	j.f.take(o, line)
	if c := cursorOf(line); len(c) > 0 {
		j.mu.Lock()
		defer j.mu.Unlock()
		if string(c) != j.at {
			j.at = string(c)
		}
	}
}

// cursorOf finds the cursor in an entry. No text in it can look like it: quotes within texts are escaped.
func cursorOf(line []byte) []byte {
	_, rest, ok := bytes.Cut(line, []byte(`"__CURSOR"`))
	if !ok {
		return nil
	}
	rest = bytes.TrimLeft(rest, " :")
	if len(rest) == 0 || rest[0] != '"' {
		return nil
	}
	c, _, ok := bytes.Cut(rest[1:], []byte{'"'})
	if !ok || slices.Contains(c, '\\') {
		return nil
	}
	return c
}

// bounded keeps the beginning of what a program complains of.
type bounded struct{ bytes.Buffer }

// Write takes everything and keeps what there is room for.
func (b *bounded) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), maxStderr-b.Len())])
	return len(p), nil
}
