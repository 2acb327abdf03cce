package intel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
)

// shelf is the copy of a list that comes piece by piece: the newest form of each piece, by its id.
type shelf struct {
	member string // of the document that holds the pieces
	order  []string
	items  map[string]json.RawMessage
}

func newShelf(member string) *shelf {
	return &shelf{member: member, items: map[string]json.RawMessage{}}
}

// put takes the next element of an array under its id; an older form of it is replaced.
func (h *shelf) put(id string, raw json.RawMessage) {
	if _, ok := h.items[id]; !ok {
		h.order = append(h.order, id)
	}
	h.items[id] = raw
}

// fill takes all pieces of a document and gives its other members; id tells the id of a piece, "" leaves it out.
func (h *shelf) fill(b []byte, what string, id func(raw json.RawMessage) string) (rest map[string]json.RawMessage, n int, err error) {
	dec, err := beginJSON(bytes.NewReader(b))
	if err != nil {
		return nil, 0, err
	}
	rest, err = eachObject(dec, what, []string{h.member}, func() error {
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return err
		}
		if key := id(raw); key != "" {
			h.put(key, raw)
			n++
		}
		return nil
	})
	return rest, n, err
}

// document writes the shelf as its format has it; head are further members, as "key":value pairs with a comma behind.
func (h *shelf) document(head string) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "{%s%q:[", head, h.member)
	comma := ""
	for _, id := range h.order {
		if raw, ok := h.items[id]; ok {
			out.WriteString(comma)
			out.Write(raw)
			comma = ",\n"
		}
	}
	out.WriteString("]}\n")
	return out.Bytes()
}

// copyOf gives the copy of a list where the next answer only adds to it: not when all is to be fetched anew.
func (v *visit) copyOf(st *state) []byte {
	if st.Since == "" || v.set.dir == "" || v.set.now().Sub(st.Full) > fullEvery {
		st.Since = ""
		return nil
	}
	b, err := os.ReadFile(v.set.path(v.list, ".list"))
	if err != nil {
		st.Since = ""
	}
	return b
}

// begin fills a shelf with the copy; a copy that cannot be read has all fetched anew.
func (v *visit) begin(st *state, member, what string, id func(json.RawMessage) string) *shelf {
	h := newShelf(member)
	if b := v.copyOf(st); b != nil {
		if _, _, err := h.fill(b, what, id); err != nil {
			h, st.Since = newShelf(member), ""
		}
	}
	if st.Since == "" {
		st.Full = v.set.now()
	}
	return h
}

// otx follows the pages of a subscription. Later only the pulses that have changed since are asked for.
func (v *visit) otx(ctx context.Context, st *state) ([]byte, bool, error) {
	newest := ""
	id := func(raw json.RawMessage) string {
		var p pulse
		if json.Unmarshal(raw, &p) != nil {
			return ""
		}
		newest = max(newest, p.Modified)
		return p.Indicator + " " + p.id()
	}
	h := v.begin(st, "results", "OTX pulses", id)
	next := *v.base
	if st.Since != "" && !next.Query().Has("modified_since") {
		q := next.Query()
		q.Set("modified_since", st.Since)
		next.RawQuery = q.Encode()
	}
	got := 0
	for where := next.String(); where != ""; {
		a, err := v.do(ctx, http.MethodGet, where, nil, nil)
		if err != nil {
			return nil, false, err
		}
		rest, n, err := h.fill(a.body, "OTX pulses", id)
		if err != nil {
			return nil, false, err
		}
		if rest["indicators"] != nil {
			return a.body, true, nil // one pulse by itself
		}
		got += n
		where = ""
		if raw := rest["next"]; raw != nil {
			if err := json.Unmarshal(raw, &where); err != nil {
				return nil, false, errors.New("no OTX pulses: next is no URL")
			}
		}
	}
	fresh := got > 0 || st.Since == ""
	st.Since = newest
	return h.document(""), fresh, nil
}

// threatFox asks the API for the indicators of the newest week, the most that it gives, and keeps those of before until
// ThreatFox itself would let go of them.
func (v *visit) threatFox(ctx context.Context, st *state) ([]byte, bool, error) {
	now := v.set.now().UnixNano()
	id := func(raw json.RawMessage) string {
		var r foxAnswer
		if json.Unmarshal(raw, &r) != nil || r.expired(now) {
			return ""
		}
		return r.ID
	}
	st.Since, st.Full = "kept", v.set.now() // what is on the shelf is never asked for again
	h := v.begin(st, "data", "ThreatFox answer", id)
	header := http.Header{"Content-Type": {"application/json"}}
	a, err := v.do(ctx, http.MethodPost, v.base.String(), []byte(`{"query":"get_iocs","days":7}`), header)
	if err != nil {
		return nil, false, err
	}
	before := v.copyOf(st)
	rest, _, err := h.fill(a.body, "ThreatFox answer", id)
	if err == nil {
		err = foxStatus(rest)
	}
	if err != nil {
		return nil, false, err
	}
	after := h.document(foxHead)
	return after, !bytes.Equal(before, after), nil
}

const foxHead = `"query_status":"ok",`
