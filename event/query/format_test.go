package query

import (
	"math"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"varde/event"
)

var comparePrefixes = cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })

var prefixes = []string{"0.0.0.0/0", "10.0.0.0/8", "10.1.2.0/24", "10.1.2.3/32", "192.0.2.1/32", "::/0", "2001:db8::/32", "2001:db8::1/128"}

func drawPrefix(t *rapid.T) netip.Prefix {
	return netip.MustParsePrefix(rapid.SampledFrom(prefixes).Draw(t, "prefix"))
}

// drawCondition draws a condition as Parse makes them.
func drawCondition(t *rapid.T) Expr {
	op := Op(rapid.IntRange(0, int(AtLeast)).Draw(t, "op"))
	end := End(rapid.IntRange(0, int(NATEnd)).Draw(t, "end"))
	value := rapid.OneOf(rapid.SampledFrom([]string{"", "a", "A b", "and", "-x", "æ", "\x1b\"\n"}), rapid.String()).Draw(t, "value")
	switch rapid.IntRange(0, 9).Draw(t, "condition") {
	case 0:
		return Net{end, drawPrefix(t)}
	case 1:
		if value == "" {
			value = "x"
		}
		return Nets{End: end, Name: value}
	case 2:
		return Port{min(end, DstEnd), op, rapid.SampledFrom([]uint16{0, 1, 22, 443, 65535}).Draw(t, "port")}
	case 3:
		return drawNumber(t, op)
	case 4:
		return Flags{uint8(rapid.IntRange(1, 255).Draw(t, "flags"))}
	case 5:
		fields := []Field{FieldSource, FieldExporter, FieldSession, FieldInIf, FieldOutIf, FieldRule, FieldList}
		return Text{rapid.SampledFrom(fields).Draw(t, "field"), value, rapid.Bool().Draw(t, "part")}
	case 6:
		return Text{FieldCountry, rapid.SampledFrom([]string{"NO", "SE", ""}).Draw(t, "country"), false}
	case 7:
		return IsKind{event.Kind(rapid.IntRange(0, int(event.TTY)).Draw(t, "kind"))}
	case 8:
		return IsAction{event.Action(rapid.IntRange(0, int(event.UnknownAction)).Draw(t, "action"))}
	}
	return Family{rapid.Bool().Draw(t, "v4")}
}

func drawNumber(t *rapid.T, op Op) Expr {
	most := map[Field]uint64{
		FieldProto: 255, FieldICMPType: 255, FieldICMPCode: 255, FieldASN: math.MaxUint32, FieldDuration: math.MaxInt64,
		FieldPackets: math.MaxUint64, FieldBytes: math.MaxUint64, FieldCount: math.MaxUint64, FieldSampling: math.MaxUint64,
		FieldPacketRate: math.MaxUint64, FieldBitRate: math.MaxUint64, FieldPacketSize: math.MaxUint64,
	}
	var fields []Field
	for f := range Field(len(Fields()) + 1) {
		if most[f] > 0 {
			fields = append(fields, f)
		}
	}
	f := rapid.SampledFrom(fields).Draw(t, "number")
	values := rapid.OneOf(rapid.Uint64(), rapid.SampledFrom([]uint64{0, 1, 6, 58, 1000, 1e6, 5e9, 86400e9}))
	return Number{f, op, min(values.Draw(t, "n"), most[f])}
}

// drawTree draws a filter; a tidy one is as Parse makes them.
func drawTree(t *rapid.T, depth int, tidy bool) Expr {
	switch n := rapid.IntRange(0, 5).Draw(t, "node"); {
	case depth == 0 || n > 2:
		return drawCondition(t)
	case n == 0:
		return Not{drawTree(t, depth-1, tidy)}
	default:
		parts := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Expr { return drawTree(t, depth-1, tidy) }), 0, 4).Draw(t, "parts")
		switch {
		case tidy && n == 1:
			return all(parts...)
		case tidy:
			return oneOf(parts...)
		case n == 1:
			return And(parts)
		}
		return Or(parts)
	}
}

func TestFormatIsParsed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := drawTree(t, 3, true)
		text := Format(x)
		if len(text) > MaxText {
			t.Skip("too long for a filter")
		}
		y, err := Parse(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if diff := cmp.Diff(x, y, comparePrefixes); diff != "" {
			t.Fatalf("%s (-written +read):\n%s", text, diff)
		}
	})
}

func TestFormatMeansTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := drawTree(t, 3, false)
		e := drawEvent(t)
		text := Format(x)
		if len(text) > MaxText {
			t.Skip("too long for a filter")
		}
		y, err := Parse(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if Match(x, &e) != Match(y, &e) {
			t.Fatalf("%s is %v of %s, written and read again it is not", text, Match(x, &e), e.AppendJSON(nil))
		}
	})
}

func TestFormatByHand(t *testing.T) {
	mapped := netip.MustParsePrefix("::ffff:192.0.2.77/120")
	for _, c := range []struct {
		x    Expr
		want string
	}{
		{nil, ""},
		{And{nil, Not{nil}}, "any and not any"},
		{And{And{Flags{event.SYN}}}, "flags S"},
		{Or{Or{}, And{}}, "none or any"},
		{Net{}, "none"},
		{Net{SrcEnd, mapped}, "src net 192.0.2.0/24"},
		{Nets{SrcEnd, "", []netip.Prefix{mapped, netip.MustParsePrefix("10.0.0.0/8")}}, "src ip in [192.0.2.0/24 10.0.0.0/8]"},
		{Nets{}, "none"},
		{Not{Nets{Prefixes: []netip.Prefix{mapped}}}, "not net 192.0.2.0/24"},
		{Port{NATEnd, More, 1}, "port > 1"},
		{Number{FieldRule, Equal, 1}, "none"},
		{Number{FieldDuration, Less, math.MaxUint64}, "duration < 2562047h47m16.854775807s"},
		{Flags{}, "proto tcp"},
		{Text{FieldKind, "flow", false}, "none"},
	} {
		if got := Format(c.x); got != c.want {
			t.Errorf("%#v is %q, want %q", c.x, got, c.want)
		}
	}
}
