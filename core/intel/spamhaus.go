package intel

import (
	"encoding/json"
	"io"
	"strings"
	"time"
)

// spamhaus reads the DROP lists of Spamhaus: JSON lines, of which the last is metadata, or the old text with ; comments.
// Both carry a date and a copyright that are to be shown.
func spamhaus() Format {
	return Format{
		Name: "spamhaus", About: "Spamhaus DROP as JSON lines or the old text",
		Floor: time.Hour, // who asks more often is locked out
		Sniff: func(head []byte) bool {
			s := string(head)
			return strings.HasPrefix(s, "{") && strings.Contains(s, `"sblid"`) || strings.Contains(s, "; SBL")
		},
		Parse: func(r io.Reader, to *Sink) error {
			return eachLine(r, to, func(n int, text string) {
				var x struct {
					CIDR, SBLID, Type, Copyright string
					Timestamp                    int64
				}
				switch {
				case strings.HasPrefix(text, ";"):
					if strings.Contains(text, "(c)") {
						to.notice(strings.TrimSpace(strings.TrimLeft(text, "; ")))
					}
					return
				case strings.HasPrefix(text, "{"):
					if err := json.Unmarshal([]byte(text), &x); err != nil {
						to.Reject(Reject{n, clip(text), "no JSON: " + err.Error()})
						return
					}
					if x.Type == "metadata" {
						to.notice(x.Copyright + ", " + time.Unix(x.Timestamp, 0).UTC().Format(time.DateOnly))
						return
					}
				default:
					x.CIDR, x.SBLID, _ = strings.Cut(text, ";")
				}
				id := clip(strings.TrimSpace(x.SBLID))
				addText(to, n, x.CIDR, Indicator{Name: id, URL: "https://check.spamhaus.org/sbl/query/" + id})
			})
		},
	}
}
