package main

import (
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net/netip"
	"path/filepath"
	"sync/atomic"
	"time"

	"varde/core/intel"
	"varde/core/store"
	"varde/event"
	"varde/event/human"
	"varde/event/query"
	"varde/output/web"
)

// memory is the store and what belongs to it while the daemon runs: warnings are kept and shown, mutes silence them,
// and what a list gains is looked for in what is stored.
type memory struct {
	*store.Store
	log   *slog.Logger
	lists *intel.Set
	names map[netip.Addr]string
	keep  time.Duration // how far back a new entry is looked for
	sock  string
	warn  func(event.Warning)
	show  func(event.Warning)
	said  chan event.Warning
	added chan intel.Added
	mutes atomic.Pointer[[]query.Mute]
	lost  atomic.Uint64 // warnings that were said but not kept
}

// Bounds of what waits for the store, and of what one refresh of a list may say.
const (
	maxSaid      = 4096
	maxAdded     = 64
	maxBackMatch = 100
	muteEvery    = 5 * time.Second
)

// remember opens the store where it is wanted.
func (d *daemon) remember() error {
	if d.cfg.Store.Off {
		return nil
	}
	s, err := store.Open(d.cfg.Store, filepath.Join(d.cfg.DataDir, "store"), d.log)
	if err != nil {
		return err
	}
	names, err := d.cfg.Network.HostNames()
	if err != nil {
		return err
	}
	d.memory = &memory{
		Store: s, log: d.log, lists: d.lists, names: names, keep: 10 * 365 * 24 * time.Hour, sock: socketPath(&d.cfg),
		warn: d.say, said: make(chan event.Warning, maxSaid), added: make(chan intel.Added, maxAdded),
	}
	d.memory.refreshMutes(context.Background())
	d.pipe.Store = s.Put
	d.lists.OnAdded(d.memory.note)
	return nil
}

// say sends a warning where warnings go, unless it is muted, and has it kept. It never waits.
func (d *daemon) say(w event.Warning) {
	if d.dnsbl != nil {
		d.dnsbl.Later(w.Foreign.Addr)
	}
	if d.memory == nil {
		d.hub.Say(w)
		d.page.Say(context.Background(), w)
		return
	}
	if !d.memory.muted(&w) {
		d.hub.Say(w)
	}
	select {
	case d.memory.said <- w:
	default:
		d.memory.lost.Add(1)
	}
}

// newPage makes the page, with what the configuration has for it.
func (d *daemon) newPage() (err error) {
	if d.dnsbl, err = intel.NewDNSBL(d.cfg.DNSBL, d.log); err != nil {
		return err
	}
	deps := web.Deps{
		Parts: d.parts(), Lists: d.listStatus, Evidence: d.evidence, Prefixes: d.lists.Prefixes, Version: version(), Log: d.log,
		HostName: func(a netip.Addr) string { return "" },
	}
	if agent := d.mail.agent; agent != nil {
		deps.SNMP = func(ctx context.Context) ([]web.Variable, error) {
			values, err := agent.Values(ctx)
			out := make([]web.Variable, len(values))
			for i, v := range values {
				out[i] = web.Variable(v)
			}
			return out, err
		}
	}
	if d.memory != nil {
		deps.Store = d.memory
		deps.HostName = func(a netip.Addr) string { return d.memory.names[a] }
	}
	if d.page, err = web.New(d.cfg.Web, deps); err == nil && d.memory != nil {
		d.memory.show = func(w event.Warning) { d.page.Say(context.Background(), w) }
	}
	return err
}

func (d *daemon) listStatus() []web.ListStatus {
	var out []web.ListStatus
	for _, l := range d.lists.Lists() {
		out = append(out, web.ListStatus{
			Name: l.Name, Source: l.Source, Format: l.Format, Entries: l.Entries, Rejected: l.Rejected,
			Loaded: l.Loaded, Next: l.Next, Hits: l.Hits, Error: l.Error,
		})
	}
	return out
}

// evidence is what lists, and the block lists in DNS that were asked already, say of an address.
func (d *daemon) evidence(a netip.Addr) []event.Evidence {
	out := d.lists.Lookup(a, 0)
	if d.dnsbl == nil {
		return out
	}
	d.dnsbl.Later(a)
	for _, answer := range d.dnsbl.Known(a) {
		if v, ok := answer.Evidence(a); ok {
			out = append(out, v)
		}
	}
	return out
}

// run writes events and keeps warnings until ctx ends.
func (m *memory) run(ctx context.Context) {
	if m == nil {
		return
	}
	stored := make(chan error, 1)
	go func() { stored <- m.Store.Run(ctx) }()
	tick := time.NewTicker(muteEvery)
	defer tick.Stop()
	for {
		select {
		case w := <-m.said:
			m.keepWarning(w)
			continue
		case <-tick.C:
			m.refreshMutes(ctx)
			continue
		case <-ctx.Done():
		}
		break
	}
	for len(m.said) > 0 {
		m.keepWarning(<-m.said)
	}
	if err := <-stored; err != nil {
		m.log.Error("the newest events are not stored", "error", err)
	}
}

func (m *memory) keepWarning(w event.Warning) {
	if err := m.Say(context.Background(), w); err != nil {
		m.lost.Add(1)
		m.log.Error("a warning is not kept", "error", err)
	}
	m.show(w)
}

func (m *memory) close() {
	if m == nil {
		return
	}
	if err := m.Close(); err != nil {
		m.log.Error("close the store", "error", err)
	}
}

func (m *memory) refreshMutes(ctx context.Context) {
	if all, err := m.Mutes(ctx); err == nil {
		m.mutes.Store(&all)
	}
}

// AddMute keeps a mute and heeds it from now on.
func (m *memory) AddMute(ctx context.Context, mute query.Mute) (query.Mute, error) {
	defer m.refreshMutes(ctx)
	return m.Store.AddMute(ctx, mute)
}

// EndMute ends a mute.
func (m *memory) EndMute(ctx context.Context, id uint64) error {
	defer m.refreshMutes(ctx)
	return m.Store.EndMute(ctx, id)
}

func (m *memory) muted(w *event.Warning) bool {
	all := *m.mutes.Load()
	for i := range all {
		if all[i].Covers(w, time.Now().UnixNano()) {
			return true
		}
	}
	return false
}

// Figures are those of the store, and how many warnings are not kept.
func (m *memory) Figures(ctx context.Context) ([]event.Figure, error) {
	all, err := m.Store.Figures(ctx)
	return append(all, event.Count("varde_store_warnings_not_kept_total", "Warnings that went out but are not kept.", m.lost.Load())), err
}

// note takes what a list gained; the search has its own time.
func (m *memory) note(a intel.Added) {
	select {
	case m.added <- a:
	default:
		m.log.Warn("new entries of a list are not looked for in what is stored: too many lists changed at once", "list", a.List, "entries", len(a.Prefixes))
	}
}

// serve answers commands, and looks for what lists gain, until ctx ends.
func (m *memory) serve(ctx context.Context) error {
	if m == nil {
		<-ctx.Done()
		return nil
	}
	go m.answer(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case a := <-m.added:
			if err := m.backMatch(ctx, a); err != nil && ctx.Err() == nil {
				m.log.Error("new entries of a list are not found in what is stored", "list", a.List, "error", err)
			}
		}
	}
}

// backMatch looks for new entries of a list in what is stored, and says once what of ours had to do with them.
func (m *memory) backMatch(ctx context.Context, a intel.Added) error {
	if len(a.Prefixes) == 0 {
		return nil
	}
	now := time.Now()
	found, err := m.Hunt(ctx, query.Box{From: now.Add(-m.keep).UnixNano(), To: now.UnixNano()}, a.Prefixes)
	if err != nil {
		return err
	}
	said, more := 0, 0
	for i := range found {
		c := &found[i]
		if c.PacketsOut == 0 { // they knocked and nobody answered: no news
			continue
		}
		w := m.foundLater(c, a.List, now)
		known, err := m.Incidents(ctx, query.IncidentBox{ID: w.ID, Limit: 1})
		if err != nil {
			return err
		}
		switch {
		case len(known) > 0 || len(w.Evidence) == 0:
		case said == maxBackMatch:
			more++
		default:
			said++
			m.warn(w)
		}
	}
	m.log.Info("new entries of a list were looked for in what is stored", "list", a.List, "entries", len(a.Prefixes), "left_out", a.Left,
		"contacts", len(found), "warnings", said, "not_said", more, "took", time.Since(now).Round(time.Millisecond))
	return nil
}

// foundLater is the warning about a contact from before its address was listed.
func (m *memory) foundLater(c *query.Contact, list string, now time.Time) event.Warning {
	id := fnv.New64a()
	fmt.Fprint(id, list, c.Own, c.Foreign)
	w := event.Warning{
		ID: fmt.Sprintf("hunt-%016x", id.Sum64()), Rule: "hunt", Severity: event.Medium,
		Own: event.Endpoint{Addr: c.Own, Name: m.names[c.Own]}, Foreign: event.Endpoint{Addr: c.Foreign},
		Time: now.UnixNano(), First: c.First, Last: c.Last, Count: c.Events,
		PacketsOut: c.PacketsOut, BytesOut: c.BytesOut, PacketsIn: c.PacketsIn, BytesIn: c.BytesIn, Sampling: 1,
		Event: event.Event{Kind: c.Kind, Time: c.Last, Src: c.Own, Dst: c.Foreign},
	}
	if c.Sampled {
		w.Sampling = 0
	}
	if c.Answered {
		w.Severity = event.High
	}
	for _, v := range m.lists.Lookup(c.Foreign, 0) {
		if v.List == list && !v.Info {
			w.Evidence = append(w.Evidence, v)
		}
	}
	w.Why = fmt.Sprintf("was contacted %s before %s named it", human.Span(now.Sub(event.Stamp(c.Last))), human.Safe(list))
	return w
}
