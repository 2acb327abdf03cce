package fwlog

import (
	"bytes"
	"testing"
	"time"

	"varde/event"
	"varde/input/fwlog/fwloggen"
	"varde/input/syslog"
)

// readable are the lines of a sample that become events, without their envelopes.
func readable(t testing.TB, name string) []syslog.Line {
	r, _ := newReader(t, Config{Format: name}, func(*event.Event) {})
	var out []syslog.Line
	for _, b := range sample(t, name) {
		var l syslog.Line
		syslog.NewParser(time.UTC).Parse(b, received, &l)
		if r.Line(&l) {
			out = append(out, l)
		}
	}
	if len(out) == 0 {
		t.Fatalf("nothing in the sample of %s can be read", name)
	}
	return out
}

func TestLineAllocatesNothing(t *testing.T) {
	for _, name := range Formats() {
		lines := readable(t, name)
		r, _ := newReader(t, DefaultConfig(), func(*event.Event) {})
		read := func() {
			for i := range lines {
				if !r.Line(&lines[i]) {
					t.Fatalf("%s: %s", name, lines[i].Raw)
				}
			}
		}
		read() // names are kept, details grow
		if n := testing.AllocsPerRun(10, read); n != 0 {
			t.Errorf("%s: %v allocations in %d lines, want 0", name, n, len(lines))
		}
	}
}

// batch is how many lines are read between two looks at the clock.
const batch = 1000

// best reports the fastest of all batches beside the mean: where other programs share the processors, that is the one
// which they did not disturb.
func best(b *testing.B, size int, read func(i int)) {
	b.Helper()
	least := time.Duration(1<<63 - 1)
	i := 0
	b.SetBytes(int64(size) * batch)
	b.ReportAllocs()
	for b.Loop() {
		begin := time.Now()
		for range batch {
			read(i)
			i++
		}
		least = min(least, time.Since(begin))
	}
	b.ReportMetric(float64(b.N)*batch/b.Elapsed().Seconds()/1e6, "Mlines/s")
	b.ReportMetric(batch/least.Seconds()/1e6, "best-Mlines/s")
}

// BenchmarkLine reads lines whose envelopes are off, each format by itself, as it is found among all formats.
func BenchmarkLine(b *testing.B) {
	for _, name := range Formats() {
		b.Run(name, func(b *testing.B) {
			lines := readable(b, name)
			r, _ := newReader(b, DefaultConfig(), func(*event.Event) {})
			size := 0
			for i := range lines {
				size += len(lines[i].Raw)
			}
			best(b, size/len(lines), func(i int) { r.Line(&lines[i%len(lines)]) })
		})
	}
}

// BenchmarkDay reads a netfilter log with its envelopes.
func BenchmarkDay(b *testing.B) {
	var log bytes.Buffer
	if err := (fwloggen.Day{Start: received.Truncate(24 * time.Hour), Lines: 100_000, Seed: 1}).Write(&log); err != nil {
		b.Fatal(err)
	}
	lines := bytes.SplitAfter(bytes.TrimSuffix(log.Bytes(), []byte("\n")), []byte("\n"))
	r, _ := newReader(b, DefaultConfig(), func(*event.Event) {})
	p := syslog.NewParser(time.UTC)
	var l syslog.Line
	best(b, log.Len()/len(lines), func(i int) {
		p.Parse(lines[i%len(lines)], received, &l)
		r.Line(&l)
	})
}

// BenchmarkForeign is what lines cost that are of no firewall.
func BenchmarkForeign(b *testing.B) {
	l := line("Jun  1 03:37:28 mx postfix/smtpd[29235]: connect from unknown[192.0.2.9]")
	r, _ := newReader(b, DefaultConfig(), func(*event.Event) {})
	best(b, len(l.Raw), func(int) { r.Line(l) })
}
