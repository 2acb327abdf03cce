package intel

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"varde/event"
	"varde/event/human"
)

// local makes a Set of one file of that text, with copies in dir.
func local(t *testing.T, path, dir string, cfg ListConfig, now time.Time) *Set {
	t.Helper()
	cfg.Name, cfg.File = "l", path
	s, err := New([]ListConfig{cfg}, AllowConfig{}, dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s.now = func() time.Time { return now }
	return s
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestTTL has entries leave by their own date, by the list's, and by when they first appeared, without a refresh.
func TestTTL(t *testing.T) {
	path, dir := filepath.Join(t.TempDir(), "list"), t.TempDir()
	day := 24 * time.Hour
	write(t, path, "ip,last_seen\n192.0.2.1,2026-05-30\n192.0.2.2,\n192.0.2.3,2026-01-01\nevil.example,\n")
	cfg := ListConfig{TTL: human.Duration(10 * day)}
	s := local(t, path, dir, cfg, testNow)
	if err := s.Load(); err != nil {
		t.Fatal(err)
	}
	s.tell()
	names := func(s *Set, at time.Time) string {
		var out []string
		for _, a := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"} {
			e := event.Event{Src: netip.MustParseAddr(a), Time: at.UnixNano()}
			if s.Match(&e); len(e.Evidence) > 0 {
				out = append(out, a[8:])
			}
		}
		if len(s.Domain("evil.example", at.UnixNano())) > 0 {
			out = append(out, "evil")
		}
		return strings.Join(out, " ")
	}
	for _, tc := range []struct {
		after time.Duration
		want  string
	}{{0, "1 2 evil"}, {7 * day, "1 2 evil"}, {9 * day, "2 evil"}, {10*day + time.Second, ""}} {
		at := testNow.Add(tc.after)
		if got := names(s, at); got != tc.want {
			t.Errorf("after %v: %q, want %q", tc.after, got, tc.want)
		}
		s.now = func() time.Time { return at }
		if st := s.Lists()[0]; st.Entries != len(strings.Fields(tc.want)) || st.Entries+st.Expired != 4 {
			t.Errorf("after %v: %d entries and %d expired, want %q", tc.after, st.Entries, st.Expired, tc.want)
		}
		if all, _ := s.Prefixes("l"); len(all) != strings.Count(tc.want, "1")+strings.Count(tc.want, "2") {
			t.Errorf("after %v: prefixes %v, want %q", tc.after, all, tc.want)
		}
	}
	// Another run remembers when they first appeared.
	later := local(t, path, dir, cfg, testNow.Add(11*day))
	if err := later.Load(); err != nil {
		t.Fatal(err)
	}
	if got := names(later, testNow.Add(11*day)); got != "" {
		t.Errorf("a restart makes old entries young: %q", got)
	}
}

// TestOwnExpiry honours the expiry of an indicator between refreshes.
func TestOwnExpiry(t *testing.T) {
	path := filepath.Join(t.TempDir(), "list")
	write(t, path, `{"type":"bundle","objects":[{"type":"indicator","valid_until":"2026-06-02T00:00:00Z","pattern":"[ipv4-addr:value = '192.0.2.1' OR url:value = 'http://evil.example/x']"}]}`)
	s := local(t, path, "", ListConfig{}, testNow)
	if err := s.Load(); err != nil {
		t.Fatal(err)
	}
	for hours, want := range map[int]int{1: 1, 23: 1, 25: 0} {
		at := testNow.Add(time.Duration(hours) * time.Hour)
		e := event.Event{Dst: netip.MustParseAddr("192.0.2.1"), Time: at.UnixNano()}
		s.Match(&e)
		if n := len(s.URL("hxxp://EVIL[.]example:80/x", at.UnixNano())); len(e.Evidence) != want || n != want {
			t.Errorf("after %d h: %d and %d, want %d", hours, len(e.Evidence), n, want)
		}
	}
}

// TestAdded tells what came into a list, once, also over restarts.
func TestAdded(t *testing.T) {
	path, dir := filepath.Join(t.TempDir(), "list"), t.TempDir()
	run := func(change func(s *Set)) string {
		s := local(t, path, dir, ListConfig{}, testNow)
		var told []string
		s.OnAdded(func(a Added) {
			if !slices.ContainsFunc(a.Prefixes, func(p netip.Prefix) bool { return len(s.Lookup(p.Addr(), 0)) > 0 }) {
				t.Errorf("%v was told before it is matched", a)
			}
			told = append(told, fmt.Sprint(a.List, a.Prefixes, " and ", a.Left))
		})
		if err := s.Load(); err != nil {
			t.Fatal(err)
		}
		s.tell()
		if change != nil {
			change(s)
		}
		return strings.Join(told, " ")
	}
	write(t, path, "192.0.2.1\n192.0.2.2\n")
	if got := run(nil); got != "" {
		t.Errorf("the first reading: %s", got)
	}
	if got := run(nil); got != "" {
		t.Errorf("a restart: %s", got)
	}
	reread := func(s *Set) {
		if s.refresh(context.Background(), s.lists[0], false) {
			s.rebuild()
			s.tell()
		}
	}
	got := run(func(s *Set) {
		write(t, path, "192.0.2.1:80\n198.51.100.0/24\nevil.example\n2001:db8::/32\n")
		reread(s)
		reread(s)
	})
	if want := "l[198.51.100.0/24 2001:db8::/32] and 0"; got != want {
		t.Errorf("a change while running: %s, want %s", got, want)
	}
	write(t, path, "192.0.2.1\n192.0.2.77\n")
	if got, want := run(nil), "l[192.0.2.77/32] and 0"; got != want {
		t.Errorf("a change while down: %s, want %s", got, want)
	}
	var many strings.Builder
	for i := range maxAdded + 5 {
		fmt.Fprintf(&many, "198.%d.%d.%d\n", 18+i>>16, i>>8&255, i&255)
	}
	write(t, path, many.String())
	if got := run(nil); !strings.HasSuffix(got, "] and 5") {
		t.Errorf("what is left out is not counted: ...%s", got[max(0, len(got)-40):])
	}
	write(t, filepath.Join(dir, "l.seen"), "broken")
	if got := run(nil); got != "" {
		t.Errorf("a broken digest: %s", got)
	}
}

// TestRun keeps a file fresh and tells of what came, until its context ends.
func TestRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "list")
	write(t, path, "192.0.2.1\n")
	synctest.Test(t, func(t *testing.T) {
		s := local(t, path, "", ListConfig{}, testNow)
		told := make(chan Added, 10)
		s.OnAdded(func(a Added) { told <- a })
		if err := s.Load(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		time.Sleep(watchEvery + time.Second)
		write(t, path, "192.0.2.1\n192.0.2.22\n")
		if a := <-told; fmt.Sprint(a.Prefixes) != "[192.0.2.22/32]" {
			t.Errorf("%+v", a)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestLookups finds domains, names below them, URLs and hashes.
func TestLookups(t *testing.T) {
	path := filepath.Join(t.TempDir(), "list")
	write(t, path, "*.wild.example\none.example\nhttps://one.example/a?b#c\nd41d8cd98f00b204e9800998ecf84270\nd41d8cd98f00b204e9800998ecf8427e\nhttp://192.0.2.1:8080/x\n")
	s := local(t, path, "", ListConfig{}, testNow)
	if err := s.Load(); err != nil {
		t.Fatal(err)
	}
	now := testNow.UnixNano()
	for name, want := range map[string]int{"wild.example": 1, "a.b.Wild.example.": 1, "one.example": 1, "a.one.example": 0, "example": 0, "": 0} {
		if got := s.Domain(name, now); len(got) != want || want == 1 && (got[0].List != "l" || !strings.HasSuffix(got[0].Text, ".example")) {
			t.Errorf("domain %q: %+v, want %d", name, got, want)
		}
	}
	for url, want := range map[string]int{"HTTPS://ONE.example:443/a?b": 2, "https://one.example/": 1, "http://a.wild.example/": 1, "http://192.0.2.1:8080/x": 1, "no url": 0} {
		if got := s.URL(url, now); len(got) != want {
			t.Errorf("url %q: %+v, want %d", url, got, want)
		}
	}
	for sum, want := range map[string]int{"d41d8cd98f00b204e9800998ecf84270": 1, "d41d8cd98f00b204e9800998ecf8427e": 0, "": 0} {
		raw, _ := hex.DecodeString(sum)
		if got := s.Hash(raw, now); len(got) != want {
			t.Errorf("hash %s: %+v, want %d", sum, got, want)
		}
	}
	if v := s.Lookup(netip.MustParseAddr("192.0.2.1"), 8080); len(v) != 1 || v[0].PortMiss {
		t.Errorf("the address of a URL: %+v", v)
	}
	if st := s.Lists()[0]; st.Entries != 6 || st.Rejected != 1 {
		t.Errorf("%+v", st)
	}
	below := local(t, path, "", ListConfig{Subdomains: true}, testNow)
	if err := below.Load(); err != nil || len(below.Domain("a.one.example", now)) != 1 {
		t.Error("subdomains: true does not cover what is below", err)
	}
}

// TestMemory keeps a list of hashes and a list of addresses within what documentation promises.
func TestMemory(t *testing.T) {
	const n = 100_000
	var hashes, hosts strings.Builder
	for i := range n {
		fmt.Fprintf(&hashes, "%064x\n", i*7919+1)
		fmt.Fprintf(&hosts, "198.%d.%d.%d\n", i>>16, i>>8&255, i&255)
	}
	for name, tc := range map[string]struct {
		text  string
		bytes float64
	}{"sha256": {hashes.String(), 60}, "ipv4": {hosts.String(), 130}} {
		path := filepath.Join(t.TempDir(), name)
		write(t, path, tc.text)
		tc.text = ""
		s := local(t, path, "", ListConfig{}, testNow)
		before := heap()
		if err := s.Load(); err != nil {
			t.Fatal(err)
		}
		each := float64(heap()-before) / n
		t.Logf("%s: %.0f bytes an entry", name, each)
		if each > tc.bytes {
			t.Errorf("%s: %.0f bytes an entry, at most %.0f", name, each, tc.bytes)
		}
		runtime.KeepAlive(s)
	}
}

// heap is what is in use after a collection.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
