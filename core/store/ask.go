package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"varde/event"
	"varde/event/query"
)

// asking is one question in one transaction: what it sees is of one moment.
type asking struct {
	s     *Store
	ctx   context.Context
	tx    *sql.Tx
	box   *clause          // its bounds
	where *clause          // what is to hold within them
	parts []string         // the sealed files that the box touches
	about map[string]about // what is known of each
	seen  []string         // the index files of their days, where they were asked
}

// about is what files are read by alike.
type about struct {
	whole bool // all events lie within the bounds of the box
	lacks lacking
}

// ask runs a question.
func (s *Store) ask(ctx context.Context, b *query.Box, do func(*asking) error) error {
	return s.insist(ctx, func() ([]string, error) {
		q := &asking{s: s, ctx: ctx, box: within(b), where: matching(b)}
		err := q.run(b, do)
		return append(q.parts, q.seen...), err
	})
}

// insist asks. Where a sealed file cannot be read, it is set aside and the question asked again without it.
func (s *Store) insist(ctx context.Context, ask func() (files []string, err error)) error {
	for attempt := 0; ; attempt++ {
		files, err := ask()
		if err == nil || ctx.Err() != nil || attempt == 2 || !strings.Contains(err.Error(), ".parquet") {
			return err
		}
		if s.checkFiles(ctx, files) == 0 {
			return err
		}
	}
}

func (q *asking) run(b *query.Box, do func(*asking) error) error {
	tx, err := q.s.db.BeginTx(q.ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	q.tx = tx
	if err := q.choose(b); err != nil {
		return err
	}
	return do(q)
}

// partsOf asks for columns of the sealed files that a box touches, newest first.
func partsOf(b *query.Box, columns string) *clause {
	c := &clause{}
	c.add("SELECT " + columns + " FROM parts WHERE true")
	if b.From != 0 {
		c.add(" AND last >= " + stamp(ceilMicros(b.From)))
	}
	if b.To != 0 {
		c.add(" AND first < " + stamp(ceilMicros(b.To)))
	}
	if len(b.Kinds) > 0 {
		c.add(" AND kind IN (")
		for i, k := range b.Kinds {
			if i > 0 {
				c.add(", ")
			}
			c.add(fmt.Sprint(uint8(k)))
		}
		c.add(")")
	}
	c.add(" ORDER BY hour DESC, path")
	return c
}

// holds tells of a part whether all its events lie within the bounds of a box that touches it.
func holds(b *query.Box) string {
	all := "true"
	if b.From != 0 {
		all += " AND first >= " + stamp(ceilMicros(b.From))
	}
	if b.To != 0 {
		all += " AND last < " + stamp(ceilMicros(b.To))
	}
	return all
}

// choose finds the sealed files that a box touches.
func (q *asking) choose(b *query.Box) error {
	c := partsOf(b, "path, lacks, "+holds(b))
	rows, err := q.tx.QueryContext(q.ctx, c.sql.String(), c.args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	q.parts, q.about = q.parts[:0], map[string]about{}
	for rows.Next() {
		var path, lacks string
		var a about
		if err := rows.Scan(&path, &lacks, &a.whole); err != nil {
			return err
		}
		a.lacks = parseLacking(lacks)
		q.parts = append(q.parts, path)
		q.about[path] = a
	}
	return rows.Err()
}

// from is the rows of the box, hot and sealed, with the given columns.
func (q *asking) from(columns string) *clause { return q.of(columns, q.where) }

// of is the rows of the box, hot and sealed, for which something holds.
func (q *asking) of(columns string, where *clause) *clause {
	c := &clause{}
	c.add("(")
	c.rows(columns, "hot", q.box, where)
	var ways []about // in the order of the parts: the same question is asked in the same words
	alike := map[about][]string{}
	for _, path := range q.parts {
		a := q.about[path]
		if alike[a] == nil {
			ways = append(ways, a)
		}
		alike[a] = append(alike[a], path)
	}
	for _, a := range ways {
		c.add(" UNION ALL ")
		c.sealed(columns, q.s.table(alike[a], a.lacks), a.whole, q.box, where)
	}
	c.add(")")
	return c
}

// sealed is a SELECT from sealed files.
func (c *clause) sealed(columns, from string, whole bool, box, where *clause) {
	if whole {
		c.rows(columns, from, where)
	} else {
		c.rows(columns, from, box, where)
	}
}

// rows is a SELECT of what meets all conditions.
func (c *clause) rows(columns, from string, conditions ...*clause) {
	c.add("SELECT " + columns + " FROM " + from + " WHERE ")
	for i, of := range conditions {
		if i > 0 {
			c.add(" AND ")
		}
		c.add(of.sql.String(), of.args...)
	}
}

// rows runs a SELECT and hands each row to one.
func (q *asking) rows(c *clause, into []any, one func() error) error {
	rows, err := q.tx.QueryContext(q.ctx, c.sql.String(), c.args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if err := one(); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Top implements query.Reader.
func (s *Store) Top(ctx context.Context, b query.Box, t query.TopBy) (out query.Groups, err error) {
	if err := t.Check(); err != nil {
		return out, err
	}
	var keys []key
	var columns []string
	for _, f := range t.Fields {
		k, ok := fieldKey(f)
		if !ok {
			return out, fmt.Errorf("store: %s does not group", f)
		}
		keys = append(keys, k)
		columns = append(columns, k.columns...)
	}
	err = s.ask(ctx, &b, func(q *asking) error {
		if out, err = q.groups(keys, columns, t); err != nil || len(out.Rows) > 0 && addsUp(t) {
			return err
		}
		out.Total, err = q.total(t.Order == query.BySources)
		return err
	})
	return out, err
}

// addsUp tells whether the totals of all groups are those of the box: each event is in one of them.
func addsUp(t query.TopBy) bool {
	return t.Order != query.BySources && !slices.Contains(t.Fields, query.FieldList)
}

// groups finds the largest groups and how many there are.
func (q *asking) groups(keys []key, columns []string, t query.TopBy) (out query.Groups, err error) {
	names := make([]string, len(columns))
	named := make([]string, len(columns))
	for i, c := range columns {
		names[i] = fmt.Sprint("k", i)
		named[i] = c + " AS " + names[i]
	}
	sources := ""
	if t.Order == query.BySources {
		sources = ", count(DISTINCT (src_hi, src_lo)) FILTER (src_hi IS NOT NULL) AS sources"
	}
	c := &clause{}
	from := q.from(strings.Join(named, ", ") + ", time, count, " + moved + ", sampling, src_hi, src_lo")
	c.add("WITH g AS MATERIALIZED (SELECT " + strings.Join(names, ", ") + ", " + sums + sources + " FROM ")
	c.add(from.sql.String(), from.args...)
	all, into := "", []any{&out.Groups}
	var whole totals
	if addsUp(t) {
		all = ", (SELECT count(*) AS groups, least(sum(events), " + maxU64 + ")::UBIGINT, least(sum(packets), " + maxU64 + ")::UBIGINT, least(sum(bytes), " + maxU64 + ")::UBIGINT, min(first), max(last), bool_or(sampled) FROM g) AS whole"
		into = append(into, whole.into()...)
	} else {
		all = ", (SELECT count(*) FROM g) AS whole"
	}
	c.add(" GROUP BY ALL) SELECT whole.*, g.* FROM g"+all+" ORDER BY "+orders[t.Order]+" DESC, "+strings.Join(names, " NULLS FIRST, ")+" NULLS FIRST LIMIT ?", t.N)
	if t.N == 0 {
		c = &clause{}
		c.add("SELECT count(*) FROM (SELECT DISTINCT * FROM (SELECT "+strings.Join(names, ", ")+" FROM "+from.sql.String()+"))", from.args...)
		return out, q.rows(c, []any{&out.Groups}, func() error { return nil })
	}
	values := make([]any, len(columns))
	for i := range values {
		into = append(into, &values[i])
	}
	var sum totals
	into = append(into, sum.into()...)
	var n uint64
	if sources != "" {
		into = append(into, &n)
	}
	err = q.rows(c, into, func() error {
		g := query.Group{Totals: sum.get()}
		g.Sources = n
		rest := values
		for _, k := range keys {
			g.Key = append(g.Key, k.text(rest[:len(k.columns)]))
			rest = rest[len(k.columns):]
		}
		out.Rows = append(out.Rows, g)
		return nil
	})
	if addsUp(t) {
		out.Total = whole.get()
	}
	return out, err
}

// total sums up the whole box.
func (q *asking) total(sources bool) (query.Totals, error) {
	c := &clause{}
	c.add("SELECT " + sums)
	if sources {
		c.add(", count(DISTINCT (src_hi, src_lo)) FILTER (src_hi IS NOT NULL)")
	}
	from := q.from("time, count, " + moved + ", sampling, src_hi, src_lo")
	c.add(" FROM "+from.sql.String(), from.args...)
	var sum totals
	var n uint64
	into := sum.into()
	if sources {
		into = append(into, &n)
	}
	err := q.rows(c, into, func() error { return nil })
	out := sum.get()
	out.Sources = n
	return out, err
}

// Distinct implements query.Reader.
func (s *Store) Distinct(ctx context.Context, b query.Box, f query.Field) (n uint64, err error) {
	k, ok := fieldKey(f)
	if !ok {
		return 0, fmt.Errorf("store: %s cannot be counted", f)
	}
	err = s.ask(ctx, &b, func(q *asking) error {
		named := make([]string, len(k.columns))
		for i, c := range k.columns {
			named[i] = fmt.Sprintf("%s AS k%d", c, i)
		}
		from := q.from(strings.Join(named, ", "))
		there := "true"
		if f != query.FieldService { // which every event has
			there = "k0 IS NOT NULL"
		}
		c := &clause{}
		c.add("SELECT count(*) FROM (SELECT DISTINCT * FROM "+from.sql.String()+" WHERE "+there+")", from.args...)
		return q.rows(c, []any{&n}, func() error { return nil })
	})
	return n, err
}

// Series implements query.Reader.
func (s *Store) Series(ctx context.Context, b query.Box, by query.SeriesBy) (out []query.Series, err error) {
	if err := by.Check(b); err != nil {
		return nil, err
	}
	var k key
	if by.Field != query.NoField {
		var ok bool
		if k, ok = fieldKey(by.Field); !ok {
			return nil, fmt.Errorf("store: %s cannot be drawn over time", by.Field)
		}
	}
	err = s.ask(ctx, &b, func(q *asking) error { out, err = q.series(&b, by, k); return err })
	return out, err
}

// series sums up each step of time for each of the largest values of a key, and for all others together. Without a key
// everything is others.
func (q *asking) series(b *query.Box, by query.SeriesBy, k key) (out []query.Series, err error) {
	var names []string
	named, on := "", "true"
	for i, column := range k.columns {
		names = append(names, fmt.Sprint("k", i))
		named += fmt.Sprintf("%s AS k%d, ", column, i)
		on += fmt.Sprintf(" AND e.k%[1]d IS NOT DISTINCT FROM g.k%[1]d", i)
	}
	from := q.from(named + bucket(b.From, by.Step) + " AS step, time, count, " + moved + ", sampling, src_hi, src_lo")
	c := &clause{}
	c.add("WITH e AS (SELECT * FROM "+from.sql.String()+")", from.args...)
	place, join, keys := "-1", "", ""
	if len(names) > 0 {
		list := strings.Join(names, ", ")
		keys = ", g." + strings.Join(names, ", g.")
		there := "true"
		if by.Field != query.FieldService { // which every event has
			there = "k0 IS NOT NULL"
		}
		c.add(", g AS (SELECT *, row_number() OVER (ORDER BY n DESC) AS place FROM (SELECT "+list+", "+largest[by.Order]+" AS n FROM e WHERE "+there+
			" GROUP BY "+list+") QUALIFY place <= ?)", by.N)
		place, join = "coalesce(g.place, -1)", " LEFT JOIN g ON "+on
	}
	counted := "0::BIGINT"
	if by.Order == query.BySources {
		counted = sourceCount
	}
	c.add(" SELECT " + place + " AS place, step" + keys + ", " + sums + ", " + counted + " FROM e" + join + " GROUP BY ALL ORDER BY place")
	var at, step, sources int64
	values := make([]any, len(names))
	into := []any{&at, &step}
	for i := range values {
		into = append(into, &values[i])
	}
	var sum totals
	into = append(append(into, sum.into()...), &sources)
	steps := by.Steps(*b)
	var rest []query.Series
	last := int64(0)
	err = q.rows(c, into, func() error {
		t := sum.get()
		t.Sources = uint64(sources)
		switch {
		case at < 0:
			if rest == nil {
				rest = []query.Series{{Steps: make([]query.Totals, steps)}}
			}
			rest[0].Steps[step] = t
			return nil
		case at != last:
			last = at
			out = append(out, query.Series{Key: k.text(values), Steps: make([]query.Totals, steps)})
		}
		out[len(out)-1].Steps[step] = t
		return nil
	})
	if by.Field == query.NoField && rest == nil {
		rest = []query.Series{{Steps: make([]query.Totals, steps)}}
	}
	return append(out, rest...), err
}

// sourceCount counts different source addresses.
const sourceCount = "count(DISTINCT (src_hi, src_lo)) FILTER (src_hi IS NOT NULL)"

// largest are the expressions that make a value large.
var largest = [...]string{query.ByBytes: sumBytes, query.ByPackets: sumPackets, query.ByEvents: sumEvents, query.BySources: sourceCount}

// newest is the time of the newest event, in nanoseconds.
func (q *asking) newest(kinds []event.Kind) (int64, error) {
	where := " WHERE true"
	if len(kinds) == 1 {
		where = fmt.Sprintf(" WHERE kind = %d", kinds[0])
	}
	var at *int64
	err := q.tx.QueryRowContext(q.ctx, "SELECT epoch_us(greatest((SELECT max(time) FROM hot"+where+"), (SELECT max(last) FROM parts"+where+")))").Scan(&at)
	if err != nil || at == nil {
		return 0, err
	}
	return *at * 1000, nil
}
