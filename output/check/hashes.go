package check

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"varde/event"
)

// HashPath is where a running varde answers what its lists say of checksums, beside its metrics.
const HashPath = "/hashes"

// Bounds on a question and its answer.
const (
	maxHashes     = 3 * 1024
	maxHashBody   = 256 << 10
	maxHashAnswer = 8 << 20
	maxNamed      = 16 // entries told of one checksum
)

// named is an entry of a list as the answer writes it.
type named struct {
	List       string `json:"list"`
	Name       string `json:"name,omitempty"`
	URL        string `json:"url,omitempty"`
	Confidence uint8  `json:"confidence"`
	Downgraded bool   `json:"downgraded,omitempty"`
	Info       bool   `json:"info,omitempty"`
}

// HashHandler answers questions of RemoteHashes: a list of checksums in hexadecimal, and for those that are known the
// entries by their checksum. What stands on lists is no secret, so whoever may ask for metrics may ask this.
func HashHandler(known Known) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Content-Type") != "application/json" { // which a page elsewhere cannot have a browser send
			http.Error(w, "use application/json", http.StatusUnsupportedMediaType)
			return
		}
		var texts []string
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxHashBody)).Decode(&texts); err != nil || len(texts) > maxHashes {
			http.Error(w, fmt.Sprintf("send a list of at most %d checksums", maxHashes), http.StatusBadRequest)
			return
		}
		sums := make([][]byte, len(texts))
		for i, text := range texts {
			sum, err := hex.DecodeString(text)
			if n := len(sum); err != nil || n != 16 && n != 20 && n != 32 {
				http.Error(w, fmt.Sprintf("%.80q is no MD5, SHA-1 or SHA-256", text), http.StatusBadRequest)
				return
			}
			sums[i] = sum
		}
		answers, err := known.Hashes(r.Context(), sums)
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		out := map[string][]named{}
		for i, all := range answers {
			for _, v := range all[:min(len(all), maxNamed)] {
				key := hex.EncodeToString(sums[i])
				out[key] = append(out[key], named{v.List, v.Name, v.URL, v.Confidence, v.Downgraded, v.Info})
			}
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(out)
	})
}

// RemoteHashes asks a running varde.
type RemoteHashes struct {
	URL    string // of HashPath
	client http.Client
}

// ErrNoAnswer is that no varde answers there, or one that cannot answer this.
var ErrNoAnswer = errors.New("no running varde answers")

// askFor bounds one question.
const askFor = 5 * time.Second

// Hashes asks about checksums.
func (h *RemoteHashes) Hashes(ctx context.Context, sums [][]byte) ([][]event.Evidence, error) {
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	texts := make([]string, len(sums))
	for i, s := range sums {
		texts[i] = hex.EncodeToString(s)
	}
	body, err := json.Marshal(texts)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := h.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoAnswer, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: %s says %s", ErrNoAnswer, h.URL, resp.Status)
	}
	var found map[string][]named
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxHashAnswer)).Decode(&found); err != nil {
		return nil, fmt.Errorf("read answer of %s: %w", h.URL, err)
	}
	out := make([][]event.Evidence, len(sums))
	for i, text := range texts {
		for _, n := range found[text] {
			out[i] = append(out[i], event.Evidence{
				List: n.List, Name: n.Name, URL: n.URL, Confidence: n.Confidence, Text: text, Downgraded: n.Downgraded, Info: n.Info,
			})
		}
	}
	return out, nil
}
