package fwloggen

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestDay(t *testing.T) {
	day := Day{Start: time.Date(2024, 6, 1, 0, 0, 0, 0, time.UTC), Lines: 20_000, Seed: 7}
	var a, b bytes.Buffer
	if err := day.Write(&a); err != nil {
		t.Fatal(err)
	}
	if err := day.Write(&b); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("the same seed gives another log")
	}
	log := a.String()
	if n := strings.Count(log, "\n"); n != day.Lines {
		t.Errorf("%d lines, want %d", n, day.Lines)
	}
	if n := strings.Count(log, "HOPLIMIT="); n < day.Lines/12 || n > day.Lines/7 {
		t.Errorf("%d lines of IPv6, want about %v", n, ipv6Share*float64(day.Lines))
	}
	at := strings.Index(log, "\nJun  1 14:50:")
	before, after := strings.Count(log[:at], "DPT=7547 "), strings.Count(log[at:], "DPT=7547 ")
	if after < 20*(before+1) {
		t.Errorf("port %d: %d lines before 14:50 and %d after: no surge", surgePort, before, after)
	}
	if !strings.HasPrefix(log, "Jun  1 00:00:00 fw kernel: ") || !strings.Contains(log[len(log)-400:], "\nJun  1 23:59:5") {
		t.Error("the log does not span the day")
	}
}
