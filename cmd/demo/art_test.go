package demo

import (
	"testing"
	"time"

	"varde/event"
)

// TestArt: every month has a picture, of equal lines, and each dot of it is drawn once its time has come.
func TestArt(t *testing.T) {
	for month := time.January; month <= time.December; month++ {
		day := time.Date(2026, month, 14, 0, 0, 0, 0, time.UTC)
		dots, early := 0, 0
		Art(day, day.AddDate(0, 0, 1), func(e *event.Event) {
			dots++
			if e.DstPort < 80 || event.Stamp(e.Time).Before(day) || !event.Stamp(e.Time).Before(day.AddDate(0, 0, 1)) {
				t.Errorf("%s: a dot at port %d, %s", month, e.DstPort, event.Stamp(e.Time))
			}
		})
		Art(day, day.Add(12*time.Hour), func(*event.Event) { early++ })
		if dots < 1000 || early == 0 || early >= dots {
			t.Errorf("%s: %d dots, %d at noon", month, dots, early)
		}
	}
	for month, picture := range seasons {
		for _, line := range picture {
			if len(line) != len(picture[0]) {
				t.Errorf("%s: a line of %d signs among those of %d", month, len(line), len(picture[0]))
			}
		}
	}
}
