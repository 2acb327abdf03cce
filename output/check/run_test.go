package check

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"varde/event"
)

func byName(t *testing.T, name string) *Check {
	t.Helper()
	for _, c := range Checks() {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("there is no check %s", name)
	return nil
}

// values reads "--flag value" pairs.
func values(t *testing.T, c *Check, args ...string) *Values {
	t.Helper()
	v := NewValues(c)
	for i := 0; i+1 < len(args); i += 2 {
		if err := v.Set(strings.TrimLeft(args[i], "-"), args[i+1]); err != nil {
			t.Fatalf("%s %s: %v", args[i], args[i+1], err)
		}
	}
	return v
}

func TestRunEnds(t *testing.T) {
	c := byName(t, "mailq")
	for _, x := range []struct {
		name   string
		source Source
		want   Status
		text   string
	}{
		{"an error", func(context.Context, *Check, *Values) (*Reading, error) { return nil, errors.New("no such file") }, Unknown, "no such file"},
		{"a panic", func(context.Context, *Check, *Values) (*Reading, error) { panic("oops") }, Unknown, "fault of varde itself: oops"},
		{"no figures", func(context.Context, *Check, *Values) (*Reading, error) { return &Reading{}, nil }, Unknown, "cannot be read"},
		{"a source that hangs", func(ctx context.Context, _ *Check, _ *Values) (*Reading, error) {
			<-ctx.Done()
			return nil, fmt.Errorf("wrapped: %w", ctx.Err())
		}, Unknown, "no answer within 9s"},
		{"a source that nothing ends", func(context.Context, *Check, *Values) (*Reading, error) {
			time.Sleep(time.Hour)
			return &Reading{}, nil
		}, Unknown, "no answer within 9s"},
	} {
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			r := c.Run(t.Context(), NewValues(c), x.source)
			if text := r.Text(c.Name); r.Status() != x.want || !strings.Contains(text, x.text) {
				t.Errorf("%s: %s", x.name, text)
			}
			if took := time.Since(begun); took > DefaultTimeout {
				t.Errorf("%s: took %s", x.name, took)
			}
			time.Sleep(2 * time.Hour) // what was left behind ends too
		})
	}
	down := func(context.Context, *Check, *Values) (*Reading, error) {
		return nil, fmt.Errorf("%w: refused", ErrDown)
	}
	for name, want := range map[string]Status{"daemon": Critical, "flow": Unknown} {
		c := byName(t, name)
		if r := c.Run(t.Context(), NewValues(c), down); r.Status() != want {
			t.Errorf("%s of a varde that is down is %s, want %s", name, r.Status(), want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	hang := func(context.Context, *Check, *Values) (*Reading, error) { select {} }
	if r := c.Run(ctx, NewValues(c), hang); r.Status() != Unknown {
		t.Errorf("ended from outside: %s", r.Status())
	}
}

// TestNothingIsUnknown: no check is OK when it got nothing to judge, or figures of others only.
func TestNothingIsUnknown(t *testing.T) {
	for _, c := range Checks() {
		for _, r := range []*Reading{{}, {Figures: []event.Figure{event.Measure("other", "", "", 1)}, Problems: []string{"clamd: connection refused"}}} {
			source := func(context.Context, *Check, *Values) (*Reading, error) { return r, nil }
			v := NewValues(c)
			if c.Reads == Daemon {
				v = values(t, c, "--state", filepath.Join(t.TempDir(), "look"))
			}
			if out := c.Run(t.Context(), v, source); out.Status() != Unknown {
				t.Errorf("%s", out.Text(c.Name))
			}
		}
	}
}

// TestTable: every flag has a help, a name of its own, and a default that can be read.
func TestTable(t *testing.T) {
	for _, c := range Checks() {
		var names []string
		for _, f := range c.AllFlags() {
			for _, n := range []string{"--" + f.Name, "-" + f.Short} {
				if n != "-" && (slices.Contains(names, n) || n == "-h" || n == "-V") {
					t.Errorf("%s: %s is there twice", c.Name, n)
				}
				names = append(names, n)
			}
			if f.Help == "" || strings.HasSuffix(f.Help, ".") {
				t.Errorf("%s: help of --%s", c.Name, f.Name)
			}
			if f.Default != "" {
				if err := NewValues(c).Set(f.Name, f.Default); err != nil {
					t.Errorf("%s: default of --%s: %v", c.Name, f.Name, err)
				}
			}
		}
		if !strings.HasPrefix(c.Example, "varde check "+c.Name) || c.Help == "" || c.Long == "" {
			t.Errorf("%s lacks help, text or example", c.Name)
		}
	}
	c := byName(t, "mailq")
	v := NewValues(c)
	for flag, bad := range map[string]string{"warning": "20:10", "age-warning": "1 day", "timeout": "0", "none": "x"} {
		if v.Set(flag, bad) == nil {
			t.Errorf("--%s %s is taken", flag, bad)
		}
	}
	if err := v.Set("timeout", "5"); err != nil || v.Span("timeout") != 5*time.Second {
		t.Errorf("-t 5 is %s, %v", v.Span("timeout"), err)
	}
	for range maxGiven {
		v.Set("queue", "x")
	}
	if v.Set("queue", "x") == nil {
		t.Error("a flag may be given without end")
	}
}

// TestLooks: losses count since the last look, from varde's start before there is one, and from zero after a restart.
func TestLooks(t *testing.T) {
	file := filepath.Join(t.TempDir(), "look")
	c := byName(t, "daemon")
	lost, events := uint64(3), uint64(100)
	source := func(context.Context, *Check, *Values) (*Reading, error) {
		return &Reading{Figures: []event.Figure{
			event.Count("varde_events_total", "", events),
			event.Count("varde_store_not_stored_total", "", lost),
		}}, nil
	}
	look := func() (Status, string) {
		r := c.Run(t.Context(), values(t, c, "--state", file), source)
		return r.Status(), r.Text(c.Name)
	}
	step := func(want Status, text string) {
		t.Helper()
		if s, out := look(); s != want || !strings.Contains(out, text) {
			t.Errorf("%s\nwant %s, %q", out, want, text)
		}
	}
	step(Critical, "3 events lost on the way to the store since varde was started")
	events = 150
	step(OK, "50 events in the last")
	lost = 4
	step(Critical, "1 event lost on the way to the store in the last")
	events, lost = 7, 0
	step(OK, "7 events in the last")
	if err := os.WriteFile(file, []byte("{broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	step(OK, "7 events since varde was started")
	// Where nothing can be kept, it says so and goes on.
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(file, "none")
	step(OK, "losses are counted from varde's start each time")
}

func TestOwnFolder(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dir, err := ownFolder()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := ownFolder(); err == nil {
		t.Error("a folder that others may write to is used")
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(t.TempDir(), dir); err != nil {
		t.Fatal(err)
	}
	if _, err := ownFolder(); err == nil {
		t.Error("a link is used")
	}
}
