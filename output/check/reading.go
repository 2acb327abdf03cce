package check

import (
	"slices"
	"strings"
	"time"

	"varde/event"
)

// Reading is what a check judges: figures, and sentences that say why some are missing.
type Reading struct {
	Figures  []event.Figure
	Problems []string

	took    time.Duration
	earlier look
	file    string
	fileErr error
	used    map[string]uint64 // counters that were judged
}

// all are the figures of a name whose labels have these values (name, value, name, value).
func (r *Reading) all(name string, labels ...string) []*event.Figure {
	var out []*event.Figure
next:
	for i := range r.Figures {
		f := &r.Figures[i]
		if f.Name != name {
			continue
		}
		for k := 0; k+1 < len(labels); k += 2 {
			if tag(f, labels[k]) != labels[k+1] {
				continue next
			}
		}
		out = append(out, f)
	}
	return out
}

// value is the one figure of a name and labels, and whether it is there.
func (r *Reading) value(name string, labels ...string) (float64, bool) {
	all := r.all(name, labels...)
	if len(all) == 0 {
		return 0, false
	}
	return all[0].Float(), true
}

// tag is the value of a label.
func tag(f *event.Figure, label string) string { return event.Detail(f.Labels).Get(label) }

// tags are the values that a label takes over the figures of some names, sorted, each once.
func (r *Reading) tags(label string, names ...string) []string {
	var out []string
	for i := range r.Figures {
		if slices.Contains(names, r.Figures[i].Name) {
			out = append(out, tag(&r.Figures[i], label))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// grown adds up by how much the counters of a name and labels have grown since the last look, and tells whether there
// are any. A counter that is smaller than it was has begun again.
func (r *Reading) grown(name string, labels ...string) (uint64, bool) {
	all := r.all(name, labels...)
	sum := uint64(0)
	for _, f := range all {
		key := keyOf(f)
		if r.used == nil {
			r.used = map[string]uint64{}
		}
		r.used[key] = f.Count
		if was := r.earlier.Counters[key]; was <= f.Count {
			sum += f.Count - was
		} else {
			sum += f.Count
		}
	}
	return sum, len(all) > 0
}

// keyOf names a counter with its labels.
func keyOf(f *event.Figure) string {
	var b strings.Builder
	b.WriteString(f.Name)
	for _, l := range f.Labels {
		b.WriteString("\x00" + l.Key + "\x00" + l.Value)
	}
	return b.String()
}

// since says from when on grown counts.
func (r *Reading) since() string {
	if r.earlier.At.IsZero() {
		return "since varde was started"
	}
	return "in the last " + span(max(1, time.Since(r.earlier.At).Seconds()))
}

// problem is what the source said of a thing, as an ending of a sentence.
func (r *Reading) problem(words ...string) string {
next:
	for _, p := range r.Problems {
		for _, w := range words {
			if !strings.Contains(p, w) {
				continue next
			}
		}
		return ": " + p
	}
	return ""
}
