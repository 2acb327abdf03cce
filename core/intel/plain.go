package intel

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// maxLine bounds one line of a list.
const maxLine = 1 << 16

// errHTML is what every format says of a page that came instead of a list.
var errHTML = errors.New("this is an HTML page, not a list")

// plain reads one indicator a line: addresses, prefixes, ranges, address:port, domains, URLs and file hashes; also
// the .ipset and .netset files of FireHOL, the block lists of Emerging Threats and the exit lists of Tor.
func plain() Format {
	return Format{
		Name: "plain", About: "one address, prefix, range, address:port, domain, URL or hash a line; # ; // begin comments",
		Sniff: func(head []byte) bool {
			return !looksLikeHTML(head) && len(head) > 0 && head[0] != '{' && head[0] != '['
		},
		Parse: func(r io.Reader, to *Sink) error {
			return eachLine(r, to, func(n int, line string) {
				if rest, ok := strings.CutPrefix(line, "ExitAddress "); ok {
					line, _, _ = strings.Cut(rest, " ")
				} else if strings.HasPrefix(line, "ExitNode ") || strings.HasPrefix(line, "Published ") || strings.HasPrefix(line, "LastStatus ") {
					return
				}
				text, comment := cutComment(line)
				if text == "" {
					return
				}
				addText(to, n, text, Indicator{Name: comment})
			})
		},
	}
}

// eachLine reads lines without their ends, a byte order mark and blank ones left out; HTML is refused.
func eachLine(r io.Reader, to *Sink, line func(n int, text string)) error {
	in := bufio.NewReaderSize(r, maxLine)
	head, _ := in.Peek(512)
	if looksLikeHTML(head) {
		return errHTML
	}
	for n := 1; ; n++ {
		b, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			to.Reject(Reject{n, clip(string(b)), fmt.Sprintf("line is longer than %d bytes", maxLine)})
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = in.ReadSlice('\n')
			}
			b = nil
		}
		if n == 1 {
			b = bytes.TrimPrefix(b, []byte("\ufeff"))
		}
		if s := strings.TrimSpace(string(b)); s != "" {
			line(n, s)
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

func looksLikeHTML(head []byte) bool {
	s := strings.ToLower(string(bytes.TrimSpace(bytes.TrimPrefix(head, []byte("\ufeff")))))
	return strings.HasPrefix(s, "<!doctype html") || strings.HasPrefix(s, "<html") || strings.HasPrefix(s, "<?xml") && strings.Contains(s, "<html")
}

// cutComment parts a line into its first word and the comment behind it.
func cutComment(line string) (text, comment string) {
	if strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") || strings.HasPrefix(line, "//") {
		return "", ""
	}
	for _, mark := range []string{"#", ";", "//"} {
		for _, space := range []string{" ", "\t"} {
			if before, after, ok := strings.Cut(line, space+mark); ok {
				return strings.TrimSpace(before), strings.TrimSpace(after)
			}
		}
	}
	return line, ""
}

// addText adds the indicator that text writes, with what base says of it, or rejects it with its line.
func addText(to *Sink, line int, text string, base Indicator) {
	err := ParseText(text, to.AllowWide, func(ind *Indicator) {
		i := base
		i.Type, i.Prefix, i.Text = ind.Type, ind.Prefix, ind.Text
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
// 192.0.2.1:80, [2001:db8::1]:80, evil[.]example, hxxp://evil.example/x, or a hash. A range gives several prefixes.
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
			return addRange(a.Unmap(), b.Unmap(), wide, add)
		}
	}
	if strings.Contains(s, "://") {
		u, err := url.Parse(s)
		if err != nil || u.Host == "" || len(s) > 2048 {
			return errors.New("no URL: expected http://host/path")
		}
		add(&Indicator{Type: URL, Text: s})
		return nil
	}
	if t, ok := hashType(s); ok {
		add(&Indicator{Type: t, Text: strings.ToLower(s)})
		return nil
	}
	if d, ok := domainName(s); ok {
		add(&Indicator{Type: Domain, Text: d})
		return nil
	}
	return errors.New("neither address, prefix, range, domain, URL nor hash")
}

func refang(s string) string {
	s = strings.TrimSpace(s)
	if !strings.ContainsAny(s, "[({") && !strings.HasPrefix(strings.ToLower(s), "hxxp") {
		return s
	}
	s = strings.NewReplacer("[.]", ".", "(.)", ".", "{.}", ".", "[:]", ":", "[://]", "://", "[dot]", ".").Replace(s)
	if strings.HasPrefix(strings.ToLower(s), "hxxp") {
		s = "http" + s[4:]
	}
	return s
}

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
	t, ok := map[int]Type{32: MD5, 40: SHA1, 64: SHA256}[len(s)]
	if !ok {
		return 0, false
	}
	_, err := hex.DecodeString(s)
	return t, err == nil
}

// domainName is a host name in lower case; it has a dot, and its last label is no number.
func domainName(s string) (string, bool) {
	s = strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(s, "*."), "."))
	labels := strings.Split(s, ".")
	if len(s) > 253 || len(labels) < 2 {
		return "", false
	}
	for _, l := range labels {
		if l == "" || len(l) > 63 || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return "", false
		}
	}
	_, err := strconv.Atoi(labels[len(labels)-1])
	return s, err != nil
}
