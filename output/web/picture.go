package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"

	"varde/event"
	"varde/event/query"
	"varde/output/plot"
)

// Bounds on a picture. One is drawn at a time: the grids of one may take 100 MB.
const (
	pictureWidth, pictureHeight = 1600, 1000
	mostPicture                 = 4000 // pixels of a side
	maxZone                     = 64   // of a zone's name
	pictureFresh                = time.Minute
	outlined                    = 50 // ports that a scan must have tried to be outlined
)

// pictureRoute is the Fireplot as PNG, for mail and dashboards. It is no part of the API, but the same doors stand before it.
// It takes its slot itself, once it is its turn to draw: those that wait for that hold up no other question.
var pictureRoute = route{
	"GET", "/fireplot.png", append([]string{"width", "height", "palette", "outlines", "tz", "of"}, spanParams...), false, false, (*Server).getPicture,
}

// picture is a drawn answer.
type picture struct {
	data []byte
	tag  string // its ETag
}

// getPicture draws what the store has of a span: refused probes, or everything with of=all.
func (s *Server) getPicture(r *http.Request) (answer, error) {
	b, err := s.box(r)
	if err != nil {
		return answer{}, err
	}
	switch of := r.URL.Query().Get("of"); of {
	case "", "probes":
		b.Kinds = []event.Kind{event.Probe}
	case "all":
	default:
		return answer{}, bad("of is %q: use probes or all", of)
	}
	o, outlines, err := pictureOptions(r, &b)
	if err != nil {
		return answer{}, err
	}
	p, err := plot.New(o)
	if err != nil {
		return answer{}, bad("%s", strings.TrimPrefix(err.Error(), "plot: "))
	}
	grid := plot.GridOf(o.Width, o.Height)
	if err := grid.Check(b.Box); err != nil {
		return answer{}, bad("%s", err)
	}
	select {
	case s.drawing <- struct{}{}:
		defer func() { <-s.drawing }()
	case <-r.Context().Done():
		return answer{}, r.Context().Err()
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-r.Context().Done():
		return answer{}, &problem{status: http.StatusServiceUnavailable, retry: "5", Message: "too many questions are being answered; ask again in a moment"}
	}
	pixels, err := s.deps.Store.Pixels(r.Context(), b.Box, grid)
	if err != nil {
		return answer{}, err
	}
	p.AddPixels(pixels)
	if outlines {
		if err := s.outline(r.Context(), p); err != nil {
			return answer{}, err
		}
	}
	var data bytes.Buffer
	if err := p.PNG(&data); err != nil {
		return answer{}, err
	}
	sum := sha256.Sum256(data.Bytes())
	return answer{picture: &picture{data.Bytes(), `"` + hex.EncodeToString(sum[:12]) + `"`}}, nil
}

// pictureOptions reads how the picture should look. The ends of spans of an hour and more are put on whole minutes, so that
// whoever asks again within one gets the same.
func pictureOptions(r *http.Request, b *asked) (o plot.Options, outlines bool, err error) {
	q := r.URL.Query()
	if o.Width, err = count(r, "width", pictureWidth, mostPicture); err != nil {
		return o, false, err
	}
	if o.Height, err = count(r, "height", pictureHeight, mostPicture); err != nil {
		return o, false, err
	}
	if text := q.Get("outlines"); text != "" {
		if outlines, err = strconv.ParseBool(text); err != nil {
			return o, false, bad("outlines is %q: use 1 or 0", text)
		}
	}
	zone := q.Get("tz")
	if o.Zone, err = time.LoadLocation(zone); err != nil || len(zone) > maxZone {
		return o, false, bad("tz is %q: use a zone as Europe/Oslo, or UTC", shorten(zone, maxZone))
	}
	if b.To-b.From >= int64(time.Hour) {
		align(&b.Box, time.Minute)
	}
	o.From, o.To, o.Palette = b.From, b.To, shorten(q.Get("palette"), maxName)
	return o, outlines, nil
}

// outline puts scans and surges of the span into the picture.
func (s *Server) outline(ctx context.Context, p *plot.Plot) error {
	o := p.Options()
	found, err := s.deps.Store.Incidents(ctx, query.IncidentBox{From: o.From, To: o.To, Limit: usualRows})
	if err != nil {
		return err
	}
	for i := range found {
		w := &found[i].Warning
		switch {
		case w.Scan != nil && w.Scan.Ports >= outlined:
			p.Outline(plot.Outline{ID: w.ID, From: w.First, To: w.Last, Low: w.Scan.Low, High: w.Scan.High, Label: w.Scan.Pattern + " scan by " + w.Foreign.Addr.String()})
		case w.Surge != nil && w.Own.Port != 0:
			p.Outline(plot.Outline{ID: w.ID, From: w.First, To: w.Last, Low: w.Own.Port, High: w.Own.Port, Label: "surge on " + strconv.Itoa(int(w.Own.Port))})
		}
	}
	return nil
}

// write sends the picture, or says that the one that is there is still good.
func (p *picture) write(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "private, max-age="+strconv.Itoa(int(pictureFresh.Seconds())))
	h.Set("ETag", p.tag)
	h.Set("Content-Type", "image/png")
	h.Set("Content-Disposition", `inline; filename="fireplot.png"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(p.data))
}
