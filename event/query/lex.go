package query

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// mark is what kind of token something is.
type mark uint8

const (
	endMark    mark = iota
	wordMark        // whatever stands between blanks and the marks below: port, 10.0.0.0/8, src:2001:db8::1
	quotedMark      // text is without the quotes
	opMark          // = == != < <= > >= ~
	signMark        // ( ) [ ] , && || !
)

// token is one piece of a filter.
type token struct {
	mark    mark
	text    string
	at, len int // where it stands in the filter
}

// is tells whether t is this sign, or this word in whatever case.
func (t token) is(text string) bool {
	return t.mark == signMark && t.text == text || t.mark == wordMark && strings.EqualFold(t.text, text)
}

// seen is how a message calls t.
func (t token) seen() string {
	switch t.mark {
	case endMark:
		return "the end"
	case quotedMark:
		return "a text in quotes"
	}
	const longest = 40
	if text, cut := firstColumns(t.text, longest); cut {
		return `"` + text + `…"`
	}
	return `"` + t.text + `"`
}

// signs are what is more than one word, longest first.
var signs = [...]struct {
	text string
	mark mark
}{
	{"==", opMark},
	{"!=", opMark},
	{"<=", opMark},
	{">=", opMark},
	{"&&", signMark},
	{"||", signMark},
	{"=", opMark},
	{"<", opMark},
	{">", opMark},
	{"~", opMark},
	{"!", signMark},
	{"(", signMark},
	{")", signMark},
	{"[", signMark},
	{"]", signMark},
	{",", signMark},
}

// notInWords end a word.
const notInWords = "=!<>~()[],&|\"'"

// lex cuts a filter into tokens; the last is the end.
func lex(text string) ([]token, *SyntaxError) {
	var tokens []token
	for at := 0; ; {
		at += len(text[at:]) - len(strings.TrimLeftFunc(text[at:], unicode.IsSpace))
		if at == len(text) {
			return append(tokens, token{mark: endMark, at: at}), nil
		}
		t := token{at: at}
		var problem string
		switch c := text[at]; {
		case c == '"' || c == '\'':
			t, problem = lexQuoted(text, at)
		case strings.IndexByte(notInWords, c) >= 0:
			t, problem = lexSign(text, at)
		default:
			t.mark = wordMark
			t.len = strings.IndexFunc(text[at:], func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(notInWords, r) })
			if t.len < 0 {
				t.len = len(text) - at
			}
			t.text = text[at : at+t.len]
			if strings.Contains(t.text, string(utf8.RuneError)) || !utf8.ValidString(t.text) {
				problem = "the filter is not UTF-8 here"
			}
		}
		if problem != "" {
			return nil, &SyntaxError{Text: text, At: at, Len: max(t.len, 1), Problem: problem}
		}
		tokens = append(tokens, t)
		at += t.len
	}
}

func lexSign(text string, at int) (token, string) {
	for _, s := range signs {
		if strings.HasPrefix(text[at:], s.text) {
			return token{s.mark, s.text, at, len(s.text)}, ""
		}
	}
	c := text[at : at+1]
	return token{}, "write " + map[string]string{"&": "and, or &&", "|": "or, or ||"}[c] + `, not "` + c + `"`
}

// lexQuoted reads "a text with \" and \n in it" as Go writes it, or 'one as it stands'.
func lexQuoted(text string, at int) (token, string) {
	quote := text[at]
	end := at + 1
	for ; end < len(text) && text[end] != quote; end++ {
		if quote == '"' && text[end] == '\\' {
			end++
		}
	}
	if end >= len(text) {
		return token{len: len(text) - at}, "the quote is not closed"
	}
	t := token{quotedMark, text[at+1 : end], at, end + 1 - at}
	if quote == '"' {
		value, err := strconv.Unquote(text[at : end+1])
		if err != nil {
			return t, `a text in double quotes may hold \" \\ \n \t \x1b \u00e5 and no bare line break`
		}
		t.text = value
	}
	if !utf8.ValidString(t.text) {
		return t, "the text is not UTF-8"
	}
	return t, ""
}
