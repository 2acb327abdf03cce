package demo

import (
	"cmp"
	"context"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"varde/event"
)

// HistoryDays is how far back the sample network remembers.
const HistoryDays = 30

// everydayHour is how many everyday flows an hour of the history has in the mean: a fraction of what is exported live,
// so that a month is told within seconds.
const everydayHour = 700

// History tells the last weeks of the sample network, oldest first: everyday traffic by day and night, now and then a
// piece of the script, its mail, and what its firewall refused, with a slow scan of all ports and a port that is on the rise
// since yesterday. Sweep is called at the end of every hour.
func History(ctx context.Context, now time.Time, emit func(*event.Event), sweep func(at int64)) {
	names := sources()
	var hour []event.Event // in the order of time once it is over, as detectors see it
	tell := emit
	emit = func(e *event.Event) { hour = append(hour, e.Clone()) }
	s := newScene(7, 0, func(x int, e *event.Event) {
		e.Source, e.Exporter, e.Exported, e.Received, e.Sampling, e.RawPackets = "history", names[x].name, e.End, e.End, 1, e.Packets
		if x == access {
			e.Sampling = 512
			e.Packets, e.Bytes = e.Packets*512, e.Bytes*512
		}
		emit(e)
	})
	post := rand.New(rand.NewPCG(25, 7))
	begin := now.Add(-HistoryDays * 24 * time.Hour).Truncate(time.Hour)
	for at := begin; at.Before(now.Add(-time.Hour)) && ctx.Err() == nil; at = at.Add(time.Hour) {
		for range int(everydayHour * (1 + 0.8*math.Sin(float64(at.Hour()-8)*math.Pi/12))) {
			s.everyday(at.Add(time.Duration(s.rng.Int64N(int64(time.Hour)))).UnixNano())
		}
		if hours := int(at.Sub(begin).Hours()); hours%53 == 20 {
			s.cues[hours/53%len(s.cues)].do(s, at.UnixNano())
		}
		probes(s.rng, begin, at, now, emit)
		letters(post, at, emit)
		if at.Hour() == 18 {
			Art(at, at, emit)
		}
		slices.SortFunc(hour, func(a, b event.Event) int { return cmp.Compare(a.Time, b.Time) })
		for i := range hour {
			tell(&hour[i])
		}
		hour = hour[:0]
		sweep(at.Add(time.Hour).UnixNano())
	}
}

// outsiders are addresses that no list names: 203.0.113.1 to .69 and .100 to .127, 198.51.100.128 to .191.
const outsiders = 69 + 28 + 64

func outsider(n int) netip.Addr {
	switch n %= outsiders; {
	case n < 69:
		return netip.AddrFrom4([4]byte{203, 0, 113, byte(1 + n)})
	case n < 69+28:
		return netip.AddrFrom4([4]byte{203, 0, 113, byte(100 + n - 69)})
	}
	return netip.AddrFrom4([4]byte{198, 51, 100, byte(128 + n - 69 - 28)})
}

// probes is one hour of what the firewall refused.
func probes(r *rand.Rand, begin, at, now time.Time, emit func(*event.Event)) {
	ports := []uint16{23, 23, 23, 22, 22, 80, 443, 445, 3389, 5555, 8080, 8443, 1433, 5900, 6379}
	countries := []string{"CN", "US", "BR", "RU", "VN", "IN", "NL", "KR"}
	anywhere := func() netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(r.IntN(256))}) }
	probe := func(src, dst netip.Addr, port uint16, proto uint8, country string) {
		e := event.Event{
			Kind: event.Probe, Action: event.Deny, Source: "history", Exporter: "firewall", Proto: proto, Src: src,
			SrcPort: uint16(1024 + r.IntN(64000)), Dst: dst, DstPort: port,
			Packets: 1, Bytes: 40, Count: 1, Country: country, InIf: "wan", Rule: "drop",
		}
		e.ASN = 64496 + uint32(slices.Index(countries, country)) // of those for documentation
		if proto == event.TCP {
			e.TCPFlags = event.SYN
		}
		e.Time = at.Add(time.Duration(r.Int64N(int64(time.Hour)))).UnixNano()
		e.End, e.Received = e.Time, e.Time
		emit(&e)
	}
	stranger := func() netip.Addr { return outsider(r.IntN(outsiders)) }
	for range 40 + r.IntN(30) {
		port, proto := ports[r.IntN(len(ports))], uint8(event.TCP)
		switch r.IntN(6) {
		case 0:
			port = uint16(math.Exp(r.Float64() * math.Log(65535)))
		case 1:
			port, proto = []uint16{53, 123, 161, 1900, 5060}[r.IntN(5)], event.UDP
		}
		probe(stranger(), anywhere(), port, proto, countries[r.IntN(len(countries))])
	}
	// One patient source goes through all ports of one host in the time that is told.
	whole := now.Sub(begin).Hours()
	for i := range 12 {
		part := (at.Sub(begin).Hours() + float64(i)/12) / whole
		probe(netip.MustParseAddr("198.51.100.240"), netip.MustParseAddr("192.0.2.77"), uint16(max(math.Exp(part*math.Log(65535)), 1)), event.TCP, "NL")
	}
	if left := now.Sub(at).Hours(); left < 26 {
		for range int(220 * (1 - left/30)) {
			probe(stranger(), anywhere(), 7547, event.TCP, countries[r.IntN(len(countries))])
		}
	}
}
