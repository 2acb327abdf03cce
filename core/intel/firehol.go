package intel

import (
	"io"
	"strings"
)

// firehol reads FireHOL's .ipset and .netset files: addresses and prefixes behind a header that tells the list's name,
// category and date. Some of them hold private and reserved space, which the exceptions of the configuration take out.
func firehol() Format {
	return Format{
		Name: "firehol", About: "FireHOL .ipset and .netset with their header",
		Sniff: func(head []byte) bool {
			s := string(head)
			return strings.HasPrefix(s, "#") && (strings.Contains(s, "hash:net") || strings.Contains(s, "hash:ip")) &&
				(strings.Contains(s, "ipset") || strings.Contains(s, "netset"))
		},
		Parse: func(r io.Reader, to *Sink) error {
			var base Indicator
			return eachLine(r, to, func(n int, line string) {
				comment, ok := strings.CutPrefix(line, "#")
				if !ok {
					addText(to, n, line, base)
					return
				}
				comment = strings.TrimSpace(comment)
				if base.Name == "" && comment != "" {
					base.Name = clip(comment)
				}
				key, value, _ := strings.Cut(comment, ":")
				value = strings.TrimSpace(value)
				switch strings.TrimSpace(key) {
				case "Category":
					base.Tags = []string{clip(value)}
				case "This File Date":
					base.Seen = stamp(value)
				case "http", "https":
					if strings.Contains(value, "ipset=") {
						base.URL = clip(comment)
					}
				case "Maintainer", "License":
					to.notice(strings.TrimSpace(key) + ": " + value)
				}
			})
		},
	}
}
