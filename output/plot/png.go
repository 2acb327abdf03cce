package plot

import (
	"fmt"
	"image"
	"image/png"
	"io"
	"math"
	"time"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"

	"varde/event/human"
	"varde/event/query"
)

// ticks are the ports that are written beside the picture, where there is room.
var ticks = [...]uint16{1, 7, 22, 53, 80, 123, 161, 443, 587, 1024, 1433, 3306, 5000, 6881, 10000, 20000, 50000, 65535}

// classNames are the classes as people read them.
var classNames = [classCount]string{
	query.TCP4: "TCP", query.UDP4: "UDP", query.TCP6: "TCP v6", query.UDP6: "UDP v6", query.ICMP4: "ICMP", query.ICMP6: "ICMP v6", query.OtherClass: "other",
}

// Of the face: 7 by 13 pixels a letter.
const (
	letterWide = 7
	letterHigh = 13
	ascent     = 10
)

// PNG writes the picture with a palette of 8 bits. The same events give the same bytes.
func (p *Plot) PNG(w io.Writer) error {
	encoder := png.Encoder{CompressionLevel: png.BestSpeed}
	return encoder.Encode(w, p.image())
}

func (p *Plot) image() *image.Paletted {
	p.unpack()
	pal, _ := paletteOf(p.o.Palette)
	img := image.NewPaletted(image.Rect(0, 0, p.o.Width, p.o.Height), pal.colours())
	p.drawDots(img)
	p.drawFrame(img)
	p.drawOutlines(img)
	return img
}

// drawDots gives each place its colour: brighter where more came, on a logarithmic scale, and never too dark to be seen.
func (p *Plot) drawDots(img *image.Paletted) {
	dots, most := p.survey()
	size := p.dotSize(dots)
	scale := float64(shades-1) / math.Log1p(float64(most))
	for y := range p.grid.Height {
		for x := range p.grid.Width {
			counts, sum := p.at(x, y)
			if sum == 0 {
				continue
			}
			shade := int(math.Log1p(float64(sum)) * scale)
			index := uint8(atClasses + winner(&counts, x, y)*shades + min(shade, shades-1))
			left, bottom := marginLeft+x, marginTop+p.grid.Height-1-y
			for dy := range size {
				for dx := range size {
					if px, py := left+dx, bottom-dy; px < marginLeft+p.grid.Width && py >= marginTop {
						img.Pix[py*img.Stride+px] = index
					}
				}
			}
		}
	}
}

func (p *Plot) drawFrame(img *image.Paletted) {
	right, bottom := marginLeft+p.grid.Width, marginTop+p.grid.Height
	horizontal(img, marginLeft-1, right, marginTop-1, atInk)
	horizontal(img, marginLeft-1, right, bottom, atInk)
	vertical(img, marginLeft-1, marginTop-1, bottom, atInk)
	vertical(img, right, marginTop-1, bottom, atInk)
	above := p.o.Height
	for _, port := range ticks {
		y := bottom - 1 - int(p.rowOf[port])
		if above-y < letterHigh && port != 1 {
			continue
		}
		above = y
		horizontal(img, marginLeft-6, marginLeft-2, y, atInk)
		label := fmt.Sprint(port)
		write(img, marginLeft-10-len(label)*letterWide, min(max(y+ascent/2, ascent), p.o.Height-2), label, atInk)
	}
	end := 0
	for _, t := range p.timeTicks() {
		x := marginLeft + p.column(t.UnixNano())
		label := p.timeLabel(t)
		at := min(max(x-len(label)*letterWide/2, 0), p.o.Width-len(label)*letterWide)
		if at < end {
			continue
		}
		end = at + (len(label)+1)*letterWide
		vertical(img, x, bottom+1, bottom+5, atInk)
		write(img, at, bottom+6+letterHigh, label, atInk)
	}
	p.drawTitle(img)
}

// drawTitle writes the title on the left and what the colours mean on the right.
func (p *Plot) drawTitle(img *image.Paletted) {
	x := p.o.Width - marginRight
	for class := classCount - 1; class >= 0; class-- {
		if p.total[class] == 0 {
			continue
		}
		name := classNames[class]
		x -= len(name) * letterWide
		write(img, x, 21, name, atInk)
		x -= 14
		for dy := range 9 {
			horizontal(img, x, x+8, 12+dy, uint8(atClasses+class*shades+shades-1))
		}
		x -= 14
	}
	title := p.o.Title
	if title == "" {
		title = p.spanText()
	}
	title = human.Safe(title)
	if room := max((x-marginLeft)/letterWide, 0); len(title) > room {
		title = title[:room]
	}
	write(img, marginLeft, 21, title, atInk)
}

// spanText is the day, or from when to when.
func (p *Plot) spanText() string {
	from, to := time.Unix(0, p.o.From).In(p.o.Zone), time.Unix(0, p.o.To).In(p.o.Zone)
	if from.AddDate(0, 0, 1).Equal(to) && from.Hour() == 0 && from.Minute() == 0 {
		return from.Format("Monday, 2006-01-02")
	}
	return from.Format("2006-01-02 15:04") + " to " + to.Format("2006-01-02 15:04 MST")
}

// timeSteps are the distances of the marks of time that people can read.
var timeSteps = [...]time.Duration{
	time.Second, 5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 48 * time.Hour, 168 * time.Hour,
}

// timeTicks are round moments by the clock of the zone; on days when it is changed they stay round.
func (p *Plot) timeTicks() (out []time.Time) {
	span := time.Duration(p.o.To - p.o.From)
	most := max(p.grid.Width/80, 2)
	step := span / time.Duration(most)
	for _, s := range timeSteps {
		if s >= step {
			step = s
			break
		}
	}
	from := time.Unix(0, p.o.From).In(p.o.Zone)
	midnight := time.Date(from.Year(), from.Month(), from.Day(), 0, 0, 0, 0, p.o.Zone)
	for n := 0; n < 10_000 && len(out) <= 2*most; n++ {
		t := midnight.AddDate(0, 0, n*int(max(step/(24*time.Hour), 1)))
		if t.UnixNano() >= p.o.To {
			break
		}
		for of := time.Duration(0); of < 24*time.Hour && len(out) <= 2*most; of += step {
			at := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, int(of), p.o.Zone)
			if nano := at.UnixNano(); nano >= p.o.From && nano < p.o.To {
				out = append(out, at)
			}
		}
	}
	return out
}

func (p *Plot) timeLabel(t time.Time) string {
	switch span := time.Duration(p.o.To - p.o.From); {
	case span <= 10*time.Minute:
		return t.Format("15:04:05")
	case span <= 49*time.Hour:
		return t.Format("15:04")
	default:
		return t.Format("01-02")
	}
}

func (p *Plot) drawOutlines(img *image.Paletted) {
	for _, o := range p.o.Outlines {
		if o.To < p.o.From || o.From >= p.o.To || o.High < o.Low {
			continue
		}
		bottom := marginTop + p.grid.Height - 1
		x0, x1 := marginLeft+p.column(max(o.From, p.o.From))-3, marginLeft+p.column(min(o.To, p.o.To-1))+3
		y0, y1 := bottom-int(p.rowOf[o.High])-3, bottom-int(p.rowOf[o.Low])+3
		x0, y0 = max(x0, marginLeft), max(y0, marginTop)
		x1, y1 = min(x1, marginLeft+p.grid.Width-1), min(y1, bottom)
		horizontal(img, x0, x1, y0, atOutline)
		horizontal(img, x0, x1, y1, atOutline)
		vertical(img, x0, y0, y1, atOutline)
		vertical(img, x1, y0, y1, atOutline)
		label := human.Safe(o.Label)
		room := (marginLeft + p.grid.Width - x0) / letterWide
		if len(label) > room {
			label = label[:max(room, 0)]
		}
		at := y0 - 3
		if at < marginTop+ascent {
			x0, at = x0+4, y0+ascent+4
		}
		write(img, x0, at, label, atOutline)
	}
}

func horizontal(img *image.Paletted, x0, x1, y int, index uint8) {
	for x := max(x0, 0); x <= min(x1, img.Rect.Max.X-1); x++ {
		img.Pix[y*img.Stride+x] = index
	}
}

func vertical(img *image.Paletted, x, y0, y1 int, index uint8) {
	for y := max(y0, 0); y <= min(y1, img.Rect.Max.Y-1); y++ {
		img.Pix[y*img.Stride+x] = index
	}
}

// write draws text with its left end and baseline at a place.
func write(img *image.Paletted, x, baseline int, text string, index uint8) {
	d := font.Drawer{Dst: img, Src: image.NewUniform(img.Palette[index]), Face: basicfont.Face7x13, Dot: fixed.P(x, baseline)}
	d.DrawString(text)
}
