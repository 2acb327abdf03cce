package intel

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// threatFoxKeep is how long ThreatFox itself holds on to an indicator that nobody has seen again.
const threatFoxKeep = 180 * 24 * time.Hour

// threatFox reads the CSV export of ThreatFox: 14 quoted columns after a # preamble, without a header row.
func threatFox() Format {
	return Format{
		Name: "threatfox", About: "ThreatFox CSV export", Floor: feodoFloor,
		Sniff: func(head []byte) bool {
			return strings.Contains(string(head), "ioc_value") && strings.Contains(string(head), "fk_malware")
		},
		Parse: func(r io.Reader, to *Sink) error {
			return rows(r, to, byComma, func(n int, f []string) {
				if len(f) < 14 {
					to.Reject(Reject{n, clip(strings.Join(f, ",")), fmt.Sprintf("%d columns, expected 14", len(f))})
					return
				}
				conf, _ := strconv.ParseUint(f[9], 10, 8)
				x := foxRecord{ID: f[1], Value: f[2], Threat: f[4], Malware: f[7], Last: f[8], First: f[0], Confidence: uint8(conf)}
				x.add(to, n, splitTags(f[11]))
			})
		},
	}
}

// foxRecord is one indicator as ThreatFox tells it, whatever the form. Its port is part of it: the address alone is weak.
type foxRecord struct {
	ID, Value, Threat, Malware, First, Last string
	Confidence                              uint8
}

func (x *foxRecord) add(to *Sink, line int, tags []string) {
	addText(to, line, x.Value, Indicator{
		Name: strings.TrimSpace(x.Malware + " " + threatWord(x.Threat)), URL: "https://threatfox.abuse.ch/ioc/" + x.ID + "/",
		Confidence: min(x.Confidence, 100), Tags: tags, Seen: max(stamp(x.Last), stamp(x.First)),
	})
}

func threatWord(s string) string {
	if s == "botnet_cc" {
		return "C2"
	}
	return strings.ReplaceAll(s, "_", " ")
}

// threatFoxJSON reads the JSON export of ThreatFox: an object from the id of an entry to a list of its records.
func threatFoxJSON() Format {
	return Format{
		Name: "threatfox-json", About: "ThreatFox JSON export", Floor: feodoFloor,
		Sniff: func(head []byte) bool {
			return strings.HasPrefix(string(head), "{") && strings.Contains(string(head), `"ioc_value"`)
		},
		Parse: func(r io.Reader, to *Sink) error {
			dec, err := beginJSON(r)
			if err != nil {
				return err
			}
			if t, err := dec.Token(); err != nil || t != json.Delim('{') {
				return fmt.Errorf("no ThreatFox export: expected a JSON object")
			}
			for dec.More() {
				id, err := dec.Token()
				if err != nil {
					return fmt.Errorf("the ThreatFox export is broken: %w", noEOF(err))
				}
				var records []struct {
					Value      string `json:"ioc_value"`
					Threat     string `json:"threat_type"`
					Malware    string `json:"malware_printable"`
					First      string `json:"first_seen_utc"`
					Last       string `json:"last_seen_utc"`
					Confidence uint8  `json:"confidence_level"`
					Tags       string `json:"tags"`
				}
				if ok, err := decodeItem(dec, to, &records); err != nil {
					return fmt.Errorf("the ThreatFox export is cut short or broken: %w", noEOF(err))
				} else if !ok {
					continue
				}
				for _, r := range records {
					x := foxRecord{ID: fmt.Sprint(id), Value: r.Value, Threat: r.Threat, Malware: r.Malware, First: r.First, Last: r.Last, Confidence: r.Confidence}
					x.add(to, 0, splitTags(r.Tags))
				}
			}
			if _, err = dec.Token(); err != nil {
				return fmt.Errorf("the ThreatFox export is cut short: %w", noEOF(err))
			}
			return nil
		},
	}
}

// threatFoxAPI reads the answer of ThreatFox's API to get_iocs.
func threatFoxAPI() Format {
	return Format{
		Name: "threatfox-api", About: "ThreatFox API: asked by POST for the newest week, older ones are kept half a year", Floor: feodoFloor,
		Sniff: func(head []byte) bool {
			s := string(head)
			return strings.HasPrefix(s, "{") && strings.Contains(s, `"query_status"`)
		},
		Parse: func(r io.Reader, to *Sink) error {
			dec, err := beginJSON(r)
			if err != nil {
				return err
			}
			rest, err := eachObject(dec, "ThreatFox answer", []string{"data"}, func() error {
				var r foxAnswer
				if ok, err := decodeItem(dec, to, &r); !ok {
					return err
				}
				if r.expired(to.Now) {
					return nil
				}
				x := foxRecord{ID: r.ID, Value: r.IOC, Threat: r.Threat, Malware: r.Malware, First: r.First, Last: r.Last, Confidence: r.Confidence}
				x.add(to, 0, r.Tags)
				return nil
			})
			if err != nil {
				return err
			}
			return foxStatus(rest)
		},
	}
}

// foxAnswer is one indicator in an answer of the API.
type foxAnswer struct {
	ID         string   `json:"id"`
	IOC        string   `json:"ioc"`
	Threat     string   `json:"threat_type"`
	Malware    string   `json:"malware_printable"`
	First      string   `json:"first_seen"`
	Last       string   `json:"last_seen"`
	Confidence uint8    `json:"confidence_level"`
	Tags       []string `json:"tags"`
}

// expired tells whether ThreatFox itself would have let go of it.
func (r *foxAnswer) expired(now int64) bool {
	seen := max(stamp(r.First), stamp(r.Last))
	return seen != 0 && seen+int64(threatFoxKeep) < now
}

// foxStatus is the error that an answer tells, if any.
func foxStatus(rest map[string]json.RawMessage) error {
	var status string
	if err := json.Unmarshal(rest["query_status"], &status); err != nil {
		return fmt.Errorf("no ThreatFox answer: it lacks query_status")
	}
	if status != "ok" && status != "no_result" {
		return fmt.Errorf("the ThreatFox API says %q", clip(status))
	}
	return nil
}
