package intel

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

// dshieldPage is where a person reads on about one address.
const dshieldPage = "https://www.dshield.org/ipinfo/"

// dshield reads DShield's block.txt: start, end, length of the netblock, attacks, name, country, mail.
func dshield() Format {
	return Format{
		Name: "dshield", About: "DShield block.txt",
		Sniff: func(head []byte) bool { return strings.Contains(string(head), "Start\tEnd\tNetblock") },
		Parse: func(r io.Reader, to *Sink) error {
			var seen int64
			return eachLine(r, to, func(n int, line string) {
				if isComment(line) {
					seen = max(seen, dshieldHeader(to, line))
					return
				}
				f := strings.Split(line, "\t")
				if f[0] == "Start" {
					return
				}
				if len(f) < 3 {
					to.Reject(Reject{n, clip(line), "expected start, end and netblock length, parted by tabs"})
					return
				}
				name := "attacking network"
				if len(f) > 4 && f[4] != "" {
					name = f[4]
				}
				start := unpad(f[0])
				addText(to, n, start+"/"+f[2], Indicator{Name: name, URL: dshieldPage + start, Seen: seen})
			})
		},
	}
}

// dshieldHeader reads the date of a list from its comments, and hands on its licence.
func dshieldHeader(to *Sink, line string) int64 {
	line = strings.TrimSpace(strings.TrimLeft(line, "# "))
	if strings.Contains(line, "(c)") || strings.Contains(line, "icense") {
		to.notice(line)
	}
	for _, key := range [...]string{"updated:", "created:"} {
		if rest, ok := strings.CutPrefix(line, key); ok {
			return stamp(rest)
		}
	}
	return 0
}

// dshieldTop reads DShield's lists of single sources: address, reports and what follows of targets, first and last day,
// parted by tabs. The octets of some of them are padded with zeros to three digits.
func dshieldTop() Format {
	return Format{
		Name: "dshield-top", About: "DShield top IPs and sources: address, reports, dates",
		Sniff: func(head []byte) bool {
			f := strings.Split(firstLine(head), "\t")
			if len(f) < 2 {
				return false
			}
			_, err1 := netip.ParseAddr(unpad(f[0]))
			_, err2 := strconv.ParseUint(strings.TrimSpace(f[1]), 10, 64)
			return err1 == nil && err2 == nil && (len(f) > 2 || strings.Contains(strings.ToLower(string(head)), "dshield"))
		},
		Parse: func(r io.Reader, to *Sink) error {
			return eachLine(r, to, func(n int, line string) {
				if isComment(line) {
					dshieldHeader(to, line)
					return
				}
				f := strings.Split(line, "\t")
				address := unpad(f[0])
				i := Indicator{Name: "attacking address", URL: dshieldPage + address}
				if len(f) > 1 {
					if reports, err := strconv.ParseUint(strings.TrimSpace(f[1]), 10, 64); err == nil {
						i.Name = fmt.Sprintf("%d reports", reports)
					}
				}
				for _, text := range f[1:min(len(f), 8)] {
					i.Seen = max(i.Seen, stamp(text))
				}
				addText(to, n, address, i)
			})
		},
	}
}

// unpad takes the zeros out of an IPv4 address whose octets are padded to three decimal digits.
func unpad(s string) string {
	s = strings.TrimSpace(s)
	if len(s) != 15 || strings.Count(s, ".") != 3 {
		return s
	}
	parts := strings.Split(s, ".")
	for i, p := range parts {
		if len(p) != 3 {
			return s
		}
		parts[i] = cmp.Or(strings.TrimLeft(p, "0"), "0")
	}
	return strings.Join(parts, ".")
}
