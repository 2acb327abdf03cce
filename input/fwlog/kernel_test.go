package fwlog

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"varde/event"
	"varde/input/syslog"
)

// space is a network namespace of the kernel, with a thread that lives in it.
type space struct {
	tid   int
	tasks chan func()
}

// newSpace makes a network namespace that ends with the test.
func newSpace(t *testing.T) *space {
	t.Helper()
	s := &space{tasks: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocks: the thread ends with the goroutine, and the namespace with both
		s.tid = unix.Gettid()
		err := unix.Unshare(unix.CLONE_NEWNET)
		ready <- err
		for err == nil {
			task, ok := <-s.tasks
			if !ok {
				return
			}
			task()
		}
	}()
	if err := <-ready; err != nil {
		t.Skipf("no network namespace can be made here: %v (needs root)", err)
	}
	t.Cleanup(func() { close(s.tasks) })
	return s
}

// do runs f in the namespace.
func (s *space) do(f func() error) error {
	done := make(chan error)
	s.tasks <- func() { done <- f() }
	return <-done
}

func (s *space) run(t *testing.T, input, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(input)
	var said []byte
	if err := s.do(func() (err error) { said, err = cmd.CombinedOutput(); return err }); err != nil {
		t.Skipf("%s %s cannot be done in a network namespace here: %v: %s", name, strings.Join(args, " "), err, said)
	}
}

// The two ends of the wire, and the rules of the one that logs.
var (
	near4, far4 = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.9")
	near6, far6 = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::9")
)

const logRules = `table inet watch {
	chain first {
		type filter hook prerouting priority -400;
		iifname != "wan0" accept
		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, mld2-listener-report } accept
		ether type arp accept
		log prefix "%[1]s-DROP: "
		log prefix "%[1]s-DROP: " group 5
		drop
	}
}
`

// wire connects two namespaces: far sends, near logs and drops.
func wire(t *testing.T, prefix string) (near, far *space) {
	t.Helper()
	for _, program := range []string{"nft", "ip"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed (Debian packages nftables and iproute2)", program)
		}
	}
	near, far = newSpace(t), newSpace(t)
	near.run(t, "", "ip", "link", "add", "wan0", "type", "veth", "peer", "name", "eth0", "netns", fmt.Sprint(far.tid))
	for _, end := range []struct {
		*space
		link   string
		v4, v6 netip.Addr
	}{{near, "wan0", near4, near6}, {far, "eth0", far4, far6}} {
		end.run(t, "", "ip", "addr", "add", end.v4.String()+"/24", "dev", end.link)
		end.run(t, "", "ip", "addr", "add", end.v6.String()+"/64", "dev", end.link, "nodad")
		end.run(t, "", "ip", "link", "set", end.link, "up")
	}
	near.run(t, fmt.Sprintf(logRules, prefix), "nft", "-f", "-")
	return near, far
}

// told is what a line must say.
type told struct {
	Proto             uint8
	Src, Dst          netip.Addr
	SrcPort, DstPort  uint16
	Bytes             uint64
	Flags             uint8
	HasICMP           bool
	Type, Code        uint8
	InIf, OutIf, Rule string
	Action            event.Action
	Kind              event.Kind
	Packets           uint64
	NoFlags, Fragment string
}

func tellOf(e *event.Event) told {
	return told{
		e.Proto, e.Src, e.Dst, e.SrcPort, e.DstPort, e.Bytes, e.TCPFlags, e.HasICMP, e.ICMPType, e.ICMPCode,
		e.InIf, e.OutIf, e.Rule, e.Action, e.Kind, e.Packets, e.Detail.Get("flags"), e.Detail.Get("fragment"),
	}
}

// knock sends one of each kind of probe from far to near and gives what must be logged of them, in this order.
func knock(t *testing.T, far *space, prefix string) (want []told) {
	t.Helper()
	expect := func(proto uint8, six bool, change func(*told)) {
		w := told{
			Proto: proto, Src: far4, Dst: near4, InIf: "wan0", Rule: prefix + "-DROP", Action: event.Deny, Kind: event.Probe, Packets: 1,
		}
		if six {
			w.Src, w.Dst = far6, near6
		}
		change(&w)
		want = append(want, w)
	}
	send := func(kind, proto int, six bool, sport, dport int, b []byte) {
		if err := far.do(func() error { return sendTo(kind, proto, six, sport, dport, b) }); err != nil {
			t.Fatalf("send a probe: %v", err)
		}
	}
	for _, six := range []bool{false, true} {
		head, syn := uint64(20), uint64(60) // IPv4; a SYN of Linux has 20 bytes of options
		if six {
			head, syn = 40, 80
		}
		send(unix.SOCK_STREAM, 0, six, 40001, 7547, nil)
		expect(event.TCP, six, func(w *told) { w.SrcPort, w.DstPort, w.Bytes, w.Flags = 40001, 7547, syn, event.SYN })
		send(unix.SOCK_DGRAM, 0, six, 40002, 1900, []byte("M-SEARCH"))
		expect(event.UDP, six, func(w *told) { w.SrcPort, w.DstPort, w.Bytes = 40002, 1900, head+8+8 })
		for _, flags := range []uint8{event.FIN | event.PSH | event.URG, 0, event.SYN | event.ECE | event.CWR} {
			send(unix.SOCK_RAW, unix.IPPROTO_TCP, six, 0, 0, segment(40003, 23, flags))
			expect(event.TCP, six, func(w *told) {
				w.SrcPort, w.DstPort, w.Bytes, w.Flags = 40003, 23, head+20, flags
				if flags == 0 {
					w.NoFlags = "none"
				}
			})
		}
	}
	send(unix.SOCK_RAW, unix.IPPROTO_ICMP, false, 0, 0, checked([]byte{8, 0, 0, 0, 0, 7, 0, 1}))
	expect(event.ICMP, false, func(w *told) { w.HasICMP, w.Type, w.Bytes = true, 8, 28 })
	send(unix.SOCK_RAW, unix.IPPROTO_ICMPV6, true, 0, 0, []byte{128, 0, 0, 0, 0, 7, 0, 1})
	expect(event.ICMPv6, true, func(w *told) { w.HasICMP, w.Type, w.Bytes = true, 128, 48 })
	// An error about a packet of others, whose addresses and ports are not those of the probe.
	inner := append([]byte{0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 203, 0, 113, 5, 198, 51, 100, 6}, segment(443, 5555, event.SYN)[:8]...)
	send(unix.SOCK_RAW, unix.IPPROTO_ICMP, false, 0, 0, checked(append([]byte{3, 1, 0, 0, 0, 0, 0, 0}, inner...)))
	expect(event.ICMP, false, func(w *told) { w.HasICMP, w.Type, w.Code, w.Bytes = true, 3, 1, 56 })
	// Of a datagram in two fragments the second has no ports; 1480 bytes fit into the first, or 1448 behind IPv6 headers.
	datagram := bytes.Repeat([]byte{0x55}, 2000)
	send(unix.SOCK_DGRAM, 0, false, 40004, 161, datagram)
	expect(event.UDP, false, func(w *told) { w.SrcPort, w.DstPort, w.Bytes = 40004, 161, 1500 })
	expect(event.UDP, false, func(w *told) { w.Bytes, w.Fragment = 20+2008-1480, "185" })
	send(unix.SOCK_DGRAM, 0, true, 40004, 161, datagram)
	expect(event.UDP, true, func(w *told) { w.SrcPort, w.DstPort, w.Bytes = 40004, 161, 48+1448 })
	expect(event.UDP, true, func(w *told) { w.Bytes, w.Fragment = 48+2008-1448, "1448" })
	return want
}

// sendTo sends one packet through a socket of the kernel.
func sendTo(kind, proto int, six bool, sport, dport int, b []byte) error {
	family := unix.AF_INET
	var from, to unix.Sockaddr = &unix.SockaddrInet4{Port: sport, Addr: far4.As4()}, &unix.SockaddrInet4{Port: dport, Addr: near4.As4()}
	if six {
		family = unix.AF_INET6
		from, to = &unix.SockaddrInet6{Port: sport, Addr: far6.As16()}, &unix.SockaddrInet6{Port: dport, Addr: near6.As16()}
	}
	s, err := unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, proto)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	if err := unix.Bind(s, from); err != nil {
		return err
	}
	if kind == unix.SOCK_STREAM {
		if err := unix.Connect(s, to); !errors.Is(err, unix.EINPROGRESS) {
			return err
		}
		return nil
	}
	return unix.Sendto(s, b, 0, to)
}

// segment is a TCP header without options. Its checksum is missing, which is looked at behind the rules that log.
func segment(sport, dport uint16, flags uint8) []byte {
	return []byte{byte(sport >> 8), byte(sport), byte(dport >> 8), byte(dport), 0, 0, 0, 1, 0, 0, 0, 0, 5 << 4, flags, 4, 0, 0, 0, 0, 0}
}

// checked puts the checksum of RFC 792 into a message of ICMP.
func checked(b []byte) []byte {
	sum := uint32(0)
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
	}
	sum = sum>>16 + sum&0xffff
	sum += sum >> 16
	b[2], b[3] = byte(^sum>>8), byte(^sum)
	return b
}

// until gives the first n lines with the prefix that more brings.
func until(t *testing.T, n int, prefix string, more func() []byte) (out [][]byte) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); len(out) < n && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		for line := range bytes.Lines(more()) {
			if bytes.Contains(line, []byte(prefix)) && len(out) < n {
				out = append(out, bytes.TrimRight(line, "\n"))
			}
		}
	}
	return out
}

// compare reads the lines and holds every field against what was sent.
func compare(t *testing.T, format string, lines [][]byte, want []told) {
	t.Helper()
	if len(lines) != len(want) {
		t.Fatalf("%d lines of %d:\n%s", len(lines), len(want), bytes.Join(lines, []byte("\n")))
	}
	var got told
	r, _ := newReader(t, DefaultConfig(), func(e *event.Event) { got = tellOf(e) })
	p := syslog.NewParser(time.UTC)
	var l syslog.Line
	for i := range lines {
		p.Parse(lines[i], time.Now(), &l)
		if !r.Line(&l) || r.Format() != format {
			t.Errorf("%s: cannot be read as %s", lines[i], format)
		} else if d := cmp.Diff(want[i], got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
			t.Errorf("%s:\n%s", lines[i], d)
		}
	}
}

// TestKernel lets nftables log real probes and reads them from the log of the kernel, as rsyslog and the journal do.
func TestKernel(t *testing.T) {
	const perNamespace = "/proc/sys/net/netfilter/nf_log_all_netns"
	before, err := os.ReadFile(perNamespace)
	if err != nil {
		t.Skip("the kernel does not tell of nf_log_all_netns: it logs no namespace but the first")
	}
	prefix := fmt.Sprintf("varde%d", os.Getpid())
	_, far := wire(t, prefix)
	ring, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("the log of the kernel cannot be read: %v", err)
	}
	defer unix.Close(ring)
	if _, err := unix.Seek(ring, 0, unix.SEEK_END); err != nil {
		t.Skipf("the log of the kernel cannot be read: %v", err)
	}
	if err := os.WriteFile(perNamespace, []byte("1\n"), 0o644); err != nil {
		t.Skipf("logging in namespaces cannot be allowed: %v", err)
	}
	defer os.WriteFile(perNamespace, before, 0o644)
	want := knock(t, far, prefix)
	buf := make([]byte, 8<<10) // one record at a time
	lines := until(t, len(want), prefix, func() []byte {
		n, err := unix.Read(ring, buf)
		if err != nil {
			return nil // nothing yet, or overwritten
		}
		_, text, _ := strings.Cut(string(buf[:n]), ";")
		text, _, _ = strings.Cut(text, "\n")
		return []byte(time.Now().UTC().Format(time.Stamp) + " fw kernel: [   12.345678] " + text + "\n")
	})
	compare(t, "netfilter", lines, want)
}

const ulogdConf = `[global]
logfile="%[1]s/ulogd.log"
loglevel=5
plugin="%[2]s/ulogd_inppkt_NFLOG.so"
plugin="%[2]s/ulogd_filter_IFINDEX.so"
plugin="%[2]s/ulogd_filter_IP2STR.so"
plugin="%[2]s/ulogd_filter_HWHDR.so"
plugin="%[2]s/ulogd_filter_PRINTPKT.so"
plugin="%[2]s/ulogd_raw2packet_BASE.so"
plugin="%[2]s/ulogd_output_LOGEMU.so"
plugin="%[2]s/ulogd_output_JSON.so"
stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,print1:PRINTPKT,emu1:LOGEMU
stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,mac1:HWHDR,json1:JSON
[log1]
group=5
[emu1]
file="%[1]s/text.log"
sync=1
[json1]
file="%[1]s/json.log"
sync=1
`

// TestUlogd lets ulogd2 write the same probes, as text and as JSON.
func TestUlogd(t *testing.T) {
	found, _ := filepath.Glob("/usr/lib/*/ulogd/ulogd_output_JSON.so")
	program, err := exec.LookPath("ulogd")
	if err != nil || found == nil {
		t.Skip("ulogd is not installed (Debian packages ulogd2 and ulogd2-json)")
	}
	prefix := fmt.Sprintf("ulogd%d", os.Getpid())
	near, far := wire(t, prefix)
	dir := t.TempDir()
	conf := filepath.Join(dir, "conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, ulogdConf, dir, filepath.Dir(found[0])), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--configfile", conf, "--pidfile", filepath.Join(dir, "pid"))
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := near.do(cmd.Start); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	group := func() bool { // ulogd listens: the kernel shows the group
		b, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/net/netfilter/nfnetlink_log", near.tid))
		return err == nil && len(bytes.TrimSpace(b)) > 0
	}
	for end := time.Now().Add(10 * time.Second); !group(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			b, _ := os.ReadFile(filepath.Join(dir, "ulogd.log"))
			t.Skipf("ulogd does not get at the kernel here: %s%s", said.String(), b)
		}
	}
	want := knock(t, far, prefix)
	for file, format := range map[string]string{"text.log": "netfilter", "json.log": "ulogd"} {
		t.Run(format, func(t *testing.T) {
			var lines [][]byte
			for end := time.Now().Add(10 * time.Second); len(lines) < len(want) && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
				b, _ := os.ReadFile(filepath.Join(dir, file))
				lines = lines[:0]
				for line := range bytes.Lines(b) {
					if bytes.HasSuffix(line, []byte("\n")) {
						lines = append(lines, line)
					}
				}
			}
			expect := slices.Clone(want)
			for i := range expect {
				expect[i].Flags &^= event.ECE | event.CWR // which ulogd leaves out
			}
			compare(t, format, lines, expect)
		})
	}
}
