package intel

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"varde/event"
)

// stamp reads the times that lists write, in UTC where they name no zone; 0 for what is none.
func stamp(s string) int64 {
	s = strings.TrimSuffix(strings.TrimSpace(s), " UTC")
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999", "2006-01-02 15:04:05", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return event.Nanos(t)
		}
	}
	return 0
}

// rows reads CSV after a preamble of # lines, with the line of each row.
func rows(r io.Reader, to *Sink, comma rune, row func(line int, f []string)) error {
	return eachLine(r, to, func(n int, text string) {
		if strings.HasPrefix(text, "#") {
			return
		}
		c := csv.NewReader(strings.NewReader(text))
		c.Comma, c.TrimLeadingSpace, c.LazyQuotes, c.FieldsPerRecord = comma, true, true, -1
		f, err := c.Read()
		if err != nil {
			to.Reject(Reject{n, clip(text), "no CSV: " + err.Error()})
			return
		}
		row(n, f)
	})
}

// table reads CSV whose first row names its columns.
func table() Format {
	return Format{
		Name: "csv", About: "CSV with a header row that names ip, address, cidr, indicator or value, and optionally port, name, url, confidence, last_seen",
		Sniff: func(head []byte) bool {
			for line := range strings.Lines(string(head)) {
				if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
					continue
				}
				return strings.Contains(line, ",") && columns(strings.Split(line, ","))["value"] > 0
			}
			return false
		},
		Parse: func(r io.Reader, to *Sink) error {
			var at map[string]int
			err := rows(r, to, ',', func(n int, f []string) {
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

// threatFox reads the CSV export of ThreatFox: 14 quoted columns after a # preamble, without a header row.
func threatFox() Format {
	return Format{
		Name: "threatfox", About: "ThreatFox CSV export",
		Sniff: func(head []byte) bool {
			return strings.Contains(string(head), "ioc_value") && strings.Contains(string(head), "fk_malware")
		},
		Parse: func(r io.Reader, to *Sink) error {
			return rows(r, to, ',', func(n int, f []string) {
				if len(f) < 14 {
					to.Reject(Reject{n, clip(strings.Join(f, ",")), fmt.Sprintf("%d columns, expected 14", len(f))})
					return
				}
				conf, _ := strconv.ParseUint(f[9], 10, 8)
				seen := stamp(f[8])
				if seen == 0 {
					seen = stamp(f[0])
				}
				addText(to, n, f[2], Indicator{
					ID: f[1], Name: strings.TrimSpace(f[7] + " " + threatWord(f[4])), URL: "https://threatfox.abuse.ch/ioc/" + f[1] + "/",
					Confidence: uint8(min(conf, 100)), Tags: tags(f[11]), Seen: seen,
				})
			})
		},
	}
}

func threatWord(s string) string {
	if s == "botnet_cc" {
		return "C2"
	}
	return strings.ReplaceAll(s, "_", " ")
}

func tags(s string) []string {
	if s = strings.TrimSpace(s); s == "" || s == "None" {
		return nil
	}
	return strings.Split(s, ",")
}

// feodo reads the CSV of the Feodo tracker.
func feodo() Format {
	return Format{
		Name: "feodo", About: "Feodo tracker CSV: first_seen, ip, port, status, last_online, malware",
		Sniff: func(head []byte) bool {
			s := string(head)
			return strings.Contains(s, "first_seen_utc") && strings.Contains(s, "dst_ip") && strings.Contains(s, "c2_status")
		},
		Parse: func(r io.Reader, to *Sink) error {
			return rows(r, to, ',', func(n int, f []string) {
				if len(f) < 6 || f[0] == "first_seen_utc" {
					return
				}
				port, _ := strconv.ParseUint(f[2], 10, 16)
				addText(to, n, f[1], Indicator{Port: uint16(port), Name: f[5] + " C2", Tags: []string{"c2", f[3]}, Seen: max(stamp(f[4]), stamp(f[0]))})
			})
		},
	}
}

// urlhaus reads the CSV of URLhaus: each URL, and the address and port of those whose host is a literal address.
func urlhaus() Format {
	return Format{
		Name: "urlhaus", About: "URLhaus CSV: URLs, and the addresses of those that have no name",
		Sniff: func(head []byte) bool {
			return strings.Contains(string(head), "dateadded") && strings.Contains(string(head), "urlhaus_link")
		},
		Parse: func(r io.Reader, to *Sink) error {
			return rows(r, to, ',', func(n int, f []string) {
				if len(f) < 8 || f[0] == "id" {
					return
				}
				base := Indicator{ID: f[0], Name: f[5], URL: f[7], Tags: tags(f[6]), Seen: max(stamp(f[4]), stamp(f[1]))}
				addText(to, n, f[2], base)
				u, err := url.Parse(f[2])
				if err != nil {
					return
				}
				if a, err := netip.ParseAddr(u.Hostname()); err == nil {
					port, _ := strconv.ParseUint(u.Port(), 10, 16)
					if port == 0 {
						port = map[string]uint64{"http": 80, "https": 443, "ftp": 21}[u.Scheme]
					}
					base.Prefix, base.Port = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), uint16(port)
					to.Add(&base)
				}
			})
		},
	}
}

// dshield reads DShield's block.txt: start, end, length of the netblock, attacks, name, country, mail.
func dshield() Format {
	return Format{
		Name: "dshield", About: "DShield block.txt",
		Sniff: func(head []byte) bool { return strings.Contains(string(head), "Start\tEnd\tNetblock") },
		Parse: func(r io.Reader, to *Sink) error {
			return rows(r, to, '\t', func(n int, f []string) {
				if len(f) > 0 && f[0] == "Start" {
					return
				}
				if len(f) < 3 {
					to.Reject(Reject{n, clip(strings.Join(f, " ")), "expected start, end and netblock length"})
					return
				}
				name := "attacking network"
				if len(f) > 4 && f[4] != "" {
					name = f[4]
				}
				addText(to, n, f[0]+"/"+f[2], Indicator{Name: name, URL: "https://www.dshield.org/ipinfo/" + f[0]})
			})
		},
	}
}
