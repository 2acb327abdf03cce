package flowgen_test

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"varde/event"
	"varde/input/flow/flowgen"
)

// row is a flow as nfdump writes it in JSON.
type row struct {
	First      string `json:"first"`
	Last       string `json:"last"`
	Packets    uint64 `json:"in_packets"`
	Bytes      uint64 `json:"in_bytes"`
	RevPackets uint64 `json:"out_packets"`
	RevBytes   uint64 `json:"out_bytes"`
	Proto      uint8  `json:"proto"`
	Flags      string `json:"tcp_flags"`
	SrcPort    uint16 `json:"src_port"`
	DstPort    uint16 `json:"dst_port"`
	ICMPType   uint8  `json:"icmp_type"`
	ICMPCode   uint8  `json:"icmp_code"`
	Src4       string `json:"src4_addr"`
	Dst4       string `json:"dst4_addr"`
	Src6       string `json:"src6_addr"`
	Dst6       string `json:"dst6_addr"`
	In         uint32 `json:"input_snmp"`
	Out        uint32 `json:"output_snmp"`
	NATSrc4    string `json:"src4_xlt_ip"`
	NATDst4    string `json:"dst4_xlt_ip"`
	NATSrc6    string `json:"src6_xlt_ip"`
	NATDst6    string `json:"dst6_xlt_ip"`
	NATSrcPort string `json:"src_xlt_port"`
	NATDstPort string `json:"dst_xlt_port"`
	Sampled    int    `json:"sampled"`
}

// TestNfdumpReadsIt has the collectors of nfdump receive every kind of event and compares all that they understand.
func TestNfdumpReadsIt(t *testing.T) {
	for _, p := range []flowgen.Protocol{flowgen.NetFlow5, flowgen.NetFlow9, flowgen.IPFIX, flowgen.SFlow} {
		for _, sampling := range []uint32{0, 100} {
			t.Run(fmt.Sprintf("%v-%d", p, sampling), func(t *testing.T) {
				start := time.Now().UnixNano()
				events := sample(p, 300, start)
				x := flowgen.New(flowgen.Config{
					Protocol: p, Domain: 7, Agent: router.Addr(), Boot: start - int64(time.Hour), Sampling: sampling, TemplateEvery: 5,
				})
				var want []row
				for i := range events {
					if events[i].HasReverse {
						events[i].RevTCPFlags = events[i].TCPFlags // nfcapd has one field for both
					}
					x.Add(&events[i])
					want = append(want, expectRow(&events[i], p, sampling))
				}
				got, log := nfdump(t, p, func(send func([]byte)) { x.Flush(start, send) })
				errors := "Sequence Errors: 0, Bad Packets: 0"
				if p == flowgen.IPFIX && sampling > 0 {
					errors = "Bad Packets: 0" // nfcapd does not count options records, which RFC 7011 section 3.1 does
				}
				if !strings.Contains(log, errors) {
					t.Errorf("errors found:\n%s", log)
				}
				if p == flowgen.SFlow {
					for i := range got {
						got[i].First, got[i].Last = "", "" // when it was received
					}
				}
				order := func(a, b row) int {
					return cmp.Or(strings.Compare(a.Src4+a.Src6, b.Src4+b.Src6), strings.Compare(a.Dst4+a.Dst6, b.Dst4+b.Dst6),
						cmp.Compare(a.Bytes, b.Bytes))
				}
				slices.SortFunc(want, order)
				slices.SortFunc(got, order)
				if d := gocmp.Diff(want, got); d != "" {
					t.Fatalf("%.3000s", d)
				}
			})
		}
	}
}

// nfdump starts nfcapd, or sfcapd for sFlow, on loopback, lets give send to it, and reads what it stored and said.
func nfdump(t *testing.T, p flowgen.Protocol, give func(send func([]byte))) (rows []row, log string) {
	t.Helper()
	daemon := "nfcapd"
	if p == flowgen.SFlow {
		daemon = "sfcapd"
	}
	for _, program := range []string{daemon, "nfdump"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed (Debian packages nfdump and nfdump-sflow)", program)
		}
	}
	free, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := netip.MustParseAddrPort(free.LocalAddr().String())
	free.Close()
	dir := t.TempDir()
	cmd := exec.Command(daemon, "-b", "127.0.0.1", "-p", fmt.Sprint(address.Port()), "-w", dir)
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewScanner(out)
	for said.Scan() && !strings.HasPrefix(said.Text(), "Startup") {
	}
	rest := make(chan string, 1)
	go func() {
		var all strings.Builder
		for said.Scan() {
			all.WriteString(said.Text() + "\n")
		}
		rest <- all.String()
	}()
	conn, err := net.Dial("udp", address.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	give(func(b []byte) {
		if _, err := conn.Write(b); err != nil {
			t.Errorf("send to %s: %v", daemon, err)
		}
	})
	waitForEmptyQueue(t, address.Port())
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	log = <-rest
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%s: %v\n%s", daemon, err, log)
	}
	read := exec.Command("nfdump", "-R", dir, "-o", "json")
	read.Env = append(os.Environ(), "TZ=UTC")
	b, err := read.Output()
	if err != nil {
		t.Fatalf("nfdump: %v", err)
	}
	if err := json.Unmarshal(b, &rows); err != nil {
		t.Fatalf("nfdump's JSON: %v\n%.500s", err, b)
	}
	return rows, log
}

// waitForEmptyQueue waits until the socket on that port has nothing left to be read (proc(5), /proc/net/udp).
func waitForEmptyQueue(t *testing.T, port uint16) {
	t.Helper()
	local := fmt.Appendf(nil, "0100007F:%04X", port)
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		b, err := os.ReadFile("/proc/net/udp")
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(b) {
			f := bytes.Fields(line)
			if len(f) > 4 && bytes.Equal(f[1], local) && bytes.HasSuffix(f[4], []byte(":00000000")) {
				return
			}
		}
	}
	t.Fatal("the collector reads nothing")
}

func expectRow(e *event.Event, p flowgen.Protocol, sampling uint32) row {
	rate := uint64(max(sampling, 1))
	milli := func(ns int64) string { return event.Stamp(ns).Format("2006-01-02T15:04:05.000") }
	text := func(a netip.Addr, is bool) string {
		if !is {
			return ""
		}
		return a.String()
	}
	nat6 := e.NATSrc.Is6() && p != flowgen.IPFIX // nfcapd 1.7.1 knows elements 281 and 282 in NetFlow v9 only
	r := row{
		First: milli(e.Time), Last: milli(e.End), Packets: e.Packets * rate, Bytes: e.Bytes * rate,
		RevPackets: e.RevPackets * rate, RevBytes: e.RevBytes * rate, Proto: e.Proto,
		SrcPort: e.SrcPort, DstPort: e.DstPort, ICMPType: e.ICMPType, ICMPCode: e.ICMPCode,
		Src4: text(e.Src, e.Src.Is4()), Dst4: text(e.Dst, e.Dst.Is4()), Src6: text(e.Src, e.Src.Is6()), Dst6: text(e.Dst, e.Dst.Is6()),
		In: e.InIndex, Out: e.OutIndex,
		NATSrc4: text(e.NATSrc, e.NATSrc.Is4()), NATDst4: text(e.NATDst, e.NATDst.Is4()),
		NATSrc6: text(e.NATSrc, nat6), NATDst6: text(e.NATDst, nat6),
	}
	if e.NATSrc.IsValid() {
		r.NATSrcPort, r.NATDstPort = fmt.Sprint(e.NATSrcPort), fmt.Sprint(e.NATDstPort)
	}
	if sampling > 1 || p == flowgen.SFlow {
		r.Sampled = 1
	}
	letters := []byte(event.FlagLetters(0xff))
	for i := range letters {
		if e.TCPFlags&(0x80>>i) == 0 {
			letters[i] = '.'
		}
	}
	if r.Flags = string(letters); e.HasICMP {
		r.Flags = ""
	}
	if p == flowgen.SFlow {
		r.First, r.Last = "", ""
		r.Bytes = (e.Bytes + 18) * rate
		if r.ICMPType = 0; r.Src6 != "" { // sfcapd 1.7.1 puts the type where nfdump does not look, and knows no ICMPv6
			r.ICMPCode = 0
		}
	}
	return r
}
