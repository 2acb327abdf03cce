// Package intel keeps lists of indicators: it reads them in the formats of the field, refreshes them, and tells for
// an address which entries of which lists cover it.
package intel

import (
	"io"
	"net/netip"
	"time"
)

// Type says what kind of thing an Indicator names.
type Type uint8

// The types of indicators. Formats skip, and count, what they cannot express as one of them.
const (
	Address Type = iota // Prefix, and Port where the list gives one
	Domain              // Text: lower case, no trailing dot; Below where the list means every name under it too
	URL                 // Text: scheme and host in lower case, no default port, no fragment
	MD5                 // Text: lower-case hexadecimal
	SHA1
	SHA256
)

// Indicator is one entry of a list, as its parser hands it on. It is valid only during the call.
type Indicator struct {
	Type   Type
	Prefix netip.Prefix // masked; IPv4-mapped IPv6 is given as IPv4
	Port   uint16       // 0 where the entry is not bound to a port
	Text   string
	Below  bool

	Name       string   // pulse, malware family, SBL number ...
	URL        string   // where a person can read on
	Confidence uint8    // 1..100; 0 where the list does not say
	Tags       []string // may be shared between entries
	Seen       int64    // when the list last saw it, nanoseconds since 1970, 0 unknown
	Expires    int64    // when the list's own expiry takes it away, nanoseconds since 1970, 0 never
}

// Reject is one entry that a parser could not or would not take.
type Reject struct {
	Line   int    // 1-based line, 0 where the format has none
	Text   string // the offending text, cut to 80 bytes
	Reason string // what is wrong and what was expected, in a few words
}

// Sink receives what a Format finds.
type Sink struct {
	Add    func(*Indicator)
	Reject func(Reject)
	// Notice takes what the publisher wants to be shown: copyright, terms, the date of the list. It may be nil.
	Notice func(string)
	// AllowWide admits prefixes of /0../7 (IPv4) and /0../15 (IPv6), which are otherwise rejected as list accidents.
	AllowWide bool
	// Now is the time against which expiry and validity are judged, nanoseconds since 1970.
	Now int64
}

// Format reads one form of list.
type Format struct {
	Name  string // as in the configuration: plain, otx, dshield ...
	About string // one line for help and documentation
	// Sniff tells whether the first bytes of a list (up to 4 KiB) look like this format.
	Sniff func(head []byte) bool
	// Parse reads a whole list. Its error means that the input is no such list at all (an HTML page, half a JSON
	// document): nothing of it may be used. A single bad entry is a Reject.
	Parse func(r io.Reader, to *Sink) error
	// Info says that lists of this form tell a role, as Tor exits, not hostility.
	Info bool
	// Floor is the shortest interval at which publishers of this form let it be fetched, 0 for the general one.
	Floor time.Duration
}

// notice hands a publisher's line on, as far as a line goes.
func (to *Sink) notice(s string) {
	if to.Notice != nil && s != "" {
		to.Notice(s[:min(len(s), maxNotice)])
	}
}

// maxNotice bounds what is kept of a publisher's notice, in bytes.
const maxNotice = 300
