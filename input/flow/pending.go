package flow

import (
	"slices"
	"time"

	"varde/event/human"
)

// maxHeld bounds the bytes of all held sets of all exporters, maxHeldSets the number of sets of one.
const (
	maxHeld     = 64 << 20
	maxHeldSets = 1 << 14
)

// heldOverhead is what a held set costs beside its bytes.
const heldOverhead = 200

// pending are the data sets of one exporter that came before their template, oldest first.
type pending struct {
	sets  []heldSet
	bytes int
}

// heldSet is a data set with what its message said.
type heldSet struct {
	message
	id   uint16
	body []byte
}

// hold keeps a set until its template comes, within the bounds of the exporter and of all; otherwise it is given up.
func (x *exporter) hold(c *Collector, m *message, id uint16, body []byte) bool {
	cost := len(body) + heldOverhead
	if len(x.pending.sets) >= maxHeldSets || x.pending.bytes+cost > int(c.cfg.Hold) || c.held.Load()+int64(cost) > maxHeld {
		x.undecoded++
		return false
	}
	x.pending.sets = append(x.pending.sets, heldSet{*m, id, slices.Clone(body)})
	x.pending.bytes += cost
	c.held.Add(int64(cost))
	return true
}

// retry decodes the sets that the message itself held although it brings their template further on: their records
// belong to its own sequence numbers.
func (r *Reader) retry(m *message) {
	if !m.learned || m.holds == 0 {
		return
	}
	sets := m.x.pending.sets
	mine := sets[len(sets)-m.holds:]
	m.x.pending.sets = sets[:len(sets)-m.holds]
	for i := range mine {
		h := mine[i]
		if r.c.template(m.d, m.from.Port(), h.id) == nil {
			m.x.pending.sets = append(m.x.pending.sets, h)
			continue
		}
		m.x.drop(r.c, &h)
		m.holds--
		r.data(m, h.id, h.body)
	}
}

// release decodes the held sets whose template is known now, with the times of their own message.
func (r *Reader) release(m *message) {
	x := m.x
	if len(x.pending.sets) == 0 {
		return
	}
	waiting := x.pending.sets
	x.pending.sets = nil
	for i := range waiting {
		h := &waiting[i]
		if r.c.template(h.d, h.from.Port(), h.id) == nil {
			x.pending.sets = append(x.pending.sets, *h)
			continue
		}
		x.drop(r.c, h)
		h.records = 0
		r.data(&h.message, h.id, h.body)
		h.s.settle(r, x, uint64(h.records))
	}
}

// drop takes a held set off the books.
func (x *exporter) drop(c *Collector, h *heldSet) {
	x.pending.bytes -= len(h.body) + heldOverhead
	c.held.Add(-int64(len(h.body) + heldOverhead))
}

// settle books that a held set of the stream turned out to be n records. Once none waits, what remains of the
// sequence numbers in doubt was lost.
func (s *stream) settle(r *Reader, x *exporter, n uint64) {
	s.held = max(s.held-1, 0)
	s.vague -= min(s.vague, n)
	if s.held > 0 || s.vague == 0 {
		return
	}
	if !s.blind {
		r.lose(x, s.vague, 1)
	}
	s.vague, s.blind = 0, false
}

// giveUp books that a held set of the stream is not decoded. Its records cannot be told from lost ones any more; it
// counts as undecoded.
func (s *stream) giveUp() {
	s.held, s.blind = max(s.held-1, 0), true
	if s.held == 0 && s.vague > 0 {
		s.vague, s.blind = 0, false // the gap that they make has been seen
	}
}

// expire gives up held sets that have waited too long.
func (x *exporter) expire(c *Collector, now int64) {
	n := 0
	for n < len(x.pending.sets) && now-x.pending.sets[n].received > int64(c.cfg.HoldTime) {
		h := &x.pending.sets[n]
		x.drop(c, h)
		x.undecoded++
		h.s.giveUp()
		n++
	}
	if n > 0 {
		c.log.Warn("data sets given up: their template did not come", "exporter", x.name, "sets", n,
			"waited", human.Span(time.Duration(c.cfg.HoldTime)))
		x.pending.sets = slices.Delete(x.pending.sets, 0, n)
	}
}
