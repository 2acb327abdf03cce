package mailgw

import (
	"bytes"
	"context"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"varde/event"
	"varde/event/human"
	"varde/input/mailgw/webget"
)

func figure(figures []event.Figure, name string, labels ...string) (event.Figure, bool) {
	for _, f := range figures {
		if f.Name != name {
			continue
		}
		fits := true
		for i := 0; i+1 < len(labels); i += 2 {
			fits = fits && slices.Contains(f.Labels, event.Pair{Key: labels[i], Value: labels[i+1]})
		}
		if fits {
			return f, true
		}
	}
	return event.Figure{}, false
}

func TestGatewayFigures(t *testing.T) {
	stat, err := os.ReadFile("testdata/rspamd_stat.json")
	if err != nil {
		t.Fatal(err)
	}
	up := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !up {
			w.WriteHeader(http.StatusBadGateway)
		}
		w.Write(stat)
	}))
	defer server.Close()
	cfg := DefaultConfig()
	cfg.Amavis.Dir, cfg.Amavis.DBDump, cfg.Rspamd.URL = "testdata/amavis", "", server.URL
	cfg.Postfix.QueueDir, cfg.Postfix.Postqueue = filepath.Join(t.TempDir(), "none"), ""
	cfg.Probes = []ProbeConfig{{Name: "p", Newest: "testdata/amavis/snmp.db"}, {Name: "q", Newest: "testdata/none"}}
	var log bytes.Buffer
	g := New(cfg, nil, webget.New(), slog.New(slog.NewTextHandler(&log, nil)))
	if f, _ := g.Figures(t.Context()); len(f) != 0 {
		t.Errorf("%d figures before anything was asked", len(f))
	}
	g.Refresh(t.Context())
	figures, err := g.Figures(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"amavis_up", nil, 1},
		{"amavis_messages_total", []string{"content", "spam", "flow", "internal"}, 0},
		{"postfix_up", nil, 0},
		{"varde_mail_source_up", []string{"source", "postfix"}, 0},
		{"varde_mail_source_problem", []string{"source", "postfix", "reason", "missing"}, 1},
		{"rspamd_scanned_total", nil, 3},
		{"rspamd_actions_total", []string{"action", "no_action"}, 2},
		{"antivirus_known", []string{"scanner", "p"}, 1},
		{"antivirus_known", []string{"scanner", "q"}, 0},
	} {
		if f, ok := figure(figures, c.name, c.labels...); !ok || f.Float() != c.want {
			t.Errorf("%s %v is %v (%v), want %v", c.name, c.labels, f.Float(), ok, c.want)
		}
	}
	stage, _ := figure(figures, "amavis_stage_seconds_total", "stage", "total")
	if stage.Count == 0 || math.Abs(stage.Float()-float64(stage.Count)/1000) > 1e-9 || stage.Unit != "seconds" {
		t.Errorf("%+v, want seconds of a count in ms", stage)
	}
	if f, ok := figure(figures, "postfix_queue_messages"); ok {
		t.Errorf("%+v of queues that cannot be read", f)
	}
	if _, ok := figure(figures, "antivirus_signatures_age_seconds", "scanner", "q"); ok {
		t.Error("an age of what is not known")
	}
	// What is down now was good a moment ago: figures stay, with their age, and say that it is down.
	up = false
	g.Refresh(t.Context())
	g.now = func() time.Time { return time.Now().Add(time.Minute) }
	figures, _ = g.Figures(t.Context())
	if f, _ := figure(figures, "rspamd_up"); f.Value != 0 {
		t.Error("rspamd is up")
	}
	if f, ok := figure(figures, "rspamd_scanned_total"); !ok || f.Count != 3 || f.Age < time.Minute {
		t.Errorf("%+v %v, want 3, a minute old", f, ok)
	}
	g.now = func() time.Time { return time.Now().Add(time.Hour) }
	figures, _ = g.Figures(t.Context())
	if f, ok := figure(figures, "rspamd_scanned_total"); ok {
		t.Errorf("%+v an hour later", f)
	}
	if n := strings.Count(log.String(), "source=postfix"); n != 1 {
		t.Errorf("%d lines of log on postfix, want one for two attempts:\n%s", n, log.String())
	}
	unique(t, figures)
}

// unique holds that no two figures have the same name and labels, which Prometheus refuses.
func unique(t *testing.T, figures []event.Figure) {
	t.Helper()
	seen := map[string]bool{}
	for _, f := range figures {
		key := f.Name
		for _, l := range f.Labels {
			key += "|" + l.Key + "=" + l.Value
		}
		if seen[key] {
			t.Errorf("%s is there twice", key)
		}
		seen[key] = true
	}
}

// TestEveryCounterIsGiven: what has no family of its own is given by amavis's name, once.
func TestEveryCounterIsGiven(t *testing.T) {
	b, err := os.ReadFile("testdata/snmp_db_dump.txt")
	if err != nil {
		t.Fatal(err)
	}
	dump, err := parseDump(b)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 250 {
		dump.rows = append(dump.rows, row{"virus.byname.V" + strings.Repeat("x", i), "C32 0000000001"})
	}
	v := AmavisValues{Read: time.Now()}
	v.fill(dump.rows)
	figures := amavisFigures(&v)
	unique(t, figures)
	var fromRows, fromFigures uint64
	for i := range v.Values {
		if v.Values[i].IsCounter() {
			fromRows += v.Values[i].Count
		}
	}
	for _, f := range figures {
		if f.Kind == event.Counter && f.Name != "amavis_processes_gone_total" {
			fromFigures += f.Count
		}
	}
	if fromRows-fromFigures != 50 { // viruses beyond the bound, one each
		t.Errorf("counters add up to %d in the rows and %d in the figures", fromRows, fromFigures)
	}
	if f, _ := figure(figures, "amavis_virus_names_left_out"); f.Value != 50 {
		t.Errorf("%v names left out, want 50", f.Value)
	}
}

func TestRunAsksAgainAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(DefaultConfig(), nil, webget.New(), slog.New(slog.DiscardHandler))
		asked := 0
		g.sources = []*source{{name: "slow", every: 10 * time.Second, ask: func(context.Context) ([]event.Figure, time.Time, error) {
			asked++
			time.Sleep(5 * time.Second)
			return nil, time.Now(), nil
		}}}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
		defer cancel()
		if err := g.Run(ctx); err != nil {
			t.Error(err)
		}
		if asked != 3 { // every 45 s: it takes 5 s and then rests eight times as long
			t.Errorf("asked %d times in 100 s, want 3", asked)
		}
	})
}

func TestCheck(t *testing.T) {
	cfg := DefaultConfig()
	if err := cfg.Check(); err != nil {
		t.Error(err)
	}
	for name, check := range map[string]func() error{
		"every":    (&Config{Every: 1}).Check,
		"probes":   (&Config{Every: human.Duration(time.Second), Scanners: human.Duration(time.Second), Probes: []ProbeConfig{{Name: "a"}, {Name: "a"}}}).Check,
		"zmq":      (&AmavisConfig{ZMQ: "127.0.0.1:23233"}).Check,
		"rspamd":   (&RspamdConfig{URL: "127.0.0.1"}).Check,
		"clamd":    (&ClamAVConfig{Clamd: "clamd.ctl"}).Check,
		"database": (&ClamAVConfig{Databases: human.List{"../x"}}).Check,
		"sophos":   (&SophosConfig{Status: "x"}).Check,
	} {
		if check() == nil {
			t.Errorf("%s: an impossible value is allowed", name)
		}
	}
}
