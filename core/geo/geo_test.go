package geo

import (
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"varde/event"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

const header = `# Location Database Export
#
# Generated: Thu, 25 Jun 2026 04:33:59 GMT
# Vendor:    IPFire Project
# License:   CC BY-SA 4.0
`

func file(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// mmdbFile makes a real file in the layout of a vendor.
func mmdbFile(t testing.TB, kind string, records map[string]mmdbtype.Map) string {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{
		DatabaseType: kind, IncludeReservedNetworks: true, BuildEpoch: 1780000000, Description: map[string]string{"en": "made for a test"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for prefix, record := range records {
		_, network, err := net.ParseCIDR(prefix)
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Insert(network, record); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), kind+".mmdb")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := tree.WriteTo(f); err != nil {
		t.Fatal(err)
	}
	return path
}

func openDB(t testing.TB, files ...string) *DB {
	t.Helper()
	d, err := Open(Config{Files: files}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestText(t *testing.T) {
	d := openDB(t, file(t, "geoip", header+"3325256704,3325256959,NO\n3325256960,3325257215,??\n\"3405803776\",\"3405804031\",\"AU\"\n"),
		file(t, "geoip6", "2001:db8::,2001:db8:0:ffff:ffff:ffff:ffff:ffff,SE\n2001:db8:1::,2001:db8:1:ffff:ffff:ffff:ffff:ffff,DE\n"),
		file(t, "asn", "3325256704,3325256959,AS64500\n"))
	for addr, want := range map[string]Place{
		"198.51.100.0": {Country: "NO", ASN: 64500}, "198.51.100.255": {Country: "NO", ASN: 64500}, "198.51.101.0": {}, "198.51.99.255": {},
		"203.0.113.7": {Country: "AU"}, "::ffff:203.0.113.7": {Country: "AU"}, "0.0.0.0": {}, "255.255.255.255": {},
		"2001:db8::1": {Country: "SE"}, "2001:db8:1:ffff:ffff:ffff:ffff:ffff": {Country: "DE"}, "2001:db8:2::": {}, "::": {},
	} {
		if got := d.Lookup(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s is in %+v, want %+v", addr, got, want)
		}
	}
	about := d.Files()[0]
	about.Path = ""
	if diff := cmp.Diff(File{Kind: "text", Built: time.Date(2026, 6, 25, 4, 33, 59, 0, time.UTC), Entries: 2, Attribution: "IPFire Project, CC BY-SA 4.0"}, about, cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })); diff != "" {
		t.Error(diff)
	}
}

func TestMMDB(t *testing.T) {
	text := func(s string) mmdbtype.String { return mmdbtype.String(s) }
	country := mmdbFile(t, "GeoLite2-Country", map[string]mmdbtype.Map{
		"198.51.100.0/24": {"country": mmdbtype.Map{"iso_code": text("NO")}, "registered_country": mmdbtype.Map{"iso_code": text("US")}},
		"203.0.113.0/24":  {"registered_country": mmdbtype.Map{"iso_code": text("US")}},
		"2001:db8::/32":   {"country": mmdbtype.Map{"iso_code": text("SE")}},
		"192.0.2.0/24":    {"country": mmdbtype.Map{"iso_code": text("<b>")}},
	})
	as := mmdbFile(t, "GeoLite2-ASN", map[string]mmdbtype.Map{
		"198.51.100.0/25": {"autonomous_system_number": mmdbtype.Uint32(64500), "autonomous_system_organization": text("Example Net")},
	})
	lite := mmdbFile(t, "ipinfo_lite", map[string]mmdbtype.Map{
		"203.0.113.0/24": {"country": text("Australia"), "country_code": text("au"), "asn": text("AS64501"), "as_name": text("Other Net")},
		"192.0.2.0/25":   {"country": text("BR"), "asn": text("none")},
	})
	d := openDB(t, country, as, lite)
	for addr, want := range map[string]Place{
		"198.51.100.1": {"NO", 64500, "Example Net"}, "198.51.100.200": {"NO", 0, ""}, "203.0.113.9": {"AU", 64501, "Other Net"},
		"2001:db8::7": {"SE", 0, ""}, "192.0.2.1": {"BR", 0, ""}, "192.0.2.200": {}, "8.8.8.8": {},
	} {
		for range 2 { // decoded, then remembered
			if got := d.Lookup(netip.MustParseAddr(addr)); got != want {
				t.Errorf("%s is in %+v, want %+v", addr, got, want)
			}
		}
	}
	if f := d.Files()[0]; f.Kind != "GeoLite2-Country" || f.Built.Unix() != 1780000000 || f.Attribution != "made for a test" {
		t.Errorf("%+v", f)
	}
}

// TestFill sets what is not known yet, of the foreign end only.
func TestFill(t *testing.T) {
	d := openDB(t, file(t, "geoip", "3325256704,3325256959,NO\n3221225984,3221226239,SE\n"))
	far, near := netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("192.0.2.1")
	for name, c := range map[string]struct {
		e    event.Event
		want string
	}{
		"in":          {event.Event{Src: far, Dst: near, Own: event.SideDst}, "NO"},
		"out":         {event.Event{Src: near, Dst: far, Own: event.SideSrc}, "NO"},
		"unknown":     {event.Event{Src: far, Dst: near}, "NO"},
		"inside":      {event.Event{Src: far, Dst: near, Own: event.SideSrc | event.SideDst}, ""},
		"said":        {event.Event{Src: far, Own: event.SideDst, Country: "DE"}, "DE"},
		"private":     {event.Event{Src: netip.MustParseAddr("10.0.0.1"), Own: event.SideDst}, ""},
		"no address":  {event.Event{}, ""},
		"not in file": {event.Event{Src: netip.MustParseAddr("203.0.113.1"), Own: event.SideDst}, ""},
	} {
		d.Fill(&c.e)
		if c.e.Country != c.want {
			t.Errorf("%s: %q, want %q", name, c.e.Country, c.want)
		}
	}
	e := event.Event{Src: far, Own: event.SideDst}
	if n := testing.AllocsPerRun(1000, func() { e.Country = ""; d.Fill(&e) }); n != 0 {
		t.Errorf("%v allocations an event", n)
	}
}

// TestReplaced: a file that was replaced is read again, and a bad one leaves the old in use.
func TestReplaced(t *testing.T) {
	path := file(t, "geoip", "3325256704,3325256959,NO\n")
	d := openDB(t, path)
	at := netip.MustParseAddr("198.51.100.1")
	for content, want := range map[string]string{"3325256704,3325256959,SE\n": "SE"} {
		if err := os.WriteFile(path, []byte(content+"# longer\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		d.look()
		if got := d.Lookup(at).Country; got != want {
			t.Errorf("%q after the file was replaced, want %q", got, want)
		}
	}
	if err := os.WriteFile(path, []byte("<html>not found</html>\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.look()
	if got := d.Lookup(at).Country; got != "SE" {
		t.Errorf("%q after a bad file", got)
	}
}

func TestRefused(t *testing.T) {
	for name, content := range map[string]string{
		"page": "<html>\n", "reversed": "3325256959,3325256704,NO\n", "mixed": "3325256959,2001:db8::,NO\n", "long": strings.Repeat("1", 2*maxLine), "none": "a,b\n",
	} {
		if _, err := Open(Config{Files: []string{file(t, "x", content)}}, quiet); err == nil || !strings.Contains(err.Error(), ":1:") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Open(Config{Files: []string{file(t, "x.mmdb", "no database")}}, quiet); err == nil {
		t.Error("a file that is no MMDB is taken")
	}
	if _, err := Open(Config{Files: []string{"/nowhere/geoip"}}, quiet); err == nil {
		t.Error("a file that is not there is taken")
	}
}

// TestDebian reads the files of tor-geoipdb.
func TestDebian(t *testing.T) {
	if _, err := os.Stat(usual[0]); err != nil {
		t.Skip("tor-geoipdb is not installed")
	}
	d, err := Open(Config{}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range d.Files() {
		if f.Entries < 50_000 || f.Built.Year() < 2020 || !strings.Contains(f.Attribution, "IPFire") {
			t.Errorf("%+v", f)
		}
	}
	if got := d.Lookup(netip.MustParseAddr("129.240.0.1")).Country; got != "NO" { // the University of Oslo
		t.Errorf("129.240.0.1 is in %q", got)
	}
}

func FuzzText(f *testing.F) {
	f.Add("3325256704,3325256959,NO\n2001:db8::,2001:db8::1,SE\n# Generated: x\n")
	f.Fuzz(func(t *testing.T, content string) {
		tab, err := openText(file(t, "x", content))
		if err != nil {
			return
		}
		for _, a := range []string{"198.51.100.1", "2001:db8::1", "0.0.0.0", "ffff::"} {
			if p := tab.place(netip.MustParseAddr(a)); len(p.Country) != 0 && len(p.Country) != 2 {
				t.Errorf("country %q", p.Country)
			}
		}
	})
}

func BenchmarkLookup(b *testing.B) {
	if _, err := os.Stat(usual[0]); err != nil {
		b.Skip("tor-geoipdb is not installed")
	}
	d := openDB(b, usual[0])
	b.ReportAllocs()
	var n uint32
	for b.Loop() {
		n += 2654435761
		d.Lookup(netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}))
	}
}
