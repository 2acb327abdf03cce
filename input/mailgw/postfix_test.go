package mailgw

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func countShowq(b []byte) (map[string]int, error) {
	n := map[string]int{}
	err := parseShowq(bytes.NewReader(b), func(queue string, _ uint64, _ time.Time) error { n[queue]++; return nil })
	return n, err
}

func TestShowq(t *testing.T) {
	b, err := os.ReadFile("testdata/showq.bin")
	if err != nil {
		t.Fatal(err)
	}
	var q Queues
	p := NewPostfix(PostfixConfig{})
	q = p.begin("showq")
	if err := parseShowq(iotest.OneByteReader(bytes.NewReader(b)), q.add); err != nil {
		t.Fatal(err)
	}
	if d := q.Queues[3]; d.Messages != 3 || d.Bytes != 798 || d.Oldest.Unix() != 1795450025 {
		t.Errorf("deferred %+v, want 3 messages, 798 bytes, oldest 1795450025", d)
	}
	if h := q.Queues[4]; !h.Known || h.Messages != 0 || !h.Oldest.IsZero() {
		t.Errorf("hold %+v, want known and empty", h)
	}
	if c := q.Queues[5]; c.Known {
		t.Errorf("corrupt %+v, want unknown", c)
	}
	// An answer that is cut off anywhere must not look like a smaller queue.
	for i := range b {
		if n, err := countShowq(b[:i]); err == nil {
			t.Fatalf("an answer cut at %d of %d is believed: %v", i, len(b), n)
		}
	}
}

func TestShowqOddities(t *testing.T) {
	record := "queue_name\x00hold\x00queue_id\x004jY04W1ctTz1W74w\x00time\x001795423787\x00size\x00462\x00"
	for _, c := range []struct {
		name, in string
		ok       bool
	}{
		{"empty queue", "protocol\x00mail_queue_list_protocol\x00\x00\x00", true},
		{"before 3.7", record + "\x00\x00", true},
		{"other protocol", "protocol\x00mail_queue_manager\x00\x00\x00", false},
		{"unknown queue", strings.Replace(record, "hold", "lost", 1) + "\x00\x00", false},
		{"size is no number", strings.Replace(record, "462", "-1", 1) + "\x00\x00", false},
		{"text of very old ones", "Mail queue is empty\n", false},
		{"nothing", "", false},
		{"long reason", record + "recipient\x00b\x00reason\x00" + strings.Repeat("x", 3*maxQueueField) + "\x00\x00\x00", true},
	} {
		q := NewPostfix(PostfixConfig{}).begin("showq")
		if err := parseShowq(strings.NewReader(c.in), q.add); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestPostqueue(t *testing.T) {
	b, err := os.ReadFile("testdata/postqueue_j.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	q := NewPostfix(PostfixConfig{}).begin("postqueue")
	if err := parsePostqueue(bytes.NewReader(b), q.add); err != nil {
		t.Fatal(err)
	}
	if d := q.Queues[3]; d.Messages != 3 || d.Bytes != 3*462 || d.Oldest.Unix() != 1795423786 {
		t.Errorf("deferred %+v, want 3 messages, 1386 bytes, oldest 1795423786", d)
	}
	many := `{"queue_name": "active", "queue_id": "A", "arrival_time": 1795423787, "message_size": 462, "sender": "a", "recipients": [` +
		strings.Repeat(`{"address": "b@elsewhere.test"},`, 10_000) + `{}]}` + "\n"
	q = NewPostfix(PostfixConfig{}).begin("postqueue")
	if err := parsePostqueue(strings.NewReader(many+many), q.add); err != nil || q.Queues[2].Messages != 2 {
		t.Errorf("active %+v: %v; want 2 messages", q.Queues[2], err)
	}
	for _, bad := range []string{many[:100], "Mail queue is empty\n", "{}\n", `{"queue_name": "active"}` + "\n", "[\n"} {
		q := NewPostfix(PostfixConfig{}).begin("postqueue")
		if err := parsePostqueue(strings.NewReader(bad), q.add); err == nil {
			t.Errorf("%.60q is believed", bad)
		}
	}
}

func TestLongQueueID(t *testing.T) {
	got, ok := longIDTime("4jY04W1ctTz1W74w")
	if want := time.Unix(1795423787, 229553000).UTC(); !ok || !got.Equal(want) {
		t.Errorf("%s %v, want %s", got, ok, want)
	}
	for _, id := range []string{"0298398C3B5", "z", "4jY04W1ctTz", "4jY04Wzzzzzzz1", "4jY04W1ct\x00z1", strings.Repeat("4", 40) + "z1"} {
		if got, ok := longIDTime(id); ok {
			t.Errorf("%q tells %s", id, got)
		}
	}
}

// TestDirectories counts a queue directory without Postfix, as root or not.
func TestDirectories(t *testing.T) {
	dir := t.TempDir()
	write := func(path, content string) {
		t.Helper()
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("deferred/0/0298398C3B5", "C_"+strings.Repeat(" ", 95)+"T\x0f1795450025 1502A\x03abc")
	write("deferred/4/4jY04W1ctTz1W74w", "x")
	write("active/0298398C3B6", "not a queue file")
	if err := os.MkdirAll(filepath.Join(dir, "corrupt"), 0o700); err != nil {
		t.Fatal(err)
	}
	p := NewPostfix(PostfixConfig{QueueDir: dir})
	q, err := p.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if q.Source != "directories" {
		t.Errorf("source %s", q.Source)
	}
	var got []string
	for _, x := range q.Queues {
		got = append(got, fmt.Sprintf("%s %v %d %d", x.Name, x.Known, x.Messages, max(0, x.Oldest.Unix())))
	}
	want := "maildrop false 0 0; incoming false 0 0; active true 1 0; deferred true 2 1795423787; hold false 0 0; corrupt true 0 0"
	if s := strings.Join(got, "; "); s != want {
		t.Errorf("%s\nwant %s", s, want)
	}
	for _, f := range postfixFigures(&q) {
		if f.Name == "postfix_queue_messages" && f.Labels[0].Value == "hold" {
			t.Error("a queue of which nothing is known has a size")
		}
	}
	if _, err := NewPostfix(PostfixConfig{QueueDir: filepath.Join(dir, "none")}).Snapshot(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, want that there is no such directory", err)
	}
}

const postfixMain = `compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.example.test
mydestination =
inet_interfaces = loopback-only
inet_protocols = ipv4
default_transport = smtp:[127.0.0.1]:1
maillog_file = %[1]s/mail.log
maillog_file_prefixes = /
enable_long_queue_ids = %[2]s
`

const postfixMaster = `pickup unix n - n 1 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
smtp unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
postlog unix-dgram n - n - 1 postlogd
`

// TestRealPostfix starts a Postfix of its own that can deliver nothing, and reads its queues in each of the three ways.
func TestRealPostfix(t *testing.T) {
	program(t, "postfix", "postfix")
	if os.Geteuid() != 0 {
		t.Skip("Postfix starts only as root")
	}
	dir, err := os.MkdirTemp("", "varde-postfix")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, "conf")
	for _, d := range []string{conf, dir + "/queue", dir + "/data"} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	sh := func(in string, argv ...string) string {
		t.Helper()
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Stdin = strings.NewReader(in)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", argv, err, out)
		}
		return string(out)
	}
	sh("", "chown", "postfix", dir+"/data")
	for name, text := range map[string]string{"main.cf": fmt.Sprintf(postfixMain, dir, "yes"), "master.cf": postfixMaster} {
		if err := os.WriteFile(filepath.Join(conf, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	sh("", "postfix", "-c", conf, "start")
	stopped := false
	stop := func() {
		if !stopped {
			stopped = true
			sh("", "postfix", "-c", conf, "stop")
		}
	}
	t.Cleanup(stop)
	begun := time.Now().Add(-time.Second)
	for i := range 3 {
		sh("Subject: x\n\nhello\n", "sendmail", "-C", conf, "-f", "a@example.test", fmt.Sprintf("b%d@elsewhere.test", i))
	}
	p := NewPostfix(PostfixConfig{QueueDir: dir + "/queue"})
	var q Queues
	for end := time.Now().Add(20 * time.Second); q.Queues[3].Messages != 3; {
		if time.Now().After(end) {
			t.Fatalf("%+v: never three deferred messages", q)
		}
		time.Sleep(50 * time.Millisecond) // the mail has to pass through Postfix
		if q, err = p.Snapshot(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(dir + "/queue/deferred/*/*")
	if err != nil || len(files) != 3 {
		t.Fatalf("%v: %v", files, err)
	}
	sh("", "postsuper", "-c", conf, "-h", filepath.Base(files[0]))
	wrapper := filepath.Join(dir, "postqueue")
	if err := os.WriteFile(wrapper, []byte("#!/bin/sh\nexec postqueue -c "+conf+" \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	check := func(source string, p *Postfix) {
		t.Helper()
		q, err := p.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if q.Source != source || q.Queues[3].Messages != 2 || q.Queues[4].Messages != 1 || !q.Queues[5].Known {
			t.Errorf("%s: %+v, want 2 deferred, 1 on hold, corrupt known", source, q)
		}
		if o := q.Queues[3].Oldest; o.Before(begun) || o.After(time.Now()) {
			t.Errorf("%s: oldest is from %s, want since %s", source, o, begun)
		}
	}
	check("showq", p)
	stop()
	// Without Postfix the socket is refused; postqueue run by root looks for itself.
	check("postqueue", NewPostfix(PostfixConfig{QueueDir: dir + "/queue", Postqueue: wrapper}))
	check("directories", NewPostfix(PostfixConfig{QueueDir: dir + "/queue"}))
}

func TestPostqueueThatNeverEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postqueue")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nexec yes no JSON\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := NewPostfix(PostfixConfig{QueueDir: t.TempDir(), Postqueue: path}).postqueue(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no line of postqueue") {
		t.Errorf("%v, want that it writes no JSON", err)
	}
	if errors.Is(err, io.EOF) {
		t.Error("the end of a killed program hides what was wrong")
	}
}
