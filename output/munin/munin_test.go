package munin

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"varde/event"
)

var update = flag.Bool("update", false, "write testdata anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := "testdata/" + name
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; -update writes it anew:\n%s", path, got)
	}
}

// sample is a figure or two of every graph.
type sample struct{ err error }

func (s sample) Figures(context.Context) ([]event.Figure, error) {
	stage := event.Count("amavis_stage_seconds_total", "", 1567, "stage", "spamcheck")
	stage.Scale = 0.001
	return []event.Figure{
		event.Count("varde_events_kind_total", "", 1020, "kind", "tunnel"),
		event.Count("varde_logins_total", "", 7, "result", "rejected"),
		event.Count("varde_probe_events_total", "", 1<<60, "proto", "tcp"),
		event.Count("varde_flow_exporter_records_total", "", 1000, "exporter", "192.0.2.1"),
		event.Count("varde_flow_exporter_records_total", "", 50, "exporter", "edge router"),
		event.Count("varde_flow_lost_before_total", "", 3, "exporter", "192.0.2.1"),
		event.Count("varde_warnings_total", "", 64),
		event.Count("amavis_messages_all_total", "", 32, "content", "clean"),
		event.Count("amavis_messages_all_total", "", 0, "content", "virus"),
		event.Measure("postfix_queue_messages", "", "", 17, "queue", "deferred"),
		event.Measure("postfix_queue_messages", "", "", 0, "queue", "hold"),
		event.Measure("varde_list_checked_seconds", "", "seconds", 43200, "list", "feodo tracker"),
		event.Measure("varde_list_checked_seconds", "", "seconds", 86400, "list", "feodo_tracker"),
		stage,
	}, s.err
}

func TestGraphs(t *testing.T) {
	figures, _ := sample{}.Figures(t.Context())
	text := strings.Join(Suggest(figures), " ") + "\n"
	for _, name := range []string{"tunnels", "flows", "mail", "queues", "stages", "lists"} {
		for _, caps := range []Caps{{}, {Multigraph: true, DirtyConfig: true}} {
			g := Find(Prefix + name)
			text += fmt.Sprintf("\n%s config %+v\n%s\n%s fetch\n%s", name, caps, g.Config(figures, caps), name, g.Fetch(figures, caps))
		}
	}
	golden(t, "graphs.txt", text)
}

var (
	attribute = regexp.MustCompile(`^(?:graph_(?:title|vlabel|category|args|scale|info|period) \S.*|multigraph varde_[a-z_]+(?:\.[A-Za-z_][A-Za-z0-9_]*)?|[A-Za-z_][A-Za-z0-9_]*\.(?:label|min|type|draw|info|cdef) \S.*)$`)
	value     = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*\.value (?:U|-?[0-9]+(?:\.[0-9]+)?)$`)
)

// wellFormed tells what Munin would not understand, or what is there twice in one graph.
func wellFormed(config, fetch string) error {
	for i, text := range []string{config, fetch} {
		seen := map[string]bool{}
		for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
			if strings.HasPrefix(line, "multigraph ") {
				seen = map[string]bool{}
			}
			if i == 0 && !attribute.MatchString(line) || i == 1 && !value.MatchString(line) && !attribute.MatchString(line) {
				return fmt.Errorf("line %q", line)
			}
			key, _, _ := strings.Cut(line, " ")
			if seen[key] {
				return fmt.Errorf("%q is there twice", key)
			}
			seen[key] = true
		}
	}
	return nil
}

// TestTable: every graph can be drawn from no figures at all, as unknown and never as zero, and names nothing twice.
func TestTable(t *testing.T) {
	var names []string
	for _, g := range Graphs() {
		if slices.Contains(names, g.Name) || Find(g.Name) == nil || g.Help == "" || strings.HasSuffix(g.Title, ".") {
			t.Errorf("graph %s", g.Name)
		}
		names = append(names, g.Name)
		if g.Known(nil) {
			t.Errorf("%s is known without figures", g.Name)
		}
		fetch := g.Fetch(nil, Caps{})
		if strings.Contains(fetch, ".value 0") {
			t.Errorf("%s: zero without figures: %s", g.Name, fetch)
		}
		if fetch == "" {
			continue
		}
		if err := wellFormed(g.Config(nil, Caps{}), fetch); err != nil {
			t.Errorf("%s: %v", g.Name, err)
		}
	}
}

func FuzzGraph(f *testing.F) {
	f.Add("edge\n.value 5", "a b", 1.5)
	f.Add("root", "root", 0.0)
	f.Add("", "\xff#$\\", -1e300)
	f.Fuzz(func(t *testing.T, a, b string, v float64) {
		var figures []event.Figure
		for _, g := range Graphs() {
			for _, s := range g.Series {
				for _, x := range []string{a, b} {
					labels := append(slices.Clone(s.with), s.by, x, g.Split, x)
					figures = append(figures, event.Measure(s.figure, "", "", v, labels...))
				}
			}
		}
		for _, g := range Graphs() {
			caps := Caps{Multigraph: true}
			if err := wellFormed(g.Config(figures, caps), g.Fetch(figures, caps)); err != nil {
				t.Fatalf("%s: %v", g.Name, err)
			}
		}
	})
}

func TestPlugin(t *testing.T) {
	run := func(figures event.Figures, name, what string) (string, error) {
		var b strings.Builder
		err := (&Plugin{Figures: figures}).Run(t.Context(), &b, name, what)
		return b.String(), err
	}
	down := sample{errors.New("connection refused")}
	for _, c := range []struct {
		figures    event.Figures
		name, what string
		want       string
		fails      bool
	}{
		{sample{}, "varde_", "autoconf", "yes\n", false},
		{down, "varde_", "autoconf", "no (connection refused)\n", false},
		{nothing{}, "varde_", "autoconf", "no (varde has no figures)\n", false},
		{sample{}, "varde_", "suggest", "tunnels\nlogins\n", false},
		{down, "varde_", "suggest", "", true},
		{sample{}, "varde_tunnels", "", "tunnels.value 1020\n", false},
		{sample{}, "tunnels", "config", "graph_title Tunnelling attempts\ngraph_vlabel attempts per ${graph_period}\n", false},
		{down, "varde_tunnels", "", "", true},
		{sample{}, "varde_none", "", "", true},
		{sample{}, "varde_tunnels", "snmpconf", "", true},
	} {
		got, err := run(c.figures, c.name, c.what)
		if !strings.HasPrefix(got, c.want) || (err != nil) != c.fails {
			t.Errorf("%s %s: %q, %v; want %q", c.name, c.what, got, err, c.want)
		}
	}
	if w := Wrapper("/opt/it's/varde"); !strings.Contains(w, `exec '/opt/it'\''s/varde' munin`) {
		t.Error(w)
	}
}

type nothing struct{}

func (nothing) Figures(context.Context) ([]event.Figure, error) { return nil, nil }

// start runs a node on loopback.
func start(t *testing.T, figures event.Figures) string {
	t.Helper()
	n, err := NewNode(Config{Listen: "127.0.0.1:0", Name: "edge.example"}, figures, "1.0", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func dial(t *testing.T, addr string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c, bufio.NewReader(c)
}

func TestNode(t *testing.T) {
	c, r := dial(t, start(t, sample{}))
	var talk strings.Builder
	read := func(until func(string) bool) {
		t.Helper()
		for {
			line, err := r.ReadString('\n')
			talk.WriteString(line)
			if err != nil || until(line) {
				return
			}
		}
	}
	one := func(string) bool { return true }
	point := func(line string) bool { return line == ".\n" }
	read(one)
	for _, x := range []struct {
		say   string
		until func(string) bool
	}{
		{"version", one},
		{"nodes", point},
		{"list", one},
		{"list elsewhere.example", one},
		{"fetch varde_tunnels", point},
		{"fetch tunnels", point},
		{"fetch varde_../../etc/passwd", point},
		{"config varde_warnings", point},
		{"fetch varde_flows", point},
		{"cap multigraph dirtyconfig", one},
		{"config varde_flows", point},
		{"delete everything", one},
		{"quit", one},
	} {
		fmt.Fprintf(&talk, "> %s\n", x.say)
		fmt.Fprintf(c, "%s\r\n", x.say)
		read(x.until)
	}
	golden(t, "dialogue.txt", talk.String())
}

func TestNodeBounds(t *testing.T) {
	addr := start(t, sample{errors.New("down")})
	c, r := dial(t, addr)
	r.ReadString('\n')
	fmt.Fprintf(c, "list\n\n   \nfetch varde_tunnels\n")
	for _, want := range []string{"\n", "# Bad exit\n", ".\n"} {
		if line, err := r.ReadString('\n'); line != want {
			t.Errorf("%q, %v; want %q", line, err, want)
		}
	}
	fmt.Fprint(c, strings.Repeat("x", 2*maxCommand))
	if line, _ := r.ReadString('\n'); line != "# Line too long\n" {
		t.Errorf("%q", line)
	}
	if _, err := r.ReadString('\n'); err == nil {
		t.Error("a connection with a line without end stays")
	}
	var open []*bufio.Reader
	for range maxConnections + 1 { // one of the places may still be taken by the first
		_, r := dial(t, addr)
		open = append(open, r)
	}
	greeted := 0
	for _, r := range open {
		if line, _ := r.ReadString('\n'); strings.HasPrefix(line, "# munin node") {
			greeted++
		}
	}
	if greeted > maxConnections || greeted < maxConnections-1 {
		t.Errorf("%d connections are served at a time, want %d", greeted, maxConnections)
	}
}

// peer is a connection from elsewhere.
type peer struct {
	net.Conn
	addr string
}

func (p peer) RemoteAddr() net.Addr { a, _ := net.ResolveTCPAddr("tcp", p.addr); return a }

func TestMay(t *testing.T) {
	n, err := NewNode(Config{Allow: []string{"192.0.2.10", "2001:db8::/32"}}, sample{}, "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]bool{
		"127.0.0.1:5": true, "[::1]:5": true, "192.0.2.10:5": true, "192.0.2.11:5": false, "[2001:db8::7]:5": true,
		"[::ffff:192.0.2.10]:5": true, "198.51.100.1:5": false,
	} {
		if got := n.may(peer{addr: addr}); got != want {
			t.Errorf("%s may ask: %t, want %t", addr, got, want)
		}
	}
	for _, bad := range []Config{{Listen: "4949"}, {Name: "a b"}, {Allow: []string{"all"}}} {
		if bad.Check() == nil {
			t.Errorf("%+v is allowed", bad)
		}
	}
}
