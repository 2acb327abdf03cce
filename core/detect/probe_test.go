package detect

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"varde/event"
)

// ours is the site of these tests: a /28, one of whose addresses is a name server.
var ours = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/28")}

// denied is a packet that a firewall refused.
func denied(at time.Duration, src string, dst string, port int) *event.Event {
	return &event.Event{
		Kind: event.Probe, Action: event.Deny, Time: t0 + int64(at), Received: t0 + int64(at), Proto: event.TCP, TCPFlags: event.SYN,
		Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr(dst), SrcPort: 40000, DstPort: uint16(port), Own: event.SideDst, Exporter: "fw", Packets: 1,
	}
}

func newScans(t *testing.T) *Scans {
	t.Helper()
	cfg := DefaultScan()
	if err := cfg.Check(); err != nil {
		t.Fatal(err)
	}
	return NewScans(cfg, NewGround(DefaultGround(), ours), map[netip.Addr]string{own: "www"})
}

// judge takes events in their order and says what was said.
func judge(s *Scans, events []*event.Event) []event.Warning {
	var said []event.Warning
	for _, e := range events {
		s.ground.Judge(e)
		if w := s.Judge(e); w != nil {
			said = append(said, *w)
		}
	}
	return said
}

func TestPatterns(t *testing.T) {
	const who = "198.51.100.9"
	for _, tc := range []struct {
		name   string
		want   []string
		events func() []*event.Event
	}{
		{"vertical, fast", []string{"vertical: a vertical scan of 15 ports from 1 to 15 on www (192.0.2.7) in 14 s, from low to high, 1 a second"}, func() (out []*event.Event) {
			for i := range 15 {
				out = append(out, denied(time.Duration(i)*time.Second, who, "192.0.2.7", 1+i))
			}
			return out
		}},
		{"fourteen ports are none", nil, func() (out []*event.Event) {
			for i := range 14 {
				out = append(out, denied(time.Duration(i)*time.Second, who, "192.0.2.7", 1+i))
			}
			return out
		}},
		{"the same port again and again is none", nil, func() (out []*event.Event) {
			for i := range 1000 {
				out = append(out, denied(time.Duration(i)*time.Second, who, "192.0.2.7", 22))
			}
			return out
		}},
		{"slow, ports at random", []string{"slow vertical: a slow vertical scan of 30 ports from 37 to 1110 on www (192.0.2.7) in 2 h, one in 5 min"}, func() (out []*event.Event) {
			for i := range 30 {
				out = append(out, denied(time.Duration(i)*5*time.Minute, who, "192.0.2.7", 37*(1+i*11%30)))
			}
			return out
		}},
		{"diagonal, from high to low", []string{"diagonal: a diagonal scan of 30 ports from 63550 to 65000 on www (192.0.2.7) in 19 h, from high to low, one in 40 min"}, func() (out []*event.Event) {
			for i := range 30 {
				out = append(out, denied(time.Duration(i)*40*time.Minute, who, "192.0.2.7", 65000-50*i))
			}
			return out
		}},
		{"horizontal", []string{"horizontal: a horizontal scan of tcp/23 (Telnet) on 4 addresses in 2 min, 2 a minute"}, func() (out []*event.Event) {
			for i := range 4 { // a quarter of the /28
				out = append(out, denied(time.Duration(i)*40*time.Second, who, fmt.Sprintf("192.0.2.%d", 1+i), 23))
			}
			return out
		}},
		{"ping sweep", []string{"horizontal: a horizontal scan (ping) of 4 addresses in 3 s, 1 a second"}, func() (out []*event.Event) {
			for i := range 4 {
				e := denied(time.Duration(i)*time.Second, who, fmt.Sprintf("192.0.2.%d", 1+i), 0)
				e.Proto, e.TCPFlags, e.HasICMP, e.ICMPType, e.SrcPort, e.DstPort = event.ICMP, 0, true, 8, 0, 2048
				out = append(out, e)
			}
			return out
		}},
		{"block, one port a host", []string{"block: a block scan of 15 ports from 100 to 114 on 13 addresses in 14 min, from low to high, 1 a minute"}, func() (out []*event.Event) {
			for i := range 15 {
				out = append(out, denied(time.Duration(i)*time.Minute, who, fmt.Sprintf("192.0.2.%d", 1+i%13), 100+i))
			}
			return out
		}},
		{"xmas", []string{"vertical: a vertical scan (xmas) of 5 ports from 1 to 5 on www (192.0.2.7) in 4 s, from low to high, 1 a second"}, func() (out []*event.Event) {
			for i := range 5 {
				e := denied(time.Duration(i)*time.Second, who, "192.0.2.7", 1+i)
				e.TCPFlags = event.FIN | event.PSH | event.URG
				out = append(out, e)
			}
			return out
		}},
		{"null", []string{"vertical: a vertical scan (null) of 5 ports from 1 to 5 on www (192.0.2.7) in 4 s, from low to high, 1 a second"}, func() (out []*event.Event) {
			for i := range 5 {
				e := denied(time.Duration(i)*time.Second, who, "192.0.2.7", 1+i)
				e.TCPFlags = 0
				e.Detail.Set("flags", "none")
				out = append(out, e)
			}
			return out
		}},
		{"distributed over a /24", []string{"distributed: 5 sources of 198.51.100.0/24 share a distributed scan of 15 ports from 500 to 514 on www (192.0.2.7) in 2 min, 6 a minute"}, func() (out []*event.Event) {
			for i := range 15 {
				out = append(out, denied(time.Duration(i)*10*time.Second, fmt.Sprintf("198.51.100.%d", i%5), "192.0.2.7", 500+i))
			}
			return out
		}},
		{"distributed over an autonomous system", []string{"distributed: 3 sources of AS64500 share a distributed scan of 15 ports from 500 to 514 on www (192.0.2.7) in 2 min, 6 a minute"}, func() (out []*event.Event) {
			for i := range 15 {
				e := denied(time.Duration(i)*10*time.Second, fmt.Sprintf("203.0.%d.7", i%3), "192.0.2.7", 500+i)
				e.ASN = 64500
				out = append(out, e)
			}
			return out
		}},
		{"many sources that try the same ports share nothing", nil, func() (out []*event.Event) {
			for i := range 200 {
				out = append(out, denied(time.Duration(i)*time.Second, fmt.Sprintf("198.51.100.%d", i), "192.0.2.7", []int{22, 23, 80, 443, 445, 2323, 5555}[i%7]))
			}
			return out
		}},
		{"a /64 is one source", []string{"vertical: a vertical scan of 15 ports from 1 to 15 on 2001:db8::7 in 14 s, from low to high, 1 a second"}, func() (out []*event.Event) {
			for i := range 15 {
				out = append(out, denied(time.Duration(i)*time.Second, fmt.Sprintf("2001:db8:ffff::%x", i+1), "2001:db8::7", 1+i))
			}
			return out
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, w := range judge(newScans(t), tc.events()) {
				got = append(got, w.Scan.Pattern+": "+w.Why)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("said\n%q, want\n%q", strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
		})
	}
}
