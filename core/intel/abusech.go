package intel

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// feodoJSON reads the JSON of the Feodo tracker: an array of servers.
func feodoJSON() Format {
	return Format{
		Name: "feodo-json", About: "Feodo tracker JSON",
		Sniff: func(head []byte) bool {
			s := string(head)
			return strings.HasPrefix(s, "[") && strings.Contains(s, `"ip_address"`) && strings.Contains(s, `"malware"`)
		},
		Parse: func(r io.Reader, to *Sink) error {
			dec, err := beginJSON(r)
			if err != nil {
				return err
			}
			if t, err := dec.Token(); err != nil || t != json.Delim('[') {
				return errors.New("no Feodo list: expected a JSON array")
			}
			for dec.More() {
				var x struct {
					IP         string `json:"ip_address"`
					Port       uint16 `json:"port"`
					Status     string `json:"status"`
					Malware    string `json:"malware"`
					FirstSeen  string `json:"first_seen"`
					LastOnline string `json:"last_online"`
				}
				if err := dec.Decode(&x); err != nil {
					return fmt.Errorf("feodo list cut short or broken: %w", err)
				}
				addText(to, 0, x.IP, Indicator{Port: x.Port, Name: x.Malware + " C2", Tags: []string{"c2", x.Status}, Seen: max(stamp(x.LastOnline), stamp(x.FirstSeen))})
			}
			_, err = dec.Token()
			return err
		},
	}
}

// threatFoxJSON reads the JSON export of ThreatFox: an object from the id of an entry to a list of its records.
func threatFoxJSON() Format {
	return Format{
		Name: "threatfox-json", About: "ThreatFox JSON export",
		Sniff: func(head []byte) bool {
			return strings.HasPrefix(string(head), "{") && strings.Contains(string(head), `"ioc_value"`)
		},
		Parse: func(r io.Reader, to *Sink) error {
			dec, err := beginJSON(r)
			if err != nil {
				return err
			}
			if t, err := dec.Token(); err != nil || t != json.Delim('{') {
				return errors.New("no ThreatFox export: expected a JSON object")
			}
			for dec.More() {
				id, err := dec.Token()
				if err != nil {
					return fmt.Errorf("the ThreatFox export is broken: %w", err)
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
				if err := dec.Decode(&records); err != nil {
					return fmt.Errorf("the ThreatFox export is cut short or broken: %w", err)
				}
				for _, x := range records {
					addText(to, 0, x.Value, Indicator{
						ID: fmt.Sprint(id), Name: strings.TrimSpace(x.Malware + " " + threatWord(x.Threat)),
						URL: fmt.Sprintf("https://threatfox.abuse.ch/ioc/%v/", id), Confidence: min(x.Confidence, 100),
						Tags: tags(x.Tags), Seen: max(stamp(x.Last), stamp(x.First)),
					})
				}
			}
			_, err = dec.Token()
			return err
		},
	}
}
