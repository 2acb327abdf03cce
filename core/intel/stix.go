package intel

import (
	"cmp"
	"io"
	"strings"
)

// stixObject is what is read of an object of STIX 2.1.
type stixObject struct {
	Type, ID, Name, Pattern, Modified string
	PatternType                       string `json:"pattern_type"`
	ValidFrom                         string `json:"valid_from"`
	ValidUntil                        string `json:"valid_until"`
	Revoked                           bool
	Confidence                        uint8
	Labels                            []string
	IndicatorTypes                    []string `json:"indicator_types"`
	References                        []struct {
		URL string
	} `json:"external_references"`
}

// stix reads the indicators of a STIX 2.1 bundle or TAXII envelope.
func stix() Format {
	return Format{
		Name: "stix", About: "STIX 2.1 bundle or TAXII envelope as JSON",
		Sniff: func(head []byte) bool {
			s := string(head)
			return strings.HasPrefix(s, "{") && (strings.Contains(s, `"bundle"`) || strings.Contains(s, `"objects"`) || strings.Contains(s, `"spec_version"`))
		},
		Parse: parseSTIX,
	}
}

func parseSTIX(r io.Reader, to *Sink) error {
	dec, err := beginJSON(r)
	if err != nil {
		return err
	}
	_, err = eachObject(dec, "STIX bundle", []string{"objects"}, func() error {
		var o stixObject
		if ok, err := decodeItem(dec, to, &o); !ok {
			return err
		}
		o.add(to)
		return nil
	})
	return err
}

// add gives what the pattern of an indicator says, unless it is revoked or its time is over.
func (o *stixObject) add(to *Sink) {
	expires := stamp(o.ValidUntil)
	if o.Type != "indicator" || o.Revoked || expires != 0 && expires <= to.Now {
		return
	}
	if o.PatternType != "" && o.PatternType != "stix" {
		to.Reject(Reject{0, clip(o.Pattern), "a pattern of type " + clip(o.PatternType) + ", only stix is read"})
		return
	}
	base := Indicator{
		Name: o.Name, Confidence: min(o.Confidence, 100), Tags: append(o.Labels, o.IndicatorTypes...),
		Seen: max(stamp(o.ValidFrom), stamp(o.Modified)), Expires: expires,
	}
	if len(o.References) > 0 {
		base.URL = o.References[0].URL
	}
	atoms, err := parsePattern(o.Pattern)
	if err != nil {
		to.Reject(Reject{0, clip(o.Pattern), err.Error()})
		return
	}
	for _, a := range atoms {
		i := base
		i.Port = a.port
		if a.weak {
			i.Confidence = max(1, cmp.Or(i.Confidence, defaultConfidence)/2)
		}
		addText(to, 0, a.value, i)
	}
}
