package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestHeadPassesWholeLines(t *testing.T) {
	var out bytes.Buffer
	h := &head{w: &out, left: 3}
	for _, part := range []string{"a\nb", "b\n", "cc\nd\n"} {
		if _, err := h.Write([]byte(part)); err != nil && !errors.Is(err, errFull) {
			t.Fatal(err)
		}
	}
	if out.String() != "a\nbb\ncc\n" {
		t.Errorf("%q", out.String())
	}
}

func TestProgramThatReadsLess(t *testing.T) {
	p := program{name: "echo", command: []string{"echo", "5 events in"}, found: "%d events"}
	if _, err := p.least(t.Context(), "log", 5, 1); err != nil {
		t.Error(err)
	}
	if _, err := p.least(t.Context(), "log", 6, 1); err == nil || !strings.Contains(err.Error(), "6 events") {
		t.Errorf("%v, want an error for lines that were not read", err)
	}
}
