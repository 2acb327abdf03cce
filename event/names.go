package event

import (
	"strconv"
	"strings"
)

const flagLetters = "CEUAPRSF" // CWR first, as the bits stand

// FlagLetters writes TCP flags as letters of CEUAPRSF.
func FlagLetters(flags uint8) string {
	return string(AppendFlags(make([]byte, 0, 8), flags))
}

// AppendFlags appends FlagLetters(flags) to b.
func AppendFlags(b []byte, flags uint8) []byte {
	for i := range flagLetters {
		if flags&(0x80>>i) != 0 {
			b = append(b, flagLetters[i])
		}
	}
	return b
}

// ParseFlags is the inverse of FlagLetters; the letters may stand in any order.
func ParseFlags(s string) (uint8, bool) {
	var flags uint8
	for i := range len(s) {
		at := strings.IndexByte(flagLetters, s[i])
		if at < 0 {
			return 0, false
		}
		flags |= 0x80 >> at
	}
	return flags, true
}

// ProtoName is the usual name of an IANA protocol number, or the number itself.
func ProtoName(proto uint8) string {
	switch proto {
	case ICMP:
		return "icmp"
	case 2:
		return "igmp"
	case 4:
		return "ipip"
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	case 33:
		return "dccp"
	case 41:
		return "ipv6"
	case 47:
		return "gre"
	case 50:
		return "esp"
	case 51:
		return "ah"
	case ICMPv6:
		return "icmp6"
	case 89:
		return "ospf"
	case 132:
		return "sctp"
	}
	return strconv.Itoa(int(proto))
}

// ICMPName says an ICMP type and code in words: "icmp 3/3 port-unreachable".
func ICMPName(proto, typ, code uint8) string {
	s := ProtoName(proto) + " " + strconv.Itoa(int(typ)) + "/" + strconv.Itoa(int(code))
	words := icmp4Word(typ, code)
	if proto == ICMPv6 {
		words = icmp6Word(typ, code)
	}
	if words != "" {
		s += " " + words
	}
	return s
}

func icmp4Word(typ, code uint8) string {
	switch typ {
	case 0:
		return "echo-reply"
	case 3:
		return word([]string{
			"net-unreachable", "host-unreachable", "protocol-unreachable", "port-unreachable", "fragmentation-needed",
			"source-route-failed", "net-unknown", "host-unknown", "host-isolated", "net-prohibited", "host-prohibited",
			"net-tos-unreachable", "host-tos-unreachable", "admin-prohibited", "precedence-violation", "precedence-cutoff",
		}, int(code))
	case 4:
		return "source-quench"
	case 5:
		return "redirect"
	case 8:
		return "echo-request"
	case 9:
		return "router-advertisement"
	case 10:
		return "router-solicitation"
	case 11:
		return "time-exceeded"
	case 12:
		return "parameter-problem"
	case 13:
		return "timestamp-request"
	case 14:
		return "timestamp-reply"
	}
	return ""
}

func icmp6Word(typ, code uint8) string {
	switch typ {
	case 1:
		return word([]string{
			"no-route", "admin-prohibited", "beyond-scope", "address-unreachable", "port-unreachable", "policy-failed", "reject-route",
		}, int(code))
	case 2:
		return "packet-too-big"
	case 3:
		return "time-exceeded"
	case 4:
		return "parameter-problem"
	case 128:
		return "echo-request"
	case 129:
		return "echo-reply"
	case 133:
		return "router-solicitation"
	case 134:
		return "router-advertisement"
	case 135:
		return "neighbour-solicitation"
	case 136:
		return "neighbour-advertisement"
	case 137:
		return "redirect"
	}
	return ""
}

// ifName is an interface as people know it: by name, else by its ifIndex.
func ifName(name string, index uint32) string {
	if name == "" && index != 0 {
		return strconv.FormatUint(uint64(index), 10)
	}
	return name
}

// ifIndex is the inverse of ifName.
func ifIndex(s string) (string, uint32) {
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		return "", uint32(n)
	}
	return s, 0
}

func word(words []string, i int) string {
	if i < len(words) {
		return words[i]
	}
	return ""
}
