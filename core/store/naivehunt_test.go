package store

import (
	"cmp"
	"context"
	"net/netip"
	"slices"

	"varde/event"
	"varde/event/query"
)

// pair is what a hunt has one contact of.
type pair struct {
	own, foreign netip.Addr
	kind         event.Kind
}

// hunted is a contact in the making: all its services with how many events each has, and sums of all events and of
// each direction.
type hunted struct {
	query.Contact
	services     map[string]int
	all, out, in tally
	left, came   bool // something went from Own, or to it
}

func (s *naive) Hunt(ctx context.Context, b query.Box, entries []netip.Prefix) ([]query.Contact, error) {
	var out []query.Contact
	for _, h := range s.hunt(b, entries) {
		for service := range h.services {
			h.Ports = append(h.Ports, service)
		}
		slices.SortFunc(h.Ports, func(x, y string) int { return cmp.Compare(h.services[y], h.services[x]) })
		h.Ports = h.Ports[:min(len(h.Ports), query.MaxContactPorts)]
		out = append(out, h.Contact)
	}
	slices.SortFunc(out, func(x, y query.Contact) int { return cmp.Compare(y.Last, x.Last) })
	return out, ctx.Err()
}

// hunt finds the contacts without their order and ports.
func (s *naive) hunt(b query.Box, entries []netip.Prefix) map[pair]*hunted {
	narrowest := func(a netip.Addr) (best netip.Prefix) {
		for _, p := range entries {
			if p.Contains(a) && (!best.IsValid() || p.Bits() > best.Bits()) {
				best = p
			}
		}
		return best
	}
	found := map[pair]*hunted{}
	for _, e := range s.in(b) {
		bySrc, byDst := narrowest(e.Src), narrowest(e.Dst)
		if !bySrc.IsValid() && !byDst.IsValid() {
			continue
		}
		fromOwn := e.Own == event.SideSrc || e.Own != event.SideDst && byDst.IsValid()
		p, entry, other := pair{e.Src, e.Dst, e.Kind}, byDst, bySrc
		if !fromOwn {
			p, entry, other = pair{e.Dst, e.Src, e.Kind}, bySrc, byDst
		}
		if !entry.IsValid() {
			entry = other
		}
		h := found[p]
		if h == nil {
			h = &hunted{Contact: query.Contact{Own: p.own, Foreign: p.foreign, Kind: p.kind, Entry: entry}, services: map[string]int{}}
			found[p] = h
		}
		h.add(&e, fromOwn)
	}
	for _, h := range found {
		all, out, in := h.all.totals(false), h.out.totals(false), h.in.totals(false)
		h.First, h.Events, h.Sampled, h.Answered = all.First, all.Events, all.Sampled, h.left && h.came
		h.PacketsOut, h.BytesOut, h.PacketsIn, h.BytesIn = out.Packets, out.Bytes, in.Packets, in.Bytes
	}
	return found
}

func (h *hunted) add(e *event.Event, fromOwn bool) {
	h.all.add(e)
	h.Last = max(h.Last, e.Last())
	there, back := *e, event.Event{Packets: e.RevPackets, Bytes: e.RevBytes}
	there.HasReverse = false
	if !e.HasReverse {
		back = event.Event{}
	}
	if fromOwn {
		h.out.add(&there)
		h.in.add(&back)
	} else {
		h.in.add(&there)
		h.out.add(&back)
	}
	h.left = h.left || fromOwn || back.Packets > 0
	h.came = h.came || !fromOwn || back.Packets > 0
	lower := *e
	if e.DstPort == 0 || e.SrcPort != 0 && e.SrcPort < e.DstPort {
		lower.DstPort = e.SrcPort
	}
	h.services[query.Keys(query.FieldService, &lower)[0]]++
}
