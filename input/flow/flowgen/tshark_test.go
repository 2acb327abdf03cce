package flowgen_test

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"varde/event"
	"varde/input/flow/flowgen"
)

// sight is a flow as tshark and varde both see it; times are in milliseconds since 1970.
type sight struct {
	Src, Dst               string
	SrcPort, DstPort       uint64
	Proto, Flags           uint64
	ICMP                   uint64 // type and code
	Packets, Bytes         uint64
	RevPackets, RevBytes   uint64
	RevFlags               uint64
	First, Last            int64
	In, Out                uint64
	NATSrc, NATDst         string
	NATSrcPort, NATDstPort uint64
	Sampling               uint64 // NetFlow v5 and sFlow, which tell it with each flow
}

// TestTsharkReadsTheSame has tshark dissect what flowgen sends, and compares each flow with what varde decodes.
func TestTsharkReadsTheSame(t *testing.T) {
	for _, p := range []flowgen.Protocol{flowgen.NetFlow5, flowgen.NetFlow9, flowgen.IPFIX, flowgen.SFlow} {
		t.Run(p.String(), func(t *testing.T) {
			x := flowgen.New(flowgen.Config{
				Protocol: p, Domain: 7, Agent: router.Addr(), Boot: now - int64(240*time.Hour), Sampling: 100, TemplateEvery: 5,
				Interfaces: []string{"eth0", "eth1"},
			})
			events := sample(p, 300, now)
			for i := range events {
				x.Add(&events[i])
			}
			var datagrams [][]byte
			x.Flush(now, func(b []byte) { datagrams = append(datagrams, bytes.Clone(b)) })
			compareWithTshark(t, datagrams, len(events))
		})
	}
}

func compareWithTshark(t *testing.T, datagrams [][]byte, flows int) {
	t.Helper()
	ours, theirs := varde(t, datagrams), tshark(t, datagrams)
	if len(ours) != flows {
		t.Errorf("varde sees %d flows, want %d", len(ours), flows)
	}
	if d := gocmp.Diff(theirs, ours); d != "" {
		t.Fatalf("tshark -, varde +\n%.3000s", d)
	}
}

// varde is what our decoder makes of datagrams.
func varde(t *testing.T, datagrams [][]byte) (out []sight) {
	t.Helper()
	c := collector(t)
	text := func(a netip.Addr) string {
		if !a.IsValid() {
			return ""
		}
		return a.String()
	}
	r := c.Reader(func(e *event.Event) {
		s := sight{
			Src: text(e.Src), Dst: text(e.Dst), SrcPort: uint64(e.SrcPort), DstPort: uint64(e.DstPort), Proto: uint64(e.Proto),
			Flags: uint64(e.TCPFlags), Packets: e.RawPackets, Bytes: e.RawBytes, RevFlags: uint64(e.RevTCPFlags),
			RevPackets: e.RevPackets / uint64(max(e.Sampling, 1)), RevBytes: e.RevBytes / uint64(max(e.Sampling, 1)),
			First: e.Time / 1e6, Last: e.End / 1e6, In: uint64(e.InIndex), Out: uint64(e.OutIndex),
			NATSrc: text(e.NATSrc), NATDst: text(e.NATDst), NATSrcPort: uint64(e.NATSrcPort), NATDstPort: uint64(e.NATDstPort),
		}
		switch e.Source {
		case "sflow":
			s.First, s.Last = 0, 0 // when it was received
			fallthrough
		case "netflow5":
			s.Sampling = uint64(e.Sampling)
		}
		if e.HasICMP {
			s.ICMP = uint64(e.ICMPType)<<8 | uint64(e.ICMPCode)
		}
		out = append(out, s)
	})
	for _, b := range datagrams {
		r.Packet(router, b, now)
	}
	if s := c.Exporters()[0]; s.LostBefore+s.LostHere+s.Undecoded != 0 || s.Held != 0 {
		t.Errorf("%+v", s)
	}
	return out
}

// node is an element of tshark's PDML.
type node struct {
	Name     string `xml:"name,attr"`
	Text     string `xml:"showname,attr"`
	Show     string `xml:"show,attr"`
	Value    string `xml:"value,attr"`
	Children []node `xml:",any"`
}

// tshark is what tshark makes of datagrams.
func tshark(t *testing.T, datagrams [][]byte) (out []sight) {
	t.Helper()
	program, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark is not installed (Debian package tshark)")
	}
	file := filepath.Join(t.TempDir(), "export.pcap")
	if err := os.WriteFile(file, pcapOf(datagrams), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-n", "-r", file, "-T", "pdml", "-d", "udp.port==2055,cflow", "-d", "udp.port==6343,sflow")
	cmd.Env = append(os.Environ(), "TZ=UTC", "HOME="+t.TempDir())
	b, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	var pdml struct {
		Packets []struct {
			Protocols []node `xml:"proto"`
		} `xml:"packet"`
	}
	if err := xml.Unmarshal(b, &pdml); err != nil {
		t.Fatalf("tshark's PDML: %v", err)
	}
	begun := int64(0) // the exporter, as IPFIX options tell it
	for _, p := range pdml.Packets {
		d := dissection{t: t, begun: begun}
		for i := range p.Protocols {
			if n := &p.Protocols[i]; n.Name == "cflow" || n.Name == "sflow" {
				d.walk(n)
			}
		}
		begun = d.begun
		out = append(out, d.flows...)
	}
	return out
}

// dissection gathers the flows of one datagram.
type dissection struct {
	t        *testing.T
	flows    []sight
	in       *sight // the flow that the fields are of
	begun    int64  // milliseconds since 1970 when the uptime began
	uptime   int64
	exported int64
	sampling uint64
	icmp     bool // the flow tells type and code in a field of their own
}

func (d *dissection) walk(n *node) {
	flow := n.Name == "" && (strings.HasPrefix(n.Show, "Flow ") || strings.HasPrefix(n.Show, "pdu ") || strings.HasPrefix(n.Show, "Expanded flow "))
	if flow {
		d.in, d.icmp = &sight{Sampling: d.sampling}, false
	}
	d.field(n)
	for i := range n.Children {
		d.walk(&n.Children[i])
	}
	if !flow {
		return
	}
	if s := d.in; s.Src != "" { // else it was an options record
		if s.Proto == event.ICMP || s.Proto == event.ICMPv6 {
			if !d.icmp {
				s.ICMP = s.DstPort
			}
			s.SrcPort, s.DstPort = 0, 0
		} else {
			s.ICMP = 0
		}
		d.flows = append(d.flows, *s)
	}
	d.in = nil
}

// number is a field's value, which tshark writes in decimal or hexadecimal.
func (d *dissection) number(n *node) uint64 {
	v, err := strconv.ParseUint(n.Show, 0, 64)
	if err != nil {
		d.t.Errorf("tshark: %s: %v", n.Name, err)
	}
	return v
}

// seconds is a field of seconds with a fraction, in milliseconds.
func (d *dissection) seconds(n *node) int64 {
	whole, fraction, _ := strings.Cut(n.Show, ".")
	v, err := strconv.ParseInt(whole+(fraction + "000")[:3], 10, 64)
	if err != nil {
		d.t.Errorf("tshark: %s: %v", n.Name, err)
	}
	return v
}

// date is an absolute time in milliseconds.
func (d *dissection) date(n *node) int64 {
	at, err := time.Parse("Jan _2, 2006 15:04:05.999999999 UTC", n.Show)
	if err != nil {
		d.t.Errorf("tshark: %s: %v", n.Name, err)
	}
	return at.UnixMilli()
}

// up is the time that an uptime stands for.
func (d *dissection) up(n *node) int64 {
	uptime := d.uptime
	if d.begun != 0 {
		uptime = d.exported - d.begun
	}
	return d.exported + int64(int32(d.seconds(n)-uptime)) // an uptime wraps after 49.7 days
}

func (d *dissection) field(n *node) {
	switch n.Name {
	case "cflow.sysuptime":
		d.uptime = d.seconds(n)
	case "cflow.timestamp":
		d.exported = d.date(n)
	case "cflow.samplerate":
		d.sampling = max(d.number(n), 1)
	case "cflow.sys_init_time":
		d.begun = d.date(n)
	}
	s := d.in
	if s == nil {
		return
	}
	reverse := strings.Contains(n.Text, "(Reverse ")
	pick := func(forward, back *uint64) *uint64 {
		if reverse {
			return back
		}
		return forward
	}
	numbers := map[string]*uint64{
		"cflow.srcport": &s.SrcPort, "cflow.dstport": &s.DstPort, "cflow.protocol": &s.Proto, "cflow.inputint": &s.In, "cflow.outputint": &s.Out,
		"cflow.packets": pick(&s.Packets, &s.RevPackets), "cflow.octets": pick(&s.Bytes, &s.RevBytes), "cflow.tcpflags": pick(&s.Flags, &s.RevFlags),
		"cflow.post_naptsource_transport_port": &s.NATSrcPort, "cflow.post_naptdestination_transport_port": &s.NATDstPort,
		"cflow.icmp_type_code_ipv4":       &s.ICMP,
		"sflow.flow_sample.sampling_rate": &s.Sampling, "sflow.flow_sample.input_interface": &s.In, "sflow.flow_sample.output_interface_value": &s.Out,
		"tcp.srcport": &s.SrcPort, "udp.srcport": &s.SrcPort, "tcp.dstport": &s.DstPort, "udp.dstport": &s.DstPort,
		"tcp.flags": &s.Flags, "ip.proto": &s.Proto, "ipv6.nxt": &s.Proto,
	}
	if to := numbers[n.Name]; to != nil {
		*to = d.number(n)
		d.icmp = d.icmp || to == &s.ICMP
		return
	}
	switch n.Name {
	case "cflow.srcaddr", "cflow.srcaddrv6", "ip.src", "ipv6.src":
		s.Src = n.Show
	case "cflow.dstaddr", "cflow.dstaddrv6", "ip.dst", "ipv6.dst":
		s.Dst = n.Show
	case "cflow.post_natsource_ipv4_address", "cflow.post_nat_source_ipv6_address":
		s.NATSrc = n.Show
	case "cflow.post_natdestination_ipv4_address", "cflow.post_nat_destination_ipv6_address":
		s.NATDst = n.Show
	case "cflow.timestart":
		s.First = d.up(n)
	case "cflow.timeend":
		s.Last = d.up(n)
	case "cflow.abstimestart":
		s.First = d.date(n)
	case "cflow.abstimeend":
		s.Last = d.date(n)
	case "sflow_245.header.frame_length":
		s.Packets, s.Bytes = 1, d.number(n)
	case "sflow_245.header.payload_stripped":
		s.Bytes -= d.number(n)
	case "icmp.type", "icmpv6.type", "cflow.icmp_ipv6_type":
		s.ICMP, d.icmp = d.number(n)<<8, true
	case "icmp.code", "icmpv6.code", "cflow.icmp_ipv6_code":
		s.ICMP |= d.number(n)
	}
}

// pcapOf is a capture of datagrams from the router to the port of NetFlow or, for sFlow, that of sFlow.
func pcapOf(datagrams [][]byte) []byte {
	le, be := binary.LittleEndian, binary.BigEndian
	b := []byte{0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 101, 0, 0, 0}
	for _, d := range datagrams {
		port := uint16(2055)
		if be.Uint16(d) == 0 {
			port = 6343
		}
		for _, v := range []uint32{uint32(now / 1e9), 0, uint32(28 + len(d)), uint32(28 + len(d))} {
			b = le.AppendUint32(b, v)
		}
		b = be.AppendUint16(append(b, 0x45, 0), uint16(28+len(d)))
		b = append(b, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2)
		b = be.AppendUint16(be.AppendUint16(b, 40000), port)
		b = be.AppendUint16(b, uint16(8+len(d)))
		b = append(append(b, 0, 0), d...)
	}
	return b
}
