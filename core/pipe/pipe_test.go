package pipe

import (
	"context"
	"net/netip"
	"testing"

	"varde/event"
)

type judge func(*event.Event) *event.Warning

func (j judge) Judge(e *event.Event) *event.Warning { return j(e) }

// listed matches 203.0.113.0/24 on either side.
func listed(e *event.Event) {
	net := netip.MustParsePrefix("203.0.113.0/24")
	e.Evidence = e.Evidence[:0]
	if net.Contains(e.Src) {
		e.Evidence = append(e.Evidence, event.Evidence{Side: event.SideSrc})
	}
	if net.Contains(e.Dst) {
		e.Evidence = append(e.Evidence, event.Evidence{Side: event.SideDst})
	}
}

func TestSides(t *testing.T) {
	for _, tc := range []struct {
		name, src, dst, nat string
		own                 []netip.Prefix
		want                event.Side
		judged              bool
	}{
		{"ours goes out", "192.0.2.1", "203.0.113.1", "", prefixes("192.0.2.0/24"), event.SideSrc, true},
		{"they come in", "203.0.113.1", "192.0.2.1", "", prefixes("192.0.2.0/24"), event.SideDst, true},
		{"neither is ours", "198.51.100.1", "203.0.113.1", "", prefixes("192.0.2.0/24"), 0, true},
		{"both are ours", "192.0.2.1", "203.0.113.1", "", prefixes("192.0.2.0/24", "203.0.113.0/24"), 0, false},
		{"ours behind NAT", "10.0.0.1", "203.0.113.1", "192.0.2.1", prefixes("192.0.2.0/24"), event.SideSrc, true},
		{"no own networks: the unlisted end", "203.0.113.1", "198.51.100.1", "", nil, event.SideDst, true},
		{"nothing listed", "192.0.2.1", "198.51.100.1", "", prefixes("192.0.2.0/24"), 0, false},
	} {
		judged, said := false, 0
		var side event.Side
		p := New(Options{Own: tc.own, Match: listed, Say: func(event.Warning) { said++ }, Detectors: []Detector{
			judge(func(e *event.Event) *event.Warning { judged, side = true, e.Own; return &event.Warning{} }),
		}})
		e := event.Event{Src: netip.MustParseAddr(tc.src), Dst: netip.MustParseAddr(tc.dst)}
		if tc.nat != "" {
			e.NATSrc = netip.MustParseAddr(tc.nat)
		}
		p.Emit(&e)
		if judged != tc.judged || judged && (side != tc.want || said != 1) {
			t.Errorf("%s: judged %v, side %v, said %d", tc.name, judged, side, said)
		}
		if f, err := p.Figures(context.Background()); err != nil || f[0].Count != 1 {
			t.Errorf("%s: %v %v", tc.name, f, err)
		}
	}
}

func prefixes(all ...string) (out []netip.Prefix) {
	for _, s := range all {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func TestEmitAllocatesNothing(t *testing.T) {
	p := New(Options{Own: prefixes("192.0.2.0/24"), Match: func(e *event.Event) { e.Evidence = e.Evidence[:0] }})
	e := event.Event{Src: netip.MustParseAddr("192.0.2.1"), Dst: netip.MustParseAddr("198.51.100.1")}
	if n := testing.AllocsPerRun(100, func() { p.Emit(&e) }); n != 0 {
		t.Errorf("%v allocations an event, want 0", n)
	}
}
