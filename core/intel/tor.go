package intel

import (
	"io"
	"strings"
)

// tor reads Tor's exit lists: exit-addresses, whose blocks of ExitNode, Published, LastStatus and ExitAddress lines give
// an address and when it was seen, and the bulk list of one address a line, which only its configuration can tell from
// any other. To be an exit is a role, not hostility.
func tor() Format {
	return Format{
		Name: "tor", About: "Tor exit-addresses; named by format also the bulk exit list. Its entries tell a role, not hostility",
		Info:  true,
		Sniff: func(head []byte) bool { return strings.HasPrefix(firstLine(head), "ExitNode ") },
		Parse: func(r io.Reader, to *Sink) error {
			return eachLine(r, to, func(n int, line string) {
				word, rest, _ := cutSpace(line)
				base := Indicator{Name: "Tor exit", URL: "https://metrics.torproject.org/rs.html"}
				switch {
				case isComment(line) || word == "ExitNode" || word == "Published" || word == "LastStatus":
				case word == "ExitAddress":
					text, when, _ := cutSpace(rest)
					base.Seen = stamp(when)
					addText(to, n, text, base)
				default:
					addText(to, n, word, base)
				}
			})
		},
	}
}
