package agentx

import (
	"cmp"
	"hash/fnv"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"varde/event"
	"varde/event/human"
)

const (
	maxFigures   = 8192 // figures of all parts together
	maxRows      = 1024 // of one table, besides that of all figures
	maxText      = 255  // bytes of an SnmpAdminString
	maxIndexText = 64   // bytes of a text that is an index
	maxIndexPair = 48   // bytes of each of two texts that are an index
)

// own makes the variables of varde's own subtree.
type own struct {
	root    oid // of the objects, root.1
	vars    []variable
	leftOut int
	byName  map[string][]*event.Figure
}

// ownObjects are the identifiers of all objects below root, as newPicture wants them.
func ownObjects(root oid) []oid {
	var out []oid
	for _, g := range ownGroups() {
		for _, o := range g.objects {
			out = append(out, root.plus(1, g.arc, o.arc))
		}
	}
	for _, t := range append(ownTables(), figureTable()) {
		for _, c := range t.columns {
			out = append(out, root.plus(1, t.arc, 1, c.arc))
		}
	}
	return out
}

// ownVariables makes the variables of figures, in a slice with room for more others. self are the values of the group
// vardeAgent that are not about the figures, by their arcs.
func ownVariables(root oid, figures []event.Figure, self map[uint32]value, more int) []variable {
	o := own{root: root.plus(1), byName: map[string][]*event.Figure{}}
	if len(figures) > maxFigures {
		o.leftOut = len(figures) - maxFigures
		figures = figures[:maxFigures]
	}
	o.vars = make([]variable, 0, more+len(ownObjects(root))+(1+len(figureTable().columns))*len(figures)) // about as many as come
	for i := range figures {
		f := &figures[i]
		o.byName[f.Name] = append(o.byName[f.Name], f)
	}
	for _, t := range ownTables() {
		o.rows(&t)
	}
	shown := o.all(figures)
	self[3], self[4] = number(typeGauge32, shown), number(typeGauge32, o.leftOut)
	for _, g := range ownGroups() {
		for _, x := range g.objects {
			v, ok := self[x.arc], true
			if x.figure != "" {
				v, ok = sum(x.syntax, o.byName[x.figure])
			}
			if ok {
				o.vars = append(o.vars, variable{o.root.plus(g.arc, x.arc, 0), v})
			}
		}
	}
	return o.vars
}

// rows makes the variables of a table. A row has what figures there are of it.
func (o *own) rows(t *table) {
	type row struct {
		index oid
		cells [][]*event.Figure
	}
	var rows []row
	at := map[string]int{}
	for col := range t.columns {
		for _, f := range o.byName[t.columns[col].figure] {
			ix, ok := t.indexOf(f)
			key := ix.String()
			i, there := at[key]
			switch {
			case !ok || !there && len(rows) == maxRows:
				o.leftOut++
				continue
			case !there:
				i = len(rows)
				at[key] = i
				rows = append(rows, row{ix, make([][]*event.Figure, len(t.columns))})
			}
			rows[i].cells[col] = append(rows[i].cells[col], f)
		}
	}
	for _, r := range rows {
		for col, c := range t.columns {
			if v, ok := sum(c.syntax, r.cells[col]); ok {
				o.vars = append(o.vars, variable{o.root.plus(append([]uint32{t.arc, 1, c.arc}, r.index...)...), v})
			}
		}
	}
}

// implied tells that the index is a single text, which needs no length before it.
func (t *table) implied() bool { return len(t.index) == 1 }

// maxText is how long a text in the index may be, so that no identifier has more than maxArcs arcs.
func (t *table) maxText() int {
	if t.implied() {
		return maxIndexText
	}
	return maxIndexPair
}

// indexOf is where the row of a figure is (RFC 2578 section 7.7): words by their number, texts byte by byte, with
// their length before them unless that is implied.
func (t *table) indexOf(f *event.Figure) (oid, bool) {
	var out oid
	for i, x := range t.index {
		s := event.Detail(f.Labels).Get(x.label)
		if x.words != nil {
			n := slices.Index(x.words, s) + 1
			if n == 0 {
				return nil, false
			}
			out = append(out, uint32(n))
			continue
		}
		if len(s) > t.maxText() || s == "" && i == 0 {
			return nil, false
		}
		if !t.implied() {
			out = append(out, uint32(len(s)))
		}
		for _, b := range []byte(s) {
			out = append(out, uint32(b))
		}
	}
	return out, true
}

// sum is the value of an object that shows these figures.
func sum(s syntax, figures []*event.Figure) (value, bool) {
	if len(figures) == 0 {
		return value{}, false
	}
	var count uint64
	var float float64
	for _, f := range figures {
		count += f.Count
		float += f.Float()
	}
	switch s {
	case counter64:
		return value{typ: typeCounter64, number: count}, true
	case truth:
		if float != 0 {
			return value{typ: typeInteger, number: 1}, true
		}
		return value{typ: typeInteger, number: 2}, true
	case gauge32:
		// A gauge stays at its largest value for as long as what it measures is beyond it (RFC 2578 section 7.1.7).
		return value{typ: typeGauge32, number: min(whole(float), math.MaxUint32)}, true
	}
	return value{typ: typeCounter64, number: whole(float)}, true
}

// whole rounds to what a gauge of SNMP can say.
func whole(f float64) uint64 {
	switch f = math.Round(f); {
	case !(f > 0): // also NaN
		return 0
	case f >= math.MaxUint64:
		return math.MaxUint64
	}
	return uint64(f)
}

func number(t valueType, n int) value { return value{typ: t, number: uint64(n)} }

// all makes the variables of the table of all figures, and tells how many rows it has.
func (o *own) all(figures []event.Figure) int {
	type keyed struct {
		key, labels string
		f           *event.Figure
	}
	sorted := make([]keyed, len(figures))
	for i := range figures {
		labels := labelText(figures[i].Labels)
		sorted[i] = keyed{figures[i].Name + "{" + labels + "}", labels, &figures[i]}
	}
	slices.SortStableFunc(sorted, func(a, b keyed) int { return cmp.Compare(a.key, b.key) })
	sorted = slices.CompactFunc(sorted, func(a, b keyed) bool { return a.key == b.key })
	taken := make(map[uint32]bool, len(sorted))
	t := figureTable()
	names := make([]uint32, 0, len(sorted)*len(t.columns)*(len(o.root)+4)) // of all cells: each alone would cost as much again
	for _, k := range sorted {
		ix := place(k.key, taken)
		cells := []value{
			textValue(k.f.Name), textValue(k.labels), textValue(k.f.Unit), number(typeInteger, int(k.f.Kind)+1),
			{typ: typeCounter64, number: k.f.Count},
			{typ: typeCounter64, number: whole(k.f.Value)},
			textValue(decimal(k.f)), number(typeGauge32, int(max(0, k.f.Age)/time.Second)),
		}
		for i, c := range t.columns {
			if c.name == "Count" && k.f.Kind != event.Counter || c.name == "Whole" && (k.f.Kind != event.Gauge || k.f.Value < 0) {
				continue
			}
			from := len(names)
			names = append(append(names, o.root...), t.arc, 1, c.arc, ix)
			o.vars = append(o.vars, variable{names[from:len(names):len(names)], cells[i]})
		}
	}
	return len(sorted)
}

// place makes a number from 1 to 2147483647 of a key by FNV-1a. Keys that meet are told apart by what is added to
// the later of them in the alphabet.
func place(key string, taken map[uint32]bool) uint32 {
	for i := 0; ; i++ {
		h := fnv.New32a()
		h.Write([]byte(key))
		if i > 0 {
			h.Write(strconv.AppendInt(nil, int64(i), 10))
		}
		if n := h.Sum32() & math.MaxInt32; n != 0 && !taken[n] {
			taken[n] = true
			return n
		}
	}
}

func decimal(f *event.Figure) string {
	if f.Kind == event.Counter && f.Scale == 0 {
		return strconv.FormatUint(f.Count, 10)
	}
	return strconv.FormatFloat(f.Float(), 'f', -1, 64)
}

func labelText(labels []event.Pair) string {
	var b strings.Builder
	for i, l := range labels {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(l.Key)
		b.WriteByte('=')
		b.WriteString(strconv.Quote(l.Value))
	}
	return b.String()
}

// textValue is text that strangers may have a hand in, at most as long as SNMP's texts are.
func textValue(s string) value {
	s = human.Safe(s)
	if len(s) > maxText {
		s = s[:maxText]
		for !utf8.ValidString(s) {
			s = s[:len(s)-1]
		}
	}
	return value{typ: typeOctets, octets: s}
}
