package store

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/big"
	"net/netip"
	"slices"
	"time"

	"varde/event"
	"varde/event/query"
)

// naive keeps everything in memory and looks at all of it for every question. It is what the answers of a store are
// compared with, so it is plain rather than fast: it takes the comments of package query by the word.
type naive struct {
	events []event.Event
	said   []event.Warning
	acks   map[string]query.Incident // only the fields of the acknowledgement
	mutes  []query.Mute
}

var _ query.Reader = (*naive)(nil)

func (s *naive) Put(e *event.Event) { s.events = append(s.events, e.Clone()) }

func (s *naive) Flush(context.Context) error { return nil }

func (s *naive) Say(_ context.Context, w event.Warning) error {
	s.said = append(s.said, w)
	return nil
}

func (s *naive) Ack(_ context.Context, id, person, why string) error {
	if !slices.ContainsFunc(s.said, func(w event.Warning) bool { return w.ID == id }) {
		return fmt.Errorf("no incident %s", id)
	}
	if s.acks == nil {
		s.acks = map[string]query.Incident{}
	}
	s.acks[id] = query.Incident{Acked: noon.UnixNano(), AckBy: person, AckWhy: why}
	return nil
}

func (s *naive) AddMute(_ context.Context, m query.Mute) (query.Mute, error) {
	m.ID, m.Created = uint64(len(s.mutes)+1), noon.UnixNano()
	s.mutes = append(s.mutes, m)
	return m, nil
}

// in are the events of a box.
func (s *naive) in(b query.Box) (out []event.Event) {
	for i := range s.events {
		if b.Has(&s.events[i]) {
			out = append(out, s.events[i])
		}
	}
	return out
}

func (s *naive) Tail(ctx context.Context, b query.Box, n int) ([]event.Event, error) {
	out := s.in(b)
	slices.SortStableFunc(out, func(x, y event.Event) int { return cmp.Compare(y.Time, x.Time) })
	return first(ctx, out, n, query.MaxRows)
}

// first are the first n rows.
func first[T any](ctx context.Context, rows []T, n, most int) ([]T, error) {
	if n < 1 || n > most {
		return nil, fmt.Errorf("%d rows", n)
	}
	return rows[:min(n, len(rows))], ctx.Err()
}

// tally sums up events without a limit to the numbers.
type tally struct {
	events, packets, bytes big.Int
	first, last            int64
	sampled                bool
	sources                map[netip.Addr]bool
}

func (t *tally) add(e *event.Event) {
	add := func(to *big.Int, n uint64) { to.Add(to, new(big.Int).SetUint64(n)) }
	if t.sources == nil {
		t.sources, t.first, t.last = map[netip.Addr]bool{}, e.Time, e.Time
	}
	add(&t.events, e.Hits())
	add(&t.packets, e.Packets)
	add(&t.bytes, e.Bytes)
	if e.HasReverse {
		add(&t.packets, e.RevPackets)
		add(&t.bytes, e.RevBytes)
	}
	t.first, t.last = min(t.first, e.Time), max(t.last, e.Time)
	t.sampled = t.sampled || e.Sampling > 1
	if e.Src.IsValid() {
		t.sources[e.Src] = true
	}
}

func capAt64(n *big.Int) uint64 {
	if !n.IsUint64() {
		return math.MaxUint64
	}
	return n.Uint64()
}

func (t *tally) totals(sources bool) query.Totals {
	out := query.Totals{Events: capAt64(&t.events), Packets: capAt64(&t.packets), Bytes: capAt64(&t.bytes), First: t.first, Last: t.last, Sampled: t.sampled}
	if sources {
		out.Sources = uint64(len(t.sources))
	}
	return out
}

// keysOf are the keys of an event: more than one where it is on several lists, none by list where it is on none.
func groupKeys(e *event.Event, fields []query.Field) [][]string {
	keys := [][]string{nil}
	for _, f := range fields {
		var longer [][]string
		for _, key := range keys {
			for _, value := range query.Keys(f, e) {
				longer = append(longer, append(slices.Clone(key), value))
			}
		}
		keys = longer
	}
	return keys
}

// grouped are all groups, largest first.
func grouped(events []event.Event, by query.Order, keys func(*event.Event) [][]string) []query.Group {
	tallies := map[string]*tally{}
	of := map[string][]string{}
	for i := range events {
		for _, key := range keys(&events[i]) {
			name := fmt.Sprintf("%q", key)
			if tallies[name] == nil {
				tallies[name], of[name] = &tally{}, key
			}
			tallies[name].add(&events[i])
		}
	}
	out := make([]query.Group, 0, len(of))
	for name, t := range tallies {
		out = append(out, query.Group{Key: of[name], Totals: t.totals(by == query.BySources)})
	}
	slices.SortFunc(out, func(x, y query.Group) int { return cmp.Compare(by.Of(&y.Totals), by.Of(&x.Totals)) })
	return out
}

func (s *naive) Top(ctx context.Context, b query.Box, t query.TopBy) (out query.Groups, err error) {
	if err := t.Check(); err != nil {
		return out, err
	}
	events := s.in(b)
	out.Rows = grouped(events, t.Order, func(e *event.Event) [][]string { return groupKeys(e, t.Fields) })
	out.Groups = uint64(len(out.Rows))
	out.Rows = out.Rows[:min(t.N, len(out.Rows))]
	var all tally
	for i := range events {
		all.add(&events[i])
	}
	out.Total = all.totals(t.Order == query.BySources)
	return out, ctx.Err()
}

func (s *naive) Distinct(ctx context.Context, b query.Box, f query.Field) (uint64, error) {
	if !f.Groups() {
		return 0, fmt.Errorf("%s does not group", f)
	}
	values := map[string]bool{}
	for _, e := range s.in(b) {
		for _, value := range query.Keys(f, &e) {
			values[value] = true
		}
	}
	delete(values, "")
	return uint64(len(values)), ctx.Err()
}

func (s *naive) Series(ctx context.Context, b query.Box, by query.SeriesBy) (out []query.Series, err error) {
	if err := by.Check(b); err != nil {
		return nil, err
	}
	events := s.in(b)
	values := make([]string, len(events))
	for i := range events {
		if by.Field != query.NoField {
			values[i] = query.Keys(by.Field, &events[i])[0]
		}
	}
	var names []string
	for _, g := range grouped(events, by.Order, func(e *event.Event) [][]string { return groupKeys(e, []query.Field{by.Field}) }) {
		if by.Field != query.NoField && g.Key[0] != "" && len(names) < by.N {
			names = append(names, g.Key[0])
		}
	}
	if by.Field == query.NoField || slices.ContainsFunc(values, func(v string) bool { return !slices.Contains(names, v) }) {
		names = append(names, "")
	}
	for _, name := range names {
		steps := make([]tally, by.Steps(b))
		for i := range events {
			if values[i] == name || name == "" && !slices.Contains(names, values[i]) {
				steps[(events[i].Time-b.From)/int64(by.Step)].add(&events[i])
			}
		}
		series := query.Series{Key: name}
		for i := range steps {
			series.Steps = append(series.Steps, steps[i].totals(by.Order == query.BySources))
		}
		out = append(out, series)
	}
	return out, ctx.Err()
}

func (s *naive) Pixels(ctx context.Context, b query.Box, g query.Grid) (out []query.Pixel, err error) {
	if err := g.Check(b); err != nil {
		return nil, err
	}
	for _, e := range s.in(b) {
		x := new(big.Int).Mul(big.NewInt(e.Time-b.From), big.NewInt(int64(g.Width)))
		x.Div(x, big.NewInt(b.To-b.From))
		p := query.Pixel{X: uint32(x.Int64()), Class: query.ClassOf(&e)}
		if query.HasPort(e.Proto, e.DstPort) {
			p.Y = g.Row(e.DstPort)
		}
		same := func(q query.Pixel) bool { return q.X == p.X && q.Y == p.Y && q.Class == p.Class }
		i := slices.IndexFunc(out, same)
		if i < 0 {
			i, out = len(out), append(out, p)
		}
		out[i].Count += e.Hits()
	}
	slices.SortFunc(out, func(p, q query.Pixel) int {
		return cmp.Or(cmp.Compare(p.Class, q.Class), cmp.Compare(p.X, q.X), cmp.Compare(p.Y, q.Y))
	})
	return out, ctx.Err()
}

func (s *naive) Points(ctx context.Context, b query.Box, n int) ([]query.Point, error) {
	var out []query.Point
	for _, e := range s.in(b) {
		p := query.Point{Time: e.Time, Src: e.Src, Dst: e.Dst, Class: query.ClassOf(&e), Count: uint32(e.Hits())}
		if query.HasPort(e.Proto, e.DstPort) {
			p.Port = e.DstPort
		}
		out = append(out, p)
	}
	slices.SortStableFunc(out, func(x, y query.Point) int { return cmp.Compare(x.Time, y.Time) })
	return first(ctx, out, n, query.MaxRows)
}

func (s *naive) Sessions(ctx context.Context, b query.Box, n int) ([]query.Session, error) {
	return first(ctx, sessionsOf(s.in(b)), n, query.MaxRows)
}

func sessionsOf(events []event.Event) []query.Session {
	slices.SortStableFunc(events, func(x, y event.Event) int {
		return cmp.Or(cmp.Compare(x.Time, y.Time), cmp.Compare(x.Kind, y.Kind))
	})
	var out []query.Session
	for _, e := range events {
		if e.Session == "" {
			continue
		}
		i := slices.IndexFunc(out, func(v query.Session) bool { return v.ID == e.Session })
		if i < 0 {
			i = len(out)
			out = append(out, query.Session{
				ID: e.Session, Source: e.Source, Exporter: e.Exporter, Src: e.Src, Dst: e.Dst, DstPort: e.DstPort, Proto: e.Proto, First: e.Time,
			})
		}
		v := &out[i]
		v.Last = max(v.Last, e.Last())
		switch e.Kind {
		case event.Login:
			v.Logins++
			if e.Detail.Get("result") == "accepted" {
				v.Accepted++
			}
		case event.Command:
			v.Commands++
		case event.Tunnel:
			v.Tunnels++
		case event.Payload:
			v.Payloads++
		case event.File:
			v.Files++
		}
	}
	slices.SortStableFunc(out, func(x, y query.Session) int { return cmp.Compare(y.First, x.First) })
	return out
}

func (s *naive) Incidents(ctx context.Context, q query.IncidentBox) ([]query.Incident, error) {
	newest := map[string]query.Incident{}
	for _, w := range s.said {
		i := s.acks[w.ID]
		i.Warning, i.Told = w, newest[w.ID].Told+1
		for _, m := range s.mutes {
			if m.Covers(&w, noon.UnixNano()) {
				i.Muted = &m
			}
		}
		newest[w.ID] = i
	}
	var out []query.Incident
	for _, i := range newest {
		onList := slices.ContainsFunc(i.Evidence, func(v event.Evidence) bool { return v.List == q.List })
		switch {
		case i.Last < q.From, q.To != 0 && i.Last >= q.To, i.Severity < q.Min, q.ID != "" && i.ID != q.ID, q.Rule != "" && i.Rule != q.Rule:
		case q.List != "" && !onList, q.Addr.IsValid() && !q.Addr.Contains(i.Own.Addr) && !q.Addr.Contains(i.Foreign.Addr):
		case q.Open && (i.State == event.Closed || i.Acked != 0 || i.Muted != nil):
		default:
			out = append(out, i)
		}
	}
	slices.SortFunc(out, func(x, y query.Incident) int { return cmp.Compare(y.Last, x.Last) })
	return first(ctx, out, q.Limit, query.MaxRows)
}

func (s *naive) Address(ctx context.Context, b query.Box, a netip.Addr) (query.Address, error) {
	whole := netip.PrefixFrom(a, a.BitLen())
	var events []event.Event
	for _, e := range s.in(b) {
		if e.Src == a || e.Dst == a {
			events = append(events, e)
		}
	}
	out := query.Address{Addr: a}
	for kind := event.Unknown; kind <= event.TTY; kind++ {
		var source, target tally
		for i := range events {
			switch e := &events[i]; {
			case e.Kind != kind:
			case e.Src == a:
				source.add(e)
			default:
				target.add(e)
			}
		}
		if source.sources != nil || target.sources != nil {
			out.ByKind = append(out.ByKind, query.KindTotals{Kind: kind, AsSource: source.totals(false), AsTarget: target.totals(false)})
		}
	}
	group := func(key func(e *event.Event) []string) []query.Group {
		groups := grouped(events, query.ByEvents, func(e *event.Event) [][]string {
			if k := key(e); k[0] != "" {
				return [][]string{k}
			}
			return nil
		})
		slices.SortStableFunc(groups, func(x, y query.Group) int { return cmp.Compare(y.Bytes, x.Bytes) })
		return groups
	}
	out.Peers = group(func(e *event.Event) []string {
		if e.Src == a {
			return query.Keys(query.FieldDst, e)
		}
		return query.Keys(query.FieldSrc, e)
	})
	out.Services = group(func(e *event.Event) []string {
		if e.Src == a {
			return append(query.Keys(query.FieldService, e), "used")
		}
		return append(query.Keys(query.FieldService, e), "served")
	})
	out.Exporters = group(func(e *event.Event) []string { return query.Keys(query.FieldExporter, e) })
	for _, day := range grouped(events, query.ByEvents, func(e *event.Event) [][]string {
		return [][]string{{event.Stamp(e.Time).Format(time.DateOnly)}}
	}) {
		begin, err := time.Parse(time.DateOnly, day.Key[0])
		if err != nil {
			return out, err
		}
		day.First = begin.UnixNano()
		out.Days = append(out.Days, day.Totals)
	}
	slices.SortFunc(out.Days, func(x, y query.Totals) int { return cmp.Compare(x.First, y.First) })
	out.Sessions = sessionsOf(events)
	var err error
	out.Incidents, err = s.Incidents(ctx, query.IncidentBox{From: b.From, To: b.To, Addr: whole, Limit: query.MaxRows})
	return out, err
}
