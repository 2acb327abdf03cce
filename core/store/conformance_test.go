package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"varde/event"
	"varde/event/query"
)

// subject is a store as conform fills and asks it. Its clock must stand at noon.
type subject interface {
	query.Reader
	Put(*event.Event)
	Flush(context.Context) error
	Say(context.Context, event.Warning) error
	Ack(ctx context.Context, id, person, why string) error
	AddMute(context.Context, query.Mute) (query.Mute, error)
}

// sealer is a subject that moves events elsewhere while time passes; that must not show.
type sealer interface {
	Seal(ctx context.Context, before time.Time) error
}

// conform holds a store to package query: filled with the same data as a naive one, it gives the same answers. Where
// package query promises no order among equals, none is asked for. It asks 100 questions of each set of data; many more
// with -rapid.checks=1500.
func conform(t *testing.T, open func(t *testing.T) subject) {
	for seed := range 4 {
		t.Run(fmt.Sprint("data ", seed), func(t *testing.T) {
			d := rapid.Custom(drawData).Example(seed)
			s, want := open(t), &naive{}
			fill(t, s, &d)
			for i := range d.events {
				want.Put(&d.events[i])
			}
			note(t, want, &d)
			rapid.Check(t, func(rt *rapid.T) {
				name := oneOf(rt, "question", slices.Sorted(maps.Keys(questions)))
				questions[name](rt, t.Context(), s, want)
			})
		})
	}
	t.Run("refusals", func(t *testing.T) { refuses(t, open(t)) })
}

// fill puts the events in three lots; the first is sealed whole, the second in part, the third, which has late ones for
// sealed hours, not at all.
func fill(t *testing.T, s subject, d *data) {
	t.Helper()
	for lot, before := range []time.Time{noon.Add(time.Hour), noon.Add(-12 * time.Hour), {}} {
		n := len(d.events)
		for i := n * lot / 3; i < n*(lot+1)/3; i++ {
			s.Put(&d.events[i])
		}
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if sealing, ok := s.(sealer); ok {
			if err := sealing.Seal(t.Context(), before); err != nil {
				t.Fatal(err)
			}
		}
	}
	note(t, s, d)
}

// note tells a store what people and detectors said.
func note(t *testing.T, s subject, d *data) {
	t.Helper()
	var errs []error
	for i := range d.warnings {
		errs = append(errs, s.Say(t.Context(), d.warnings[i]))
	}
	for _, id := range d.acked {
		errs = append(errs, s.Ack(t.Context(), id, "ola", "seen to"))
	}
	for _, m := range d.mutes {
		_, err := s.AddMute(t.Context(), m)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// questions are those of query.Reader with random arguments.
var questions = map[string]func(t *rapid.T, ctx context.Context, s subject, want *naive){
	"tail": askTail, "top": askTop, "distinct": askDistinct, "series": askSeries, "pixels": askPixels, "points": askPoints,
	"hunt": askHunt, "address": askAddress, "sessions": askSessions, "incidents": askIncidents,
}

func askTail(t *rapid.T, ctx context.Context, s subject, want *naive) {
	b, n := drawBox(t), rapid.IntRange(1, 30).Draw(t, "n")
	got, err := s.Tail(ctx, b, n)
	must(t, err)
	all, err := want.Tail(ctx, b, query.MaxRows)
	must(t, err)
	sameRows(t, "events", got, all, n, func(x, y event.Event) int { return cmp.Compare(y.Time, x.Time) }, eventText)
}

// eventText is all of an event that a store keeps.
func eventText(e event.Event) string {
	e.End = max(e.End, e.Time)
	if !e.HasReverse {
		e.RevPackets, e.RevBytes, e.RevTCPFlags = 0, 0, 0
	}
	return fmt.Sprintf("%s own %d in %d out %d lists %q", e.AppendJSON(nil), e.Own, e.InIndex, e.OutIndex, query.Keys(query.FieldList, &e))
}

func askTop(t *rapid.T, ctx context.Context, s subject, want *naive) {
	b, by := drawBox(t), query.TopBy{Order: drawOrder(t), N: rapid.IntRange(0, 20).Draw(t, "n")}
	by.Fields = rapid.SliceOfNDistinct(rapid.SampledFrom(groupFields()), 1, query.MaxFields, rapid.ID).Draw(t, "fields")
	got, err := s.Top(ctx, b, by)
	must(t, err)
	all := by
	all.N = query.MaxRows
	wanted, err := want.Top(ctx, b, all)
	must(t, err)
	same(t, "totals", wanted.Total, got.Total)
	same(t, "number of groups", wanted.Groups, got.Groups)
	larger := func(x, y query.Group) int { return cmp.Compare(by.Order.Of(&y.Totals), by.Order.Of(&x.Totals)) }
	sameRows(t, "groups", got.Rows, wanted.Rows, by.N, larger, groupText)
}

func groupText(g query.Group) string { return fmt.Sprintf("%q %+v", g.Key, g.Totals) }

func askDistinct(t *rapid.T, ctx context.Context, s subject, want *naive) {
	b, f := drawBox(t), oneOf(t, "field", groupFields())
	got, err := s.Distinct(ctx, b, f)
	must(t, err)
	wanted, err := want.Distinct(ctx, b, f)
	must(t, err)
	same(t, "number of values", wanted, got)
}

func askSeries(t *rapid.T, ctx context.Context, s subject, want *naive) {
	b := drawSpan(t)
	by := query.SeriesBy{
		Step:  oneOf(t, "step", []time.Duration{time.Minute, 10 * time.Minute, 77 * time.Minute, time.Hour, 24 * time.Hour}),
		Field: oneOf(t, "field", append(groupFields(), query.NoField)), Order: drawOrder(t), N: rapid.IntRange(0, 5).Draw(t, "n"),
	}
	if by.Field == query.FieldList {
		by.Field = query.NoField
	}
	by.N = untied(t, ctx, b, by, want)
	got, err := s.Series(ctx, b, by)
	must(t, err)
	wanted, err := want.Series(ctx, b, by)
	must(t, err)
	// Equally large values stand in no order that is promised; the rest is last.
	var keys []string
	for _, series := range got {
		keys = append(keys, series.Key)
	}
	if i := slices.Index(keys, ""); i >= 0 && i < len(keys)-1 {
		t.Fatalf("the rest is not last: %q", keys)
	}
	byKey := func(x, y query.Series) int { return cmp.Compare(x.Key, y.Key) }
	slices.SortFunc(got, byKey)
	slices.SortFunc(wanted, byKey)
	same(t, "series", wanted, got)
}

// untied is by.N, or less where the last of so many values is no larger than the next and either might be named.
func untied(t *rapid.T, ctx context.Context, b query.Box, by query.SeriesBy, want *naive) int {
	if by.Field == query.NoField {
		return by.N
	}
	top, err := want.Top(ctx, b, query.TopBy{Fields: []query.Field{by.Field}, Order: by.Order, N: query.MaxRows})
	must(t, err)
	rows := slices.DeleteFunc(top.Rows, func(g query.Group) bool { return g.Key[0] == "" })
	n := by.N
	for n > 0 && n < len(rows) && by.Order.Of(&rows[n-1].Totals) == by.Order.Of(&rows[n].Totals) {
		n--
	}
	return n
}

func askPixels(t *rapid.T, ctx context.Context, s subject, want *naive) {
	b, g := drawSpan(t), query.Grid{Width: oneOf(t, "width", []int{1, 7, 96, 1440}), Height: oneOf(t, "height", []int{1, 16, 600, 1000})}
	if seldom(t, "wide", 10) { // microseconds times columns need more than 64 bits
		b.To, g = b.From+(200*365*24*time.Hour).Nanoseconds(), query.Grid{Width: 300_000, Height: 1}
	}
	got, err := s.Pixels(ctx, b, g)
	must(t, err)
	wanted, err := want.Pixels(ctx, b, g)
	must(t, err)
	same(t, "pixels", wanted, got)
}

func askPoints(t *rapid.T, ctx context.Context, s subject, want *naive) {
	b, n := drawBox(t), rapid.IntRange(1, 30).Draw(t, "n")
	got, err := s.Points(ctx, b, n)
	must(t, err)
	all, err := want.Points(ctx, b, query.MaxRows)
	must(t, err)
	sameRows(t, "points", got, all, n, func(x, y query.Point) int { return cmp.Compare(x.Time, y.Time) }, func(p query.Point) string { return fmt.Sprintf("%+v", p) })
}

func askHunt(t *rapid.T, ctx context.Context, s subject, want *naive) {
	b, entries := drawBox(t), rapid.SliceOfN(rapid.SampledFrom(someNets), 0, 4).Draw(t, "entries")
	got, err := s.Hunt(ctx, b, entries)
	must(t, err)
	all, err := want.Hunt(ctx, b, entries)
	must(t, err)
	contacts := want.hunt(b, entries)
	for _, c := range got {
		if h := contacts[pair{c.Own, c.Foreign, c.Kind}]; h != nil {
			samePorts(t, c, h.services)
		}
	}
	text := func(c query.Contact) string { c.Ports = nil; return fmt.Sprintf("%+v", c) }
	sameRows(t, "contacts", got, all, query.MaxRows, func(x, y query.Contact) int { return cmp.Compare(y.Last, x.Last) }, text)
}

// samePorts wants the most used services, most used first; which of equally used ones is not promised.
func samePorts(t *rapid.T, c query.Contact, used map[string]int) {
	var want []int
	for _, n := range used {
		want = append(want, n)
	}
	slices.Sort(want)
	slices.Reverse(want)
	var got []int
	for i, service := range c.Ports {
		if slices.Contains(c.Ports[:i], service) {
			t.Fatalf("contact %+v has %s twice", c, service)
		}
		got = append(got, used[service])
	}
	if !slices.Equal(want[:min(len(want), query.MaxContactPorts)], got) {
		t.Fatalf("contact %+v: services of %v events, want the first of %v", c, got, used)
	}
}

func askAddress(t *rapid.T, ctx context.Context, s subject, want *naive) {
	b, a := drawBox(t), oneOf(t, "address", someAddrs)
	got, err := s.Address(ctx, b, a)
	must(t, err)
	all, err := want.Address(ctx, b, a)
	must(t, err)
	same(t, "address", all.Addr, got.Addr)
	same(t, "kinds", all.ByKind, got.ByKind)
	same(t, "days", all.Days, got.Days)
	larger := func(x, y query.Group) int {
		return cmp.Or(cmp.Compare(y.Bytes, x.Bytes), cmp.Compare(y.Events, x.Events))
	}
	sameRows(t, "peers", got.Peers, all.Peers, query.MaxAddressRows, larger, groupText)
	sameRows(t, "services", got.Services, all.Services, query.MaxAddressRows, larger, groupText)
	sameRows(t, "exporters", got.Exporters, all.Exporters, query.MaxAddressRows, larger, groupText)
	sameRows(t, "incidents", got.Incidents, all.Incidents, query.MaxAddressRows, laterIncident, incidentText)
	sameRows(t, "sessions", got.Sessions, all.Sessions, query.MaxAddressRows, laterSession, sessionText)
}

func laterSession(x, y query.Session) int { return cmp.Compare(y.First, x.First) }

func sessionText(v query.Session) string { return fmt.Sprintf("%+v", v) }

func askSessions(t *rapid.T, ctx context.Context, s subject, want *naive) {
	b, n := drawBox(t), rapid.IntRange(1, 30).Draw(t, "n")
	got, err := s.Sessions(ctx, b, n)
	must(t, err)
	all, err := want.Sessions(ctx, b, query.MaxRows)
	must(t, err)
	sameRows(t, "sessions", got, all, n, laterSession, sessionText)
}

func laterIncident(x, y query.Incident) int { return cmp.Compare(y.Last, x.Last) }

func incidentText(i query.Incident) string {
	mute := "none"
	if i.Muted != nil {
		mute = fmt.Sprintf("%+v", *i.Muted)
	}
	return fmt.Sprintf("%s told %d acked %d by %q: %q, muted %s", i.AppendJSON(nil, i.Time), i.Told, i.Acked, i.AckBy, i.AckWhy, mute)
}

func askIncidents(t *rapid.T, ctx context.Context, s subject, want *naive) {
	q := query.IncidentBox{
		Min: event.Severity(rapid.IntRange(0, int(event.Critical)).Draw(t, "min")), Open: rapid.Bool().Draw(t, "open"),
		Rule: oneOf(t, "rule", []string{"", "", "scan"}), List: oneOf(t, "list", append(someLists, "", "", "")), ID: oneOf(t, "id", []string{"", "", "", "incident-3", "x' OR 1=1"}),
		Addr: oneOf(t, "addr", append(someNets, netip.Prefix{}, netip.Prefix{}, netip.Prefix{})), Limit: query.MaxRows,
	}
	b := drawBox(t)
	q.From, q.To = b.From, b.To
	all, err := want.Incidents(ctx, q)
	must(t, err)
	q.Limit = rapid.IntRange(1, 10).Draw(t, "limit")
	got, err := s.Incidents(ctx, q)
	must(t, err)
	sameRows(t, "incidents", got, all, q.Limit, laterIncident, incidentText)
}

// refuses asks what has no answer.
func refuses(t *testing.T, s subject) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	hour := query.Box{From: noon.UnixNano(), To: noon.Add(time.Hour).UnixNano()}
	for name, ask := range map[string]func(ctx context.Context) error{
		"tail 0":       func(ctx context.Context) error { _, err := s.Tail(ctx, hour, 0); return err },
		"tail of many": func(ctx context.Context) error { _, err := s.Tail(ctx, hour, query.MaxRows+1); return err },
		"points 0":     func(ctx context.Context) error { _, err := s.Points(ctx, hour, 0); return err },
		"sessions 0":   func(ctx context.Context) error { _, err := s.Sessions(ctx, hour, 0); return err },
		"incidents 0":  func(ctx context.Context) error { _, err := s.Incidents(ctx, query.IncidentBox{}); return err },
		"top of nothing": func(ctx context.Context) error {
			_, err := s.Top(ctx, hour, query.TopBy{N: 1})
			return err
		},
		"values of bytes": func(ctx context.Context) error { _, err := s.Distinct(ctx, hour, query.FieldBytes); return err },
		"series without time": func(ctx context.Context) error {
			_, err := s.Series(ctx, query.Box{}, query.SeriesBy{Step: time.Hour})
			return err
		},
		"pixels without time": func(ctx context.Context) error {
			_, err := s.Pixels(ctx, query.Box{}, query.Grid{Width: 1, Height: 1})
			return err
		},
		"acknowledging nothing": func(ctx context.Context) error { return s.Ack(ctx, "no such", "ola", "") },
	} {
		if err := ask(t.Context()); err == nil {
			t.Errorf("%s is answered", name)
		}
	}
	if _, err := s.Tail(ctx, hour, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("a question that nobody waits for: %v", err)
	}
	if out, err := s.Top(t.Context(), query.Box{}, query.TopBy{Fields: []query.Field{query.FieldSrc}, N: 5}); err != nil || len(out.Rows) != 0 || out.Total != (query.Totals{}) {
		t.Errorf("the largest groups of nothing: %+v, %v", out, err)
	}
}

func must(t *rapid.T, err error) {
	if err != nil {
		t.Fatal(err)
	}
}

func same[T any](t *rapid.T, what string, want, got T) {
	if diff := gocmp.Diff(want, got, gocmp.Comparer(func(a, b netip.Addr) bool { return a == b }), gocmp.Transformer("none", emptyAsNil[query.Pixel])); diff != "" {
		t.Fatalf("%s differ (-want +got):\n%s", what, diff)
	}
}

// emptyAsNil lets an empty answer be either.
func emptyAsNil[T any](s []T) []T { return append([]T(nil), s...) }

// sameRows compares the first n rows of all with got. Rows of the same rank may stand in any order, and where only some
// of them fit any of them will do.
func sameRows[T any](t *rapid.T, what string, got, all []T, n int, rank func(x, y T) int, text func(T) string) {
	n = min(n, len(all))
	if len(got) != n {
		t.Fatalf("%d %s, want %d:\n%s", len(got), what, n, gocmp.Diff(sorted(all[:n], text), sorted(got, text)))
	}
	if !slices.IsSortedFunc(got, rank) {
		t.Fatalf("%s are not sorted: %+v", what, got)
	}
	if n == 0 {
		return
	}
	last := all[n-1]
	before := func(x T) bool { return rank(x, last) < 0 }
	split := func(rows []T) (sure, tied []string) {
		at := len(rows)
		if i := slices.IndexFunc(rows, func(x T) bool { return !before(x) }); i >= 0 {
			at = i
		}
		end := at
		for end < len(rows) && rank(rows[end], last) == 0 {
			end++
		}
		return sorted(rows[:at], text), sorted(rows[at:end], text)
	}
	sure, tied := split(all)
	gotSure, gotTied := split(got)
	if diff := gocmp.Diff(sure, gotSure); diff != "" {
		t.Fatalf("%s differ (-want +got):\n%s", what, diff)
	}
	for _, row := range gotTied {
		i, ok := slices.BinarySearch(tied, row)
		if !ok {
			t.Fatalf("%s differ:\n got %s\nwant one of\n%q", what, row, tied)
		}
		tied = slices.Delete(tied, i, i+1)
	}
}

func sorted[T any](rows []T, text func(T) string) []string {
	out := make([]string, 0, len(rows))
	for _, row := range rows {
		out = append(out, text(row))
	}
	slices.Sort(out)
	return out
}

// TestNaiveConforms is a test of conform: the naive store answers as itself.
func TestNaiveConforms(t *testing.T) {
	conform(t, func(*testing.T) subject { return &naive{} })
}
