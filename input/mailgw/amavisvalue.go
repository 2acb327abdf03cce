package mailgw

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// AmavisValue is one row of snmp.db: a counter, a gauge or a text by the name that amavis gives it.
type AmavisValue struct {
	Name  string
	Type  string // C32, C64, TIM, U32, U64, G32, INT, I64, STR or OID, as amavis stores it
	Count uint64 // of C32, C64, TIM, U32, U64 and G32, exact; C32 may be beyond 32 bits, as amavis lets it grow
	Int   int64  // of INT and I64, and of a G32 below zero
	Text  string // of STR and OID
}

// maxAmavisText bounds texts such as sysDescr; SNMP's DisplayString ends at 255.
const maxAmavisText = 255

// parseAmavisValue reads "TYP value". Digits behind a point are cut off, as amavis's own sub-agent does.
func parseAmavisValue(name, s string) (AmavisValue, bool) {
	typ, value, ok := strings.Cut(s, " ")
	v := AmavisValue{Name: name, Type: typ}
	if !ok {
		return v, false
	}
	var err error
	switch typ {
	case "STR", "OID":
		v.Text = value[:min(len(value), maxAmavisText)]
		return v, true
	case "INT", "I64":
		v.Int, err = strconv.ParseInt(whole(value), 10, 64)
	case "G32":
		if v.Count, err = strconv.ParseUint(whole(value), 10, 64); err != nil {
			v.Int, err = strconv.ParseInt(whole(value), 10, 64)
		}
	case "C32", "C64", "TIM", "U32", "U64":
		v.Count, err = strconv.ParseUint(whole(value), 10, 64)
	default:
		return v, false
	}
	return v, err == nil
}

func whole(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), ".")
	return s
}

// IsCounter tells the types that only grow.
func (v *AmavisValue) IsCounter() bool { return v.Type == "C32" || v.Type == "C64" || v.Type == "TIM" }

// AmavisSource is where values come from.
type AmavisSource string

// The sources, best first.
const (
	FromLive AmavisSource = "live"    // the shared cache over the files
	FromDump AmavisSource = "db_dump" // the program of the installed libdb
	FromZMQ  AmavisSource = "zmq"     // amavis-services by ZeroMQ
	FromFile AmavisSource = "file"    // the files alone, which are old while amavis runs
)

// AmavisValues is everything that amavis tells at one time.
type AmavisValues struct {
	Source    AmavisSource
	Read      time.Time     // when it was read
	Age       time.Duration // how old that is; for FromFile since the file was written
	Stale     bool          // it comes from the files alone and is surely behind
	Started   time.Time     // when amavis was started, zero if it does not say
	Values    []AmavisValue // by name
	Processes Processes
	Bad       int // rows that were not understood
}

// Lookup finds a row by amavis's name of it, as stored.
func (a *AmavisValues) Lookup(name string) (AmavisValue, bool) {
	i, ok := slices.BinarySearchFunc(a.Values, name, func(v AmavisValue, name string) int { return cmp.Compare(v.Name, name) })
	if !ok {
		return AmavisValue{}, false
	}
	return a.Values[i], true
}

// Count is a counter or gauge by name, 0 where amavis has not counted any.
func (a *AmavisValues) Count(name string) uint64 {
	v, _ := a.Lookup(name)
	return v.Count
}

// Exported is a value as amavis's sub-agent gives it to SNMP, by the name it has there: sysUpTime in 1/100 s since the
// start, stages in 1/100 s instead of ms, and the process figures, which the database does not hold as such. Names
// that the database does not hold are not found; the sub-agent serves them as 0.
func (a *AmavisValues) Exported(name string) (AmavisValue, bool) {
	if strings.HasPrefix(name, "Proc") {
		return a.Processes.exported(name)
	}
	v, ok := a.Lookup(name)
	switch {
	case !ok:
	case name == "sysUpTime":
		v.Type, v.Int, v.Count = "TIM", 0, uint64(max(0, a.Read.Sub(a.Started)/(10*time.Millisecond)))
		if a.Started.IsZero() {
			v.Count = 0
		}
	case strings.HasPrefix(name, "TimeElapsed"):
		v.Type, v.Int, v.Count = "INT", int64(v.Count/10), 0
	}
	return v, ok
}

// fill takes the rows of snmp.db.
func (a *AmavisValues) fill(rows []row) {
	a.Values = make([]AmavisValue, 0, len(rows))
	for _, r := range rows {
		v, ok := parseAmavisValue(r.key, r.value)
		if !ok {
			a.Bad++
		}
		a.Values = append(a.Values, v)
	}
	slices.SortFunc(a.Values, func(a, b AmavisValue) int { return cmp.Compare(a.Name, b.Name) })
	if up, ok := a.Lookup("sysUpTime"); ok && up.Int > 0 {
		a.Started = time.Unix(up.Int, 0).UTC()
	}
}

// behind names a counter that is smaller than it was or no longer there, "" when there is none. A key twice counts
// as gone back too: it is a row that is just being moved.
func (a *AmavisValues) behind(before *AmavisValues) string {
	for i := 1; i < len(a.Values); i++ {
		if a.Values[i].Name == a.Values[i-1].Name {
			return a.Values[i].Name
		}
	}
	for i := range before.Values {
		old := &before.Values[i]
		now, ok := a.Lookup(old.Name)
		if !ok || old.IsCounter() && now.Count < old.Count {
			return old.Name
		}
	}
	return ""
}
