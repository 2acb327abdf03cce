package warn

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// octets reads syslog messages that are framed by their length, until the connection ends.
func octets(conn net.Conn, say func(string)) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		var n int
		if _, err := fmt.Fscanf(in, "%d ", &n); err != nil {
			return
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(in, b); err != nil {
			return
		}
		say(string(b))
	}
}

var idInData = regexp.MustCompile(` id="([^"]*)"`)

// TestDeadOutputsHarmNobody: one receiver hangs, one is down; the file has everything at once. When they are back,
// across a restart, everything arrives in order and once, although far more came than the queue in memory holds.
func TestDeadOutputsHarmNobody(t *testing.T) {
	const n = 2*maxWaiting + 100
	dir := t.TempDir()
	release := make(chan struct{})
	var mu sync.Mutex
	var posted, logged []string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var got struct{ ID string }
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		select {
		case <-release:
		default:
			<-r.Context().Done() // never answers
			return
		}
		mu.Lock()
		defer mu.Unlock()
		posted = append(posted, got.ID)
	}))
	defer server.Close()
	address := freeTCP(t)
	path := filepath.Join(dir, "warnings.jsonl")
	cfgs := []Config{
		{File: &FileConfig{Path: path}},
		{Webhook: &WebhookConfig{URL: server.URL}},
		{Syslog: &SyslogConfig{Address: "tcp://" + address}},
	}
	h, stop := hub(t, filepath.Join(dir, "spool"), cfgs...)
	begun := time.Now()
	for i := range n {
		h.Say(warning(i))
		if i%500 == 499 { // in floods that the queue in memory can hold, and the disk can take
			waitFor(t, "the file", func() bool { return lines(path) == i+1 })
			waitFor(t, "the spools", func() bool { return h.Waiting() < spillAt*3 })
		}
	}
	waitFor(t, "the file", func() bool { return lines(path) == n })
	t.Logf("the file had all %d warnings after %s", n, time.Since(begun))
	for _, output := range []string{"webhook", "syslog"} {
		waitFor(t, output, func() bool { return figure(t, h, "varde_output_waiting", output) == n })
		if lost := figure(t, h, "varde_output_lost_total", output); lost != 0 {
			t.Errorf("%s lost %v", output, lost)
		}
	}
	stop()
	close(release)
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go octets(conn, func(m string) {
				mu.Lock()
				defer mu.Unlock()
				logged = append(logged, idInData.FindStringSubmatch(m)[1])
			})
		}
	}()
	hub(t, filepath.Join(dir, "spool"), cfgs...)
	for _, c := range []struct {
		name string
		got  *[]string
	}{{"webhook", &posted}, {"syslog", &logged}} {
		waitFor(t, c.name, func() bool { mu.Lock(); defer mu.Unlock(); return len(*c.got) >= n })
		mu.Lock()
		if fmt.Sprint(*c.got) != fmt.Sprint(sequence(n)) {
			t.Errorf("%s got %d warnings, not all once and in order", c.name, len(*c.got))
		}
		mu.Unlock()
	}
	waitFor(t, "empty spools", func() bool {
		left, err := filepath.Glob(filepath.Join(dir, "spool", "*"))
		return err == nil && len(left) == 0
	})
}

// freeTCP is an address on loopback where nobody listens.
func freeTCP(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestKilled: a process that is killed while its receiver is down has its warnings in the spool; the next says them.
func TestKilled(t *testing.T) {
	const dirVariable = "VARDE_TEST_SPOOL"
	if dir := os.Getenv(dirVariable); dir != "" { // the process that is to be killed
		h, _ := hub(t, dir, Config{Syslog: &SyslogConfig{Address: "tcp://127.0.0.1:1"}})
		waitFor(t, "the first failure", func() bool {
			h.Say(warning(0))
			return figure(t, h, "varde_output_failing", "syslog") == 1
		})
		for i := range 500 {
			h.Say(warning(i))
		}
		waitFor(t, "the disk", func() bool { return h.Waiting() == 0 && h.queues[0].inMemory() == 0 })
		fmt.Println("READY")
		select {}
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
	cmd.Env = append(os.Environ(), dirVariable+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for sc := bufio.NewScanner(out); sc.Scan() && sc.Text() != "READY"; {
	}
	cmd.Process.Kill()
	cmd.Wait()
	s := open(t, filepath.Join(dir, "syslog.jsonl"), defaultSpool)
	got := take(t, s, s.count)
	if len(got) < 501 || fmt.Sprint(got[len(got)-500:]) != fmt.Sprint(sequence(500)) {
		t.Errorf("%d warnings are left by the process that was killed, want at least 501", len(got))
	}
}

func (q *queue) inMemory() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

func TestFileSurvivesRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w.jsonl")
	h, _ := hub(t, "", Config{File: &FileConfig{Path: path}})
	h.Say(warning(1))
	waitFor(t, "the first", func() bool { return len(ids(t, path)) == 1 })
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	h.Say(warning(2))
	waitFor(t, "the second", func() bool { return len(ids(t, path)) == 1 })
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o007 != 0 {
		t.Errorf("%v %v", info, err)
	}
	if err := os.Link(path, path+".2"); err != nil { // the same file under another name
		t.Fatal(err)
	}
	h.Reopen()
	h.Say(warning(3))
	waitFor(t, "the third", func() bool { return len(ids(t, path)) == 2 })
}

// TestFullDisk: a disk that takes half a warning is left without it.
func TestFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w.jsonl")
	// A limit on the size of files ends a write in its middle, as a full disk does.
	script := fmt.Sprintf("ulimit -f 2; trap '' XFSZ; exec %s -test.run=^TestFullDiskChild$", os.Args[0])
	cmd := exec.Command("sh", "-c", script)
	cmd.Env = append(os.Environ(), "VARDE_TEST_FILE="+path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	got := ids(t, path) // fails on half a line
	if len(got) == 0 || len(got) > 5 {
		t.Errorf("got %v", got)
	}
}

func TestFullDiskChild(t *testing.T) {
	path := os.Getenv("VARDE_TEST_FILE")
	if path == "" {
		t.Skip("only as a child of TestFullDisk")
	}
	f, err := newFile(FileConfig{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	failed := false
	for i := range 10 {
		failed = f.Say(t.Context(), warning(i)) != nil || failed
	}
	if !failed {
		t.Error("ten warnings fit into 1 KiB")
	}
}

func TestFormatsOfFiles(t *testing.T) {
	for format, want := range map[string]string{
		"":        `{"time":"2016-06-07T12:38:20Z"`,
		"line":    "2016-06-07T12:38:20Z  OUTBOUND  office-pc-7",
		"compact": "2016-06-07T12:38:20Z OUTBOUND critical: office-pc-7",
		"classic": "2016-06-07 12:37:53 : 10.0.3.17:50123 -> 203.0.113.94:4444 (TCP)\n https://threatfox.example/ioc/1001/\n",
	} {
		path := filepath.Join(t.TempDir(), "w")
		f, err := newFile(FileConfig{Path: path, Format: format, Zone: "UTC"})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Say(t.Context(), warning(1)); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(path); err != nil || !strings.HasPrefix(string(b), want) {
			t.Errorf("%s: %v %s", format, err, b)
		}
	}
}
