package geo

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The text form of tor-geoipdb, made from the location database of IPFire: comments with #, then first address, last
// address, country; IPv4 as numbers (or dotted), IPv6 as text; AS files have AS1234 in place of the country or after it.

// Bounds on a text.
const (
	maxEntries = 5_000_000
	maxRejects = 1000 // lines that are no entry; more and the file is none of this form
	maxLine    = 512
)

// wide is a range of IPv6 addresses by their upper and lower halves.
type wide struct {
	firstHi, firstLo, lastHi, lastLo uint64
	country                          uint16
	asn                              uint32
}

type narrow struct {
	first, last uint32
	country     uint16
	asn         uint32
}

// text is one text file as sorted ranges.
type text struct {
	file  File
	v4    []narrow
	at    [1<<16 + 1]uint32 // where in v4 the entries begin whose first address has these upper 16 bits, or higher ones
	v6    []wide
	names [1 << 10]string // of countries, the only copies of their text, by nameOf
}

func openText(path string) (*text, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t := &text{file: File{Path: path, Kind: "text"}}
	sc := bufio.NewScanner(f)
	sc.Buffer(make([]byte, maxLine), maxLine)
	rejects, n := 0, 0
	for sc.Scan() {
		n++
		line := strings.TrimSpace(sc.Text())
		if strings.HasPrefix(line, "#") {
			t.comment(strings.TrimSpace(line[1:]))
			continue
		}
		if line == "" {
			continue
		}
		if err := t.line(line); err != nil {
			if rejects++; rejects > maxRejects || len(t.v4)+len(t.v6) == 0 {
				return nil, fmt.Errorf("%s:%d: %w: expected first address, last address and country with commas between", path, n, err)
			}
		}
		if len(t.v4)+len(t.v6) > maxEntries {
			return nil, fmt.Errorf("%s has more than %d entries", path, maxEntries)
		}
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("%s:%d: %w", path, n+1, err)
	}
	slices.SortFunc(t.v4, func(a, b narrow) int { return cmp.Compare(a.first, b.first) })
	slices.SortFunc(t.v6, func(a, b wide) int {
		return cmp.Or(cmp.Compare(a.firstHi, b.firstHi), cmp.Compare(a.firstLo, b.firstLo))
	})
	t.v4, t.v6 = slices.Clip(slices.Clone(t.v4)), slices.Clip(slices.Clone(t.v6)) // without the room for growing
	i := 0
	for upper := range t.at {
		for i < len(t.v4) && int(t.v4[i].first>>16) < upper {
			i++
		}
		t.at[upper] = uint32(i)
	}
	t.file.Entries = len(t.v4) + len(t.v6)
	return t, nil
}

// comment reads what the header says of the data.
func (t *text) comment(s string) {
	if built, ok := strings.CutPrefix(s, "Generated:"); ok {
		t.file.Built, _ = time.Parse(time.RFC1123, strings.TrimSpace(built))
	}
	if vendor, ok := strings.CutPrefix(s, "Vendor:"); ok {
		t.file.Attribution = strings.TrimSpace(vendor)
	}
	if licence, ok := strings.CutPrefix(s, "License:"); ok && t.file.Attribution != "" {
		t.file.Attribution += ", " + strings.TrimSpace(licence)
	}
}

func (t *text) line(line string) error {
	fields := strings.Split(line, ",")
	if len(fields) < 3 {
		return fmt.Errorf("%q has %d fields", line, len(fields))
	}
	first, err := parseAddr(strings.Trim(fields[0], `"`))
	if err != nil {
		return err
	}
	last, err := parseAddr(strings.Trim(fields[1], `"`))
	if err != nil {
		return err
	}
	if first.Is4() != last.Is4() || last.Less(first) {
		return fmt.Errorf("%s to %s is no range", first, last)
	}
	var country uint16
	var asn uint32
	for _, f := range fields[2:] {
		f = strings.ToUpper(strings.Trim(f, `"`))
		if number, ok := strings.CutPrefix(f, "AS"); ok && len(f) > 2 {
			n, err := strconv.ParseUint(number, 10, 32)
			if err != nil {
				return err
			}
			asn = uint32(n)
		} else if code, ok := codeOf(f); ok {
			country = code
		}
	}
	if country == 0 && asn == 0 {
		return nil // ?? is said outright: not known
	}
	if country != 0 && t.names[nameOf(country)] == "" {
		t.names[nameOf(country)] = string([]byte{byte(country >> 8), byte(country)})
	}
	if first.Is4() {
		t.v4 = append(t.v4, narrow{number(first), number(last), country, asn})
		return nil
	}
	w := wide{country: country, asn: asn}
	w.firstHi, w.firstLo = halves(first)
	w.lastHi, w.lastLo = halves(last)
	t.v6 = append(t.v6, w)
	return nil
}

// codeOf is a country of two letters as a number; letters only, so that nothing else gets into texts made of it.
func codeOf(s string) (uint16, bool) {
	if len(s) != 2 || s[0] < 'A' || s[0] > 'Z' || s[1] < 'A' || s[1] > 'Z' {
		return 0, false
	}
	return uint16(s[0])<<8 | uint16(s[1]), true
}

func parseAddr(s string) (netip.Addr, error) {
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(n))
		return netip.AddrFrom4(b), nil
	}
	return netip.ParseAddr(s)
}

func number(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

func halves(a netip.Addr) (hi, lo uint64) {
	b := a.As16()
	return binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
}

// nameOf is where the name of a country stands: five bits of each letter.
func nameOf(country uint16) int { return int(country>>8&31)<<5 | int(country&31) }

func (t *text) place(a netip.Addr) Place {
	var country uint16
	var asn uint32
	if a.Is4() {
		n := number(a)
		lo, hi := int(t.at[n>>16]), int(t.at[n>>16+1])
		for lo < hi { // the first entry behind n
			if mid := (lo + hi) / 2; t.v4[mid].first <= n {
				lo = mid + 1
			} else {
				hi = mid
			}
		}
		if i := lo - 1; i >= 0 && n <= t.v4[i].last {
			country, asn = t.v4[i].country, t.v4[i].asn
		}
	} else {
		hi, lo := halves(a)
		i, found := slices.BinarySearchFunc(t.v6, [2]uint64{hi, lo}, func(e wide, n [2]uint64) int {
			return cmp.Or(cmp.Compare(e.firstHi, n[0]), cmp.Compare(e.firstLo, n[1]))
		})
		if !found {
			i--
		}
		if i >= 0 && (hi < t.v6[i].lastHi || hi == t.v6[i].lastHi && lo <= t.v6[i].lastLo) {
			country, asn = t.v6[i].country, t.v6[i].asn
		}
	}
	return Place{Country: t.names[nameOf(country)], ASN: asn}
}

func (t *text) about() File { return t.file }
