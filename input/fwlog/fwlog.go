// Package fwlog reads what firewalls log: netfilter, RouterOS, pf, Cisco, Juniper, Fortinet, Windows, AWS and others.
// What stands around a line, its time and its host, is read by package syslog; here is what the text means.
//
// A packet that was denied, or of which the line does not say what became of it, is an event of kind probe, with the
// action deny or unknown. What was let through or only watched is of kind flow, with the action accept or audit, so
// that nobody takes it for a probe. Where a line stands for several packets their number is in Count and Packets.
//
// Rule is what the firewall calls the rule. The details are: chain; direction (in or out); state (of the connection);
// flags = none, for a TCP packet of which the line shows that it had no flag at all, while TCPFlags of 0 alone means that
// they are not told; fragment (the offset of a later fragment, which has no ports, as the firewall writes it); physin and
// physout (ports of a bridge); src_name and dst_name (names that stand in place of addresses); src_zone and dst_zone;
// reason; description; user; policy; account.
//
// The scanners are written by hand: regular expressions are 12 to 16 times slower.
package fwlog

import (
	"log/slog"
	"net/netip"
	"time"

	"varde/event"
	"varde/input/syslog"
)

// Collector counts what its Readers read. It may be used by several goroutines at once.
type Collector struct {
	log    *slog.Logger
	counts []counts // by format
	totals totals
}

// New makes a Collector that logs samples of what cannot be read.
func New(log *slog.Logger) *Collector {
	return &Collector{log: log, counts: make([]counts, len(formats))}
}

// Reader reads the lines of one source, one after the other.
type Reader struct {
	c    *Collector
	emit event.Emit
	ev   event.Event
	last int  // format of the line before, the first to be tried
	only bool // no other is

	wall     wall
	texts    texts
	prefixes rulings // of netfilter's prefixes
	heads    rulings // of what RouterOS writes before the interface
	actions  []namedAction
	columns  columns // of Windows's log, as its header says
	lost     uint64  // packets that the line says were not logged
	peer     netip.Addr
	peerName string
	buf      []byte // for texts with escapes
}

// NewReader makes a Reader for one source. Whoever reads it from several goroutines, such as the connections of a
// server, makes one for each.
func (c *Collector) NewReader(cfg Config, emit event.Emit) (*Reader, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	zone, err := loadZone(cfg.Zone)
	if err != nil {
		return nil, err
	}
	r := &Reader{c: c, emit: emit, wall: wall{zone: zone}, actions: cfg.actions(), columns: defaultColumns}
	if i, ok := formatIndex(cfg.Format); ok {
		r.last, r.only = i, true
	}
	return r, nil
}

// Line reads one line. It emits an event and answers true, or counts why not.
func (r *Reader) Line(l *syslog.Line) bool {
	r.c.totals.lines.Add(1)
	if len(l.Raw) > syslog.MaxLine || len(l.Text) > syslog.MaxLine {
		r.c.totals.cut.Add(1)
		short := *l
		for _, b := range []*[]byte{&short.Raw, &short.Text, &short.Body, &short.Data} {
			*b = (*b)[:min(len(*b), syslog.MaxLine)]
		}
		l = &short
	}
	v := formats[r.last].read(r, l)
	if v == parsed {
		return r.hand(r.last)
	}
	claimed, claim := r.last, v
	for i := 0; i < len(formats) && v != ignored && !r.only; i++ {
		if i == r.last {
			continue
		}
		if v = formats[i].read(r, l); v == parsed {
			r.last = i
			return r.hand(i)
		}
		if v != foreign && claim == foreign {
			claimed, claim = i, v
		}
	}
	switch claim {
	case foreign:
		r.c.totals.foreign.Add(1)
	case ignored:
		r.last = claimed
		r.c.counts[claimed].ignored.Add(1)
		r.c.counts[claimed].lost.Add(min(r.lost, maxHits))
		r.lost = 0
	case broken:
		r.c.counts[claimed].unparsed.Add(1)
		r.c.complain(formats[claimed].name, l.Raw)
	}
	return false
}

func (r *Reader) hand(i int) bool {
	r.c.counts[i].parsed.Add(1)
	r.ev.Source = formats[i].name
	r.emit(&r.ev)
	return true
}

// Format is the name of the format of the last line that had one, "" before.
func (r *Reader) Format() string {
	return r.ev.Source
}

// fresh is an event with what the envelope says.
func (r *Reader) fresh(l *syslog.Line) *event.Event {
	e := &r.ev
	source := e.Source
	e.Reset()
	e.Source = source
	e.Time, e.Received = event.Nanos(l.Time), event.Nanos(l.Received)
	e.Exporter = r.exporter(l, l.Host)
	return e
}

// exporter is what the operator calls the sender, or what it calls itself, or its address.
func (r *Reader) exporter(l *syslog.Line, host []byte) string {
	switch {
	case l.PeerName != "":
		return l.PeerName
	case len(host) > 0:
		return r.texts.of(host)
	case !l.Peer.IsValid():
		return ""
	case l.Peer != r.peer:
		r.peer, r.peerName = l.Peer, l.Peer.String()
	}
	return r.peerName
}

// finish tells what became of the packets, of which there were so many; 0 is not told.
func (r *Reader) finish(a event.Action, hits uint64) verdict {
	e := &r.ev
	e.Action, e.Kind = a, event.Probe
	if a == event.Accept || a == event.Audit {
		e.Kind = event.Flow
	}
	if hits > 0 {
		e.Count = uint32(min(hits, maxHits))
	}
	if e.Packets == 0 {
		e.Packets = e.Hits()
	}
	e.RawPackets, e.RawBytes = e.Packets, e.Bytes
	return parsed
}

// maxHits is more than a firewall counts between two lines, and less than what would spoil sums.
const maxHits = 1 << 31

// detail appends a detail, unless the value is empty.
func (r *Reader) detail(key string, value []byte) {
	if len(value) > 0 {
		r.ev.Detail = append(r.ev.Detail, event.Pair{Key: key, Value: r.texts.of(value)})
	}
}

// note appends a detail whose value is known beforehand.
func (r *Reader) note(key, value string) {
	r.ev.Detail = append(r.ev.Detail, event.Pair{Key: key, Value: value})
}

// flagsTold takes TCP flags that the line shows all of.
func (r *Reader) flagsTold(flags uint8) {
	r.ev.TCPFlags = flags
	if flags == 0 {
		r.note("flags", "none")
	}
}

func loadZone(name string) (*time.Location, error) {
	if name == "" {
		return time.Local, nil
	}
	return time.LoadLocation(name)
}
