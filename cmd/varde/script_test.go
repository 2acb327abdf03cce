package main

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

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
			return os.WriteFile(filepath.Join(env.WorkDir, "exports.pcap"), exports(), 0o600)
		},
	})
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
