package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"varde/cmd/config"
	"varde/output/agentx/snmpdtest"
)

// gateway is a daemon whose every part about mail is configured, and what it exposes.
func gateway(t *testing.T, more string) (address string, log *lines) {
	t.Helper()
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	const samples = "../../input/mailgw/testdata/"
	must(os.CopyFS(dir+"/amavis", os.DirFS(samples+"amavis")))
	for _, q := range []string{"maildrop", "incoming", "active", "deferred", "hold", "corrupt"} {
		must(os.MkdirAll(filepath.Join(dir, "queue", q), 0o700))
	}
	must(os.WriteFile(dir+"/queue/hold/4jY04W1ctTz1W74w", []byte("x"), 0o700))
	stat, err := os.ReadFile(samples + "rspamd_stat.json")
	must(err)
	rspamd := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(stat) }))
	t.Cleanup(rspamd.Close)
	text, err := os.ReadFile(samples + "postfix.log")
	must(err)
	must(os.WriteFile(dir+"/mail.log", text, 0o600))
	must(os.WriteFile(dir+"/list.txt", []byte("192.0.2.1\n"), 0o600))
	must(os.WriteFile(dir+"/signatures", []byte("x"), 0o600))
	address = freeTCP(t)
	cfg, err := config.Parse("varde.yaml", fmt.Appendf(nil, `
data_dir: %[1]s/data
web: {listen: "127.0.0.1:0"}
netflow: {listen: "127.0.0.1:0", buffer: 64KiB}
lists: [{name: l, file: %[1]s/list.txt}]
http: {listen: %[2]q}
mail:
  every: 1s
  amavis: {dir: %[1]s/amavis}
  postfix: {queue_dir: %[1]s/queue, postqueue: ""}
  rspamd: {url: %[3]q}
  probes: [{name: own, newest: %[1]s/signatures}]
mail_log: {paths: [%[1]s/mail.log], from_start: true}
%[4]s`, dir, address, rspamd.URL, more))
	must(err)
	log = &lines{}
	d, err := newDaemon(cfg, slog.New(slog.NewTextHandler(log, nil)))
	must(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return address, log
}

func metrics(t *testing.T, address string) string {
	t.Helper()
	resp, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v, %s", resp.Status, err, b)
	}
	return string(b)
}

// TestMailGateway: what amavis, Postfix, rspamd and the mail log tell comes out as metrics, zeros too and without
// timestamps, and over SNMP where there is an snmpd.
func TestMailGateway(t *testing.T) {
	m := snmpdtest.Start(t, false)
	address, _ := gateway(t, "agentx: {master: "+m.Socket+", every: 100ms}\n")
	text := ""
	waitFor(t, "figures of all parts", func() bool {
		text = metrics(t, address)
		return strings.Contains(text, "\namavis_up 1\n") && strings.Contains(text, "\npostfix_up 1\n") && strings.Contains(text, "\nrspamd_up 1\n") &&
			!strings.Contains(text, "\nvarde_mail_log_events_total 0\n") && strings.Contains(text, "\nvarde_agentx_connected 1\n")
	})
	for _, want := range []string{
		`amavis_messages_total{content="spam",flow="inbound"} `, `amavis_messages_total{content="virus",flow="open_relay"} 0` + "\n",
		`amavis_message_bytes_total{flow="inbound"} `, `amavis_processes{state="busy"} `, `amavis_stage_seconds_total{stage="spamcheck"} `,
		`postfix_queue_messages{queue="hold"} 1` + "\n", `postfix_queue_messages{queue="corrupt"} 0` + "\n",
		`postfix_queue_oldest_age_seconds{queue="deferred"} 0` + "\n", "amavis_data_age_seconds ", `rspamd_actions_total{action="reject"} `,
		`varde_follow_lines_total{log="mail"} `, `antivirus_known{database="",scanner="own"} 1` + "\n",
	} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("no line begins with %q", want)
		}
	}
	if line := regexp.MustCompile(`(?m)^[a-z]\w*(?:\{.*\})? \S+ \d+$`).FindString(text); line != "" {
		t.Errorf("a timestamp stands in %q", line)
	}
	const own = ".1.3.6.1.4.1.8072.9999.9999.82733"
	var walk string
	waitFor(t, "values over SNMP", func() bool {
		out, err := m.Run("snmpbulkwalk", own+".1")
		walk = out
		return err == nil && strings.Contains(out, own+".1.14.1.3.5 = Gauge32: 1\n")
	})
	for _, want := range []string{
		own + ".1.6.1.0 = INTEGER: 1",                  // amavis is up
		own + ".1.2.4.0 = Counter64: 0",                // warnings
		own + ".1.3.2.0 = Counter64: 0",                // flow records
		own + ".1.12.1.2.108 = Gauge32: 1",             // entries of the list l
		own + ".1.16.1.3.3.111.119.110.0 = INTEGER: 1", // own's signatures are known
	} {
		if !strings.Contains(walk, want+"\n") {
			t.Errorf("no line %q in the walk", want)
		}
	}
	if out := m.Must("snmpget", ".1.3.6.1.4.1.15312.2.1.1.2.1.0"); !strings.Contains(out, "Counter32: ") || strings.Contains(out, ": 0\n") {
		t.Errorf("InMsgs over SNMP: %s", out)
	}
}

// TestDashboard: every query of the Grafana dashboard asks only for families and labels that are there.
func TestDashboard(t *testing.T) {
	address, _ := gateway(t, "")
	waitFor(t, "figures", func() bool {
		text := metrics(t, address)
		return strings.Contains(text, "\namavis_up 1\n") && strings.Contains(text, "\npostfix_up 1\n") && strings.Contains(text, "\nrspamd_up 1\n")
	})
	labels := map[string][]string{} // by family
	for line := range strings.Lines(metrics(t, address)) {
		if f := regexp.MustCompile(`^([a-z]\w*)(?:\{(.*)\})? \S+\n$`).FindStringSubmatch(line); f != nil {
			if _, there := labels[f[1]]; !there {
				labels[f[1]] = nil
			}
			for _, l := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(f[2], -1) {
				labels[f[1]] = append(labels[f[1]], l[1])
			}
		}
	}
	text, err := os.ReadFile("../../docs/grafana/varde.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	queries := 0
	for _, p := range dashboard.Panels {
		for _, q := range p.Targets {
			queries++
			families := regexp.MustCompile(`\b(?:varde|amavis|postfix|rspamd|antivirus|clamd|clamav|freshclam|process|go)_\w+`).FindAllString(q.Expr, -1)
			if len(families) == 0 {
				t.Errorf("%s: %s names no family", p.Title, q.Expr)
			}
			var known []string
			for _, f := range families {
				ls, there := labels[f]
				if !there {
					t.Errorf("%s: there is no %s", p.Title, f)
				}
				known = append(known, ls...)
			}
			used := regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(q.LegendFormat, -1)
			used = append(used, regexp.MustCompile(`(\w+)[=!]~?"`).FindAllStringSubmatch(q.Expr, -1)...)
			for _, by := range regexp.MustCompile(`\bby \(([^)]*)\)`).FindAllStringSubmatch(q.Expr, -1) {
				for _, l := range strings.Split(by[1], ",") {
					used = append(used, []string{"", strings.TrimSpace(l)})
				}
			}
			for _, u := range used {
				if !slices.Contains(known, u[1]) && u[1] != "instance" && u[1] != "job" { // those are Prometheus's own
					t.Errorf("%s: %s has no label %s", p.Title, q.Expr, u[1])
				}
			}
		}
	}
	if queries < 20 {
		t.Errorf("%d queries were looked at", queries)
	}
}
