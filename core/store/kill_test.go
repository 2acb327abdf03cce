package store

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"varde/event"
	"varde/event/query"
)

var kills = flag.Int("kills", 16, "how often TestKilled ends the process; 100 and more is its long mode")

// killed tells the test binary to be the process that is ended.
const killed = "VARDE_TEST_KILLED"

func TestMain(m *testing.M) {
	if dir := os.Getenv(killed); dir != "" {
		if err := liveUntilKilled(dir); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const (
	killBatch = 3000
	killSpan  = 3 * time.Hour // what the events of a batch are spread over
)

// numbered makes the events of a batch; each carries its number as its bytes.
func numbered(first, n uint64, from time.Time, one func(*event.Event)) {
	i := first
	flows(int(n), from, killSpan, first, func(e *event.Event) {
		e.Bytes, e.Packets = i, 1
		i++
		one(e)
	})
}

// liveUntilKilled stores and seals without end; before it puts a batch it says so, and when the batch is acknowledged
// too. It ends itself at the step that its environment names, the second time that is reached.
func liveUntilKilled(dir string) error {
	s, err := Open(DefaultConfig(), dir, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		return err
	}
	first, err := strconv.ParseUint(os.Getenv(killed+"_FIRST"), 10, 64)
	if err != nil {
		return err
	}
	at := step(os.Getenv(killed + "_AT"))
	var passed atomic.Int32
	s.onStep = func(now step) {
		if now == at {
			if passed.Add(1) == 2 {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		}
	}
	// Every batch lies three hours after the one before, so that each round seals hours and now and then a day ends.
	now := func() time.Time { return noon.Add(time.Duration(first/killBatch+1) * killSpan) }
	s.now = now
	ctx := context.Background()
	go func() { _ = s.Run(ctx) }()
	for range 40 {
		fmt.Println("begin", first)
		numbered(first, killBatch, now().Add(-killSpan), s.Put)
		if err := s.Flush(ctx); err != nil {
			return err
		}
		first += killBatch
		fmt.Println("done", first)
		if err := s.tidy(ctx); err != nil {
			return err
		}
	}
	return fmt.Errorf("step %q was not reached twice", at)
}

// TestKilled ends the process at every step of appending and sealing, and at any time, again and again on the same
// directory: every acknowledged event is there once, and no other twice.
func TestKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many processes")
	}
	dir := t.TempDir()
	steps := []step{stepAppended, stepFlushed, stepWritten, stepNamed, stepNoted, stepSealed, stepCheckpointed, stepMerged, ""}
	acked := map[uint64]bool{} // batches by their first number
	begun := map[uint64]bool{}
	first := uint64(0)
	for i := range *kills {
		at := steps[i%len(steps)]
		cmd := exec.Command(os.Args[0], "-test.run=^$")
		cmd.Env = append(os.Environ(), killed+"="+dir, killed+"_AT="+string(at), fmt.Sprintf("%s_FIRST=%d", killed, first))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if at == "" {
			time.AfterFunc(time.Duration(50+rand.IntN(900))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		}
		for sc := bufio.NewScanner(out); sc.Scan(); {
			word, number, _ := strings.Cut(sc.Text(), " ")
			n, err := strconv.ParseUint(number, 10, 64)
			switch {
			case err != nil:
				t.Errorf("kill %d at %q: %s", i, at, sc.Text())
			case word == "begin":
				begun[n] = true
				first = n + killBatch
			case word == "done":
				acked[n-killBatch] = true
			}
		}
		if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("kill %d at %q: the process ended with %v", i, at, err)
		}
	}
	checkNumbers(t, dir, acked, begun)
	t.Logf("%d kills, %d batches acknowledged of %d", *kills, len(acked), len(begun))
}

// checkNumbers opens the store and counts every number, before and after the rest is sealed.
func checkNumbers(t *testing.T, dir string, acked, begun map[uint64]bool) {
	s, _ := openStore(t, DefaultConfig(), dir)
	for _, when := range []string{"after the last kill", "sealed"} {
		found := map[uint64]int{}
		box := query.Box{}
		for first := range begun {
			from := noon.Add(time.Duration(first/killBatch) * killSpan)
			box.From, box.To = from.UnixNano(), from.Add(killSpan).UnixNano()
			tail, err := s.Tail(t.Context(), box, 10*killBatch)
			if err != nil {
				t.Fatal(err)
			}
			for i := range tail {
				found[tail[i].Bytes]++
			}
		}
		lost, double, foreign := 0, 0, 0
		for n, times := range found {
			if !begun[n/killBatch*killBatch] {
				foreign++
			}
			if times > 1 {
				double++
			}
		}
		for first := range acked {
			for n := first; n < first+killBatch; n++ {
				if found[n] == 0 {
					lost++
				}
			}
		}
		if lost+double+foreign > 0 {
			t.Errorf("%s: of %d events %d are lost, %d double, %d unknown", when, len(found), lost, double, foreign)
		}
		if err := s.Seal(t.Context(), noon.AddDate(1, 0, 0)); err != nil {
			t.Fatal(err)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, "archive", "*", "*", "*.tmp"))
	if err != nil || len(left) > 0 {
		t.Errorf("unfinished files are left: %v %v", left, err)
	}
	// The index of what was seen leads to every event that a question without it finds.
	prey := netip.MustParsePrefix("10.0.3.0/24")
	contacts, err := s.Hunt(t.Context(), query.Box{}, []netip.Prefix{prey})
	if err != nil {
		t.Fatal(err)
	}
	var events uint64
	for _, c := range contacts {
		events += c.Events
	}
	filter, err := query.Parse("net " + prey.String())
	if err != nil {
		t.Fatal(err)
	}
	g, err := s.Top(t.Context(), query.Box{Filter: filter}, query.TopBy{Fields: []query.Field{query.FieldKind}, N: 1})
	if err != nil || events != g.Total.Events || events == 0 {
		t.Errorf("the hunt finds %d events of %d, %v", events, g.Total.Events, err)
	}
}
