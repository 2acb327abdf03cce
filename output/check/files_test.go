package check

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"varde/event"
)

// book is a list of checksums.
type book map[string][]event.Evidence

func (b book) Hashes(_ context.Context, sums [][]byte) ([][]event.Evidence, error) {
	out := make([][]event.Evidence, len(sums))
	for i, s := range sums {
		out[i] = b[string(s)]
	}
	return out, nil
}

var errBroken = errors.New("broken")

type broken struct{}

func (broken) Hashes(context.Context, [][]byte) ([][]event.Evidence, error) { return nil, errBroken }

const evil = "this file stands for a piece of malware, forty bytes and some"

func testBook() book {
	b := book{}
	add := func(sum []byte, v event.Evidence) { b[string(sum)] = append(b[string(sum)], v) }
	s1, s2, md := sha1.Sum([]byte(evil)), sha256.Sum256([]byte(evil)), md5.Sum([]byte(evil))
	add(md[:], event.Evidence{List: "old", Name: "Generic", Confidence: 90})
	add(s1[:], event.Evidence{List: "otx", Name: "Mozi", Confidence: 50})
	add(s2[:], event.Evidence{List: "threatfox", Name: "Mirai", Confidence: 90, URL: "https://list.example/1"})
	for _, harmless := range []string{"", "\n", "{}"} {
		sum := sha256.Sum256([]byte(harmless))
		add(sum[:], event.Evidence{List: "careless", Name: "Nothing", Confidence: 100})
	}
	allowed, role := sha256.Sum256([]byte(evil+"allowed")), sha256.Sum256([]byte(evil+"role"))
	add(allowed[:], event.Evidence{List: "otx", Downgraded: true})
	add(role[:], event.Evidence{List: "tools", Info: true})
	return b
}

func newFiles(known Known) *Files {
	return &Files{Known: known, MinSize: DefaultMinSize, MaxSize: DefaultMaxSize, MaxFiles: DefaultMaxFiles}
}

func scan(t *testing.T, f *Files, paths ...string) (names []string, n FileCount, err error) {
	t.Helper()
	n, err = f.Scan(t.Context(), paths, func(m FileMatch) {
		names = append(names, filepath.Base(m.Path)+" "+m.Hash+" "+m.Evidence.List)
	})
	slices.Sort(names)
	return names, n, err
}

func TestScan(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("clean", strings.Repeat("clean", 20))
	write("empty", "")
	write("line", "\n")
	write("json", "{}")
	write("allowed", evil+"allowed")
	write("role", evil+"role")
	bad := write("parts/p001/bad", evil)
	for i := range 3 * perAsking { // so that asking happens on the way too
		write("many/"+strings.Repeat("f", i+1), evil)
	}
	if err := errors.Join(os.Symlink(bad, dir+"/link"), os.Symlink("/", dir+"/root"), syscall.Mkfifo(dir+"/pipe", 0o600)); err != nil {
		t.Fatal(err)
	}
	names, n, err := scan(t, newFiles(testBook()), dir)
	if err != nil || len(names) != 1+3*perAsking || names[0] != "bad SHA-256 threatfox" {
		t.Errorf("%v, %v", names, err)
	}
	if n.Files != 7+3*perAsking || n.Small != 3 || n.Matched != 1+3*perAsking {
		t.Errorf("%+v", n)
	}
	if names, _, err := scan(t, newFiles(testBook()), dir+"/link"); err != nil || len(names) != 1 {
		t.Errorf("a link that is named is not followed: %v, %v", names, err)
	}
	b := testBook()
	s2 := sha256.Sum256([]byte(evil))
	delete(b, string(s2[:]))
	if names, _, _ := scan(t, newFiles(b), bad); !slices.Equal(names, []string{"bad MD5 old"}) {
		t.Errorf("%v, want the surest entry", names)
	}
	f := newFiles(testBook())
	f.Confidence = 91
	if names, _, err := scan(t, f, bad); err != nil || len(names) != 0 {
		t.Errorf("%v, %v: entries of less confidence", names, err)
	}
}

// TestScanBounds: what could not be looked at is an error, never clean.
func TestScanBounds(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "b", "c"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(evil), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	deep := t.TempDir()
	if err := os.MkdirAll(filepath.Join(deep, strings.Repeat("d/", maxFolders+1)), 0o700); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name   string
		ctx    context.Context
		change func(*Files)
		path   string
		want   string
	}{
		{"too large", t.Context(), func(f *Files) { f.MaxSize = 40 }, dir, "was not read"},
		{"too many", t.Context(), func(f *Files) { f.MaxFiles = 2 }, dir, "more than 2 files"},
		{"too deep", t.Context(), func(*Files) {}, deep, "folders within folders"},
		{"nothing there", t.Context(), func(*Files) {}, dir + "/none", "no such file"},
		{"no answer", t.Context(), func(f *Files) { f.Known = broken{} }, dir, "broken"},
		{"ended", ended, func(*Files) {}, dir, "context canceled"},
	} {
		f := newFiles(testBook())
		c.change(f)
		if n, err := f.Scan(c.ctx, []string{c.path}, func(FileMatch) {}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v, %v; want %q", c.name, n, err, c.want)
		}
	}
	if os.Geteuid() == 0 {
		return
	}
	if err := os.Chmod(dir+"/a", 0); err != nil {
		t.Fatal(err)
	}
	if names, _, err := scan(t, newFiles(testBook()), dir); err == nil || len(names) != 2 {
		t.Errorf("%v, %v: a file that cannot be read", names, err)
	}
}

// TestRemoteHashes: over the net comes the same answer.
func TestRemoteHashes(t *testing.T) {
	server := httptest.NewServer(HashHandler(testBook()))
	defer server.Close()
	remote := &RemoteHashes{URL: server.URL}
	s1, s2, none := sha1.Sum([]byte(evil)), sha256.Sum256([]byte(evil)), md5.Sum(nil)
	sums := [][]byte{none[:], s1[:], s2[:]}
	got, err := remote.Hashes(t.Context(), sums)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := testBook().Hashes(t.Context(), sums)
	for i := range got {
		for k := range got[i] {
			got[i][k].Text = ""
		}
	}
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b event.Evidence) bool {
		return a.List == b.List && a.Name == b.Name && a.URL == b.URL && a.Confidence == b.Confidence && a.Text == b.Text
	})); d != "" {
		t.Error(d)
	}
	post := func(kind, body string) int {
		resp, err := http.Post(server.URL, kind, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for _, c := range []struct {
		kind, body string
		want       int
	}{
		{"text/plain", `[]`, http.StatusUnsupportedMediaType},
		{"application/json", `{`, http.StatusBadRequest},
		{"application/json", `["zz"]`, http.StatusBadRequest},
		{"application/json", `["00"]`, http.StatusBadRequest},
		{"application/json", `[` + strings.Repeat(`"",`, maxHashes) + `""]`, http.StatusBadRequest},
		{"application/json", `["` + strings.Repeat("a", maxHashBody), http.StatusBadRequest},
		{"application/json", `[]`, http.StatusOK},
	} {
		if got := post(c.kind, c.body); got != c.want {
			t.Errorf("%s %.40s: %d, want %d", c.kind, c.body, got, c.want)
		}
	}
	server.Close()
	if _, err := remote.Hashes(t.Context(), sums); !errors.Is(err, ErrNoAnswer) {
		t.Errorf("%v, want that nobody answers", err)
	}
	wrong := httptest.NewServer(http.NotFoundHandler())
	defer wrong.Close()
	if _, err := (&RemoteHashes{URL: wrong.URL}).Hashes(t.Context(), sums); !errors.Is(err, ErrNoAnswer) {
		t.Errorf("%v, want that nobody answers", err)
	}
}
