package agentx

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"varde/event"
)

// Source is a part that has figures, with the name it has in the log.
type Source struct {
	Name    string
	Figures event.Figures
}

const (
	// partTimeout is how long one part may take to give its figures. Parts give what they have at hand.
	partTimeout = 5 * time.Second

	// maxAmavisAge is how long the last values of amavis stand in for values that cannot be read.
	maxAmavisAge = 10 * time.Minute
)

// collector makes pictures.
type collector struct {
	log     *slog.Logger
	sources []Source
	amavis  Amavis // nil is not served
	root    oid    // of varde's own subtree
	roots   []oid  // of all regions, sorted
	objects []oid  // all, sorted
	names   []amavisObject
	started time.Time

	making     sync.Mutex // pictures are made one after the other
	serial     uint32
	values     AmavisValues
	read       time.Time       // when values were true
	complained map[string]bool // sources that were last heard to fail

	failures atomic.Uint64
}

func newCollector(root oid, d Deps) (*collector, error) {
	c := &collector{
		log: d.Log, sources: d.Sources, amavis: d.Amavis, root: root, roots: []oid{root}, objects: ownObjects(root),
		started: time.Now(), complained: map[string]bool{},
	}
	if d.Amavis != nil {
		var err error
		if c.names, err = amavisObjects(); err != nil {
			return nil, err
		}
		c.roots = append(c.roots, amavisRegions()...)
		for i := range c.names {
			c.objects = append(c.objects, amavisRoot().plus(c.names[i].at...))
		}
	}
	slices.SortFunc(c.roots, slices.Compare)
	slices.SortFunc(c.objects, slices.Compare)
	return c, nil
}

// picture asks all parts at once and makes a picture of what they say.
func (c *collector) picture(ctx context.Context) *picture {
	c.making.Lock()
	defer c.making.Unlock()
	ctx, cancel := context.WithTimeout(ctx, partTimeout)
	defer cancel()
	now := time.Now()
	c.serial++
	parts := make([][]event.Figure, len(c.sources))
	errs := make([]error, len(c.sources))
	var all sync.WaitGroup
	for i, s := range c.sources {
		all.Go(func() { parts[i], errs[i] = s.Figures.Figures(ctx) })
	}
	if c.amavis != nil {
		c.readAmavis(ctx)
	}
	all.Wait()
	failed := 0
	for i, s := range c.sources {
		if c.said(s.Name, errs[i]); errs[i] != nil {
			failed++
		}
	}
	figures := slices.Concat(parts...)
	vars := ownVariables(c.root, figures, map[uint32]value{
		1: {typ: typeTimeTicks, number: uint64(uint32(now.Sub(c.started) / (10 * time.Millisecond)))},
		2: {typ: typeCounter64, number: uint64(c.serial)},
		5: number(typeGauge32, failed),
	}, len(c.names))
	if c.amavis != nil {
		values := c.values
		if now.Sub(c.read) > maxAmavisAge {
			values = nil
		}
		vars = amavisVariables(vars, c.names, values, queueFigures(figures))
	}
	return newPicture(now, c.serial, c.roots, c.objects, vars)
}

func (c *collector) readAmavis(ctx context.Context) {
	values, age, err := c.amavis.Snapshot(ctx)
	if err == nil {
		c.values, c.read = values, time.Now().Add(-age)
	}
	c.said("amavis for SNMP", err)
}

// said logs a part that begins to fail or is well again.
func (c *collector) said(name string, err error) {
	switch {
	case err != nil && !c.complained[name]:
		c.log.Warn("part has nothing for SNMP", "part", name, "error", err)
	case err == nil && c.complained[name]:
		c.log.Info("part has something for SNMP again", "part", name)
	}
	if c.complained[name] = err != nil; err != nil {
		c.failures.Add(1)
	}
}

func queueFigures(figures []event.Figure) map[string]*event.Figure {
	out := map[string]*event.Figure{}
	for i := range figures {
		if f := &figures[i]; f.Name == "postfix_queue_messages" {
			out[event.Detail(f.Labels).Get("queue")] = f
		}
	}
	return out
}
