// Package flow turns export datagrams of routers into events: NetFlow v5, v9 (RFC 3954), IPFIX (RFC 7011) and
// sFlow v5. The decoder is written by hand since libraries are 15 times slower and trust counts in packets.
//
// A Collector knows what exporters have taught it: templates, sampling rates, interface names, sequence numbers.
// Each receiving goroutine has a Reader of its own, with the one Event that it reuses.
package flow

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"varde/event"
	"varde/event/human"
)

// Bounds on what exporters can make a Collector remember. RFC 7011 sets none.
const (
	maxDomains     = 256  // observation domains (and sFlow agents) of one exporter
	maxStreams     = 64   // source ports of one domain
	maxTemplates   = 4096 // templates of one domain, over all its ports
	maxFields      = 1024 // fields of one template
	maxSamplers    = 1024 // sampling rates of one domain
	maxInterfaces  = 4096 // interface names of one domain
	maxNameLength  = 64   // bytes of an interface name
	idleExporter   = 10 * time.Minute
	badLogInterval = 10 * time.Second
)

// Config is the part of the configuration that is about flows.
type Config struct {
	Listen     human.List       `yaml:"listen" doc:"UDP addresses to receive NetFlow, IPFIX and sFlow on, as \":2055\" or \"192.0.2.1:9995\"; empty is off."`
	Sockets    int              `yaml:"sockets" doc:"Sockets for each address; 0 is one for each processor."`
	Buffer     human.Size       `yaml:"buffer" doc:"Receive buffer wanted for each socket; the kernel may grant less, which is said at start."`
	Exporters  []ExporterConfig `yaml:"exporters" doc:"What is known of exporters beforehand: names and sampling rates."`
	OnlyListed bool             `yaml:"only_listed" doc:"Drop, and count, datagrams of exporters that are not listed."`
	Max        int              `yaml:"max_exporters" doc:"How many exporters are remembered; those listed by their address always are."`
	Hold       human.Size       `yaml:"hold" doc:"How many bytes of data sets are held for each exporter until their template comes."`
	HoldTime   human.Duration   `yaml:"hold_time" doc:"How long they are held."`
}

// ExporterConfig is what the operator knows of one exporter or a prefix of them.
type ExporterConfig struct {
	Address  string `yaml:"address" doc:"Address or prefix of the exporter."`
	Name     string `yaml:"name" doc:"What to call it; a prefix gives its name only to exporters without one of their own."`
	Sampling uint32 `yaml:"sampling" doc:"One in so many packets is sampled; used where the exporter does not say."`
	Force    bool   `yaml:"force_sampling" doc:"Use sampling even where the exporter says another rate."`
}

// DefaultConfig listens nowhere.
func DefaultConfig() Config {
	return Config{Buffer: 32 << 20, Max: 4096, Hold: 4 << 20, HoldTime: human.Duration(time.Minute)}
}

// Check says which value is impossible.
func (c *ExporterConfig) Check() error {
	if c.Force && c.Sampling == 0 {
		return fmt.Errorf("force_sampling of exporter %s has no rate; add sampling, 1 where every packet counts", c.Address)
	}
	_, err := parsePrefix(c.Address)
	return err
}

// Check says which value is impossible.
func (c *Config) Check() error {
	if c.Sockets < 0 || c.Sockets > 256 {
		return fmt.Errorf("sockets is %d; use 1 to 256, or 0 for one a processor", c.Sockets)
	}
	if c.Max < 1 || c.Max > 1<<20 {
		return fmt.Errorf("max_exporters is %d; use 1 to %d", c.Max, 1<<20)
	}
	return nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is no address or prefix of an exporter: use 192.0.2.1 or 192.0.2.0/24", s)
	}
	a = a.Unmap()
	return netip.PrefixFrom(a, a.BitLen()), nil
}

// Version is the protocol of a datagram.
type Version uint8

// The protocols, by the number in their header; sFlow's 5 is a 32-bit word and gets a number of our own.
const (
	NetFlow5 Version = 5
	NetFlow9 Version = 9
	IPFIX    Version = 10
	SFlow    Version = 105
)

// String is the name that events carry as their source.
func (v Version) String() string {
	switch v {
	case NetFlow5:
		return "netflow5"
	case NetFlow9:
		return "netflow9"
	case IPFIX:
		return "ipfix"
	case SFlow:
		return "sflow"
	}
	return "unknown"
}

// known is a prefix of exporters with what the operator says of it.
type known struct {
	prefix netip.Prefix
	ExporterConfig
}

// Collector is safe for concurrent use by its Readers.
type Collector struct {
	cfg   Config
	log   *slog.Logger
	known []known

	mu        sync.RWMutex
	exporters map[netip.Addr]*exporter

	held     atomic.Int64 // bytes of held sets of all exporters
	memory   atomic.Int64 // bytes of what all exporters have taught, estimated
	full     atomic.Int64 // when no exporter was found that could be forgotten for more
	refused  atomic.Uint64
	unlisted atomic.Uint64
	evicted  atomic.Uint64
	datagram atomic.Uint64
	records  atomic.Uint64
	dropped  atomic.Uint64 // datagrams lost in our sockets
	fallback atomic.Uint64 // templates found under another source port
	bad      [numReasons]atomic.Uint64
	badLog   [numReasons]atomic.Int64 // when each reason was last logged
}

// New makes a Collector.
func New(cfg Config, log *slog.Logger) (*Collector, error) {
	c := &Collector{cfg: cfg, log: log, exporters: map[netip.Addr]*exporter{}}
	for _, x := range cfg.Exporters {
		p, err := parsePrefix(x.Address)
		if err != nil {
			return nil, err
		}
		c.known = append(c.known, known{p, x})
	}
	return c, nil
}

// Reader decodes datagrams for one goroutine. Emit is called while the exporter is locked, so it must not ask the
// Collector for anything.
type Reader struct {
	c      *Collector
	emit   event.Emit
	e      event.Event
	layout *template // what e was last reset for
	pool   uint32    // datagrams that our socket dropped and that no sequence gap has explained yet
	last   *exporter
	rec    record
}

// Reader gives a Reader that hands its events to emit.
func (c *Collector) Reader(emit event.Emit) *Reader {
	return &Reader{c: c, emit: emit}
}

// Dropped tells that the socket lost n datagrams just before the one that comes next.
func (r *Reader) Dropped(n uint32) {
	r.pool += n
	r.c.dropped.Add(uint64(n))
}

// Packet decodes one datagram and emits its records. Received is in nanoseconds since 1970. What is wrong with a
// datagram is counted by reason and sampled into the log.
func (r *Reader) Packet(from netip.AddrPort, b []byte, received int64) {
	r.c.datagram.Add(1)
	if len(b) < 4 {
		r.c.reject(tooShort, from, received, len(b))
		return
	}
	switch binary.BigEndian.Uint16(b) {
	case 5:
		r.netflow5(from, b, received)
	case 9, 10:
		r.templated(from, b, received)
	case 0:
		if binary.BigEndian.Uint32(b) == 5 {
			r.sflow(from, b, received)
			return
		}
		fallthrough
	default:
		r.c.reject(unknownVersion, from, received, int(binary.BigEndian.Uint16(b)))
	}
}

// Reason is why a datagram or a part of it was not understood.
type Reason uint8

// The reasons.
const (
	tooShort Reason = iota
	unknownVersion
	lyingCount
	lyingLength
	badSet
	badTemplate
	badOptions
	tooManyDomains
	tooManyTemplates
	tooManyNames
	shortRecord
	badSample
	truncatedDatagram
	numReasons
)

var reasonNames = [numReasons]string{
	"too_short", "unknown_version", "count_beyond_packet", "length_beyond_packet", "bad_set", "bad_template", "bad_options",
	"too_many_domains", "too_many_templates", "too_many_names", "short_record", "bad_sample", "truncated_datagram",
}

var reasonWords = [numReasons]string{
	"shorter than its header", "version is none of 5, 9, 10 and sFlow 5", "header counts more records than the packet holds",
	"header claims another length than the packet has", "set length is below 4 or beyond the packet",
	"template is cut short, empty or has too many fields", "options template is cut short or has no scope",
	"more observation domains than are remembered", "more templates than are remembered", "more interface names and sampling rates than are remembered", "record runs over the end of its set",
	"sFlow sample is cut short or claims a length beyond the packet", "datagram was larger than the receive buffer",
}

// reject counts bad input and logs it at most every badLogInterval for each reason.
func (c *Collector) reject(why Reason, from netip.AddrPort, now int64, value int) {
	n := c.bad[why].Add(1)
	last := c.badLog[why].Load()
	if now-last < int64(badLogInterval) && last != 0 || !c.badLog[why].CompareAndSwap(last, now) {
		return
	}
	c.log.Warn("flow datagram not understood", "exporter", from.Addr(), "reason", reasonWords[why], "value", value, "count", n)
}
