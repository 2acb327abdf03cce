package syslog

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestYear: a time without a year is the latest that is not more than a day ahead.
func TestYear(t *testing.T) {
	for _, c := range []struct{ line, zone, received, want string }{
		{"Jan 12 10:00:00 h x", "UTC", "2024-01-12T10:00:01Z", "2024-01-12T10:00:00Z"},
		{"Dec 31 23:59:59 h x", "UTC", "2024-01-01T00:00:01Z", "2023-12-31T23:59:59Z"},
		{"Jan  1 00:30:00 h x", "Europe/Berlin", "2023-12-31T23:30:01Z", "2023-12-31T23:30:00Z"},
		{"Jan  1 05:00:00 h x", "UTC", "2023-12-31T23:59:00Z", "2024-01-01T05:00:00Z"}, // its clock or zone is ahead
		{"Jan  2 05:00:00 h x", "UTC", "2023-12-31T23:59:00Z", "2023-01-02T05:00:00Z"}, // too far ahead
		{"Feb 29 12:00:00 h x", "UTC", "2024-03-01T00:00:00Z", "2024-02-29T12:00:00Z"},
		{"Feb 29 12:00:00 h x", "UTC", "2023-03-01T00:00:00Z", "2020-02-29T12:00:00Z"},
		{"Feb 29 12:00:00 h x", "UTC", "1903-03-01T00:00:00Z", "1896-02-29T12:00:00Z"}, // 1900 was none
		{"Jul  1 12:00:00 h x", "America/New_York", "2024-07-01T16:00:00Z", "2024-07-01T16:00:00Z"},
		{"23:59:00 firewall,info x", "UTC", "2024-01-12T00:01:00Z", "2024-01-11T23:59:00Z"},
		{"00:01:00 firewall,info x", "UTC", "2024-01-12T23:59:30Z", "2024-01-13T00:01:00Z"}, // a minute and a half ahead
		{"03:00:00 firewall,info x", "Asia/Tokyo", "2024-01-11T19:00:00Z", "2024-01-11T18:00:00Z"},
		{"Jun  7 12:00:60 h x", "UTC", "2024-06-08T00:00:00Z", "2024-06-07T12:01:00Z"},
		{"Oct  4 2018 12:00:00 CEST: %ASA", "UTC", "2024-06-08T00:00:00Z", "2018-10-04T10:00:00Z"},
		{"Oct  4 2018 12:00:00 AEDT: %ASA", "Australia/Sydney", "2024-06-08T00:00:00Z", "2018-10-04T01:00:00Z"},
	} {
		at, err := time.Parse(time.RFC3339, c.received)
		if err != nil {
			t.Fatal(err)
		}
		var l Line
		if !NewParser(location(c.zone)).Parse([]byte(c.line), at, &l) || l.Time.UTC().Format(time.RFC3339) != c.want {
			t.Errorf("%q in %s at %s is %s, want %s", c.line, c.zone, c.received, l.Time.UTC().Format(time.RFC3339), c.want)
		}
	}
}

// TestFold walks through the hours when clocks are put back and forth. As long as lines come live or in order, each
// has its true time, whether the line before was of the same hour or not.
func TestFold(t *testing.T) {
	for _, c := range []struct {
		name, zone, begin string
		delay             time.Duration
	}{
		{"live", "Europe/Berlin", "2024-10-26T22:00:00Z", time.Second},
		{"live, thirty minutes", "Australia/Lord_Howe", "2024-04-06T12:00:00Z", time.Second},
		{"caught up later", "Europe/Berlin", "2024-10-26T22:00:00Z", 40 * time.Hour},
		{"file of last year", "America/New_York", "2023-11-05T02:00:00Z", 200 * 24 * time.Hour},
		{"clocks forward", "Europe/Berlin", "2024-03-30T22:00:00Z", time.Second},
	} {
		begin, _ := time.Parse(time.RFC3339, c.begin)
		zone := location(c.zone)
		for _, anchored := range []bool{false, true} {
			p := NewParser(zone)
			if anchored {
				p.Anchor(begin)
			}
			for m := range 8 * 12 {
				at := begin.Add(time.Duration(m) * 5 * time.Minute)
				received := at.Add(c.delay)
				if c.delay > time.Hour {
					received = begin.Add(c.delay)
				}
				var l Line
				p.Parse([]byte(at.In(zone).Format(time.Stamp)+" h x"), received, &l)
				if !l.Time.Equal(at) {
					t.Errorf("%s, anchored %v: %s became %s", c.name, anchored, at.In(zone), l.Time)
				}
			}
		}
	}
}

// TestLongFile reads a log of three years without years, in which some lines are out of order around New Year.
func TestLongFile(t *testing.T) {
	begin := time.Date(2021, 11, 20, 8, 0, 0, 0, berlin)
	var lines []string
	var want []time.Time
	for d := range 3*365 + 40 {
		at := begin.AddDate(0, 0, d)
		want = append(want, at)
	}
	for i := 3; i < len(want); i++ {
		if want[i].Month() == 1 && want[i].Day() == 2 {
			want[i-3], want[i-1] = want[i-1], want[i-3] // 30 December and 1 January
		}
	}
	years := NewYears(berlin)
	for _, at := range want {
		line := "<13>" + at.Format(time.Stamp) + " h x"
		lines = append(lines, line)
		years.Line([]byte(line))
	}
	changed := want[len(want)-1].Add(20 * 24 * time.Hour)
	p := NewParser(berlin)
	p.Anchor(years.First(changed))
	for i, line := range lines {
		var l Line
		if p.Parse([]byte(line), changed, &l); !l.Time.Equal(want[i]) {
			t.Fatalf("line %d, %q is %s, want %s", i, line, l.Time, want[i])
		}
	}
	if !NewYears(berlin).First(changed).IsZero() {
		t.Error("no lines began somewhere")
	}
}

// TestSameAsGo compares the time of every hour of some years with what Go's own parser makes of it.
func TestSameAsGo(t *testing.T) {
	for _, name := range []string{"UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Apia", "Africa/Casablanca"} {
		zone := location(name)
		p := NewParser(zone)
		for at := time.Date(2010, 12, 1, 0, 0, 0, 0, time.UTC); at.Year() < 2014; at = at.Add(59 * time.Minute) {
			wall := at.In(zone).Format("2006-01-02T15:04:05")
			var l Line
			p.Parse([]byte(wall+" h x"), at, &l)
			want, _ := time.ParseInLocation("2006-01-02T15:04:05", wall, zone)
			if l.Time.Format("2006-01-02T15:04:05") != wall || !l.Time.Equal(want) && !l.Time.Equal(at) {
				t.Fatalf("%s in %s is %s, want %s", wall, name, l.Time, want)
			}
		}
	}
}

func TestNoAllocations(t *testing.T) {
	p := NewParser(berlin)
	for _, line := range benchLines {
		var l Line
		p.Parse([]byte(line), received, &l)
		if n := testing.AllocsPerRun(100, func() { p.Parse([]byte(line), received, &l) }); n > 1 {
			t.Errorf("%v allocations for %q", n, line)
		}
		b := []byte(line)
		if n := testing.AllocsPerRun(100, func() { p.Parse(b, received, &l) }); n > 0 {
			t.Errorf("%v allocations for %q", n, line)
		}
	}
}

const netfilter = "IN=eth0 OUT= MAC=52:54:00:12:34:56:52:54:00:65:43:21:08:00 SRC=192.0.2.1 DST=198.51.100.2 LEN=40 TOS=0x00 " +
	"PREC=0x00 TTL=244 ID=54321 PROTO=TCP SPT=40000 DPT=7547 WINDOW=1024 RES=0x00 SYN URGP=0"

var benchLines = map[string]string{
	"rfc3164":     "<4>Jan 12 10:11:12 fw kernel: [123456.789012] " + netfilter,
	"file":        "Jan 12 10:11:12 fw kernel: [123456.789012] " + netfilter,
	"rfc3339":     "2024-01-12T10:11:12.123456+01:00 fw kernel: [123456.789012] " + netfilter,
	"rfc5424":     `<134>1 2024-01-12T10:11:12.345678+01:00 opn filterlog 72237 - [meta sequenceId="17"] ` + netfilter,
	"cisco":       "<187>000123: R1: .Oct  9 11:59:59.483 CEST: %SEC-6-IPACCESSLOGP: list 102 denied tcp 192.0.2.1(5) -> 198.51.100.2(23), 1 packet",
	"routeros":    "<30>Jan  2 12:33:18 MikroTik firewall,info fw-drop input: in:ether1 out:(unknown 0), proto TCP (SYN), 192.0.2.1:5->198.51.100.2:23, len 40",
	"journal":     `{"__CURSOR":"s=1;i=2","__REALTIME_TIMESTAMP":"1704881532123456","_HOSTNAME":"fw","SYSLOG_IDENTIFIER":"kernel","PRIORITY":"4","SYSLOG_FACILITY":"0","MESSAGE":"[UFW \"BLOCK\"] ` + netfilter + `"}`,
	"no_envelope": netfilter,
}

func BenchmarkParse(b *testing.B) {
	for name, line := range benchLines {
		b.Run(name, func(b *testing.B) {
			p := NewParser(berlin)
			raw := []byte(line)
			var l Line
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				p.Parse(raw, received, &l)
			}
			b.ReportMetric(1e3/(float64(b.Elapsed().Nanoseconds())/float64(b.N)), "Mlines/s")
		})
	}
}

// BenchmarkDay parses a log whose seconds go on, as real ones do.
func BenchmarkDay(b *testing.B) {
	var lines [][]byte
	for s := range 3600 {
		lines = append(lines, []byte(fmt.Sprintf("Jan 12 10:%02d:%02d fw kernel: %s", s/60, s%60, netfilter)))
	}
	p := NewParser(berlin)
	var l Line
	i := 0
	for b.Loop() {
		p.Parse(lines[i%len(lines)], received, &l)
		i++
	}
	if !strings.HasPrefix(string(l.Body), "IN=") {
		b.Fatal(string(l.Body))
	}
}
