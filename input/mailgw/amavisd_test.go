package mailgw

import (
	"context"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"varde/input/mailgw/amavistest"
)

// TestRealAmavisd reads while two clients send mail through a real amavisd: no counter goes back, and in the end all
// mail is counted, which the file alone does not know.
func TestRealAmavisd(t *testing.T) {
	amavisd := amavistest.Start(t)
	home := amavisd.Home
	a := NewAmavis(AmavisConfig{Dir: home + "/db"})
	ctx, cancel := context.WithCancel(t.Context())
	const each = 15
	var senders sync.WaitGroup
	for range 2 {
		senders.Go(func() {
			for range each {
				if err := amavisd.Send(amavistest.Letter); err != nil {
					t.Error(err)
				}
			}
		})
	}
	go func() { senders.Wait(); cancel() }()
	before := map[string]uint64{}
	reads, busy := 0, 0
	for ctx.Err() == nil {
		v, err := a.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		reads++
		busy = max(busy, v.Processes.Busy)
		for i := range v.Values {
			if x := &v.Values[i]; x.IsCounter() {
				if x.Count < before[x.Name] {
					t.Fatalf("%s was %d and is %d", x.Name, before[x.Name], x.Count)
				}
				before[x.Name] = x.Count
			}
		}
	}
	v, err := a.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	file, _, err := a.snmp.readFile()
	if err != nil {
		t.Fatal(err)
	}
	var old AmavisValues
	old.fill(file.rows)
	t.Logf("%d reads, %+v; InMsgs %d live, %d in the file; at most %d of %d processes busy", reads, a.Stats(), v.Count("InMsgs"), old.Count("InMsgs"), busy, v.Processes.All)
	if v.Count("InMsgs") != 2*each || v.Count("ContentCleanMsgsInbound") != 2*each || v.Source != FromLive {
		t.Errorf("InMsgs %d, clean inbound %d from %s; want %d, live", v.Count("InMsgs"), v.Count("ContentCleanMsgsInbound"), v.Source, 2*each)
	}
	if v.Processes.All != 2 || busy == 0 {
		t.Errorf("%d processes, at most %d busy; want 2 and some", v.Processes.All, busy)
	}
	log, err := os.Open(home + "/log")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	text, err := io.ReadAll(log)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(eventsOf(NewMailLog(), text), `"verdict":"clean"`); n != 2*each {
		t.Errorf("its log gives %d events of clean mail, want %d", n, 2*each)
	}
	if dump, err := exec.LookPath("db_dump"); err == nil {
		want, err := (&dumper{program: dump}).dump(t.Context(), home+"/db", "snmp.db")
		if err != nil {
			t.Fatal(err)
		}
		got, err := a.snmp.read(t.Context(), take)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(sorted(want.rows), sorted(got.rows), cmp.AllowUnexported(row{})); d != "" {
			t.Errorf("db_dump - and + the live reader:\n%s", d)
		}
	}
}
