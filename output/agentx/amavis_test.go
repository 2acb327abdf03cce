package agentx

import (
	"bufio"
	"context"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"varde/event"
)

// fakeAmavis gives values by name.
type fakeAmavis struct {
	values map[string]AmavisValue
	age    time.Duration
	err    error
}

func (f *fakeAmavis) Snapshot(context.Context) (AmavisValues, time.Duration, error) {
	return func(name string) (AmavisValue, bool) {
		v, ok := f.values[name]
		return v, ok
	}, f.age, f.err
}

// changingAmavis has the number of the moment in every value, and counts moments.
type changingAmavis struct {
	moment *atomic.Uint64
}

func (c *changingAmavis) Snapshot(context.Context) (AmavisValues, time.Duration, error) {
	n := c.moment.Add(1)
	return func(string) (AmavisValue, bool) { return AmavisValue{Count: n}, true }, 0, nil
}

// part gives figures.
type part func() ([]event.Figure, error)

func (p part) Figures(context.Context) ([]event.Figure, error) { return p() }

func figures(fs ...event.Figure) Source {
	return Source{"test", part(func() ([]event.Figure, error) { return fs, nil })}
}

// recorded is the walk that snmpd gave with amavisd-snmp-subagent behind it, as lines of "OID = TYPE: value".
func recorded(t testing.TB) []string {
	t.Helper()
	f, err := os.Open("testdata/amavis_walk.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var lines []string
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if line := sc.Text(); !strings.Contains(line, "No more variables") {
			lines = append(lines, strings.ReplaceAll(line, "iso.", ".1."))
		}
	}
	if len(lines) != 331 {
		t.Fatalf("%d lines, want 331", len(lines))
	}
	return lines
}

var printed = regexp.MustCompile(`^\.([0-9.]+)\.0 = (?:(STRING): "(.*)"|(OID): \.1(.*)|Timeticks: \((\d+)\).*|(?:Counter32|Counter64|Gauge32|INTEGER): (\d+))$`)

// fromWalk makes the amavis and the queues that must give rise to the recorded walk.
func fromWalk(t testing.TB) (*fakeAmavis, Source) {
	t.Helper()
	objects, err := amavisObjects()
	if err != nil {
		t.Fatal(err)
	}
	byOID := map[string]amavisObject{}
	for _, o := range objects {
		byOID[amavisRoot().plus(o.at...).String()] = o
	}
	out := &fakeAmavis{values: map[string]AmavisValue{}}
	var queues []event.Figure
	for _, line := range recorded(t) {
		m := printed.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("%q is no line of a walk", line)
		}
		o, ok := byOID[m[1]]
		if !ok {
			t.Fatalf("%s is not in the table", m[1])
		}
		var v AmavisValue
		if n := m[6] + m[7]; n != "" {
			if v.Count, err = strconv.ParseUint(n, 10, 64); err != nil {
				t.Fatal(err)
			}
		}
		if v.Text = m[3]; m[4] == "OID" {
			v.Text = "1" + m[5]
		}
		if queue, ok := strings.CutPrefix(o.name, "MtaQueueEntries"); ok {
			queues = append(queues, event.Measure("postfix_queue_messages", "", "", float64(v.Count), "queue", strings.ToLower(queue)))
			continue
		}
		out.values[o.name] = v
	}
	return out, figures(queues...)
}
