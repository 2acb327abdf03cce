package intel

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"varde/event"
)

// set makes a Set of one list with that text.
func set(t testing.TB, text string, allowed AllowConfig) *Set {
	t.Helper()
	path := filepath.Join(t.TempDir(), "list.txt")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := New([]ListConfig{{Name: "l", File: path, Format: "plain"}}, allowed, "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Load(); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestMatchEqualsNaive compares with looking at every prefix.
func TestMatchEqualsNaive(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		addr := rapid.Custom(func(t *rapid.T) netip.Addr {
			if rapid.Bool().Draw(t, "v6") {
				return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: rapid.ByteRange(0, 7).Draw(t, "low")})
			}
			return netip.AddrFrom4([4]byte{198, rapid.ByteRange(50, 52).Draw(t, "b"), 1, rapid.ByteRange(0, 7).Draw(t, "d")})
		})
		var prefixes []netip.Prefix
		var text strings.Builder
		for range rapid.IntRange(0, 20).Draw(rt, "n") {
			a := addr.Draw(rt, "a")
			p := netip.PrefixFrom(a, a.BitLen()-rapid.IntRange(0, 18).Draw(rt, "bits")).Masked()
			if !slices.Contains(prefixes, p) { // what a list says twice it says once
				prefixes = append(prefixes, p)
			}
			fmt.Fprintln(&text, p)
		}
		s := set(t, text.String(), AllowConfig{})
		for range 20 {
			e := event.Event{Src: addr.Draw(rt, "src"), Dst: addr.Draw(rt, "dst")}
			s.Match(&e)
			var got, want []string
			for i := range e.Evidence {
				got = append(got, fmt.Sprint(e.Evidence[i].Side, e.Evidence[i].Entry))
			}
			for _, p := range prefixes {
				if p.Contains(e.Src) {
					want = append(want, fmt.Sprint(event.SideSrc, p))
				}
				if p.Contains(e.Dst) {
					want = append(want, fmt.Sprint(event.SideDst, p))
				}
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				rt.Fatalf("%v -> %v: %v, want %v", e.Src, e.Dst, got, want)
			}
		}
	})
}

func TestPortsAndExceptions(t *testing.T) {
	s := set(t, "203.0.113.9:4444\n198.51.100.0/24\n10.1.0.0/16\n*.mail.evil.example\none.evil.example\nd41d8cd98f00b204e9800998ecf8427e\n", AllowConfig{
		Entries: []AllowEntry{
			{Prefix: "198.51.100.9", Why: "CDN"},
			{Prefix: "198.51.100.10", Action: "downgrade"},
			{Prefix: "198.51.100.11", Until: "2020-01-01"},
			{Port: 25, List: "l"},
		},
	})
	for _, tc := range []struct {
		addr string
		port uint16
		want string
	}{
		{"203.0.113.9", 4444, "203.0.113.9:4444"},
		{"203.0.113.9", 80, "203.0.113.9:4444 port"},
		{"198.51.100.8", 1, "198.51.100.0/24"},
		{"198.51.100.9", 1, ""},
		{"198.51.100.10", 1, "198.51.100.0/24 low"},
		{"198.51.100.11", 1, "198.51.100.0/24"},
		{"198.51.100.8", 25, ""},
		{"192.0.2.1", 1, ""},
	} {
		got := ""
		for _, v := range s.Lookup(netip.MustParseAddr(tc.addr), tc.port) {
			got = v.String()
			if v.PortMiss {
				got += " port"
			}
			if v.Downgraded {
				got += " low"
			}
		}
		if got != tc.want {
			t.Errorf("%s port %d: %q, want %q", tc.addr, tc.port, got, tc.want)
		}
	}
	if n := len(set(t, "10.1.0.0/16\n", DefaultAllow()).Lookup(netip.MustParseAddr("10.1.2.3"), 1)); n != 0 {
		t.Error("a private range raised an alert")
	}
}

// TestFetch is the life of a list whose server behaves in every bad way.
func TestFetch(t *testing.T) {
	var mode atomic.Value
	mode.Store("good")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch mode.Load() {
		case "good":
			if r.Header.Get("If-None-Match") == `"1"` {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			w.Header().Set("ETag", `"1"`)
			fmt.Fprint(w, "192.0.2.1\n192.0.2.2\n192.0.2.3\n192.0.2.4\n")
		case "html":
			fmt.Fprint(w, "<html>log in</html>")
		case "half":
			fmt.Fprint(w, "192.0.2.1\n")
		case "busy":
			w.Header().Set("Retry-After", "7200")
			w.WriteHeader(http.StatusTooManyRequests)
		case "bomb":
			w.Header().Set("Content-Encoding", "gzip")
			gz := gzip.NewWriter(w)
			for range 2000 {
				gz.Write(bytes.Repeat([]byte("#"), 1024))
			}
			gz.Close()
		case "loop":
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
		case "cut":
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, "192.0.2.1\n")
		}
	}))
	defer server.Close()
	dir := t.TempDir()
	cfg := []ListConfig{{Name: "remote", URL: server.URL + "/list", MaxSize: 1 << 20}}
	s, err := New(cfg, AllowConfig{}, dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l := s.lists[0]
	if fresh, err := s.fetch(context.Background(), l); err != nil || !fresh {
		t.Fatal(fresh, err)
	}
	if fresh, err := s.fetch(context.Background(), l); err != nil || fresh {
		t.Fatal("an unchanged list was fetched again", err)
	}
	for bad, word := range map[string]string{
		"html": "HTML", "half": "shrunk from 4 to 1", "busy": "429", "bomb": "larger than", "loop": "redirects", "cut": "cut short",
	} {
		mode.Store(bad)
		l.state = state{}
		_, err := s.fetch(context.Background(), l)
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v, want a word about %q", bad, err, word)
		}
		if got := s.Lists()[0].Entries; got != 4 {
			t.Errorf("%s: %d entries left of 4", bad, got)
		}
		if bad == "busy" && time.Until(l.next) < 7000*time.Second {
			t.Errorf("Retry-After was not honoured: next in %v", time.Until(l.next))
		}
	}
	server.Close()
	offline, err := New(cfg, AllowConfig{}, dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := offline.Load(); err != nil || offline.Lists()[0].Entries != 4 {
		t.Errorf("started offline with %d entries, %v", offline.Lists()[0].Entries, err)
	}
}

// big is a list of n hosts and a mix of addresses of which one in a hundred is on it.
func big(t testing.TB, n int) (*Set, []event.Event) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	var text strings.Builder
	hosts := make([]netip.Addr, n)
	for i := range hosts {
		hosts[i] = netip.AddrFrom4([4]byte{byte(rng.UintN(223)), byte(rng.UintN(256)), byte(rng.UintN(256)), byte(rng.UintN(256))})
		fmt.Fprintln(&text, hosts[i])
	}
	events := make([]event.Event, 1<<16)
	for i := range events {
		e := &events[i]
		e.Src = netip.AddrFrom4([4]byte{10, 0, byte(rng.UintN(256)), byte(rng.UintN(256))})
		e.Dst = netip.AddrFrom4([4]byte{byte(rng.UintN(223)), byte(rng.UintN(256)), byte(rng.UintN(256)), byte(rng.UintN(256))})
		if i%50 == 0 {
			e.Dst = hosts[rng.IntN(n)]
		}
		e.Evidence = make([]event.Evidence, 0, 4)
	}
	return set(t, text.String(), DefaultAllow()), events
}

func TestMatchAllocatesNothing(t *testing.T) {
	s, events := big(t, 1000)
	i := 0
	if n := testing.AllocsPerRun(1000, func() { s.Match(&events[i]); i++ }); n != 0 {
		t.Errorf("%v allocations an event, want 0", n)
	}
}

func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, events := big(b, n)
			pairs := make([][2]netip.Addr, len(events))
			for i := range events {
				pairs[i] = [2]netip.Addr{events[i].Src, events[i].Dst}
			}
			e := event.Event{Evidence: make([]event.Evidence, 0, 8)}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				e.Src, e.Dst = pairs[i&(1<<16-1)][0], pairs[i&(1<<16-1)][1]
				s.Match(&e)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/2, "ns/address")
		})
	}
}
