package intel

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
)

// drop reads the DROP lists of Spamhaus: JSON lines, or the old text with ; comments.
func drop() Format {
	return Format{
		Name: "spamhaus", About: "Spamhaus DROP as JSON lines or the old text",
		Sniff: func(head []byte) bool {
			s := string(head)
			return strings.HasPrefix(s, "{") && strings.Contains(s, `"sblid"`) || strings.Contains(s, "; SBL")
		},
		Parse: func(r io.Reader, to *Sink) error {
			return eachLine(r, to, func(n int, text string) {
				var x struct{ CIDR, SBLID, Type string }
				switch {
				case strings.HasPrefix(text, ";"):
					return
				case strings.HasPrefix(text, "{"):
					if err := json.Unmarshal([]byte(text), &x); err != nil {
						to.Reject(Reject{n, clip(text), "no JSON: " + err.Error()})
						return
					}
					if x.Type == "metadata" {
						return
					}
				default:
					x.CIDR, x.SBLID, _ = strings.Cut(text, ";")
				}
				id := strings.TrimSpace(x.SBLID)
				addText(to, n, x.CIDR, Indicator{ID: id, Name: id, URL: "https://check.spamhaus.org/sbl/query/" + id})
			})
		},
	}
}

// pulse is one pulse of OTX.
type pulse struct {
	ID, Name, Modified string
	OldID              string `json:"_id"`
	Tags               []string
	Indicators         []struct {
		Type, Indicator, Created, Expiration string
		IsActive                             *json.RawMessage `json:"is_active"`
	}
}

// otx reads pulses of OTX: the answer of its API, a pulse, or an array of pulses.
func otx() Format {
	return Format{
		Name: "otx", About: "OTX pulses (API v1) as JSON",
		Sniff: func(head []byte) bool {
			s := string(head)
			return (strings.HasPrefix(s, "{") || strings.HasPrefix(s, "[")) && (strings.Contains(s, `"pulse`) || strings.Contains(s, `"indicators"`) || strings.Contains(s, `"results"`))
		},
		Parse: func(r io.Reader, to *Sink) error {
			dec, err := beginJSON(r)
			if err != nil {
				return err
			}
			return walkPulses(dec, to)
		},
	}
}

// beginJSON refuses pages, so that the error says what came instead.
func beginJSON(r io.Reader) (*json.Decoder, error) {
	in := bufio.NewReader(r)
	if head, _ := in.Peek(512); looksLikeHTML(head) {
		return nil, errHTML
	}
	return json.NewDecoder(in), nil
}

// walkPulses decodes one pulse after the other, so that memory is bounded by the largest.
func walkPulses(dec *json.Decoder, to *Sink) error {
	t, err := dec.Token()
	if err != nil {
		return fmt.Errorf("no OTX pulses: %w", err)
	}
	if t == json.Delim('[') {
		return eachPulse(dec, to)
	}
	if t != json.Delim('{') {
		return errors.New("no OTX pulses: expected a JSON object or array")
	}
	one := map[string]json.RawMessage{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return fmt.Errorf("no OTX pulses: %w", err)
		}
		if key == "results" {
			if t, err := dec.Token(); err != nil || t != json.Delim('[') {
				return errors.New(`no OTX pulses: "results" is no array`)
			}
			if err := eachPulse(dec, to); err != nil {
				return err
			}
			continue
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return fmt.Errorf("no OTX pulses: %w", err)
		}
		one[key.(string)] = raw
	}
	if _, err := dec.Token(); err != nil {
		return fmt.Errorf("OTX pulses cut short: %w", err)
	}
	if one["indicators"] == nil {
		return nil
	}
	b, err := json.Marshal(one)
	if err != nil {
		return err
	}
	var p pulse
	if err := json.Unmarshal(b, &p); err != nil {
		return fmt.Errorf("no OTX pulse: %w", err)
	}
	p.add(to)
	return nil
}

func eachPulse(dec *json.Decoder, to *Sink) error {
	for dec.More() {
		var p pulse
		if err := dec.Decode(&p); err != nil {
			return fmt.Errorf("OTX pulses cut short or broken: %w", err)
		}
		p.add(to)
	}
	_, err := dec.Token()
	return err
}

// add gives the live indicators of a pulse; inactive and expired ones are left out, so that they leave the list.
func (p *pulse) add(to *Sink) {
	id := p.ID
	if id == "" {
		id = p.OldID
	}
	link := "https://otx.alienvault.com/pulse/" + id + "/"
	for _, i := range p.Indicators {
		switch i.Type {
		case "IPv4", "IPv6", "CIDR", "domain", "hostname", "URL", "URI", "FileHash-MD5", "FileHash-SHA1", "FileHash-SHA256":
		default:
			continue
		}
		expires := stamp(i.Expiration)
		if expires != 0 && expires <= to.Now || inactive(i.IsActive) {
			continue
		}
		addText(to, 0, i.Indicator, Indicator{Name: p.Name, URL: link, Tags: p.Tags, Seen: max(stamp(i.Created), stamp(p.Modified)), Expires: expires})
	}
}

// inactive reads is_active, which is a number or a boolean.
func inactive(raw *json.RawMessage) bool {
	return raw != nil && (string(*raw) == "0" || string(*raw) == "false")
}

// misp reads one event of a MISP feed.
func misp() Format {
	return Format{
		Name: "misp", About: "a MISP event as JSON",
		Sniff: func(head []byte) bool {
			s := strings.TrimSpace(string(head))
			return strings.HasPrefix(s, "{") && strings.Contains(s[:min(len(s), 200)], `"Event"`)
		},
		Parse: func(r io.Reader, to *Sink) error {
			dec, err := beginJSON(r)
			if err != nil {
				return err
			}
			type attribute struct {
				Type, Value string
				UUID        string `json:"uuid"`
				ToIDs       bool   `json:"to_ids"`
				Deleted     bool
				Timestamp   json.Number
			}
			var doc struct {
				Event struct {
					Info, UUID string
					Attribute  []attribute
					Object     []struct{ Attribute []attribute }
				}
			}
			if err := dec.Decode(&doc); err != nil {
				return fmt.Errorf("no MISP event: %w", err)
			}
			all := doc.Event.Attribute
			for _, o := range doc.Event.Object {
				all = append(all, o.Attribute...)
			}
			for _, a := range all {
				if !a.ToIDs || a.Deleted {
					continue
				}
				seconds, _ := a.Timestamp.Int64()
				base := Indicator{ID: a.UUID, Name: doc.Event.Info, Seen: seconds * 1e9}
				value, port, two := strings.Cut(a.Value, "|")
				switch a.Type {
				case "ip-src", "ip-dst", "domain", "hostname", "url", "md5", "sha1", "sha256":
					addText(to, 0, a.Value, base)
				case "ip-dst|port", "ip-src|port":
					if addr, err := netip.ParseAddr(value); err == nil && two {
						value = netip.AddrPortFrom(addr, parsePort(port)).String()
					}
					addText(to, 0, value, base)
				case "domain|ip":
					addText(to, 0, value, base)
					addText(to, 0, port, base)
				}
			}
			return nil
		},
	}
}

func parsePort(s string) uint16 {
	var n uint16
	fmt.Sscan(s, &n)
	return n
}

// stix reads the indicators of a STIX 2.1 bundle or TAXII envelope whose patterns compare one thing with values.
func stix() Format {
	return Format{
		Name: "stix", About: "STIX 2.1 bundle or TAXII envelope as JSON",
		Sniff: func(head []byte) bool {
			s := string(head)
			return strings.HasPrefix(s, "{") && (strings.Contains(s, `"bundle"`) || strings.Contains(s, `"objects"`) || strings.Contains(s, `"spec_version"`))
		},
		Parse: func(r io.Reader, to *Sink) error {
			dec, err := beginJSON(r)
			if err != nil {
				return err
			}
			var doc struct {
				Objects []struct {
					Type, ID, Name, Pattern string
					PatternType             string `json:"pattern_type"`
					ValidFrom               string `json:"valid_from"`
					ValidUntil              string `json:"valid_until"`
					Revoked                 bool
					Confidence              uint8
					Labels                  []string
				}
			}
			if err := dec.Decode(&doc); err != nil {
				return fmt.Errorf("no STIX bundle: %w", err)
			}
			for _, o := range doc.Objects {
				expires := stamp(o.ValidUntil)
				if o.Type != "indicator" || o.Revoked || expires != 0 && expires <= to.Now {
					continue
				}
				base := Indicator{ID: o.ID, Name: o.Name, Confidence: min(o.Confidence, 100), Tags: o.Labels, Seen: stamp(o.ValidFrom), Expires: expires}
				if err := stixPattern(o.Pattern, func(value string) { addText(to, 0, value, base) }); err != nil {
					to.Reject(Reject{0, clip(o.Pattern), err.Error()})
				}
			}
			return nil
		},
	}
}

// stixPattern takes the values of a pattern that is one comparison or several joined by OR.
func stixPattern(p string, add func(value string)) error {
	p = strings.TrimSpace(p)
	if !strings.HasPrefix(p, "[") || !strings.HasSuffix(p, "]") || strings.Count(p, "[") != 1 {
		return errors.New("only patterns of one observation are read")
	}
	for _, part := range strings.Split(p[1:len(p)-1], " OR ") {
		fields := strings.Fields(part)
		if len(fields) < 3 || fields[1] != "=" && fields[1] != "ISSUBSET" {
			return errors.New("only = and ISSUBSET joined by OR are read")
		}
		value := strings.Trim(strings.Join(fields[2:], " "), "'")
		if strings.Contains(value, "'") {
			return errors.New("only = and ISSUBSET joined by OR are read")
		}
		switch path := fields[0]; {
		case path == "ipv4-addr:value", path == "ipv6-addr:value", path == "domain-name:value", path == "url:value",
			path == "network-traffic:dst_ref.value", path == "network-traffic:src_ref.value", strings.HasPrefix(path, "file:hashes."):
			add(value)
		default:
			return fmt.Errorf("%s is nothing that lists are matched by", path)
		}
	}
	return nil
}
