package mailgw

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os/exec"
	"strings"
	"sync"
	"time"

	"varde/event/human"
)

// AmavisConfig says where amavis keeps its databases.
type AmavisConfig struct {
	Dir    string `yaml:"dir" doc:"Folder of snmp.db and nanny.db, $db_home of amavis; empty is off."`
	DBDump string `yaml:"db_dump" doc:"The db_dump program, asked when the databases cannot be read beside their writers; empty never asks it."`
	ZMQ    string `yaml:"zmq" doc:"Address of the SNMP responder of amavis-services, like tcp://127.0.0.1:23233; empty never asks it."`
}

// Check says which value is impossible.
func (c *AmavisConfig) Check() error {
	if c.ZMQ == "" {
		return nil
	}
	_, _, err := splitZMQ(c.ZMQ)
	return err
}

// holdGood is how long the last good values stand in for a database that is too busy to read, before other sources
// are asked.
const holdGood = 15 * time.Second

// Amavis reads the counters and process states of amavis. It is safe for concurrent use.
type Amavis struct {
	cfg     AmavisConfig
	now     func() time.Time
	snmp    *liveReader
	nanny   *liveReader
	dumper  *dumper
	mu      sync.Mutex
	good    AmavisValues // the last that were fresh
	goodUID dbUID        // of the database that they are from, zero for other sources
	dead    undertaker
	stats   AmavisStats
}

// AmavisStats tells how reading went.
type AmavisStats struct {
	Reads map[AmavisSource]uint64 // accepted, by source
	Held  uint64                  // answered with the last good values
}

// NewAmavis makes a reader; it opens nothing yet.
func NewAmavis(cfg AmavisConfig) *Amavis {
	return &Amavis{
		cfg: cfg, now: time.Now, snmp: newLiveReader(cfg.Dir, "snmp.db"), nanny: newLiveReader(cfg.Dir, "nanny.db"),
		dumper: &dumper{program: cfg.DBDump}, dead: undertaker{alive: kill0},
		stats: AmavisStats{Reads: map[AmavisSource]uint64{}},
	}
}

// Stats tells how reading went so far.
func (a *Amavis) Stats() AmavisStats {
	a.mu.Lock()
	defer a.mu.Unlock()
	return AmavisStats{Reads: maps.Clone(a.stats.Reads), Held: a.stats.Held}
}

// Snapshot reads everything that amavis tells: beside its writers, else by db_dump, else from amavis-services, else
// from the files alone. Values that are not from now carry their age. Its slices are the caller's to read, not to write.
func (a *Amavis) Snapshot(ctx context.Context) (AmavisValues, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cfg.Dir == "" {
		return AmavisValues{}, errors.New("no folder of amavis's databases is configured: set amavis.dir")
	}
	var errs []error
	ways := []func(context.Context) (AmavisValues, error){a.live, a.dumped, a.zmq}
	if a.snmp.crowds() {
		ways[0], ways[1] = ways[1], ways[0]
	}
	for _, way := range ways {
		v, err := way(ctx)
		if err == nil {
			a.good = v
			a.stats.Reads[v.Source]++
			return v, nil
		}
		if ctx.Err() != nil {
			return AmavisValues{}, ctx.Err()
		}
		if !errors.Is(err, errOff) {
			errs = append(errs, err)
		}
		if errors.Is(err, errBusy) && a.now().Sub(a.good.Read) < holdGood {
			return a.held(), nil
		}
	}
	v, err := a.files()
	if err == nil {
		a.stats.Reads[v.Source]++
		return v, nil
	}
	return AmavisValues{}, a.advise(append(errs, err))
}

// errOff is a source that is not configured or not there.
var errOff = errors.New("not configured")

// held is the last good values with their age.
func (a *Amavis) held() AmavisValues {
	v := a.good
	v.Age = max(0, a.now().Sub(v.Read))
	a.stats.Held++
	return v
}

// live reads both databases beside their writers.
func (a *Amavis) live(ctx context.Context) (AmavisValues, error) {
	var v AmavisValues
	t, err := a.snmp.read(ctx, func(t *table) error {
		v = AmavisValues{Source: FromLive, Read: a.now()}
		v.fill(t.rows)
		if a.goodUID != t.uid {
			return nil
		}
		if name := v.behind(&a.good); name != "" {
			return fmt.Errorf("%s went back: %w", human.Safe(name), errBusy)
		}
		return nil
	})
	if err != nil {
		return v, err
	}
	n, err := a.nanny.read(ctx, func(*table) error { return nil })
	if errors.Is(err, errNotCached) {
		// The cache was understood, as snmp.db shows. So no page of nanny.db waits in it to be written.
		n, _, err = a.nanny.readFile()
	}
	if err != nil {
		return v, err
	}
	a.goodUID = t.uid
	a.processes(&v, n.rows)
	return v, nil
}

// dumped asks db_dump.
func (a *Amavis) dumped(ctx context.Context) (AmavisValues, error) {
	v := AmavisValues{Source: FromDump, Read: a.now()}
	if a.cfg.DBDump == "" {
		return v, errOff
	}
	t, err := a.dumper.dump(ctx, a.cfg.Dir, "snmp.db")
	if err != nil {
		return v, a.absent(err)
	}
	n, err := a.dumper.dump(ctx, a.cfg.Dir, "nanny.db")
	if err != nil {
		return v, err
	}
	v.fill(t.rows)
	a.processes(&v, n.rows)
	a.goodUID = dbUID{}
	return v, nil
}

// absent turns a program that is not installed into a source that is off.
func (a *Amavis) absent(err error) error {
	if errors.Is(err, exec.ErrNotFound) {
		return errOff
	}
	return err
}

// zmq asks amavis-services.
func (a *Amavis) zmq(ctx context.Context) (AmavisValues, error) {
	v := AmavisValues{Source: FromZMQ, Read: a.now()}
	if a.cfg.ZMQ == "" {
		return v, errOff
	}
	err := askServices(ctx, a.cfg.ZMQ, &v)
	a.goodUID = dbUID{}
	return v, err
}

// files reads what stands on the disk. While amavis runs that is always behind, so values that were once read from the
// same database are preferred to it, at whatever age.
func (a *Amavis) files() (AmavisValues, error) {
	t, written, err := a.snmp.readFile()
	if err != nil {
		return AmavisValues{}, err
	}
	if !a.good.Read.IsZero() && (a.goodUID == t.uid || a.goodUID == dbUID{}) {
		return a.held(), nil
	}
	n, _, err := a.nanny.readFile()
	if err != nil {
		return AmavisValues{}, err
	}
	v := AmavisValues{Source: FromFile, Stale: true, Read: a.now(), Age: max(0, a.now().Sub(written))}
	v.fill(t.rows)
	a.processes(&v, n.rows)
	return v, nil
}

func (a *Amavis) processes(v *AmavisValues, rows []row) {
	var bad int
	v.Processes, bad = a.dead.count(rows, v.Read)
	v.Bad += bad
}

// advise adds to the reasons what a person can do.
func (a *Amavis) advise(errs []error) error {
	err := errors.Join(errs...)
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	switch {
	case errors.Is(err, fs.ErrPermission):
		text += "; let varde into the group of " + a.cfg.Dir + ", as with adduser varde amavis"
	case errors.Is(err, fs.ErrNotExist):
		text += "; is amavis running, with $enable_db = 1 and $db_home = " + a.cfg.Dir + "?"
	}
	return &adviceError{"read amavis: " + text, err}
}

// adviceError is a reason in one line that can still be asked for its cause.
type adviceError struct {
	text  string
	cause error
}

func (e *adviceError) Error() string { return e.text }
func (e *adviceError) Unwrap() error { return e.cause }
