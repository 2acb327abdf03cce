package warn

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// narrowest is the width below which wrapping would do more harm than a line that is too long.
const narrowest = 60

// between stands between facts of one line.
const between = " · "

// page lays out the lines of one warning: the first begins with a stamp, the others are indented as wide.
type page struct {
	b      []byte
	indent int
	width  int // columns, 0 does not wrap
}

// line appends one line as it is.
func (p *page) line(text string) {
	p.b = append(p.b, spaces(p.indent)...)
	p.b = append(p.b, text...)
	p.b = append(p.b, '\n')
}

// facts appends texts with a dot between them, and begins a new line where the next does not fit.
func (p *page) facts(texts []string) {
	line := ""
	for _, t := range texts {
		switch {
		case t == "":
		case line == "":
			line = t
		case p.fits(columns(line) + columns(between) + columns(t)):
			line += between + t
		default:
			p.words(line)
			line = t
		}
	}
	if line != "" {
		p.words(line)
	}
}

// words appends a text, broken at spaces where it is too long.
func (p *page) words(text string) {
	for _, line := range p.wrap(text, p.indent, 0) {
		p.line(line)
	}
}

func (p *page) fits(n int) bool { return p.width == 0 || p.indent+n <= p.width }

// wrap breaks a text at spaces into lines that fit behind indent columns, of which the first spares some more at its
// end. A word that is too long for a line stands alone and whole, since it may be an address that somebody copies.
func (p *page) wrap(text string, indent, spare int) []string {
	if p.width == 0 || indent+columns(text)+spare <= p.width {
		return []string{text}
	}
	var lines []string
	room := p.width - indent - spare
	line, used := "", 0
	for word := range strings.SplitSeq(text, " ") {
		n := columns(word)
		if line != "" && used+1+n > room {
			lines = append(lines, line)
			line, used, room = "", 0, p.width-indent
		}
		if line != "" {
			line += " "
			used++
		}
		line += word
		used += n
	}
	return append(lines, line)
}

func spaces(n int) string { return strings.Repeat(" ", max(n, 0)) }

// columns is how wide a terminal shows a text that is safe to show.
func columns(s string) int {
	n := 0
	for _, r := range s {
		switch {
		case r < 0x300:
			n++
		case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		case wide(r):
			n += 2
		default:
			n++
		}
	}
	return n
}

// wide tells the scripts and symbols that take two columns, the wide and full-width blocks of Unicode's UAX #11.
func wide(r rune) bool {
	switch {
	case r < 0x1100:
		return false
	case r <= 0x115f, r >= 0x2e80 && r <= 0x303e, r >= 0x3041 && r <= 0xa4cf, r >= 0xac00 && r <= 0xd7a3,
		r >= 0xf900 && r <= 0xfaff, r >= 0xfe30 && r <= 0xfe6f, r >= 0xff00 && r <= 0xff60, r >= 0xffe0 && r <= 0xffe6,
		r >= 0x1f300 && r <= 0x1f64f, r >= 0x1f900 && r <= 0x1faff, r >= 0x20000 && r <= 0x3fffd:
		return true
	}
	return false
}

// short cuts a text after so many characters and says so with an ellipsis.
func short(s string, most int) string {
	if len(s) <= most || utf8.RuneCountInString(s) <= most {
		return s
	}
	n := 0
	for i := range s {
		if n == most-1 {
			return s[:i] + "…"
		}
		n++
	}
	return s
}
