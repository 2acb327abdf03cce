package web

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"varde/event"
	"varde/event/query"
)

// moment is when the tests are; everything that is made lies before it.
var moment = time.Date(2026, 11, 20, 14, 32, 10, 0, time.UTC)

const sceneEvents = 240_000

// hostile is what strangers write where text is taken.
const hostile = "<script>document.title='owned'</script><img src=x onerror=alert(1)>\u202egnp.exe"

var sceneOnce = sync.OnceValue(makeScene)

// scene is a store of a small network over two weeks. Each test has its own incidents.
func scene() *memStore {
	made := sceneOnce()
	return &memStore{now: func() time.Time { return moment }, events: made.events, incidents: slices.Clone(made.incidents), mutes: slices.Clone(made.mutes), lastMute: made.lastMute}
}

type place struct {
	country string
	asn     uint32
	net     netip.Addr
}

func makeScene() *memStore {
	rng := rand.New(rand.NewPCG(8, 98))
	m := &memStore{}
	places := []place{
		{"NO", 64496, netip.MustParseAddr("198.51.100.0")},
		{"DE", 64500, netip.MustParseAddr("198.51.100.64")},
		{"US", 64501, netip.MustParseAddr("198.51.100.128")},
		{"NL", 64502, netip.MustParseAddr("203.0.113.0")},
		{"BR", 64503, netip.MustParseAddr("203.0.113.64")},
		{"VN", 64504, netip.MustParseAddr("203.0.113.128")},
		{"SE", 64505, netip.MustParseAddr("2001:db8:f00::")},
		{"JP", 64506, netip.MustParseAddr("203.0.113.192")},
	}
	for range sceneEvents {
		m.events = append(m.events, sceneEvent(rng, places))
	}
	m.events = append(m.events, sceneLetters(rng, places)...)
	slices.SortFunc(m.events, func(a, b event.Event) int { return cmp.Compare(a.Time, b.Time) })
	m.incidents = sceneIncidents(rng)
	m.mutes = []query.Mute{{
		ID: 1, Prefix: netip.MustParsePrefix("198.51.100.9/32"), List: "firehol level 3", Why: "address of a CDN; the list is known to hold it",
		By: "anna", Created: moment.Add(-30 * time.Hour).UnixNano(), Expires: moment.Add(138 * time.Hour).UnixNano(),
	}}
	m.lastMute = 1
	return m
}

// when is denser by day than by night, and on the newest day.
func when(rng *rand.Rand) int64 {
	back := time.Duration(rng.Float64() * float64(15*24*time.Hour))
	if rng.IntN(3) == 0 {
		back = time.Duration(rng.Float64() * float64(24*time.Hour))
	}
	t := moment.Add(-back)
	if hour := float64(t.Hour()) + float64(t.Minute())/60; rng.Float64() > 0.55+0.45*math.Sin((hour-7)/24*2*math.Pi) {
		return when(rng)
	}
	return t.UnixNano()
}

func host(rng *rand.Rand, base netip.Addr, n int) netip.Addr {
	b := base.AsSlice()
	b[len(b)-1] += byte(1 + int(math.Abs(rng.NormFloat64())*float64(n)/3)%n)
	a, _ := netip.AddrFromSlice(b)
	return a
}

func sceneEvent(rng *rand.Rand, places []place) event.Event {
	p := places[min(int(math.Abs(rng.NormFloat64())*3), len(places)-1)]
	own, foreign := host(rng, netip.MustParseAddr("192.0.2.0"), 60), host(rng, p.net, 60)
	if foreign.Is6() {
		own = host(rng, netip.MustParseAddr("2001:db8:1::"), 60)
	}
	e := event.Event{Kind: event.Flow, Time: when(rng), Proto: event.TCP, Country: p.country, ASN: p.asn, Sampling: 1}
	e.SrcPort = uint16(32768 + rng.IntN(28000))
	switch n := rng.IntN(100); {
	case n < 22: // refused at the firewall
		e.Kind, e.Source, e.Exporter, e.Action, e.Rule, e.InIf = event.Probe, "netfilter", "fw", event.Deny, "input-drop", "wan0"
		e.Src, e.Dst, e.Own = foreign, own, event.SideDst
		e.DstPort = []uint16{23, 22, 445, 3389, 8728, 7547, 5555, 2323}[min(int(math.Abs(rng.NormFloat64())*2.5), 7)]
		e.TCPFlags, e.Packets, e.Bytes = event.SYN, 1, 60
		switch t := event.Stamp(e.Time); {
		case moment.Sub(t) < 9*time.Hour && rng.IntN(3) == 0:
			e.DstPort = 7547 // a surge
		case rng.IntN(4) == 0: // anything, low ports more often
			e.DstPort = uint16(math.Exp2(rng.Float64() * 16))
			if rng.IntN(3) == 0 {
				e.Proto, e.TCPFlags = event.UDP, 0
			}
		case moment.Sub(t) < 15*time.Hour && rng.IntN(6) == 0: // a slow scan through all ports
			e.Src, e.DstPort = netip.MustParseAddr("203.0.113.140"), uint16(1+(15*time.Hour-moment.Sub(t)).Seconds()/(15*3600)*65000)
		}
		return e
	case n < 30:
		e.Proto, e.DstPort = event.UDP, 53
	case n < 36:
		e.Proto, e.DstPort = event.UDP, 443
	case n < 39:
		e.Proto, e.HasICMP, e.ICMPType = event.ICMP, true, 8
	case n < 45:
		e.DstPort = 993
	case n < 49:
		e.DstPort = 22
	case n < 58:
		e.DstPort = 80
	default:
		e.DstPort = 443
	}
	e.Source, e.Exporter, e.InIf, e.OutIf = "netflow9", "edge-router", "lan0", "wan0"
	if rng.IntN(5) == 0 {
		e.Source, e.Exporter, e.Sampling = "sflow", "access-switch", 512
	}
	e.Src, e.Dst, e.Own = own, foreign, event.SideSrc
	if rng.IntN(4) == 0 {
		e.Src, e.Dst, e.Own, e.InIf, e.OutIf = foreign, own, event.SideDst, "wan0", "lan0"
	}
	e.TCPFlags = event.SYN | event.ACK | event.PSH | event.FIN
	e.Packets = uint64(2+rng.ExpFloat64()*40) * uint64(e.Sampling)
	e.Bytes = e.Packets * uint64(80+rng.IntN(1100))
	e.End = e.Time + int64(rng.ExpFloat64()*20e9)
	return e
}

func sceneIncidents(rng *rand.Rand) []query.Incident {
	type cast struct {
		sev          event.Severity
		verdict      event.Verdict
		own, name    string
		foreign      string
		port         uint16
		list, pulse  string
		confidence   uint8
		hoursAgo     float64
		state        event.State
		events, sent uint64
	}
	casts := []cast{
		{event.Critical, event.AnsweredOut, "192.0.2.17", "office-pc-7", "203.0.113.94", 4444, "ThreatFox", "QakBot C2", 90, 0.12, event.Escalated, 3, 48_213},
		{event.High, event.AnsweredIn, "192.0.2.7", "mail", "203.0.113.131", 25, "OTX", "Snowshoe spam, week 46", 70, 0.9, event.Opened, 41, 1_204_224},
		{event.High, event.ContactOut, "192.0.2.23", "printer-2", "198.51.100.140", 6667, "Feodo Tracker", "Emotet", 85, 2.2, event.Opened, 7, 2_940},
		{event.Medium, event.ContactOut, "2001:db8:1::15", "laptop-anna", "2001:db8:f00::2a", 8080, "URLhaus", hostile, 60, 3.4, event.Opened, 2, 3_118},
		{event.Low, event.ProbeIn, "192.0.2.7", "mail", "203.0.113.140", 22, "DShield", "top attacker", 50, 0.4, event.Escalated, 812, 0},
		{event.Low, event.ProbeIn, "192.0.2.9", "vpn", "203.0.113.140", 22, "DShield", "top attacker", 50, 0.5, event.Opened, 310, 0},
		{event.Low, event.RefusedIn, "192.0.2.9", "vpn", "203.0.113.70", 7547, "firehol level 3", "", 40, 1.1, event.Opened, 66, 0},
		{event.Medium, event.AnsweredOut, "192.0.2.31", "", "198.51.100.9", 443, "firehol level 3", "", 40, 5.0, event.Opened, 190, 84_000_000},
		{event.Info, event.AnsweredOut, "192.0.2.18", "office-pc-8", "198.51.100.77", 9001, "tor exits", "Tor exit", 0, 7.7, event.Closed, 12, 920_000},
		{event.High, event.AnsweredOut, "192.0.2.40", "cam-door", "203.0.113.199", 23, "OTX", "Mirai scanners, November", 75, 11.4, event.Closed, 5, 18_400},
	}
	var out []query.Incident
	for k := range 46 {
		c := casts[min(k, k%len(casts))]
		if k >= len(casts) {
			c.hoursAgo += 20 + float64(k-len(casts))*8.3
			c.state = event.Closed
			c.foreign = host(rng, netip.MustParseAddr("203.0.113.64"), 90).String()
		}
		last := moment.Add(-time.Duration(c.hoursAgo * float64(time.Hour)))
		own, foreign := netip.MustParseAddr(c.own), netip.MustParseAddr(c.foreign)
		if own.Is6() != foreign.Is6() {
			foreign = netip.MustParseAddr("2001:db8:f00::3b")
		}
		w := event.Warning{
			ID: fmt.Sprintf("i%04d", k), Rule: "list", State: c.state, Severity: c.sev, Verdict: c.verdict, Proto: event.TCP,
			Own: event.Endpoint{Addr: own, Name: c.name}, Foreign: event.Endpoint{Addr: foreign, Port: c.port},
			Time: last.UnixNano(), First: last.Add(-24 * time.Minute).UnixNano(), Last: last.UnixNano(), Count: c.events,
			PacketsOut: c.events * 4, BytesOut: c.sent, PacketsIn: c.events * 5, BytesIn: c.sent * 3,
			ExportLag: 27 * time.Second, MatchLag: 3 * time.Millisecond, Why: "new contact with a listed address; whether data left is not known",
			Event: event.Event{
				Kind: event.Flow, Source: "netflow9", Exporter: "edge-router", Time: last.UnixNano(), Proto: event.TCP,
				Src: own, Dst: foreign, SrcPort: 49152, DstPort: c.port, Packets: 9, Bytes: c.sent, TCPFlags: event.SYN | event.ACK,
			},
			Evidence: []event.Evidence{{
				List: c.list, Entry: netip.PrefixFrom(foreign, foreign.BitLen()), Name: c.pulse, URL: "https://lists.example/" + c.foreign,
				Confidence: c.confidence, Seen: last.Add(-2 * time.Hour).UnixNano(), Info: c.sev == event.Info, Tags: []string{"c2"},
			}},
		}
		if c.verdict == event.ProbeIn || c.verdict == event.RefusedIn || c.verdict == event.AnsweredIn {
			w.Own.Port, w.Foreign.Port = c.port, 0
			w.Event.Src, w.Event.Dst = foreign, own
		}
		if k == 0 {
			w.Why = "data went both ways for the first time"
			w.Evidence = append(w.Evidence, event.Evidence{List: "OTX", Entry: netip.PrefixFrom(foreign, 32), Name: "QakBot: command and control, this week", URL: "javascript:alert(1)", Confidence: 70})
		}
		i := query.Incident{Warning: w, Told: 1 + uint64(k%3)}
		if k == 5 {
			i.Acked, i.AckBy, i.AckWhy = last.Add(10*time.Minute).UnixNano(), "anna", "known scanner of the university"
		}
		out = append(out, i)
	}
	return out
}

// figuresFunc makes a function event.Figures.
type figuresFunc func() []event.Figure

func (f figuresFunc) Figures(context.Context) ([]event.Figure, error) { return f(), nil }

// sceneFigures are what parts would say; round lets counters grow.
func sceneFigures(round uint64) []event.Figure {
	x := func(name string, records, before, here, undecoded, held, templates uint64, rate, lag, silent float64) []event.Figure {
		l := []string{"exporter", name}
		return []event.Figure{
			event.Count("varde_flow_exporter_records_total", "Records of one exporter.", records+round*(records/3000+uint64(math.Sin(float64(round)/3)*40)), l...),
			event.Count("varde_flow_lost_before_total", "Lost before us by the sequence.", before, l...),
			event.Count("varde_flow_lost_here_total", "Lost in our own socket.", here, l...),
			event.Count("varde_flow_undecoded_sets_total", "Data sets given up for want of a template.", undecoded, l...),
			event.Measure("varde_flow_held_sets", "Data sets of one exporter that wait for their template.", "", float64(held), l...),
			event.Measure("varde_flow_templates", "Templates known of one exporter.", "", float64(templates), l...),
			event.Measure("varde_flow_sampling_rate", "Highest sampling rate.", "", rate, l...),
			event.Measure("varde_flow_export_lag_seconds", "Received minus exported.", "seconds", lag, l...),
			event.Measure("varde_flow_silent_seconds", "Since the last datagram.", "seconds", silent, l...),
		}
	}
	out := slices.Concat(
		x("edge-router", 8_412_906, 312, 0, 0, 0, 6, 1, 0.21, 0.4),
		x("access-switch", 1_204_880, 0, 0, 0, 0, 2, 512, 0.02, 1.8),
		x("branch <b>7</b>", 96_221, 1_804, 12, 3, 0, 1, 0, -42, 4),
		x("new-core", 0, 0, 0, 0, 41, 0, 0, 1.1, 2),
		x("lab", 4_410, 0, 0, 0, 0, 4, 1, 0.3, 5_412),
	)
	for i, o := range []string{"console", "syslog", "mail"} {
		l := []string{"output", o}
		out = append(out, event.Count("varde_output_said_total", "Warnings delivered.", 64, l...),
			event.Measure("varde_output_waiting", "Warnings that wait.", "", float64(i*i*3), l...),
			event.Measure("varde_output_spool_bytes", "Size of the spool on disk.", "bytes", float64(i)*4100, l...),
			event.Measure("varde_output_failing", "1 while the receiver is down.", "", float64(i/2), l...),
			event.Count("varde_output_errors_total", "Attempts that failed.", uint64(i*i*9), l...))
	}
	return append(out,
		event.Count("varde_flow_socket_dropped_total", "Datagrams that our own sockets dropped.", 12),
		event.Count("varde_flow_bad_total", "Not understood.", 7, "reason", "unknown_version"),
		event.Count("varde_store_events_total", "Events handed to the store.", 9_718_417+round*2900),
		event.Count("varde_store_stored_total", "Events written to disk.", 9_718_417+round*2900),
		event.Count("varde_store_not_stored_total", "Events that were not stored.", 0),
		event.Measure("varde_store_hot_bytes", "Size of the newest events.", "bytes", 31_457_280),
		event.Measure("varde_store_archive_bytes", "Size of the archive.", "bytes", 184_650_000, "kind", "flow"),
		event.Measure("varde_store_archive_files", "Files of the archive.", "", 361, "kind", "flow"),
		event.Measure("varde_store_archived_events", "Events in the archive.", "", 9_604_112, "kind", "flow"),
		event.Measure("varde_store_archive_oldest_seconds", "Begin of the oldest hour.", "seconds", float64(moment.Add(-15*24*time.Hour).Unix()), "kind", "flow"),
		event.Measure("varde_incidents_open", "Incidents that are not quiet yet.", "", 8),
	)
}

func sceneLists() []ListStatus {
	at := func(d time.Duration) time.Time { return moment.Add(-d) }
	return []ListStatus{
		{Name: "ThreatFox", Source: "https://lists.example/threatfox.csv", Format: "threatfox", Entries: 4_812, Loaded: at(22 * time.Minute), Next: at(-38 * time.Minute), Hits: 3},
		{Name: "OTX", Source: "https://lists.example/otx", Format: "otx", Entries: 61_204, Rejected: 12, Loaded: at(14 * time.Minute), Next: at(-46 * time.Minute), Hits: 46},
		{Name: "Feodo Tracker", Source: "https://lists.example/feodo.csv", Format: "feodo", Entries: 118, Loaded: at(50 * time.Hour), Next: at(-4 * time.Minute), Hits: 7, Error: "fetch: the server answers with an HTML page; yesterday's copy stays"},
		{Name: "firehol level 3", Source: "/etc/varde/firehol_level3.netset", Format: "plain", Entries: 17_450, Loaded: at(9 * time.Hour), Hits: 256},
		{Name: "tor exits", Source: "https://lists.example/tor", Format: "plain", Entries: 1_260, Loaded: at(time.Hour), Next: at(-time.Hour), Hits: 12},
	}
}

// sceneEvidence is what the lists say of an address now.
func sceneEvidence(m *memStore) func(netip.Addr) []event.Evidence {
	return func(a netip.Addr) []event.Evidence {
		for _, i := range m.incidents {
			if i.Foreign.Addr == a {
				return i.Evidence
			}
		}
		return nil
	}
}

// newTestServer is a server over the scene, with a history of rates.
func newTestServer(t testing.TB, cfg Config) (*Server, *memStore) {
	t.Helper()
	m := scene()
	var mu sync.Mutex
	round := uint64(0)
	figures := func() []event.Figure {
		mu.Lock()
		defer mu.Unlock()
		return sceneFigures(round)
	}
	s, err := New(cfg, Deps{
		Store: m, Parts: []Part{{"flow", figuresFunc(figures)}, {"mail", figuresFunc(func() []event.Figure { return sceneMail(moment) })}}, Lists: sceneLists, Evidence: sceneEvidence(m), Version: "0.4.0",
		Prefixes: func(list string) ([]netip.Prefix, bool) {
			return []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}, list == "DShield"
		},
		HostName: func(a netip.Addr) string {
			if a == netip.MustParseAddr("192.0.2.17") {
				return "office-pc-7"
			}
			return ""
		},
		SNMP: sceneSNMP, Now: func() time.Time { return moment }, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.started = moment.Add(-26 * time.Hour)
	for ; round < samplesKept; round++ {
		s.tracks.add(moment.Add(time.Duration(round)*sampleEvery-10*time.Minute), []partFigures{{"flow", sceneFigures(round), nil}})
	}
	followMail(s)
	return s, m
}
