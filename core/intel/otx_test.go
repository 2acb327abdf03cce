package intel

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOTXPages follows the pages of a subscription with its key, and no page of another server.
func TestOTXPages(t *testing.T) {
	elsewhere := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-OTX-API-KEY") != "secret" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		page := r.URL.Query().Get("page")
		next := map[string]string{"": `"/subscribed?page=2"`, "2": `"/subscribed?page=3"`, "3": "null"}[page]
		if elsewhere && page == "2" {
			next = `"http://192.0.2.1/subscribed?page=3"`
		}
		fmt.Fprintf(w, `{"count":3,"results":[{"id":"p%s","name":"P%s","indicators":[{"type":"IPv4","indicator":"198.51.100.%d"}]}],"next":%s}`,
			page, page, len(page)+len(next), next)
	}))
	defer server.Close()
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := New([]ListConfig{{Name: "otx", URL: server.URL + "/subscribed", Format: "otx", KeyFile: key}}, AllowConfig{}, "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.fetch(context.Background(), s.lists[0]); err != nil || s.Lists()[0].Entries != 3 {
		t.Fatalf("%d entries of three pages, %v", s.Lists()[0].Entries, err)
	}
	elsewhere = true
	if _, err := s.fetch(context.Background(), s.lists[0]); err == nil || !strings.Contains(err.Error(), "another server") {
		t.Errorf("a page of another server was followed: %v", err)
	}
}
