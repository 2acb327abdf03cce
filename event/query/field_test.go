package query

import (
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"varde/event"
)

// TestFields holds the table of fields together: every constant has its place, every name is its own, every example is
// a filter that uses the field.
func TestFields(t *testing.T) {
	names := map[string]Field{}
	for i, info := range Fields() {
		f := Field(i + 1)
		if info.Field != f || info.Name == "" || info.Help == "" {
			t.Errorf("field %d is %+v", f, info)
		}
		for _, name := range append(strings.Fields(info.also), info.Name) {
			if other, twice := names[name]; twice {
				t.Errorf("%s names %s and %s", name, other, f)
			}
			names[name] = f
			if got, ok := ParseField(strings.ToUpper(name)); !ok || got != f {
				t.Errorf("%s is %s, want %s", name, got, f)
			}
		}
		if _, err := Parse(info.Example); err != nil {
			t.Errorf("example of %s: %v", f, err)
		}
	}
	if last := Field(len(fields) - 1); last != FieldPacketSize || Field(len(fields)).String() != "" {
		t.Errorf("the last field is %s", last)
	}
	for _, w := range Words() {
		if _, err := Parse(w.Example); err != nil {
			t.Errorf("example of %s: %v", w.Name, err)
		}
	}
	if _, ok := ParseField(""); ok {
		t.Error("a field without a name")
	}
}

// TestKeyIsFilter holds the values of groups to the filter language: name:value finds the event that it came from.
func TestKeyIsFilter(t *testing.T) {
	a := netip.MustParseAddr
	e := event.Event{
		Kind: event.Probe, Action: event.Deny, Proto: event.TCP, TCPFlags: event.SYN | event.CWR, Src: a("2001:db8:1:2::3"), Dst: a("192.0.2.1"), SrcPort: 40000, DstPort: 22,
		Own: event.SideDst, HasICMP: true, ICMPType: 8, Source: "netfilter", Exporter: "fw 1", Session: "a:b", InIf: "eth0.100", OutIndex: 7, Rule: "DROP\x1b\"", Country: "NO", ASN: 64500,
		Evidence: []event.Evidence{{List: "one"}, {List: "two words"}, {List: "one"}},
	}
	for _, info := range Fields() {
		if !info.Groups {
			continue
		}
		keys := Keys(info.Field, &e)
		if info.Field == FieldList && !slices.Equal(keys, []string{"one", "two words"}) || info.Field != FieldList && (len(keys) != 1 || keys[0] == "") {
			t.Errorf("%s has the values %q", info.Field, keys)
		}
		for _, key := range keys {
			x, err := Parse(info.Name + ":" + formatText(key))
			if err != nil {
				t.Errorf("%s: %v", info.Field, err)
			} else if !Match(x, &e) {
				t.Errorf("%s does not hold for the event it came from", Format(x))
			}
		}
	}
}

func TestKeys(t *testing.T) {
	a := netip.MustParseAddr
	flow := event.Event{Kind: event.Flow, Proto: event.UDP, TCPFlags: event.SYN, Src: a("192.0.2.77"), Dst: a("2001:db8:1:2::3"), SrcPort: 0, DstPort: 53, InIndex: 4, Own: event.SideDst}
	icmp := event.Event{Kind: event.Flow, Proto: event.ICMPv6, HasICMP: true, ICMPType: 128, DstPort: 32768}
	for _, c := range []struct {
		f    Field
		e    *event.Event
		want string
	}{
		{FieldSrc, &flow, "192.0.2.77"},
		{FieldSrc24, &flow, "192.0.2.0/24"},
		{FieldDst24, &flow, "2001:db8:1::/48"},
		{FieldOwn, &flow, "2001:db8:1:2::3"},
		{FieldForeign, &flow, "192.0.2.77"},
		{FieldSrcPort, &flow, "0"},
		{FieldService, &flow, "53/udp"},
		{FieldTCPFlags, &flow, ""},
		{FieldInIf, &flow, "4"},
		{FieldICMPType, &flow, ""},
		{FieldASN, &flow, ""},
		{FieldAction, &flow, ""},
		{FieldSrc, &icmp, ""},
		{FieldOwn, &icmp, ""},
		{FieldSrc24, &icmp, ""},
		{FieldDstPort, &icmp, ""},
		{FieldService, &icmp, "icmp6"},
		{FieldICMPType, &icmp, "128"},
		{FieldICMPCode, &icmp, "0"},
		{FieldList, &icmp, ""},
	} {
		if got := string(AppendKey(nil, c.f, c.e)); got != c.want {
			t.Errorf("%s is %q, want %q", c.f, got, c.want)
		}
	}
	both := event.Event{Src: flow.Src, Dst: flow.Dst, Own: event.SideSrc | event.SideDst}
	if own, foreign := Keys(FieldOwn, &both), Keys(FieldForeign, &both); own[0] != "192.0.2.77" || foreign[0] != "" {
		t.Errorf("with both ends ours, own is %q and foreign %q", own, foreign)
	}
	if keys := Keys(FieldList, &flow); keys != nil {
		t.Errorf("no list is %q", keys)
	}
}

func TestParseTop(t *testing.T) {
	for _, c := range []struct {
		text, err string
		want      TopBy
	}{
		{text: "src,dport", want: TopBy{Fields: []Field{FieldSrc, FieldDstPort}}},
		{text: " Country , as / Sources", want: TopBy{Fields: []Field{FieldCountry, FieldASN}, Order: BySources}},
		{text: "srcip/flows", want: TopBy{Fields: []Field{FieldSrc}, Order: ByEvents}},
		{text: "dprot", err: `"dprot" is no field; did you mean "dport"?: use src, dst`},
		{text: "", err: `"" is no field: use src`},
		{text: "src/byte", err: `order "byte"; did you mean "bytes"?: use bytes, packets, events or sources`},
		{text: "bytes", err: "top by bytes: it is a quantity"},
		{text: "src,srcip", err: "top by src twice"},
		{text: "src,dst,sport,dport,proto", err: "top of 5 fields: use 1 to 4"},
	} {
		got, err := ParseTop(c.text)
		if c.err != "" {
			if err == nil || !strings.HasPrefix(err.Error(), c.err) {
				t.Errorf("%s: error %v, want %s", c.text, err, c.err)
			}
			continue
		}
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", c.text, err, diff)
		}
	}
	for o := ByBytes; o <= BySources; o++ {
		if got, ok := ParseOrder(o.String()); !ok || got != o {
			t.Errorf("order %s is read as %s", o, got)
		}
		if n := o.Of(&Totals{Bytes: 1, Packets: 2, Events: 3, Sources: 4}); n != [...]uint64{1, 2, 3, 4}[o] {
			t.Errorf("order %s takes %d", o, n)
		}
	}
}

func TestChecks(t *testing.T) {
	hour := Box{From: 1e18, To: 1e18 + int64(time.Hour)}
	for name, c := range map[string]struct {
		err error
		ok  bool
	}{
		"top":                        {TopBy{Fields: []Field{FieldSrc}, N: MaxRows}.Check(), true},
		"top of too many":            {TopBy{Fields: []Field{FieldSrc}, N: MaxRows + 1}.Check(), false},
		"top of -1":                  {TopBy{Fields: []Field{FieldSrc}, N: -1}.Check(), false},
		"top of nothing":             {TopBy{}.Check(), false},
		"series":                     {SeriesBy{Step: time.Minute, Field: FieldProto, N: 5}.Check(hour), true},
		"series of everything":       {SeriesBy{Step: time.Hour}.Check(hour), true},
		"series of bytes":            {SeriesBy{Step: time.Hour, Field: FieldBytes}.Check(hour), false},
		"series by list":             {SeriesBy{Step: time.Hour, Field: FieldList}.Check(hour), false},
		"series by 77":               {SeriesBy{Step: time.Hour, Field: 77}.Check(hour), false},
		"series without end":         {SeriesBy{Step: time.Hour}.Check(Box{From: 1}), false},
		"series without begin":       {SeriesBy{Step: time.Hour}.Check(Box{To: 1}), false},
		"series too fine":            {SeriesBy{Step: time.Second}.Check(Box{From: 1, To: 1 + (MaxSteps+1)*1e9}), false},
		"series of 1.5 s":            {SeriesBy{Step: 1500 * time.Millisecond}.Check(hour), false},
		"series of no step":          {SeriesBy{}.Check(hour), false},
		"series of too many":         {SeriesBy{Step: time.Hour, Field: FieldSrc, N: maxSeries + 1}.Check(hour), false},
		"grid":                       {Grid{2000, 2000}.Check(hour), true},
		"grid too large":             {Grid{2000, 2001}.Check(hour), false},
		"grid too large to multiply": {Grid{math.MaxInt, 2}.Check(hour), false},
		"grid of nothing":            {Grid{0, 5}.Check(hour), false},
		"grid without time":          {Grid{5, 5}.Check(Box{}), false},
	} {
		if (c.err == nil) != c.ok {
			t.Errorf("%s: %v", name, c.err)
		}
	}
	if n := (SeriesBy{Step: time.Minute}).Steps(Box{From: 1, To: 2 + int64(time.Minute)}); n != 2 {
		t.Errorf("a minute and a nanosecond have %d steps", n)
	}
}

func TestGridRow(t *testing.T) {
	g := Grid{Width: 1, Height: 600}
	for port, want := range map[uint16]uint32{0: 0, 1: 0, 2: 37, 4: 75, 16: 150, 256: 300, 255: 299, 4096: 450, 4095: 449, 65535: 599} {
		if got := g.Row(port); got != want {
			t.Errorf("port %d is in row %d, want %d", port, got, want)
		}
	}
	for h := 1; h < 3000; h += 7 {
		if row := (Grid{1, h}).Row(65535); row != uint32(h-1) {
			t.Fatalf("the last port is in row %d of %d", row, h)
		}
	}
}

func TestClassOf(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	for _, c := range []struct {
		proto    uint8
		src, dst netip.Addr
		want     Class
	}{
		{event.TCP, v4, v4, TCP4},
		{event.TCP, v6, v6, TCP6},
		{event.UDP, v4, v4, UDP4},
		{event.UDP, netip.Addr{}, v6, UDP6},
		{event.ICMP, v4, v4, ICMP4},
		{event.ICMPv6, v6, v6, ICMP6},
		{event.ICMP, netip.Addr{}, netip.Addr{}, ICMP4},
		{47, v4, v4, OtherClass},
		{event.TCP, netip.Addr{}, netip.Addr{}, OtherClass},
	} {
		if got := ClassOf(&event.Event{Proto: c.proto, Src: c.src, Dst: c.dst}); got != c.want {
			t.Errorf("protocol %d of %s is %d, want %d", c.proto, c.src, got, c.want)
		}
	}
}

func TestMuteCovers(t *testing.T) {
	w := event.Warning{
		Rule: "list", Own: event.Endpoint{Addr: netip.MustParseAddr("10.0.0.5")}, Foreign: event.Endpoint{Addr: netip.MustParseAddr("198.51.100.7")},
		Evidence: []event.Evidence{{List: "drop"}, {List: "tor", Info: true}},
	}
	two := w
	two.Evidence = append([]event.Evidence{{List: "feodo"}}, w.Evidence...)
	net := netip.MustParsePrefix
	for name, c := range map[string]struct {
		m      Mute
		w, two bool
	}{
		"nothing":         {Mute{}, false, false},
		"own address":     {Mute{Prefix: net("10.0.0.0/8")}, true, true},
		"foreign address": {Mute{Prefix: net("198.51.100.7/32")}, true, true},
		"other address":   {Mute{Prefix: net("192.0.2.0/24")}, false, false},
		"list":            {Mute{List: "drop"}, true, false},
		"other list":      {Mute{List: "x"}, false, false},
		"role only":       {Mute{List: "tor"}, false, false},
		"list and net":    {Mute{List: "drop", Prefix: net("10.0.0.0/8")}, true, false},
		"list, wrong net": {Mute{List: "drop", Prefix: net("192.0.2.0/24")}, false, false},
		"rule":            {Mute{Rule: "list"}, true, true},
		"other rule":      {Mute{Rule: "scan"}, false, false},
		"ended":           {Mute{Rule: "list", Expires: 1000}, false, false},
		"not ended":       {Mute{Rule: "list", Expires: 1001}, true, true},
	} {
		if got := c.m.Covers(&w, 1000); got != c.w {
			t.Errorf("%s covers it: %v", name, got)
		}
		if got := c.m.Covers(&two, 1000); got != c.two {
			t.Errorf("%s covers what two lists say: %v", name, got)
		}
	}
}
