package web

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"varde/event"
	"varde/event/query"
)

// memStore is a store in memory, naive on purpose: what it says is what package query says.
type memStore struct {
	now    func() time.Time
	events []event.Event // by Time
	fail   error         // what every question is answered with, nil none

	mu        sync.Mutex
	incidents []query.Incident
	sessions  []query.Session // of every address
	mutes     []query.Mute
	lastMute  uint64
}

func (m *memStore) each(ctx context.Context, b query.Box, do func(*event.Event)) error {
	if m.fail != nil {
		return m.fail
	}
	from, _ := slices.BinarySearchFunc(m.events, b.From, func(e event.Event, t int64) int { return cmp.Compare(e.Time, t) })
	for i := from; i < len(m.events); i++ {
		if b.To != 0 && m.events[i].Time >= b.To {
			break
		}
		if i%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if b.Has(&m.events[i]) {
			do(&m.events[i])
		}
	}
	return ctx.Err()
}

func (m *memStore) Tail(ctx context.Context, b query.Box, n int) ([]event.Event, error) {
	if n < 1 || n > query.MaxRows {
		return nil, errors.New("n is out of bounds")
	}
	var out []event.Event
	err := m.each(ctx, b, func(e *event.Event) {
		out = append(out, *e)
		if len(out) > 2*n+1000 {
			out = append(out[:0], out[len(out)-n:]...)
		}
	})
	slices.Reverse(out)
	return out[:min(n, len(out))], err
}

func (m *memStore) Pixels(ctx context.Context, b query.Box, g query.Grid) ([]query.Pixel, error) {
	counts := map[query.Pixel]uint64{}
	err := m.each(ctx, b, func(e *event.Event) {
		p := query.Pixel{X: uint32((e.Time - b.From) / 1000 * int64(g.Width) / ((b.To - b.From) / 1000)), Class: query.ClassOf(e)}
		if query.HasPort(e.Proto, e.DstPort) {
			p.Y = g.Row(e.DstPort)
		}
		counts[p] += e.Hits()
	})
	out := make([]query.Pixel, 0, len(counts))
	for p, n := range counts {
		p.Count = n
		out = append(out, p)
	}
	slices.SortFunc(out, func(p, q query.Pixel) int {
		return cmp.Or(cmp.Compare(p.Class, q.Class), cmp.Compare(p.X, q.X), cmp.Compare(p.Y, q.Y))
	})
	return out, err
}

func (m *memStore) Points(ctx context.Context, b query.Box, n int) (out []query.Point, err error) {
	err = m.each(ctx, b, func(e *event.Event) {
		p := query.Point{Time: e.Time, Src: e.Src, Dst: e.Dst, Class: query.ClassOf(e), Count: uint32(e.Hits())}
		if query.HasPort(e.Proto, e.DstPort) {
			p.Port = e.DstPort
		}
		if len(out) < n {
			out = append(out, p)
		}
	})
	return out, err
}

func totalsOf(e *event.Event) query.Totals {
	packets, bytes := query.Volume(e)
	return query.Totals{Events: e.Hits(), Packets: packets, Bytes: bytes, First: e.Time, Last: e.Time, Sampled: e.Sampling > 1}
}

// sums is a group in the making.
type sums struct {
	query.Group
	sources map[netip.Addr]bool
}

func (m *memStore) Top(ctx context.Context, b query.Box, t query.TopBy) (query.Groups, error) {
	if err := t.Check(); err != nil {
		return query.Groups{}, err
	}
	groups := map[string]*sums{}
	var out query.Groups
	all := map[netip.Addr]bool{}
	err := m.each(ctx, b, func(e *event.Event) {
		out.Total.Add(totalsOf(e))
		keys := [][]string{nil}
		for _, f := range t.Fields {
			var next [][]string
			for _, k := range keys {
				for _, v := range query.Keys(f, e) {
					next = append(next, append(slices.Clip(k), v))
				}
			}
			keys = next
		}
		if t.Order == query.BySources {
			all[e.Src] = true
		}
		for _, k := range keys {
			id := strings.Join(k, "\x00")
			g := groups[id]
			if g == nil {
				g = &sums{query.Group{Key: k}, map[netip.Addr]bool{}}
				groups[id] = g
			}
			g.Add(totalsOf(e))
			if t.Order == query.BySources {
				g.sources[e.Src] = true
			}
		}
	})
	out.Total.Sources = uint64(len(all))
	for _, g := range groups {
		g.Sources = uint64(len(g.sources))
		out.Rows = append(out.Rows, g.Group)
	}
	slices.SortFunc(out.Rows, func(a, b query.Group) int {
		return cmp.Or(cmp.Compare(t.Order.Of(&b.Totals), t.Order.Of(&a.Totals)), slices.Compare(a.Key, b.Key))
	})
	out.Groups = uint64(len(out.Rows))
	out.Rows = out.Rows[:min(t.N, len(out.Rows))]
	return out, err
}

func (m *memStore) Distinct(ctx context.Context, b query.Box, f query.Field) (uint64, error) {
	seen := map[string]bool{}
	err := m.each(ctx, b, func(e *event.Event) {
		for _, k := range query.Keys(f, e) {
			if k != "" {
				seen[k] = true
			}
		}
	})
	return uint64(len(seen)), err
}

func (m *memStore) Series(ctx context.Context, b query.Box, s query.SeriesBy) ([]query.Series, error) {
	if err := s.Check(b); err != nil {
		return nil, err
	}
	place := map[string]int{}
	lines := make([]query.Series, 1)
	if s.Field != query.NoField {
		top, err := m.Top(ctx, b, query.TopBy{Fields: []query.Field{s.Field}, Order: s.Order, N: s.N + 1})
		if err != nil {
			return nil, err
		}
		lines = lines[:0]
		for _, g := range top.Rows {
			if g.Key[0] != "" && len(lines) < s.N {
				place[g.Key[0]] = len(lines)
				lines = append(lines, query.Series{Key: g.Key[0]})
			}
		}
		lines = append(lines, query.Series{})
	}
	for i := range lines {
		lines[i].Steps = make([]query.Totals, s.Steps(b))
	}
	rest := false
	err := m.each(ctx, b, func(e *event.Event) {
		i := len(lines) - 1
		if s.Field != query.NoField {
			if at, ok := place[query.Keys(s.Field, e)[0]]; ok {
				i = at
			}
		}
		rest = rest || i == len(lines)-1
		lines[i].Steps[(e.Time-b.From)/int64(s.Step)].Add(totalsOf(e))
	})
	if s.Field != query.NoField && !rest {
		lines = lines[:len(lines)-1]
	}
	return lines, err
}

func (m *memStore) Address(ctx context.Context, b query.Box, a netip.Addr) (query.Address, error) {
	out := query.Address{Addr: a, Sessions: m.sessions}
	peers, services, exporters, days := map[string]*query.Group{}, map[string]*query.Group{}, map[string]*query.Group{}, map[int64]*query.Totals{}
	add := func(to map[string]*query.Group, t query.Totals, key ...string) {
		id := strings.Join(key, "\x00")
		if to[id] == nil {
			to[id] = &query.Group{Key: key}
		}
		to[id].Add(t)
	}
	err := m.each(ctx, b, func(e *event.Event) {
		if e.Src != a && e.Dst != a {
			return
		}
		t := totalsOf(e)
		role, peer := "used", e.Dst
		if e.Src != a {
			role, peer = "served", e.Src
		}
		out.Add(e.Kind, e.Src != a, t)
		add(peers, t, peer.String())
		add(services, t, query.Keys(query.FieldService, e)[0], role)
		add(exporters, t, e.Exporter)
		begin := e.Time - e.Time%int64(24*time.Hour)
		if days[begin] == nil {
			days[begin] = &query.Totals{}
		}
		days[begin].Add(t)
		days[begin].First = begin
	})
	out.Peers, out.Services, out.Exporters = sorted(peers), sorted(services), sorted(exporters)
	for _, d := range days {
		out.Days = append(out.Days, *d)
	}
	slices.SortFunc(out.Days, func(a, b query.Totals) int { return cmp.Compare(a.First, b.First) })
	slices.SortFunc(out.ByKind, func(a, b query.KindTotals) int { return cmp.Compare(a.Kind, b.Kind) })
	if err == nil {
		out.Incidents, err = m.Incidents(ctx, query.IncidentBox{From: b.From, To: b.To, Addr: netip.PrefixFrom(a, a.BitLen()), Limit: query.MaxAddressRows})
	}
	return out, err
}

func sorted(groups map[string]*query.Group) []query.Group {
	var out []query.Group
	for _, g := range groups {
		out = append(out, *g)
	}
	slices.SortFunc(out, func(a, b query.Group) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(b.Events, a.Events), slices.Compare(a.Key, b.Key))
	})
	return out[:min(len(out), query.MaxAddressRows)]
}

func (m *memStore) Incidents(_ context.Context, q query.IncidentBox) ([]query.Incident, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []query.Incident
	for _, i := range m.incidents {
		i.Muted = nil
		for k := range m.mutes {
			if m.mutes[k].Covers(&i.Warning, m.now().UnixNano()) {
				mute := m.mutes[k]
				i.Muted = &mute
			}
		}
		if i.Last < q.From || q.To != 0 && i.Last >= q.To || i.Severity < q.Min || q.Rule != "" && i.Rule != q.Rule || q.ID != "" && i.ID != q.ID ||
			q.List != "" && !slices.Contains(listsOf(&i.Warning), q.List) ||
			q.Addr.IsValid() && !q.Addr.Contains(i.Own.Addr) && !q.Addr.Contains(i.Foreign.Addr) ||
			q.Open && (i.State == event.Closed || i.Acked != 0 || i.Muted != nil) {
			continue
		}
		out = append(out, i)
	}
	slices.SortFunc(out, func(a, b query.Incident) int {
		return cmp.Or(cmp.Compare(b.Last, a.Last), cmp.Compare(a.ID, b.ID))
	})
	return out[:min(q.Limit, len(out))], m.fail
}

func (m *memStore) Ack(_ context.Context, id, by, why string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.incidents {
		if m.incidents[i].ID == id {
			m.incidents[i].Acked, m.incidents[i].AckBy, m.incidents[i].AckWhy = m.now().UnixNano(), by, why
			return nil
		}
	}
	return errors.New("there is no such incident")
}

func (m *memStore) AddMute(_ context.Context, mute query.Mute) (query.Mute, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lastMute++
	mute.ID = m.lastMute
	m.mutes = append(m.mutes, mute)
	return mute, nil
}

func (m *memStore) EndMute(_ context.Context, id uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mutes = slices.DeleteFunc(m.mutes, func(mute query.Mute) bool { return mute.ID == id })
	return nil
}

func (m *memStore) Mutes(context.Context) ([]query.Mute, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := slices.Clone(m.mutes)
	slices.Reverse(out)
	return out, m.fail
}
