package demo

import (
	"math"
	"net/netip"
	"time"

	"varde/event"
)

// Firewall art is what somebody draws into other people's logs with well timed probes. The sample network gets one
// picture a day, of the season. A # is TCP, an o UDP and a * TCP over IPv6.
var seasons = map[time.Month][]string{
	time.December: {
		"            *            ",
		"            #            ",
		"           ###           ",
		"          ##o##          ",
		"         #######         ",
		"           ###           ",
		"         ##o####         ",
		"        ########o        ",
		"       ###*#######       ",
		"          #####          ",
		"        ###o#####        ",
		"      ########*####      ",
		"     ##o############     ",
		"           ooo           ",
		"           ooo           ",
	},
	time.March: {
		"      ***     ***      ",
		"     *****   *****     ",
		"    ****ooo*ooo****    ",
		"     **ooooooooo**     ",
		"      ooooooooooo      ",
		"     **ooooooooo**     ",
		"    ****ooo*ooo****    ",
		"     *****#  *****     ",
		"      *** #   ***      ",
		"          #            ",
		"     ###  #   ###      ",
		"      ### #  ###       ",
		"       #######         ",
		"          #            ",
	},
	time.June: {
		"    o       o       o    ",
		"     o      o      o     ",
		"      o  ooooooo  o      ",
		"        ooooooooo        ",
		"       ooooooooooo       ",
		" ooooo ooooooooooo ooooo ",
		"       ooooooooooo       ",
		"        ooooooooo        ",
		"      o  ooooooo  o      ",
		"     o      o      o     ",
		"    o       o       o    ",
	},
	time.September: {
		"           *           ",
		"          ***          ",
		"         **o**         ",
		"         *ooo*         ",
		"        **ooo**        ",
		"        *oo oo*        ",
		"       **oo oo**       ",
		"       **o   o**       ",
		"      ***********      ",
		"       #########       ",
		"      ###########      ",
		"     #############     ",
		"    ###############    ",
	},
}

// Art draws the picture of the season on a day, each dot as a probe; what lies after now is not drawn yet.
func Art(day, now time.Time, emit func(*event.Event)) {
	picture := seasons[(day.Month()/3*3+11)%12+1]
	const (
		dots        = 5 // a sign is so many dots wide and high
		begin, long = 9 * time.Hour, 8 * time.Hour
		low, high   = 120.0, 30_000.0
	)
	from := time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, time.UTC).Add(begin)
	across, down := len(picture[0])*dots, len(picture)*dots
	for x := range across {
		at := from.Add(long * time.Duration(x) / time.Duration(across))
		if at.After(now) {
			return
		}
		for y := range down {
			sign := picture[y/dots][x/dots]
			if sign == ' ' {
				continue
			}
			port := math.Exp(math.Log(high) - float64(y)/float64(down)*(math.Log(high)-math.Log(low)))
			emit(artist(sign, x*down+y, at.Add(time.Duration(y)*time.Second), uint16(port)))
		}
	}
}

// artist is one dot. The artist has many machines draw, so that none of them is a scanner.
func artist(sign byte, n int, at time.Time, port uint16) *event.Event {
	e := &event.Event{
		Kind: event.Probe, Action: event.Deny, Source: "history", Exporter: "firewall", Proto: event.TCP, TCPFlags: event.SYN,
		Src: outsider(n * 97), Dst: netip.MustParseAddr("192.0.2.80"), SrcPort: 31337, DstPort: port, Packets: 1, Bytes: 40, Count: 1,
		Time: at.UnixNano(), End: at.UnixNano(), Received: at.UnixNano(), Country: "NL", InIf: "wan", Rule: "drop",
	}
	switch sign {
	case 'o':
		e.Proto, e.TCPFlags = event.UDP, 0
	case '*':
		e.Src = netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0x0a, 0x27, byte(n >> 8), byte(n), 15: 1})
		e.Dst = netip.MustParseAddr("2001:db8:1::80")
	}
	return e
}
