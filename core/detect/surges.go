package detect

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"varde/event"
)

// Surges is the detector of ports on the rise: far more new sources than the port's own past, the rhythm of the week and
// all other ports let expect, and from many networks. docs/detection.md explains the method and gives its figures.
type Surges struct {
	cfg    SurgeConfig
	ground *Ground

	mu    sync.Mutex
	seen  stamps
	pages [2 * (1 << 16) / portPage]*[portPage]port // TCP, then UDP
	hot   *book[hot]
	base  baseline
	open  int

	fresh, strays, opened, escalated, closed uint64
}

// NewSurges makes the detector. Ground is shared with Scans.
func NewSurges(cfg SurgeConfig, ground *Ground) *Surges {
	s := &Surges{cfg: cfg, ground: ground}
	s.empty()
	return s
}

func (s *Surges) empty() {
	s.seen, s.hot = newStamps(s.cfg.SeenPairs), newBook[hot](maxHot)
	s.pages, s.open = [len(s.pages)]*[portPage]port{}, 0
	s.base = baseline{halfLife: time.Duration(s.cfg.HalfLife).Hours() / 24, hourEnds: s.hourEnds}
}

// dayMinutes is for how long a source is not new to a port.
const dayMinutes = 24 * 60

// portKey numbers TCP and UDP ports; those of UDP come behind those of TCP.
func portKey(proto uint8, number uint16) uint32 {
	if proto == event.UDP {
		return 1<<16 | uint32(number)
	}
	return uint32(number)
}

// Judge counts a source that is new to a port, and says when there are too many.
func (s *Surges) Judge(e *event.Event) *event.Warning {
	how := s.ground.look(e)
	if how != bySYN && how != byUDP && how != byConnect || e.Proto != event.TCP && e.Proto != event.UDP {
		return nil
	}
	at := moment(e)
	key := portKey(e.Proto, e.DstPort)
	hash := mix(mix(sourceKey(e.Src)) + uint64(key))
	s.mu.Lock()
	defer s.mu.Unlock()
	bin := binOf(at)
	if !s.base.advance(bin) {
		s.strays++
		return nil
	}
	age, known := s.seen.mark(hash, minute(at))
	if known && age < dayMinutes {
		return nil
	}
	s.fresh++
	v := visitorOf(e, at)
	p := s.port(key)
	p.refresh(v.at, &s.base, s.cfg.Clip)
	if p.tokens >= 1 || s.cold() {
		p.tokens = max(p.tokens-1, 0)
		p.learnt++
		s.base.learn(bin)
	}
	h := s.visit(p, key, bin, v)
	if h == nil {
		return s.judgeFew(p, key, e, at)
	}
	if h.surge != nil {
		return s.goOn(p, h, key, e, at)
	}
	return s.judgeMany(p, h, key, e, at)
}

func (s *Surges) port(key uint32) *port {
	page := &s.pages[key/portPage]
	if *page == nil {
		*page = new([portPage]port)
	}
	return &(*page)[key%portPage]
}

// cold tells that too little was watched to know what is usual.
func (s *Surges) cold() bool { return s.base.watched < time.Duration(s.cfg.ColdStart).Hours()/24 }

// visitorOf is a source as a port remembers it.
func visitorOf(e *event.Event, at int64) visitor {
	v := visitor{at: uint32(at / int64(time.Second)), network: e.ASN, system: e.ASN != 0, country: countryOf(e.Country)}
	switch {
	case v.system:
	case e.Src.Is4():
		v.network = uint32(sourceKey(e.Src)) >> 16
	default:
		v.network = uint32(sourceKey(e.Src) >> 32)
	}
	return v
}

// countryOf takes two letters as they are, and nothing else.
func countryOf(s string) [2]byte {
	if len(s) == 2 && letter(s[0]) && letter(s[1]) {
		return [2]byte{s[0], s[1]}
	}
	return [2]byte{}
}

func letter(c byte) bool { return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' }

// visit remembers a new source, by a curve where there are enough.
func (s *Surges) visit(p *port, key uint32, bin int64, v visitor) *hot {
	if p.hot != 0 {
		h := s.hot.at(p.hot)
		h.add(bin, v)
		s.hot.touch(p.hot)
		return h
	}
	if p.n < fewSeen {
		p.recent[p.n] = v
		p.n++
	} else {
		p.recent[p.next] = v
		p.next = (p.next + 1) % fewSeen
	}
	if int(p.n) < fewSeen {
		return nil
	}
	for i := range p.recent {
		if int64(v.at)-int64(p.recent[i].at) >= windowBins*int64(binLength/time.Second) {
			return nil
		}
	}
	return s.heat(p, key)
}

// heat gives a port a curve.
func (s *Surges) heat(p *port, key uint32) *hot {
	if s.hot.n >= s.hot.most {
		old := s.hot.oldest()
		for s.hot.at(old).surge != nil { // there are fewer surges than curves
			old = s.hot.newer(old)
		}
		s.port(uint32(s.hot.key(old))).hot = 0
		s.hot.drop(old)
	}
	p.hot = s.hot.put(uint64(key))
	h := s.hot.at(p.hot)
	h.dispersion = 2
	for i := range p.n {
		v := p.recent[(p.next+i)%p.n]
		h.add(int64(v.at)/int64(binLength/time.Second), v)
	}
	p.n, p.next = 0, 0
	return h
}

// least is how many new sources are needed.
func (s *Surges) least() int {
	if s.base.rate(s.base.total) < 1<<16 {
		return s.cfg.FewSources
	}
	return s.cfg.Sources
}

// silent tells that nothing may be said.
func (s *Surges) silent() bool { return s.cold() || s.base.cur < s.base.mute || s.open >= maxSurges }

// unlikely tells whether n new sources in a window are far too many, and how many are expected.
func (s *Surges) unlikely(p *port, window, n int, at int64) (expected float64, yes bool) {
	span := s.base.span(window, at)
	own := s.base.rate(float64(p.learnt)) * span
	expected = own * s.base.common(window, span, min(float64(n), s.cfg.Clip*own+s.cfg.Clip), own)
	return expected, s.tooMany(p, n, expected, s.cfg.Chance)
}

func (s *Surges) tooMany(p *port, n int, expected, chance float64) bool {
	if float64(n) < s.cfg.Excess*expected {
		return false
	}
	shape := clamp(float64(p.learnt)/4, 0.5, 8)
	return negativeBinomialTail(n, expected, shape) < chance
}

// wide tells whether n new sources came from many networks, and would be too many, by the square root of the chance,
// without the largest of these: a fleet of one network beside the usual visitors is no surge.
func (s *Surges) wide(p *port, all []visitor, from int64, n int, expected float64) (networks int, yes bool) {
	networks, largest := spread(all, from)
	if networks < s.cfg.Networks {
		return networks, false
	}
	return networks, s.tooMany(p, n-int(largest*float64(n)+0.5), expected, math.Sqrt(s.cfg.Chance))
}

// judgeFew judges a port without a curve by the sources that it remembers.
func (s *Surges) judgeFew(p *port, key uint32, e *event.Event, at int64) *event.Warning {
	least := s.least()
	if int(p.n) < least || s.silent() {
		return nil
	}
	for window, bins := range windows {
		n, from := 0, s.from(bins)
		for i := range p.recent[:p.n] {
			n += b2i(int64(p.recent[i].at) >= from)
		}
		if n < least {
			continue
		}
		expected, yes := s.unlikely(p, window, n, at)
		if !yes {
			continue
		}
		if networks, yes := s.wide(p, p.recent[:p.n], from, n, expected); yes {
			return s.begin(p, s.heat(p, key), key, e, at, surge{window: window, sources: uint64(n), expected: expected, networks: uint32(networks)})
		}
	}
	return nil
}

// from is where a window that ends now begins, in seconds since 1970.
func (s *Surges) from(bins int64) int64 {
	return (s.base.cur - bins + 1) * int64(binLength/time.Second)
}

// judgeMany judges a port by its curve.
func (s *Surges) judgeMany(p *port, h *hot, key uint32, e *event.Event, at int64) *event.Warning {
	if s.silent() {
		return nil
	}
	least := s.least()
	for window, bins := range windows {
		n := h.count(s.base.cur, bins)
		if n < least {
			continue
		}
		expected, yes := s.unlikely(p, window, n, at)
		busy := !yes && window == len(windows)-1 && h.cusum > s.cfg.BusyLimit
		if !yes && !busy {
			continue
		}
		networks, wide := s.wide(p, h.recent[:h.n], s.from(bins), n, expected)
		if wide || busy && networks >= s.cfg.Networks {
			return s.begin(p, h, key, e, at, surge{window: window, sources: uint64(n), expected: expected, networks: uint32(networks), busy: busy})
		}
	}
	return nil
}

// busyRise is the rise of a busy port that the cumulative sum looks for: between once and twice as many.
const busyRise = 1.5

// hourEnds adds an hour to the cumulative sums of busy ports.
func (s *Surges) hourEnds(hour int64) {
	const hours = 1 // the window of an hour
	span := s.base.season.factor(hour) / 24
	for i := s.hot.oldest(); i != 0; i = s.hot.newer(i) {
		h, p := s.hot.at(i), s.port(uint32(s.hot.key(i)))
		if h.surge != nil || float64(p.learnt) < s.cfg.BusyFrom || s.cold() {
			h.cusum = 0
			continue
		}
		n := float64(h.count(s.base.cur-1, hourBins))
		own := s.base.rate(float64(p.learnt)) * span
		expected := own * s.base.common(hours, span, n, own)
		deviation := (n - expected) * (n - expected) / max(expected, 0.5)
		h.dispersion = clamp(0.98*h.dispersion+0.02*min(deviation, 8*h.dispersion), 1, 1000)
		h.cusum = max(h.cusum+(n*math.Log(busyRise)-expected*(busyRise-1))/h.dispersion, 0)
	}
}

// begin opens a surge.
func (s *Surges) begin(p *port, h *hot, key uint32, e *event.Event, at int64, first surge) *event.Warning {
	h.surge = &first
	h.surge.high, h.surge.touched = at, max(e.Received, e.Last())
	onset := s.onset(h, first.window, first.expected)
	h.surge.first = onset * int64(binLength)
	h.surge.total = max(uint64(h.count(s.base.cur, s.base.cur-onset+1)), first.sources)
	s.open++
	s.opened++
	return s.say(p, h, key, e, at, "")
}

// onset goes back along the curve to where it left what is usual, over pauses no longer than the window.
func (s *Surges) onset(h *hot, window int, expected float64) int64 {
	bins := windows[window]
	usual := expected / float64(bins)
	begin := s.base.cur
	for bin := s.base.cur; bin > s.base.cur-curveBins && begin-bin <= bins; bin-- {
		if bin <= h.last && float64(h.bins[bin%curveBins]) > max(2*usual, 0.5) {
			begin = bin
		}
	}
	return begin
}

// goOn counts a new source of a surge that is open.
func (s *Surges) goOn(p *port, h *hot, key uint32, e *event.Event, at int64) *event.Warning {
	g := h.surge
	g.total++
	longest := len(windows) - 1
	n := h.count(s.base.cur, windows[longest])
	excess := s.cfg.Excess
	if g.busy {
		excess = 1 + (excess-1)/2
	}
	if span := s.base.span(longest, at); n >= s.least() && float64(n) >= excess*s.base.rate(float64(p.learnt))*span {
		g.high, g.touched = max(g.high, at), max(g.touched, e.Received, e.Last())
	}
	why := ""
	switch {
	case g.total >= s.cfg.Growth*g.saidTotal:
		why = fmt.Sprintf("%d times the sources since it was last said", g.total/max(g.saidTotal, 1))
	case at-g.said >= int64(s.cfg.Again) && at-g.high < int64(time.Hour):
		why = "it goes on"
	default:
		return nil
	}
	s.escalated++
	return s.say(p, h, key, e, at, why)
}

// Sweep closes surges that are over and says a summary of each.
func (s *Surges) Sweep(now int64, say func(event.Warning)) {
	s.mu.Lock()
	var done []event.Warning
	for i := s.hot.oldest(); i != 0 && s.open > len(done); i = s.hot.newer(i) {
		h := s.hot.at(i)
		if h.surge == nil || now-h.surge.touched < int64(s.cfg.Quiet) {
			continue
		}
		key := uint32(s.hot.key(i))
		w := s.warning(s.port(key), h, key)
		w.State, w.Time = event.Closed, h.surge.touched+int64(s.cfg.Quiet)
		w.Why = endOf(serviceName(portOf(key)), h.surge, w.Surge)
		done = append(done, w)
		h.surge, h.cusum = nil, 0
	}
	s.open -= len(done)
	s.closed += uint64(len(done))
	s.mu.Unlock()
	for _, w := range done {
		say(w)
	}
}

// Figures counts surges.
func (s *Surges) Figures(context.Context) ([]event.Figure, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []event.Figure{
		event.Count("varde_surge_sources_total", "Sources that were new to a port for a day.", s.fresh),
		event.Count("varde_surge_strays_total", "Probes at a time too far from that of all others, left out.", s.strays),
		event.Measure("varde_surge_watched", "How long ports have been watched.", "seconds", s.base.watched*24*3600),
		event.Measure("varde_surges_open", "Ports on the rise.", "", float64(s.open)),
		event.Count("varde_surges_opened_total", "Surges begun.", s.opened),
		event.Count("varde_surges_escalated_total", "Surges said again since they grew.", s.escalated),
		event.Count("varde_surges_closed_total", "Surges that ended.", s.closed),
	}, nil
}

// networkName is an autonomous system as people write it, "" for other networks.
func networkName(key uint64) string {
	if key&tagOfKey == asKey {
		return fmt.Sprintf("AS%d", uint32(key))
	}
	return ""
}

func countryName(key uint64) string {
	if key == 0 {
		return "??"
	}
	return string([]byte{byte(key >> 8), byte(key)})
}

// portOf is the inverse of portKey.
func portOf(key uint32) (proto uint8, number uint16) {
	if key>>16 != 0 {
		return event.UDP, uint16(key)
	}
	return event.TCP, uint16(key)
}
