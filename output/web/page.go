package web

import (
	"bytes"
	"compress/gzip"
	"embed"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
)

// built is the page as `make page` builds it into ui/dist. Without that it holds only ui/dist.html, which says so: the
// pattern needs one match, and so a clone without Node builds too.
//
//go:embed all:ui/dist*
var built embed.FS

// asset is one file of the page.
type asset struct {
	kind string // content type
	data []byte
	gz   func() []byte
}

// site is all files by their path.
type site struct {
	assets map[string]*asset
	index  *asset
}

// kinds are the content types of what a page has; no other file is served.
var kinds = map[string]string{
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".svg":  "image/svg+xml",
	".txt":  "text/plain; charset=utf-8",
}

// builtPage takes the page out of the program.
func builtPage() (site, error) {
	p := site{assets: map[string]*asset{}}
	err := fs.WalkDir(built, "ui", func(name string, d fs.DirEntry, err error) error {
		kind := kinds[path.Ext(name)]
		if err != nil || d.IsDir() || kind == "" {
			return err
		}
		data, err := built.ReadFile(name)
		if err != nil {
			return err
		}
		p.assets[strings.TrimPrefix(name, "ui/dist")] = &asset{kind, data, sync.OnceValue(func() []byte { return compress(data) })}
		return nil
	})
	p.index = p.assets["/index.html"]
	if p.index == nil {
		p.index = p.assets[".html"]
	}
	delete(p.assets, ".html")
	return p, err
}

// compress is data as gzip has it, nil where that is not shorter.
func compress(data []byte) []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil
	}
	if _, err := w.Write(data); err != nil || w.Close() != nil || b.Len() >= len(data) {
		return nil
	}
	return b.Bytes()
}

// servePage serves a file of the page, and the page itself for every path that is none: which page that is, the browser
// decides.
func (s *Server) servePage(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "this is only read", http.StatusMethodNotAllowed)
		return
	}
	a, file := s.page.assets[r.URL.Path]
	switch {
	case file && strings.HasPrefix(r.URL.Path, "/assets/"):
		h.Set("Cache-Control", "public, max-age=31536000, immutable") // their names change with what they hold
	case !file && path.Ext(r.URL.Path) != "" && !strings.HasPrefix(r.URL.Path, "/address/"):
		h.Set("Cache-Control", "no-store")
		http.Error(w, "there is no such file", http.StatusNotFound)
		return
	case !file:
		a = s.page.index
		fallthrough
	default:
		h.Set("Cache-Control", "no-cache")
	}
	h.Set("Content-Type", a.kind)
	h.Set("Vary", "Accept-Encoding")
	data := a.data
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		if gz := a.gz(); gz != nil {
			h.Set("Content-Encoding", "gzip")
			data = gz
		}
	}
	_, _ = w.Write(data) // the reader went away
}
