package intel

import (
	"io"
	"strconv"
	"strings"
	"time"
)

// feodoFloor is how often the Feodo tracker makes its lists anew.
const feodoFloor = 5 * time.Minute

// feodo reads the CSV of the Feodo tracker.
func feodo() Format {
	return Format{
		Name: "feodo", About: "Feodo tracker CSV: first_seen, ip, port, status, last_online, malware", Floor: feodoFloor,
		Sniff: func(head []byte) bool {
			s := string(head)
			return strings.Contains(s, "first_seen_utc") && strings.Contains(s, "dst_ip") && strings.Contains(s, "c2_status")
		},
		Parse: func(r io.Reader, to *Sink) error {
			return rows(r, to, byComma, func(n int, f []string) {
				if f[0] == "first_seen_utc" {
					return
				}
				if len(f) < 6 {
					to.Reject(Reject{n, clip(strings.Join(f, ",")), "expected 6 columns"})
					return
				}
				port, _ := strconv.ParseUint(f[2], 10, 16)
				addText(to, n, f[1], Indicator{Port: uint16(port), Name: f[5] + " C2", Tags: []string{"c2", f[3]}, Seen: max(stamp(f[4]), stamp(f[0]))})
			})
		},
	}
}

// feodoJSON reads the JSON of the Feodo tracker: an array of servers.
func feodoJSON() Format {
	return Format{
		Name: "feodo-json", About: "Feodo tracker JSON", Floor: feodoFloor,
		Sniff: func(head []byte) bool {
			s := string(head)
			return strings.HasPrefix(s, "[") && strings.Contains(s, `"ip_address"`) && strings.Contains(s, `"malware"`)
		},
		Parse: func(r io.Reader, to *Sink) error {
			dec, err := beginJSON(r)
			if err != nil {
				return err
			}
			_, err = eachObject(dec, "Feodo list", nil, func() error {
				var x struct {
					IP         string `json:"ip_address"`
					Port       uint16 `json:"port"`
					Status     string `json:"status"`
					Malware    string `json:"malware"`
					FirstSeen  string `json:"first_seen"`
					LastOnline string `json:"last_online"`
				}
				if ok, err := decodeItem(dec, to, &x); !ok {
					return err
				}
				addText(to, 0, x.IP, Indicator{Port: x.Port, Name: x.Malware + " C2", Tags: []string{"c2", x.Status}, Seen: max(stamp(x.LastOnline), stamp(x.FirstSeen))})
				return nil
			})
			return err
		},
	}
}

// urlhaus reads the CSV of URLhaus: each URL, and the address and port of those whose host is a literal address.
func urlhaus() Format {
	return Format{
		Name: "urlhaus", About: "URLhaus CSV: URLs, and the addresses of those that have no name", Floor: feodoFloor,
		Sniff: func(head []byte) bool {
			return strings.Contains(string(head), "dateadded") && strings.Contains(string(head), "urlhaus_link")
		},
		Parse: func(r io.Reader, to *Sink) error {
			return rows(r, to, byComma, func(n int, f []string) {
				if f[0] == "id" {
					return
				}
				if len(f) < 8 {
					to.Reject(Reject{n, clip(strings.Join(f, ",")), "expected 9 columns"})
					return
				}
				addText(to, n, f[2], Indicator{Name: f[5], URL: f[7], Tags: splitTags(f[6]), Seen: max(stamp(f[4]), stamp(f[1]))})
			})
		},
	}
}

// splitTags reads tags parted by commas.
func splitTags(s string) []string {
	if s = strings.TrimSpace(s); s == "" || s == "None" {
		return nil
	}
	return strings.Split(s, ",")
}
