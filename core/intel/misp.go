package intel

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

// mispEvent is what is read of an event of MISP, and all that is kept of those of a feed.
type mispEvent struct {
	Info      string          `json:"info,omitempty"`
	UUID      string          `json:"uuid,omitempty"`
	Tag       []mispTag       `json:"Tag,omitempty"`
	Attribute []mispAttribute `json:"Attribute,omitempty"`
	Object    []mispObject    `json:"Object,omitempty"`
}

type mispObject struct {
	Deleted   bool            `json:"deleted,omitempty"`
	Attribute []mispAttribute `json:"Attribute,omitempty"`
}

type mispAttribute struct {
	Type      string      `json:"type"`
	Value     string      `json:"value"`
	ToIDs     bool        `json:"to_ids"`
	Deleted   bool        `json:"deleted,omitempty"`
	Timestamp json.Number `json:"timestamp,omitempty"` // seconds since 1970, as a string or a number
	LastSeen  string      `json:"last_seen,omitempty"`
}

type mispTag struct {
	Name string `json:"name"`
}

// mispDocument is a file with one event, or an answer with several.
type mispDocument struct {
	Event    *mispEvent
	Response []struct{ Event *mispEvent } `json:"response"`
}

// misp reads events of MISP: one document after the other, as files of a feed and the kept copy of a feed have them.
// A feed as a whole is a folder or URL with a manifest.json; see mispfeed.go.
func misp() Format {
	return Format{
		Name: "misp", About: "MISP events as JSON; a folder or a URL that ends in / or manifest.json is read as a feed",
		Sniff: func(head []byte) bool {
			s := strings.TrimSpace(string(head))
			return strings.HasPrefix(s, "{") && (strings.Contains(s[:min(len(s), 200)], `"Event"`) || strings.Contains(s[:min(len(s), 20)], `"response"`))
		},
		Parse: func(r io.Reader, to *Sink) error {
			dec, err := beginJSON(r)
			if err != nil {
				return err
			}
			for n := 0; ; n++ {
				var doc mispDocument
				if err := dec.Decode(&doc); errors.Is(err, io.EOF) && n > 0 {
					return nil
				} else if err != nil {
					return fmt.Errorf("no MISP event: %w", noEOF(err))
				}
				if doc.Event == nil && doc.Response == nil {
					return errors.New(`no MISP event: expected a member "Event"`)
				}
				doc.Event.add(to)
				for _, x := range doc.Response {
					x.Event.add(to)
				}
			}
		},
	}
}

// wanted tells whether an attribute is an indicator of a type that lists are matched by.
func (a *mispAttribute) wanted() bool {
	if !a.ToIDs || a.Deleted {
		return false
	}
	switch a.Type {
	case "ip-src", "ip-dst", "ip-src|port", "ip-dst|port", "domain", "hostname", "hostname|port", "domain|ip", "url", "uri",
		"md5", "sha1", "sha256", "filename|md5", "filename|sha1", "filename|sha256", "malware-sample":
		return true
	}
	return false
}

// add gives the indicators of an event.
func (e *mispEvent) add(to *Sink) {
	if e == nil {
		return
	}
	base := Indicator{Name: e.Info}
	for _, t := range e.Tag {
		if len(base.Tags) < maxTags && t.Name != "" {
			base.Tags = append(base.Tags, t.Name)
		}
	}
	for i := range e.Attribute {
		e.Attribute[i].add(to, base)
	}
	for _, o := range e.Object {
		if o.Deleted {
			continue
		}
		for i := range o.Attribute {
			o.Attribute[i].add(to, base)
		}
	}
}

func (a *mispAttribute) add(to *Sink, base Indicator) {
	if !a.wanted() {
		return
	}
	seconds, _ := a.Timestamp.Int64()
	base.Seen = min(max(seconds, 0), maxSeconds) * 1e9
	if seen := stamp(a.LastSeen); seen != 0 {
		base.Seen = seen
	}
	first, second, two := strings.Cut(a.Value, "|")
	switch a.Type {
	case "ip-src|port", "ip-dst|port":
		port, err := strconv.ParseUint(second, 10, 16)
		if addr, aerr := netip.ParseAddr(first); aerr == nil && two && err == nil && port != 0 {
			first = netip.AddrPortFrom(addr, uint16(port)).String()
		}
		addText(to, 0, first, base)
	case "domain|ip":
		addText(to, 0, first, base)
		if two {
			addText(to, 0, second, base)
		}
	case "hostname|port":
		addText(to, 0, first, base)
	case "filename|md5", "filename|sha1", "filename|sha256", "malware-sample":
		addText(to, 0, second, base)
	case "domain":
		base.Below = true
		addText(to, 0, a.Value, base)
	default:
		addText(to, 0, a.Value, base)
	}
}
