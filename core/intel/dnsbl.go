package intel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"varde/event"
	"varde/event/human"
)

// DNSBLConfig says which block lists in DNS are asked about addresses that are suspicious already. Without zones nothing
// is ever asked.
type DNSBLConfig struct {
	Resolver string         `yaml:"resolver" doc:"Address and port of the resolver that is asked, as 127.0.0.1:53; block lists refuse public resolvers."`
	Zones    []DNSBLZone    `yaml:"zones" doc:"The block lists; none are asked when there are none."`
	Rate     float64        `yaml:"rate" doc:"Queries a second to each zone, at most; 5 by default."`
	Timeout  human.Duration `yaml:"timeout" doc:"How long an answer is waited for; 3s by default."`
}

// DNSBLZone is one block list in DNS.
type DNSBLZone struct {
	Zone    string            `yaml:"zone" doc:"Its name, as zen.dnsbl.example."`
	KeyFile string            `yaml:"key_file" doc:"File with the key that stands before the zone, where the publisher gives one."`
	Codes   map[string]string `yaml:"codes" doc:"What its answers mean, as 127.0.0.2: scanner; those of Spamhaus ZEN are known."`
	Info    []string          `yaml:"info" doc:"Answers that tell a role, not hostility, as 127.0.0.10 and 127.0.0.11 of Spamhaus ZEN."`
}

// DefaultDNSBL asks nobody.
func DefaultDNSBL() DNSBLConfig {
	return DNSBLConfig{Rate: 5, Timeout: human.Duration(3 * time.Second)}
}

// Check says which value is impossible.
func (c *DNSBLConfig) Check() error {
	if len(c.Zones) == 0 {
		return nil
	}
	if ap, err := netip.ParseAddrPort(c.Resolver); err != nil || ap.Port() == 0 {
		return fmt.Errorf("dnsbl: resolver %q: write address and port of the resolver to ask, as 127.0.0.1:53", c.Resolver)
	}
	if c.Rate <= 0 || c.Rate > 1000 {
		return fmt.Errorf("dnsbl: rate is %v, use more than 0 and up to 1000", c.Rate)
	}
	if c.Timeout <= 0 || time.Duration(c.Timeout) > time.Minute {
		return fmt.Errorf("dnsbl: timeout is %s, use up to a minute", time.Duration(c.Timeout))
	}
	if len(c.Zones) > maxZones {
		return fmt.Errorf("dnsbl: %d zones, at most %d are asked", len(c.Zones), maxZones)
	}
	seen := map[string]bool{}
	for _, z := range c.Zones {
		name := dns.CanonicalName(z.Zone)
		if _, ok := dns.IsDomainName(z.Zone); !ok || name == "." || seen[name] {
			return fmt.Errorf("dnsbl: zone %q is no name, or stands there twice", z.Zone)
		}
		seen[name] = true
		for code := range z.Codes {
			if a, err := netip.ParseAddr(code); err != nil || !loopback.Contains(a) {
				return fmt.Errorf("dnsbl: zone %s: code %q: answers lie in 127.0.0.0/8", z.Zone, code)
			}
		}
	}
	return nil
}

// Bounds on asking block lists.
const (
	maxZones       = 32
	maxAnswers     = 100_000 // kept, of all zones
	maxCodes       = 16      // of one answer
	maxReason      = 300     // bytes of its text
	maxWaiting     = 10_000  // addresses that wait to be asked about
	minAnswerTTL   = time.Minute
	maxAnswerTTL   = 24 * time.Hour
	errorTTL       = time.Minute
	zoneCheckEvery = 24 * time.Hour
)

// loopback is where answers of block lists lie (RFC 5782 section 2.1).
var loopback = netip.PrefixFrom(netip.AddrFrom4([4]byte{127}), 8)

// DNSBL asks block lists in DNS. It is slow, and therefore never asked for every event: what is known already comes from
// Known, what is worth asking is handed to Later, and a person who asks is answered by Ask.
type DNSBL struct {
	cfg     DNSBLConfig
	log     *slog.Logger
	now     func() time.Time
	zones   []*zone
	waiting chan netip.Addr

	mu      sync.Mutex
	answers map[question]kept
	dropped uint64
}

// zone is the state of one zone.
type zone struct {
	DNSBLZone
	name string // with the key and the final dot

	mu      sync.Mutex
	next    time.Time // when it may be asked again
	checked time.Time // when it was last found to work
	broken  string    // why it is of no use
	asked   uint64
	failed  uint64
}

type question struct {
	zone int
	addr netip.Addr
}

type kept struct {
	DNSBLAnswer
	until time.Time
}

// NewDNSBL makes a DNSBL; it is nil without zones.
func NewDNSBL(cfg DNSBLConfig, log *slog.Logger) (*DNSBL, error) {
	if err := cfg.Check(); err != nil || len(cfg.Zones) == 0 {
		return nil, err
	}
	d := &DNSBL{cfg: cfg, log: log, now: time.Now, waiting: make(chan netip.Addr, maxWaiting), answers: map[question]kept{}}
	for _, z := range cfg.Zones {
		name := dns.CanonicalName(z.Zone)
		if z.KeyFile != "" {
			key, err := os.ReadFile(z.KeyFile)
			if err != nil {
				return nil, fmt.Errorf("dnsbl: zone %s: read its key: %w", z.Zone, err)
			}
			name = strings.TrimSpace(string(key)) + "." + name
			if _, ok := dns.IsDomainName(name); !ok {
				return nil, fmt.Errorf("dnsbl: zone %s: what is in %s is no key", z.Zone, z.KeyFile)
			}
		}
		d.zones = append(d.zones, &zone{DNSBLZone: z, name: name})
	}
	return d, nil
}

// worthAsking leaves out what no block list knows and what would tell it of the inside.
func worthAsking(a netip.Addr) bool {
	return a.IsValid() && a.IsGlobalUnicast() && !a.IsPrivate()
}

// Later has an address asked about by Run; false when too many wait already.
func (d *DNSBL) Later(a netip.Addr) bool {
	if !worthAsking(a) {
		return true
	}
	select {
	case d.waiting <- a:
		return true
	default:
		d.mu.Lock()
		d.dropped++
		d.mu.Unlock()
		return false
	}
}

// Run asks about the addresses that wait until ctx ends.
func (d *DNSBL) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case a := <-d.waiting:
			for _, answer := range d.Ask(ctx, a) {
				if answer.Error != "" && ctx.Err() == nil {
					d.log.Debug("block list not asked", "zone", answer.Zone, "address", a, "error", answer.Error)
				}
			}
		}
	}
}

// Known gives what is known of an address without asking anybody.
func (d *DNSBL) Known(a netip.Addr) []DNSBLAnswer {
	now := d.now()
	var out []DNSBLAnswer
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.zones {
		if k, ok := d.answers[question{i, a}]; ok && now.Before(k.until) {
			out = append(out, k.DNSBLAnswer)
		}
	}
	return out
}

// Ask gives what every zone says of an address: from what is known, else by asking, one zone beside the other.
func (d *DNSBL) Ask(ctx context.Context, a netip.Addr) []DNSBLAnswer {
	a = a.Unmap()
	if !worthAsking(a) {
		return nil
	}
	out := make([]DNSBLAnswer, len(d.zones))
	var all sync.WaitGroup
	for i := range d.zones {
		all.Go(func() { out[i] = d.one(ctx, i, a) })
	}
	all.Wait()
	return out
}

func (d *DNSBL) one(ctx context.Context, i int, a netip.Addr) DNSBLAnswer {
	q := question{i, a}
	d.mu.Lock()
	k, ok := d.answers[q]
	d.mu.Unlock()
	if ok && d.now().Before(k.until) {
		return k.DNSBLAnswer
	}
	z := d.zones[i]
	if err := d.works(ctx, z); err != nil {
		return DNSBLAnswer{Zone: z.Zone, Error: err.Error(), Asked: d.now()}
	}
	answer, ttl := d.query(ctx, z, a)
	if ctx.Err() == nil {
		d.keep(q, kept{answer, d.now().Add(ttl)})
	}
	return answer
}

// keep remembers an answer; when the room is used up, what is over goes first, then anything.
func (d *DNSBL) keep(q question, k kept) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.answers) >= maxAnswers {
		now := d.now()
		for old, x := range d.answers {
			if !now.Before(x.until) {
				delete(d.answers, old)
			}
		}
		for old := range d.answers {
			if len(d.answers) < maxAnswers-maxAnswers/10 {
				break
			}
			delete(d.answers, old)
		}
	}
	d.answers[q] = k
}

// works checks once a day that a zone does what block lists promise (RFC 5782 section 5): it lists 127.0.0.2 and does
// not list 127.0.0.1. A zone that was given up often lists the whole world, or nobody.
func (d *DNSBL) works(ctx context.Context, z *zone) error {
	z.mu.Lock()
	fresh, broken := d.now().Sub(z.checked) < zoneCheckEvery, z.broken
	if broken != "" {
		fresh = d.now().Sub(z.checked) < errorTTL
	}
	z.mu.Unlock()
	if !fresh {
		yes, _ := d.query(ctx, z, netip.AddrFrom4([4]byte{127, 0, 0, 2}))
		no, _ := d.query(ctx, z, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case yes.Error != "":
			broken = yes.Error
		case no.Error != "":
			broken = no.Error
		case !yes.Listed:
			broken = "it does not list the test address 127.0.0.2; check its name"
		case no.Listed:
			broken = "it lists 127.0.0.1, which no block list does: it may be given up and list everything"
		default:
			broken = ""
		}
		z.mu.Lock()
		if broken != z.broken && broken != "" {
			d.log.Warn("block list is of no use", "zone", z.Zone, "error", broken)
		}
		z.checked, z.broken = d.now(), broken
		z.mu.Unlock()
	}
	if broken != "" {
		return errors.New(broken)
	}
	return nil
}

// wait keeps to the rate of a zone.
func (d *DNSBL) wait(ctx context.Context, z *zone) error {
	z.mu.Lock()
	now := d.now()
	at := z.next
	if at.Before(now) {
		at = now
	}
	z.next = at.Add(time.Duration(float64(time.Second) / d.cfg.Rate))
	z.asked++
	z.mu.Unlock()
	timer := time.NewTimer(at.Sub(now))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// query asks a zone about an address and tells for how long the answer holds.
func (d *DNSBL) query(ctx context.Context, z *zone, a netip.Addr) (DNSBLAnswer, time.Duration) {
	answer := DNSBLAnswer{Zone: z.Zone}
	name := reverse(a) + z.name
	m, err := d.exchange(ctx, z, name, dns.TypeA)
	answer.Asked = d.now()
	if err == nil && m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
		err = fmt.Errorf("the resolver answered %s", dns.RcodeToString[m.Rcode])
	}
	if err == nil {
		err = z.read(&answer, m)
	}
	if err != nil {
		z.mu.Lock()
		z.failed++
		z.mu.Unlock()
		answer = DNSBLAnswer{Zone: z.Zone, Error: err.Error(), Asked: answer.Asked}
		return answer, errorTTL
	}
	if answer.Listed {
		if m, err := d.exchange(ctx, z, name, dns.TypeTXT); err == nil {
			answer.Reason = reason(m)
		}
	}
	return answer, lifetime(m)
}

// exchange sends one query, over TCP where the answer was too large.
func (d *DNSBL) exchange(ctx context.Context, z *zone, name string, kind uint16) (*dns.Msg, error) {
	if err := d.wait(ctx, z); err != nil {
		return nil, err
	}
	q := new(dns.Msg)
	q.SetQuestion(name, kind)
	for _, transport := range [...]string{"udp", "tcp"} {
		client := &dns.Client{Net: transport, Timeout: time.Duration(d.cfg.Timeout)}
		m, _, err := client.ExchangeContext(ctx, q, d.cfg.Resolver)
		if err != nil {
			var op *net.OpError
			if errors.As(err, &op) && op.Timeout() {
				return nil, fmt.Errorf("the resolver %s did not answer within %s", d.cfg.Resolver, time.Duration(d.cfg.Timeout))
			}
			return nil, fmt.Errorf("ask the resolver %s: %w", d.cfg.Resolver, err)
		}
		if !m.Truncated {
			return m, nil
		}
	}
	return nil, errors.New("the answer is too large even for TCP")
}

// Figures gives queries and failures of each zone.
func (d *DNSBL) Figures(context.Context) ([]event.Figure, error) {
	d.mu.Lock()
	out := []event.Figure{
		event.Measure("varde_dnsbl_waiting", "Addresses that wait to be asked about.", "", float64(len(d.waiting))),
		event.Count("varde_dnsbl_dropped_total", "Addresses not asked about since too many waited.", d.dropped),
		event.Measure("varde_dnsbl_answers", "Answers that are remembered.", "", float64(len(d.answers))),
	}
	d.mu.Unlock()
	for _, z := range d.zones {
		z.mu.Lock()
		name, broken := []string{"zone", z.Zone}, 0.0
		if z.broken != "" {
			broken = 1
		}
		out = append(out,
			event.Count("varde_dnsbl_queries_total", "Queries to a block list in DNS.", z.asked, name...),
			event.Count("varde_dnsbl_failed_total", "Queries without a usable answer.", z.failed, name...),
			event.Measure("varde_dnsbl_failed", "1 when a block list refuses or does not work.", "", broken, name...))
		z.mu.Unlock()
	}
	return out, nil
}
