package store

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"varde/event"
	"varde/event/query"
)

// Tail implements query.Reader. It looks at the newest hours first and goes back as far as it must.
func (s *Store) Tail(ctx context.Context, b query.Box, n int) (out []event.Event, err error) {
	if n < 1 || n > query.MaxRows {
		return nil, fmt.Errorf("ask for 1 to %d events, not %d", query.MaxRows, n)
	}
	narrow := b
	for reach := time.Hour; ; reach *= 8 {
		whole := false
		err = s.ask(ctx, &b, func(q *asking) error {
			newest, err := q.newest(b.Kinds)
			if err != nil {
				return err
			}
			if b.To != 0 {
				newest = min(newest, b.To)
			}
			narrow.From = newest - int64(reach)
			if whole = narrow.From <= b.From || reach > 100*365*24*time.Hour/8; whole {
				narrow.From = b.From
			}
			q.box = within(&narrow)
			if err := q.choose(&narrow); err != nil {
				return err
			}
			out = out[:0]
			return q.events("ORDER BY time DESC, src_hi, src_lo, dst_hi, dst_lo, sport, dport LIMIT "+fmt.Sprint(n), func(e event.Event) {
				out = append(out, e)
			})
		})
		if err != nil || whole || len(out) == n {
			return out, err
		}
	}
}

// events reads whole rows of the box.
func (q *asking) events(order string, one func(event.Event)) error {
	from := q.from(archived())
	c := &clause{}
	c.add("SELECT * REPLACE (epoch_us(time) AS time) FROM "+from.sql.String()+" "+order, from.args...)
	var r row
	return q.rows(c, r.into(), func() error {
		one(r.event())
		return nil
	})
}

// row scans one whole row of the table of events.
type row struct {
	time                                               int64
	lasted, packets, bytes                             uint64
	kind, action, own, proto, flags                    uint8
	icmp                                               *uint16
	srcHi, srcLo, dstHi, dstLo                         *uint64
	sport, dport                                       uint16
	sampling                                           uint32
	revPackets, revBytes                               *uint64
	revFlags                                           *uint8
	natSrcHi, natSrcLo, natDstHi, natDstLo             *uint64
	natSport, natDport                                 *uint16
	natEvent                                           *uint8
	count, in, out, domain, asn                        uint32
	source, exporter, inIf, outIf, country, rule, sess *string
	lists, detail                                      *string
}

func (r *row) into() []any {
	return []any{
		&r.time, &r.lasted, &r.kind, &r.action, &r.own, &r.proto, &r.flags, &r.icmp, &r.srcHi, &r.srcLo, &r.dstHi, &r.dstLo,
		&r.sport, &r.dport, &r.packets, &r.bytes, &r.sampling, &r.revPackets, &r.revBytes, &r.revFlags, &r.natSrcHi, &r.natSrcLo,
		&r.natDstHi, &r.natDstLo, &r.natSport, &r.natDport, &r.natEvent, &r.count, &r.in, &r.out, &r.domain, &r.asn,
		&r.source, &r.exporter, &r.inIf, &r.outIf, &r.country, &r.rule, &r.sess, &r.lists, &r.detail,
	}
}

func (r *row) event() event.Event {
	e := event.Event{
		Kind: event.Kind(r.kind), Action: event.Action(r.action), Own: event.Side(r.own), Proto: r.proto, TCPFlags: r.flags,
		Time: r.time * 1000, End: (r.time + int64(r.lasted)) * 1000, Src: addrOf(r.srcHi, r.srcLo), Dst: addrOf(r.dstHi, r.dstLo),
		SrcPort: r.sport, DstPort: r.dport, Packets: r.packets, Bytes: r.bytes, Sampling: r.sampling, Count: r.count,
		NATSrc: addrOf(r.natSrcHi, r.natSrcLo), NATDst: addrOf(r.natDstHi, r.natDstLo), NATSrcPort: or0(r.natSport),
		NATDstPort: or0(r.natDport), NATEvent: or0(r.natEvent), InIndex: r.in, OutIndex: r.out, Domain: r.domain, ASN: r.asn,
		Source: or0(r.source), Exporter: or0(r.exporter), InIf: or0(r.inIf), OutIf: or0(r.outIf), Country: or0(r.country),
		Rule: or0(r.rule), Session: or0(r.sess),
	}
	if r.icmp != nil {
		e.HasICMP, e.ICMPType, e.ICMPCode = true, uint8(*r.icmp>>8), uint8(*r.icmp)
	}
	if r.revPackets != nil {
		e.HasReverse, e.RevPackets, e.RevBytes, e.RevTCPFlags = true, *r.revPackets, or0(r.revBytes), or0(r.revFlags)
	}
	if r.detail != nil {
		if err := json.Unmarshal([]byte(*r.detail), &e.Detail); err != nil {
			e.Detail = event.Detail{{Key: "data", Value: *r.detail}} // cut to maxText
		}
	}
	for _, list := range listNames(r.lists) {
		e.Evidence = append(e.Evidence, event.Evidence{List: list})
	}
	return e
}

func or0[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func addrOf(hi, lo *uint64) netip.Addr {
	if hi == nil || lo == nil {
		return netip.Addr{}
	}
	return joined(*hi, *lo)
}

// class is the SQL of query.ClassOf.
const class = `if(proto = 6 OR proto = 17, if(src_hi IS NULL AND dst_hi IS NULL, 6, if(proto = 6, 0, 1) +
	if(coalesce(src_lo >> 32 = 65535 AND src_hi = 0, dst_lo >> 32 = 65535 AND dst_hi = 0), 0, 2)), if(proto = 1, 4, if(proto = 58, 5, 6)))`

// Points implements query.Reader.
func (s *Store) Points(ctx context.Context, b query.Box, n int) (out []query.Point, err error) {
	if n < 1 || n > query.MaxPixels {
		return nil, fmt.Errorf("ask for 1 to %d points, not %d", query.MaxPixels, n)
	}
	err = s.ask(ctx, &b, func(q *asking) error {
		rows := q.from("epoch_us(time) AS moment, src_hi, src_lo, dst_hi, dst_lo, coalesce(" + portOf("dport") + ", 0) AS dport, (" + class + ")::UTINYINT AS class, greatest(count, 1) AS n")
		c := &clause{}
		c.add("SELECT * FROM "+rows.sql.String()+" ORDER BY moment, src_hi, src_lo, dst_hi, dst_lo, dport LIMIT ?", append(rows.args, n)...)
		var p query.Point
		var srcHi, srcLo, dstHi, dstLo *uint64
		out = out[:0]
		return q.rows(c, []any{&p.Time, &srcHi, &srcLo, &dstHi, &dstLo, &p.Port, (*uint8)(&p.Class), &p.Count}, func() error {
			p.Time *= 1000
			p.Src, p.Dst = addrOf(srcHi, srcLo), addrOf(dstHi, dstLo)
			out = append(out, p)
			return nil
		})
	})
	return out, err
}

// Sessions implements query.Reader.
func (s *Store) Sessions(ctx context.Context, b query.Box, n int) (out []query.Session, err error) {
	if n < 1 || n > query.MaxRows {
		return nil, fmt.Errorf("ask for 1 to %d sessions, not %d", query.MaxRows, n)
	}
	if len(b.Kinds) == 0 {
		b.Kinds = sessionKinds[:]
	}
	err = s.ask(ctx, &b, func(q *asking) error { out, err = q.sessions(n); return err })
	return out, err
}

// sessionKinds are the kinds of events that belong to a session.
var sessionKinds = [...]event.Kind{
	event.Connect, event.Login, event.Command, event.Tunnel, event.Payload, event.File, event.Mail, event.Close, event.TTY,
}

func (q *asking) sessions(n int) (out []query.Session, err error) {
	rows := q.from("time, lasted, kind, proto, src_hi, src_lo, dst_hi, dst_lo, dport, source, exporter, session, detail")
	c := &clause{}
	c.add(`SELECT session, arg_min_null(source, o), arg_min_null(exporter, o), arg_min_null(src_hi, o), arg_min_null(src_lo, o), arg_min_null(dst_hi, o),
		arg_min_null(dst_lo, o), arg_min_null(dport, o), arg_min_null(proto, o), epoch_us(min(time)), max(epoch_us(time) + lasted::BIGINT),
		count(*) FILTER (kind = ?), count(*) FILTER (kind = ? AND detail LIKE '%"result":"accepted"%'), count(*) FILTER (kind = ?),
		count(*) FILTER (kind = ?), count(*) FILTER (kind = ?), count(*) FILTER (kind = ?)
		FROM (SELECT *, epoch_us(time) * 16 + kind AS o FROM `,
		event.Login, event.Login, event.Command, event.Tunnel, event.Payload, event.File)
	c.add(rows.sql.String()+") WHERE session IS NOT NULL GROUP BY session ORDER BY min(time) DESC, session LIMIT ?", append(rows.args, n)...)
	var v query.Session
	var source, exporter *string
	var srcHi, srcLo, dstHi, dstLo *uint64
	into := []any{
		&v.ID, &source, &exporter, &srcHi, &srcLo, &dstHi, &dstLo, &v.DstPort, &v.Proto, &v.First, &v.Last,
		&v.Logins, &v.Accepted, &v.Commands, &v.Tunnels, &v.Payloads, &v.Files,
	}
	err = q.rows(c, into, func() error {
		v.Source, v.Exporter = or0(source), or0(exporter)
		v.Src, v.Dst = addrOf(srcHi, srcLo), addrOf(dstHi, dstLo)
		v.First *= 1000
		v.Last *= 1000
		out = append(out, v)
		return nil
	})
	return slices.Clip(out), err
}
