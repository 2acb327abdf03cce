package store

import (
	"math"
	"time"

	"pgregory.net/rapid"

	"varde/event"
	"varde/event/query"
)

func groupFields() (out []query.Field) {
	for _, f := range query.Fields() {
		if f.Groups {
			out = append(out, f.Field)
		}
	}
	return out
}

func drawOrder(t *rapid.T) query.Order {
	return query.Order(rapid.IntRange(0, int(query.BySources)).Draw(t, "order"))
}

// drawBox draws a set of events: often all, seldom none.
func drawBox(t *rapid.T) query.Box {
	var b query.Box
	if rapid.Bool().Draw(t, "from") {
		b.From = drawTime(t)*1000 + oneOf(t, "nanoseconds", []int64{0, 0, 1, 999})
	}
	if rapid.Bool().Draw(t, "to") {
		b.To = drawTime(t)*1000 + oneOf(t, "nanoseconds", []int64{0, 0, 1, 999})
	}
	narrow(t, &b)
	return b
}

// drawSpan draws a box with a begin and an end, in whole microseconds.
func drawSpan(t *rapid.T) query.Box {
	b := query.Box{From: drawTime(t) * 1000}
	b.To = b.From + oneOf(t, "span", []time.Duration{time.Microsecond, 59 * time.Minute, time.Hour, 24 * time.Hour, 40*time.Hour + time.Microsecond}).Nanoseconds()
	narrow(t, &b)
	return b
}

func narrow(t *rapid.T, b *query.Box) {
	if seldom(t, "some kinds", 3) {
		b.Kinds = rapid.SliceOfN(rapid.SampledFrom([]event.Kind{event.Unknown, event.Flow, event.Probe, event.Login, event.Tunnel, event.Mail}), 1, 3).Draw(t, "kinds")
	}
	if rapid.Bool().Draw(t, "filtered") {
		b.Filter = drawFilter(t, 3)
	}
}

func drawFilter(t *rapid.T, depth int) query.Expr {
	switch n := rapid.IntRange(0, 8).Draw(t, "node"); {
	case depth == 0 || n > 3:
		return drawCondition(t)
	case n == 0:
		return nil
	case n == 1:
		return query.Not{Of: drawFilter(t, depth-1)}
	default:
		parts := make([]query.Expr, rapid.IntRange(0, 3).Draw(t, "parts"))
		for i := range parts {
			parts[i] = drawFilter(t, depth-1)
		}
		if n == 2 {
			return query.And(parts)
		}
		return query.Or(parts)
	}
}

// drawCondition draws any condition of the language about values that events have.
func drawCondition(t *rapid.T) query.Expr {
	end := query.End(rapid.IntRange(0, int(query.NATEnd)).Draw(t, "end"))
	op := query.Op(rapid.IntRange(0, int(query.AtLeast)).Draw(t, "op"))
	switch rapid.IntRange(0, 9).Draw(t, "condition") {
	case 0, 1:
		return query.Net{End: end, Prefix: oneOf(t, "net", someNets)}
	case 2:
		return query.Nets{End: end, Prefixes: query.Tidy(rapid.SliceOfN(rapid.SampledFrom(someNets), 0, 4).Draw(t, "nets"))}
	case 3:
		return query.Port{End: min(end, query.DstEnd), Op: op, Value: oneOf(t, "port", somePorts)}
	case 4, 5:
		return drawNumber(t, op)
	case 6:
		return query.Flags{Set: oneOf(t, "flags", []uint8{0, event.SYN, event.SYN | event.ACK, 0x80})}
	case 7:
		return drawText(t)
	case 8:
		if rapid.Bool().Draw(t, "of kind") {
			return query.IsKind{Kind: oneOf(t, "kind", []event.Kind{event.Unknown, event.Flow, event.Login})}
		}
		return query.IsAction{Action: event.Action(rapid.IntRange(0, int(event.UnknownAction)).Draw(t, "action"))}
	}
	return query.Family{V4: rapid.Bool().Draw(t, "v4")}
}

func drawNumber(t *rapid.T, op query.Op) query.Expr {
	fields := []query.Field{
		query.FieldProto, query.FieldICMPType, query.FieldICMPCode, query.FieldPackets, query.FieldBytes, query.FieldCount, query.FieldSampling,
		query.FieldASN, query.FieldDuration, query.FieldPacketRate, query.FieldBitRate, query.FieldPacketSize,
	}
	values := append([]uint64{0, 1, 2, 3, 6, 80, 128, 255, 64500, 1e6, 999_999_000, 1e9, 90e9, math.MaxUint32, math.MaxUint64}, someCounts...)
	return query.Number{Field: oneOf(t, "number", fields), Op: op, Value: oneOf(t, "value", values)}
}

func drawText(t *rapid.T) query.Expr {
	fields := []query.Field{
		query.FieldSource, query.FieldExporter, query.FieldSession, query.FieldInIf, query.FieldOutIf, query.FieldRule, query.FieldCountry, query.FieldList,
	}
	values := append([]string{"cowrie", "NETFLOW9", "ETH0", "1", "4294967295", "No", "input", "000000000003", "feodo tracker", "drop\nDROP", "r", "ÆØÅ", "Å"}, append(someTexts, hostileText...)...)
	return query.Text{Field: oneOf(t, "field", fields), Value: oneOf(t, "text", values), Part: rapid.Bool().Draw(t, "part")}
}
