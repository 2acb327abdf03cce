package query

import (
	"strings"
	"testing"
	"time"

	"varde/event"
)

// zone loads a zone or skips: the host may have no zone files.
func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Skipf("no time zones here: %v", err)
	}
	return loc
}

func TestRange(t *testing.T) {
	now := time.Date(2026, 11, 23, 15, 30, 12, 500, time.UTC)
	for _, c := range []struct{ text, from, to string }{
		{"90d", "2026-08-25T15:30:12.0000005Z", "2026-11-23T15:30:12.0000005Z"},
		{"-24h", "2026-11-22T15:30:12.0000005Z", "2026-11-23T15:30:12.0000005Z"},
		{" 2w ", "2026-11-09T15:30:12.0000005Z", "2026-11-23T15:30:12.0000005Z"},
		{"2026-11-01", "2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"},
		{"2026-12-31", "2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z"},
		{"2026-02", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"},
		{"2026-12", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"},
		{"2026-11-01T12", "2026-11-01T12:00:00Z", "2026-11-01T13:00:00Z"},
		{"2026-11-01T12:00", "2026-11-01T12:00:00Z", "2026-11-01T12:01:00Z"},
		{"2026-11-01 12:00", "2026-11-01T12:00:00Z", "2026-11-01T12:01:00Z"},
		{"2026-11-01t12:00:05z", "2026-11-01T12:00:05Z", "2026-11-01T12:00:06Z"},
		{"2026-11-01T12:00:05.25", "2026-11-01T12:00:05.25Z", "2026-11-01T12:00:05.26Z"},
		{"2026-11-01T12:00:05.123456789+02:00", "2026-11-01T10:00:05.123456789Z", "2026-11-01T10:00:05.12345679Z"},
		{"2026-11-01T12:00+01:00", "2026-11-01T11:00:00Z", "2026-11-01T11:01:00Z"},
		{"today", "2026-11-23T00:00:00Z", "2026-11-24T00:00:00Z"},
		{"Yesterday", "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z"},
		{"2026-11-01..2026-11-03", "2026-11-01T00:00:00Z", "2026-11-04T00:00:00Z"},
		{"-24h..-12h", "2026-11-22T15:30:12.0000005Z", "2026-11-23T03:30:12.0000005Z"},
		{"yesterday..now", "2026-11-22T00:00:00Z", "2026-11-23T15:30:12.0000005Z"},
		{"2026-11-01..", "2026-11-01T00:00:00Z", ""},
		{"..2026-11-01", "", "2026-11-02T00:00:00Z"},
		{"..", "", ""},
		{"100000d", "", "2026-11-23T15:30:12.0000005Z"},
	} {
		from, to, err := Range(c.text, now)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if f, l := stampText(from), stampText(to); f != c.from || l != c.to {
			t.Errorf("%s: from %s to %s, want %s to %s", c.text, f, l, c.from, c.to)
		}
	}
}

func stampText(ns int64) string {
	if ns == 0 {
		return ""
	}
	return event.Stamp(ns).Format(time.RFC3339Nano)
}

func TestRangeRefuses(t *testing.T) {
	now := time.Date(2026, 11, 23, 15, 30, 0, 0, time.UTC)
	for _, text := range []string{
		"", "tomorrow", "2026", "2026-13-01", "2026-02-30", "2026-11-01T25:00", "12:00", "nand", "5", "1h30", "--5m", "now", "0s",
		"2026-11-03..2026-11-01", "2500-01-01", "0001-01-01", "1950-01-01", "a..b", "1d..x", "2026-11-01T12:00Europe/Oslo", "2026-11-01..2026-11-02..",
	} {
		if from, to, err := Range(text, now); err == nil {
			t.Errorf("%q gives %s to %s", text, stampText(from), stampText(to))
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v is more than a line", text, err)
		}
	}
}

// TestRangeZones has days that are not 24 hours long, and days whose midnight is never or twice.
func TestRangeZones(t *testing.T) {
	for _, c := range []struct{ zone, text, from, to string }{
		{"Europe/Oslo", "2026-03-29", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"},
		{"Europe/Oslo", "2026-10-25", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"},
		{"Europe/Oslo", "2026-07-01T12:00", "2026-07-01T10:00:00Z", "2026-07-01T10:01:00Z"},
		{"Europe/Oslo", "2026-07-01T12:00Z", "2026-07-01T12:00:00Z", "2026-07-01T12:01:00Z"},
		{"Europe/Oslo", "yesterday", "2026-11-21T23:00:00Z", "2026-11-22T23:00:00Z"},
		{"America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"}, // clocks went from 0:00 to 1:00
		{"America/Sao_Paulo", "2018-11-03", "2018-11-03T03:00:00Z", "2018-11-04T03:00:00Z"},
		{"America/Havana", "2025-11-02", "2025-11-02T04:00:00Z", "2025-11-03T05:00:00Z"}, // 0:00 to 1:00 was twice
		{"Asia/Kathmandu", "today", "2026-11-22T18:15:00Z", "2026-11-23T18:15:00Z"},
		{"Pacific/Kiritimati", "today", "2026-11-23T10:00:00Z", "2026-11-24T10:00:00Z"}, // already the 24th there
	} {
		now := time.Date(2026, 11, 23, 15, 30, 0, 0, time.UTC).In(zone(t, c.zone))
		from, to, err := Range(c.text, now)
		if err != nil {
			t.Errorf("%s in %s: %v", c.text, c.zone, err)
		} else if f, l := stampText(from), stampText(to); f != c.from || l != c.to {
			t.Errorf("%s in %s: from %s to %s, want %s to %s", c.text, c.zone, f, l, c.from, c.to)
		}
	}
}
