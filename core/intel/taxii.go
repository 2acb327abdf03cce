package intel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// taxiiType is what TAXII 2.1 speaks (section 1.6.8).
const taxiiType = "application/taxii+json;version=2.1"

// taxii fetches the indicators of a collection of a TAXII 2.1 server. Later only what was added since is asked for.
func (v *visit) taxii(ctx context.Context, st *state) ([]byte, bool, error) {
	objects, err := v.findObjects(ctx)
	if err != nil {
		return nil, false, err
	}
	id := func(raw json.RawMessage) string {
		var o stixObject
		if json.Unmarshal(raw, &o) != nil || o.Type != "indicator" {
			return ""
		}
		return o.ID
	}
	h := v.begin(st, "objects", "TAXII envelope", id)
	q := objects.Query()
	if !q.Has("match[type]") {
		q.Set("match[type]", "indicator")
	}
	if st.Since != "" {
		q.Set("added_after", st.Since)
	}
	got, since := 0, st.Since
	for {
		objects.RawQuery = q.Encode()
		a, err := v.do(ctx, http.MethodGet, objects.String(), nil, http.Header{"Accept": {taxiiType}})
		if err != nil {
			return nil, false, err
		}
		rest, n, err := h.fill(a.body, "TAXII envelope", id)
		if err != nil {
			return nil, false, err
		}
		got += n
		var more bool
		var next string
		_, _ = json.Unmarshal(rest["more"], &more), json.Unmarshal(rest["next"], &next) // absent ones are false and ""
		last := cut(a.header.Get("X-TAXII-Date-Added-Last"), 64)
		switch {
		case !more:
			since = max(since, last)
		case next != "":
			q.Set("next", next)
			since = max(since, last)
			continue
		case last > since:
			since = last
			q.Set("added_after", last)
			continue
		default:
			return nil, false, errors.New("its answer has more to come but says neither next nor X-TAXII-Date-Added-Last")
		}
		break
	}
	fresh := got > 0 || st.Since == ""
	st.Since = since
	return h.document(`"type":"bundle",`), fresh, nil
}

// findObjects finds the objects of the collection that the url of the list means: it may be those of the server, of an
// API root, of a collection or of its objects.
func (v *visit) findObjects(ctx context.Context) (*url.URL, error) {
	u := *v.base
	for range 4 {
		if strings.HasSuffix(strings.TrimSuffix(u.Path, "/"), "/objects") {
			return &u, nil
		}
		a, err := v.do(ctx, http.MethodGet, u.String(), nil, http.Header{"Accept": {taxiiType}})
		if err != nil {
			return nil, err
		}
		var doc struct {
			Default     string
			APIRoots    []string `json:"api_roots"`
			Versions    []string
			ID          string
			CanRead     *bool `json:"can_read"`
			Collections []taxiiCollection
		}
		if err := json.Unmarshal(a.body, &doc); err != nil {
			return nil, fmt.Errorf("%s is no TAXII 2.1 server: %w", clip(u.String()), err)
		}
		path := strings.TrimSuffix(u.Path, "/")
		switch {
		case len(doc.APIRoots) > 0 || doc.Default != "":
			root, err := v.base.Parse(doc.Default)
			if doc.Default == "" {
				root, err = v.base.Parse(doc.APIRoots[0])
			}
			if err != nil || !v.ours(root) {
				return nil, errors.New("its API root is on another server; give the url of that")
			}
			root.RawQuery = u.RawQuery
			u = *root
		case len(doc.Collections) > 0:
			one, err := oneCollection(doc.Collections)
			if err != nil {
				return nil, err
			}
			u.Path = path + "/" + one + "/objects/"
		case doc.ID != "" && doc.CanRead != nil:
			u.Path = path + "/objects/"
		case len(doc.Versions) > 0:
			u.Path = path + "/collections/"
		default:
			return nil, fmt.Errorf("%s is neither server, API root nor collection of TAXII 2.1", clip(u.String()))
		}
	}
	return nil, errors.New("no collection was found; give the url of one")
}

type taxiiCollection struct {
	ID, Title string
	CanRead   bool `json:"can_read"`
}

// oneCollection is the only collection that can be read; of several the operator has to choose.
func oneCollection(all []taxiiCollection) (string, error) {
	var names []string
	id := ""
	for _, c := range all {
		if c.CanRead && c.ID != "" && !strings.ContainsAny(c.ID, "/?#%") && len(names) < 10 {
			id = c.ID
			names = append(names, fmt.Sprintf("%s (%s)", clip(c.ID), clip(c.Title)))
		}
	}
	switch len(names) {
	case 0:
		return "", errors.New("it has no collection that may be read; check user and key_file")
	case 1:
		return id, nil
	}
	return "", fmt.Errorf("it has several collections; put the one that you want behind the url as collections/ID/: %s", strings.Join(names, ", "))
}

// taxii is the format of what a TAXII server answers; only naming it has one asked that way.
func taxii() Format {
	return Format{
		Name: "taxii", About: "collection of a TAXII 2.1 server: url is its server, API root, collection or objects", Floor: 5 * time.Minute,
		Sniff: func([]byte) bool { return false },
		Parse: parseSTIX,
	}
}
