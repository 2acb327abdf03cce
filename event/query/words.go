package query

import (
	"net/netip"
	"strconv"
	"strings"

	"varde/event"
)

// WordInfo explains a word of the filter language that is no field.
type WordInfo struct {
	Name    string `json:"name"`
	Help    string `json:"help"`
	Example string `json:"example"`
}

var words = [...]WordInfo{
	{"and", "both hold; two conditions side by side mean the same", "tcp and dst port 22"},
	{"or", "one of them holds; and binds closer", "port 22 or port 23"},
	{"not", "it does not hold; also written ! and -", "not country NO"},
	{"any", "every event", "any"},
	{"none", "no event", "none"},
	{"host", "source or destination is the address", "host 192.0.2.1"},
	{"net", "source or destination is in the network", "net 192.0.2.0/24"},
	{"ip", "host and net in one", "ip in [192.0.2.1 198.51.100.0/24]"},
	{"port", "source or destination port", "port in [22 23 2222]"},
	{"src", "the source: address, network, port", "src net 10.0.0.0/8"},
	{"dst", "the destination: address, network, port", "dst port 1000-2000"},
	{"own", "the end that is ours", "own net 10.0.3.0/24"},
	{"foreign", "the end that is not ours", "foreign host 198.51.100.7"},
	{"nat", "a translated address", "nat ip 203.0.113.5"},
	{"in list", "an address is on the list as it is now", `src in list "Feodo Tracker"`},
	{"if", "either interface", "if eth0"},
	{"in if", "interface it came in by", "in if eth0"},
	{"out if", "interface it went out by", "out if eth0"},
	{"ipv4", "addresses of IPv4; also inet", "ipv4"},
	{"ipv6", "addresses of IPv6; also inet6", "ipv6"},
	{"tcp", "protocol TCP; udp, icmp, icmp6, gre, esp, sctp ... likewise", "tcp"},
}

// Words lists the words of the filter language that are no fields.
func Words() []WordInfo { return append([]WordInfo(nil), words[:]...) }

// starters are the words that a condition may begin with, for suggestions.
func starters() []string {
	list := []string{"flags", "icmp-type", "icmp-code", "as", "udp", "icmp", "icmp6", "in", "out"}
	for _, w := range words {
		list = append(list, w.Name)
	}
	for i := range fields[1:] {
		list = append(list, fields[i+1].Name)
	}
	return list
}

// protoNumber reads the name of a protocol as event.ProtoName writes it, or one of its other names.
func protoNumber(name string) (uint8, bool) {
	switch name {
	case "icmpv6", "ipv6-icmp":
		return event.ICMPv6, true
	case "udplite":
		return 136, true
	case "icmp", "igmp", "ipip", "tcp", "udp", "dccp", "ipv6", "gre", "esp", "ah", "icmp6", "ospf", "sctp":
		for n := range 256 {
			if event.ProtoName(uint8(n)) == name {
				return uint8(n), true
			}
		}
	}
	return 0, false
}

func protoNames() []string {
	return []string{"tcp", "udp", "icmp", "icmp6", "igmp", "ipip", "dccp", "ipv6", "gre", "esp", "ah", "ospf", "sctp", "udplite"}
}

func kindNames() []string {
	var names []string
	for k := event.Unknown; k == event.Unknown || k.String() != event.Unknown.String(); k++ {
		names = append(names, k.String())
	}
	return names
}

func actionNames() []string {
	names := []string{noAction}
	for a := event.Deny; a.String() != ""; a++ {
		names = append(names, a.String())
	}
	return names
}

// noAction is how the filter language calls event.NoAction.
const noAction = "none"

func parseKind(name string) (event.Kind, bool) {
	k, ok := event.ParseKind(name)
	return k, ok || name == event.Unknown.String()
}

func parseAction(name string) (event.Action, bool) {
	if name == noAction {
		return event.NoAction, true
	}
	return event.ParseAction(name)
}

// parseNet reads an address or a prefix; trailing octets of an IPv4 network may be left out: 10/8, 172.16/12.
func parseNet(s string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	addr, bits, ok := strings.Cut(s, "/")
	if !ok {
		return netip.Prefix{}, false
	}
	if n := strings.Count(addr, "."); n < 3 && !strings.Contains(addr, ":") {
		addr += strings.Repeat(".0", 3-n)
	}
	p, err := netip.ParsePrefix(addr + "/" + bits)
	if err != nil {
		return netip.Prefix{}, false
	}
	return plain(p)
}

// maskBits reads an IPv4 mask as 255.255.255.0.
func maskBits(s string) (int, bool) {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is4() {
		return 0, false
	}
	for bits := range 33 {
		if p, err := netip.MustParseAddr("255.255.255.255").Prefix(bits); err == nil && p.Addr() == a {
			return bits, true
		}
	}
	return 0, false
}

// quantitySuffixes are decimal, as everywhere in flows.
const quantitySuffixes = "kmgt"

// parseQuantity reads 1500, 10k, 1.5M, 2G, 1T; ok is false for what is no whole number or does not fit.
func parseQuantity(s string) (uint64, bool) {
	s = strings.ToLower(s)
	zeros := 0
	if n := len(s) - 1; n > 0 && strings.IndexByte(quantitySuffixes, s[n]) >= 0 {
		zeros, s = 3*(strings.IndexByte(quantitySuffixes, s[n])+1), s[:n]
	}
	whole, part, point := strings.Cut(s, ".")
	if point && (part == "" || len(part) > zeros) || whole == "" {
		return 0, false
	}
	n, err := strconv.ParseUint(whole+part+strings.Repeat("0", zeros-len(part)), 10, 64)
	return n, err == nil
}

// quantity is the inverse of parseQuantity: the largest suffix that leaves a whole number.
func quantity(n uint64) string {
	suffix := ""
	for i := range len(quantitySuffixes) {
		if n == 0 || n%1000 != 0 {
			break
		}
		n /= 1000
		suffix = strings.ToUpper(quantitySuffixes[i : i+1])
	}
	return strconv.FormatUint(n, 10) + suffix
}
