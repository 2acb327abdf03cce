package detect

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"varde/event"
)

// detectors are all three as a program has them.
type detectors struct {
	ground *Ground
	scans  *Scans
	surges *Surges
}

func newDetectors() *detectors {
	ground := NewGround(DefaultGround(), ours)
	return &detectors{ground, NewScans(DefaultScan(), ground, nil), NewSurges(DefaultSurge(), ground)}
}

func (d *detectors) judge(e *event.Event, say func(event.Warning)) {
	d.ground.Judge(e)
	if w := d.scans.Judge(e); w != nil {
		say(*w)
	}
	if w := d.surges.Judge(e); w != nil {
		say(*w)
	}
}

func (d *detectors) sweep(now int64, say func(event.Warning)) {
	d.scans.Sweep(now, say)
	d.surges.Sweep(now, say)
}

func (d *detectors) save(tb testing.TB) (out [3][]byte) {
	tb.Helper()
	for i, save := range []func(*bytes.Buffer) error{
		func(b *bytes.Buffer) error { return d.ground.Save(b) },
		func(b *bytes.Buffer) error { return d.scans.Save(b) },
		func(b *bytes.Buffer) error { return d.surges.Save(b) },
	} {
		var b bytes.Buffer
		if err := save(&b); err != nil {
			tb.Fatal(err)
		}
		out[i] = b.Bytes()
	}
	return out
}

func (d *detectors) load(state [3][]byte) error {
	return errors.Join(d.ground.Load(bytes.NewReader(state[0])), d.scans.Load(bytes.NewReader(state[1])), d.surges.Load(bytes.NewReader(state[2])))
}

// watch simulates the quiet site for some days with something hidden in each, and hands every step on.
func watch(t *testing.T, days int, seed uint64, step func(m *simulator, events []event.Event)) {
	if testing.Short() {
		t.Skip("simulates a week in one goroutine")
	}
	s := quietSite
	s.surges, s.scanners, s.perPort = 2, 2, 0.03
	m := newSimulator(s, seed)
	m.hideSurges(simBegin+4*simDay, days-4)
	m.hideScans(simBegin+4*simDay, days-4)
	for m.now < simBegin+int64(days)*simDay {
		var events []event.Event
		m.step(func(e *event.Event) { events = append(events, *e) })
		step(m, events)
	}
}

// TestReplayEqualsLive: the same events give the same warnings, also where the program was restarted in between, over
// and over.
func TestReplayEqualsLive(t *testing.T) {
	live, replay := newDetectors(), newDetectors()
	var a, b []event.Warning
	steps := 0
	watch(t, 8, 11, func(m *simulator, events []event.Event) {
		for i := range events {
			live.judge(&events[i], func(w event.Warning) { a = append(a, w) })
			replay.judge(&events[i], func(w event.Warning) { b = append(b, w) })
		}
		live.sweep(m.now, func(w event.Warning) { a = append(a, w) })
		replay.sweep(m.now, func(w event.Warning) { b = append(b, w) })
		if steps++; steps%71 == 0 {
			state := replay.save(t)
			if replay = newDetectors(); replay.load(state) != nil {
				t.Fatal("its own state cannot be loaded")
			}
		}
	})
	scans, surges, closed := 0, 0, 0
	for i := range a {
		scans, surges, closed = scans+b2i(a[i].Scan != nil), surges+b2i(a[i].Surge != nil), closed+b2i(a[i].State == event.Closed)
	}
	if scans < 12 || surges < 6 || closed < 6 {
		t.Errorf("%d warnings of scans, %d of surges, %d of ends: too few to compare", scans, surges, closed)
	}
	if len(a) != len(b) {
		t.Fatalf("%d warnings live, %d with restarts", len(a), len(b))
	}
	for i := range a {
		x, y := string(a[i].AppendJSON(nil, 0)), string(b[i].AppendJSON(nil, 0))
		if x != y {
			t.Fatalf("warning %d:\n%s", i, cmp.Diff(x, y))
		}
	}
}

func TestDamagedStateBeginsAnew(t *testing.T) {
	d := newDetectors()
	watch(t, 6, 12, func(_ *simulator, events []event.Event) {
		for i := range events {
			d.judge(&events[i], func(event.Warning) {})
		}
	})
	state := d.save(t)
	for which, whole := range state {
		for _, at := range []int{0, 5, 15, 16, 40, len(whole) / 2, len(whole) - 2} {
			for _, damaged := range [][]byte{whole[:min(at, len(whole)-1)], flipped(whole, min(at, len(whole)-1))} {
				fresh := newDetectors()
				other := state
				other[which] = damaged
				err := fresh.load(other)
				if err == nil {
					t.Errorf("state %d damaged at %d of %d was loaded", which, at, len(whole))
				}
				if which == 1 && fresh.scans.faint.n+fresh.scans.known.n+fresh.scans.open.n != 0 {
					t.Error("scans that could not be loaded remember something")
				}
				if which == 2 && (fresh.surges.base.cur != 0 || fresh.surges.hot.n != 0) {
					t.Error("surges that could not be loaded remember something")
				}
			}
		}
	}
}

func flipped(b []byte, at int) []byte {
	c := bytes.Clone(b)
	c[at] ^= 0x41
	return c
}

// small are detectors with little memory, quick to make and to save.
func small() *detectors {
	ground := NewGround(DefaultGround(), ours)
	ground.used, ground.served = newStamps(64), newStamps(64)
	scan, surge := DefaultScan(), DefaultSurge()
	scan.MaxSources, scan.MaxScans, surge.SeenPairs = 64, 16, 1024
	return &detectors{ground, NewScans(scan, ground, nil), NewSurges(surge, ground)}
}

// FuzzLoad loads damaged states, also such whose checksum is right, and goes on with whatever was loaded.
func FuzzLoad(f *testing.F) {
	d := small()
	at := time.Duration(0)
	for i := range 400 {
		at += time.Second
		d.judge(denied(at, "198.51.100.9", "192.0.2.7", 1+i), func(event.Warning) {})
	}
	for i := range 3 * 24 * 12 {
		at += 5 * time.Minute
		d.judge(denied(at, "203.0.113.7", "192.0.2.7", 1+i%7), func(event.Warning) {})
	}
	for i := range 40 {
		at += 10 * time.Second
		e := denied(at, "203.0.113.7", "192.0.2.7", 7547)
		e.Src = addr4(uint32(i) << 24)
		e.Country = "BR"
		d.judge(e, func(event.Warning) {})
	}
	contacts := NewContacts(DefaultConfig(), nil, nil)
	for i := range 9 {
		contacts.Judge(half{i%2 == 0, event.TCP, 443, uint16(50000 + i/4), whole, 9, 4000}.event(t0))
	}
	var incidents bytes.Buffer
	if err := contacts.Save(&incidents); err != nil {
		f.Fatal(err)
	}
	f.Add(incidents.Bytes(), uint16(100), byte(1))
	for _, whole := range d.save(f) {
		f.Add(whole, uint16(0), byte(0))
		f.Add(whole, uint16(200), byte(0xff))
	}
	f.Fuzz(func(t *testing.T, b []byte, flip uint16, with byte) {
		if len(b) > 0 {
			b[int(flip)%len(b)] ^= with
		}
		for _, forged := range []bool{false, true} {
			if forged {
				b = forge(b)
			}
			d := small()
			_ = d.ground.Load(bytes.NewReader(b))
			_ = d.scans.Load(bytes.NewReader(b))
			_ = d.surges.Load(bytes.NewReader(b))
			contacts := NewContacts(DefaultConfig(), nil, nil)
			_ = contacts.Load(bytes.NewReader(b))
			contacts.Judge(half{true, event.TCP, 443, 50000, whole, 9, 4000}.event(t0))
			contacts.Sweep(t0+10*simDay, func(w event.Warning) { w.AppendJSON(nil, 0) })
			for i := range 40 {
				e := denied(at+time.Duration(i)*time.Minute, "198.51.100.9", "192.0.2.7", 7547+i%2*i)
				e.Src = addr4(uint32(0xc6336400 + i))
				d.judge(e, func(event.Warning) {})
			}
			d.sweep(t0+int64(at)+10*simDay, func(event.Warning) {})
			d.save(t)
		}
	})
}

// forge gives a state the checksum that it ought to have, which stands in its last five bytes at most.
func forge(b []byte) []byte {
	end := len(b)
	for end > 0 && len(b)-end < 5 && (end == len(b) || b[end-1] >= 0x80) {
		end--
	}
	return binary.AppendUvarint(bytes.Clone(b[:end]), uint64(crc32.ChecksumIEEE(b[:end])))
}
