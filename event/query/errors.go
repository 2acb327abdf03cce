package query

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"varde/event/human"
)

// SyntaxError tells where a filter is not understood and why. Error is one line; String shows the place.
type SyntaxError struct {
	Text    string // the filter; cut where it is longer than MaxText
	At, Len int    // the place in Text, in bytes; Len may be 0
	Problem string // what is wrong there and what was expected
	Near    string // what was meant, perhaps; "" where nothing is near
}

// Column is the place in characters, counted from 1.
func (e *SyntaxError) Column() int { return utf8.RuneCountInString(e.Text[:e.At]) + 1 }

// Error is one line without the filter.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("filter, column %d: %s%s", e.Column(), human.Safe(e.Problem), didYouMean(e.Near))
}

// excerptWidth is how many columns of a long filter are shown on either side of the place.
const excerptWidth = 50

// String is three lines: the filter, or the part of it around the place, a caret under the place, and what is wrong.
func (e *SyntaxError) String() string {
	before, place, after := e.Text[:e.At], e.Text[e.At:e.At+e.Len], e.Text[e.At+e.Len:]
	head, cutHead := lastColumns(human.Safe(before), excerptWidth)
	mark, cutMark := firstColumns(human.Safe(place), excerptWidth)
	tail, cutTail := "", cutMark
	if !cutMark {
		tail, cutTail = firstColumns(human.Safe(after), excerptWidth)
	}
	var b strings.Builder
	if cutHead {
		head = "…" + head
	}
	b.WriteString(head + mark + tail)
	if cutTail {
		b.WriteString("…")
	}
	b.WriteString("\n" + strings.Repeat(" ", columns(head)) + strings.Repeat("^", max(columns(mark), 1)) + "\n")
	b.WriteString(human.Safe(e.Problem) + didYouMean(e.Near))
	return b.String()
}

func didYouMean(near string) string {
	if near == "" {
		return ""
	}
	return `; did you mean "` + human.Safe(near) + `"?`
}

// firstColumns is the beginning of s that is at most n columns wide.
func firstColumns(s string, n int) (string, bool) {
	for i, r := range s {
		if n -= width(r); n < 0 {
			return s[:i], true
		}
	}
	return s, false
}

// lastColumns is the end of s that is at most n columns wide.
func lastColumns(s string, n int) (string, bool) {
	for i := len(s); i > 0; {
		r, size := utf8.DecodeLastRuneInString(s[:i])
		if n -= width(r); n < 0 {
			return s[i:], true
		}
		i -= size
	}
	return s, false
}

// columns is how many columns a terminal takes for s.
func columns(s string) int {
	n := 0
	for _, r := range s {
		n += width(r)
	}
	return n
}

// wide are the ranges that Unicode's EastAsianWidth.txt has as W or F, coarsely.
var wide = [...][2]rune{
	{0x1100, 0x115f},
	{0x2e80, 0x303e},
	{0x3041, 0xa4cf},
	{0xa960, 0xa97f},
	{0xac00, 0xd7a3},
	{0xf900, 0xfaff},
	{0xfe30, 0xfe6f},
	{0xff00, 0xff60},
	{0xffe0, 0xffe6},
	{0x1f300, 0x1f64f},
	{0x1f680, 0x1f6ff},
	{0x1f900, 0x1f9ff},
	{0x20000, 0x3fffd},
}

// width is how many columns a terminal takes for r.
func width(r rune) int {
	if r < 0x300 {
		return 1
	}
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	for _, w := range wide {
		if r >= w[0] && r <= w[1] {
			return 2
		}
	}
	return 1
}

// nearest is the candidate that word was perhaps meant to be: at most a third of its letters typed wrongly, counting
// two swapped letters once. It is "" where there is none.
func nearest(word string, candidates []string) string {
	const longest = 24
	word = strings.ToLower(word)
	if len(word) < 2 || len(word) > longest {
		return ""
	}
	best, least := "", 2*(len(word)/3+1)
	for _, c := range candidates {
		d := distance(word, c)
		far := 2 * d
		if c[0] != word[0] {
			far++ // the first letter is seldom wrong
		}
		if far < least && d < len(c) {
			best, least = c, far
		}
	}
	return best
}

// distance is the optimal string alignment distance of two short words.
func distance(a, b string) int {
	var before, last, this [64]int
	if len(b) >= len(this) {
		return len(b)
	}
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := range len(a) {
		this[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			this[j+1] = min(last[j+1]+1, this[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				this[j+1] = min(this[j+1], before[j-1]+1)
			}
		}
		before, last = last, this
	}
	return last[len(b)]
}
