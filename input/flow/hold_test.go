package flow_test

import (
	"bytes"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"varde/event"
	"varde/event/human"
	"varde/input/flow"
	"varde/input/flow/flowgen"
)

var both = map[string]flow.Version{"netflow9": flow.NetFlow9, "ipfix": flow.IPFIX}

// fields and values of the flows here: an address and a count of bytes.
func plainFields() []spec       { return []spec{{8, 4, 0}, {1, 4, 0}} }
func plainRow(bytes int) []byte { return row(ip("198.51.100.1"), num(4, uint64(bytes))) }
func count(n *int) event.Emit   { return func(*event.Event) { *n++ } }
func sequenceOf(v flow.Version, datagram, records int) uint32 {
	if v == flow.IPFIX {
		return uint32(records)
	}
	return uint32(datagram)
}

// TestTemplateBehindItsData has both in one message, the wrong way round.
func TestTemplateBehindItsData(t *testing.T) {
	for name, v := range both {
		t.Run(name, func(t *testing.T) {
			c, got := collector(t), 0
			r := c.Reader(count(&got))
			flows := set(300, row(plainRow(1), plainRow(2)))
			unknown := set(400, plainRow(3)) // its template is not in this message
			r.Packet(router, export(v, sequenceOf(v, 0, 0), flows, unknown, templates(v, plainFields()), flows), now)
			r.Packet(router, export(v, sequenceOf(v, 1, 5), flows), now)
			if s := c.Exporters()[0]; got != 6 || s.Held != 1 || s.LostBefore != 0 || s.Restarts != 0 {
				t.Errorf("%d records, %+v", got, s)
			}
		})
	}
}

// TestLossAmongHeldSets loses a message while the template is not known: how many records that were can only be told
// once the others are decoded.
func TestLossAmongHeldSets(t *testing.T) {
	for name, v := range both {
		t.Run(name, func(t *testing.T) {
			c, got := collector(t), 0
			r := c.Reader(count(&got))
			for i := range 10 {
				if i != 5 {
					r.Packet(router, export(v, sequenceOf(v, i, 2*i), set(300, row(plainRow(1), plainRow(2)))), now)
				}
			}
			if s := c.Exporters()[0]; got != 0 || s.Held != 9 || v == flow.IPFIX && s.LostBefore != 0 {
				t.Errorf("before the template: %d records, %+v", got, s)
			}
			r.Packet(router, export(v, sequenceOf(v, 10, 20), templates(v, plainFields())), now)
			want := uint64(1)
			if v == flow.IPFIX {
				want = 2 // records
			}
			if s := c.Exporters()[0]; got != 18 || s.Held != 0 || s.LostBefore != want {
				t.Errorf("%d records, %d lost, want 18 and %d: %+v", got, s.LostBefore, want, s)
			}
		})
	}
}

// TestHeldSetsAreGivenUp lets the time run out, and then the room.
func TestHeldSetsAreGivenUp(t *testing.T) {
	for name, v := range both {
		t.Run(name, func(t *testing.T) {
			cfg := flow.DefaultConfig()
			cfg.Hold, cfg.HoldTime = 4096, human.Duration(time.Minute)
			var log bytes.Buffer
			c, err := flow.New(cfg, slog.New(slog.NewTextHandler(&log, nil)))
			if err != nil {
				t.Fatal(err)
			}
			got := 0
			r := c.Reader(count(&got))
			flows := set(300, plainRow(1))
			for i := range 3 {
				r.Packet(router, export(v, sequenceOf(v, i, i), flows), now+int64(i)*30*second)
			}
			r.Packet(router, export(v, sequenceOf(v, 3, 3), flows), now+85*second) // the first has waited 85 s
			if s := c.Exporters()[0]; s.Held != 3 || s.Undecoded != 1 || !s.HeldSince.Equal(event.Stamp(now+30*second)) {
				t.Errorf("after the time: %+v", s)
			}
			if !strings.Contains(log.String(), "data sets given up: their template did not come") || !strings.Contains(log.String(), "sets=1") {
				t.Errorf("log: %s", &log)
			}
			for i := range 100 {
				r.Packet(router, export(v, sequenceOf(v, 4+i, 4+i), flows), now+86*second)
			}
			s := c.Exporters()[0]
			if s.HeldBytes > 4096 || s.Held < 5 || s.Held+int(s.Undecoded) != 104 {
				t.Errorf("beyond the room: %+v", s)
			}
			held := s.Held
			r.Packet(router, export(v, sequenceOf(v, 104, 104), templates(v, plainFields())), now+87*second)
			r.Packet(router, export(v, sequenceOf(v, 105, 104), flows), now+87*second)
			if s := c.Exporters()[0]; got != held+1 || s.Held != 0 || s.LostBefore != 0 {
				t.Errorf("after the template: %d records of %d held sets, %+v", got, held, s)
			}
			r.Packet(router, export(v, sequenceOf(v, 107, 106), flows), now+87*second) // one before it is lost
			if s := c.Exporters()[0]; s.LostBefore != 1 {
				t.Errorf("%d lost, want 1", s.LostBefore)
			}
		})
	}
}

// TestTemplatesOfOtherPorts has a router come back from another port: its layouts are still known, unless those of two
// ports differ.
func TestTemplatesOfOtherPorts(t *testing.T) {
	c, got := collector(t), 0
	r := c.Reader(count(&got))
	port := func(n uint16) netip.AddrPort { return netip.AddrPortFrom(router.Addr(), n) }
	flows := export(flow.NetFlow9, 0, set(300, plainRow(1)))
	for _, n := range []uint16{1, 2} {
		r.Packet(port(n), export(flow.NetFlow9, 0, templates(flow.NetFlow9, plainFields())), now)
	}
	if r.Packet(port(3), flows, now); got != 1 {
		t.Errorf("%d records by the layout of other ports, want 1", got)
	}
	r.Packet(port(2), export(flow.NetFlow9, 1, templates(flow.NetFlow9, []spec{{1, 4, 0}, {8, 4, 0}})), now)
	if r.Packet(port(4), flows, now); got != 1 || c.Exporters()[0].Held != 1 {
		t.Errorf("%d records though two layouts are possible, %+v", got, c.Exporters()[0])
	}
	if r.Packet(port(1), flows, now); got != 2 {
		t.Errorf("%d records, want 2: the port's own layout is known", got)
	}
}

// TestAnyOrderIsCountedExactly sends 3,000 datagrams, some of them late and some never, and compares with what is missing.
func TestAnyOrderIsCountedExactly(t *testing.T) {
	for name, p := range map[string]flowgen.Protocol{"netflow5": flowgen.NetFlow5, "netflow9": flowgen.NetFlow9, "ipfix": flowgen.IPFIX} {
		t.Run(name, func(t *testing.T) {
			all := datagrams(p, 3000)
			for seed := range uint64(20) {
				rng := rand.New(rand.NewPCG(seed, 0))
				c := collector(t)
				r := c.Reader(func(*event.Event) {})
				var late [][]byte
				lost := uint64(0)
				for i, b := range all {
					if first, last := i < 2, i >= len(all)-20; first || last { // both ends come, so that every gap is seen
						r.Packet(router, b, now)
						continue
					}
					switch n := rng.IntN(100); {
					case n < 2:
						lost++
					case n < 6 && len(late) < 8:
						late = append(late, b)
					default:
						r.Packet(router, b, now)
					}
					if len(late) > 0 && rng.IntN(4) == 0 {
						r.Packet(router, late[0], now)
						late = late[1:]
					}
				}
				for _, b := range late {
					r.Packet(router, b, now)
				}
				s := c.Exporters()[0]
				if missing := uint64(len(all)) - s.Datagrams; missing != lost || s.LostBefore != lost || s.Restarts+s.Duplicates != 0 {
					t.Fatalf("seed %d: %d lost, counted %d: %+v", seed, lost, s.LostBefore, s)
				}
			}
		})
	}
}
