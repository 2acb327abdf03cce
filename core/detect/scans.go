package detect

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"varde/event"
)

// Scans is the detector of scans: one warning for each scan, said again when it grows or changes its shape, and closed
// when it goes quiet.
type Scans struct {
	cfg    ScanConfig
	ground *Ground
	names  map[netip.Addr]string
	hosts  int // so many targets are a horizontal scan here

	active atomic.Int64 // open scans, for a look without the lock
	mu     sync.Mutex
	faint  *book[faint]
	known  *book[known]
	groups *book[group]
	open   *book[scan]
	maps   []*portMap // spare ones

	sweepers stamps

	steps []step // scratch
	order []int
	ranks [2][]float64
	joint []joint

	probes, opened, escalated, closed, evicted uint64
}

// maxGroups bounds the neighbourhoods and autonomous systems that are watched for distributed scans.
const maxGroups = 8192

// NewScans makes the detector. Ground is shared with Surges; names are those of own hosts.
func NewScans(cfg ScanConfig, ground *Ground, names map[netip.Addr]string) *Scans {
	s := &Scans{cfg: cfg, ground: ground, names: names, hosts: cfg.Hosts}
	if share := max(int(cfg.HostShare*float64(ground.size)+0.999), 3); ground.size > 2 && share < s.hosts {
		s.hosts = share
	}
	s.empty()
	return s
}

func (s *Scans) empty() {
	s.faint, s.known = newBook[faint](s.cfg.MaxSources), newBook[known](max(s.cfg.MaxSources/knownPart, 1))
	s.groups, s.open = newBook[group](maxGroups), newBook[scan](s.cfg.MaxScans)
	s.sweepers = newStamps(maxSweepers)
}

// portMap has a bit for each port.
type portMap [1 << 16 / 64]uint64

// Bounds of what a scan remembers of itself.
const (
	maxTried   = 16
	maxReached = 16
	maxPath    = 64
)

// scan is one that goes on. Its key is that of its source, or of the group of its sources.
type scan struct {
	first, last int64
	touched     int64 // by the clock of this machine, for going quiet
	count       uint64
	how         uint16
	shape       pattern
	ports       uint32
	low, high   uint16
	tried       [maxTried]uint16
	reached     [maxReached]uint16
	nReached    uint8
	sources     distinct
	targets     distinct
	source      netip.Addr // the first
	target      netip.Addr // the first
	proto       uint8
	bits        *portMap

	path   [maxPath]step // a sample over the whole time, of new ports
	nPath  uint8
	stride uint32 // one in so many new ports is in it

	began        int64 // first when it was first said, which its ID is made of
	said         int64
	saidPorts    uint32
	saidTargets  uint32
	saidSources  uint32
	saidShape    pattern
	saidSeverity event.Severity
	raised       event.Event
}

// Judge takes a probe to its source and says what is news.
func (s *Scans) Judge(e *event.Event) *event.Warning {
	how := s.ground.look(e)
	if how == notProbe {
		return nil
	}
	if how == letIn && s.active.Load() == 0 {
		return nil // ordinary traffic waits for nobody
	}
	at := moment(e)
	s.mu.Lock()
	defer s.mu.Unlock()
	if how == letIn {
		return s.visit(e)
	}
	s.probes += e.Hits()
	key := sourceKey(e.Src)
	p := pair{at: uint32(at / int64(time.Second)), dst: uint32(addrHash(e.Dst)), port: e.DstPort, how: how, udp: e.Proto != event.TCP}
	if how == byPing {
		p.port = 0
	}
	near := neighbours(e.Src)
	if s.open.n > 0 {
		for _, k := range [...]uint64{key, near, asKey | uint64(e.ASN)} {
			if i := s.open.find(k); i != 0 && (k&tagOfKey != asKey || s.open.at(i).sources.holds(key)) {
				return s.goOn(i, e, p, at)
			}
		}
	}
	n := s.note(key, p, at, e.Hits())
	shape := noPattern
	if n.fresh {
		shape = s.shape(n.pairs, p)
	}
	if shape <= horizontal && !how.odd() && (shape != noPattern || s.open.n > 0) {
		if w := s.sweep(key, e, n, p, at, shape); w != nil || shape == horizontal {
			return w
		}
	}
	if !n.fresh {
		return nil
	}
	if shape != noPattern {
		i := s.begin(key, e, shape)
		s.take(s.open.at(i), key, n)
		s.forget(key)
		return s.say(i, e, "")
	}
	if i := s.spread(key, near, e, n, p); i != 0 {
		return s.say(i, e, "")
	}
	return nil
}

// begin opens a scan under a key.
func (s *Scans) begin(key uint64, e *event.Event, shape pattern) int32 {
	if s.open.n >= s.open.most {
		s.end(s.open.oldest())
		s.evicted++
	}
	i := s.open.put(key)
	c := s.open.at(i)
	*c = scan{
		first: moment(e), last: moment(e), shape: shape, source: e.Src, target: e.Dst, proto: e.Proto, low: 65535, stride: 1, bits: s.portMap(),
	}
	c.touched = max(e.Received, e.Last())
	s.opened++
	s.active.Store(int64(s.open.n))
	return i
}

func (s *Scans) portMap() *portMap {
	if n := len(s.maps); n > 0 {
		m := s.maps[n-1]
		s.maps = s.maps[:n-1]
		*m = portMap{}
		return m
	}
	return new(portMap)
}

// end forgets a scan.
func (s *Scans) end(i int32) {
	s.maps = append(s.maps, s.open.at(i).bits)
	s.open.at(i).bits = nil
	s.open.drop(i)
	s.active.Store(int64(s.open.n))
}

// take moves what is known of a source into a scan.
func (s *Scans) take(c *scan, key uint64, n noted) {
	c.first, c.last = min(c.first, n.first), max(c.last, n.last)
	c.count += n.count
	c.how |= n.how
	pairs := slices.Clone(n.pairs)
	slices.SortStableFunc(pairs, func(a, b pair) int { return int(int64(a.at) - int64(b.at)) })
	for _, p := range pairs {
		c.add(key, p)
	}
}

// add counts a pair and tells whether its port or target is new.
func (c *scan) add(source uint64, p pair) bool {
	c.sources.add(source)
	news := c.targets.add(uint64(p.dst))
	if bit := uint64(1) << (p.port % 64); c.bits[p.port/64]&bit == 0 {
		c.bits[p.port/64] |= bit
		if c.ports < maxTried {
			c.tried[c.ports] = p.port
		}
		c.low, c.high = min(c.low, p.port), max(c.high, p.port)
		if c.ports%c.stride == 0 {
			c.walk(step{p.at, p.port})
		}
		c.ports++
		news = true
	}
	return news
}

// walk notes a step of the path; when it is full every second step leaves.
func (c *scan) walk(st step) {
	if c.nPath == maxPath {
		for i := range maxPath / 2 {
			c.path[i] = c.path[2*i]
		}
		c.nPath = maxPath / 2
		c.stride *= 2
		if c.ports%c.stride != 0 {
			return
		}
	}
	c.path[c.nPath] = st
	c.nPath++
}

// goOn counts a probe of a scan that is open.
func (s *Scans) goOn(i int32, e *event.Event, p pair, at int64) *event.Warning {
	c := s.open.at(i)
	s.open.touch(i)
	c.count += e.Hits()
	c.how |= 1 << p.how
	c.first, c.last = min(c.first, at), max(c.last, at)
	c.touched = max(c.touched, e.Received, e.Last())
	if c.add(sourceKey(e.Src), p) {
		s.reshape(c)
	}
	why := ""
	switch targets, sources := c.targets.count(), c.sources.count(); {
	case c.shape > c.saidShape:
		why = "it has become " + article(c.shape)
	case c.ports >= s.cfg.Growth*c.saidPorts:
		why = fmt.Sprintf("%d times the ports since it was last said", c.ports/max(c.saidPorts, 1))
	case targets >= s.cfg.Growth*c.saidTargets:
		why = fmt.Sprintf("%d times the targets since it was last said", targets/max(c.saidTargets, 1))
	case sources >= s.cfg.Growth*c.saidSources:
		why = fmt.Sprintf("%d times the sources since it was last said", sources/max(c.saidSources, 1))
	case at-c.said >= int64(s.cfg.Again):
		why = "it goes on"
	default:
		return nil
	}
	return s.say(i, e, why)
}

// reshape looks whether a scan has grown into another shape.
func (s *Scans) reshape(c *scan) {
	ports, targets := int(c.ports), int(c.targets.count())
	switch {
	case c.shape == distributed || c.shape == block:
	case ports >= s.cfg.FastPorts && targets >= s.hosts:
		c.shape = block
	case c.shape == slowVertical && ports%8 == 0:
		if rho := s.spearman(append(s.steps[:0], c.path[:c.nPath]...)); rho >= s.cfg.Rho || rho <= -s.cfg.Rho {
			c.shape = diagonal
		}
	}
}

// visit notes that an open scan was let in at a port that we serve, which is what matters most about it.
func (s *Scans) visit(e *event.Event) *event.Warning {
	if e.Proto != event.TCP && e.Proto != event.UDP {
		return nil
	}
	i := s.open.find(sourceKey(e.Src))
	if i == 0 {
		i = s.swept(e)
	}
	if i == 0 {
		return nil
	}
	c := s.open.at(i)
	if slices.Contains(c.reached[:c.nReached], e.DstPort) || c.nReached == maxReached {
		return nil
	}
	c.reached[c.nReached] = e.DstPort
	c.nReached++
	if c.nReached > 1 {
		return nil
	}
	return s.say(i, e, "it was let in")
}

// say gives the warning of a scan that opens, or of what is news of it.
func (s *Scans) say(i int32, e *event.Event, why string) *event.Warning {
	c := s.open.at(i)
	c.raised = e.Clone()
	if c.said == 0 {
		c.began = c.first
	}
	w := s.warning(s.open.key(i), c)
	w.Time = max(e.Received, e.Last())
	if why != "" {
		w.State = event.Escalated
		w.Why += "; again: " + why
		s.escalated++
	}
	c.said, c.saidPorts, c.saidTargets, c.saidSources = moment(e), c.ports, c.targets.count(), c.sources.count()
	c.saidShape, c.saidSeverity = c.shape, w.Severity
	return &w
}

// scanID is the same for every warning of a scan, and in every replay.
func scanID(rule string, key uint64, first int64) string {
	h := fnv.New64a()
	b := binary.BigEndian.AppendUint64([]byte(rule), key)
	h.Write(binary.BigEndian.AppendUint64(b, uint64(first)))
	return fmt.Sprintf("%016x", h.Sum64())
}

// Sweep closes scans that went quiet and says a summary of those that were more than noise.
func (s *Scans) Sweep(now int64, say func(event.Warning)) {
	s.mu.Lock()
	var done []event.Warning
	for i := s.open.oldest(); i != 0; {
		c, next := s.open.at(i), s.open.newer(i)
		if now-c.touched < int64(s.cfg.Quiet) {
			break // whoever comes later was touched later
		}
		if quiet := s.quiet(c); now-c.touched >= quiet {
			if c.saidSeverity > event.Info {
				w := s.warning(s.open.key(i), c)
				w.State, w.Time = event.Closed, c.touched+quiet
				done = append(done, w)
			}
			s.closed++
			s.end(i)
		}
		i = next
	}
	s.mu.Unlock()
	for _, w := range done {
		say(w)
	}
}

// quiet is how long a scan must be silent to be over: who leaves an hour between two probes is given more time, and the
// many who sweep a port a day.
func (s *Scans) quiet(c *scan) int64 {
	if c.shape == horizontal {
		return int64(s.cfg.SlowWindow)
	}
	gap := (c.last - c.first) / int64(max(c.ports, c.targets.count(), 1))
	return min(max(int64(s.cfg.Quiet), 8*gap), int64(s.cfg.SlowWindow))
}

// Figures counts scans.
func (s *Scans) Figures(context.Context) ([]event.Figure, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []event.Figure{
		event.Count("varde_probes_total", "Probes of our side: refused or unanswered packets that nobody asked for.", s.probes),
		event.Measure("varde_probe_sources", "Sources of probes that are remembered.", "", float64(s.faint.n+s.known.n)),
		event.Count("varde_probe_sources_evicted_total", "Sources and scans forgotten to make room.", s.evicted),
		event.Measure("varde_scans_open", "Scans that are not quiet yet.", "", float64(s.open.n)),
		event.Count("varde_scans_opened_total", "Scans begun.", s.opened),
		event.Count("varde_scans_escalated_total", "Scans said again since they grew.", s.escalated),
		event.Count("varde_scans_closed_total", "Scans that went quiet.", s.closed),
	}, nil
}
