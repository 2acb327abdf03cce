package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"varde/input/fwlog/fwloggen"
)

// month is a folder of the logs of some days as logrotate leaves it: rotated daily at 06:25, packed from the second on. It
// gives how many lines each day has.
func month(t *testing.T, dir string, first time.Time, days, lines int) map[string]int {
	t.Helper()
	want := map[string]int{}
	pieces := make([]bytes.Buffer, days+1) // by the morning on which each is rotated
	for i := range days {
		begin := first.AddDate(0, 0, i)
		var log bytes.Buffer
		if err := (fwloggen.Day{Start: begin, Lines: lines, Seed: uint64(i)}).Write(&log); err != nil {
			t.Fatal(err)
		}
		want[begin.Format(time.DateOnly)] = lines
		for line := range bytes.Lines(log.Bytes()) {
			piece := i
			if string(line[len("Jan 02 "):len("Jan 02 15:04")]) >= "06:25" {
				piece++
			}
			pieces[piece].Write(line)
		}
	}
	for i := range pieces {
		rotated := first.AddDate(0, 0, i).Add(6*time.Hour + 25*time.Minute)
		name, b := filepath.Join(dir, "router.log"), pieces[i].Bytes()
		if age := days - i; age > 0 {
			name += fmt.Sprintf(".%d", age)
			if age > 1 {
				name += ".gz"
				var packed bytes.Buffer
				z := gzip.NewWriter(&packed)
				z.ModTime = rotated
				z.Write(b)
				z.Close()
				b = packed.Bytes()
			}
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, rotated, rotated); err != nil {
			t.Fatal(err)
		}
	}
	return want
}

// TestMonthOfLogs is what somebody does first who has a folder of a router's logs: one command, a picture for each day. The
// lines have no year, and the times of one zone; the clock is put back in one of the months, and put forward in another.
func TestMonthOfLogs(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Oslo")
	if err != nil {
		t.Skip("the zones of Debian's tzdata are missing")
	}
	const lines = 2000
	for _, first := range []time.Time{
		time.Date(2025, 10, 10, 0, 0, 0, 0, zone), // put back on 26 October
		time.Date(2024, 12, 15, 0, 0, 0, 0, zone), // another year begins
		time.Date(2024, 2, 20, 0, 0, 0, 0, zone),  // 29 February
	} {
		t.Run(first.Format("January"), func(t *testing.T) {
			dir, pictures := t.TempDir(), filepath.Join(t.TempDir(), "pictures")
			want := month(t, dir, first, 30, lines)
			cmd := fireplotCommand()
			var said bytes.Buffer
			cmd.SetErr(&said)
			cmd.SetArgs([]string{"--each", "--tz", "Europe/Oslo", "-o", pictures, dir})
			began := time.Now()
			if err := cmd.Execute(); err != nil {
				t.Fatal(err)
			}
			took := time.Since(began)
			t.Logf("%d lines and %d pictures in %s", 30*lines, len(want), took.Round(time.Millisecond))
			var expected []string
			for day, n := range want {
				path := filepath.Join(pictures, "fireplot-"+day+".png")
				expected = append(expected, fmt.Sprintf("%s: %d probes", path, n))
				f, err := os.Open(path)
				if err != nil {
					t.Error(err)
					continue
				}
				if picture, err := png.Decode(f); err != nil || picture.Bounds().Dx() != 1600 {
					t.Errorf("%s: %v", path, err)
				}
				f.Close()
			}
			slices.Sort(expected)
			if got := strings.Split(strings.TrimSpace(said.String()), "\n"); !slices.Equal(got, expected) {
				t.Errorf("said\n%s\nwant\n%s", said.String(), strings.Join(expected, "\n"))
			}
		})
	}
}
