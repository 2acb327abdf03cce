package web

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"varde/event"
)

// sceneContent is what is in the mail of the scene: amavis's words in its counters and in its log, and messages a minute.
var sceneContent = []struct {
	key, verdict string
	rate         float64
	action       event.Action
}{
	{"clean", "clean", 21, event.Accept},
	{"spam", "spam", 9.5, event.Deny},
	{"spammy", "spammy", 2.1, event.Accept},
	{"virus", "infected (Eicar-Test-Signature)", 0.12, event.Deny},
	{"banned", "banned (.exe,invoice.pdf.exe)", 0.3, event.Deny},
	{"bad_header", "bad-header-2", 0.6, event.Accept},
	{"unchecked", "unchecked-encrypted", 0.2, event.Accept},
	{"oversized", "oversized", 0.02, event.Accept},
	{"mta_failed", "mta-blocked", 0, event.Accept},
}

// grown is how far a counter of so many a minute is at a time: more by day than by night.
func grown(rate float64, at time.Time) float64 {
	h := at.Sub(moment).Hours() + 30*24
	day := 24 / (2 * math.Pi)
	shift := float64(moment.Hour()-9) / day // the rise of the morning
	return rate * 60 * (h + 0.6*day*(math.Cos(shift)-math.Cos((h/day)+shift)))
}

// sceneMail is what the mail gateway said at a time: rspamd is down, and nobody may look into the queue corrupt.
func sceneMail(at time.Time) []event.Figure {
	var out []event.Figure
	up := func(name string, v float64) {
		out = append(out, event.Measure("varde_mail_source_up", "Whether a source could be read.", "", v, "source", name),
			event.Count("varde_mail_source_errors_total", "How often not.", 0, "source", name))
	}
	up("amavis", 1)
	up("postfix", 1)
	up("clamav", 1)
	up("antivirus", 1)
	up("rspamd", 0)
	out = append(out, event.Measure("varde_mail_source_problem", "Why.", "", 1, "source", "rspamd", "reason", "refused"))
	all, hard := 0.0, 0.0
	for _, c := range sceneContent {
		n := grown(c.rate, at)
		if c.key == "spam" { // a wave
			hard = 2600 / (1 + math.Exp(-at.Sub(moment.Add(-5*time.Hour)).Hours()*3.5))
			n += hard
		}
		all += n
		out = append(out, event.Count("amavis_messages_all_total", "Messages by content.", uint64(n), "content", c.key))
	}
	out = append(out, event.Count("amavis_received_all_total", "Messages received.", uint64(all)))
	for stage, ms := range map[string]float64{"total": 1310, "receiving": 41, "decoding": 96, "viruscheck": 212, "spamcheck": 904, "sending": 57, "penpals": 0} {
		f := event.Count("amavis_stage_seconds_total", "Time spent.", uint64(ms*(all+hard)), "stage", stage)
		f.Unit, f.Scale = "seconds", 0.001
		out = append(out, f)
	}
	wave := math.Sin(at.Sub(moment).Hours() / 3)
	for state, n := range map[string]float64{"busy": 3 + math.Round(2*wave), "idle": 7 - math.Round(2*wave)} {
		out = append(out, event.Measure("amavis_processes", "Processes.", "", n, "state", state))
	}
	for what, n := range map[string]float64{"spam": 2, "virus": 1, "transfer": 0, "decode": 0, "other": 0} {
		out = append(out, event.Measure("amavis_processes_busy", "Busy processes.", "", n, "activity", what))
	}
	out = append(out, event.Measure("amavis_busy_oldest_seconds", "The busiest.", "seconds", 3.2), event.Count("amavis_processes_gone_total", "Gone.", 1),
		event.Measure("amavis_data_stale", "Stale.", "", 0, "source", "live"))
	for name, n := range map[string]uint64{"Eicar-Test-Signature": 31, "Doc.Downloader.Valyria-9": 204, "Html.Phishing.Bank-3": 77, hostile: 2} {
		out = append(out, event.Count("amavis_virus_total", "Viruses.", n, "name", name))
	}
	for name, q := range map[string][3]float64{"maildrop": {0, 0, 0}, "incoming": {2, 41_000, 3}, "active": {6, 190_000, 11}, "deferred": {214, 9_400_000, 172_000}, "hold": {3, 71_000, 810_000}} {
		l := []string{"queue", name}
		n := q[0]
		if name == "deferred" {
			n = math.Round(n + 40*wave)
		}
		out = append(out, event.Measure("postfix_queue_known", "Known.", "", 1, l...), event.Measure("postfix_queue_messages", "Messages.", "", n, l...),
			event.Measure("postfix_queue_bytes", "Bytes.", "bytes", q[1], l...), event.Measure("postfix_queue_oldest_age_seconds", "Oldest.", "seconds", q[2], l...))
	}
	out = append(out, event.Measure("postfix_queue_known", "Known.", "", 0, "queue", "corrupt"))
	return append(out, sceneSignatures()...)
}

func sceneSignatures() []event.Figure {
	var out []event.Figure
	one := func(scanner, database string, age time.Duration) {
		l := []string{"scanner", scanner, "database", database}
		known := 1.0
		if age == 0 {
			known = 0
		} else {
			out = append(out, event.Measure("antivirus_signatures_age_seconds", "Age.", "seconds", age.Seconds(), l...))
		}
		out = append(out, event.Measure("antivirus_known", "Known.", "", known, l...))
	}
	one("clamav", "main", 1170*24*time.Hour)
	one("clamav", "daily", 9*time.Hour)
	one("clamav", "bytecode", 420*24*time.Hour)
	one("sophos", "", 5*time.Hour)
	one("eset", "", 9*24*time.Hour)
	one("defender", "", 0)
	out = append(out, event.Measure("antivirus_current", "Current.", "", 1, "scanner", "sophos"),
		event.Measure("clamd_up", "Up.", "", 1), event.Measure("clamd_lag_versions", "Lag.", "", 2), event.Measure("freshclam_blocked_seconds", "Blocked.", "seconds", 0))
	for i := range out {
		out[i].Age = 2 * time.Minute
	}
	return out
}

// sceneSNMP is what the SNMP agent of the scene shows of amavis, and one name that a stranger chose.
func sceneSNMP(context.Context) ([]Variable, error) {
	out := []Variable{{"1.3.6.1.4.1.15312.2.1.1.1.2.0", "amSysDescr.0", "STRING", hostile}}
	for i, name := range []string{"InMsgs", "InMsgsInbound", "ContentCleanMsgs", "ContentSpamMsgs", "ContentVirusMsgs", "OutMsgs"} {
		out = append(out, Variable{fmt.Sprintf("1.3.6.1.4.1.15312.2.1.1.%d.0", i+2), "am" + name + ".0", "Counter64", fmt.Sprint(1000 * (i + 1) * (i + 7))})
	}
	return out, nil
}

// followMail lets a server look at the mail gateway for a day and a half, of which three hours are missing.
func followMail(s *Server) {
	for at := moment.Add(-36 * time.Hour); !at.After(moment); at = at.Add(5 * time.Minute) {
		if ago := moment.Sub(at); ago < 13*time.Hour && ago > 10*time.Hour {
			continue
		}
		s.past.add(at, []partFigures{{"mail", sceneMail(at), nil}})
	}
}

// sceneLetters are what the log of the mail gateway said over two weeks.
func sceneLetters(rng *rand.Rand, places []place) []event.Event {
	var out []event.Event
	senders := []string{"anna@example.org", "news@shop.example", "billing@invoice.example", "info@pills.example", "root@host.example", "ceo@examp1e.org", hostile + "@example.com", ""}
	subjects := []string{"Minutes of Thursday", "Your order 48213", "Invoice 2026-118", "RE: re: limited offer", "Sikkerhetskopi", "Wire transfer, urgent", hostile, "Undelivered mail"}
	for range 9000 {
		p := places[min(int(math.Abs(rng.NormFloat64())*3), len(places)-1)]
		at, who := when(rng), min(int(math.Abs(rng.NormFloat64())*3.2), len(senders)-1)
		e := event.Event{
			Kind: event.Mail, Proto: event.TCP, Time: at, Received: at, Exporter: "mx", Src: host(rng, p.net, 25), Dst: netip.MustParseAddr("192.0.2.7"), DstPort: 25,
			Own: event.SideDst, Country: p.country, ASN: p.asn, Session: fmt.Sprintf("%05d-%02d", rng.IntN(90000)+10000, rng.IntN(20)),
		}
		e.Detail.Set("from", senders[who])
		e.Detail.Set("to", []string{"anna@example.net", "office@example.net", "post@example.net"}[rng.IntN(3)])
		if rng.IntN(3) == 0 { // refused at the door
			e.Source, e.Action, e.Rule = "postfix", event.Deny, "554 5.7.1 Service unavailable; Client host blocked using zen.example"
			e.Detail.Set("verdict", "rejected")
			if rng.IntN(5) == 0 {
				e.Rule, e.Detail = "SASL LOGIN authentication failed: UGFzc3dvcmQ6", nil
				e.Detail.Set("verdict", "authentication failed")
			}
			out = append(out, e)
			continue
		}
		x, c := rng.Float64()*33.84, sceneContent[0]
		for _, c = range sceneContent {
			if x -= c.rate; x < 0 {
				break
			}
		}
		e.Source, e.Action, e.Rule = "amavis", c.action, "RelayedInbound"
		if c.action == event.Deny {
			e.Rule = "DiscardedInbound,Quarantined"
		}
		e.Detail.Set("subject", subjects[who])
		e.Detail.Set("size", strconv.Itoa(900+rng.IntN(90_000)))
		e.Detail.Set("verdict", c.verdict)
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b event.Event) int { return cmp.Compare(a.Time, b.Time) })
	return out
}
