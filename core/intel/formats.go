package intel

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
)

// Formats are all forms of lists, strict ones first, so that detection by content tries them in this order.
func Formats() []Format {
	return []Format{
		spamhaus(), feodoJSON(), threatFoxAPI(), threatFoxJSON(), misp(), otx(), stix(), taxii(), threatFox(), feodo(), urlhaus(),
		dshield(), dshieldTop(), firehol(), tor(), rules(), table(), plain(), advisory(),
	}
}

// FormatNamed finds a format by its name.
func FormatNamed(name string) (Format, bool) {
	for _, f := range Formats() {
		if f.Name == name {
			return f, true
		}
	}
	return Format{}, false
}

// FormatNames are the names of all formats, for help and errors.
func FormatNames() []string {
	var names []string
	for _, f := range Formats() {
		names = append(names, f.Name)
	}
	return names
}

// sniffBytes is how much of a list is looked at to find its format.
const sniffBytes = 4096

// Detect finds the format of a list by its first bytes.
func Detect(head []byte) (Format, bool) {
	head = bytes.TrimSpace(bytes.TrimPrefix(head[:min(len(head), sniffBytes)], []byte("\ufeff")))
	for _, f := range Formats() {
		if f.Sniff(head) {
			return f, true
		}
	}
	return Format{}, false
}

// formatOf is the format of that name, or the one that the content shows where it has none.
func formatOf(name string, head []byte) (Format, error) {
	if f, ok := FormatNamed(name); ok {
		return f, nil
	}
	if name != "" {
		return Format{}, fmt.Errorf("unknown format %q; use one of %s", name, strings.Join(FormatNames(), ", "))
	}
	if f, ok := Detect(head); ok {
		return f, nil
	}
	if looksLikeHTML(head) {
		return Format{}, errHTML
	}
	return Format{}, errors.New("its format is not recognised; name it with format")
}

// ReadPrefixes reads the addresses of any list or advisory; without a format it is found by content, and text that has
// none is read as prose. The prefixes are sorted, each is given once; rejects stand for entries that look like an
// address but are none, at most a bounded number of them is given.
func ReadPrefixes(r io.Reader, format string) ([]netip.Prefix, []Reject, error) {
	b, err := io.ReadAll(io.LimitReader(r, defaultSize+1))
	if err != nil {
		return nil, nil, err
	}
	if len(b) > defaultSize {
		return nil, nil, fmt.Errorf("it is larger than %d bytes; split it", defaultSize)
	}
	f, err := formatOf(format, b)
	if err != nil {
		return nil, nil, err
	}
	if format == "" && f.Name == "plain" {
		f = advisory()
	}
	var all []netip.Prefix
	var rejects []Reject
	err = f.Parse(bytes.NewReader(b), &Sink{
		Add: func(i *Indicator) {
			if i.Type == Address && len(all) < maxEntries {
				all = append(all, i.Prefix)
			}
		},
		Reject: func(r Reject) {
			if len(rejects) < maxReadRejects {
				rejects = append(rejects, r)
			}
		},
	})
	if err != nil {
		return nil, nil, err
	}
	slices.SortFunc(all, comparePrefix)
	return slices.Compact(all), rejects, nil
}

// maxReadRejects bounds how many rejects ReadPrefixes gives.
const maxReadRejects = 1000

func comparePrefix(a, b netip.Prefix) int {
	if c := a.Addr().Compare(b.Addr()); c != 0 {
		return c
	}
	return a.Bits() - b.Bits()
}
