package detect

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"varde/event"
	"varde/event/human"
)

const t0 = int64(1_465_303_100_000_000_000) // 2016-06-07 12:38:20 UTC

var (
	own     = netip.MustParseAddr("192.0.2.7")
	foreign = netip.MustParseAddr("93.174.93.94")
)

// half is one direction of a conversation between own and foreign.
type half struct {
	out          bool
	proto        uint8
	sport, dport uint16
	flags        uint8
	packets      uint64
	bytes        uint64
}

func (h half) event(at int64) *event.Event {
	e := &event.Event{
		Kind: event.Flow, Time: at, End: at, Received: at, Proto: h.proto, SrcPort: h.sport, DstPort: h.dport, TCPFlags: h.flags,
		Packets: h.packets, Bytes: h.bytes, RawPackets: h.packets, Src: foreign, Dst: own, Own: event.SideDst,
	}
	side := event.SideSrc
	if h.out {
		e.Src, e.Dst, e.Own, side = own, foreign, event.SideSrc, event.SideDst
	}
	e.Evidence = []event.Evidence{{List: "otx", Entry: netip.PrefixFrom(foreign, 32), Confidence: 80, Side: side}}
	return e
}

const whole = event.SYN | event.ACK | event.PSH | event.FIN

func TestVerdicts(t *testing.T) {
	for _, tc := range []struct {
		name     string
		halves   []half
		verdict  event.Verdict
		severity event.Severity
	}{
		{"probe of a silent port", []half{{false, event.TCP, 48928, 53, event.SYN, 1, 40}}, event.ProbeIn, event.Low},
		{"refused probe", []half{{false, event.TCP, 48928, 53, event.SYN, 1, 40}, {true, event.TCP, 53, 48928, event.RST | event.ACK, 1, 40}}, event.RefusedIn, event.Info},
		{"answered probe", []half{{false, event.TCP, 48928, 22, whole, 20, 3000}, {true, event.TCP, 22, 48928, whole, 20, 4000}}, event.AnsweredIn, event.High},
		{"only our answer was seen", []half{{true, event.TCP, 443, 58879, whole, 9, 4000}}, event.ReplyOnly, event.Medium},
		{"our host tried", []half{{true, event.TCP, 50000, 443, event.SYN, 3, 120}}, event.ContactOut, event.High},
		{"our host was answered", []half{{true, event.TCP, 50000, 4444, whole, 30, 9000}, {false, event.TCP, 4444, 50000, whole, 30, 90000}}, event.AnsweredOut, event.Critical},
		{"our host was refused", []half{{true, event.TCP, 50000, 443, event.SYN, 1, 40}, {false, event.TCP, 443, 50000, event.RST | event.ACK, 1, 40}}, event.RefusedOut, event.Medium},
		{"our host sent data, the answer was not seen", []half{{true, event.TCP, 50000, 443, whole, 9, 4000}}, event.AnsweredOut, event.Critical},
		{"an ACK sweep", []half{{false, event.TCP, 50000, 443, event.ACK, 9, 360}}, event.ProbeIn, event.Low},
		{"DNS query out and back", []half{{true, event.UDP, 34567, 53, 0, 1, 71}, {false, event.UDP, 53, 34567, 0, 1, 400}}, event.AnsweredOut, event.Critical},
		{"a handshake and no more", []half{{false, event.TCP, 48928, 80, event.SYN | event.ACK, 2, 80}, {true, event.TCP, 80, 48928, event.SYN | event.ACK, 1, 44}}, event.ProbeIn, event.Low},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, reversed := range []bool{false, true} {
				c := NewContacts(DefaultConfig(), nil, nil)
				order := tc.halves
				if reversed && len(order) == 2 {
					order = []half{order[1], order[0]}
				}
				for i, h := range order {
					c.Judge(h.event(t0 + int64(i)))
				}
				if len(c.open) != 1 {
					t.Fatalf("%d incidents, want one (reversed %v)", len(c.open), reversed)
				}
				for _, i := range c.open {
					if w := c.warning(i); w.Verdict != tc.verdict || w.Severity != tc.severity {
						t.Errorf("%v %v, want %v %v (reversed %v)", w.Verdict, w.Severity, tc.verdict, tc.severity, reversed)
					}
				}
			}
		})
	}
}

// TestOneIncident follows a conversation that grows: said at first, when it is answered, when it has grown, and once
// more when it is over.
func TestOneIncident(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Grow = human.Size(100_000)
	c := NewContacts(cfg, map[netip.Addr]string{own: "pc"}, nil)
	var said []event.Warning
	judge := func(h half, at time.Duration) {
		if w := c.Judge(h.event(t0 + int64(at))); w != nil {
			said = append(said, *w)
		}
	}
	out, in := half{true, event.TCP, 50000, 4444, whole, 10, 4000}, half{false, event.TCP, 4444, 50000, whole, 10, 9000}
	judge(out, 0)
	judge(in, time.Second)
	for i := range 5 {
		judge(out, time.Duration(2+i)*time.Second)
	}
	in.bytes = 900_000
	judge(in, time.Minute)
	c.Sweep(t0+int64(2*time.Hour), func(w event.Warning) { said = append(said, w) })
	var got []string
	for _, w := range said {
		got = append(got, fmt.Sprint(w.State, ", ", w.Severity, ", ", w.Why))
	}
	want := []string{
		"opened, critical, first traffic with this address",
		"escalated, critical, 233 times the bytes since it was last said", "closed, critical, quiet since then",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("said\n%q, want\n%q", got, want)
	}
	last := said[len(said)-1]
	if last.Count != 8 || last.BytesOut != 24_000 || last.BytesIn != 909_000 || last.Own.Name != "pc" || last.Foreign.Port != 4444 {
		t.Errorf("%+v", last)
	}
	for _, w := range said {
		if w.ID != said[0].ID {
			t.Error("one incident has two ids")
		}
	}
}

func TestBiflowAndICMP(t *testing.T) {
	c := NewContacts(DefaultConfig(), nil, nil)
	e := half{true, event.TCP, 50000, 50001, whole, 10, 4000}.event(t0)
	e.HasReverse, e.RevPackets, e.RevBytes, e.RevTCPFlags = true, 10, 5000, whole
	if w := c.Judge(e); w == nil || w.Verdict != event.AnsweredOut || w.BytesIn != 5000 || w.Foreign.Port != 50001 {
		t.Errorf("biflow: %+v", w)
	}
	e = half{true, event.ICMP, 0, 0, 0, 1, 56}.event(t0)
	e.HasICMP, e.ICMPType, e.ICMPCode = true, 3, 3
	if w := c.Judge(e); w == nil || w.Verdict != event.RefusedIn || w.Severity != event.Info {
		t.Errorf("port unreachable of ours: %+v", w)
	}
}

func TestSampledProvesNothing(t *testing.T) {
	c := NewContacts(DefaultConfig(), nil, nil)
	e := half{true, event.TCP, 50000, 443, event.ACK, 512, 400_000}.event(t0)
	e.Sampling = 512
	if w := c.Judge(e); w == nil || w.Sampling != 512 || w.Why != "first traffic with this address; the traffic is sampled, so that no answer was seen proves nothing" {
		t.Errorf("%+v", w)
	}
}

// TestOrderOfHalves: whatever the order in which the halves of conversations arrive, the counters end the same.
func TestOrderOfHalves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []half
		for range rapid.IntRange(1, 10).Draw(t, "conversations") {
			client := uint16(rapid.IntRange(32768, 60000).Draw(t, "client"))
			all = append(all, half{true, event.TCP, client, 443, whole, 5, 700}, half{false, event.TCP, 443, client, whole, 6, 900})
		}
		seed := rapid.Uint64().Draw(t, "seed")
		run := func(order []half) (w event.Warning) {
			c := NewContacts(DefaultConfig(), nil, nil)
			for _, h := range order {
				c.Judge(h.event(t0))
			}
			if len(c.open) != 1 {
				t.Fatalf("%d incidents", len(c.open))
			}
			for _, i := range c.open {
				w = c.warning(i)
			}
			return w
		}
		a := run(all)
		shuffled := append([]half(nil), all...)
		rand.New(rand.NewPCG(seed, 1)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		b := run(shuffled)
		if a.Verdict != b.Verdict || a.BytesIn != b.BytesIn || a.BytesOut != b.BytesOut || a.Count != b.Count || a.Severity != b.Severity {
			t.Fatalf("%v %d %d against %v %d %d", a.Verdict, a.BytesIn, a.BytesOut, b.Verdict, b.BytesIn, b.BytesOut)
		}
	})
}

func TestIncidentsAreBoundedAndAccounted(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Max = 1000
	c := NewContacts(cfg, nil, nil)
	for i := range uint32(50_000) {
		e := half{false, event.TCP, 48928, 23, event.SYN, 1, 40}.event(t0 + int64(i))
		e.Src = netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)})
		c.Judge(e)
	}
	if len(c.open) != 1000 || c.order.Len() != 1000 {
		t.Errorf("%d incidents open, at most 1000", len(c.open))
	}
	if c.opened != c.closed+c.evicted+uint64(len(c.open)) {
		t.Errorf("opened %d, closed %d, evicted %d, open %d", c.opened, c.closed, c.evicted, len(c.open))
	}
}

// TestRefusedAreOneIncident: what a firewall refuses of a listed prober is one incident, however many addresses and ports
// it tries; where it is let in that is another, and worse.
func TestRefusedAreOneIncident(t *testing.T) {
	c := NewContacts(DefaultConfig(), nil, nil)
	var got []string
	take := func(e *event.Event) {
		if w := c.Judge(e); w != nil {
			got = append(got, fmt.Sprintf("%v %v %v %v %d: %s", w.State, w.Severity, w.Verdict, w.Own.Addr, w.Own.Port, w.Why))
		}
	}
	for i := range 200 {
		e := half{false, event.TCP, 48928, uint16(20 + i/20), event.SYN, 1, 40}.event(t0 + int64(i)*int64(time.Second))
		e.Kind, e.Action, e.Dst = event.Probe, event.Deny, netip.AddrFrom4([4]byte{192, 0, 2, byte(i % 14)})
		if i == 150 {
			e.Evidence = append(e.Evidence, event.Evidence{List: "second", Confidence: 90, Side: event.SideSrc})
		}
		take(e)
	}
	c.Sweep(t0+int64(23*time.Hour), func(event.Warning) {})
	if len(c.open) != 1 {
		t.Errorf("%d incidents are open the day after, want 1", len(c.open))
	}
	take(half{false, event.TCP, 48928, 22, whole, 20, 3000}.event(t0 + int64(time.Hour)))
	c.Sweep(t0+int64(26*time.Hour), func(w event.Warning) { got = append(got, "closed "+w.Severity.String()) })
	want := []string{
		"opened info refused in 192.0.2.0 20: first traffic with this address",
		"escalated info refused in invalid IP 0: the firewall refused it at 14 addresses of ours: another list names it now",
		"opened high answered in 192.0.2.7 22: first traffic with this address",
		"closed high",
	}
	if !slices.Equal(got, want) {
		t.Errorf("said\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestIncidentsSurviveRestart: the same traffic gives the same warnings, under the same ids, also where the program was
// restarted in between.
func TestIncidentsSurviveRestart(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	live, replay := NewContacts(DefaultConfig(), nil, nil), NewContacts(DefaultConfig(), nil, nil)
	var a, b []event.Warning
	restarts := 0
	for i := range 4000 {
		h := half{rng.IntN(2) == 0, []uint8{event.TCP, event.UDP}[rng.IntN(2)], 50000, []uint16{443, 53, 4444}[rng.IntN(3)], uint8(rng.Uint32()), 1 + rng.Uint64N(9), rng.Uint64N(90_000)}
		if !h.out {
			h.sport, h.dport = h.dport, h.sport
		}
		e := h.event(t0 + int64(i)*int64(2*time.Minute))
		other := netip.AddrFrom4([4]byte{203, 0, 113, byte(i / 40)})
		for _, addr := range []*netip.Addr{&e.Src, &e.Dst} {
			if *addr == foreign {
				*addr = other
			}
		}
		if i%7 == 0 && !h.out {
			e.Kind, e.Action = event.Probe, event.Deny
		}
		e.Evidence[0].Entry, e.Evidence[0].Tags = netip.PrefixFrom(other, 32), []string{"c2"}
		if rng.IntN(5) == 0 {
			e.Evidence = append(e.Evidence, event.Evidence{List: "second", Text: "x.example", Name: "a name", URL: "https://x.example/", Confidence: 90})
		}
		if w := live.Judge(e); w != nil {
			a = append(a, *w)
		}
		if w := replay.Judge(e); w != nil {
			b = append(b, *w)
		}
		live.Sweep(e.Time, func(w event.Warning) { a = append(a, w) })
		replay.Sweep(e.Time, func(w event.Warning) { b = append(b, w) })
		if i%37 == 0 {
			var state bytes.Buffer
			if err := replay.Save(&state); err != nil {
				t.Fatal(err)
			}
			damaged := flipped(state.Bytes(), state.Len()/2)
			if replay = NewContacts(DefaultConfig(), nil, nil); replay.Load(bytes.NewReader(damaged)) == nil || len(replay.open)+replay.order.Len() != 0 {
				t.Fatal("a damaged state was loaded")
			}
			if err := replay.Load(&state); err != nil {
				t.Fatal(err)
			}
			restarts += len(replay.open)
		}
	}
	if len(a) != len(b) || len(a) < 300 || restarts < 300 {
		t.Fatalf("%d warnings live, %d with restarts over %d open incidents", len(a), len(b), restarts)
	}
	for i := range a {
		if x, y := string(a[i].AppendJSON(nil, 0)), string(b[i].AppendJSON(nil, 0)); x != y {
			t.Fatalf("warning %d:\n%s\n%s", i, x, y)
		}
	}
}
