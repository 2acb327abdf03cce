package intel

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"varde/event"
	"varde/event/human"
)

// DNSBLAnswer is what one zone says of an address.
type DNSBLAnswer struct {
	Zone   string       `json:"zone"`
	Listed bool         `json:"listed"`
	Info   bool         `json:"info,omitempty"` // all of its answers tell a role, not hostility
	Codes  []netip.Addr `json:"codes,omitempty"`
	Names  []string     `json:"names,omitempty"`  // what the codes mean
	Reason string       `json:"reason,omitempty"` // the zone's own words
	Error  string       `json:"error,omitempty"`  // why it is not known; then Listed is no evidence either way
	Asked  time.Time    `json:"asked"`
}

// Evidence is an answer as evidence for an address; false for one that is none.
func (a *DNSBLAnswer) Evidence(addr netip.Addr) (event.Evidence, bool) {
	if !a.Listed || a.Error != "" {
		return event.Evidence{}, false
	}
	return event.Evidence{
		List: a.Zone, Entry: netip.PrefixFrom(addr, addr.BitLen()), Name: strings.Join(a.Names, ", "), Confidence: defaultConfidence,
		Seen: event.Nanos(a.Asked), Info: a.Info,
	}, true
}

// zenCodes are the answers of Spamhaus ZEN and of the zones that it is made of.
var zenCodes = [...]struct {
	code byte
	name string
	info bool
}{
	{2, "SBL", false},
	{3, "CSS", false},
	{4, "XBL", false},
	{5, "XBL", false},
	{6, "XBL", false},
	{7, "XBL", false},
	{9, "DROP", false},
	{10, "PBL by the provider", true},
	{11, "PBL by Spamhaus", true},
}

// read takes the codes of an answer. Those in 127.255.255.0/24 are errors of the asker, and what lies outside 127.0.0.0/8
// comes from somebody who has taken over the zone or rewrites answers: neither is ever evidence.
func (z *zone) read(answer *DNSBLAnswer, m *dns.Msg) error {
	roles := 0
	for _, rr := range m.Answer {
		a, ok := rr.(*dns.A)
		if !ok || len(answer.Codes) >= maxCodes {
			continue
		}
		code, _ := netip.AddrFromSlice(a.A.To4())
		if !loopback.Contains(code) {
			return fmt.Errorf("it answered %s, outside 127.0.0.0/8: somebody else answers for the zone", code)
		}
		if b := code.As4(); b[1] == 255 && b[2] == 255 {
			return fmt.Errorf("it refused with %s: %s", code, refusal(b[3]))
		}
		name, info := z.meaning(code)
		answer.Codes = append(answer.Codes, code)
		answer.Names = append(answer.Names, name)
		if info {
			roles++
		}
	}
	answer.Listed = len(answer.Codes) > 0
	answer.Info = answer.Listed && roles == len(answer.Codes)
	return nil
}

// refusal words the errors that Spamhaus and those who follow it answer with.
func refusal(code byte) string {
	switch code {
	case 252:
		return "the name of the zone is mistyped"
	case 254:
		return "it was asked through a public resolver; set resolver to one of your own"
	case 255:
		return "too many queries; the free use is over its limit"
	}
	return "an error of the asker"
}

// meaning is the name of an answer's code and whether it tells a role only.
func (z *zone) meaning(code netip.Addr) (name string, info bool) {
	info = slices.Contains(z.Info, code.String())
	if name, ok := z.Codes[code.String()]; ok {
		return name, info
	}
	if b := code.As4(); strings.HasSuffix(dns.CanonicalName(z.Zone), "spamhaus.org.") || strings.HasSuffix(dns.CanonicalName(z.Zone), "spamhaus.net.") {
		for _, c := range zenCodes {
			if b == [4]byte{127, 0, 0, c.code} {
				return c.name, info || c.info
			}
		}
	}
	return "listed as " + code.String(), info
}

// reason is the text of a TXT answer.
func reason(m *dns.Msg) string {
	for _, rr := range m.Answer {
		if t, ok := rr.(*dns.TXT); ok {
			return human.Safe(cut(strings.Join(t.Txt, ""), maxReason))
		}
	}
	return ""
}

// lifetime is for how long an answer holds: the shortest TTL of its records, or of a negative one as RFC 2308 section 5
// has it.
func lifetime(m *dns.Msg) time.Duration {
	ttl := maxAnswerTTL
	for _, rr := range m.Answer {
		ttl = min(ttl, time.Duration(rr.Header().Ttl)*time.Second)
	}
	if len(m.Answer) == 0 {
		ttl = errorTTL
		for _, rr := range m.Ns {
			if soa, ok := rr.(*dns.SOA); ok {
				ttl = time.Duration(min(soa.Hdr.Ttl, soa.Minttl)) * time.Second
			}
		}
	}
	return min(max(ttl, minAnswerTTL), maxAnswerTTL)
}

// reverse writes an address as block lists have it: octets, or for IPv6 nibbles, from the last to the first, each with
// its dot (RFC 5782 sections 2.1 and 2.4).
func reverse(a netip.Addr) string {
	var b strings.Builder
	if a.Is4() {
		o := a.As4()
		fmt.Fprintf(&b, "%d.%d.%d.%d.", o[3], o[2], o[1], o[0])
		return b.String()
	}
	o := a.As16()
	digits := hex.EncodeToString(o[:])
	for i := len(digits) - 1; i >= 0; i-- {
		b.WriteByte(digits[i])
		b.WriteByte('.')
	}
	return b.String()
}
