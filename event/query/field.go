package query

import (
	"errors"
	"fmt"
	"strings"
)

// FieldInfo explains a field to people: in help texts and in the completion of the page.
type FieldInfo struct {
	Field   Field  `json:"-"`
	Name    string `json:"name"`
	Help    string `json:"help"`
	Example string `json:"example"` // a filter that uses it
	Groups  bool   `json:"groups"`  // it can be the key of a Top, a Series and a Distinct
	also    string // other names, between blanks
}

// fields are all fields in the order of their constants. The names are those of an event's JSON where it has one.
var fields = [...]FieldInfo{
	{},
	{FieldSrc, "src", "source address", "src 10.0.0.0/8", true, "srcip source_address"},
	{FieldDst, "dst", "destination address", "dst 192.0.2.1", true, "dstip destination_address"},
	{FieldOwn, "own", "address of the end that is ours", "own 10.0.3.0/24", true, "ownip"},
	{FieldForeign, "foreign", "address of the end that is not ours", "foreign 198.51.100.7", true, "foreignip"},
	{FieldSrcPort, "sport", "source port", "sport > 1024", true, "srcport src-port"},
	{FieldDstPort, "dport", "destination port", "dport 443", true, "dstport dst-port"},
	{FieldService, "service", "destination port and protocol", "service 443/tcp", true, ""},
	{FieldProto, "proto", "protocol by name or number", "proto tcp", true, "protocol"},
	{FieldTCPFlags, "tcp_flags", "TCP flags that are all set, letters of CEUAPRSF", "flags S and not flags A", true, "flags tcp-flags"},
	{FieldICMPType, "icmp_type", "ICMP type", "icmp-type 3", true, "icmp-type icmptype"},
	{FieldICMPCode, "icmp_code", "ICMP code", "icmp-code 13", true, "icmp-code icmpcode"},
	{FieldKind, "kind", "kind of event: flow, probe, connect, login, command, tunnel, payload, file, mail, close, tty", "kind probe", true, ""},
	{FieldAction, "action", "what the firewall did: deny, accept, audit, unknown", "action deny", true, ""},
	{FieldSource, "source", "input and format that gave the event", "source netflow9", true, ""},
	{FieldExporter, "exporter", "router or sensor that saw it", "exporter core-router", true, ""},
	{FieldSession, "session", "honeypot session", "session 5f1b2c3d4e5f", true, ""},
	{FieldInIf, "in_if", "interface it came in by, name or ifIndex", "in if eth0", true, "in-if inif"},
	{FieldOutIf, "out_if", "interface it went out by, name or ifIndex", "out if eth0", true, "out-if outif"},
	{FieldRule, "rule", "firewall rule, chain or policy", "rule ~ drop", true, ""},
	{FieldCountry, "country", "country of the foreign end, two letters", "country NO", true, "cc"},
	{FieldASN, "asn", "autonomous system of the foreign end", "as 64500", true, "as"},
	{FieldList, "list", "list that named an end when the event came", `list "Feodo Tracker"`, true, ""},
	{FieldSrc24, "src24", "source network, /24 of IPv4 and /48 of IPv6", "src24 192.0.2.0/24", true, ""},
	{FieldDst24, "dst24", "destination network, /24 of IPv4 and /48 of IPv6", "dst24 192.0.2.0/24", true, ""},
	{FieldPackets, "packets", "packets in both directions, scaled by sampling", "packets > 10k", false, ""},
	{FieldBytes, "bytes", "bytes in both directions, scaled by sampling", "bytes >= 1M", false, ""},
	{FieldCount, "count", "hits that the event stands for", "count > 100", false, "hits"},
	{FieldSampling, "sampling", "one in so many packets was seen", "sampling > 1", false, ""},
	{FieldDuration, "duration", "time from begin to end", "duration > 5m", false, ""},
	{FieldPacketRate, "pps", "packets a second", "pps > 1k", false, ""},
	{FieldBitRate, "bps", "bits a second", "bps > 10M", false, ""},
	{FieldPacketSize, "bpp", "bytes a packet", "bpp < 60", false, ""},
}

// Fields lists all fields with their explanations.
func Fields() []FieldInfo { return append([]FieldInfo(nil), fields[1:]...) }

// String is the field's name, "" for NoField.
func (f Field) String() string { return f.info().Name }

// Groups tells whether f can be the key of a Top, a Series and a Distinct.
func (f Field) Groups() bool { return f.info().Groups }

func (f Field) info() *FieldInfo {
	if int(f) < len(fields) {
		return &fields[f]
	}
	return &fields[NoField]
}

// ParseField finds a field by its name or by one of its other names, without regard to case.
func ParseField(name string) (Field, bool) {
	name = strings.ToLower(name)
	for i := range fields[1:] {
		f := &fields[i+1]
		if f.Name == name || containsWord(f.also, name) {
			return f.Field, true
		}
	}
	return NoField, false
}

// containsWord tells whether word is one of the words of list, which blanks separate.
func containsWord(list, word string) bool {
	for w := range strings.FieldsSeq(list) {
		if w == word {
			return true
		}
	}
	return false
}

var orderNames = [...]string{"bytes", "packets", "events", "sources"}

// String is the order's name.
func (o Order) String() string {
	if int(o) < len(orderNames) {
		return orderNames[o]
	}
	return orderNames[ByBytes]
}

// ParseOrder is the inverse of String; flows and hits are other names of events.
func ParseOrder(name string) (Order, bool) {
	switch name = strings.ToLower(name); name {
	case "flows", "hits":
		return ByEvents, true
	}
	for i, n := range orderNames {
		if n == name {
			return Order(i), true
		}
	}
	return ByBytes, false
}

// Of is the figure of t that makes it large in this order.
func (o Order) Of(t *Totals) uint64 {
	switch o {
	case ByPackets:
		return t.Packets
	case ByEvents:
		return t.Events
	case BySources:
		return t.Sources
	}
	return t.Bytes
}

// ParseTop reads fields with commas between them and, after a slash, an order: src,dport or country/sources. The order
// is bytes where none is given. N stays 0.
func ParseTop(text string) (TopBy, error) {
	var t TopBy
	names, order, given := strings.Cut(text, "/")
	if given {
		o, ok := ParseOrder(strings.TrimSpace(order))
		if !ok {
			return t, fmt.Errorf("order %q%s: use bytes, packets, events or sources", order, didYouMean(nearest(order, orderNames[:])))
		}
		t.Order = o
	}
	for name := range strings.SplitSeq(names, ",") {
		f, ok := ParseField(strings.TrimSpace(name))
		if !ok {
			return t, fmt.Errorf("%q is no field%s: use %s", name, didYouMean(nearest(name, groupNames())), strings.Join(groupNames(), ", "))
		}
		t.Fields = append(t.Fields, f)
		if len(t.Fields) > MaxFields {
			break
		}
	}
	return t, t.Check()
}

func groupNames() []string {
	var names []string
	for i := range fields {
		if fields[i].Groups {
			names = append(names, fields[i].Name)
		}
	}
	return names
}

// Check says what is wrong with the question.
func (t TopBy) Check() error {
	if len(t.Fields) == 0 || len(t.Fields) > MaxFields {
		return fmt.Errorf("top of %d fields: use 1 to %d", len(t.Fields), MaxFields)
	}
	for i, f := range t.Fields {
		if !f.Groups() {
			return fmt.Errorf("top by %s: it is a quantity, not a property to group by", fieldOrNumber(f))
		}
		for _, other := range t.Fields[:i] {
			if other == f {
				return fmt.Errorf("top by %s twice: name it once", f)
			}
		}
	}
	if t.N < 0 || t.N > MaxRows {
		return fmt.Errorf("top %d: use 0 to %d rows", t.N, MaxRows)
	}
	return nil
}

// Check says what is wrong with the question, asked about b.
func (s SeriesBy) Check(b Box) error {
	if err := b.bounded("series"); err != nil {
		return err
	}
	if s.Step < minStep || s.Step%minStep != 0 {
		return fmt.Errorf("series in steps of %s: use whole seconds", s.Step)
	}
	if s.Field == FieldList {
		return errors.New("series by list: an event may be of several; filter by each list instead")
	}
	if s.Field != NoField && !s.Field.Groups() {
		return fmt.Errorf("series by %s: it is a quantity, not a property to group by", fieldOrNumber(s.Field))
	}
	if n := s.Steps(b); n > MaxSteps {
		return fmt.Errorf("series of %d steps: use at most %d, or longer steps than %s", n, MaxSteps, s.Step)
	}
	if s.N < 0 || s.N > maxSeries {
		return fmt.Errorf("series of the %d largest values: use 0 to %d", s.N, maxSeries)
	}
	return nil
}

// Check says what is wrong with the question, asked about b.
func (g Grid) Check(b Box) error {
	if err := b.bounded("pixels"); err != nil {
		return err
	}
	if g.Width < 1 || g.Height < 1 || g.Width > MaxPixels/g.Height {
		return fmt.Errorf("pixels of a grid of %d by %d: use at least 1 by 1 and at most %d in all", g.Width, g.Height, MaxPixels)
	}
	return nil
}

func (b Box) bounded(question string) error {
	if b.From == 0 || b.To <= b.From {
		return fmt.Errorf("%s need a span of time: give its begin and its end", question)
	}
	return nil
}

func fieldOrNumber(f Field) string {
	if name := f.String(); name != "" {
		return name
	}
	return fmt.Sprintf("field %d", uint8(f))
}
