package agentx

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"varde/output/agentx/snmpdtest"
)

// running is an agent with its log.
type running struct {
	*Agent
	log *logBuffer
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// runAgent runs an agent against m until the test ends.
func runAgent(t testing.TB, socket string, deps Deps, change ...func(*Config)) running {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Master = socket
	for _, c := range change {
		c(&cfg)
	}
	log := &logBuffer{}
	deps.Log = slog.New(slog.NewTextHandler(log, nil))
	a, err := New(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if t.Failed() {
			t.Logf("log:\n%s", log)
		}
	})
	return running{a, log}
}

// serving waits until all regions are answered for.
func (r running) serving(t testing.TB) time.Duration {
	t.Helper()
	return snmpdtest.WaitFor(t, "all subtrees to be registered", 5*time.Second, func() bool {
		return r.stats.granted.Load()+r.stats.refused.Load() == int64(len(r.collector.roots))
	})
}
