package check

import (
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"varde/event"
)

// TestParseMetrics: what client_golang writes is read back as it was.
func TestParseMetrics(t *testing.T) {
	want := []event.Figure{
		{Name: "a_total", Kind: event.Counter, Count: 1 << 40, Labels: []event.Pair{{Key: "list", Value: "x\\y\n\"z\", {}=é"}, {Key: "z", Value: ""}}},
		{Name: "b_seconds_total", Kind: event.Counter, Count: 1500, Scale: 0.001},
		{Name: "c", Kind: event.Gauge, Value: -2.5},
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(fixed(want), prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", Help: "x"}))
	server := httptest.NewServer(promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	defer server.Close()
	resp, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := ParseMetrics(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	kept := got[:0]
	for _, f := range got {
		if !strings.HasPrefix(f.Name, "h_") {
			kept = append(kept, f)
		}
	}
	if d := cmp.Diff(want, kept); d != "" {
		t.Error(d)
	}
	for _, bad := range []string{"<html>", "a", "a{", `a{x="y} 1`, `a{x="y"} z`, "a 1 2 3", `a{x="\`, "{} 1", strings.Repeat("a", maxMetric+1) + " 1"} {
		if got, err := ParseMetrics(strings.NewReader(bad)); err == nil {
			t.Errorf("%.40q is read as %+v", bad, got)
		}
	}
}

// fixed gives figures as a collector.
type fixed []event.Figure

func (fixed) Describe(chan<- *prometheus.Desc) {}

func (f fixed) Collect(out chan<- prometheus.Metric) {
	for i := range f {
		var names, values []string
		for _, l := range f[i].Labels {
			names, values = append(names, l.Key), append(values, l.Value)
		}
		kind := prometheus.GaugeValue
		if f[i].Kind == event.Counter {
			kind = prometheus.CounterValue
		}
		out <- prometheus.MustNewConstMetric(prometheus.NewDesc(f[i].Name, "x", names, nil), kind, f[i].Float(), values...)
	}
}

func FuzzParseMetrics(f *testing.F) {
	f.Add("# TYPE a counter\na{x=\"y\\n\"} 1.5 1700000000\nb NaN\n")
	f.Add("# TYPE a counter\na -1\na +Inf\na 1e300\n")
	f.Fuzz(func(t *testing.T, s string) {
		figures, err := ParseMetrics(strings.NewReader(s))
		if err != nil {
			return
		}
		c := &Check{Name: "x", Judge: func(r *Reading, _ *Values) Result {
			out := Result{Summary: "x"}
			for i := range r.Figures {
				r.grown(r.Figures[i].Name)
				out.Perf = append(out.Perf, Perf{Label: r.Figures[i].Name, Value: r.Figures[i].Float()})
			}
			return out
		}}
		r := &Reading{Figures: figures, fileErr: http.ErrAbortHandler}
		out := c.Judge(r, NewValues(c))
		if text := out.Text("x"); len(text) > maxOutput || strings.Contains(text, "Inf") {
			t.Fatal(text)
		}
		for i := range figures {
			if f := &figures[i]; f.Kind == event.Counter && (f.Float() < 0 || math.IsNaN(f.Float())) {
				t.Fatalf("%+v", f)
			}
		}
	})
}
