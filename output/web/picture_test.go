package web

import (
	"bytes"
	"image/png"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"varde/event"
)

// picturePixels counts the pixels of a picture by their colour.
func picturePixels(t *testing.T, w *httptest.ResponseRecorder, width, height int) map[[3]uint8]int {
	t.Helper()
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "image/png" {
		t.Fatalf("%d %s: %.300s", w.Code, w.Header().Get("Content-Type"), w.Body)
	}
	img, err := png.Decode(bytes.NewReader(w.Body.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if b := img.Bounds(); b.Dx() != width || b.Dy() != height {
		t.Errorf("the picture is %d by %d, should be %d by %d", b.Dx(), b.Dy(), width, height)
	}
	colours := map[[3]uint8]int{}
	for y := range height {
		for x := range width {
			r, g, b, _ := img.At(x, y).RGBA()
			colours[[3]uint8{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8)}]++
		}
	}
	return colours
}

// TestPicture asks for the Fireplot as a dashboard does.
func TestPicture(t *testing.T) {
	s, m := newTestServer(t, Config{Listen: "127.0.0.1:0"})
	all := picturePixels(t, ask(s, "GET", "/fireplot.png", ""), pictureWidth, pictureHeight)
	if len(all) < 10 {
		t.Errorf("the picture of a day has %d colours: it is empty", len(all))
	}
	none := picturePixels(t, ask(s, "GET", "/fireplot.png?filter=none&width=400&height=300", ""), 400, 300)
	if len(none) != 2 {
		t.Errorf("the picture of nothing has %d colours, not paper and ink", len(none))
	}
	light := picturePixels(t, ask(s, "GET", "/fireplot.png?width=400&height=300&palette=light&tz=Europe/Oslo&of=all&from=-2h&to=-1h", ""), 400, 300)
	if light[[3]uint8{255, 255, 255}] < 400*300/2 {
		t.Error("the light picture is dark")
	}
	orange := [3]uint8{0xff, 0x8c, 0x1a}
	m.incidents[0].Scan = &event.Scan{Pattern: "vertical", Ports: 400, Low: 20, High: 9000}
	m.incidents[0].First, m.incidents[0].Last = moment.Add(-9*time.Hour).UnixNano(), moment.Add(-time.Hour).UnixNano()
	if n := picturePixels(t, ask(s, "GET", "/fireplot.png?width=400&height=300&outlines=1", ""), 400, 300)[orange]; n < 100 {
		t.Errorf("the outline of a scan has %d pixels", n)
	}
	if n := picturePixels(t, ask(s, "GET", "/fireplot.png?width=400&height=300&outlines=0", ""), 400, 300)[orange]; n != 0 {
		t.Errorf("an outline that nobody asked for has %d pixels", n)
	}
}

// TestPictureKept asks again for what is there already.
func TestPictureKept(t *testing.T) {
	s, _ := newTestServer(t, Config{Listen: "127.0.0.1:0"})
	now := moment
	s.deps.Now = func() time.Time { return now }
	first := ask(s, "GET", "/fireplot.png?width=300&height=300", "")
	tag := first.Header().Get("ETag")
	if tag == "" || first.Header().Get("Cache-Control") != "private, max-age=60" {
		t.Errorf("headers are %v", first.Header())
	}
	now = now.Add(20 * time.Second) // within the same minute
	if again := ask(s, "GET", "/fireplot.png?width=300&height=300", "", "If-None-Match", tag); again.Code != http.StatusNotModified || again.Body.Len() != 0 {
		t.Errorf("the same picture again answers %d with %d bytes", again.Code, again.Body.Len())
	}
	if other := ask(s, "GET", "/fireplot.png?width=301&height=300", "", "If-None-Match", tag); other.Code != http.StatusOK {
		t.Errorf("another picture answers %d", other.Code)
	}
	if head := ask(s, "HEAD", "/fireplot.png?width=300&height=300", ""); head.Code != http.StatusOK || head.Body.Len() != 0 || head.Header().Get("ETag") != tag {
		t.Errorf("HEAD answers %d with %d bytes and %v", head.Code, head.Body.Len(), head.Header())
	}
}

// TestPictureRefused asks for what cannot be drawn, and from where one may not.
func TestPictureRefused(t *testing.T) {
	s, _ := newTestServer(t, Config{Listen: "127.0.0.1:0"})
	for query, says := range map[string]string{
		"width=50":               "200 to 8000",
		"width=4001":             "width",
		"height=many":            "height",
		"width=4000&height=4000": "at most",
		"palette=rainbow":        "classic, safe, light",
		"tz=Nowhere/Else":        "Europe/Oslo",
		"tz=../../etc/passwd":    "Europe/Oslo",
		"outlines=perhaps":       "use 1 or 0",
		"of=some":                "probes or all",
		"from=tomorrowish":       "is no time",
		"filter=dst+prot+443":    "did you mean",
		"colour=red":             "unknown parameter",
		"from=now&to=-1h":        "",
	} {
		w := ask(s, "GET", "/fireplot.png?"+query, "")
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), says) || !strings.HasPrefix(w.Body.String(), `{"error":"`) {
			t.Errorf("%s answers %d %s, should say %q", query, w.Code, w.Body, says)
		}
	}
	guarded, _ := newTestServer(t, Config{Listen: "127.0.0.1:0", Users: []User{anna}})
	if w := ask(guarded, "GET", "/fireplot.png", ""); w.Code != http.StatusUnauthorized {
		t.Errorf("without a login it answers %d", w.Code)
	}
	if w := ask(s, "GET", "/fireplot.png", "", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"); w.Code != http.StatusForbidden {
		t.Errorf("within another site's page it answers %d", w.Code)
	}
	if w := ask(s, "POST", "/fireplot.png", "{}"); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST answers %d", w.Code)
	}
}
