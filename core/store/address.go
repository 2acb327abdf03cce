package store

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"varde/event"
	"varde/event/query"
)

// maxOfAddress bounds each list in the answer about one address.
const maxOfAddress = 100

// Address implements query.Reader.
func (s *Store) Address(ctx context.Context, b query.Box, a netip.Addr) (out query.Address, err error) {
	whole := netip.PrefixFrom(a, a.BitLen())
	b.Filter = query.And{query.Net{Prefix: whole}, b.Filter}
	if b.Filter.(query.And)[1] == nil {
		b.Filter = query.Net{Prefix: whole}
	}
	err = s.ask(ctx, &b, func(q *asking) error {
		out = query.Address{Addr: a}
		if _, err := q.track(&b, newPrey([]netip.Prefix{whole})); err != nil {
			return err
		}
		if err := q.narrow(lowerHalves(map[netip.Addr]bool{a: true})); err != nil {
			return err
		}
		if err := q.address(&out); err != nil {
			return err
		}
		slices.SortFunc(out.ByKind, func(a, b query.KindTotals) int { return int(a.Kind) - int(b.Kind) })
		out.Sessions, err = q.sessions(maxOfAddress)
		return err
	})
	if err == nil {
		out.Incidents, err = s.Incidents(ctx, query.IncidentBox{From: b.From, To: b.To, Addr: whole, Limit: maxOfAddress})
	}
	return out, err
}

// The sets of groups that are asked for at once, by the bits of SQL's GROUPING(kind, dir, peer_hi, port, day, exporter).
const (
	byKind     = 0b001111
	byPeer     = 0b110111
	byService  = 0b101011
	byDay      = 0b111101
	byExporter = 0b111110
)

// address sums up the events of one address in one pass over them.
func (q *asking) address(out *query.Address) error {
	hi, lo := halves(out.Addr)
	rows := q.from(fmt.Sprintf(`kind, (src_hi = %d AND src_lo = %d) IS NOT TRUE AS target, src_hi, src_lo, dst_hi, dst_lo, `+portOf("dport")+` AS port, proto,
		epoch_us(time) // %d AS day, coalesce(exporter, '') AS exporter, time, count, packets, bytes, rev_packets, rev_bytes, sampling`, hi, lo, dayMicros))
	c := &clause{}
	c.add(`WITH e AS (SELECT *, if(target, src_hi, dst_hi) AS peer_hi, if(target, src_lo, dst_lo) AS peer_lo FROM `)
	c.add(rows.sql.String()+`), g AS (SELECT GROUPING(kind, target, peer_hi, port, day, exporter) AS which, kind, target, peer_hi, peer_lo, port, proto, day, exporter, `+sums+`
		FROM e GROUP BY GROUPING SETS ((kind, target), (peer_hi, peer_lo), (target, port, proto), (day), (exporter)))
		SELECT * FROM g QUALIFY row_number() OVER (PARTITION BY which ORDER BY if(which = ?, -day, bytes) DESC, events DESC, peer_hi, peer_lo, target, port, proto, exporter, kind) <= ?
		ORDER BY which, if(which = ?, -day, bytes) DESC, events DESC, peer_hi, peer_lo, target, port, proto, exporter, kind`, append(rows.args, byDay, 4000, byDay)...)
	var which int64
	var kind, proto *uint8
	var target *bool
	var peerHi, peerLo *uint64
	var port *uint16
	var day *int64
	var exporter *string
	var sum totals
	into := append([]any{&which, &kind, &target, &peerHi, &peerLo, &port, &proto, &day, &exporter}, sum.into()...)
	return q.rows(c, into, func() error {
		t := sum.get()
		switch which {
		case byKind:
			out.Add(event.Kind(or0(kind)), or0(target), t)
		case byPeer:
			if len(out.Peers) < maxOfAddress && peerHi != nil {
				out.Peers = append(out.Peers, query.Group{Key: []string{addrOf(peerHi, peerLo).String()}, Totals: t})
			}
		case byService:
			if len(out.Services) < maxOfAddress {
				out.Services = append(out.Services, query.Group{Key: []string{serviceOf(port, or0(proto)), role(or0(target))}, Totals: t})
			}
		case byDay:
			t.First = or0(day) * dayMicros * 1000
			out.Days = append(out.Days, t)
		case byExporter:
			if len(out.Exporters) < maxOfAddress && or0(exporter) != "" {
				out.Exporters = append(out.Exporters, query.Group{Key: []string{or0(exporter)}, Totals: t})
			}
		}
		return nil
	})
}

// role is what an address is to a service: the target of an event serves it, its source uses it.
func role(target bool) string {
	if target {
		return "served"
	}
	return "used"
}

func serviceOf(port *uint16, proto uint8) string {
	if port == nil {
		return event.ProtoName(proto)
	}
	return fmt.Sprintf("%d/%s", *port, event.ProtoName(proto))
}
