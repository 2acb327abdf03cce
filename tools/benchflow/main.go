// Benchflow sends flows over loopback to nfcapd, goflow2 and varde, one after the other and faster and faster, and
// prints what each lost and what it cost as a Markdown table; last how long varde takes from a datagram to a warning.
//
// Sender and collector share the processors of one machine, so the figures are for comparing lines of one table.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"varde/input/flow/flowgen"
)

// plan is how much is measured.
type plan struct {
	protocols []flowgen.Protocol
	step      time.Duration // sending at each rate
	latency   time.Duration // sending for the latency
	limit     time.Duration // for everything
}

var (
	fullPlan  = plan{[]flowgen.Protocol{flowgen.NetFlow5, flowgen.NetFlow9, flowgen.IPFIX}, 5 * time.Second, 15 * time.Second, 9 * time.Minute}
	quickPlan = plan{[]flowgen.Protocol{flowgen.NetFlow9}, 3 * time.Second, 6 * time.Second, 2 * time.Minute}
)

const (
	seed        = 1
	latencyRate = 100_000 // records a second
	tooLossy    = 0.1     // a collector that loses more is not asked to go faster
)

func main() {
	quick := flag.Bool("quick", false, "NetFlow v9 only and shorter, in less than two minutes")
	varde := flag.String("varde", "../bin/varde", "varde's binary")
	only := flag.String("only", "", "only this collector: nfcapd, goflow2 or varde")
	flag.Parse()
	p := fullPlan
	if *quick {
		p = quickPlan
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, p.limit)
	defer cancel()
	if err := run(ctx, p, *varde, *only); err != nil {
		fmt.Fprintln(os.Stderr, "benchflow:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, p plan, varde, only string) error {
	dir, err := os.MkdirTemp("", "benchflow-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	list, err := writeList(dir)
	if err != nil {
		return err
	}
	peers := []*peer{nfcapd(), newGoflow2Peer(ctx, dir), vardePeer(varde, list, false), vardePeer(varde, list, true)}
	fmt.Printf("%s, %d processors, %s, net.core.rmem_max %s\n\n", processor(), runtime.NumCPU(), runtime.Version(), readLine("/proc/sys/net/core/rmem_max"))
	fmt.Println("| collector | protocol | offered records/s | sent records/s | lost | of it at the socket | received and not stored | CPU s per million |")
	fmt.Println("|---|---|---:|---:|---:|---:|---:|---:|")
	for _, protocol := range p.protocols {
		for _, peer := range peers {
			if only != "" && only != peer.name {
				continue
			}
			if peer.missing != nil {
				fmt.Printf("| %s | %s | not measured: %v | | | | | |\n", peer.name, protocol, peer.missing)
				continue
			}
			if err := climb(ctx, p, peer, protocol); err != nil {
				return err
			}
		}
	}
	if v := peers[len(peers)-1]; v.missing == nil && (only == "" || only == v.name) {
		l, err := measureLatency(ctx, v, list, p.latency)
		if err != nil {
			return err
		}
		fmt.Printf("\nvarde, %d list entries, from datagram to warning at %d records/s: %v\n", listSize, latencyRate, l)
	}
	return nil
}

// climb measures one collector at each of its rates, until it loses too much.
func climb(ctx context.Context, p plan, peer *peer, protocol flowgen.Protocol) error {
	for _, rate := range peer.rates {
		r, err := measure(ctx, peer, protocol, rate, p.step)
		if err != nil {
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return fmt.Errorf("stopped after %v: this machine is too slow or too busy for the whole table; try -quick", p.limit)
			}
			return fmt.Errorf("%s, %v at %d records/s: %w", peer.name, protocol, rate, err)
		}
		fmt.Printf("| %s | %s | %d | %.0f | %s | %s | %s | %.2f |\n", peer.label, protocol, rate, r.sentRate(), percent(r.lost()), percent(r.lostAtSocket()), percent(r.notStored()), r.cpuPerMillion())
		if r.lost() > tooLossy {
			break
		}
	}
	return nil
}

func percent(share float64) string {
	if share == 0 {
		return "0"
	}
	return fmt.Sprintf("%.2g %%", 100*share)
}

// processor is the name of this machine's processor.
func processor() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func readLine(path string) string {
	b, _ := os.ReadFile(path)
	return strings.TrimSpace(string(b))
}

// version is the last word of what a program says of its version.
func version(program string, args ...string) string {
	b, _ := exec.Command(program, args...).CombinedOutput()
	for line := range strings.Lines(string(b)) {
		for word := range strings.FieldsSeq(line) {
			if word = strings.Trim(word, "(),"); len(word) > 2 && word[0] >= '0' && word[0] <= '9' && strings.Contains(word, ".") {
				return word
			}
		}
	}
	return ""
}
