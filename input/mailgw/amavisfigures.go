package mailgw

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"varde/event"
)

// word pairs a part of amavis's names with the label that stands for it.
type word struct{ in, label string }

// Flows of mail as amavis tells them apart. These four do not overlap; Originating is Outbound and Internal together
// and has families of its own, so that no family may be summed wrongly.
var amavisFlows = [...]word{{"Inbound", "inbound"}, {"Outbound", "outbound"}, {"Internal", "internal"}, {"OpenRelay", "open_relay"}}

var amavisContents = [...]word{
	{"Clean", "clean"},
	{"MtaFailed", "mta_failed"},
	{"Oversized", "oversized"},
	{"BadHdr", "bad_header"},
	{"Spammy", "spammy"},
	{"Spam", "spam"},
	{"Unchecked", "unchecked"},
	{"Banned", "banned"},
	{"Virus", "virus"},
}

var amavisStatuses = [...]word{
	{"Accepted", "accepted"},
	{"RelayedUntagged", "relayed_untagged"},
	{"RelayedTagged", "relayed_tagged"},
	{"Discarded", "discarded"},
	{"NoBounce", "no_bounce"},
	{"Bounced", "bounced"},
	{"Rejected", "rejected"},
	{"TempFailed", "temp_failed"},
}

var amavisStages = [...]word{
	{"Total", "total"},
	{"Receiving", "receiving"},
	{"Sending", "sending"},
	{"Decoding", "decoding"},
	{"PenPals", "penpals"},
	{"VirusCheck", "viruscheck"},
	{"SpamCheck", "spamcheck"},
}

// maxNames bounds the names that mail itself brings up: of viruses, types of files, decoders.
const maxNames = 200

// amavisFamilies collects figures and which rows they used, so that every other counter is given too.
type amavisFamilies struct {
	v    *AmavisValues
	used map[string]bool
	out  []event.Figure
}

func (f *amavisFamilies) count(family, help, row string, labels ...string) {
	f.used[row] = true
	f.out = append(f.out, event.Count(family, help, f.v.Count(row), labels...))
}

// byFlow gives a counter by flow, for mail of our own users, and in all. They are given as zero where amavis has not
// counted any, since a counter that begins at one cannot be seen to rise.
func (f *amavisFamilies) byFlow(family, help, row string, labels ...string) {
	for _, flow := range amavisFlows {
		f.count(family+"_total", help+", by flow.", row+flow.in, append(slices.Clone(labels), "flow", flow.label)...)
	}
	f.count(family+"_originating_total", help+", of our own users: outbound and internal.", row+"Originating", labels...)
	f.count(family+"_all_total", help+", over all flows.", row, labels...)
}

// named gives the counters that begin with prefix, whose names mail itself brings up.
func (f *amavisFamilies) named(family, help, prefix, label string) {
	shown := 0
	from, _ := slices.BinarySearchFunc(f.v.Values, prefix, func(v AmavisValue, p string) int { return cmp.Compare(v.Name, p) })
	for _, v := range f.v.Values[from:] {
		name, ok := strings.CutPrefix(v.Name, prefix)
		if !ok {
			break
		}
		f.used[v.Name] = true
		if strings.Contains(name, ".byOS.") {
			continue
		}
		if shown++; shown <= maxNames {
			f.out = append(f.out, event.Count(family, help, v.Count, label, strings.ToValidUTF8(name, "?")))
		}
	}
	f.out = append(f.out, event.Measure(strings.TrimSuffix(family, "_total")+"_names_left_out", "Names beyond the bound, of "+family+".", "",
		float64(max(0, shown-maxNames))))
}

// askAmavis makes figures of a snapshot.
func (g *Gateway) askAmavis(ctx context.Context) ([]event.Figure, time.Time, error) {
	v, err := g.amavis.Snapshot(ctx)
	if err != nil {
		return nil, time.Time{}, err
	}
	out := amavisFigures(&v)
	stats := g.amavis.Stats()
	for _, s := range []AmavisSource{FromLive, FromDump, FromZMQ, FromFile} {
		out = append(out, event.Count("amavis_reads_total", "Times that the databases were read, by source.", stats.Reads[s], "source", string(s)))
	}
	out = append(out, event.Count("amavis_reads_held_total", "Times that they were too busy and the last good values were given.", stats.Held))
	return out, g.now().Add(-v.Age), nil
}

func amavisFigures(v *AmavisValues) []event.Figure {
	f := amavisFamilies{v: v, used: map[string]bool{}}
	stale := 0.0
	if v.Stale {
		stale = 1
	}
	f.out = append(f.out,
		event.Measure("amavis_data_age_seconds", "Age of amavis's figures.", "seconds", v.Age.Seconds()),
		event.Measure("amavis_data_stale", "Whether they come from files that amavis has not written for long.", "", stale, "source", string(v.Source)),
		event.Measure("amavis_rows_bad", "Rows of the databases that were not understood.", "", float64(v.Bad)))
	if !v.Started.IsZero() {
		f.out = append(f.out, event.Measure("amavis_start_time_seconds", "When amavis was started, since 1970.", "seconds", float64(v.Started.Unix())))
	}
	f.byFlow("amavis_received", "Messages received", "InMsgs")
	f.byFlow("amavis_message_bytes", "Bytes of messages received", "InMsgsSize")
	f.byFlow("amavis_recipients", "Recipients of messages received", "InMsgsRecips")
	for _, c := range amavisContents {
		f.byFlow("amavis_messages", "Messages by content", "Content"+c.in+"Msgs", "content", c.label)
		f.count("amavis_quarantined_total", "Messages put into quarantine, by content.", "QuarMsgs"+c.in, "content", c.label)
		f.count("amavis_quarantined_bytes_total", "Bytes put into quarantine, by content.", "QuarMsgsSize"+c.in, "content", c.label)
	}
	for _, s := range amavisStatuses {
		f.byFlow("amavis_status", "Messages by what became of them", "InMsgsStatus"+s.in, "status", s.label)
	}
	for _, s := range amavisStages {
		f.count("amavis_stage_seconds_total", "Time spent, by stage of the work.", "TimeElapsed"+s.in, "stage", s.label)
		last := &f.out[len(f.out)-1]
		last.Unit, last.Scale = "seconds", 0.001 // amavis counts milliseconds
	}
	f.named("amavis_virus_total", "Messages with a virus, by its name.", "virus.byname.", "name")
	f.named("amavis_decoded_total", "Parts of messages decoded, by their type.", "OpsDecType-", "type")
	f.named("amavis_decoder_total", "Parts of messages decoded, by decoder.", "OpsDecBy", "decoder")
	f.rest()
	if v.Processes.Known {
		f.out = append(f.out, processFigures(&v.Processes)...)
	}
	return f.out
}

// rest gives every row that has no family, by the name that amavis has for it. amavis knows a closed set of those.
func (f *amavisFamilies) rest() {
	shown := 0
	for i := range f.v.Values {
		v := &f.v.Values[i]
		if f.used[v.Name] || strings.Contains(v.Name, ".byOS.") || shown == 2*maxNames {
			continue
		}
		name := strings.ToValidUTF8(v.Name, "?")
		switch {
		case v.IsCounter():
			f.out = append(f.out, event.Count("amavis_counter_total", "Counters of amavis that have no family of their own.", v.Count, "name", name))
		case v.Type == "G32" || v.Type == "U32" || v.Type == "U64":
			f.out = append(f.out, event.Measure("amavis_gauge", "Gauges of amavis.", "", float64(v.Count)+float64(v.Int), "name", name))
		default:
			continue
		}
		shown++
	}
}

func processFigures(ps *Processes) []event.Figure {
	out := []event.Figure{
		event.Measure("amavis_processes", "Processes of amavis, by what they do.", "", float64(ps.Idle), "state", "idle"),
		event.Measure("amavis_processes", "Processes of amavis, by what they do.", "", float64(ps.Busy), "state", "busy"),
		event.Measure("amavis_busy_oldest_seconds", "For how long the busiest process has been at its present stage.", "seconds", ps.Oldest.Seconds()),
		event.Count("amavis_processes_gone_total", "Processes that ended without a word, since varde started.", ps.Gone),
	}
	for i, what := range Activities {
		out = append(out, event.Measure("amavis_processes_busy", "Busy processes, by what they are busy with.", "", float64(ps.Activity[i]),
			"activity", strings.ToLower(what)))
	}
	if ps.Hidden {
		out = append(out, event.Measure("amavis_processes_hidden", "The processes cannot be seen from here, so rows of dead ones are counted too.", "", 1))
	}
	return out
}
