package web

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"
	"time"

	"varde/event/human"
)

// table is an answer as rows and columns.
type table struct {
	name    string // of the file
	columns []string
	rows    func(func(...any)) // calls with the cells of each row
}

// writeCSV writes the table. Text is made safe to look at, and cells that a spreadsheet would compute are quoted.
func (t *table) writeCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write(t.columns); err != nil {
		return err
	}
	cells := make([]string, 0, len(t.columns))
	t.rows(func(row ...any) {
		cells = cells[:0]
		for _, v := range row {
			cells = append(cells, cell(v))
		}
		_ = out.Write(cells) // Error tells
	})
	out.Flush()
	return out.Error()
}

// cell writes numbers as they are, times as RFC 3339 has them, and text so that it stays text.
func cell(v any) string {
	switch v := v.(type) {
	case string:
		return inert(v)
	case uint64:
		return strconv.FormatUint(v, 10)
	case int:
		return strconv.Itoa(v)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	case time.Time:
		if v.IsZero() {
			return ""
		}
		return v.UTC().Format(time.RFC3339Nano)
	case []string:
		return inert(strings.Join(v, " "))
	}
	return ""
}

// inert puts an apostrophe before what spreadsheets take for a formula, as OWASP's page on CSV injection advises: at the
// begin, and behind a semicolon, where spreadsheets of half of Europe begin a new cell. Wide forms of the signs count too.
func inert(s string) string {
	s = human.Safe(s)
	if !strings.ContainsAny(s, formulas) {
		return s
	}
	var b strings.Builder
	begins := true
	for _, r := range s {
		if begins && strings.ContainsRune(formulas, r) {
			b.WriteByte('\'')
		}
		begins = r == ';' || begins && (r == ' ' || r == '"')
		b.WriteRune(r)
	}
	return b.String()
}

const formulas = "=+-@＝＋－＠"
