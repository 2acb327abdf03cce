package web

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

var update = flag.Bool("update", false, "write docs/screenshots")

// startBrowser starts Debian's Chromium, or skips.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	if testing.Short() {
		t.Skip("browser tests are long")
	}
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed; make packages installs it")
	}
	if _, err := built.ReadFile("ui/dist/index.html"); err != nil {
		t.Skip("the page is not built; make page builds it")
	}
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), chromedp.ExecPath(path), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(time.Minute),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("lang", "en-GB"))
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	return ctx
}

// startServer runs a server over the scene and gives its address.
func startServer(t *testing.T, cfg Config) (base string, s *Server, m *memStore) {
	t.Helper()
	cfg.Listen = "127.0.0.1:0"
	s, m = newTestServer(t, cfg)
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("server: %v", err)
		}
	})
	return "http://" + s.Addr().String(), s, m
}

// tab is one tab that notes everything that should not happen.
type tab struct {
	t    *testing.T
	ctx  context.Context
	base string

	mu      sync.Mutex
	wrong   []string
	allowed string // a message that is expected
	weight  float64
}

// watchPolicy notes violations of the policy, and what is copied, where the test can read them.
const watchPolicy = `window.__violations = [];
document.addEventListener('securitypolicyviolation', (e) => window.__violations.push(e.violatedDirective + ' ' + e.blockedURI + ' ' + e.sourceFile + ':' + e.lineNumber));
navigator.clipboard.writeText = (text) => { window.__copied = text; return Promise.resolve() };`

func newTab(t *testing.T, parent context.Context, base string) *tab {
	t.Helper()
	b := &tab{t: t, base: base}
	var cancel context.CancelFunc
	b.ctx, cancel = chromedp.NewContext(parent, chromedp.WithNewBrowserContext(), chromedp.WithListener(b.hear))
	t.Cleanup(cancel)
	b.do(chromedp.EmulateViewport(1440, 900))
	b.call(log.Enable.Method, func() error { _, err := chromedp.Call(b.ctx, log.Enable, struct{}{}); return err })
	b.call("network", func() error {
		_, err := chromedp.Call(b.ctx, network.Enable, network.EnableParams{})
		return err
	})
	b.call("script", func() error {
		_, err := chromedp.Call(b.ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: watchPolicy})
		return err
	})
	return b
}

func (b *tab) call(what string, do func() error) {
	b.t.Helper()
	if err := do(); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

func (b *tab) note(format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.allowed == "" || !strings.Contains(s, b.allowed) {
		b.wrong = append(b.wrong, s)
	}
}

func (b *tab) hear(ev any) {
	switch ev := ev.(type) {
	case *log.EventEntryAdded:
		if ev.Entry.Level == "error" || ev.Entry.Level == "warning" {
			b.note("log: %s %s", ev.Entry.Text, ev.Entry.URL)
		}
	case *runtime.EventExceptionThrown:
		b.note("exception: %s %v", ev.ExceptionDetails.Text, ev.ExceptionDetails.Exception)
	case *runtime.EventConsoleAPICalled:
		if ev.Type == "error" || ev.Type == "warning" {
			text := ""
			for _, a := range ev.Args {
				text += " " + string(a.Value) + a.Description
			}
			b.note("console: %s", text)
		}
	case *network.EventRequestWillBeSent:
		if u, err := url.Parse(ev.Request.URL); err != nil || u.Scheme != "data" && !strings.HasPrefix(ev.Request.URL, b.base) {
			b.note("request elsewhere: %s", ev.Request.URL)
		}
	case *network.EventLoadingFinished:
		b.mu.Lock()
		b.weight += ev.EncodedDataLength
		b.mu.Unlock()
	}
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	if chromedp.FromContext(b.ctx).Target == nil {
		cancel() // the first action makes the tab, which lives as long as its context
		ctx, cancel = b.ctx, func() {}
	}
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("browser: %v\n%s", err, b.faults())
	}
}

// eval gives what an expression is, waiting for it where it is a promise.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v\n%s", expression, err, b.faults())
	}
	return v
}

// settled waits until no answer has been on its way for a moment, and everything is drawn.
const settled = `new Promise((done) => {
	let calm = 0
	const look = () => {
		calm = document.querySelector('main') && document.documentElement.dataset.asking === '0' ? calm + 1 : 0
		calm > 5 ? requestAnimationFrame(() => requestAnimationFrame(() => done(true))) : setTimeout(look, 30)
	}
	look()
})`

func (b *tab) open(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.base + path))
	b.settle()
}

func (b *tab) settle() {
	b.t.Helper()
	eval[bool](b, settled)
}

// until waits for an expression to be true.
func (b *tab) until(expression string) {
	b.t.Helper()
	if !eval[bool](b, `new Promise((done) => { const end = Date.now() + 10000; const look = () => { let v = false; try { v = !!(`+expression+`) } catch {} ; if (v || Date.now() > end) done(v); else setTimeout(look, 30) }; look() })`) {
		b.t.Fatalf("this never became true: %s\nat %s\n%s\n%s", expression, eval[string](b, `location.href`), b.faults(), eval[string](b, `document.body.innerText.slice(0, 2000)`))
	}
}

// faults is what went wrong in the page so far.
func (b *tab) faults() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.wrong, "\n")
}

// clean fails the test where the page complained or its policy was violated.
func (b *tab) clean() {
	b.t.Helper()
	if v := eval[[]string](b, `window.__violations`); len(v) > 0 {
		b.t.Errorf("policy violated: %s", strings.Join(v, "\n"))
	}
	if f := b.faults(); f != "" {
		b.t.Errorf("the page complains:\n%s", f)
	}
}

// accessible runs axe.
func (b *tab) accessible() {
	b.t.Helper()
	source, err := os.ReadFile("ui/node_modules/axe-core/axe.min.js")
	if err != nil {
		b.t.Logf("axe is not installed (make page installs it): %v", err)
		return
	}
	b.do(chromedp.Evaluate[chromedp.Void](string(source)))
	found := eval[[]string](b, `axe.run(document, { resultTypes: ['violations'] }).then((r) => r.violations.flatMap((v) => v.nodes.slice(0, 3).map((n) => v.id + ': ' + n.target + ' ' + n.html.slice(0, 160) + ' ' + (n.any[0]?.message ?? ''))))`)
	if len(found) > 0 {
		b.t.Errorf("axe finds:\n%s", strings.Join(found, "\n"))
	}
}

func (b *tab) scheme(name string) {
	b.t.Helper()
	b.call("media", func() error {
		_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}, {Name: "prefers-reduced-motion", Value: "reduce"}},
		})
		return err
	})
}

// shoot writes a picture with -update.
func (b *tab) shoot(name string) {
	b.t.Helper()
	if !*update {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatal(err)
	}
	path := filepath.Join("..", "..", "docs", "screenshots", name+".png")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, png) {
		return
	}
	if err := os.WriteFile(path, png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}
