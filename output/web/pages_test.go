package web

import (
	"testing"
	"time"
)

// shownPages are the pages with what each must show, and how heavy it may be, in bytes as they are sent.
var shownPages = []struct {
	name, path, shows string
	most              float64
}{
	{"overview", "/", `document.querySelectorAll('.tile').length === 6 && document.querySelectorAll('svg rect').length > 50`, 160e3},
	{"fireplot", "/fireplot?from=-24h", `document.querySelector('canvas') && document.querySelectorAll('tbody tr').length > 10`, 300e3},
	{"health", "/health", `document.body.innerText.includes('new-core')`, 120e3},
	{"mail", "/mail?from=-24h", `document.querySelectorAll('.tile').length === 6 && document.querySelectorAll('svg rect').length > 50 && document.querySelectorAll('tbody tr').length > 30`, 160e3},
	{"warnings", "/warnings?from=-7d", `document.querySelectorAll('tbody tr').length > 3`, 160e3},
	{"warnings-lists", "/warnings?from=-7d&group=list", `document.querySelectorAll('tbody tr').length > 1`, 160e3},
	{"flows", "/flows?from=-1d", `document.querySelectorAll('tbody tr').length > 10 && document.querySelectorAll('svg rect').length > 20`, 160e3},
	{"flows-groups", "/flows?from=-1d&by=src,dport", `document.querySelectorAll('tbody tr').length > 5`, 160e3},
	{"flows-sankey", "/flows?from=-1d&view=sankey", `document.querySelectorAll('svg path').length > 5`, 160e3},
	{"address", "/address/203.0.113.94?from=-7d", `document.body.innerText.includes('QakBot')`, 160e3},
}

const pageBudget = 6 * time.Second // two slow cores and a cold browser; on a laptop it is well below one

// TestPages opens each page, light and dark, wide and narrow.
func TestPages(t *testing.T) {
	browser := startBrowser(t)
	base, _, _ := startServer(t, Config{})
	for _, p := range shownPages {
		t.Run(p.name, func(t *testing.T) {
			b := newTab(t, browser, base)
			b.scheme("light")
			begin := time.Now()
			b.open(p.path)
			took := time.Since(begin)
			b.until(p.shows)
			if took > pageBudget {
				t.Errorf("the page took %v, at most %v", took, pageBudget)
			}
			b.mu.Lock()
			weight := b.weight
			b.mu.Unlock()
			if weight > p.most {
				t.Errorf("the page weighs %.0f bytes, at most %.0f", weight, p.most)
			}
			t.Logf("%v, %.0f kB", took.Round(time.Millisecond), weight/1e3)
			b.accessible()
			b.shoot(p.name + "-light")
			b.scheme("dark")
			b.accessible()
			b.shoot(p.name + "-dark")
			b.clean()
		})
	}
}
