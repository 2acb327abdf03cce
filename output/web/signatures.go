package web

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"varde/event"
	"varde/event/human"
)

// Ages of signatures, as varde check av has them by default.
const (
	signaturesAgeing = 2 * 24 * time.Hour
	signaturesOld    = 7 * 24 * time.Hour
)

func (m *mailReader) signature(scanner, database string) *signature {
	for _, g := range m.Signatures {
		if g.Scanner == scanner && g.Database == database {
			return g
		}
	}
	g := &signature{Scanner: scanner, Database: database}
	m.Signatures = append(m.Signatures, g)
	return g
}

func (m *mailReader) readSignature(f *event.Figure) {
	g := m.signature(labelOf(f, "scanner"), labelOf(f, "database"))
	v := f.Float()
	switch f.Name {
	case "antivirus_known":
		if v == 0 {
			g.State = "unknown"
		}
	case "antivirus_signatures_age_seconds":
		v += f.Age.Seconds()
		g.Age = &v
	case "antivirus_current":
		if v == 0 {
			g.behind("the vendor has newer ones")
		} else if g.State == "" {
			g.State = "fresh"
		}
	case "antivirus_issues":
		if v > 0 {
			g.say(fmt.Sprintf("the scanner complains of %s", things(v, "thing")))
		}
	}
}

func (m *mailReader) readClamAV(f *event.Figure) {
	v := f.Float()
	switch f.Name {
	case "clamd_up":
		m.clamdDown = v == 0
	case "clamd_lag_versions":
		m.clamdLag = v
	case "clamav_upstream_up":
		m.noUpstream = v == 0
	case "clamav_upstream_lag_versions":
		if g := m.signature("clamav", labelOf(f, "database")); v > 0 {
			g.say(things(v, "version") + " behind upstream")
			if v > 1 { // the next one may be on its way
				g.behind("")
			}
		}
	case "freshclam_blocked_seconds":
		m.blocked = v
	}
}

// things is a number of something.
func things(n float64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return human.Count(uint64(max(n, 0))) + " " + what + "s"
}

func (g *signature) say(text string) {
	if g.Note != "" && text != "" {
		g.Note += "; "
	}
	g.Note += text
}

// behind notes that there are newer signatures.
func (g *signature) behind(why string) {
	if g.State != "unknown" {
		g.State = "behind"
	}
	g.say(why)
}

// finishSignatures says of every database in a word how it is.
func (m *mailReader) finishSignatures() {
	for _, s := range m.Sources {
		if s.Up || s.Name != "clamav" && s.Name != "antivirus" {
			continue
		}
		if !slices.ContainsFunc(m.Signatures, func(g *signature) bool { return (g.Scanner == "clamav") == (s.Name == "clamav") }) {
			g := m.signature(s.Name, "")
			g.State, g.Note = "unknown", s.Note
		}
	}
	for _, g := range m.Signatures {
		if g.Scanner == "clamav" && g.Database == "daily" {
			m.finishDaily(g)
		}
		g.judge()
	}
	slices.SortFunc(m.Signatures, func(a, b *signature) int {
		return cmp.Or(cmp.Compare(a.Scanner, b.Scanner), cmp.Compare(a.Database, b.Database))
	})
}

// finishDaily adds what is known of ClamAV as a whole to the database that changes.
func (m *mailReader) finishDaily(g *signature) {
	switch {
	case m.clamdDown:
		g.say("clamd does not answer")
	case m.clamdLag > 0:
		g.behind("clamd runs signatures " + things(m.clamdLag, "version") + " older than the disk: it was not told to reload")
	}
	if m.noUpstream {
		g.say("ClamAV's newest versions are not known")
	}
	if m.blocked > 0 {
		g.behind("the mirror refuses freshclam for " + human.Span(time.Duration(m.blocked*float64(time.Second))))
	}
}

// judge gives the state by the age where nothing else did. Of ClamAV's databases only daily must be new: the others are made
// anew once in a year or two.
func (g *signature) judge() {
	if g.State == "unknown" {
		g.Age = nil
		if g.Note == "" {
			g.Note = "it is not known how old the signatures are"
		}
		return
	}
	if g.State == "" || g.State == "fresh" {
		switch {
		case g.Scanner == "clamav" && g.Database != "daily":
			g.State = "present"
		case g.Age == nil && g.State == "":
			g.State, g.Note = "unknown", cmp.Or(g.Note, "it is not known how old the signatures are")
		case g.Age == nil:
		case *g.Age >= signaturesOld.Seconds():
			g.State = "old"
		case *g.Age >= signaturesAgeing.Seconds():
			g.State = "ageing"
		default:
			g.State = "fresh"
		}
	}
}
