package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"varde/core/store"
	"varde/event"
	"varde/input/flow/flowgen"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"varde": main})
}

// TestScripts runs the pages under testdata: whole commands as people type them.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("TZ", "UTC")
			env.Setenv("HOME", env.WorkDir)
			lists := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "203.0.113.94\n198.51.100.0/24\n") }))
			env.Defer(lists.Close)
			fetched := fmt.Sprintf("data_dir: data\nlists: [{name: web, url: %q}]\nnetflow: {listen: []}\nweb: {listen: \"\"}\nhttp: {listen: \"\"}\n", lists.URL)
			return errors.Join(os.WriteFile(filepath.Join(env.WorkDir, "fetched.yaml"), []byte(fetched), 0o600),
				os.WriteFile(filepath.Join(env.WorkDir, "exports.pcap"), exports(), 0o600))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"filled": filled, "listening": listening},
	})
}

// filled DIR makes a store with some days of a small network: a listed address that a host of ours spoke with, one
// that only knocked, and everyday traffic.
func filled(ts *testscript.TestScript, _ bool, args []string) {
	dir := filepath.Join(ts.MkAbs(args[0]), "store")
	s, err := store.Open(store.DefaultConfig(), dir, slog.New(slog.DiscardHandler))
	ts.Check(err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	put := func(ago time.Duration, kind event.Kind, src, dst string, dport uint16, own event.Side, packets, bytes, back uint64) {
		at := time.Now().Add(-ago).UnixNano()
		e := event.Event{
			Kind: kind, Source: "netflow9", Exporter: "edge", Time: at, End: at + int64(time.Second), Proto: event.TCP, TCPFlags: event.SYN,
			Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr(dst), SrcPort: 40000, DstPort: dport, Own: own, Packets: packets, Bytes: bytes, Sampling: 1,
		}
		if kind == event.Probe {
			e.Source, e.Action, e.Country = "netfilter", event.Deny, "NL"
		}
		if back > 0 {
			e.HasReverse, e.RevPackets, e.RevBytes, e.TCPFlags = true, packets, back, event.SYN|event.ACK|event.PSH
		}
		s.Put(&e)
	}
	const day = 24 * time.Hour
	put(3*day, event.Flow, "192.0.2.17", "203.0.113.94", 4444, event.SideSrc, 12, 48_000, 1_200_000)
	put(2*day, event.Flow, "192.0.2.17", "203.0.113.94", 4444, event.SideSrc, 3, 900, 700)
	now := time.Now()
	noon := time.Date(now.Year(), now.Month(), now.Day()-1, 12, 0, 0, 0, time.Local) // one calendar day holds all five, whenever this runs
	for i := range 5 {
		put(now.Sub(noon)+time.Duration(i)*time.Minute, event.Probe, "198.51.100.201", "192.0.2.80", 23, event.SideDst, 1, 40, 0)
	}
	for i := range 40 {
		put(time.Duration(i+1)*time.Hour, event.Flow, fmt.Sprintf("192.0.2.%d", 20+i%4), "198.51.100.7", 443, event.SideSrc, 20, 3000, 50_000)
	}
	ts.Check(s.Flush(ctx))
	stop()
	ts.Check(errors.Join(<-ended, s.Close()))
}

// listening SOCKET waits until something answers there.
func listening(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("unix", ts.MkAbs(args[0]))
		if err == nil {
			ts.Check(conn.Close())
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("nothing listens: %v", err)
		}
	}
}

// exports is a capture of a router's NetFlow v9: the first flow of the weblog's post, its answer, and a harmless one.
func exports() []byte {
	at := time.Date(2016, 6, 7, 12, 38, 20, 0, time.UTC).UnixNano()
	x := flowgen.New(flowgen.Config{Protocol: flowgen.NetFlow9, Domain: 1, Boot: at - int64(time.Hour)})
	one := func(src, dst string, sport, dport uint16, flags uint8) {
		x.Add(&event.Event{
			Kind: event.Flow, Time: at - int64(time.Second), End: at, Proto: event.TCP, TCPFlags: flags,
			Src: netip.MustParseAddr(src), SrcPort: sport, Dst: netip.MustParseAddr(dst), DstPort: dport, Packets: 2, Bytes: 80,
		})
	}
	one("93.174.93.94", "192.0.2.7", 48928, 53, event.SYN)
	one("192.0.2.7", "93.174.93.94", 53, 48928, event.RST|event.ACK)
	one("192.0.2.9", "198.51.100.1", 40000, 443, event.SYN|event.ACK|event.PSH)
	var b bytes.Buffer
	b.Write([]byte{0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0})
	le := func(v uint32) { b.Write([]byte{byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24)}) }
	x.Flush(at+int64(27*time.Second), func(d []byte) {
		n := uint32(len(d)) + 42
		le(uint32(at/int64(time.Second)) + 27)
		le(0)
		le(n)
		le(n)
		b.Write([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0})
		b.Write([]byte{0x45, 0, byte((n - 14) >> 8), byte(n - 14), 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2})
		b.Write([]byte{0x80, 0, 8, 7, byte((n - 34) >> 8), byte(n - 34), 0, 0})
		b.Write(d)
	})
	return b.Bytes()
}
