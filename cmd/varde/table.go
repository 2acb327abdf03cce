package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"text/tabwriter"
	"time"

	"varde/event"
	"varde/event/human"
)

// nothingInSpan is said where a question finds nothing.
const nothingInSpan = "nothing in this span; --since 30d would look further back"

// table prints rows for people, or as CSV with plain numbers and UTC times for programs.
type table struct {
	out     io.Writer
	columns []string
	rows    int
	none    string // what people are told where there are no rows; the header alone when empty
	tabs    *tabwriter.Writer
	csv     *csv.Writer
}

func newTable(out io.Writer, form string, columns ...string) *table {
	t := &table{out: out, columns: columns}
	if form == "csv" {
		t.csv = csv.NewWriter(out)
		for i := range columns {
			columns[i] = strings.ReplaceAll(strings.ToLower(columns[i]), " ", "_")
		}
	} else {
		t.tabs = tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	}
	return t
}

func (t *table) row(cells ...string) {
	if t.rows++; t.rows == 1 {
		t.write(t.columns)
	}
	t.write(cells)
}

func (t *table) write(cells []string) {
	for i, c := range cells {
		cells[i] = human.Safe(c)
		if t.csv != nil {
			cells[i] = cell(c)
		}
	}
	if t.csv != nil {
		t.csv.Write(cells)
		return
	}
	fmt.Fprintln(t.tabs, strings.TrimRight(strings.Join(cells, "\t"), "\t"))
}

func (t *table) end() error {
	switch {
	case t.rows > 0:
	case t.csv == nil && t.none != "":
		_, err := fmt.Fprintln(t.out, t.none)
		return err
	default:
		t.write(t.columns)
	}
	if t.csv == nil {
		return t.tabs.Flush()
	}
	t.csv.Flush()
	return t.csv.Error()
}

func (t *table) time(at time.Time) string {
	switch {
	case at.IsZero():
		return ""
	case t.csv != nil:
		return at.UTC().Format(time.RFC3339Nano)
	}
	return at.Local().Format("2006-01-02 15:04:05")
}

// age is how long ago something was, for people, or when it was.
func (t *table) age(at time.Time) string {
	if t.csv != nil || at.IsZero() {
		return t.time(at)
	}
	return human.Span(time.Since(at).Round(time.Second))
}

func (t *table) count(n uint64) string {
	if t.csv != nil {
		return fmt.Sprint(n)
	}
	return human.Count(n)
}

func (t *table) bytes(n uint64, sampled bool) string {
	switch {
	case t.csv != nil:
		return fmt.Sprint(n)
	case sampled:
		return "~" + human.Bytes(n)
	}
	return human.Bytes(n)
}

func plural(n int, what string) string {
	if n != 1 {
		what = strings.TrimSuffix(what, "y") + map[bool]string{true: "ies", false: "s"}[strings.HasSuffix(what, "y")]
	}
	return human.Count(uint64(n)) + " " + what
}

func when(ns int64) string { return event.Stamp(ns).Local().Format("2006-01-02 15:04") }

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func entryText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

func encode(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
