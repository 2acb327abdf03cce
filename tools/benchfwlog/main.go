// Benchfwlog reads the firewall log of a day with varde, Perl, psad and fwlogwatch, one after the other, and prints what
// each cost as a Markdown table. All read the beginning of the same file, and those that would take hours a shorter one.
//
// The figures are processor time, which other programs on the machine disturb less than the clock does.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"varde/event"
	"varde/input/fwlog"
	"varde/input/fwlog/fwloggen"
	"varde/input/syslog"
)

const (
	seed    = 1
	long    = 1_000_000 // lines: a day
	middle  = 100_000
	short   = 20_000
	runs    = 9                // of each program; the least counts
	timeout = 10 * time.Minute // for everything

	longEnough = 10 * time.Second // of processor time for all its runs, after which a program is not run again
)

func main() {
	read := flag.String("read", "", "read this file as varde does, print the number of events, and end")
	quick := flag.Bool("quick", false, "a twentieth of the lines, each program once")
	flag.Parse()
	if err := run(*read, *quick); err != nil {
		fmt.Fprintln(os.Stderr, "benchfwlog:", err)
		os.Exit(1)
	}
}

func run(read string, quick bool) error {
	if read != "" {
		return readLog(read)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	dir, err := os.MkdirTemp("", "benchfwlog-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	divide, times := 1, runs
	if quick {
		divide, times = 20, 1
	}
	logs := map[int]string{}
	for _, n := range []int{long, middle, short} {
		logs[n] = filepath.Join(dir, fmt.Sprint(n))
		if err := write(logs[n], long/divide, n/divide); err != nil {
			return err
		}
	}
	fmt.Printf("%d processors, %s; %s\n\n", runtime.NumCPU(), runtime.Version(), versions())
	fmt.Println("| program | lines | processor seconds | lines a second of processor time | varde is faster by |")
	fmt.Println("|---|---:|---:|---:|---:|")
	var ours float64
	for _, p := range programs() {
		if _, err := exec.LookPath(p.command[0]); err != nil {
			fmt.Printf("| %s | not installed | | | |\n", p.name)
			continue
		}
		took, err := p.least(ctx, logs[p.lines], p.lines/divide, times)
		if err != nil {
			return err
		}
		rate := float64(p.lines/divide) / took.Seconds()
		if ours == 0 {
			ours = rate
		}
		fmt.Printf("| %s | %d | %.2f | %.0f | %.3g |\n", p.name, p.lines/divide, took.Seconds(), rate, ours/rate)
	}
	return nil
}

// write makes a file of the first lines of the day.
func write(path string, day, lines int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := &head{w: f, left: lines}
	d := fwloggen.Day{Start: time.Now().UTC().AddDate(0, 0, -1).Truncate(24 * time.Hour), Lines: day, Seed: seed}
	if err := d.Write(w); err != nil && !errors.Is(err, errFull) {
		return err
	}
	return f.Close()
}

var errFull = errors.New("all lines are there")

// head passes on so many lines.
type head struct {
	w    io.Writer
	left int
}

func (h *head) Write(b []byte) (int, error) {
	n := 0
	for i, c := range b {
		if c == '\n' {
			if h.left--; h.left == 0 {
				_, err := h.w.Write(b[:i+1])
				return i + 1, errors.Join(err, errFull)
			}
		}
		n = i + 1
	}
	return h.w.Write(b[:n])
}

// program is one way to read a log.
type program struct {
	name    string
	lines   int
	command []string // the file follows
	env     []string
	found   string // must be in what it prints; %d is the number of lines
}

// Perl as people write it: one regular expression for each line, and what it found in variables. IPv6 has the same keys.
const (
	perlLoop = `while (<>) { next unless /^(\w+ +\d+ [\d:]+) (\S+) kernel: .*?IN=(\S*) OUT=(\S*) .*?SRC=(\S+) DST=(\S+) LEN=(\d+) .*?` +
		`PROTO=(\S+) SPT=(\d+) DPT=(\d+)/; $n++; $p{$10}++ } print "$n events\n"`
	perlDate = `use Date::Parse; while (<>) { next unless /^(\w+ +\d+ [\d:]+) (\S+) kernel: .*?IN=(\S*) OUT=(\S*) .*?SRC=(\S+) ` +
		`DST=(\S+) LEN=(\d+) .*?PROTO=(\S+) SPT=(\d+) DPT=(\d+)/; $t = str2time($1); $n++; $p{$10}++ } print "$n events\n"`
)

func programs() []program {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	return []program{
		{"varde", long, []string{self, "-read"}, []string{"GOMAXPROCS=1"}, "%d events"},
		{"Perl, one regular expression", long, []string{"perl", "-e", perlLoop}, nil, "%d events"},
		{"Perl, with str2time for the date", middle, []string{"perl", "-e", perlDate}, nil, "%d events"},
		{"psad --CSV", middle, []string{"psad", "--CSV", "-m"}, nil, ""},
		{"psad -A", short, []string{"psad", "-A", "-m"}, nil, "Found %d iptables log messages"},
		{"fwlogwatch -p -d", short, []string{"fwlogwatch", "-p", "-d", "-P", "n"}, nil, "%d of"},
		{"fwlogwatch -p -d", middle, []string{"fwlogwatch", "-p", "-d", "-P", "n"}, nil, "%d of"},
	}
}

// least runs the program several times and gives the least processor time, that of its children included.
func (p *program) least(ctx context.Context, log string, lines, times int) (time.Duration, error) {
	var least, all time.Duration
	for i := range times {
		cmd := exec.CommandContext(ctx, p.command[0], append(p.command[1:len(p.command):len(p.command)], log)...)
		cmd.Env = append(os.Environ(), append(p.env, "LC_ALL=C")...)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return 0, fmt.Errorf("run %s: %w", p.name, err)
		}
		want := strings.ReplaceAll(p.found, "%d", fmt.Sprint(lines))
		if !strings.Contains(string(out), want) {
			return 0, fmt.Errorf("run %s: its output has no %q, so it did not read all lines", p.name, want)
		}
		took := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		if i == 0 || took < least {
			least = took
		}
		if all += took; all > longEnough {
			break
		}
	}
	return least, nil
}

func versions() string {
	b, err := exec.Command("dpkg-query", "-W", "-f", "${Package} ${Version}, ", "perl", "psad", "fwlogwatch").Output()
	if err != nil && len(b) == 0 {
		return "no Debian packages"
	}
	return strings.TrimSuffix(string(b), ", ")
}

// readLog is what varde does with a line up to the event: envelope, year, format, fields.
func readLog(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	events := 0
	r, err := fwlog.New(slog.Default()).NewReader(fwlog.DefaultConfig(), func(*event.Event) { events++ })
	if err != nil {
		return err
	}
	p := syslog.NewParser(time.UTC)
	now := time.Now()
	var l syslog.Line
	lines := bufio.NewScanner(f)
	lines.Buffer(make([]byte, 1<<16), 1<<16)
	for lines.Scan() {
		p.Parse(lines.Bytes(), now, &l)
		r.Line(&l)
	}
	fmt.Println(events, "events")
	return lines.Err()
}
