package intel

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxLine bounds one line of a list.
const maxLine = 1 << 16

// errHTML is what every format says of a page that came instead of a list.
var errHTML = errors.New("this is an HTML page, not a list")

// plain reads one indicator a line: addresses, prefixes, ranges, address:port, domains, URLs and file hashes. What
// follows an address after white space is its comment. Block lists of Emerging Threats, CINS, blocklist.de and the bulk
// list of Tor exits have this form.
func plain() Format {
	return Format{
		Name: "plain", About: "one address, prefix, range, address:port, domain, URL or hash a line; # ; // begin comments",
		Sniff: func(head []byte) bool {
			return !looksLikeHTML(head) && len(head) > 0 && head[0] != '{' && head[0] != '['
		},
		Parse: func(r io.Reader, to *Sink) error {
			return eachLine(r, to, func(n int, line string) {
				text, comment := cutComment(line)
				if text == "" {
					return
				}
				if first, rest, ok := cutSpace(text); ok {
					if _, _, is := parseAddress(refang(first)); is && !strings.HasPrefix(rest, "-") {
						text, comment = first, strings.TrimSpace(rest+" "+comment)
					}
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

// cutComment parts a line from the comment behind it.
func cutComment(line string) (text, comment string) {
	if isComment(line) {
		return "", ""
	}
	for _, mark := range [...]string{"#", ";", "//"} {
		for _, space := range [...]string{" ", "\t"} {
			if before, after, ok := strings.Cut(line, space+mark); ok {
				return strings.TrimSpace(before), strings.TrimSpace(after)
			}
		}
	}
	return line, ""
}

func isComment(line string) bool {
	return strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") || strings.HasPrefix(line, "//")
}

// cutSpace cuts a line at its first white space.
func cutSpace(s string) (first, rest string, ok bool) {
	i := strings.IndexAny(s, " \t")
	if i < 0 {
		return s, "", false
	}
	return s[:i], strings.TrimSpace(s[i:]), true
}

// firstLine is the first line of a list's head that is neither blank nor a comment.
func firstLine(head []byte) string {
	for line := range strings.Lines(string(head)) {
		if line = strings.TrimSpace(line); line != "" && !isComment(line) {
			return line
		}
	}
	return ""
}
