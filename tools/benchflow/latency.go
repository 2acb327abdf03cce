package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"varde/event"
	"varde/input/flow"
	"varde/input/flow/flowgen"
)

// The list: random hosts, and every thousandth far host of the mix.
const (
	listSize   = 100_000
	mixHit     = 1000
	probeEvery = 3 // batches
)

// writeList writes the list that varde matches against.
func writeList(dir string) (path string, err error) {
	hosts, err := mixHosts()
	if err != nil {
		return "", err
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	for len(hosts) < listSize {
		hosts = append(hosts, flowgen.Outside(rng, false))
	}
	var b []byte
	for _, a := range hosts {
		b = append(a.AppendTo(b), '\n')
	}
	path = filepath.Join(dir, "list.txt")
	return path, os.WriteFile(path, b, 0o600)
}

// mixHosts are every thousandth far IPv4 host of the mix.
func mixHosts() (hosts []netip.Addr, err error) {
	c, err := flow.New(flow.DefaultConfig(), slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	n := 0
	r := c.Reader(func(e *event.Event) {
		far := e.Dst
		if far.IsPrivate() {
			far = e.Src
		}
		if n++; far.Is4() && n%mixHit == 0 {
			hosts = append(hosts, far)
		}
	})
	m := flowgen.BenchPackets(flowgen.NetFlow9, seed, time.Now().UnixNano())
	s := m.Stream()
	for range len(m.Packets) {
		b, _ := s.Next()
		r.Packet(netip.MustParseAddrPort("127.0.0.1:1"), b, 1)
	}
	return hosts, nil
}

// probes are single flows with listed hosts that the mix does not have, sent in between. Each makes a warning.
type probes struct {
	exporter *flowgen.Exporter
	hosts    []netip.Addr // still to be used
	batches  int

	mu   sync.Mutex
	sent map[netip.Addr]time.Time
	took []time.Duration
	done chan error
}

// latency is how long warnings took.
type latency struct {
	sent int
	took []time.Duration // of those that came, in order
}

// String is the latency in words.
func (l *latency) String() string {
	if len(l.took) == 0 {
		return fmt.Sprintf("none of %d warnings came", l.sent)
	}
	at := func(share float64) time.Duration {
		return l.took[min(int(share*float64(len(l.took))), len(l.took)-1)].Round(10 * time.Microsecond)
	}
	return fmt.Sprintf("p50 %v, p99 %v, longest %v (%d of %d warnings came)", at(0.5), at(0.99), at(1), len(l.took), l.sent)
}

// measureLatency sends the mix at a steady rate, and after every few batches a flow with a listed host on the same
// socket; it reads the warnings from varde's file as they are written.
func measureLatency(ctx context.Context, p *peer, list string, d time.Duration) (*latency, error) {
	hosts, err := readList(list)
	if err != nil {
		return nil, err
	}
	r, err := start(ctx, p)
	if err != nil {
		return nil, err
	}
	defer r.stop()
	now := time.Now()
	pr := &probes{
		exporter: flowgen.New(flowgen.Config{Protocol: flowgen.NetFlow5, Domain: 2, Boot: now.Add(-time.Hour).UnixNano()}),
		hosts:    hosts[len(hosts)/2:], sent: map[netip.Addr]time.Time{}, done: make(chan error, 1),
	}
	watch, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := pr.watch(watch, r.warnings()); err != nil {
		return nil, err
	}
	s, err := newSender(r.flows(), flowgen.BenchPackets(flowgen.NetFlow9, seed, now.UnixNano()))
	if err != nil {
		return nil, err
	}
	defer s.conn.Close()
	s.after = func() error {
		if pr.batches++; pr.batches%probeEvery != 0 || len(pr.hosts) == 0 {
			return nil
		}
		return pr.send(s)
	}
	if _, err := s.run(ctx, latencyRate, d); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(drainTimeout); time.Now().Before(deadline) && pr.waiting() > 0; time.Sleep(10 * time.Millisecond) {
	}
	cancel()
	if err := <-pr.done; err != nil {
		return nil, err
	}
	slices.Sort(pr.took)
	return &latency{len(pr.sent) + len(pr.took), pr.took}, nil
}

func readList(path string) (hosts []netip.Addr, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		a, err := netip.ParseAddr(sc.Text())
		if err != nil {
			return nil, err
		}
		hosts = append(hosts, a)
	}
	return hosts, sc.Err()
}

func (pr *probes) waiting() int {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	return len(pr.sent)
}

// send sends one probe: a host of ours talks to the next listed one, which answers.
func (pr *probes) send(s *sender) error {
	host := pr.hosts[0]
	pr.hosts = pr.hosts[1:]
	now := time.Now()
	pr.exporter.Add(&event.Event{
		Time: now.Add(-time.Second).UnixNano(), End: now.UnixNano(), Proto: event.TCP, TCPFlags: event.SYN | event.ACK | event.PSH,
		Src: netip.AddrFrom4([4]byte{10, 99, 0, 1}), SrcPort: 50000, Dst: host, DstPort: 443, Packets: 5, Bytes: 900,
	})
	var err error
	pr.exporter.Flush(now.UnixNano(), func(b []byte) {
		pr.mu.Lock()
		pr.sent[host] = time.Now()
		pr.mu.Unlock()
		_, err = s.conn.Write(b)
	})
	return err
}

// watch reads warnings from a file as it grows, until ctx ends, and then sends on done.
func (pr *probes) watch(ctx context.Context, path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o600)
	if err != nil {
		return err
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return err
	}
	grown := os.NewFile(uintptr(fd), "inotify")
	if _, err := unix.InotifyAddWatch(fd, path, unix.IN_MODIFY); err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { grown.Close() })
	go func() {
		defer f.Close()
		pr.done <- pr.read(ctx, f, grown)
	}()
	return nil
}

func (pr *probes) read(ctx context.Context, f io.Reader, grown io.Reader) error {
	in := bufio.NewReader(f)
	var line, events []byte
	events = make([]byte, 4096)
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == io.EOF:
			if _, err := grown.Read(events); err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return err
			}
		case err == bufio.ErrBufferFull:
		case err != nil:
			return err
		default:
			if err := pr.arrived(line, time.Now()); err != nil {
				return err
			}
			line = line[:0]
		}
	}
}

// arrived takes a warning; those of the mix and later ones of the same host are not waited for.
func (pr *probes) arrived(line []byte, now time.Time) error {
	w, err := event.ParseWarning(line)
	if err != nil {
		return fmt.Errorf("varde's warning: %w: %.200s", err, line)
	}
	pr.mu.Lock()
	defer pr.mu.Unlock()
	if sent, ok := pr.sent[w.Foreign.Addr]; ok {
		pr.took = append(pr.took, now.Sub(sent))
		delete(pr.sent, w.Foreign.Addr)
	}
	return nil
}
