package plot

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"varde/event/human"
)

// Bounds on the picture in letters.
const (
	minLetters = 30
	maxLetters = 1000
	besides    = 7 // letters left of the grid, for ports
)

// brailleBits are the dots of a braille letter by row from the top and column.
var brailleBits = [4][2]rune{{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}}

// ansi are the escape sequences of the classes on a terminal.
var ansi = [classCount]string{"\x1b[32m", "\x1b[94m", "\x1b[31m", "\x1b[97m", "\x1b[33m", "\x1b[93m", "\x1b[90m"}

// Text writes the picture in braille letters, so many letters wide and lines high; a letter is two dots wide and four
// high. With colour it has the escape sequences of terminals.
func (p *Plot) Text(w io.Writer, width, height int, colour bool) error {
	if width < minLetters || height < 8 || width > maxLetters || height > maxLetters {
		return fmt.Errorf("plot: a text of %d by %d letters: use at least %d by 8", width, height, minLetters)
	}
	p.unpack()
	out := bufio.NewWriter(w)
	across, down := width-besides, height-3
	counts := make([][classCount]uint32, across*2*down*4)
	for y := range p.grid.Height {
		for x := range p.grid.Width {
			at, sum := p.at(x, y)
			if sum == 0 {
				continue
			}
			row := down*4 - 1 - y*down*4/p.grid.Height
			c := &counts[row*across*2+x*across*2/p.grid.Width]
			for k, n := range at {
				c[k] += min(n, 1<<24)
			}
		}
	}
	title := p.o.Title
	if title == "" {
		title = p.spanText()
	}
	fmt.Fprintf(out, "%s%s, %d probes\n", strings.Repeat(" ", besides), human.Safe(title), p.Total())
	labels := p.textLabels(down)
	for row := range down {
		fmt.Fprintf(out, "%5s ", labels[row])
		out.WriteString("│")
		p.textRow(out, counts, row, across, colour)
		out.WriteString("\n")
	}
	out.WriteString(strings.Repeat(" ", besides-1) + "└" + strings.Repeat("─", across) + "\n")
	out.WriteString(p.textTimes(across) + "\n")
	return out.Flush()
}

// textRow writes the braille letters of one line, each in the colour of the class that wins in it.
func (p *Plot) textRow(out *bufio.Writer, counts [][classCount]uint32, row, across int, colour bool) {
	before := -1
	for column := range across {
		letter := rune(0x2800)
		var sum [classCount]uint32
		for dy := range 4 {
			for dx := range 2 {
				c := &counts[(row*4+dy)*across*2+column*2+dx]
				for k, n := range c {
					if n > 0 {
						letter |= brailleBits[dy][dx]
						sum[k] += min(n, 1<<24)
					}
				}
			}
		}
		if letter == 0x2800 {
			letter = ' '
		} else if k := winner(&sum, column, row); colour && k != before {
			out.WriteString(ansi[k])
			before = k
		}
		out.WriteRune(letter)
	}
	if before >= 0 {
		out.WriteString("\x1b[0m")
	}
}

// textLabels are the ports beside the lines.
func (p *Plot) textLabels(down int) []string {
	out := make([]string, down)
	for _, port := range [...]uint16{1, 22, 80, 443, 3306, 10000, 65535, 7, 161, 1024, 20000, 50000, 587, 5000} {
		row := down - 1 - int(p.rowOf[port])*down/p.grid.Height
		free := out[row] == ""
		if free {
			out[row] = fmt.Sprint(port)
		}
	}
	return out
}

// textTimes is the line of times below.
func (p *Plot) textTimes(across int) string {
	line := []byte(strings.Repeat(" ", besides+across))
	end := 0
	for _, t := range p.timeTicks() {
		label := p.timeLabel(t)
		at := besides + p.column(t.UnixNano())*across/p.grid.Width - len(label)/2
		if at < end || at < 0 || at+len(label) > len(line) {
			continue
		}
		copy(line[at:], label)
		end = at + len(label) + 2
	}
	return strings.TrimRight(string(line), " ")
}
