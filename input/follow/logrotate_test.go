package follow

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// load is a program that writes to its log all the time and opens it again when it is told to.
type load struct {
	mu   sync.Mutex // held while a line is written, and by whoever truncates the file
	path string
	file *os.File
	n    int
}

func (l *load) open() error {
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		l.file.Close()
	}
	l.file = f
	return nil
}

// run writes until ctx ends, a few lines at a time and some in two pieces. It opens its log again when a file lies there
// that says so, as a signal would.
func (l *load) run(ctx context.Context) error {
	for ctx.Err() == nil {
		if isFile(l.path + "~reopen") {
			if err := l.open(); err != nil {
				return err
			}
			if err := os.Remove(l.path + "~reopen"); err != nil {
				return err
			}
		}
		l.mu.Lock()
		for range 5 {
			l.n++
			line := loadLine(l.n)
			cut := l.n % len(line)
			for _, piece := range []string{line[:cut], line[cut:]} {
				if _, err := l.file.WriteString(piece); err != nil {
					l.mu.Unlock()
					return err
				}
			}
		}
		l.mu.Unlock()
		time.Sleep(500 * time.Microsecond)
	}
	return nil
}

func loadLine(n int) string {
	return fmt.Sprintf("%s fw kernel: line %07d %s\n", time.Now().Format(time.Stamp), n, strings.Repeat("=", n%90))
}

// TestLogrotate lets the real logrotate rotate a busy log a hundred times in each of its ways, while the follower is
// stopped and started again every few rotations. No line may be lost or come twice.
//
// With copytruncate, what is written between the copy and the truncation is lost by the rotation itself, whoever reads
// the log; so the writer waits meanwhile. In the other ways it writes on, to the old file until it is told.
func TestLogrotate(t *testing.T) {
	program, err := exec.LookPath("logrotate")
	if err != nil {
		if program = "/usr/sbin/logrotate"; !isFile(program) {
			t.Skip("logrotate is not installed (Debian package logrotate)")
		}
	}
	const rotations, restartEvery = 100, 9
	for name, options := range map[string]string{
		"rename and create":        "create",
		"rename and compress":      "create\ncompress",
		"compress with delay":      "create\ncompress\ndelaycompress",
		"copy and truncate":        "copytruncate",
		"copy, truncate, compress": "copytruncate\ncompress",
		"dated":                    "create\ndateext\ndateformat -%Y%m%d-%s.NUMBER",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.Chmod(dir, 0o755); err != nil { // logrotate refuses folders that others may write to
				t.Fatal(err)
			}
			w := &load{path: filepath.Join(dir, "fw.log")}
			if err := w.open(); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			got := &record{}
			run := got.follow(t, w.path, dir)
			go func() { done <- w.run(ctx) }()
			for end := time.Now().Add(20 * time.Second); got.count() == 0 && time.Now().Before(end); {
				time.Sleep(time.Millisecond)
			}
			for i := range rotations {
				if i%restartEvery == restartEvery-1 {
					run.end()
				}
				rotate(t, program, dir, strings.ReplaceAll(options, ".NUMBER", fmt.Sprintf("%03d", i)), w)
				if i%restartEvery == restartEvery-1 {
					run = got.follow(t, w.path, dir)
				}
			}
			cancel()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			for tries := 0; got.count() < w.n && tries < 200; tries++ {
				time.Sleep(20 * time.Millisecond)
			}
			run.end()
			t.Logf("%d lines", w.n)
			var want []string
			for i := range w.n {
				want = append(want, fmt.Sprintf("line %07d %s", i+1, strings.Repeat("=", (i+1)%90)))
			}
			compare(t, want, got.lines, name)
		})
	}
}

func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}

// rotate runs logrotate once. A writer that is to open its log again is told, and writes to the old file until then.
func rotate(t *testing.T, program, dir, options string, w *load) {
	t.Helper()
	conf := filepath.Join(dir, "conf")
	truncates := strings.Contains(options, "copytruncate")
	if !truncates {
		options += fmt.Sprintf("\npostrotate\n touch %[1]s~reopen; while [ -e %[1]s~reopen ]; do sleep 0.002; done\nendscript", w.path)
	}
	text := fmt.Sprintf("%s {\n su root root\n rotate 1000\n nomail\n ifempty\n%s\n}\n", w.path, options)
	if os.Geteuid() != 0 {
		text = strings.Replace(text, " su root root\n", "", 1)
	}
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if truncates {
		w.mu.Lock()
	}
	out, err := exec.Command(program, "--force", "--state", filepath.Join(dir, "state"), conf).CombinedOutput()
	if truncates {
		w.mu.Unlock()
	}
	if err != nil {
		t.Fatalf("logrotate: %v\n%s", err, out)
	}
}

// record keeps what followers gave, one after the other.
type record struct {
	mu    sync.Mutex
	lines []string
}

func (r *record) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.lines)
}

func (r *record) take(_ *Origin, line []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, rest, _ := strings.Cut(string(line), "kernel: ")
	r.lines = append(r.lines, rest)
}

type running struct{ end func() }

// follow starts a follower of one path, from the start of the file the first time.
func (r *record) follow(t *testing.T, path, dir string) running {
	t.Helper()
	f, err := New("load", Config{Paths: []string{path}, FromStart: true}, dir, r.take, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	end := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(end)
	return running{end}
}

// TestJournal reads a journal that systemd-journal-remote writes, goes on after a restart, and misses nothing.
func TestJournal(t *testing.T) {
	const remote = "/lib/systemd/systemd-journal-remote"
	if _, err := exec.LookPath("journalctl"); err != nil {
		t.Skip("journalctl is not installed (Debian package systemd)")
	}
	if !isFile(remote) {
		t.Skip("systemd-journal-remote is not installed (Debian package of that name)")
	}
	dir := t.TempDir()
	journal := filepath.Join(dir, "journal")
	if err := os.Mkdir(journal, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(remote, "--output="+filepath.Join(journal, "remote-fw.journal"), "-")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { in.Close(); cmd.Wait() }()
	out := bufio.NewWriter(in)
	n := 0
	write := func(lines int) {
		for range lines {
			n++
			now := time.Now().UnixMicro()
			fmt.Fprintf(out, "__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=%032x\n_TRANSPORT=kernel\n_HOSTNAME=fw\n"+
				"SYSLOG_IDENTIFIER=kernel\nPRIORITY=4\nMESSAGE=kernel: line %d \"quoted\"\n\n", now, n, n/60, n) // boots of 60 entries
		}
		if err := out.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	got := &record{}
	start := func(fromStart bool) running {
		cfg := Config{Journal: &JournalConfig{Match: []string{"_TRANSPORT=kernel"}, Directory: journal}, FromStart: fromStart}
		f, err := New("journal", cfg, dir, got.take, slog.New(slog.NewTextHandler(t.Output(), nil)))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		end := sync.OnceFunc(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
		t.Cleanup(end)
		return running{end}
	}
	wait := func() {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); got.count() < n && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond)
		}
		if got.count() != n {
			t.Fatalf("%d entries of %d", got.count(), n)
		}
	}
	write(50)
	run := start(true)
	wait()
	write(50)
	wait()
	run.end()
	write(50)
	run = start(false)
	wait()
	write(3)
	wait()
	run.end()
	for i, line := range got.lines {
		if !strings.HasPrefix(line, fmt.Sprintf("line %d ", i+1)) {
			t.Fatalf("entry %d is %q", i+1, line)
		}
	}
}
