package agentx

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"varde/event"
	"varde/output/agentx/snmpdtest"
)

const (
	amavisOID = "1.3.6.1.4.1.15312.2.1"
	ownOID    = "1.3.6.1.4.1.8072.9999.9999.82733"
)

// TestRecordedWalk gives the agent what amavisd-snmp-subagent once had, and wants the walk that it once gave.
func TestRecordedWalk(t *testing.T) {
	m := snmpdtest.Start(t, false)
	amavis, queues := fromWalk(t)
	agent := runAgent(t, m.Socket, Deps{Amavis: amavis, Sources: []Source{queues}})
	agent.serving(t)
	want := recorded(t)
	for _, c := range []struct {
		tool string
		args []string
	}{
		{"snmpwalk", []string{amavisOID}},
		{"snmpbulkwalk", []string{"-Cr50", amavisOID}},
		{"snmpbulkwalk", []string{"-Cr1000", amavisOID}},
	} {
		got := lines(m.Must(c.tool, c.args...))
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s %q differs (-recorded +ours):\n%s", c.tool, c.args, d)
		}
	}
	// What people are shown of it is the same.
	shown, err := agent.Values(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var numbers, shownNumbers []string
	for _, l := range want {
		if strings.Contains(l, ": ") && !strings.Contains(l, "STRING") && !strings.Contains(l, "Timeticks") {
			numbers = append(numbers, l)
		}
	}
	for _, v := range shown {
		if strings.HasPrefix(v.OID, amavisOID) && v.Type != "STRING" && v.Type != "TimeTicks" {
			shownNumbers = append(shownNumbers, "."+v.OID+" = "+v.Type+": "+v.Value)
		}
		if !strings.HasSuffix(v.OID, "."+v.Name[strings.IndexByte(v.Name, '.')+1:]) {
			t.Errorf("%s is called %q", v.OID, v.Name)
		}
	}
	if d := cmp.Diff(numbers, shownNumbers); d != "" || len(numbers) < 100 {
		t.Errorf("%d numbers are shown otherwise (-walk +shown):\n%s", len(numbers), d)
	}
	// SNMPv1 has no Counter64: snmpd steps over them.
	v1, err := m.RunWith("snmpwalk", []string{"-v1", "-c", "public", "-m", "", "-On", "-r0"}, amavisOID)
	if err != nil {
		t.Fatal(err)
	}
	narrow := slices.DeleteFunc(slices.Clone(want), func(l string) bool { return strings.Contains(l, "Counter64") })
	if d := cmp.Diff(narrow, lines(v1)); d != "" {
		t.Errorf("the walk by SNMPv1 differs:\n%s", d)
	}
}

// lines are those of a walk without the remark that ends it.
func lines(out string) []string {
	return slices.DeleteFunc(strings.Split(strings.TrimSpace(out), "\n"), func(l string) bool {
		return strings.Contains(l, "No more variables")
	})
}

func TestQuestions(t *testing.T) {
	m := snmpdtest.Start(t, true)
	amavis, queues := fromWalk(t)
	amavis.values["InMsgsSize"] = AmavisValue{Count: math.MaxUint64}
	amavis.values["InMsgsSizeInbound"] = AmavisValue{Count: 1<<53 + 1}
	amavis.values["InMsgs"] = AmavisValue{Count: 5_000_000_000}
	amavis.values["UserGauge1"] = AmavisValue{Int: -5}
	hold := figures(
		event.Measure("postfix_queue_messages", "", "", 7, "queue", "hold"),
		event.Measure("postfix_queue_oldest_age_seconds", "", "seconds", 90061, "queue", "hold"),
		event.Count("varde_warnings_total", "", 1<<63),
		event.Measure("varde_list_age_seconds", "", "seconds", 12.4, "list", "feodo"),
	)
	r := runAgent(t, m.Socket, Deps{Amavis: amavis, Sources: []Source{queues, hold}})
	r.serving(t)
	const a, o = "." + amavisOID, "." + ownOID
	for _, c := range []struct {
		name, tool string
		args       []string
		want       []string
	}{
		{"of all subtrees at once", "snmpget", []string{a + ".1.2.1.0", a + ".2.1.2.0", a + ".3.1.4.0", o + ".1.2.4.0", "1.3.6.1.2.1.1.1.0", a + ".1.1.2.0"}, []string{
			a + ".1.2.1.0 = Counter32: 705032704", a + ".2.1.2.0 = Gauge32: 2", a + ".3.1.4.0 = Gauge32: 3",
			o + ".1.2.4.0 = Counter64: 9223372036854775808", `.1.3.6.1.2.1.1.1.0 = STRING: "test bench"`, a + ".1.1.2.0 = OID: .1.3.6.1.4.1.15312.2",
		}},
		{"64 bits", "snmpget", []string{a + ".1.3.1.0", a + ".1.3.2.0", a + ".1.18.1.0"}, []string{
			a + ".1.3.1.0 = Counter64: 18446744073709551615", a + ".1.3.2.0 = Counter64: 9007199254740993", a + ".1.18.1.0 = Gauge32: 4294967291",
		}},
		{"the same thing twice", "snmpget", []string{a + ".1.4.1.0", a + ".1.4.1.0"}, []string{
			a + ".1.4.1.0 = Counter32: 29", a + ".1.4.1.0 = Counter32: 29",
		}},
		{"what there is not", "snmpget", []string{a + ".1.2.1.5", a + ".1.2.1", a + ".1.99.0", a + ".1.2.1.0.0", a + ".1", o + ".1.2.1.0", a + ".1.2.2.0"}, []string{
			a + ".1.2.1.5 = No Such Instance currently exists at this OID", a + ".1.2.1 = No Such Object available on this agent at this OID",
			a + ".1.99.0 = No Such Object available on this agent at this OID", a + ".1.2.1.0.0 = No Such Instance currently exists at this OID",
			a + ".1 = No Such Object available on this agent at this OID", o + ".1.2.1.0 = No Such Instance currently exists at this OID",
			a + ".1.2.2.0 = Counter32: 21",
		}},
		{"next of several", "snmpgetnext", []string{a, a + ".1.2.1.0", a + ".1.26.6.0", a + ".2.2.22.0", a + ".1.2.1"}, []string{
			a + `.1.1.1.0 = STRING: "amavis-2.13.0 (20230106)"`, a + ".1.2.2.0 = Counter32: 21", a + ".2.1.1.0 = Counter32: 0",
			a + ".3.1.1.0 = Gauge32: 0", a + ".1.2.1.0 = Counter32: 705032704",
		}},
		{"bulk of several", "snmpbulkget", []string{"-Cn1", "-Cr3", a + ".1.1.6", a + ".1.4", a + ".3.1.3", o + ".1.14.1.3"}, []string{
			a + `.1.1.6.0 = STRING: "test bench"`,
			a + ".1.4.1.0 = Counter32: 29", a + ".3.1.3.0 = Gauge32: 0", o + ".1.14.1.3.1 = Gauge32: 0",
			a + ".1.4.2.0 = Counter32: 21", a + ".3.1.4.0 = Gauge32: 3", o + ".1.14.1.3.2 = Gauge32: 0",
		}},
		{"queues that amavis leaves out", "snmpget", []string{o + ".1.14.1.3.5", o + ".1.14.1.5.5", o + ".1.14.1.3.6", o + ".1.12.1.8.102.101.111.100.111"}, []string{
			o + ".1.14.1.3.5 = Gauge32: 7", o + ".1.14.1.5.5 = Gauge32: 90061", o + ".1.14.1.3.6 = No Such Instance currently exists at this OID",
			o + ".1.12.1.8.102.101.111.100.111 = Gauge32: 12",
		}},
	} {
		got := lines(m.Must(c.tool, c.args...))
		got = got[:min(len(got), len(c.want))]
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s %q (-want +got):\n%s", c.name, c.tool, c.args, d)
		}
	}
}

func TestSetIsRefused(t *testing.T) {
	m := snmpdtest.Start(t, false)
	amavis, queues := fromWalk(t)
	r := runAgent(t, m.Socket, Deps{Amavis: amavis, Sources: []Source{queues}})
	r.serving(t)
	for _, args := range [][]string{
		{amavisOID + ".1.2.1.0", "u", "5"},
		{amavisOID + ".1.77.1.0", "i", "5"},
		{ownOID + ".1.99.0", "s", "text"},
		{amavisOID + ".1.2.1.0", "u", "5", amavisOID + ".2.1.1.0", "u", "5", ownOID + ".1.1.1.0", "t", "5"},
	} {
		out, err := m.Run("snmpset", args...)
		if err == nil || !strings.Contains(err.Error(), "Reason: notWritable") {
			t.Errorf("snmpset %q: %v, %q; want notWritable", args, err, out)
		}
	}
	// The session goes on.
	if got := m.Must("snmpget", amavisOID+".1.2.1.0"); !strings.Contains(got, "Counter32: 29") {
		t.Errorf("after the refused SETs: %s", got)
	}
	if n := r.stats.sessions.Load(); n != 1 {
		t.Errorf("%d sessions, want 1", n)
	}
}

// TestRestart wants values within two seconds of snmpd being there again, and no noise while it is away.
func TestRestart(t *testing.T) {
	m := snmpdtest.Start(t, false)
	amavis, queues := fromWalk(t)
	r := runAgent(t, m.Socket, Deps{Amavis: amavis, Sources: []Source{queues}})
	r.serving(t)
	for range 2 {
		m.Stop()
		snmpdtest.WaitFor(t, "the agent to notice", time.Second, func() bool { return r.stats.connected.Load() == 0 })
		// Pauses between attempts come to be longest after one and a half seconds; the worst moment to return is then.
		time.Sleep(2 * time.Second)
		m.Start()
		took := snmpdtest.WaitFor(t, "values after a restart", 2*time.Second, func() bool {
			out, err := m.Run("snmpget", amavisOID+".3.1.4.0")
			return err == nil && strings.Contains(out, "Gauge32: 3")
		})
		t.Logf("back %s after snmpd answered", took)
	}
	if n := strings.Count(r.log.String(), "no session with the SNMP agent"); n != 2 {
		t.Errorf("the log has %d lines about it, want one for each time that snmpd was away:\n%s", n, r.log)
	}
}

// TestOneMoment renews all values for each snapshot while walks go on, and wants every walk to see one moment only. No
// two walks go through the same names, since those cannot be told apart by AgentX once their moments differ.
func TestOneMoment(t *testing.T) {
	m := snmpdtest.Start(t, false)
	var moment atomic.Uint64
	own := Source{"own", part(func() ([]event.Figure, error) {
		n := moment.Load()
		var fs []event.Figure
		for i := range 60 {
			fs = append(fs, event.Count("varde_list_hits_total", "", n, "list", fmt.Sprint("l", i)))
		}
		return fs, nil
	})}
	r := runAgent(t, m.Socket, Deps{Amavis: &changingAmavis{&moment}, Sources: []Source{own}}, func(c *Config) { c.Every /= 40 }) // 100 ms
	r.serving(t)
	stop := make(chan struct{})
	var poller, walks sync.WaitGroup
	poller.Go(func() { // somebody asks in between, so that snapshots are renewed while the walks go on
		for {
			select {
			case <-stop:
				return
			default:
				m.Run("snmpget", amavisOID+".1.2.1.0")
			}
		}
	})
	var seen sync.Map
	for _, args := range [][]string{{"snmpwalk", amavisOID + ".1.7"}, {"snmpbulkwalk", "-Cr4", amavisOID + ".1.17"}, {"snmpwalk", ownOID + ".1.12"}} {
		walks.Go(func() {
			for range 6 {
				out, err := m.Run(args[0], args[1:]...)
				moments := map[string]bool{}
				for _, l := range lines(out) {
					if _, v, ok := strings.Cut(l, "Counter64: "); ok {
						moments[v] = true
						seen.Store(v, true)
					}
				}
				if err != nil || len(moments) != 1 {
					t.Errorf("%q saw %d moments, want 1: %v", args, len(moments), err)
				}
			}
		})
	}
	// One walk goes step by step and so lasts longer than any snapshot is new.
	walks.Go(func() {
		at, moments := amavisOID+".1.15", map[string]bool{}
		for range 17 {
			out, err := m.Run("snmpgetnext", at)
			name, v, ok := strings.Cut(strings.TrimSpace(out), " = Counter64: ")
			if err != nil || !ok {
				t.Errorf("next after %s: %q, %v", at, out, err)
				return
			}
			at, moments[v] = name, true
			time.Sleep(50 * time.Millisecond)
		}
		if len(moments) != 1 {
			t.Errorf("the slow walk saw %d moments, want 1", len(moments))
		}
	})
	walks.Wait()
	close(stop)
	poller.Wait()
	n := 0
	seen.Range(func(any, any) bool { n++; return true })
	t.Logf("%d moments were seen, %d made", n, moment.Load())
	if n < 2 {
		t.Error("all walks saw the same moment: the test shows nothing")
	}
}

// TestParallelWalks wants whole walks when many go through the same names.
func TestParallelWalks(t *testing.T) {
	m := snmpdtest.Start(t, false)
	amavis, queues := fromWalk(t)
	agent := runAgent(t, m.Socket, Deps{Amavis: amavis, Sources: []Source{queues}})
	agent.serving(t)
	want := recorded(t)
	var walks sync.WaitGroup
	for i := range 8 {
		walks.Go(func() {
			tool := []string{"snmpwalk", "snmpbulkwalk"}[i%2]
			out, err := m.Run(tool, amavisOID)
			if d := cmp.Diff(want, lines(out)); err != nil || d != "" {
				t.Errorf("%s: %v\n%s", tool, err, d)
			}
		})
	}
	walks.Wait()
}

// TestPolling wants that single questions are not held back by walks, and that a new walk is of a new moment.
func TestPolling(t *testing.T) {
	m := snmpdtest.Start(t, false)
	var moment atomic.Uint64
	own := Source{"own", part(func() ([]event.Figure, error) {
		return []event.Figure{event.Count("varde_warnings_total", "", moment.Add(1))}, nil
	})}
	r := runAgent(t, m.Socket, Deps{Sources: []Source{own}}, func(c *Config) { c.Every /= 40 })
	r.serving(t)
	for _, tool := range []string{"snmpget", "snmpwalk"} {
		first := m.Must(tool, ownOID+".1.2.4.0")
		snmpdtest.WaitFor(t, tool+" of a new moment", 5*time.Second, func() bool { return m.Must(tool, ownOID+".1.2.4.0") != first })
	}
}

// TestWalkAfterWalk wants that a walk does not go on in the picture of one that ended where it passes: that of a
// neighbouring subtree, or one over the border of two registered subtrees.
func TestWalkAfterWalk(t *testing.T) {
	m := snmpdtest.Start(t, false)
	var moment atomic.Uint64
	r := runAgent(t, m.Socket, Deps{Amavis: &changingAmavis{&moment}}, func(c *Config) { c.Every /= 40 })
	r.serving(t)
	last := func(tool string, args ...string) string {
		all := lines(m.Must(tool, args...))
		_, v, _ := strings.Cut(all[len(all)-1], ": ")
		return v
	}
	for _, c := range []struct{ tool, first, second string }{
		{"snmpwalk", amavisOID + ".1.12", amavisOID + ".1.13"},
		{"snmpwalk", amavisOID + ".1", amavisOID + ".2"},
		{"snmpbulkwalk", amavisOID + ".2", amavisOID + ".2"},
		{"snmpbulkwalk", amavisOID + ".1", amavisOID + ".2"},
		{"snmpbulkwalk", amavisOID + ".1.26", amavisOID + ".2"},
	} {
		for range 2 {
			before := last(c.tool, c.first)
			snmpdtest.WaitFor(t, "a new moment", 5*time.Second, func() bool {
				return last("snmpget", amavisOID+".1.12.1.0") != before
			})
			if after := last(c.tool, c.second); after == before {
				t.Errorf("%s %s after %s ends in moment %s again", c.tool, c.second, c.first, after)
			}
		}
	}
	// Over the border, where the second subtree is asked for in the same request as the end of the first.
	for range 3 {
		all := lines(m.Must("snmpbulkwalk", "-Cr50", amavisOID))
		_, first, _ := strings.Cut(all[10], ": ")
		_, behind, _ := strings.Cut(all[len(all)-1], ": ")
		if a, b := number32(t, first), number32(t, behind); b < a {
			t.Errorf("a walk begins in moment %d and ends in moment %d", a, b)
		}
		snmpdtest.WaitFor(t, "a new moment", 5*time.Second, func() bool {
			return last("snmpget", amavisOID+".1.12.1.0") != behind
		})
	}
}

func number32(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
