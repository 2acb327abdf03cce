// Package query holds what is asked of the store: a box of events (a span of time and a filter), a closed set of typed
// questions about it, and the rows that answer them. The filter language of the command line, the API and the page is
// read here too. Like event it knows neither inputs nor outputs; the store implements Reader, and whoever wants stored
// facts declares the few methods of it that it uses.
package query

import (
	"context"
	"math"
	"net/netip"
	"slices"
	"time"

	"varde/event"
)

// Reader answers the typed questions. Every answer is of one moment: an event counts once, whether it is being sealed
// or not. Rows are sorted as each question says, equal ones in no order that is promised; ctx ends a question early with
// its error. What Check refuses is an error, and so is an n below 1 or above MaxRows, of Points above MaxPixels.
//
// An event counts as its Hits, and its packets and bytes are those of both directions.
type Reader interface {
	// Tail gives the newest n events of a box, newest first.
	Tail(ctx context.Context, b Box, n int) ([]event.Event, error)
	// Top gives the n largest groups of a box, largest first by t.Order, and the totals of the whole box. The key of an
	// event that lacks a field has "" there; by FieldList an event is in the group of each list, and in none without.
	Top(ctx context.Context, b Box, t TopBy) (Groups, error)
	// Distinct counts the different values of a field that Groups in a box, exactly; events that lack it do not count.
	Distinct(ctx context.Context, b Box, f Field) (uint64, error)
	// Series gives totals per step of time, by the largest values of a field where one is asked for, largest first by
	// s.Order over the whole box, the rest last and only where there is one.
	Series(ctx context.Context, b Box, s SeriesBy) ([]Series, error)
	// Pixels counts the events of a box in a grid of time by destination port, sorted by class, x and y; empty ones are
	// left out.
	Pixels(ctx context.Context, b Box, g Grid) ([]Pixel, error)
	// Points gives single events as dots, oldest first, at most n; the box should be small.
	Points(ctx context.Context, b Box, n int) ([]Point, error)
	// Hunt finds the contacts of any of the prefixes, whether source or destination, one for each own address, foreign
	// address and kind, sorted by last contact, newest first.
	Hunt(ctx context.Context, b Box, entries []netip.Prefix) ([]Contact, error)
	// Address tells all that is stored of one address as source or destination.
	Address(ctx context.Context, b Box, a netip.Addr) (Address, error)
	// Sessions gives honeypot sessions that have events in a box, as those events tell them, the one that began last first.
	Sessions(ctx context.Context, b Box, n int) ([]Session, error)
	// Incidents gives the newest state of each incident, the one that was active last first.
	Incidents(ctx context.Context, q IncidentBox) ([]Incident, error)
}

// Box is the set of events that a question is about.
type Box struct {
	From, To int64        // event.Event.Time in [From, To), nanoseconds since 1970; 0 is unbounded
	Kinds    []event.Kind // none is every kind
	Filter   Expr         // nil is no filter
}

// Has tells whether e is in the box.
func (b *Box) Has(e *event.Event) bool {
	if e.Time < b.From || b.To != 0 && e.Time >= b.To || len(b.Kinds) > 0 && !slices.Contains(b.Kinds, e.Kind) {
		return false
	}
	return Match(b.Filter, e)
}

// Field names one property of an event that can be filtered, grouped by and counted; String is its name in the filter
// language, in CSV headers and in JSON. Keys gives its values as text.
type Field uint8

// The fields. Addresses group as addresses; FieldOwn is the source where it is ours, else the destination where that is,
// FieldForeign the source where it is not ours, else the destination where that is not; FieldService is destination port
// and protocol together.
const (
	NoField Field = iota
	FieldSrc
	FieldDst
	FieldOwn
	FieldForeign
	FieldSrcPort
	FieldDstPort
	FieldService
	FieldProto
	FieldTCPFlags
	FieldICMPType
	FieldICMPCode
	FieldKind
	FieldAction
	FieldSource
	FieldExporter
	FieldSession
	FieldInIf
	FieldOutIf
	FieldRule
	FieldCountry
	FieldASN
	FieldList  // names of the lists that named an end when the event came, one group each
	FieldSrc24 // /24 of IPv4, /48 of IPv6
	FieldDst24
	FieldPackets
	FieldBytes
	FieldCount
	FieldSampling
	FieldDuration   // seconds between begin and end
	FieldPacketRate // packets a second
	FieldBitRate    // bits a second
	FieldPacketSize // bytes a packet
)

// Order says what makes a group large.
type Order uint8

// The orders.
const (
	ByBytes Order = iota
	ByPackets
	ByEvents // flows, hits: event.Event.Hits
	BySources
)

// TopBy asks for the largest groups.
type TopBy struct {
	Fields []Field // the key: at least one, at most MaxFields; no number fields except ports
	Order  Order
	N      int // at most MaxRows; 0 asks for the totals only
}

// Limits that keep an answer small, whoever asks.
const (
	MaxFields = 4
	MaxRows   = 100_000
	MaxSteps  = 10_000
	MaxPixels = 4_000_000 // width times height of a Grid

	minStep   = time.Second
	maxSeries = 50
)

// Totals are sums over events, scaled by sampling and saturating. First and Last are the earliest and the latest
// Time of them.
type Totals struct {
	Events  uint64 `json:"events"`
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
	Sources uint64 `json:"sources,omitempty"` // different source addresses, where asked for by BySources
	First   int64  `json:"-"`
	Last    int64  `json:"-"`
	Sampled bool   `json:"sampled,omitempty"` // something in it is an estimate from samples
}

// Group is one row of a Top: the values of the key's fields as text, in their order.
type Group struct {
	Key []string
	Totals
}

// Groups answers Top.
type Groups struct {
	Rows   []Group
	Total  Totals
	Groups uint64 // how many groups there are in all
}

// SeriesBy asks for sums over time.
type SeriesBy struct {
	Step  time.Duration // whole seconds; From and To of the Box must be given and make at most MaxSteps
	Field Field         // NoField gives one series of everything
	Order Order
	N     int // so many series of the largest values; the rest, and what has no value, is one series with the key ""
}

// Steps is how many steps the box has; the last may be cut short by its end.
func (s SeriesBy) Steps(b Box) int {
	return int((b.To - b.From + int64(s.Step) - 1) / int64(s.Step))
}

// Series is one line of a chart: one Totals a step, the first step beginning at Box.From.
type Series struct {
	Key   string
	Steps []Totals
}

// Grid is the raster of a Fireplot over the time of a box, which must be given. Column x holds the times t with
// floor((t-From)*Width/(To-From)) == x, row y the destination ports with Row(port) == y; events without ports are in row 0.
type Grid struct{ Width, Height int }

// Row is floor(log2(port)/16*Height) of a destination port, and 0 of port 0. In logarithms of 2 the powers of 2, which
// stand on the borders of rows, come out exactly.
func (g Grid) Row(port uint16) uint32 {
	if port == 0 {
		return 0
	}
	return uint32(math.Log2(float64(port)) / 16 * float64(g.Height))
}

// Class is one colour of the Fireplot: protocol and family of the addresses.
type Class uint8

// The classes.
const (
	TCP4 Class = iota
	UDP4
	TCP6
	UDP6
	ICMP4
	ICMP6
	OtherClass
)

// ClassOf is the class of an event; TCP and UDP without an address are OtherClass.
func ClassOf(e *event.Event) Class {
	v4, v6 := family(e)
	switch {
	case e.Proto == event.ICMP:
		return ICMP4
	case e.Proto == event.ICMPv6:
		return ICMP6
	case v4 && e.Proto == event.TCP:
		return TCP4
	case v4 && e.Proto == event.UDP:
		return UDP4
	case v6 && e.Proto == event.TCP:
		return TCP6
	case v6 && e.Proto == event.UDP:
		return UDP6
	}
	return OtherClass
}

// Pixel counts the events of one class in one cell.
type Pixel struct {
	X, Y  uint32
	Class Class
	Count uint64
}

// Point is one event as a dot; Port is its destination port, 0 where it has none.
type Point struct {
	Time     int64
	Src, Dst netip.Addr
	Port     uint16
	Class    Class
	Count    uint32
}

// Contact is what one own and one foreign address had to do with each other. Where neither end or both are known as
// ours, Own is the end that no entry covers, and the source where entries cover both. First is the earliest Time and Last
// the latest Last of the events.
type Contact struct {
	Own, Foreign         netip.Addr
	Entry                netip.Prefix // the narrowest entry that covers Foreign, or Own where none covers Foreign
	Kind                 event.Kind
	First, Last          int64
	Events               uint64
	PacketsOut, BytesOut uint64 // from Own
	PacketsIn, BytesIn   uint64
	Ports                []string // services as FieldService has them but of the lower port that is not 0, most events first, at most MaxContactPorts
	Answered             bool     // traffic went both ways: events from either end, or with packets of the other direction
	Sampled              bool
}

// MaxContactPorts bounds Contact.Ports.
const MaxContactPorts = 5

// MaxAddressRows bounds the peers, services, exporters, incidents and sessions of an Address.
const MaxAddressRows = 100

// Address is all that is stored of one address. What it sends to itself counts as sent. Groups are sorted by bytes, then
// events, largest first; events that lack a peer or an exporter are in none.
type Address struct {
	Addr      netip.Addr
	ByKind    []KindTotals // for each kind that has it, as either end, in the order of kinds
	Peers     []Group      // who it had to do with: address
	Services  []Group      // service of the event, with the role of this address: "served" as destination, "used" as source
	Days      []Totals     // one a UTC day, Totals.First at the day's begin, oldest first, only days with events
	Exporters []Group
	Incidents []Incident // with the last activity in the box; nothing else of the box counts for them
	Sessions  []Session  // from or to this address
}

// KindTotals are the totals of one kind, in both directions.
type KindTotals struct {
	Kind               event.Kind
	AsSource, AsTarget Totals
}

// Session is one visit to a honeypot. Who and where are those of its earliest event, and of the lower kind where two are
// as early. First is the earliest Time and Last the latest Last of its events, which count once each, whatever their Hits.
type Session struct {
	ID                                                   string
	Source                                               string // honeypot program
	Exporter                                             string // sensor
	Src                                                  netip.Addr
	Dst                                                  netip.Addr
	DstPort                                              uint16
	Proto                                                uint8
	First, Last                                          int64
	Logins, Accepted, Commands, Tunnels, Payloads, Files uint64
}

// IncidentBox is the set of incidents that is asked for.
type IncidentBox struct {
	From, To int64 // Warning.Last in [From, To); 0 is unbounded
	Min      event.Severity
	Rule     string       // "" is every rule
	List     string       // "" is every list
	Addr     netip.Prefix // either end in it; the zero Prefix is all
	ID       string       // one incident
	Open     bool         // only those that are not closed, acknowledged or muted
	Limit    int          // 1 to MaxRows
}

// Incident is the newest state of one incident and what people said of it.
type Incident struct {
	event.Warning
	Told          uint64 // how often it was said
	Acked         int64  // when it was acknowledged, 0 not
	AckBy, AckWhy string
	Muted         *Mute // the newest mute that covers it, nil none
}
