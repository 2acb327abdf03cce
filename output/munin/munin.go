// Package munin shows figures to Munin: as a plugin, once for each symbolic link to it, and as a small node of its own.
// Both draw the graphs of one table.
package munin

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"varde/event"
	"varde/event/human"
)

// Prefix begins the name of every plugin: the link varde_tunnels shows the graph tunnels.
const Prefix = "varde_"

// Caps are what the asking side can take.
type Caps struct {
	Multigraph  bool // several graphs in one answer
	DirtyConfig bool // values together with the configuration
}

// Bounds on what is drawn.
const (
	maxFields = 64 // lines of one graph
	maxBelow  = 64 // graphs below one graph
	maxField  = 60 // bytes of a field's name, of which Munin makes a file name
)

// field is one line of a graph.
type field struct {
	name, label, help string
	figure            *event.Figure // nil where it is not known
	series            *series
}

// Find is the graph of that name, with or without the prefix; nil where there is none.
func Find(name string) *Graph {
	name = strings.TrimPrefix(name, Prefix)
	for _, g := range Graphs() {
		if g.Name == name {
			return &g
		}
	}
	return nil
}

// Suggest are the names of the graphs for which there are figures.
func Suggest(figures []event.Figure) []string {
	var out []string
	for _, g := range Graphs() {
		if g.Known(figures) {
			out = append(out, g.Name)
		}
	}
	return out
}

// Known tells whether there is any figure for the graph.
func (g *Graph) Known(figures []event.Figure) bool {
	return slices.ContainsFunc(g.fields(figures, ""), func(f field) bool { return f.figure != nil })
}

// Config describes the graph, and tells its values too where the asking side can take that.
func (g *Graph) Config(figures []event.Figure, caps Caps) string {
	var b strings.Builder
	g.each(&b, figures, caps, func(fields []field, below string) {
		g.head(&b, below)
		for _, f := range fields {
			f.config(&b)
		}
		if caps.DirtyConfig {
			values(&b, fields)
		}
	})
	return b.String()
}

// Fetch tells the values of the graph.
func (g *Graph) Fetch(figures []event.Figure, caps Caps) string {
	var b strings.Builder
	g.each(&b, figures, caps, func(fields []field, _ string) { values(&b, fields) })
	return b.String()
}

// each goes through the graph and those below it.
func (g *Graph) each(b *strings.Builder, figures []event.Figure, caps Caps, do func(fields []field, below string)) {
	if g.Split == "" || !caps.Multigraph {
		do(g.fields(figures, ""), "")
		return
	}
	fmt.Fprintf(b, "multigraph %s%s\n", Prefix, g.Name)
	do(g.fields(figures, ""), "")
	taken := map[string]bool{}
	for _, value := range g.parts(figures) {
		fmt.Fprintf(b, "multigraph %s%s.%s\n", Prefix, g.Name, unique(taken, fieldName(value)))
		do(g.fields(figures, value), value)
	}
}

// parts are the values of the label that each have a graph below this one.
func (g *Graph) parts(figures []event.Figure) []string {
	var out []string
	for _, s := range g.Series {
		for i := range figures {
			if v := tag(&figures[i], g.Split); figures[i].Name == s.figure && v != "" {
				out = append(out, v)
			}
		}
	}
	slices.Sort(out)
	out = slices.Compact(out)
	return out[:min(len(out), maxBelow)]
}

func (g *Graph) head(b *strings.Builder, below string) {
	title := g.Title
	if below != "" {
		title += " of " + plain(below)
	}
	fmt.Fprintf(b, "graph_title %s\ngraph_vlabel %s\ngraph_category %s\ngraph_args --base %d -l 0\ngraph_scale %s\ngraph_info %s\n",
		title, g.Label, g.Category, g.base(), g.scale(), g.Help)
	if strings.Contains(g.Label, "${graph_period}") {
		b.WriteString("graph_period minute\n")
	}
}

func (g *Graph) base() int {
	if g.Bytes {
		return 1024
	}
	return 1000
}

func (g *Graph) scale() string {
	if g.Bytes {
		return "yes"
	}
	return "no"
}

// fields are the lines of the graph, or of the one below it for a value of Split. Lines that are always there stand
// first and in the order of the table, so that Munin's files do not come and go.
func (g *Graph) fields(figures []event.Figure, below string) []field {
	var out []field
	taken := map[string]bool{"root": true} // which is a word of Munin's
	add := func(name string, f field) {
		if len(out) < maxFields {
			f.name = unique(taken, fieldName(name))
			out = append(out, f)
		}
	}
	for i := range g.Series {
		s := &g.Series[i]
		match := s.match(figures, g.Split, below)
		if s.by == "" {
			add(s.name, field{label: s.label, help: s.help, figure: sum(match), series: s})
			continue
		}
		by := map[string][]*event.Figure{}
		names := slices.Clone(s.values)
		for _, f := range match {
			v := tag(f, s.by)
			if by[v] == nil && !slices.Contains(s.values, v) {
				names = append(names, v)
			}
			by[v] = append(by[v], f)
		}
		slices.Sort(names[len(s.values):])
		for _, v := range names {
			add(s.name+v, field{label: s.legend(v), help: s.help, figure: sum(by[v]), series: s})
		}
	}
	return out
}

// legend is what a line is called.
func (s *series) legend(value string) string {
	text := strings.TrimSpace(s.label + " " + plain(strings.ReplaceAll(value, "_", " ")))
	if text == "" {
		return "without a name"
	}
	return text
}

// match are the figures of a series.
func (s *series) match(figures []event.Figure, split, below string) []*event.Figure {
	var out []*event.Figure
next:
	for i := range figures {
		f := &figures[i]
		if f.Name != s.figure || below != "" && tag(f, split) != below {
			continue
		}
		for k := 0; k+1 < len(s.with); k += 2 {
			if tag(f, s.with[k]) != s.with[k+1] {
				continue next
			}
		}
		out = append(out, f)
	}
	return out
}

// sum adds figures up; nil where there are none.
func sum(all []*event.Figure) *event.Figure {
	if len(all) == 0 {
		return nil
	}
	out := *all[0]
	for _, f := range all[1:] {
		out.Count += f.Count
		out.Value += f.Value
	}
	return &out
}

func (f *field) config(b *strings.Builder) {
	fmt.Fprintf(b, "%[1]s.label %[2]s\n%[1]s.min 0\n", f.name, f.label)
	if f.series.gauge {
		fmt.Fprintf(b, "%s.type GAUGE\n", f.name)
	} else {
		fmt.Fprintf(b, "%s.type DERIVE\n", f.name) // a restart must not look like a leap, as it would with COUNTER
	}
	if f.series.stack {
		fmt.Fprintf(b, "%s.draw AREASTACK\n", f.name)
	}
	if f.help != "" {
		fmt.Fprintf(b, "%s.info %s\n", f.name, f.help)
	}
	if f.series.thousandths {
		fmt.Fprintf(b, "%[1]s.cdef %[1]s,1000,/\n", f.name)
	}
}

func values(b *strings.Builder, fields []field) {
	for _, f := range fields {
		fmt.Fprintf(b, "%s.value %s\n", f.name, f.value())
	}
}

// value is a whole number for a counter, since DERIVE takes no other, and U where nothing is known.
func (f *field) value() string {
	if f.figure == nil {
		return "U"
	}
	if f.series.gauge {
		v := f.figure.Float()
		if f.series.unit != 0 {
			v /= f.series.unit
		}
		if v-v != 0 { // no number, or infinite
			return "U"
		}
		return trim(fmt.Sprintf("%.6f", v))
	}
	if f.series.thousandths {
		return fmt.Sprintf("%.0f", f.figure.Float()*1000)
	}
	if f.figure.Scale != 0 {
		return fmt.Sprintf("%.0f", f.figure.Float())
	}
	return fmt.Sprint(f.figure.Count)
}

func trim(s string) string { return strings.TrimSuffix(strings.TrimRight(s, "0"), ".") }

// tag is the value of a label.
func tag(f *event.Figure, label string) string { return event.Detail(f.Labels).Get(label) }

// plain makes text fit for a line of Munin's configuration.
func plain(s string) string {
	s = human.Safe(s)
	for len(s) > maxField || strings.ContainsRune(s, unicode.ReplacementChar) && len(s) > 0 {
		s = s[:min(maxField, len(s)-1)]
	}
	return strings.Map(func(c rune) rune {
		if c == '\\' || c == '#' || c == '$' {
			return '_'
		}
		return c
	}, strings.ToValidUTF8(s, ""))
}

// fieldName makes a name of letters, digits and underscores that does not begin with a digit.
func fieldName(s string) string {
	b := []byte(s[:min(len(s), maxField)])
	for i, c := range b {
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			b[i] = '_'
		}
	}
	if len(b) == 0 || b[0] >= '0' && b[0] <= '9' {
		b = append([]byte{'_'}, b...)
	}
	return string(b)
}

// unique adds a number to a name that another has already.
func unique(taken map[string]bool, name string) string {
	out := name
	for i := 2; taken[out]; i++ {
		out = fmt.Sprintf("%s_%d", name, i)
	}
	taken[out] = true
	return out
}
