package web

import (
	"net/http"

	"varde/event/query"
)

// Bounds on the picture of a span.
const (
	usualWidth, usualHeight = 1200, 800
	mostWide                = 4000
	mostHigh                = 16_000
	mostPoints              = 50_000
)

// classNames are the classes of a pixel by their number, as programs read them.
var classNames = [...]string{
	query.TCP4: "tcp4", query.UDP4: "udp4", query.TCP6: "tcp6", query.UDP6: "udp6", query.ICMP4: "icmp4", query.ICMP6: "icmp6", query.OtherClass: "other",
}

// getPixels counts events in a grid of time by destination port: y is by the logarithm of the port, 0 at port 1, and
// height stands for 65536 ports, whatever ports the filter leaves.
func (s *Server) getPixels(r *http.Request) (answer, error) {
	b, err := s.box(r)
	if err != nil {
		return answer{}, err
	}
	var g query.Grid
	if g.Width, err = count(r, "width", usualWidth, mostWide); err != nil {
		return answer{}, err
	}
	if g.Height, err = count(r, "height", usualHeight, mostHigh); err != nil {
		return answer{}, err
	}
	if err := g.Check(b.Box); err != nil {
		return answer{}, bad("%s", err)
	}
	found, err := s.deps.Store.Pixels(r.Context(), b.Box, g)
	if err != nil {
		return answer{}, err
	}
	flat := make([]uint64, 0, 4*len(found))
	for _, p := range found {
		flat = append(flat, uint64(p.X), uint64(p.Y), uint64(p.Class), p.Count)
	}
	return answer{body: struct {
		span
		Width   int      `json:"width"`
		Height  int      `json:"height"`
		Classes []string `json:"classes"`
		Pixels  []uint64 `json:"pixels"` // x, y, class, count of each cell that is not empty
	}{b.span(), g.Width, g.Height, classNames[:], flat}}, nil
}

// getPoints gives single events as dots, for a box that is small enough to show each.
func (s *Server) getPoints(r *http.Request) (answer, error) {
	b, err := s.box(r)
	if err != nil {
		return answer{}, err
	}
	n, err := count(r, "n", mostPoints, mostPoints)
	if err != nil {
		return answer{}, err
	}
	found, err := s.deps.Store.Points(r.Context(), b.Box, max(n, 1))
	if err != nil {
		return answer{}, err
	}
	flat := make([]int64, 0, 4*len(found))
	for _, p := range found {
		flat = append(flat, (p.Time-b.From)/1e6, int64(p.Port), int64(p.Class), int64(p.Count))
	}
	return answer{body: struct {
		span
		Classes []string `json:"classes"`
		Points  []int64  `json:"points"` // milliseconds after from, port, class, count of each event
	}{b.span(), classNames[:], flat}}, nil
}
