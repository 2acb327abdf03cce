// Package prom shows the figures of every part of varde in the Prometheus exposition format.
package prom

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"varde/event"
)

// scrapeTimeout bounds how long one part may take to give its figures; a part that is slower is left out of this
// scrape and counted in varde_figures_errors_total.
const scrapeTimeout = 5 * time.Second

// Source is a part that has figures, with the name it has in the log.
type Source struct {
	Name    string
	Figures event.Figures
}

// Handler serves the figures of the sources, and those of the Go runtime and the process.
func Handler(log *slog.Logger, sources []Source) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		&collector{log: log, sources: sources, errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "varde_figures_errors_total", Help: "How often a part gave no figures when asked.",
		}, []string{"part"})},
	)
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

type collector struct {
	log     *slog.Logger
	sources []Source
	errors  *prometheus.CounterVec
}

// Describe sends nothing: which families there are depends on what is configured, so the collector is unchecked.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect asks every source for its figures.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	for _, s := range c.sources {
		failed := c.errors.WithLabelValues(s.Name)
		figures, err := s.Figures.Figures(ctx)
		if err != nil {
			failed.Inc()
			c.log.Warn("figures", "part", s.Name, "error", err)
		}
		for i := range figures {
			m, err := metric(&figures[i])
			if err != nil {
				failed.Inc()
				c.log.Warn("figure is no metric", "part", s.Name, "figure", figures[i].Name, "error", err)
				continue
			}
			out <- m
		}
	}
	c.errors.Collect(out)
}

// metric has no timestamp, however old the figure is: Prometheus takes a sample with one of its own for gone once that is
// five minutes old, and never marks its series as ended. Ages are figures of their own.
func metric(f *event.Figure) (prometheus.Metric, error) {
	names, values := make([]string, len(f.Labels)), make([]string, len(f.Labels))
	for i, l := range f.Labels {
		names[i], values[i] = l.Key, l.Value
	}
	kind := prometheus.GaugeValue
	if f.Kind == event.Counter {
		kind = prometheus.CounterValue
	}
	return prometheus.NewConstMetric(prometheus.NewDesc(f.Name, f.Help, names, nil), kind, f.Float(), values...)
}
