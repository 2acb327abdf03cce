package plot

import (
	"image/color"
	"slices"
	"strings"
)

// Palette is a set of colours.
type Palette struct {
	Name        string
	Ground, Ink color.RGBA
	Outline     color.RGBA
	Classes     [classCount]color.RGBA // TCP4, UDP4, TCP6, UDP6, ICMP4, ICMP6, other
}

// Palettes gives all palettes: the classic colours of Fireplots, ones that people with any colour vision tell apart
// (after Okabe and Ito), and one for paper.
func Palettes() []Palette { return slices.Clone(palettes[:]) }

var palettes = [...]Palette{
	{
		"classic", rgb(0x000000), rgb(0xc0c0c0), rgb(0xff8c1a),
		[classCount]color.RGBA{rgb(0x00ff00), rgb(0xb0b0ff), rgb(0xff0000), rgb(0xffffff), rgb(0xffd24d), rgb(0xff9f40), rgb(0x9a9a9a)},
	},
	{
		"safe", rgb(0x000000), rgb(0xc0c0c0), rgb(0xd55e00),
		[classCount]color.RGBA{rgb(0x56b4e9), rgb(0xf0e442), rgb(0xe69f00), rgb(0xffffff), rgb(0x009e73), rgb(0xcc79a7), rgb(0x9a9a9a)},
	},
	{
		"light", rgb(0xffffff), rgb(0x4a5058), rgb(0xb8400e),
		[classCount]color.RGBA{rgb(0x12782c), rgb(0x3f51c4), rgb(0xc4261d), rgb(0x1b1f24), rgb(0x9a6a00), rgb(0x8a4b00), rgb(0x7d838a)},
	},
}

func rgb(v uint32) color.RGBA {
	return color.RGBA{uint8(v >> 16), uint8(v >> 8), uint8(v), 255}
}

func paletteOf(name string) (*Palette, bool) {
	if name == "" {
		return &palettes[0], true
	}
	for i := range palettes {
		if palettes[i].Name == name {
			return &palettes[i], true
		}
	}
	return nil, false
}

func paletteNames() string {
	var names []string
	for i := range palettes {
		names = append(names, palettes[i].Name)
	}
	return strings.Join(names, ", ")
}

// shades is how many steps of brightness a class has; the darkest is bright enough to be seen.
const (
	shades   = 32
	darkest  = 0.45
	paletted = 3 + classCount*shades
)

// Places in the palette of a picture.
const (
	atGround  = 0
	atInk     = 1
	atOutline = 2
	atClasses = 3
)

// colours is the palette as PNG has it.
func (p *Palette) colours() color.Palette {
	out := make(color.Palette, 0, paletted)
	out = append(out, p.Ground, p.Ink, p.Outline)
	for _, c := range p.Classes {
		for s := range shades {
			light := darkest + (1-darkest)*float64(s)/(shades-1)
			mix := func(a, b uint8) uint8 { return uint8(float64(a) + (float64(b)-float64(a))*light + 0.5) }
			out = append(out, color.RGBA{mix(p.Ground.R, c.R), mix(p.Ground.G, c.G), mix(p.Ground.B, c.B), 255})
		}
	}
	return out
}
