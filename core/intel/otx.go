package intel

import (
	"cmp"
	"encoding/json"
	"io"
	"strings"
	"time"
)

// pulse is one pulse of OTX, or one indicator of its flat export, which has type and indicator itself.
type pulse struct {
	ID                    json.RawMessage // a string, of indicators in the export a number
	OldID                 string          `json:"_id"`
	Name, Title, Modified string
	Tags                  []string
	Indicators            []otxIndicator
	otxIndicator
}

// id is the name of a pulse or entry on OTX's pages.
func (p *pulse) id() string { return cmp.Or(strings.Trim(string(p.ID), `"`), p.OldID) }

type otxIndicator struct {
	Type, Indicator, Created, Expiration string
	IsActive                             json.RawMessage `json:"is_active"`
}

// otx reads pulses of OTX: the answer of its API, a pulse, or an array of pulses.
func otx() Format {
	return Format{
		Name: "otx", About: "OTX pulses (API v1) as JSON",
		Floor: 15 * time.Minute,
		Sniff: func(head []byte) bool {
			s := string(head)
			return (strings.HasPrefix(s, "{") || strings.HasPrefix(s, "[")) && (strings.Contains(s, `"pulse`) || strings.Contains(s, `"indicators"`) || strings.Contains(s, `"results"`))
		},
		Parse: func(r io.Reader, to *Sink) error {
			dec, err := beginJSON(r)
			if err != nil {
				return err
			}
			rest, err := eachObject(dec, "OTX pulses", []string{"results"}, func() error {
				var p pulse
				if ok, err := decodeItem(dec, to, &p); !ok {
					return err
				}
				p.add(to)
				return nil
			})
			if err != nil || rest["indicators"] == nil {
				return err
			}
			b, err := json.Marshal(rest)
			if err != nil {
				return err
			}
			var p pulse
			if err := json.Unmarshal(b, &p); err != nil {
				return err
			}
			p.add(to)
			return nil
		},
	}
}

// add gives the live indicators of a pulse; inactive and expired ones are left out, so that they leave the list.
func (p *pulse) add(to *Sink) {
	base := Indicator{Name: p.Name, URL: "https://otx.alienvault.com/pulse/" + p.id() + "/", Tags: p.Tags, Seen: stamp(p.Modified)}
	for i := range p.Indicators {
		p.Indicators[i].add(to, base)
	}
	if p.Indicator != "" {
		p.otxIndicator.add(to, Indicator{Name: p.Title, URL: "https://otx.alienvault.com/indicator/" + otxPage(p.Type) + "/" + p.Indicator})
	}
}

// otxPage is the part of OTX's pages that shows a type of indicator.
func otxPage(kind string) string {
	switch kind {
	case "IPv4", "IPv6", "CIDR":
		return "ip"
	case "FileHash-MD5", "FileHash-SHA1", "FileHash-SHA256":
		return "file"
	}
	return strings.ToLower(kind)
}

func (i *otxIndicator) add(to *Sink, base Indicator) {
	switch i.Type {
	case "domain":
		base.Below = true // a whole domain, where hostname is one name
	case "IPv4", "IPv6", "CIDR", "hostname", "URL", "URI", "FileHash-MD5", "FileHash-SHA1", "FileHash-SHA256":
	default:
		return
	}
	base.Expires = stamp(i.Expiration)
	if base.Expires != 0 && base.Expires <= to.Now || string(i.IsActive) == "0" || string(i.IsActive) == "false" {
		return
	}
	base.Seen = max(base.Seen, stamp(i.Created))
	addText(to, 0, i.Indicator, base)
}
