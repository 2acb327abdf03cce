package prom

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"varde/event"
)

type figures func() ([]event.Figure, error)

func (f figures) Figures(context.Context) ([]event.Figure, error) { return f() }

func scrape(t *testing.T, sources ...Source) string {
	t.Helper()
	rec := httptest.NewRecorder()
	Handler(slog.New(slog.DiscardHandler), sources).ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	b, err := io.ReadAll(rec.Body)
	if err != nil || rec.Code != 200 {
		t.Fatalf("status %d, %v: %s", rec.Code, err, b)
	}
	return string(b)
}

func TestHandlerShowsFigures(t *testing.T) {
	flows := figures(func() ([]event.Figure, error) {
		return []event.Figure{
			event.Count("varde_flow_records_total", "Records.", 18_446_744_073, "exporter", "edge\n\"router\""),
			event.Measure("varde_flow_export_lag_seconds", "Lag.", "seconds", 1.5),
			event.Count("", "x", 1),
			event.Count("varde_flow_records_total", "Records.", 0, "exporter", "other"),
		}, nil
	})
	broken := figures(func() ([]event.Figure, error) { return nil, errors.New("no answer") })
	text := scrape(t, Source{"flow", flows}, Source{"broken", broken})
	for _, want := range []string{
		"# TYPE varde_flow_records_total counter",
		`varde_flow_records_total{exporter="edge\n\"router\""} 1.8446744073e+10`,
		`varde_flow_records_total{exporter="other"} 0`,
		"varde_flow_export_lag_seconds 1.5",
		`varde_figures_errors_total{part="broken"} 1`,
		`varde_figures_errors_total{part="flow"} 1`,
		"process_resident_memory_bytes",
	} {
		if !strings.Contains(text, want+"\n") && !strings.Contains(text, want+" ") {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// TestPolledFigures: whatever its age, a figure stands there without a timestamp, in the unit that its name says, and
// when it is zero.
func TestPolledFigures(t *testing.T) {
	mail := figures(func() ([]event.Figure, error) {
		old := event.Measure("postfix_queue_messages", "Messages.", "", 0, "queue", "hold")
		old.Age = 7 * time.Minute
		stage := event.Count("amavis_stage_seconds_total", "Time.", 1500, "stage", "spamcheck")
		stage.Unit, stage.Scale, stage.Age = "seconds", 0.001, time.Hour
		return []event.Figure{old, stage, event.Count("amavis_messages_total", "Messages.", 0, "content", "virus", "flow", "inbound")}, nil
	})
	text := scrape(t, Source{"mail", mail})
	for _, want := range []string{
		`postfix_queue_messages{queue="hold"} 0`,
		`amavis_stage_seconds_total{stage="spamcheck"} 1.5`,
		`amavis_messages_total{content="virus",flow="inbound"} 0`,
	} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("no line %q in\n%s", want, text)
		}
	}
}
