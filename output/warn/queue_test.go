package warn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"varde/event"
)

// receiver is a way to warn whose answers a test decides.
type receiver struct {
	mu     sync.Mutex
	answer func(w event.Warning, attempt int) error
	got    []string
	tries  []time.Time
	hang   chan struct{} // while open, every attempt hangs
}

func (r *receiver) Name() string { return "receiver" }

func (r *receiver) Say(ctx context.Context, w event.Warning) error {
	if r.hang != nil {
		<-r.hang // deaf to ctx too
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tries = append(r.tries, time.Now())
	if r.answer != nil {
		if err := r.answer(w, len(r.tries)); err != nil {
			return err
		}
	}
	r.got = append(r.got, w.ID)
	return nil
}

func (r *receiver) ids() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.got...)
}

// alone makes a hub of one receiver with a spool at path.
func aloneHub(t *testing.T, path string, to event.Sayer, log *slog.Logger) *Hub {
	t.Helper()
	c := Config{}
	return &Hub{queues: []*queue{newQueue("receiver", to, open(t, path, defaultSpool), c.wants, log)}}
}

var quiet = slog.New(slog.DiscardHandler)

// TestRetries: the first failure is said, waits double up to a minute, and the end is said too.
func TestRetries(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.jsonl")
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		r := &receiver{answer: func(_ event.Warning, n int) error {
			if n < 12 {
				return errors.New("nobody there")
			}
			return nil
		}}
		h := aloneHub(t, path, r, slog.New(slog.NewTextHandler(&said, nil)))
		stop := start(t, h)
		for i := range 5 {
			h.Say(warning(i))
		}
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		if got := r.ids(); fmt.Sprint(got) != fmt.Sprint(sequence(5)) {
			t.Errorf("got %v", got)
		}
		for i, want := 1, firstWait; i < 12; i++ {
			if wait := r.tries[i].Sub(r.tries[i-1]); wait < want*3/4 || wait > want*5/4 {
				t.Errorf("attempt %d came after %s, want %s and a quarter of it more or less", i+1, wait, want)
			}
			want = min(2*want, longestWait)
		}
		if n := figure(t, h, "varde_output_errors_total", "receiver"); n != 11 {
			t.Errorf("%v errors", n)
		}
		stop()
		log := said.String()
		if strings.Count(log, "nobody there") != 1 || strings.Count(log, "it works again") != 1 {
			t.Errorf("said:\n%s", log)
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.jsonl")
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: func(_ event.Warning, n int) error {
			if n == 1 {
				return fmt.Errorf("busy: %w", notBefore{errors.New("429"), 90 * time.Second})
			}
			return nil
		}}
		h := aloneHub(t, path, r, quiet)
		stop := start(t, h)
		h.Say(warning(0))
		time.Sleep(2 * time.Minute)
		stop()
		if len(r.tries) != 2 || r.tries[1].Sub(r.tries[0]) != 90*time.Second {
			t.Errorf("attempts at %v", r.tries)
		}
	})
}

// TestRefusal: one that is refused for good is counted, and those behind it go on.
func TestRefusal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.jsonl")
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: func(w event.Warning, _ int) error {
			if w.ID == "id1" {
				return refuse(errors.New("400"))
			}
			return nil
		}}
		h := aloneHub(t, path, r, quiet)
		stop := start(t, h)
		for i := range 4 {
			h.Say(warning(i))
		}
		synctest.Wait()
		stop()
		if got := fmt.Sprint(r.ids()); got != "[id0 id2 id3]" {
			t.Errorf("got %s", got)
		}
		if n := figure(t, h, "varde_output_refused_total", "receiver"); n != 1 {
			t.Errorf("%v refused", n)
		}
	})
}

// TestHangingReceiver: Say never waits for a receiver that neither answers nor hears that the program ends; what it had
// under way is kept, and said by the next run.
func TestHangingReceiver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.jsonl")
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{hang: make(chan struct{})}
		h := aloneHub(t, path, r, quiet)
		stop := start(t, h)
		const n = 3000
		for i := range n {
			h.Say(warning(i))
		}
		time.Sleep(time.Minute)
		if failing := figure(t, h, "varde_output_failing", "receiver"); failing != 1 {
			t.Error("nobody is told that it hangs")
		}
		if waiting := figure(t, h, "varde_output_waiting", "receiver"); waiting != n {
			t.Errorf("%v wait, want %d", waiting, n)
		}
		if h.Waiting() != 0 {
			t.Errorf("%d are in memory, where a kill would lose them", h.Waiting())
		}
		before := time.Now()
		stop()
		if took := time.Since(before); took > lastGrace {
			t.Errorf("the end took %s", took)
		}
		close(r.hang)
		synctest.Wait()
		next := &receiver{}
		h = aloneHub(t, path, next, quiet)
		stop = start(t, h)
		synctest.Wait()
		stop()
		if got := next.ids(); fmt.Sprint(got) != fmt.Sprint(sequence(n)) {
			t.Errorf("%d came, in some order, want %d in theirs", len(got), n)
		}
	})
}

// TestNothingIsLostInSilence: without a spool, what is more than the queue holds is counted and said once.
func TestNothingIsLostInSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		dead := &receiver{answer: func(event.Warning, int) error { return errors.New("nobody there") }}
		h := aloneHub(t, "", dead, slog.New(slog.NewTextHandler(&said, nil)))
		stop := start(t, h)
		for i := range maxWaiting + 100 {
			h.Say(warning(i))
		}
		synctest.Wait()
		if lost := figure(t, h, "varde_output_lost_total", "receiver"); lost != 100 {
			t.Errorf("%v lost, want 100", lost)
		}
		stop()
		if lost := figure(t, h, "varde_output_lost_total", "receiver"); lost != maxWaiting+100 {
			t.Errorf("%v lost at the end, want %d", lost, maxWaiting+100)
		}
		if n := strings.Count(said.String(), "warnings are lost"); n != 2 {
			t.Errorf("said %d times, want once while it runs and once at the end:\n%s", n, said.String())
		}
	})
}

// TestFullSpool: when the spool is full too, the oldest are kept, and come.
func TestFullSpool(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.jsonl")
	synctest.Test(t, func(t *testing.T) {
		up := false
		r := &receiver{}
		r.answer = func(event.Warning, int) error {
			if !up {
				return errors.New("nobody there")
			}
			return nil
		}
		c := Config{}
		h := &Hub{queues: []*queue{newQueue("receiver", r, open(t, path, leastSpool), c.wants, quiet)}}
		stop := start(t, h)
		const n = maxWaiting + 500
		for i := range n {
			h.Say(warning(i))
		}
		synctest.Wait()
		lost := figure(t, h, "varde_output_lost_total", "receiver")
		r.mu.Lock()
		up = true
		r.mu.Unlock()
		time.Sleep(time.Hour)
		stop()
		got := r.ids()
		if lost == 0 || len(got) != n-int(lost) || fmt.Sprint(got[:maxWaiting]) != fmt.Sprint(sequence(maxWaiting)) {
			t.Errorf("%d came and %v are counted as lost, of %d", len(got), lost, n)
		}
	})
}

// TestSpoolRemoved: files that somebody removes, or cuts, are said to be lost, and the queue goes on.
func TestSpoolRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.jsonl")
	synctest.Test(t, func(t *testing.T) {
		up := false
		r := &receiver{}
		r.answer = func(event.Warning, int) error {
			if !up {
				return errors.New("nobody there")
			}
			return nil
		}
		h := aloneHub(t, path, r, quiet)
		stop := start(t, h)
		for i := range 10 {
			h.Say(warning(i))
		}
		synctest.Wait()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		r.mu.Lock()
		up = true
		r.mu.Unlock()
		time.Sleep(time.Hour)
		h.Say(warning(10))
		time.Sleep(time.Hour)
		stop()
		if lost := figure(t, h, "varde_output_lost_total", "receiver"); lost != 10 {
			t.Errorf("%v lost, want 10", lost)
		}
		if got := fmt.Sprint(r.ids()); got != "[id10]" {
			t.Errorf("got %s", got)
		}
	})
}

// collector holds warnings until an interval is over, as mail does.
type collector struct {
	receiver
	until time.Time
}

func (c *collector) sayAll(_ context.Context, ws iter.Seq[event.Warning]) (n int, _ error) {
	critical := false
	var batch []string
	for w := range ws {
		critical = critical || w.Severity == event.Critical
		batch = append(batch, w.ID)
	}
	if wait := time.Until(c.until); wait > 0 && !critical {
		return 0, hold{wait, true}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.until = time.Now().Add(10 * time.Minute)
	c.got = append(c.got, strings.Join(batch, "+"))
	return len(batch), nil
}

// TestHeld: a way that collects gets everything since in one piece, a critical one before its time, and what is held
// is on disk meanwhile.
func TestHeld(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.jsonl")
	synctest.Test(t, func(t *testing.T) {
		c := &collector{}
		h := aloneHub(t, path, c, quiet)
		stop := start(t, h)
		say := func(i int, s event.Severity) {
			w := warning(i)
			w.Severity = s
			h.Say(w)
			synctest.Wait()
		}
		say(0, event.Low)
		say(1, event.Low)
		say(2, event.High)
		if h.Waiting() != 0 || h.queues[0].spool.count != 2 {
			t.Errorf("%d held in memory, %d on disk", h.Waiting(), h.queues[0].spool.count)
		}
		time.Sleep(5 * time.Minute)
		say(3, event.Critical)
		say(4, event.Low)
		if failing := figure(t, h, "varde_output_failing", "receiver"); failing != 0 {
			t.Error("to collect is no failure")
		}
		time.Sleep(11 * time.Minute)
		synctest.Wait()
		stop()
		if got := fmt.Sprint(c.ids()); got != "[id0 id1+id2+id3 id4]" {
			t.Errorf("got %s", got)
		}
	})
}

func TestSelection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		c := Config{Min: "high", Rules: []string{"list"}, States: []string{"opened", "closed"}}
		h := &Hub{queues: []*queue{newQueue("receiver", r, &spool{}, c.wants, quiet)}}
		stop := start(t, h)
		for i, change := range []func(*event.Warning){
			func(*event.Warning) {},
			func(w *event.Warning) { w.Severity = event.Medium },
			func(w *event.Warning) { w.Rule = "scan" },
			func(w *event.Warning) { w.State = event.Escalated },
			func(w *event.Warning) { w.State, w.Severity = event.Closed, event.High },
		} {
			w := warning(i)
			change(&w)
			h.Say(w)
		}
		synctest.Wait()
		stop()
		if got := fmt.Sprint(r.ids()); got != "[id0 id4]" {
			t.Errorf("got %s", got)
		}
	})
}

func TestOrphansAreSaid(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"old.jsonl", "old.older.jsonl", "file.jsonl", "note.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var said bytes.Buffer
	if _, err := New([]Config{{File: &FileConfig{Path: filepath.Join(dir, "x")}}}, dir, slog.New(slog.NewTextHandler(&said, nil))); err != nil {
		t.Fatal(err)
	}
	if strings.Count(said.String(), "output=old") != 2 || strings.Contains(said.String(), "output=file") || strings.Contains(said.String(), "note") {
		t.Errorf("said:\n%s", said.String())
	}
}
