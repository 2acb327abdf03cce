package syslog

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var (
	berlin   = location("Europe/Berlin")
	received = time.Date(2024, 1, 12, 10, 0, 0, 0, time.UTC)
)

func location(name string) *time.Location {
	loc, err := time.LoadLocation(name)
	if err != nil {
		panic("the tests need the zones of Debian's tzdata: " + err.Error())
	}
	return loc
}

var sourceNames = [...]string{"arrival", "time of day", "no year", "no zone", "told"}

func TestEnvelopes(t *testing.T) {
	in, err := os.ReadFile("testdata/envelopes.txt")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for line := range bytes.Lines(in) {
		p := NewParser(berlin)
		var l Line
		ok := p.Parse(line, received, &l)
		fmt.Fprintf(&out, "%s\n", bytes.TrimRight(line, "\n"))
		fmt.Fprintf(&out, "  envelope %v, %s, %s", ok, l.Time.Format(time.RFC3339Nano), sourceNames[l.Source])
		if l.Unsynced {
			out.WriteString(", unsynced")
		}
		if l.Priority >= 0 {
			fmt.Fprintf(&out, ", priority %d", l.Priority)
		}
		out.WriteString("\n")
		for _, f := range []struct {
			name  string
			value []byte
		}{{"host", l.Host}, {"tag", l.Tag}, {"pid", l.PID}, {"msgid", l.MsgID}, {"data", l.Data}, {"body", l.Body}} {
			if len(f.value) > 0 {
				fmt.Fprintf(&out, "  %s=%q", f.name, f.value)
			}
		}
		if !bytes.Equal(l.Text, l.Body) {
			fmt.Fprintf(&out, "  text=%q", l.Text)
		}
		out.WriteString("\n")
	}
	const golden = "testdata/envelopes.golden"
	if *update {
		if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), want) {
		t.Errorf("envelopes differ from %s; run with -update and look at the difference:\n%s", golden, out.Bytes())
	}
}
