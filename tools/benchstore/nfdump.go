package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"varde/event"
	"varde/input/flow/flowgen"
)

const (
	pace    = 500_000 // flows a second, which nfcapd takes without a loss
	settle  = time.Second
	startup = 10 * time.Second
)

var flowsOfNfcapd = regexp.MustCompile(`Flows: (\d+)`)

// nfdump sends each day to an nfcapd of its own, so that a day is a file, and asks nfdump what it can answer.
func (b *bench) nfdump(ctx context.Context) error {
	if _, err := exec.LookPath("nfcapd"); err != nil {
		fmt.Fprintln(os.Stderr, "nfdump is not installed (Debian package nfdump)")
		return nil
	}
	dir := filepath.Join(b.dir, "nfdump")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	stored := 0
	for day := range days {
		n, err := b.capture(ctx, dir, day)
		if err != nil {
			return err
		}
		stored += n
		fmt.Fprintf(os.Stderr, "\rnfcapd: day %d of %d", day+1, days)
	}
	fmt.Fprintln(os.Stderr)
	size, err := sizeOf(dir)
	if err != nil {
		return err
	}
	version, _ := exec.CommandContext(ctx, "nfdump", "-V").CombinedOutput()
	b.fact("%s took %d of the flows: %.1f B a flow with LZ4", strings.TrimSpace(string(version)), stored, float64(size)/float64(max(stored, 1)))
	last := filepath.Join(dir, dayFile(days-1))
	three := make([]string, len(b.three))
	for i, a := range b.three {
		three[i] = a.String()
	}
	for what, args := range map[string][]string{
		"top 20 sources of 24 h":    {"-r", last, "-s", "srcip/bytes", "-n", "20"},
		"one rare address over all": {"-R", dir, "-o", "csv", "host " + b.rare.String()},
		"one busy address over all": {"-R", dir, "-o", "csv", "host " + b.busy.String()},
		"three addresses over all":  {"-R", dir, "-o", "csv", "ip in [ " + strings.Join(three, " ") + " ]"},
	} {
		var took []time.Duration
		for range tries {
			begin := time.Now()
			if out, err := exec.CommandContext(ctx, "nfdump", args...).CombinedOutput(); err != nil {
				return fmt.Errorf("nfdump %v: %w: %s", args, err, out)
			}
			took = append(took, time.Since(begin))
		}
		slices.Sort(took)
		for i := range b.lines {
			if strings.HasPrefix(b.lines[i].what, what) {
				b.lines[i].peers = took[tries/2]
			}
		}
	}
	return nil
}

func dayFile(day int) string { return fmt.Sprintf("nfcapd.202601%02d0000", day+1) }

// capture sends a day to an nfcapd and gives its file the name of that day.
func (b *bench) capture(ctx context.Context, dir string, day int) (stored int, err error) {
	probe, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	to := probe.LocalAddr().(*net.UDPAddr)
	probe.Close()
	temp := filepath.Join(b.dir, fmt.Sprint("day-", day))
	if err := os.MkdirAll(temp, 0o700); err != nil {
		return 0, err
	}
	defer os.RemoveAll(temp)
	var log bytes.Buffer
	cmd := exec.CommandContext(ctx, "nfcapd", "-b", "127.0.0.1", "-p", strconv.Itoa(to.Port), "-w", temp, "-B", "4194304", "-y", "-t", "86400")
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	if err := b.send(to, day); err == nil {
		time.Sleep(settle)
	}
	if err := firstOf(cmd.Process.Signal(os.Interrupt), cmd.Wait()); err != nil {
		return 0, fmt.Errorf("nfcapd: %w: %s", err, log.String())
	}
	for _, m := range flowsOfNfcapd.FindAllStringSubmatch(log.String(), -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return 0, err
		}
		stored += n
	}
	files, err := filepath.Glob(filepath.Join(temp, "nfcapd.2*"))
	if err != nil || len(files) != 1 {
		return 0, errors.Join(err, fmt.Errorf("nfcapd wrote %v: %s", files, log.String()))
	}
	return stored, os.Rename(files[0], filepath.Join(dir, dayFile(day)))
}

func (b *bench) send(to *net.UDPAddr, day int) error {
	conn, err := net.DialUDP("udp4", nil, to)
	if err != nil {
		return err
	}
	defer conn.Close()
	for deadline := time.Now().Add(startup); !bound(to.Port) && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	x := flowgen.New(flowgen.Config{Protocol: flowgen.NetFlow5, Boot: b.begin.AddDate(0, 0, day).Add(-time.Hour).UnixNano()})
	begin, sent := time.Now(), 0
	b.day(day, func(e *event.Event) {
		x.Add(e)
		if sent++; sent%30 != 0 {
			return
		}
		x.Flush(e.Time, func(d []byte) { _, _ = conn.Write(d) }) // what does not arrive nfcapd's own count shows
		if ahead := time.Duration(float64(sent)/pace*1e9) - time.Since(begin); ahead > time.Millisecond {
			time.Sleep(ahead)
		}
	})
	return nil
}

// bound tells whether somebody receives on a port of this machine.
func bound(port int) bool {
	b, err := os.ReadFile("/proc/net/udp")
	return err == nil && strings.Contains(string(b), fmt.Sprintf("0100007F:%04X 00000000", port))
}
