package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// buffer is the receive buffer that every collector is given which lets itself be told: net.core.rmem_max of many
// systems, so that none needs to be privileged.
const buffer = 4 << 20

// peer is a collector.
type peer struct {
	name    string
	label   string // with its version
	missing error  // why it cannot be measured
	rates   []int  // records a second, rising
	// command is what starts it in a directory of its own.
	command func(r *rig) (*exec.Cmd, error)
	// ready tells whether it receives.
	ready func(r *rig) bool
	// count is how many flow records it has taken by its own count; live tells whether it can be asked while it runs.
	count func(r *rig) (uint64, error)
	live  bool
	// shed is how many of the records that it took it did not store for want of time; nil where it stores none or all.
	shed func(r *rig) (uint64, error)
}

var flowsOfNfcapd = regexp.MustCompile(`Flows: (\d+)`)

// nfcapd stores every record in a file; it says how many only at its end.
func nfcapd() *peer {
	p := &peer{name: "nfcapd", rates: []int{500_000, 1_000_000, 1_500_000}}
	path, err := exec.LookPath("nfcapd")
	if err != nil {
		p.missing = errors.New("it is not installed (Debian package nfdump)")
		return p
	}
	p.label = "nfcapd " + version(path, "-V")
	p.command = func(r *rig) (*exec.Cmd, error) {
		return exec.Command(path, "-b", "127.0.0.1", "-p", fmt.Sprint(r.port), "-w", r.dir, "-B", fmt.Sprint(buffer)), nil
	}
	p.ready = func(r *rig) bool { return strings.Contains(r.log.String(), "Startup") }
	p.count = func(r *rig) (n uint64, err error) {
		for _, m := range flowsOfNfcapd.FindAllStringSubmatch(r.log.String(), -1) {
			flows, err := strconv.ParseUint(m[1], 10, 64)
			if err != nil {
				return 0, err
			}
			n += flows
		}
		return n, nil
	}
	return p
}

const goflow2Package = "github.com/netsampler/goflow2/v2/cmd/goflow2"

// newGoflow2Peer builds goflow2, which turns every record into a protobuf message for /dev/null.
func newGoflow2Peer(ctx context.Context, dir string) *peer {
	p := &peer{name: "goflow2", rates: []int{50_000, 100_000, 200_000}, live: true}
	path := filepath.Join(dir, "goflow2")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", path, goflow2Package).CombinedOutput(); err != nil {
		p.missing = fmt.Errorf("it does not build: %.200s", strings.ReplaceAll(string(out), "\n", " "))
		return p
	}
	out, _ := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Version}}", "github.com/netsampler/goflow2/v2").Output()
	p.label = "goflow2 " + strings.TrimPrefix(strings.TrimSpace(string(out)), "v") + " protobuf"
	p.command = func(r *rig) (*exec.Cmd, error) {
		return exec.Command(path, "-listen", fmt.Sprintf("netflow://127.0.0.1:%d/?count=1&workers=2", r.port),
			"-format", "bin", "-transport", "file", "-transport.file", os.DevNull, "-addr", r.http(), "-loglevel", "warn"), nil
	}
	p.ready = func(r *rig) bool { return r.get("/__health", io.Discard) == nil }
	p.count = func(r *rig) (uint64, error) {
		return r.metric(func(line string) bool {
			v5 := strings.HasPrefix(line, "goflow2_flow_process_nf_flowset_total{") && strings.Contains(line, `version="5"`)
			later := strings.HasPrefix(line, "goflow2_flow_process_nf_flowset_records_total{") && strings.Contains(line, `type="DataFlowSet"`)
			return v5 || later
		})
	}
	return p
}

// vardePeer matches both ends of every record against a list of 100,000 entries, looks for scans and surges, and stores
// everything where that is asked.
func vardePeer(path, list string, storing bool) *peer {
	p := &peer{name: "varde", label: "varde", rates: []int{500_000, 1_000_000, 1_500_000}, live: true}
	if storing {
		p.label, p.rates = "varde, storing", []int{250_000, 500_000, 1_000_000}
		p.shed = func(r *rig) (uint64, error) {
			return r.metric(func(line string) bool { return strings.HasPrefix(line, "varde_store_not_stored_total ") })
		}
	}
	path, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		p.missing = fmt.Errorf("%s is not there: run make build", path)
		return p
	}
	p.command = func(r *rig) (*exec.Cmd, error) {
		config := filepath.Join(r.dir, "varde.yaml")
		return exec.Command(path, "run", "-c", config), os.WriteFile(config, fmt.Appendf(nil, vardeConfig, r.dir, r.port, buffer, list, r.warnings(), r.http(), !storing), 0o600)
	}
	p.ready = func(r *rig) bool { return r.get("/readyz", io.Discard) == nil && r.bound() }
	p.count = func(r *rig) (uint64, error) {
		return r.metric(func(line string) bool { return strings.HasPrefix(line, "varde_flow_records_total ") })
	}
	return p
}

const vardeConfig = `data_dir: %s
network: {own: [10.0.0.0/8, "2001:db8:1::/48"]}
netflow: {listen: "127.0.0.1:%d", buffer: %dB}
lists: [{name: bench, file: %s}]
warn: [{file: {path: %s, format: json}}]
http: {listen: "%s"}
store: {off: %v}
`

// get reads a page of the collector.
func (r *rig) get(path string, to io.Writer) error {
	resp, err := http.Get("http://" + r.http() + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, resp.Status)
	}
	_, err = io.Copy(to, resp.Body)
	return err
}

// metric is the sum of those samples of the collector's Prometheus metrics whose line is wanted.
func (r *rig) metric(want func(line string) bool) (uint64, error) {
	var page strings.Builder
	if err := r.get("/metrics", &page); err != nil {
		return 0, err
	}
	sum := 0.0
	for sc := bufio.NewScanner(strings.NewReader(page.String())); sc.Scan(); {
		line := sc.Text()
		if !want(line) {
			continue
		}
		v, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
		if err != nil {
			return 0, fmt.Errorf("metric %q: %w", line, err)
		}
		sum += v
	}
	return uint64(sum), nil
}
