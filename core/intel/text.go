package intel

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// maxURL bounds a URL, in bytes; what is longer is no indicator that anybody would compare.
const maxURL = 2048

// addText adds the indicator that text writes, with what base says of it, or rejects it with its line.
func addText(to *Sink, line int, text string, base Indicator) {
	err := ParseText(text, to.AllowWide, func(ind *Indicator) {
		i := base
		i.Type, i.Prefix, i.Text, i.Below = ind.Type, ind.Prefix, ind.Text, ind.Below || base.Below && ind.Type == Domain
		if ind.Port != 0 {
			i.Port = ind.Port
		}
		to.Add(&i)
	})
	if err != nil {
		to.Reject(Reject{line, clip(text), err.Error()})
	}
}

func clip(s string) string { return s[:min(len(s), 80)] }

// ParseText reads one indicator as people write it, defanged or not: 192.0.2.1, 192.0.2.0/24, 192.0.2.1-192.0.2.9,
// 192.0.2.1:80, [2001:db8::1]:80, evil[.]example, *.evil.example, hxxp://evil.example/x, or a hash. A range gives
// several prefixes, and a URL whose host is an address gives that with its port too.
func ParseText(text string, wide bool, add func(*Indicator)) error {
	s := refang(text)
	if p, port, ok := parseAddress(s); ok {
		if err := tooWide(p, wide); err != nil {
			return err
		}
		add(&Indicator{Type: Address, Prefix: p, Port: port})
		return nil
	}
	if from, to, ok := strings.Cut(s, "-"); ok {
		a, err1 := netip.ParseAddr(strings.TrimSpace(from))
		b, err2 := netip.ParseAddr(strings.TrimSpace(to))
		if err1 == nil && err2 == nil {
			return addRange(a.WithZone("").Unmap(), b.WithZone("").Unmap(), wide, add)
		}
	}
	if strings.Contains(s, "://") {
		return addURL(s, add)
	}
	if t, ok := hashType(s); ok {
		add(&Indicator{Type: t, Text: strings.ToLower(s)})
		return nil
	}
	if d, below, ok := domainName(s); ok {
		add(&Indicator{Type: Domain, Text: d, Below: below})
		return nil
	}
	return errors.New("neither address, prefix, range, domain, URL nor hash")
}

// addURL adds a URL and, where its host is an address, that address with the port it names.
func addURL(s string, add func(*Indicator)) error {
	plain, u, err := plainURL(s)
	if err != nil {
		return err
	}
	add(&Indicator{Type: URL, Text: plain})
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && a.Zone() == "" {
		port, _ := strconv.ParseUint(u.Port(), 10, 16)
		if port == 0 {
			port = uint64(schemePort(u.Scheme))
		}
		a = a.Unmap()
		add(&Indicator{Type: Address, Prefix: netip.PrefixFrom(a, a.BitLen()), Port: uint16(port)})
	}
	return nil
}

func schemePort(scheme string) uint16 {
	switch scheme {
	case "http", "ws":
		return 80
	case "https", "wss":
		return 443
	case "ftp":
		return 21
	}
	return 0
}

// plainURL writes a URL the one way in which lists and look-ups compare it (RFC 3986 section 6.2): scheme and host in
// lower case, no default port, no fragment, and no slash alone behind the host.
func plainURL(s string) (string, *url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(s))
	if err != nil || u.Host == "" || len(s) > maxURL {
		return "", nil, errors.New("no URL: expected http://host/path")
	}
	u.Scheme, u.Host, u.Fragment, u.RawFragment = strings.ToLower(u.Scheme), strings.ToLower(u.Host), "", ""
	if port := schemePort(u.Scheme); port != 0 {
		u.Host = strings.TrimSuffix(u.Host, ":"+strconv.Itoa(int(port)))
	}
	if u.Path == "/" && u.RawQuery == "" {
		u.Path = ""
	}
	plain := u.String()
	if len(plain) > maxURL {
		return "", nil, fmt.Errorf("a URL of more than %d bytes", maxURL)
	}
	return plain, u, nil
}

// refang undoes what people do to indicators so that nobody clicks on them.
func refang(s string) string {
	s = strings.TrimSpace(s)
	if strings.ContainsAny(s, "[({\\") {
		s = fangs.Replace(s)
		if a, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(a, "]") {
			s = a[:len(a)-1]
		}
	}
	for _, scheme := range [...]struct{ bad, good string }{{"hxxp", "http"}, {"hXXp", "http"}, {"HXXP", "http"}, {"meow", "http"}, {"fxp", "ftp"}} {
		if rest, ok := strings.CutPrefix(s, scheme.bad); ok && (strings.HasPrefix(rest, "://") || strings.HasPrefix(rest, "s://")) {
			return scheme.good + rest
		}
	}
	return s
}

// fangs are the marks by which dots, colons and schemes are defanged.
var fangs = strings.NewReplacer("[.]", ".", "(.)", ".", "{.}", ".", "[.", ".", ".]", ".", "\\.", ".", "[dot]", ".", "(dot)", ".", "{dot}", ".",
	"[DOT]", ".", "(DOT)", ".", "[:]", ":", "[://]", "://", "[/]", "/")

// parseAddress reads an address, prefix (host bits are cut off) or address:port.
func parseAddress(s string) (p netip.Prefix, port uint16, ok bool) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), 0, true
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		return p.Masked(), 0, true
	}
	if ap, err := netip.ParseAddrPort(s); err == nil && ap.Port() != 0 && ap.Addr().Zone() == "" {
		a := ap.Addr().Unmap()
		return netip.PrefixFrom(a, a.BitLen()), ap.Port(), true
	}
	return netip.Prefix{}, 0, false
}

// Prefixes shorter than these are accidents of a list, unless its configuration says otherwise.
const (
	shortest4 = 8
	shortest6 = 16
)

func tooWide(p netip.Prefix, wide bool) error {
	if wide || p.Addr().Is4() && p.Bits() >= shortest4 || p.Addr().Is6() && p.Bits() >= shortest6 {
		return nil
	}
	return fmt.Errorf("a prefix of /%d covers too much of the Internet; set allow_wide if it is meant", p.Bits())
}

// addRange splits a range into the fewest prefixes: at most 254 for IPv6.
func addRange(a, b netip.Addr, wide bool, add func(*Indicator)) error {
	if a.BitLen() != b.BitLen() || b.Less(a) {
		return errors.New("a range goes from a lower to a higher address of one family")
	}
	for {
		bits := a.BitLen()
		for bits > 0 {
			p := netip.PrefixFrom(a, bits-1)
			if p.Masked().Addr() != a || b.Less(lastOf(p)) {
				break
			}
			bits--
		}
		p := netip.PrefixFrom(a, bits)
		if err := tooWide(p, wide); err != nil {
			return err
		}
		add(&Indicator{Type: Address, Prefix: p})
		last := lastOf(p)
		if last == b || !last.Next().IsValid() {
			return nil
		}
		a = last.Next()
	}
}

// lastOf is the highest address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

func hashType(s string) (Type, bool) {
	var t Type
	switch len(s) {
	case 32:
		t = MD5
	case 40:
		t = SHA1
	case 64:
		t = SHA256
	default:
		return 0, false
	}
	_, err := hex.DecodeString(s)
	return t, err == nil
}

// domainName is a host name in lower case; it has a dot, and its last label is no number. Written *.name or .name it
// means every name below too.
func domainName(s string) (name string, below, ok bool) {
	s = strings.ToLower(strings.TrimSuffix(s, "."))
	if rest, cut := strings.CutPrefix(strings.TrimPrefix(s, "*"), "."); cut {
		s, below = rest, true
	}
	if len(s) > 253 {
		return "", false, false
	}
	labels := strings.Split(s, ".")
	if len(labels) < 2 {
		return "", false, false
	}
	for _, l := range labels {
		if l == "" || len(l) > 63 || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return "", false, false
		}
	}
	_, err := strconv.Atoi(labels[len(labels)-1])
	return s, below, err != nil
}
