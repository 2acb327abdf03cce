package agentx

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/iotest"
)

// requests are PDUs as a master sends them.
func requests() [][]byte {
	var e encoder
	var out [][]byte
	add := func(b []byte) { out = append(out, slices.Clone(b)) }
	root := amavisRoot()
	for _, flags := range []byte{0, flagNetworkOrder} {
		for _, kind := range []byte{pduGet, pduGetNext, pduGetBulk} {
			p := pdu{kind: kind, flags: flags, session: 7, transaction: 8, packet: 9}
			e.begin(&p)
			if kind == pduGetBulk {
				e.u16(1)
				e.u16(50)
			}
			for _, o := range []oid{root.plus(1), root.plus(1, 2, 1, 0), {1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 82733}} {
				e.oid(o, true)
				e.oid(root.plus(4), false)
			}
			add(e.end())
		}
		set := pdu{kind: pduTestSet, flags: flags}
		e.begin(&set)
		for _, v := range []value{
			{typ: typeInteger, number: 1}, {typ: typeOctets, octets: "hello"}, {typ: typeOID, oid: root}, {typ: typeCounter64, number: 1 << 60}, {typ: typeNull},
		} {
			e.variable(&variable{root, v})
		}
		add(e.end())
		response := pdu{kind: pduResponse, flags: flags, err: errDuplicateRegistration, vars: []variable{{root, value{typ: typeGauge32, number: 5}}}}
		add(e.response(&response))
		for _, kind := range []byte{pduCleanupSet, pduPing, pduCommitSet, pduUndoSet} {
			add(e.bare(&pdu{kind: kind, flags: flags}))
		}
		add(e.close(&pdu{kind: pduClose, flags: flags}, closeShutdown))
		context := pdu{kind: pduGet, flags: flags | flagContext}
		e.begin(&context)
		e.octets("other")
		e.oid(root, false)
		e.oid(nil, false)
		add(e.end())
	}
	return out
}

// TestDecode wants back what was written, in both byte orders, from a connection that gives a byte at a time.
func TestDecode(t *testing.T) {
	for _, b := range requests() {
		r := receiver{from: iotest.OneByteReader(bytes.NewReader(b))}
		bad, err := r.next()
		if bad || err != nil {
			t.Errorf("%x: bad %v, %v", b, bad, err)
		}
		if p := r.pdu; len(p.ranges) == 3 && (p.ranges[1].start.String() != "1.3.6.1.4.1.15312.2.1.1.2.1.0" || !p.ranges[2].include || p.ranges[2].end.String() != "1.3.6.1.4.1.15312.2.1.4") {
			t.Errorf("%x: ranges %v", b, p.ranges)
		} else if p.kind == pduTestSet && (p.vars[1].octets != "hello" || !slices.Equal(p.vars[2].oid, amavisRoot()) || p.vars[3].number != 1<<60) {
			t.Errorf("%x: variables %v", b, p.vars)
		} else if p.flags&flagContext != 0 && p.context != "other" {
			t.Errorf("%x: context %q", b, p.context)
		}
		for cut := range b {
			r := receiver{from: bytes.NewReader(b[:cut])}
			if _, err := r.next(); !errors.Is(err, errClosed) {
				t.Errorf("%x cut to %d bytes: %v", b, cut, err)
			}
		}
	}
}

// FuzzReceive reads anything. What is read keeps its bounds, and every request has an answer that can be read.
func FuzzReceive(f *testing.F) {
	for _, b := range requests() {
		f.Add(b)
	}
	f.Add(bytes.Join(requests(), nil))
	a, err := New(Config{Master: "/nowhere", Root: DefaultConfig().Root, Every: DefaultConfig().Every, Keepalive: DefaultConfig().Keepalive, Timeout: DefaultConfig().Timeout, Priority: 1, Amavis: true},
		Deps{Amavis: &fakeAmavis{}})
	if err != nil {
		f.Fatal(err)
	}
	p := a.collector.picture(f.Context())
	f.Fuzz(func(t *testing.T, b []byte) {
		s := &session{Agent: a, granted: slices.Repeat([]bool{true}, len(a.collector.roots))}
		r := receiver{from: bytes.NewReader(b)}
		for range 100 {
			bad, err := r.next()
			if err != nil {
				return
			}
			in := &r.pdu
			if len(in.ranges) > maxRanges+1 || len(in.vars) > maxRanges+1 {
				t.Fatalf("%d ranges, %d variables", len(in.ranges), len(in.vars))
			}
			if bad {
				continue
			}
			out := pdu{kind: pduResponse, flags: flagNetworkOrder}
			switch in.kind {
			case pduGet:
				for i := range in.ranges {
					out.vars = append(out.vars, p.get(in.ranges[i].start, s.granted))
				}
			case pduGetBulk:
				out.vars = s.bulk(p, in, nil)
			case pduGetNext:
				for i := range in.ranges {
					v := p.next(&in.ranges[i], s.granted)
					if v.typ != endOfMIBView && slices.Compare(v.name, in.ranges[i].start) < 0 {
						t.Fatalf("after %s comes %s", in.ranges[i].start, v.name)
					}
					out.vars = append(out.vars, v)
				}
			}
			if len(out.vars) > max(maxBulk, len(in.ranges)) {
				t.Fatalf("%d values for %d ranges", len(out.vars), len(in.ranges))
			}
			var e encoder
			if len(out.vars) < 1000 { // what snmpd itself may ask fits well below maxPayload
				back := receiver{from: bytes.NewReader(e.response(&out))}
				if bad, err := back.next(); bad || err != nil || len(back.pdu.vars) != len(out.vars) {
					t.Fatalf("our answer is bad (%v) or gives %v; %d of %d values", bad, err, len(back.pdu.vars), len(out.vars))
				}
			}
		}
	})
}

// TestWaitKeepsBytes wants that a PDU which comes in two pieces with a pause between them is read whole.
func TestWaitKeepsBytes(t *testing.T) {
	b := requests()[0]
	pieces := [][]byte{b[:30], nil, b[30:]}
	r := receiver{from: readerFunc(func(to []byte) (int, error) {
		piece := pieces[0]
		pieces = pieces[1:]
		if piece == nil {
			return 0, errPause
		}
		return copy(to, piece), nil
	})}
	if _, err := r.next(); !errors.Is(err, errPause) {
		t.Fatalf("before the pause: %v", err)
	}
	if bad, err := r.next(); bad || err != nil || len(r.pdu.ranges) != 3 {
		t.Errorf("after the pause: bad %v, %v, %d ranges", bad, err, len(r.pdu.ranges))
	}
}

var errPause = errors.New("pause")

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

var _ io.Reader = readerFunc(nil)

// TestDoesNotAllocate: a question is read and answered without an allocation, so that walks make no garbage.
func TestDoesNotAllocate(t *testing.T) {
	amavis, queues := fromWalk(t)
	cfg := DefaultConfig()
	cfg.Master, cfg.Every = "/nowhere", DefaultConfig().Every*15
	a, err := New(cfg, Deps{Amavis: amavis, Sources: []Source{queues}})
	if err != nil {
		t.Fatal(err)
	}
	if !a.keeper.first(t.Context()) {
		t.Fatal("no picture")
	}
	b := requests()[1]
	s := newSession(a, nil)
	from := bytes.NewReader(nil)
	s.in.from, s.established, s.id = from, true, 7
	for i := range s.granted {
		s.granted[i] = true
	}
	allocs := testing.AllocsPerRun(100, func() {
		from.Reset(b)
		if bad, err := s.in.next(); bad || err != nil {
			t.Fatal(bad, err)
		}
		out := pdu{kind: pduResponse, flags: flagNetworkOrder, vars: s.vars[:0]}
		s.fill(t.Context(), &s.in.pdu, &out)
		if s.vars = out.vars; len(out.vars) != 3 || out.vars[0].typ == endOfMIBView {
			t.Fatalf("%v", out.vars)
		}
		s.enc.response(&out)
	})
	if allocs != 0 {
		t.Errorf("%.1f allocations a question, want none", allocs)
	}
}
