package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"varde/event"
	"varde/event/query"
)

// Say keeps a warning; the newest of an incident is its state.
func (s *Store) Say(ctx context.Context, w event.Warning) error {
	args := []any{w.ID, w.Rule, w.State, w.Severity, w.Time / 1000, w.First / 1000, w.Last / 1000}
	for _, a := range []netip.Addr{w.Own.Addr, w.Foreign.Addr} {
		if !a.IsValid() {
			args = append(args, nil, nil)
			continue
		}
		hi, lo := halves(a)
		args = append(args, strconv.FormatUint(hi, 10), strconv.FormatUint(lo, 10)) // database/sql refuses the highest bit
	}
	args = append(args, string(appendLists(nil, w.Evidence)), string(w.AppendJSON(nil, w.Time)))
	_, err := s.db.ExecContext(ctx, `INSERT INTO said (id, rule, state, severity, time, first, last, own_hi, own_lo, foreign_hi, foreign_lo, lists, warning)
		VALUES (?, ?, ?, ?, make_timestamp(?), make_timestamp(?), make_timestamp(?), ?, ?, ?, ?, ?, ?)`, args...)
	if err != nil {
		return fmt.Errorf("store: keep warning %s: %w", w.ID, err)
	}
	return nil
}

// Incidents implements query.Reader.
func (s *Store) Incidents(ctx context.Context, b query.IncidentBox) ([]query.Incident, error) {
	if b.Limit < 1 || b.Limit > query.MaxRows {
		return nil, fmt.Errorf("ask for 1 to %d incidents, not %d", query.MaxRows, b.Limit)
	}
	mutes, err := s.Mutes(ctx)
	if err != nil {
		return nil, err
	}
	c := &clause{}
	c.add("SELECT s.warning, s.told, epoch_us(a.time), a.person, a.why FROM (SELECT *, count(*) OVER (PARTITION BY id) AS told FROM said WHERE true")
	if b.ID != "" {
		c.add(" AND id = ?", b.ID)
	}
	if b.Rule != "" {
		c.add(" AND rule = ?", b.Rule)
	}
	c.add(" QUALIFY row_number() OVER (PARTITION BY id ORDER BY n DESC) = 1) s LEFT JOIN acks a ON a.id = s.id WHERE severity >= ?", b.Min)
	if b.From != 0 {
		c.add(" AND last >= " + stamp(ceilMicros(b.From)))
	}
	if b.To != 0 {
		c.add(" AND last < " + stamp(ceilMicros(b.To)))
	}
	if b.List != "" {
		c.add(" AND list_contains(string_split(lists, chr(10)), ?)", b.List)
	}
	if b.Addr.IsValid() {
		c.add(" AND (")
		c.in("own", b.Addr)
		c.add(" OR ")
		c.in("foreign", b.Addr)
		c.add(")")
	}
	if b.Open {
		c.add(" AND state <> ? AND a.id IS NULL", event.Closed)
	}
	c.add(" ORDER BY last DESC, s.id")
	rows, err := s.db.QueryContext(ctx, c.sql.String(), c.args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []query.Incident
	for rows.Next() && len(out) < b.Limit {
		var text string
		var told uint64
		var acked *int64
		var person, why *string
		if err := rows.Scan(&text, &told, &acked, &person, &why); err != nil {
			return nil, err
		}
		w, err := event.ParseWarning([]byte(text))
		if err != nil {
			return nil, fmt.Errorf("store: a kept warning: %w", err)
		}
		i := query.Incident{Warning: w, Told: told, Acked: or0(acked) * 1000, AckBy: or0(person), AckWhy: or0(why), Muted: mutedBy(mutes, &w, s.now().UnixNano())}
		if b.Open && i.Muted != nil {
			continue
		}
		out = append(out, i)
	}
	return out, rows.Err()
}

// mutedBy is the mute that covers a warning, nil for none.
func mutedBy(mutes []query.Mute, w *event.Warning, now int64) *query.Mute {
	for i := range mutes {
		if mutes[i].Covers(w, now) {
			return &mutes[i]
		}
	}
	return nil
}

// Ack notes that a person has seen to an incident.
func (s *Store) Ack(ctx context.Context, id, person, why string) error {
	var there bool
	if err := s.db.QueryRowContext(ctx, "SELECT count(*) > 0 FROM said WHERE id = ?", id).Scan(&there); err != nil {
		return err
	}
	if !there {
		return fmt.Errorf("there is no incident %q", id)
	}
	_, err := s.db.ExecContext(ctx, "INSERT OR REPLACE INTO acks VALUES (?, make_timestamp(?), ?, ?)", id, s.now().UnixMicro(), person, why)
	return err
}

// AddMute keeps a mute and gives it its number.
func (s *Store) AddMute(ctx context.Context, m query.Mute) (query.Mute, error) {
	if !m.Prefix.IsValid() && m.List == "" && m.Rule == "" {
		return m, errors.New("a mute needs an address, a list or a rule")
	}
	if strings.TrimSpace(m.Why) == "" {
		return m, errors.New("a mute needs a reason: say why")
	}
	m.Created = s.now().UnixMicro() * 1000
	var prefix, expires any
	if m.Prefix.IsValid() {
		m.Prefix = m.Prefix.Masked()
		prefix = m.Prefix.String()
	}
	if m.Expires != 0 {
		if m.Expires <= m.Created {
			return m, errors.New("a mute ends after it begins")
		}
		expires = time.Unix(0, m.Expires).UTC()
	}
	err := s.db.QueryRowContext(ctx, `INSERT INTO mutes (prefix, list, rule, why, person, created, expires) VALUES (?, ?, ?, ?, ?, make_timestamp(?), ?) RETURNING id`,
		prefix, m.List, m.Rule, m.Why, m.By, m.Created/1000, expires).Scan(&m.ID)
	return m, err
}

// EndMute ends a mute before its time.
func (s *Store) EndMute(ctx context.Context, id uint64) error {
	r, err := s.db.ExecContext(ctx, "DELETE FROM mutes WHERE id = ?", id)
	if err != nil {
		return err
	}
	if n, err := r.RowsAffected(); err == nil && n == 0 {
		return fmt.Errorf("there is no mute %d", id)
	}
	return nil
}

// Mutes are those that have not ended, newest first.
func (s *Store) Mutes(ctx context.Context) ([]query.Mute, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT id, coalesce(prefix, ''), coalesce(list, ''), coalesce(rule, ''), why, person, epoch_us(created), epoch_us(expires) FROM mutes
		WHERE expires IS NULL OR expires > make_timestamp(?) ORDER BY id DESC`, s.now().UnixMicro())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []query.Mute
	for rows.Next() {
		var m query.Mute
		var prefix string
		var expires *int64
		if err := rows.Scan(&m.ID, &prefix, &m.List, &m.Rule, &m.Why, &m.By, &m.Created, &expires); err != nil {
			return nil, err
		}
		if prefix != "" {
			if m.Prefix, err = netip.ParsePrefix(prefix); err != nil {
				return nil, err
			}
		}
		m.Created, m.Expires = m.Created*1000, or0(expires)*1000
		out = append(out, m)
	}
	return out, rows.Err()
}

// Get is a small value that outlives a restart, "" where there is none.
func (s *Store) Get(ctx context.Context, key string) (value string, err error) {
	err = s.db.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = ?", "state."+key).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return value, err
}

// Set keeps a small value.
func (s *Store) Set(ctx context.Context, key, value string) error {
	_, err := s.db.ExecContext(ctx, "INSERT OR REPLACE INTO meta VALUES (?, ?)", "state."+key, value)
	return err
}

// listNames are the lists in a column of them.
func listNames(lists *string) []string {
	if lists == nil || *lists == "" {
		return nil
	}
	return slices.Collect(strings.SplitSeq(*lists, "\n"))
}
