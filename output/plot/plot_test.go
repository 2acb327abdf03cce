package plot

import (
	"bytes"
	"flag"
	"fmt"
	"image"
	"image/png"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"varde/event"
	"varde/event/query"
)

var update = flag.Bool("update", false, "write golden files and pictures of the manual")

var begin = time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)

// probes makes a day of an ordinary firewall: busy ports, noise, a slow scan through all ports, some IPv6 and UDP, and a
// surge in the afternoon.
func probes(n int, seed uint64) []event.Event {
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([]event.Event, n)
	for i := range out {
		at := begin.Add(time.Duration(r.Int64N(int64(24 * time.Hour))))
		e := event.Event{
			Kind: event.Probe, Action: event.Deny, Time: at.UnixNano(), Proto: event.TCP, Src: netip.AddrFrom4([4]byte{198, 51, 100, byte(r.Uint32())}),
			Dst: netip.AddrFrom4([4]byte{192, 0, 2, byte(r.Uint32())}), Country: []string{"NO", "DE", "US", "BR"}[r.IntN(4)],
		}
		switch {
		case i%20 == 0: // through all ports in fifteen hours
			hours := r.Float64() * 15
			e.Time, e.DstPort = begin.Add(time.Duration((5+hours)*float64(time.Hour))).UnixNano(), uint16(1+hours/15*65000)
		case i%5 < 2:
			e.DstPort = []uint16{22, 23, 445, 3389, 8080, 1433}[r.IntN(6)]
		case i%5 == 2 && at.Hour() >= 15:
			e.DstPort = 7547
		default:
			e.DstPort = uint16(1 + r.Uint32N(65535))
		}
		if r.IntN(6) == 0 {
			e.Proto = event.UDP
		}
		if r.IntN(15) == 0 {
			e.Src, e.Dst = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8:1::2")
		}
		out[i] = e
	}
	return out
}

func day() Options {
	return Options{From: begin.UnixNano(), To: begin.AddDate(0, 0, 1).UnixNano()}
}

func draw(t testing.TB, o Options, events []event.Event) *Plot {
	t.Helper()
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range events {
		p.Add(&events[i])
	}
	return p
}

func pngOf(t testing.TB, p *Plot) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := p.PNG(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s has other bytes; look at what changed and run the test with -update", path)
	}
}

// TestPictures keeps the pictures of the manual: each palette, few dots and many.
func TestPictures(t *testing.T) {
	for _, pal := range Palettes() {
		o := day()
		o.Palette = pal.Name
		o.Outlines = []Outline{{From: begin.Add(5 * time.Hour).UnixNano(), To: begin.Add(20 * time.Hour).UnixNano(), Low: 1, High: 65001, Label: "slow vertical scan by 198.51.100.7"}}
		if pal.Name != "classic" {
			o.Outlines = nil
		}
		golden(t, filepath.Join("..", "..", "docs", "screenshots", "plot-"+pal.Name+".png"), pngOf(t, draw(t, o, probes(60_000, 3))))
	}
}

// TestSameWhateverTheOrder: the picture, the page and the text depend on what came, not on when it was read.
func TestSameWhateverTheOrder(t *testing.T) {
	events := probes(20_000, 4)
	o := day()
	o.Details = true
	all := func() string {
		p := draw(t, o, events)
		var b bytes.Buffer
		if err := p.PNG(&b); err != nil {
			t.Fatal(err)
		}
		if err := p.Text(&b, 120, 40, true); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	first := all()
	rand.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	if all() != first {
		t.Error("another order of the same events gives another picture")
	}
}

// TestPixelsOfTheStore: what a store bins gives the same picture as the events themselves.
func TestPixelsOfTheStore(t *testing.T) {
	events := probes(20_000, 5)
	o := day()
	want := pngOf(t, draw(t, o, events))
	g := GridOf(usualWidth, usualHeight)
	counts := map[query.Pixel]uint64{}
	for i := range events {
		x := uint32((events[i].Time/1000 - o.From/1000) * int64(g.Width) / ((o.To - o.From) / 1000))
		counts[query.Pixel{X: x, Y: g.Row(events[i].DstPort), Class: query.ClassOf(&events[i])}] += events[i].Hits()
	}
	p := draw(t, o, nil)
	for q, n := range counts {
		q.Count = n
		p.AddPixels([]query.Pixel{q})
	}
	if !bytes.Equal(pngOf(t, p), want) {
		t.Error("pixels give another picture than their events")
	}
	p.AddPixels([]query.Pixel{{X: 1 << 30, Y: 1, Count: 1}, {X: 1, Y: 1 << 30, Count: 1}, {Class: 200, Count: 1}}) // are not drawn and do no harm
}

// TestPack: a picture that is packed now and then is the same.
func TestPack(t *testing.T) {
	events := probes(20_000, 6)
	want := draw(t, day(), events)
	p := draw(t, day(), nil)
	for i := range events {
		p.Add(&events[i])
		if i%5000 == 999 {
			p.Pack()
			p.Pack()
		}
	}
	p.Pack()
	if p.Total() != want.Total() || !bytes.Equal(pngOf(t, p), pngOf(t, want)) {
		t.Error("packing changes the picture")
	}
}

// TestArt draws letters with probes and finds them again in the picture.
func TestArt(t *testing.T) {
	art := []string{
		"#...#..###..####..####..#####",
		"#...#.#...#.#...#.#...#.#....",
		"#...#.#####.####..#...#.####.",
		".#.#..#...#.#..#..#...#.#....",
		"..#...#...#.#...#.####..#####",
	}
	const across, down = 29 * 20, 5 * 30 // each letter's dot is 20 columns by 30 rows
	o := day()
	p := draw(t, o, nil)
	top, bottom := p.grid.Row(60000), p.grid.Row(100)
	set := func(x, y int) bool { return art[y/30][x/20] == '#' }
	var want [][2]int
	for x := range across {
		for y := range down {
			if !set(x, y) {
				continue
			}
			row := int(top) - y*int(top-bottom)/down
			column := 200 + x
			at := o.From + (int64(column)*2+1)*(o.To-o.From)/int64(2*p.grid.Width)
			port := uint16(0)
			for q := range p.rowOf {
				if q > 80 && int(p.rowOf[q]) == row {
					port = uint16(q)
					break
				}
			}
			if port == 0 {
				continue // no port has this row
			}
			p.Add(&event.Event{Time: at, Proto: event.TCP, Src: netip.MustParseAddr("198.51.100.7"), Dst: netip.MustParseAddr("192.0.2.1"), DstPort: port})
			want = append(want, [2]int{marginLeft + column, marginTop + p.grid.Height - 1 - row})
		}
	}
	img, err := png.Decode(bytes.NewReader(pngOf(t, p)))
	if err != nil {
		t.Fatal(err)
	}
	dots, _ := p.survey()
	size := p.dotSize(dots)
	inside := map[[2]int]bool{}
	for _, w := range want {
		for dy := range size {
			for dx := range size {
				inside[[2]int{w[0] + dx, w[1] - dy}] = true
			}
		}
	}
	both, either := 0, len(inside)
	pic := img.(*image.Paletted)
	for y := marginTop; y < marginTop+p.grid.Height-int(p.grid.Row(80)); y++ {
		for x := marginLeft; x < marginLeft+p.grid.Width; x++ {
			lit := pic.ColorIndexAt(x, y) >= atClasses
			switch in := inside[[2]int{x, y}]; {
			case lit && in:
				both++
			case lit:
				either++
			}
		}
	}
	if overlap := float64(both) / float64(either); overlap < 0.95 || len(want) < 10_000 {
		t.Errorf("the letters overlap by %.3f with what was drawn, of %d dots", overlap, len(want))
	}
}

func TestText(t *testing.T) {
	p := draw(t, day(), probes(3000, 6))
	for name, colour := range map[string]bool{"day.txt": false, "day.ansi": true} {
		var b bytes.Buffer
		if err := p.Text(&b, 100, 30, colour); err != nil {
			t.Fatal(err)
		}
		golden(t, filepath.Join("testdata", name), b.Bytes())
	}
}

// TestPageIsSafe: hostile titles, countries and names of ports are text only, and nothing is loaded from anywhere.
func TestPageIsSafe(t *testing.T) {
	o := day()
	o.Details, o.Title = true, `</title><script>alert(1)</script>`
	events := probes(2000, 7)
	events[0].Country = `</script><b>`
	p := draw(t, o, events)
	var b bytes.Buffer
	if err := p.HTML(&b, func(uint16) string { return "</script><img src=x onerror=alert(1)>" }); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	if strings.Contains(page, "alert(1)</script>") || strings.Contains(page, "<img src=x") || strings.Count(page, "</script>") != 1 {
		t.Error("text of others became markup")
	}
	if strings.Contains(page, "http:") || strings.Contains(page, "https:") {
		t.Error("the page names another place")
	}
	if !strings.Contains(page, `"sources":["198.51.100.`) {
		t.Error("the page does not tell who it was")
	}
}

// TestZones: a day on which clocks change is as long as it is, and marks stay on round hours.
func TestZones(t *testing.T) {
	oslo, err := time.LoadLocation("Europe/Oslo")
	if err != nil {
		t.Skip("no zones on this machine")
	}
	for _, c := range []struct {
		day   time.Time
		hours int
	}{{time.Date(2026, 3, 29, 0, 0, 0, 0, oslo), 23}, {time.Date(2026, 10, 25, 0, 0, 0, 0, oslo), 25}} {
		o := Options{From: c.day.UnixNano(), To: c.day.AddDate(0, 0, 1).UnixNano(), Zone: oslo}
		p := draw(t, o, nil)
		if hours := time.Duration(o.To - o.From).Hours(); int(hours) != c.hours {
			t.Errorf("the day has %v hours", hours)
		}
		for _, tick := range p.timeTicks() {
			if tick.Minute() != 0 || tick.Hour()%2 != 0 && tick.Hour() != 3 {
				t.Errorf("a mark at %s", tick)
			}
		}
		if s := p.spanText(); !strings.Contains(s, "Sunday") {
			t.Errorf("the title is %q", s)
		}
	}
}

func TestRefused(t *testing.T) {
	for name, o := range map[string]Options{
		"no span":  {},
		"too big":  {From: 1, To: 2, Width: 100_000},
		"too tall": {From: 1, To: 2, Width: 8000, Height: 8000},
		"palette":  {From: 1, To: 2, Palette: "plaid"},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	p := draw(t, day(), []event.Event{{Time: 1}, {Time: begin.AddDate(1, 0, 0).UnixNano()}})
	if p.Total() != 0 || p.Outside() != 2 {
		t.Errorf("%d events in the picture, %d outside", p.Total(), p.Outside())
	}
}

func TestAddAllocatesNothing(t *testing.T) {
	events := probes(1000, 8)
	p := draw(t, day(), events)
	i := 0
	if n := testing.AllocsPerRun(10_000, func() { p.Add(&events[i%1000]); i++ }); n != 0 {
		t.Errorf("%v allocations an event", n)
	}
}

func BenchmarkPicture(b *testing.B) {
	for _, n := range []int{1_000_000, 10_000_000} {
		events := probes(10_000, 9) // again and again, as a reader hands on one event that lies in the cache
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				p := draw(b, day(), nil)
				for range n / len(events) {
					for i := range events {
						p.Add(&events[i])
					}
				}
				pngOf(b, p)
			}
		})
	}
}

// BenchmarkGnuplot draws the same points with gnuplot from a binary file.
func BenchmarkGnuplot(b *testing.B) {
	if _, err := exec.LookPath("gnuplot"); err != nil {
		b.Skip("gnuplot is not installed")
	}
	dir := b.TempDir()
	data := filepath.Join(dir, "points")
	var buf bytes.Buffer
	for _, e := range probes(1_000_000, 9) {
		fmt.Fprintf(&buf, "%d %d\n", (e.Time-begin.UnixNano())/1e9, e.DstPort)
	}
	if err := os.WriteFile(data, buf.Bytes(), 0o600); err != nil {
		b.Fatal(err)
	}
	script := fmt.Sprintf("set terminal pngcairo size 1600,1000\nset output %q\nset logscale y\nset yrange [1:65535]\nplot %q with dots\n", filepath.Join(dir, "out.png"), data)
	for b.Loop() {
		cmd := exec.Command("gnuplot")
		cmd.Stdin = strings.NewReader(script)
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
	}
}
