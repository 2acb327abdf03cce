package query

import (
	"net/netip"

	"varde/event"
)

// Expr is a filter: And, Or, Not or one of the conditions below. A nil Expr is true. Match is the exact meaning: a
// condition about something that an event does not have is false, so Not of it is true.
type Expr interface{ expr() }

// And is true where all of its parts are; an empty one is true.
type And []Expr

// Or is true where any of its parts is; an empty one is false.
type Or []Expr

// Not is true where its part is not.
type Not struct{ Of Expr }

// End says which end of an event a condition is about.
type End uint8

// The ends. Either asks for at least one of source and destination, so Not of it asks that neither is so. OwnEnd is
// whichever of them event.Side marks as ours, ForeignEnd whichever it does not; both may be either. NATEnd is at least one
// of the translated addresses, which count nowhere else.
const (
	Either End = iota
	SrcEnd
	DstEnd
	OwnEnd
	ForeignEnd
	NATEnd
)

// Net is true where the address of the end is in the prefix; no IPv4 address is in a prefix of IPv6.
type Net struct {
	End    End
	Prefix netip.Prefix
}

// Nets is true where the address of the end is in any of the prefixes; Name is what the filter called them, as
// "in list NAME". Resolve fills in Prefixes: masked, sorted and none within another, which Match relies on.
type Nets struct {
	End      End
	Name     string
	Prefixes []netip.Prefix
}

// Op compares a number.
type Op uint8

// The comparisons.
const (
	Equal Op = iota
	Less
	AtMost
	More
	AtLeast
)

// Port is true where the port of the end (Either, SrcEnd, DstEnd) compares so. Events without ports (see HasPort) never
// compare, whatever stands in SrcPort and DstPort.
type Port struct {
	End   End
	Op    Op
	Value uint16
}

// Number compares a number field: FieldProto, FieldICMPType, FieldICMPCode, FieldPackets, FieldBytes, FieldCount,
// FieldSampling, FieldASN, FieldDuration (in nanoseconds), FieldPacketRate, FieldBitRate, FieldPacketSize. Events that do
// not have the field (ICMP type of TCP, AS not looked up, rates of no duration, size of no packets) never compare.
//
// Packets and bytes are scaled and of both directions, saturating; count is Hits; an unknown sampling rate is 1.
// A duration is whole microseconds from Time to Last. Rates and sizes are rounded down to whole numbers.
type Number struct {
	Field Field
	Op    Op
	Value uint64
}

// Flags is true for TCP events whose flags, those of the forward direction, hold all of Set.
type Flags struct{ Set uint8 }

// Text is true where a text field (FieldSource, FieldExporter, FieldSession, FieldInIf, FieldOutIf, FieldRule,
// FieldCountry, FieldList) is the value, without regard to case; with Part, where it contains it. Case is that of
// unicode.ToLower, character by character, as lower() of SQL has it. An interface without a name is its ifIndex. Of
// several lists one is enough. An event without the field has the empty text, except that no list is no text at all
// unless the value is empty and Part is not set.
type Text struct {
	Field Field
	Value string
	Part  bool
}

// IsKind is true for events of that kind.
type IsKind struct{ Kind event.Kind }

// IsAction is true for events of that action.
type IsAction struct{ Action event.Action }

// Family is true where the addresses are of IPv6, or with V4 of IPv4: the source, or the destination where there is no
// source.
type Family struct{ V4 bool }

func (And) expr()      {}
func (Or) expr()       {}
func (Not) expr()      {}
func (Net) expr()      {}
func (Nets) expr()     {}
func (Port) expr()     {}
func (Number) expr()   {}
func (Flags) expr()    {}
func (Text) expr()     {}
func (IsKind) expr()   {}
func (IsAction) expr() {}
func (Family) expr()   {}
