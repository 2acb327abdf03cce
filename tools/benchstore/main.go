// Benchstore fills the store with generated flows of thirty days, asks what people ask, and prints how long that takes
// as Markdown; nfdump gets the same flows from nfcapd and answers the questions that it can.
//
// With 100 million flows it takes about a quarter of an hour and 12 GB of disk.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"varde/core/store"
	"varde/event"
	"varde/event/query"
)

const (
	days  = 30
	tries = 5 // each question; the median counts
	chunk = 400_000
)

func main() {
	n := flag.Int("flows", 100_000_000, "how many flows, over thirty days")
	dir := flag.String("dir", "", "where the data go, kept afterwards and only asked the next time that day; a temporary one when left out")
	peer := flag.Bool("nfdump", true, "nfdump beside it")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *n, *dir, *peer); err != nil {
		fmt.Fprintln(os.Stderr, "benchstore:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, n int, dir string, peer bool) error {
	if dir == "" {
		temp, err := os.MkdirTemp("", "benchstore-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(temp)
		dir = temp
	}
	b := &bench{n: n, dir: dir, begin: time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -days)}
	fmt.Printf("%d flows of %d days, %d processors, %s, memory_limit 1 GB\n\n", n, days, runtime.NumCPU(), runtime.Version())
	if err := b.varde(ctx); err != nil {
		return err
	}
	if peer {
		if err := b.nfdump(ctx); err != nil {
			return err
		}
	}
	b.print()
	return nil
}

// bench is one run.
type bench struct {
	n     int
	dir   string
	begin time.Time
	facts []string
	lines []line
	list  []netip.Prefix
	rare  netip.Addr
	busy  netip.Addr
	three []netip.Addr
}

// line is one question with its times.
type line struct {
	what        string
	goal        time.Duration
	ours, peers time.Duration
}

// day makes the flows of one day, the same at each call: clients of a /20 talking to hosts whose popularity falls as in
// any network, with the ports, sizes and lengths of flows that routers report.
func (b *bench) day(day int, one func(*event.Event)) {
	r := rand.New(rand.NewPCG(uint64(day), 7))
	zipf := rand.NewZipf(r, 1.15, 12, 1<<21)
	ports := []uint16{443, 443, 443, 443, 443, 80, 80, 53, 53, 123, 22, 25, 993, 3389, 8080, 445, 23}
	from, count := b.begin.AddDate(0, 0, day), b.n/days
	step := 24 * time.Hour / time.Duration(count)
	var e event.Event
	for i := range count {
		at := from.Add(step * time.Duration(i)).UnixMilli()
		near := netip.AddrFrom4([4]byte{10, 1, byte(r.Uint32N(16)), byte(r.Uint32())})
		far := farHost(zipf.Uint64())
		packets := 1 + uint64(r.ExpFloat64()*r.ExpFloat64()*12)
		e = event.Event{
			Kind: event.Flow, Source: "netflow5", Exporter: "127.0.0.1", Proto: event.TCP, TCPFlags: 0x1b, Sampling: 1, InIndex: 1, OutIndex: 2,
			Time: at * 1e6, End: (at + int64(r.ExpFloat64()*4000)) * 1e6, Src: near, Dst: far, Own: event.SideSrc,
			SrcPort: uint16(1024 + r.Uint32N(64000)), DstPort: ports[r.IntN(len(ports))], Packets: packets, Bytes: packets * uint64(40+r.Uint32N(1400)),
		}
		if e.DstPort == 53 || e.DstPort == 123 {
			e.Proto, e.TCPFlags = event.UDP, 0
		}
		if r.IntN(2) == 0 {
			e.Src, e.Dst, e.SrcPort, e.DstPort, e.Own = e.Dst, e.Src, e.DstPort, e.SrcPort, event.SideDst
		}
		one(&e)
	}
}

// farHost spreads ranks over the addresses outside, always in the same way.
func farHost(rank uint64) netip.Addr {
	h := (rank + 1) * 0x9e3779b97f4a7c15
	return netip.AddrFrom4([4]byte{byte(20 + h>>56%180), byte(h >> 48), byte(h >> 40), byte(h >> 32)})
}

func (b *bench) varde(ctx context.Context) error {
	dir := filepath.Join(b.dir, "varde")
	cfg := store.DefaultConfig()
	s, err := store.Open(cfg, dir, slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return err
	}
	runCtx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.Run(runCtx) }()
	if g, topErr := s.Top(ctx, query.Box{}, query.TopBy{Fields: []query.Field{query.FieldKind}, N: 1}); topErr != nil {
		err = topErr
	} else if g.Total.Events == 0 {
		err = b.fill(ctx, s, dir)
	} else {
		b.fact("%d flows were there already", g.Total.Events)
	}
	if err == nil {
		b.choosePrey()
		err = b.ask(ctx, s)
	}
	stop()
	return firstOf(err, <-ended, s.Close())
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// fill stores and seals day by day, while one person looks at the last hour every second.
func (b *bench) fill(ctx context.Context, s *store.Store, dir string) error {
	asking, stop := context.WithCancel(ctx)
	defer stop()
	asked := make(chan int, 1)
	go func() { asked <- look(asking, s) }()
	var storing, sealing time.Duration
	for day := range days {
		begin := time.Now()
		waiting, err := 0, error(nil)
		b.day(day, func(e *event.Event) {
			if waiting++; waiting == chunk && err == nil {
				waiting, err = 0, s.Flush(ctx)
			}
			s.Put(e)
		})
		if err = firstOf(err, s.Flush(ctx)); err != nil {
			return err
		}
		storing += time.Since(begin)
		begin = time.Now()
		if err := s.Seal(ctx, b.begin.AddDate(0, 0, day+1)); err != nil {
			return err
		}
		sealing += time.Since(begin)
		fmt.Fprintf(os.Stderr, "\rvarde: day %d of %d", day+1, days)
	}
	fmt.Fprintln(os.Stderr)
	stop()
	bytes, err := sizeOf(filepath.Join(dir, "archive"))
	if err != nil {
		return err
	}
	index, err := sizeOf(filepath.Join(dir, "seen"))
	if err != nil {
		return err
	}
	per := func(n int64) float64 { return float64(n) / float64(b.n) }
	b.fact("stored %.0f flows/s, generating and %d questions about the last hour included", float64(b.n)/storing.Seconds(), <-asked)
	b.fact("sealed %.1f M flows/s", float64(b.n)/sealing.Seconds()/1e6)
	b.fact("archive %.1f B a flow, index %.1f B", per(bytes), per(index))
	return nil
}

// look asks for the newest events and the largest talkers once a second until ctx ends.
func look(ctx context.Context, s *store.Store) (n int) {
	for tick := time.Tick(time.Second); ; n++ {
		select {
		case <-ctx.Done():
			return n
		case <-tick:
		}
		if _, err := s.Tail(ctx, query.Box{}, 100); err != nil {
			return n
		}
	}
}

func (b *bench) fact(format string, args ...any) {
	b.facts = append(b.facts, fmt.Sprintf(format, args...))
}

// choosePrey picks what is hunted: a rare host, three, and 100,000 networks of which most were never met.
func (b *bench) choosePrey() {
	b.rare, b.busy = farHost(800_000), farHost(20_000)
	b.three = []netip.Addr{farHost(20_001), farHost(50_003), farHost(200_017)}
	r := rand.New(rand.NewPCG(1, 1))
	for range 100_000 {
		a := netip.AddrFrom4([4]byte{byte(20 + r.Uint32N(180)), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())})
		bits := 32
		if r.IntN(20) == 0 {
			bits = 28
		}
		b.list = append(b.list, netip.PrefixFrom(a, bits).Masked())
	}
}

// ask measures the questions.
func (b *bench) ask(ctx context.Context, s *store.Store) error {
	last := b.begin.AddDate(0, 0, days-1)
	day := query.Box{From: last.UnixNano(), To: last.AddDate(0, 0, 1).UnixNano()}
	var found string
	questions := []struct {
		line
		do func() (int, error)
	}{
		{line{what: "pixel bins of 24 h (1600 x 900)", goal: 200 * time.Millisecond}, func() (int, error) {
			p, err := s.Pixels(ctx, day, query.Grid{Width: 1600, Height: 900})
			return len(p), err
		}},
		{line{what: "top 20 sources of 24 h by bytes", goal: 200 * time.Millisecond}, func() (int, error) {
			g, err := s.Top(ctx, day, query.TopBy{Fields: []query.Field{query.FieldSrc}, N: 20})
			return len(g.Rows), err
		}},
		{line{what: "bytes of 24 h by the five largest services, in 96 steps"}, func() (int, error) {
			g, err := s.Series(ctx, day, query.SeriesBy{Step: 15 * time.Minute, Field: query.FieldService, N: 5})
			return len(g), err
		}},
		{line{what: "one rare address over all", goal: time.Second}, func() (int, error) {
			c, err := s.Hunt(ctx, query.Box{}, []netip.Prefix{netip.PrefixFrom(b.rare, 32)})
			return len(c), err
		}},
		{line{what: "one busy address over all", goal: time.Second}, func() (int, error) {
			c, err := s.Hunt(ctx, query.Box{}, []netip.Prefix{netip.PrefixFrom(b.busy, 32)})
			return len(c), err
		}},
		{line{what: "three addresses over all"}, func() (int, error) {
			var p []netip.Prefix
			for _, a := range b.three {
				p = append(p, netip.PrefixFrom(a, 32))
			}
			c, err := s.Hunt(ctx, query.Box{}, p)
			return len(c), err
		}},
		{line{what: "the page of the rare address over all"}, func() (int, error) {
			a, err := s.Address(ctx, query.Box{}, b.rare)
			return len(a.Peers), err
		}},
		{line{what: "100,000 prefixes over all", goal: 5 * time.Second}, func() (int, error) {
			c, err := s.Hunt(ctx, query.Box{}, b.list)
			return len(c), err
		}},
	}
	for _, q := range questions {
		var took []time.Duration
		for range tries {
			begin := time.Now()
			n, err := q.do()
			if err != nil {
				return fmt.Errorf("%s: %w", q.what, err)
			}
			took = append(took, time.Since(begin))
			found = fmt.Sprint(n)
		}
		slices.Sort(took)
		q.ours = took[tries/2]
		q.what += " (" + found + " found)"
		b.lines = append(b.lines, q.line)
		fmt.Fprintf(os.Stderr, "%s: %v\n", q.what, q.ours)
	}
	return nil
}

func (b *bench) print() {
	for _, f := range b.facts {
		fmt.Println("-", f)
	}
	fmt.Println("\n| question | goal | varde | nfdump | ratio |\n|---|---:|---:|---:|---:|")
	text := func(d time.Duration) string {
		if d == 0 {
			return "–"
		}
		return fmt.Sprintf("%.3f s", d.Seconds())
	}
	for _, l := range b.lines {
		ratio := "–"
		if l.peers > 0 {
			ratio = fmt.Sprintf("%.0f x", l.peers.Seconds()/l.ours.Seconds())
		}
		fmt.Printf("| %s | %s | %s | %s | %s |\n", l.what, text(l.goal), text(l.ours), text(l.peers), ratio)
	}
}

func sizeOf(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	return n, err
}
