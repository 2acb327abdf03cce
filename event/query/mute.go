package query

import (
	"net/netip"

	"varde/event"
)

// Mute silences warnings of an address, of a list, of a list for an address, or of a rule, until it ends. It covers a
// warning when everything that it names fits.
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

// Covers tells whether m silences w at the time now, in nanoseconds since 1970. A mute of a list covers only what that
// list alone says: another list's evidence of hostility is still heard. A mute that names nothing covers nothing.
func (m *Mute) Covers(w *event.Warning, now int64) bool {
	if m.Expires != 0 && m.Expires <= now || !m.Prefix.IsValid() && m.List == "" && m.Rule == "" {
		return false
	}
	if m.Prefix.IsValid() && !m.Prefix.Contains(w.Own.Addr) && !m.Prefix.Contains(w.Foreign.Addr) {
		return false
	}
	return (m.Rule == "" || m.Rule == w.Rule) && (m.List == "" || onlyListed(w.Evidence, m.List))
}

// onlyListed tells whether evidence comes from this list and otherwise tells roles only.
func onlyListed(evidence []event.Evidence, list string) bool {
	found := false
	for i := range evidence {
		switch {
		case evidence[i].List == list:
			found = true
		case !evidence[i].Info:
			return false
		}
	}
	return found
}
