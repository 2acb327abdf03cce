package intel

import (
	"io"
	"net/netip"
	"strings"
)

// advisory reads prose: the text of a warning that somebody sent, with indicators between its words. Addresses,
// prefixes, ranges, URLs and hashes count wherever they stand; a name counts as a domain only where it is defanged or
// alone on its line, since prose is full of words with dots.
func advisory() Format {
	return Format{
		Name: "advisory", About: "prose with indicators in it, defanged or not, as in an advisory; never guessed for a list",
		Sniff: func([]byte) bool { return false },
		Parse: func(r io.Reader, to *Sink) error {
			return eachLine(r, to, func(n int, line string) { prose(to, n, line) })
		},
	}
}

// prose adds the indicators of one line of text.
func prose(to *Sink, n int, line string) {
	words := strings.FieldsFunc(strings.ReplaceAll(line, "–", "-"), func(r rune) bool {
		return r == ' ' || r == '\t' || strings.ContainsRune(",;\"'`<>|“”‘’•\u00a0", r)
	})
	for i := 0; i < len(words); i++ {
		if i+2 < len(words) && words[i+1] == "-" && isAddress(words[i]) && isAddress(words[i+2]) {
			addText(to, n, refang(words[i])+"-"+refang(words[i+2]), Indicator{})
			i += 2
			continue
		}
		word := strings.TrimRight(words[i], ".,:!?*")
		if s := refang(word); !proseWord(to, n, word, s, len(words) == 1) {
			if trimmed := strings.Trim(word, "()[]{}.,:=*"); trimmed != word {
				proseWord(to, n, trimmed, refang(trimmed), len(words) == 1)
			}
		}
	}
}

func isAddress(word string) bool {
	_, err := netip.ParseAddr(refang(word))
	return err == nil
}

// proseWord adds what one word of a text says, if anything; s is the word refanged, alone that the line has no other.
func proseWord(to *Sink, n int, word, s string, alone bool) bool {
	s, _, _ = strings.Cut(s, "/tcp")
	s, _, _ = strings.Cut(s, "/udp")
	if p, _, ok := parseAddress(s); ok {
		if p.Addr().Is6() && !inUse6(p.Addr()) {
			return true // "::" and "a::b" are names in program text more often than addresses
		}
		addText(to, n, s, Indicator{})
		return true
	}
	if strings.Contains(s, "://") {
		if _, _, err := plainURL(s); err == nil {
			addText(to, n, s, Indicator{})
			return true
		}
		return false
	}
	if _, ok := hashType(s); ok {
		addText(to, n, s, Indicator{})
		return true
	}
	if from, to2, ok := strings.Cut(s, "-"); ok && isAddress(from) && isAddress(to2) {
		addText(to, n, s, Indicator{})
		return true
	}
	if almostAddress(s) {
		to.Reject(Reject{n, clip(word), "looks like an address but is none"})
		return true
	}
	if _, _, ok := domainName(s); ok && (alone || s != word) {
		addText(to, n, s, Indicator{})
		return true
	}
	return false
}

// inUse6 tells whether a lies in 2000::/3, or is local (RFC 4193, RFC 4291): no other addresses are in use.
func inUse6(a netip.Addr) bool {
	return a.As16()[0]>>5 == 1 || a.IsPrivate() || a.IsLinkLocalUnicast()
}

// almostAddress tells a mistyped IPv4 address or prefix from a number with points.
func almostAddress(s string) bool {
	s, _, _ = strings.Cut(s, "/")
	s, _, _ = strings.Cut(s, ":")
	return strings.Count(s, ".") == 3 && strings.Trim(s, "0123456789.") == "" && !strings.Contains(s, "..") &&
		s[0] != '.' && s[len(s)-1] != '.'
}
