// Package query holds what is asked of the store: a box of events (a span of time and a filter), a closed set of typed
// questions about it, and the rows that answer them. The filter language of the command line, the API and the page is
// read here too. Like event it knows neither inputs nor outputs; the store implements Reader, and whoever wants stored
// facts declares the few methods of it that it uses.
package query

import (
	"context"
	"net/netip"
	"time"

	"varde/event"
)

// Reader answers the typed questions. Every answer is of one moment: an event counts once, whether it is being sealed
// or not. Rows are sorted as each question says; ctx ends a question early with its error.
type Reader interface {
	// Tail gives the newest n events of a box, newest first.
	Tail(ctx context.Context, b Box, n int) ([]event.Event, error)
	// Top gives the n largest groups of a box, largest first by t.Order, and the totals of the whole box.
	Top(ctx context.Context, b Box, t TopBy) (Groups, error)
	// Distinct counts the different values of a field in a box, exactly.
	Distinct(ctx context.Context, b Box, f Field) (uint64, error)
	// Series gives totals per step of time, by the largest values of a field where one is asked for.
	Series(ctx context.Context, b Box, s SeriesBy) ([]Series, error)
	// Pixels counts the events of a box in a grid of time by destination port, sorted by class, x and y.
	Pixels(ctx context.Context, b Box, g Grid) ([]Pixel, error)
	// Points gives single events as dots, oldest first, at most n; the box should be small.
	Points(ctx context.Context, b Box, n int) ([]Point, error)
	// Hunt finds the contacts of any of the prefixes, whatever end they are, sorted by last contact, newest first.
	Hunt(ctx context.Context, b Box, entries []netip.Prefix) ([]Contact, error)
	// Address tells all that is stored of one address.
	Address(ctx context.Context, b Box, a netip.Addr) (Address, error)
	// Sessions gives honeypot sessions, newest first.
	Sessions(ctx context.Context, b Box, n int) ([]Session, error)
	// Incidents gives the newest state of each incident, newest first.
	Incidents(ctx context.Context, q IncidentBox) ([]Incident, error)
}

// Box is the set of events that a question is about.
type Box struct {
	From, To int64        // event.Event.Time in [From, To), nanoseconds since 1970; 0 is unbounded
	Kinds    []event.Kind // none is every kind
	Filter   Expr         // nil is no filter
}

// Field names one property of an event that can be filtered, grouped by and counted; String is its name in the filter
// language, in CSV headers and in JSON.
type Field uint8

// The fields. Addresses group as addresses; FieldOwn and FieldForeign are the ends by event.Side, FieldService is protocol and
// destination port together.
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
	N      int // at most MaxRows
}

// Limits that keep an answer small, whoever asks.
const (
	MaxFields = 4
	MaxRows   = 100_000
	MaxSteps  = 10_000
	MaxPixels = 4_000_000 // width times height of a Grid
)

// Totals are sums over events, scaled by sampling.
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
	Step  time.Duration // of at least a second; From and To of the Box must be given and make at most MaxSteps
	Field Field         // NoField gives one series of everything
	Order Order
	N     int // so many series of the largest values; the rest is one series with the key ""
}

// Series is one line of a chart: one Totals a step, the first step beginning at Box.From.
type Series struct {
	Key   string
	Steps []Totals
}

// Grid is the raster of a Fireplot. Row y holds the destination ports p with floor(log(p)/log(65536)*Height) == y; port
// 0 is in row 0.
type Grid struct{ Width, Height int }

// Class is one colour of the Fireplot.
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

// Pixel counts the events of one class in one cell; Denied of them were probes that a firewall denied.
type Pixel struct {
	X, Y  uint32
	Class Class
	Count uint64
}

// Point is one event as a dot.
type Point struct {
	Time     int64
	Src, Dst netip.Addr
	Port     uint16
	Class    Class
	Count    uint32
}

// Contact is what one own and one foreign address had to do with each other. Where neither end or both are known as
// ours, Own is the end that no entry covers.
type Contact struct {
	Own, Foreign         netip.Addr
	Entry                netip.Prefix // the narrowest entry that covers Foreign
	Kind                 event.Kind
	First, Last          int64
	Events               uint64
	PacketsOut, BytesOut uint64 // from Own
	PacketsIn, BytesIn   uint64
	Ports                []string // services, most used first, at most MaxContactPorts, as "443/tcp"
	Answered             bool     // traffic went both ways
	Sampled              bool
}

// MaxContactPorts bounds Contact.Ports.
const MaxContactPorts = 5

// Address is all that is stored of one address.
type Address struct {
	Addr      netip.Addr
	ByKind    []KindTotals // for each kind that has it, as either end
	Peers     []Group      // who it had to do with, by bytes: address
	Services  []Group      // service as destination of the event, with the end's role: "served" or "used"
	Days      []Totals     // one a day, Totals.First at the day's begin, oldest first, only days with events
	Exporters []Group
	Incidents []Incident
	Sessions  []Session
}

// KindTotals are the totals of one kind, in both directions.
type KindTotals struct {
	Kind               event.Kind
	AsSource, AsTarget Totals
}

// Session is one visit to a honeypot.
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
	From, To int64 // last activity in [From, To); 0 is unbounded
	Min      event.Severity
	Rule     string       // "" is every rule
	List     string       // "" is every list
	Addr     netip.Prefix // either end in it; the zero Prefix is all
	ID       string       // one incident
	Open     bool         // only those that are not closed, acknowledged or muted
	Limit    int          // at most MaxRows
}

// Incident is the newest state of one incident and what people said of it.
type Incident struct {
	event.Warning
	Told          uint64 // how often it was said
	Acked         int64  // when it was acknowledged, 0 not
	AckBy, AckWhy string
	Muted         *Mute // the mute that covers it, nil none
}

// Mute silences warnings of an address, of a list, or of a list for an address, until it ends.
type Mute struct {
	ID      uint64       `json:"id"`
	Prefix  netip.Prefix `json:"prefix,omitzero"`
	List    string       `json:"list,omitempty"`
	Rule    string       `json:"rule,omitempty"`
	Why     string       `json:"why"`
	By      string       `json:"by,omitempty"`
	Created int64        `json:"-"`
	Expires int64        `json:"-"` // 0 is for good
}
