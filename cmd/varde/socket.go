package main

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"net/rpc"
	"os"
	"path/filepath"
	"time"

	"varde/cmd/config"
	"varde/core/store"
	"varde/event"
	"varde/event/query"
)

// facts are what commands ask of the store, whoever has it open.
type facts interface {
	Tail(ctx context.Context, b query.Box, n int) ([]event.Event, error)
	Top(ctx context.Context, b query.Box, t query.TopBy) (query.Groups, error)
	Hunt(ctx context.Context, b query.Box, entries []netip.Prefix) ([]query.Contact, error)
	Address(ctx context.Context, b query.Box, a netip.Addr) (query.Address, error)
	Pixels(ctx context.Context, b query.Box, g query.Grid) ([]query.Pixel, error)
	Incidents(ctx context.Context, q query.IncidentBox) ([]query.Incident, error)
	AddMute(ctx context.Context, m query.Mute) (query.Mute, error)
	EndMute(ctx context.Context, id uint64) error
	Mutes(ctx context.Context) ([]query.Mute, error)
}

func socketPath(cfg *config.Config) string { return filepath.Join(cfg.DataDir, "varde.sock") }

// errNoDaemon says that nobody answers commands for a data directory.
var errNoDaemon = errors.New("no varde runs there")

// dial opens a way to the daemon that runs on the data directory.
func dial(cfg *config.Config) (remote, error) {
	path := socketPath(cfg)
	conn, err := net.DialTimeout("unix", path, 2*time.Second)
	switch {
	case err == nil:
		registerFilters()
		return remote{rpc.NewClient(conn)}, nil
	case errors.Is(err, fs.ErrPermission):
		return remote{}, fmt.Errorf("%s may not be opened; run this as the user that varde runs as, or as root", path)
	}
	return remote{}, errNoDaemon
}

// openFacts asks the running daemon over its socket, and opens the store itself where none runs.
func openFacts(cfg *config.Config, log *slog.Logger) (facts, func() error, error) {
	r, err := dial(cfg)
	if err == nil {
		return r, r.c.Close, nil
	}
	if !errors.Is(err, errNoDaemon) {
		return nil, nil, err
	}
	dir := filepath.Join(cfg.DataDir, "store")
	switch _, err := os.Stat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, fmt.Errorf("nothing is stored in %s; give -c the configuration that varde run has", cfg.DataDir)
	case err != nil:
		return nil, nil, fmt.Errorf("the store: %w", err)
	}
	lock, err := lockDir(cfg.DataDir)
	if err != nil {
		return nil, nil, err
	}
	s, err := store.Open(cfg.Store, dir, log)
	if err != nil {
		return nil, nil, errors.Join(err, lock.Close())
	}
	return s, func() error { return errors.Join(s.Close(), lock.Close()) }, nil
}

// registerFilters tells gob the conditions that a filter may hold.
func registerFilters() {
	for _, x := range []query.Expr{
		query.And{},
		query.Or{},
		query.Not{},
		query.Net{},
		query.Nets{},
		query.Port{},
		query.Number{},
		query.Flags{},
		query.Text{},
		query.IsKind{},
		query.IsAction{},
		query.Family{},
	} {
		gob.Register(x)
	}
}

// answerFor bounds how long one command may keep the store busy.
const answerFor = 10 * time.Minute

// answer serves commands of this machine's owner over a unix socket until ctx ends.
func (m *memory) answer(ctx context.Context) {
	registerFilters()
	os.Remove(m.sock) // of a daemon that was killed; the lock on the directory says that none runs
	l, err := net.Listen("unix", m.sock)
	if err == nil {
		err = os.Chmod(m.sock, 0o600)
	}
	if err != nil {
		m.log.Error("commands cannot ask this daemon", "socket", m.sock, "error", err)
		return
	}
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	server := rpc.NewServer()
	if err := server.RegisterName("Store", &Store{m, ctx}); err != nil {
		m.log.Error("commands cannot ask this daemon", "error", err)
		return
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go server.ServeConn(conn)
	}
}

// Ask is what a command asks; each question uses its part of it.
type Ask struct {
	Box     query.Box
	N       int
	Top     query.TopBy
	Entries []netip.Prefix
	Addr    netip.Addr
	Mute    query.Mute
	Grid    query.Grid
	About   query.IncidentBox
	Refresh bool     // of lists
	Names   []string // of lists
}

// Store answers commands in the daemon (net/rpc wants exported names).
type Store struct {
	memory *memory
	ctx    context.Context
}

func answered[T any](s *Store, into *T, ask func(context.Context) (T, error)) (err error) {
	ctx, cancel := context.WithTimeout(s.ctx, answerFor)
	defer cancel()
	*into, err = ask(ctx)
	return err
}

// Tail answers facts.Tail.
func (s *Store) Tail(a *Ask, out *[]event.Event) error {
	return answered(s, out, func(ctx context.Context) ([]event.Event, error) { return s.memory.Tail(ctx, a.Box, a.N) })
}

// Top answers facts.Top.
func (s *Store) Top(a *Ask, out *query.Groups) error {
	return answered(s, out, func(ctx context.Context) (query.Groups, error) { return s.memory.Top(ctx, a.Box, a.Top) })
}

// Hunt answers facts.Hunt.
func (s *Store) Hunt(a *Ask, out *[]query.Contact) error {
	return answered(s, out, func(ctx context.Context) ([]query.Contact, error) { return s.memory.Hunt(ctx, a.Box, a.Entries) })
}

// Address answers facts.Address.
func (s *Store) Address(a *Ask, out *query.Address) error {
	return answered(s, out, func(ctx context.Context) (query.Address, error) { return s.memory.Address(ctx, a.Box, a.Addr) })
}

// Pixels answers facts.Pixels.
func (s *Store) Pixels(a *Ask, out *[]query.Pixel) error {
	return answered(s, out, func(ctx context.Context) ([]query.Pixel, error) { return s.memory.Pixels(ctx, a.Box, a.Grid) })
}

// Incidents answers facts.Incidents.
func (s *Store) Incidents(a *Ask, out *[]query.Incident) error {
	return answered(s, out, func(ctx context.Context) ([]query.Incident, error) { return s.memory.Incidents(ctx, a.About) })
}

// AddMute answers facts.AddMute.
func (s *Store) AddMute(a *Ask, out *query.Mute) error {
	return answered(s, out, func(ctx context.Context) (query.Mute, error) { return s.memory.AddMute(ctx, a.Mute) })
}

// EndMute answers facts.EndMute.
func (s *Store) EndMute(a *Ask, out *bool) error {
	return answered(s, out, func(ctx context.Context) (bool, error) { return true, s.memory.EndMute(ctx, a.Mute.ID) })
}

// Mutes answers facts.Mutes.
func (s *Store) Mutes(_ *Ask, out *[]query.Mute) error {
	return answered(s, out, s.memory.Mutes)
}

// Feeds tells of the lists, and refreshes them where that is asked for.
func (s *Store) Feeds(a *Ask, out *Feeds) error {
	return answered(s, out, func(ctx context.Context) (Feeds, error) {
		f, err := feedsOf(ctx, s.memory.lists, a.Refresh, a.Names)
		f.Live = true
		return f, err
	})
}

// remote asks the daemon.
type remote struct{ c *rpc.Client }

func asking[T any](ctx context.Context, r remote, question string, a *Ask) (out T, err error) {
	call := r.c.Go("Store."+question, a, &out, make(chan *rpc.Call, 1))
	select {
	case <-call.Done:
		return out, call.Error
	case <-ctx.Done():
		return out, ctx.Err()
	}
}

func (r remote) Tail(ctx context.Context, b query.Box, n int) ([]event.Event, error) {
	return asking[[]event.Event](ctx, r, "Tail", &Ask{Box: b, N: n})
}

func (r remote) Top(ctx context.Context, b query.Box, t query.TopBy) (query.Groups, error) {
	return asking[query.Groups](ctx, r, "Top", &Ask{Box: b, Top: t})
}

func (r remote) Hunt(ctx context.Context, b query.Box, entries []netip.Prefix) ([]query.Contact, error) {
	return asking[[]query.Contact](ctx, r, "Hunt", &Ask{Box: b, Entries: entries})
}

func (r remote) Address(ctx context.Context, b query.Box, a netip.Addr) (query.Address, error) {
	return asking[query.Address](ctx, r, "Address", &Ask{Box: b, Addr: a})
}

func (r remote) Pixels(ctx context.Context, b query.Box, g query.Grid) ([]query.Pixel, error) {
	return asking[[]query.Pixel](ctx, r, "Pixels", &Ask{Box: b, Grid: g})
}

func (r remote) Incidents(ctx context.Context, q query.IncidentBox) ([]query.Incident, error) {
	return asking[[]query.Incident](ctx, r, "Incidents", &Ask{About: q})
}

func (r remote) AddMute(ctx context.Context, m query.Mute) (query.Mute, error) {
	return asking[query.Mute](ctx, r, "AddMute", &Ask{Mute: m})
}

func (r remote) EndMute(ctx context.Context, id uint64) error {
	_, err := asking[bool](ctx, r, "EndMute", &Ask{Mute: query.Mute{ID: id}})
	return err
}

func (r remote) Mutes(ctx context.Context) ([]query.Mute, error) {
	return asking[[]query.Mute](ctx, r, "Mutes", &Ask{})
}
