package intel

import (
	"encoding/csv"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"varde/event"
)

// stamp reads the times that lists write, in UTC where they name no zone; 0 for what is none or lies before 1970. What
// is beyond the reach of nanoseconds, as the year 9999 for never, is as late as they go.
func stamp(s string) int64 {
	s = strings.TrimSuffix(strings.TrimSpace(s), " UTC")
	if len(s) < len(time.DateOnly) || len(s) > 40 {
		return 0
	}
	for _, layout := range [...]string{time.RFC3339Nano, "2006-01-02T15:04:05.999999", "2006-01-02 15:04:05", "2006-01-02", time.ANSIC, time.UnixDate, time.RFC1123Z} {
		if t, err := time.Parse(layout, s); err == nil {
			switch {
			case t.Year() < 1970:
				return 0
			case t.Year() > 2261:
				return math.MaxInt64
			}
			return event.Nanos(t)
		}
	}
	return 0
}

// rows reads CSV after a preamble of # lines, with the line of each row.
func rows(r io.Reader, to *Sink, comma func(line string) rune, row func(line int, f []string)) error {
	return eachLine(r, to, func(n int, text string) {
		if strings.HasPrefix(text, "#") {
			return
		}
		c := csv.NewReader(strings.NewReader(text))
		c.Comma, c.TrimLeadingSpace, c.LazyQuotes, c.FieldsPerRecord = comma(text), true, true, -1
		f, err := c.Read()
		if err != nil {
			to.Reject(Reject{n, clip(text), "no CSV: " + err.Error()})
			return
		}
		row(n, f)
	})
}

func byComma(string) rune { return ',' }

// separator is what parts the columns of a header row: comma, semicolon or tab.
func separator(header string) rune {
	best := ','
	for _, c := range ";\t" {
		if strings.Count(header, string(c)) > strings.Count(header, string(best)) {
			best = c
		}
	}
	return best
}

// table reads CSV whose first row names its columns.
func table() Format {
	return Format{
		Name: "csv", About: "CSV with a header row that names ip, address, cidr, indicator or value, and optionally port, name, url, confidence, last_seen",
		Sniff: func(head []byte) bool {
			header := firstLine(head)
			sep := string(separator(header))
			return strings.Contains(header, sep) && columns(strings.Split(header, sep))["value"] > 0
		},
		Parse: func(r io.Reader, to *Sink) error {
			var at map[string]int
			var sep rune
			comma := func(line string) rune {
				if sep == 0 {
					sep = separator(line)
				}
				return sep
			}
			err := rows(r, to, comma, func(n int, f []string) {
				if at == nil {
					at = columns(f)
					return
				}
				get := func(k string) string {
					if i := at[k]; i > 0 && i <= len(f) {
						return f[i-1]
					}
					return ""
				}
				conf, _ := strconv.ParseUint(get("confidence"), 10, 8)
				port, _ := strconv.ParseUint(get("port"), 10, 16)
				addText(to, n, get("value"), Indicator{
					Name: get("name"), URL: get("url"), Confidence: uint8(min(conf, 100)), Port: uint16(port), Seen: stamp(get("last_seen")),
				})
			})
			if err == nil && at["value"] == 0 {
				return errors.New("no column of the header row is called ip, address, cidr, indicator or value")
			}
			return err
		},
	}
}

// columns tells for each thing that we want to know which column has it, counted from 1.
func columns(header []string) map[string]int {
	at := map[string]int{}
	for i, h := range header {
		switch strings.ToLower(strings.Trim(strings.TrimSpace(h), `"`)) {
		case "ip", "address", "cidr", "indicator", "value", "ip_address", "dst_ip", "ioc", "ioc_value", "network", "prefix":
			if at["value"] == 0 {
				at["value"] = i + 1
			}
		case "port", "dst_port":
			at["port"] = i + 1
		case "name", "malware", "description", "threat", "comment", "title":
			at["name"] = i + 1
		case "url", "reference", "link":
			at["url"] = i + 1
		case "confidence", "confidence_level", "score":
			at["confidence"] = i + 1
		case "last_seen", "last_online", "last_seen_utc", "date", "updated":
			at["last_seen"] = i + 1
		}
	}
	return at
}
