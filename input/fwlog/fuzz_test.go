package fwlog

import (
	"testing"
	"time"

	"varde/event"
	"varde/input/syslog"
)

// fuzz gives a line to one format. Whatever it is, an event must hold together: it is of the format, it has a kind that
// goes with its action, and it survives its own JSON.
func fuzz(f *testing.F, name string) {
	for _, b := range sample(f, name) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, _ := newReader(t, Config{Format: name}, func(e *event.Event) { check(t, e, name) })
		var l syslog.Line
		syslog.NewParser(time.UTC).Parse(b, received, &l)
		r.Line(&l)
		r.Line(&l) // with what is remembered of it
	})
}

func check(t *testing.T, e *event.Event, name string) {
	quiet := e.Action == event.Accept || e.Action == event.Audit
	if e.Source != name || e.Action == event.NoAction || (e.Kind == event.Flow) != quiet || !quiet && e.Kind != event.Probe {
		t.Errorf("source %s, kind %s, action %s", e.Source, e.Kind, e.Action)
	}
	if e.Src.Is4In6() || e.Dst.Is4In6() || e.Src.Zone() != "" {
		t.Errorf("addresses %s, %s", e.Src, e.Dst)
	}
	if len(e.Rule) > maxText || len(e.InIf) > maxText || len(e.Detail) > 16 {
		t.Errorf("rule of %d bytes, %d details", len(e.Rule), len(e.Detail))
	}
	var again event.Event
	if err := again.ParseJSON(e.AppendJSON(nil)); err != nil {
		t.Error(err)
	}
}

func FuzzNetfilter(f *testing.F) { fuzz(f, "netfilter") }
func FuzzMikrotik(f *testing.F)  { fuzz(f, "mikrotik") }
func FuzzFilterlog(f *testing.F) { fuzz(f, "filterlog") }
func FuzzASA(f *testing.F)       { fuzz(f, "asa") }
func FuzzIOS(f *testing.F)       { fuzz(f, "ios") }
func FuzzJunos(f *testing.F)     { fuzz(f, "junos") }
func FuzzFortigate(f *testing.F) { fuzz(f, "fortigate") }
func FuzzPfirewall(f *testing.F) { fuzz(f, "pfirewall") }
func FuzzVPC(f *testing.F)       { fuzz(f, "vpc") }
func FuzzUlogd(f *testing.F)     { fuzz(f, "ulogd") }
func FuzzIpfw(f *testing.F)      { fuzz(f, "ipfw") }
func FuzzUnifi(f *testing.F)     { fuzz(f, "unifi") }
