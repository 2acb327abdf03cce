package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"varde/input/flow/flowgen"
)

// Patience with a collector.
const (
	startTimeout = 20 * time.Second
	stopTimeout  = 20 * time.Second
	drainTimeout = 6 * time.Second        // goflow2 has a queue of a million datagrams
	stillness    = 400 * time.Millisecond // a count that has not moved for so long is final
)

// rig is one collector at work.
type rig struct {
	peer     *peer
	dir      string
	port     uint16
	httpPort uint16
	cmd      *exec.Cmd
	log      output
	ended    chan struct{}
	err      error // how it ended
}

// output gathers what a process says.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write takes what the process writes.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

// String is what it has written.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func (r *rig) http() string     { return fmt.Sprintf("127.0.0.1:%d", r.httpPort) }
func (r *rig) warnings() string { return filepath.Join(r.dir, "warnings.json") }
func (r *rig) flows() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), r.port)
}

// bound tells whether somebody listens for flows.
func (r *rig) bound() bool {
	s, err := udpSockets(r.port)
	return err == nil && s.open > 0
}

// start starts a collector and waits until it receives.
func start(ctx context.Context, p *peer) (*rig, error) {
	r := &rig{peer: p, ended: make(chan struct{})}
	var err error
	if r.dir, err = os.MkdirTemp("", "benchflow-"+p.name+"-"); err != nil {
		return nil, err
	}
	if r.port, r.httpPort, err = freePorts(); err == nil {
		r.cmd, err = p.command(r)
	}
	if err == nil {
		r.cmd.Stdout, r.cmd.Stderr = &r.log, &r.log
		err = r.cmd.Start()
	}
	if err != nil {
		os.RemoveAll(r.dir)
		return nil, err
	}
	go func() { r.err = r.cmd.Wait(); close(r.ended) }()
	for deadline := time.Now().Add(startTimeout); !p.ready(r); {
		select {
		case <-r.ended:
			err = fmt.Errorf("it ended at once: %w: %s", r.err, r.log.String())
		case <-ctx.Done():
			err = ctx.Err()
		case <-time.After(20 * time.Millisecond):
			if time.Now().After(deadline) {
				err = fmt.Errorf("it is not ready after %v: %s", startTimeout, r.log.String())
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%w%s", err, suffix(r.stop()))
		}
	}
	return r, nil
}

func suffix(err error) string {
	if err == nil {
		return ""
	}
	return "; " + err.Error()
}

// freePorts are a UDP and a TCP port that nobody has right now.
func freePorts() (udp, tcp uint16, err error) {
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return 0, 0, err
	}
	defer c.Close()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, 0, err
	}
	defer l.Close()
	return uint16(c.LocalAddr().(*net.UDPAddr).Port), uint16(l.Addr().(*net.TCPAddr).Port), nil
}

// stop ends the collector and takes its files away.
func (r *rig) stop() error {
	defer os.RemoveAll(r.dir)
	select {
	case <-r.ended:
		return r.err
	default:
	}
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-r.ended:
		return r.err
	case <-time.After(stopTimeout):
		r.cmd.Process.Kill()
		<-r.ended
		return fmt.Errorf("%s does not end", r.peer.name)
	}
}

// result is what one step has shown.
type result struct {
	sent
	taken uint64 // records, by the collector's own count
	drops uint64 // datagrams, by the kernel
	shed  uint64 // records taken and not stored
	cpu   float64
}

func (r *result) sentRate() float64      { return float64(r.records) / r.took.Seconds() }
func (r *result) lost() float64          { return max(0, 1-float64(r.taken)/float64(r.records)) }
func (r *result) lostAtSocket() float64  { return float64(r.drops) / float64(r.datagrams) }
func (r *result) notStored() float64     { return float64(r.shed) / float64(r.taken) }
func (r *result) cpuPerMillion() float64 { return r.cpu / float64(r.taken) * 1e6 }

// measure sends to a fresh collector and sees what became of it.
func measure(ctx context.Context, p *peer, protocol flowgen.Protocol, rate int, d time.Duration) (out result, err error) {
	r, err := start(ctx, p)
	if err != nil {
		return out, err
	}
	running := true
	defer func() {
		if running {
			err = fmt.Errorf("%w%s", err, suffix(r.stop()))
		}
	}()
	s, err := newSender(r.flows(), flowgen.BenchPackets(protocol, seed, time.Now().UnixNano()))
	if err != nil {
		return out, err
	}
	defer s.conn.Close()
	before, err := cpuSeconds(r.cmd.Process.Pid)
	if err != nil {
		return out, err
	}
	if out.sent, err = s.run(ctx, rate, d); err != nil {
		return out, err
	}
	if err := r.drain(&out); err != nil {
		return out, err
	}
	after, err := cpuSeconds(r.cmd.Process.Pid)
	if err != nil {
		return out, err
	}
	out.cpu = after - before
	if p.shed != nil {
		if out.shed, err = p.shed(r); err != nil {
			return out, err
		}
	}
	running = false
	if err := r.stop(); err != nil {
		return out, fmt.Errorf("it ended badly: %w: %s", err, r.log.String())
	}
	if !p.live {
		out.taken, err = p.count(r)
	}
	return out, err
}

// drain waits until the collector has worked off what it has, and reads the counts.
func (r *rig) drain(out *result) error {
	moved := time.Now()
	for deadline := moved.Add(drainTimeout); time.Now().Before(deadline) && time.Since(moved) < stillness; time.Sleep(20 * time.Millisecond) {
		s, err := udpSockets(r.port)
		if err != nil {
			return err
		}
		out.drops = s.drops
		if s.queued > 0 {
			moved = time.Now()
		}
		if !r.peer.live {
			continue
		}
		taken, err := r.peer.count(r)
		if err != nil {
			return err
		}
		if taken != out.taken {
			out.taken, moved = taken, time.Now()
		}
	}
	return nil
}
