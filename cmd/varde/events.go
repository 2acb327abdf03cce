package main

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"varde/event"
	"varde/event/human"
	"varde/event/query"
)

// printer writes events, as they come, in the form of that name.
func printer(form string, out *bufio.Writer) (event.Emit, error) {
	var b []byte
	switch form {
	case "json":
		return func(e *event.Event) {
			b = append(e.AppendJSON(b[:0]), '\n')
			out.Write(b)
		}, nil
	case "csv":
		w := csv.NewWriter(out)
		w.Write(eventColumns())
		return func(e *event.Event) { w.Write(eventCells(e)); w.Flush() }, nil
	case "table":
		fmt.Fprintf(out, "%-24s %-6s %-46s %-46s %-8s %10s %10s\n", "TIME (UTC)", "PROTO", "SOURCE", "DESTINATION", "FLAGS", "PACKETS", "BYTES")
		return func(e *event.Event) {
			fmt.Fprintf(out, "%-24s %-6s %-46s %-46s %-8s %10s %10s\n", event.Stamp(e.Time).Format("2006-01-02 15:04:05.000"), event.ProtoName(e.Proto),
				strings.TrimSpace(addrText(e.Src)+" "+sport(e)), strings.TrimSpace(addrText(e.Dst)+" "+dport(e)), event.FlagLetters(e.TCPFlags), human.Count(e.Packets), human.Bytes(e.Bytes))
		}, nil
	}
	return nil, fmt.Errorf("output %q: use json, csv or table", form)
}

// sport and dport are what a person is shown of the ports; for ICMP that is the type.
func sport(e *event.Event) string {
	if e.HasICMP {
		return ""
	}
	return strconv.Itoa(int(e.SrcPort))
}

func dport(e *event.Event) string {
	if e.HasICMP {
		return event.ICMPName(e.Proto, e.ICMPType, e.ICMPCode)
	}
	return strconv.Itoa(int(e.DstPort))
}

// eventColumns are named as the fields of an event's JSON are.
func eventColumns() []string {
	return strings.Fields(`time end kind source exporter session proto src sport dst dport nat_src nat_sport nat_dst nat_dport
		packets bytes rev_packets rev_bytes sampling tcp_flags icmp_type icmp_code in_if out_if action rule count country asn lists detail`)
}

// eventCells are empty where an event does not tell.
func eventCells(e *event.Event) []string {
	const layout = "2006-01-02T15:04:05.999999999Z07:00"
	key := func(f query.Field) string { return string(query.AppendKey(nil, f, e)) }
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	told := func(n uint64) string {
		if n == 0 {
			return ""
		}
		return number(n)
	}
	back, backBytes, detail := "", "", ""
	if e.HasReverse {
		back, backBytes = number(e.RevPackets), number(e.RevBytes)
	}
	if len(e.Detail) > 0 {
		detail = string(e.Detail.AppendJSON(nil))
	}
	row := []string{
		event.Stamp(e.Time).Format(layout), event.Stamp(e.Last()).Format(layout), e.Kind.String(), e.Source, e.Exporter, e.Session, number(uint64(e.Proto)),
		key(query.FieldSrc), key(query.FieldSrcPort), key(query.FieldDst), key(query.FieldDstPort),
		addrText(e.NATSrc), told(uint64(e.NATSrcPort)), addrText(e.NATDst), told(uint64(e.NATDstPort)),
		number(e.Packets), number(e.Bytes), back, backBytes, told(uint64(e.Sampling)), key(query.FieldTCPFlags), key(query.FieldICMPType),
		key(query.FieldICMPCode), key(query.FieldInIf), key(query.FieldOutIf), e.Action.String(), e.Rule, told(uint64(e.Count)), e.Country,
		key(query.FieldASN), strings.Join(query.Keys(query.FieldList, e), " "), detail,
	}
	for i := range row {
		row[i] = cell(row[i])
	}
	return row
}

// cell makes text of what a spreadsheet would take for a formula.
func cell(s string) string {
	if s = human.Safe(s); strings.IndexAny(s, "=+-@") == 0 {
		return "'" + s
	}
	return s
}

// printEvents prints stored events.
func printEvents(out io.Writer, form string, events []event.Event) error {
	if form != "table" {
		b := bufio.NewWriter(out)
		emit, err := printer(form, b)
		if err != nil {
			return err
		}
		for i := range events {
			emit(&events[i])
		}
		return b.Flush()
	}
	t := newTable(out, form, "TIME", "LASTED", "KIND", "PROTO", "SRC", "SPORT", "DST", "DPORT", "FLAGS", "PACKETS", "BYTES", "BACK", "EXPORTER")
	t.none = nothingInSpan
	for i := range events {
		e := &events[i]
		back := ""
		if e.HasReverse {
			back = t.bytes(e.RevBytes, e.Sampling > 1)
		}
		t.row(t.time(event.Stamp(e.Time)), human.Span(time.Duration(e.Last()-e.Time)), e.Kind.String(), event.ProtoName(e.Proto),
			addrText(e.Src), sport(e), addrText(e.Dst), dport(e), event.FlagLetters(e.TCPFlags),
			t.count(e.Packets), t.bytes(e.Bytes, e.Sampling > 1), back, e.Exporter)
	}
	return t.end()
}
