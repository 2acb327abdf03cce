package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"varde/output/munin"
)

// muninHome is the folders of a munin-node with two graphs of varde: one by the script, one by a link to the program.
func muninHome(t *testing.T, address string) (dir string) {
	t.Helper()
	dir, varde := openFolder(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	// The test program is varde only by that name, so its link has the script between.
	must(os.WriteFile(dir+"/varde_", []byte(munin.Wrapper(varde)), 0o755))
	for _, d := range []string{"plugins", "plugin-conf.d", "state"} {
		must(os.Mkdir(filepath.Join(dir, d), 0o755))
	}
	for _, name := range []string{"varde_queues", "varde_mail", "varde_flows", "varde_tunnels"} {
		must(os.Symlink(dir+"/varde_", dir+"/plugins/"+name))
	}
	must(os.WriteFile(dir+"/plugin-conf.d/varde", fmt.Appendf(nil, "[varde_*]\nuser root\nenv.metrics %s\n", address), 0o644))
	_, port, _ := net.SplitHostPort(freeTCP(t))
	must(os.WriteFile(dir+"/port", []byte(port), 0o644))
	must(os.WriteFile(dir+"/node.conf", fmt.Appendf(nil,
		"log_level 4\nlog_file %[1]s/log\npid_file %[1]s/pid\nbackground 0\nsetsid 0\nuser root\ngroup root\nhost_name edge.example\nallow ^127\\.0\\.0\\.1$\nhost 127.0.0.1\nport %[2]s\n",
		dir, port), 0o644))
	return dir
}

// TestMuninNode: a real munin-run and munin-node show the graphs of a running varde.
func TestMuninNode(t *testing.T) {
	run := installed(t, "munin-run", "munin-node")
	node := installed(t, "munin-node", "munin-node")
	if os.Geteuid() != 0 {
		t.Skip("munin-node changes its user, which only root can")
	}
	address, _ := gateway(t, "")
	waitFor(t, "figures", func() bool { return strings.Contains(metrics(t, address), "\npostfix_up 1\n") })
	dir := muninHome(t, address)
	folders := []string{"--config", dir + "/node.conf", "--servicedir", dir + "/plugins", "--sconfdir", dir + "/plugin-conf.d"}
	asked := func(args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, run, append(folders, args...)...)
		cmd.Env = append(os.Environ(), "MUNIN_PLUGSTATE="+dir+"/state")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("munin-run %v: %v: %s", args, err, out)
		}
		return string(out)
	}
	for _, c := range []struct{ args, want []string }{
		{[]string{"varde_queues"}, []string{"hold.value 1\n", "corrupt.value 0\n"}},
		{[]string{"varde_queues", "config"}, []string{"graph_title Mail queues\n", "hold.type GAUGE\n"}},
		{[]string{"varde_queues", "autoconf"}, []string{"yes\n"}},
		{[]string{"varde_queues", "suggest"}, []string{"mail\n", "queues\n", "signatures\n"}},
		{[]string{"varde_mail"}, []string{"spam.value "}},
		{[]string{"varde_tunnels"}, []string{"tunnels.value "}},
	} {
		out := asked(c.args...)
		for _, want := range c.want {
			if !strings.Contains(out, want) {
				t.Errorf("munin-run %v: no %q in %q", c.args, want, out)
			}
		}
	}
	// It has no flags for its folders, so they are set before it is read.
	cmd := exec.Command("perl", "-MMunin::Common::Defaults", "-e", `$Munin::Common::Defaults::MUNIN_CONFDIR = shift; $0 = shift; do $0; exit main()`,
		dir, node, "--config", dir+"/node.conf", "--foreground")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	port, err := os.ReadFile(dir + "/port")
	if err != nil {
		t.Fatal(err)
	}
	var c net.Conn
	waitFor(t, "munin-node", func() bool {
		c, err = net.Dial("tcp", "127.0.0.1:"+string(port))
		return err == nil
	})
	defer c.Close()
	theirs := dialogue(t, c, "edge.example")
	if !strings.Contains(theirs, "multigraph varde_flows\n") || !strings.Contains(theirs, "hold.value 1\n") {
		t.Errorf("munin-node says %s", theirs)
	}
	// Our own node says the same of the same graphs.
	own := freeTCP(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		root := command()
		root.SetArgs([]string{"munin", "--listen", own, "--name", "edge.example", "-H", address})
		done <- root.ExecuteContext(ctx)
	}()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	var d net.Conn
	waitFor(t, "our node", func() bool {
		d, err = net.Dial("tcp", own)
		return err == nil
	})
	defer d.Close()
	if ours := dialogue(t, d, "edge.example"); ours != theirs {
		t.Errorf("our node says\n%s\nmunin-node\n%s", ours, theirs)
	}
}

// dialogue asks a node as munin-update does, and gives what it answers but for what is its own.
func dialogue(t *testing.T, c net.Conn, name string) string {
	t.Helper()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	r := bufio.NewReader(c)
	var out strings.Builder
	line := func() string {
		s, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("%v after %s", err, out.String())
		}
		return s
	}
	if got, want := line(), "# munin node at "+name+"\n"; got != want {
		t.Errorf("greeting %q, want %q", got, want)
	}
	fmt.Fprint(c, "cap multigraph dirtyconfig\n")
	if s := line(); !strings.Contains(s, "multigraph") || !strings.Contains(s, "dirtyconfig") {
		t.Errorf("cap %q", s)
	}
	fmt.Fprint(c, "list\n")
	if list := " " + strings.TrimSpace(line()) + " "; !strings.Contains(list, " varde_queues ") {
		t.Errorf("list %q", list)
	}
	for _, s := range []string{"config varde_queues", "fetch varde_queues", "config varde_flows", "config varde_none"} {
		fmt.Fprintf(c, "%s\n", s)
		out.WriteString("> " + s + "\n")
		for {
			s := line()
			out.WriteString(s)
			if s == ".\n" {
				break
			}
		}
	}
	fmt.Fprint(c, "quit\n")
	return out.String()
}

// TestMuninLink: a link to varde called after a graph is that graph, and without a running varde mail is read itself.
func TestMuninLink(t *testing.T) {
	if got := asPlugin([]string{"/etc/munin/plugins/varde_mail", "config"}); strings.Join(got, " ") != "munin varde_mail config" {
		t.Errorf("%q", got)
	}
	if got := asPlugin([]string{"/usr/bin/varde", "munin"}); strings.Join(got, " ") != "munin" {
		t.Errorf("%q", got)
	}
	dir := t.TempDir()
	for _, q := range []string{"maildrop", "incoming", "active", "deferred", "hold", "corrupt"} {
		if err := os.MkdirAll(filepath.Join(dir, q), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	conf := filepath.Join(t.TempDir(), "varde.yaml")
	if err := os.WriteFile(conf, fmt.Appendf(nil, "http: {listen: %q}\nmail: {postfix: {queue_dir: %s, postqueue: ''}}\n", freeTCP(t), dir), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	root := command()
	root.SetOut(&out)
	root.SetArgs([]string{"munin", "varde_queues", "-c", conf})
	if err := root.ExecuteContext(t.Context()); err != nil || !strings.Contains(out.String(), "deferred.value 0\n") {
		t.Errorf("%v: %s", err, out.String())
	}
}
