package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"varde/cmd/config"
	"varde/core/detect"
	"varde/core/geo"
	"varde/core/intel"
	"varde/core/pipe"
	"varde/event"
	"varde/input/flow"
	"varde/output/prom"
	"varde/output/warn"
	"varde/output/web"
)

// saveEvery is how often what exporters have taught, and which incidents are open, is written to disk, besides at the end.
const saveEvery = time.Minute

// learntEvery is how often what the detectors of probes have learnt is written, too; that can be some megabytes.
const learntEvery = 10 * time.Minute

// daemon is everything that runs, wired together.
type daemon struct {
	cfg       config.Config
	log       *slog.Logger
	lock      *os.File
	collector *flow.Collector
	lists     *intel.Set
	contacts  *detect.Contacts
	pipe      *pipe.Pipe
	hub       *warn.Hub
	udp       *flow.Server
	memory    *memory // nil where nothing is stored
	page      *web.Server
	dnsbl     *intel.DNSBL // nil without zones
	mail      mail
	firewall  firewall
	probes    probes
	more      []web.Part
}

// watch wires lists, incidents and pipe; say takes the warnings. Without probes only lists are asked.
func watch(cfg *config.Config, log *slog.Logger, clock func() int64, say func(event.Warning), who *probes) (*intel.Set, *detect.Contacts, *pipe.Pipe, error) {
	own, err := cfg.Network.Prefixes()
	if err != nil {
		return nil, nil, nil, err
	}
	names, err := cfg.Network.HostNames()
	if err != nil {
		return nil, nil, nil, err
	}
	dir := ""
	if cfg.DataDir != "" {
		dir = filepath.Join(cfg.DataDir, "lists")
	}
	lists, err := intel.New(cfg.Lists, cfg.Allow, dir, log)
	if err != nil {
		return nil, nil, nil, err
	}
	contacts := detect.NewContacts(cfg.Incidents, names, clock)
	o := pipe.Options{Own: own, Match: lists.Match, Detectors: []pipe.Detector{contacts}, Say: say}
	if who != nil {
		o.Place, o.Watchers = who.places.Fill, []pipe.Detector{who.ground, who.scans, who.surges}
	}
	return lists, contacts, pipe.New(o), nil
}

// newDaemon wires what the configuration asks for; more are parts besides, whose figures are shown too. Nothing runs yet;
// close it if it is not run.
func newDaemon(cfg config.Config, log *slog.Logger, more ...web.Part) (d *daemon, err error) {
	d = &daemon{cfg: cfg, log: log, more: more}
	if d.lock, err = lockDir(cfg.DataDir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			d.lock.Close()
		}
	}()
	if d.hub, err = warn.New(cfg.Warn, filepath.Join(cfg.DataDir, "spool"), log); err != nil {
		return nil, err
	}
	clock := func() int64 { return time.Now().UnixNano() }
	places, err := geo.Open(cfg.Geo, log)
	if err != nil {
		return nil, err
	}
	if d.probes, err = newProbes(&cfg, places); err != nil {
		return nil, err
	}
	if d.lists, d.contacts, d.pipe, err = watch(&cfg, log, clock, d.say, &d.probes); err != nil {
		return nil, err
	}
	if err := d.remember(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			d.memory.close()
		}
	}()
	if err := d.lists.Load(); err != nil {
		log.Warn("some lists could not be read", "error", err)
	}
	debug.FreeOSMemory() // parsing the lists leaves as much garbage as they take; nothing runs yet that would notice
	if d.collector, err = flow.New(cfg.Netflow, log); err != nil {
		return nil, err
	}
	d.loadState()
	d.loadStates()
	d.udp = flow.NewServer(cfg.Netflow, d.collector, d.pipe.Emit, log)
	if err := d.newFirewall(); err != nil {
		return nil, err
	}
	if err := d.newMail(); err != nil {
		return nil, err
	}
	return d, d.newPage()
}

// lockDir makes the data directory ours; a second daemon on it is told who has it.
func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data_dir: %w; set data_dir to a directory that can be written", err)
	}
	path := filepath.Join(dir, "varde.lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data_dir: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		pid, _ := os.ReadFile(path)
		f.Close()
		return nil, fmt.Errorf("another varde (pid %s) already runs on %s; stop it or set another data_dir", strings.TrimSpace(string(pid)), dir)
	}
	if err := errors.Join(f.Truncate(0), writeAt(f, fmt.Sprintln(os.Getpid()))); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func writeAt(f *os.File, s string) error {
	_, err := f.WriteAt([]byte(s), 0)
	return err
}

func (d *daemon) statePath() string { return filepath.Join(d.cfg.DataDir, "flow-state.json") }

func (d *daemon) loadState() {
	f, err := os.Open(d.statePath())
	if err != nil {
		return
	}
	defer f.Close()
	if err := d.collector.LoadState(f); err != nil {
		d.log.Warn("templates of exporters are not restored; they come again by themselves", "file", d.statePath(), "error", err)
	}
}

func (d *daemon) saveState() {
	d.saveFile("flow-state.json", d.collector.SaveState)
}

// run runs everything until ctx ends. Outputs end last, so that they still deliver what the end brings.
func (d *daemon) run(ctx context.Context) error {
	defer d.lock.Close()
	defer d.memory.close()
	if err := errors.Join(d.udp.Listen(ctx), d.firewall.listen(ctx), d.page.Listen()); err != nil { // before anything runs, so that rights can be dropped and nothing is said in vain
		return err
	}
	defer d.saveStates()
	defer d.saveState()
	if d.cfg.Web.Listen != "" {
		d.log.Info("the page is open", "url", pageURL(&d.cfg))
	}
	outputs, stopOutputs := context.WithCancel(context.WithoutCancel(ctx))
	defer stopOutputs()
	said := make(chan error, 1)
	go func() { said <- d.hub.Run(outputs) }()
	stored := make(chan struct{})
	go func() { defer close(stored); d.memory.run(outputs) }()
	group, inputs := errgroup.WithContext(ctx)
	if len(d.cfg.Netflow.Listen) > 0 {
		group.Go(func() error { return d.udp.Run(inputs) })
	}
	group.Go(func() error { return d.lists.Run(inputs) })
	group.Go(func() error { return d.pipe.Run(inputs) })
	group.Go(func() error { return d.http(inputs) })
	group.Go(func() error { return d.save(inputs) })
	group.Go(func() error { return d.page.Run(inputs) })
	group.Go(func() error { return d.memory.serve(inputs) })
	if d.dnsbl != nil {
		group.Go(func() error { return d.dnsbl.Run(inputs) })
	}
	group.Go(func() error { return d.probes.places.Run(inputs) })
	d.firewall.run(inputs, group)
	d.mail.run(inputs, group)
	err := group.Wait()
	d.drain()
	stopOutputs()
	<-said
	<-stored
	return err
}

// drainFor is how long the end waits for outputs; what they have not said then is spooled.
const drainFor = 500 * time.Millisecond

func (d *daemon) drain() {
	for deadline := time.Now().Add(drainFor); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if d.hub.Waiting() == 0 {
			return
		}
	}
}

func (d *daemon) save(ctx context.Context) error {
	tick, learnt := time.NewTicker(saveEvery), time.NewTicker(learntEvery)
	defer tick.Stop()
	defer learnt.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			d.saveState()
			d.saveFile("contacts.state", d.contacts.Save)
		case <-learnt.C:
			d.saveStates()
		}
	}
}

// parts are all that have figures.
func (d *daemon) parts() []web.Part {
	all := []web.Part{
		{Name: "flow", Figures: d.collector},
		{Name: "lists", Figures: d.lists},
		{Name: "pipe", Figures: d.pipe},
		{Name: "incidents", Figures: d.contacts},
		{Name: "outputs", Figures: d.hub},
	}
	all = append(all, web.Part{Name: "scans", Figures: d.probes.scans}, web.Part{Name: "surges", Figures: d.probes.surges}, web.Part{Name: "places", Figures: d.probes.places})
	all = append(append(all, d.firewall.parts()...), d.mail.parts()...)
	if d.memory != nil {
		all = append(all, web.Part{Name: "store", Figures: d.memory})
	}
	if d.dnsbl != nil {
		all = append(all, web.Part{Name: "dnsbl", Figures: d.dnsbl})
	}
	return append(all, d.more...)
}

// http serves metrics and health.
func (d *daemon) http(ctx context.Context) error {
	if d.cfg.HTTP.Listen == "" {
		return nil
	}
	mux := http.NewServeMux()
	var sources []prom.Source
	for _, p := range d.parts() {
		sources = append(sources, prom.Source{Name: p.Name, Figures: p.Figures})
	}
	mux.Handle("GET /metrics", prom.Handler(d.log, sources))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", d.ready)
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", d.cfg.HTTP.Listen)
	if err != nil {
		return fmt.Errorf("serve metrics on %s: %w; change http.listen", d.cfg.HTTP.Listen, err)
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// ready answers 503 while a configured list has never been read.
func (d *daemon) ready(w http.ResponseWriter, _ *http.Request) {
	for _, l := range d.lists.Lists() {
		if l.Loaded.IsZero() {
			http.Error(w, "list "+l.Name+" has not been read yet", http.StatusServiceUnavailable)
			return
		}
	}
	fmt.Fprintln(w, "ready")
}
