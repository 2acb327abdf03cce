package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"image/png"
	"io"
	"mime"
	"mime/multipart"
	netmail "net/mail"
	"os"
	"os/exec"
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
				expected = append(expected, fmt.Sprintf("%s: %s", path, plural(n, "probe")))
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

// TestMorningMail runs the script of the manual: the mail shows the picture of yesterday and says how many probes are in it.
func TestMorningMail(t *testing.T) {
	page, err := os.ReadFile("../../docs/fireplot.md")
	if err != nil {
		t.Fatal(err)
	}
	_, script, ok := strings.Cut(string(page), "    #!/bin/sh\n")
	script, _, ok2 := strings.Cut(script, "\n\nAs text")
	if !ok || !ok2 {
		t.Fatal("docs/fireplot.md shows no script that mails the picture")
	}
	dir, varde := openFolder(t)
	log, mailed := filepath.Join(dir, "ufw.log"), filepath.Join(dir, "mail")
	y, m, d := time.Now().AddDate(0, 0, -1).Date()
	var text bytes.Buffer
	if err := (fwloggen.Day{Start: time.Date(y, m, d, 0, 0, 0, 0, time.Local), Lines: 500, Seed: 1}).Write(&text); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(log, text.Bytes(), 0o600), os.WriteFile(log+".1", nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	script = strings.NewReplacer("varde fireplot", varde+" fireplot", "/var/log/ufw.log", log, "/usr/sbin/sendmail -t", "cat > "+mailed).Replace(script)
	cmd := exec.Command("/bin/sh", "-c", script)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	f, err := os.Open(mailed)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	letter, err := netmail.ReadMessage(f)
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(letter.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/related" || !strings.Contains(letter.Header.Get("Subject"), fmt.Sprintf("%04d-%02d-%02d", y, m, d)) {
		t.Errorf("%v: %v", err, letter.Header)
	}
	parts := multipart.NewReader(letter.Body, params["boundary"])
	words, err := parts.NextPart()
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(words); err != nil || !strings.Contains(string(b), "500 probes") || !strings.Contains(string(b), `src="cid:picture"`) {
		t.Errorf("%v: %s", err, b)
	}
	image, err := parts.NextPart()
	if err != nil {
		t.Fatal(err)
	}
	picture, err := png.Decode(base64.NewDecoder(base64.StdEncoding, image))
	if err != nil || picture.Bounds().Dx() != 1600 || image.Header.Get("Content-ID") != "<picture>" {
		t.Errorf("%v: %v", err, image.Header)
	}
	if _, err := parts.NextPart(); !errors.Is(err, io.EOF) {
		t.Errorf("the mail goes on: %v", err)
	}
}
