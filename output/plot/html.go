package plot

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"io"
	"slices"

	"varde/event/human"
)

//go:embed page.html
var pageSource string

// hovered is what the page tells of one place.
type hovered struct {
	X         int      `json:"x"` // of the picture, in pixels
	Y         int      `json:"y"`
	Low       uint16   `json:"low"`
	High      uint16   `json:"high"`
	Counts    []uint32 `json:"counts"` // by class
	Sources   []string `json:"sources"`
	Countries []string `json:"countries,omitempty"`
	More      bool     `json:"more,omitempty"` // there are other sources
}

// HTML writes a page of its own: the picture, and what lies under the pointer where Options.Details kept it. It loads
// nothing from anywhere. name is what a port is known for, "" for nothing.
func (p *Plot) HTML(w io.Writer, name func(uint16) string) error {
	var picture bytes.Buffer
	if err := p.PNG(&picture); err != nil {
		return err
	}
	page, err := template.New("page").Parse(pageSource)
	if err != nil {
		return err
	}
	cells, ports := p.hovered(name)
	data, err := json.Marshal(map[string]any{"cells": cells, "ports": ports, "classes": classNames})
	if err != nil {
		return err
	}
	title := p.o.Title
	if title == "" {
		title = p.spanText()
	}
	return page.Execute(w, map[string]any{
		"Title": human.Safe(title), "Width": p.o.Width, "Height": p.o.Height, "Total": p.Total(), "Dropped": p.dropped,
		"Picture": template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(picture.Bytes())),
		"Data":    template.JS(data), // #nosec: encoding/json escapes <, > and &
	})
}

// hovered are the cells in the order of the picture, and the names of their ports.
func (p *Plot) hovered(name func(uint16) string) (out []hovered, ports map[uint16]string) {
	ports = map[uint16]string{}
	for at, c := range p.cells {
		x, y := int(at)%p.grid.Width, int(at)/p.grid.Width
		counts, _ := p.at(x, y)
		h := hovered{
			X: marginLeft + x, Y: marginTop + p.grid.Height - 1 - y, Low: c.ports[0], High: c.ports[1],
			Counts: counts[:], Countries: c.countries, More: c.more,
		}
		for _, a := range c.sources {
			h.Sources = append(h.Sources, a.String())
		}
		if name != nil {
			if text := name(c.ports[0]); text != "" {
				ports[c.ports[0]] = human.Safe(text)
			}
		}
		out = append(out, h)
	}
	slices.SortFunc(out, func(a, b hovered) int { return cmp.Or(cmp.Compare(a.Y, b.Y), cmp.Compare(a.X, b.X)) })
	return out, ports
}
