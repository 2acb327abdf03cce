package check

import (
	"fmt"
	"slices"
	"strings"
)

// av judges how fresh the signatures of virus scanners are: by when they were made, by what upstream has, and by what
// the running daemon has loaded, which may be older than the disk.
func av() *Check {
	flags := thresholds(Ages, "age of the signatures, since they were made", "2d", "7d")
	flags = append(flags, more(Limit, "lag", "number of versions behind upstream, with --dns", "~:1", "~:3")...)
	flags = append(flags, more(Limit, "clamd", "number of versions that clamd is behind the disk", "~:0", "~:1")...)
	return &Check{
		Name: "av", Reads: Mail, Judge: judgeAV,
		Help: "whether the signatures of virus scanners are fresh",
		Long: `The age is since the signatures were made, not since a file was touched. Of ClamAV's databases only those named by
--database are judged by age (daily), since the others change once in a year. Besides it alerts where clamd does not
answer, has older signatures loaded than the disk has, or is too old for them; where the mirror refuses freshclam; where
the vendor's status file or the checksums say that there are newer ones; and where a scanner complains.`,
		Example: "varde check av --clamav /var/lib/clamav --clamd /run/clamav/clamd.ctl --dns",
		Flags: append(
			flags,
			Flag{Name: "clamav", Hint: "DIR", Help: "ClamAV's DatabaseDirectory"},
			Flag{Name: "clamd", Hint: "SOCKET", Help: "clamd's socket, a path or host:port"},
			Flag{Name: "dns", Kind: Switch, Help: "ask ClamAV's DNS record for the newest versions"},
			Flag{Name: "database", Repeat: true, Default: "daily", Hint: "NAME", Help: "a database of ClamAV that is judged by age"},
			Flag{Name: "sophos", Hint: "FILE", Help: "Sophos's latest_IDE.xml, a path or URL"},
			Flag{Name: "sophos-dir", Default: "/opt/sophos-av/lib/sav", Hint: "DIR", Help: "folder of Sophos's signature files"},
			Flag{Name: "defender", Hint: "FILE", Help: `output of "mdatp health --output json"; "run" runs it`},
			Flag{Name: "newest", Hint: "PATTERN", Help: "judge the newest file of a pattern, by its time"},
			Flag{Name: "run", Hint: "COMMAND", Help: "judge a time in the output of a program, started without a shell"},
			Flag{Name: "from", Hint: "FILE", Help: "judge a time in a file or page instead"},
			Flag{Name: "match", Hint: "REGEXP", Help: "regular expression whose one group catches that time"},
			Flag{Name: "json", Hint: "PATH", Help: "path of the field that holds it, like engines.0.updated"},
			Flag{Name: "time", Hint: "LAYOUT", Help: "how it is written, as Go's layout or unix; RFC 3339 or unix when left out"},
			Flag{Name: "manifest", Hint: "FILE", Help: "compare files with a list of checksums, a path or URL"},
			Flag{Name: "dir", Hint: "DIR", Help: "folder of the files that the manifest names"},
			Flag{Name: "scanner", Repeat: true, Hint: "NAME", Help: "judge only this scanner or probe of the configuration"}),
	}
}

func judgeAV(r *Reading, v *Values) Result {
	var out Result
	known := r.all("antivirus_known")
	scanners := r.tags("scanner", "antivirus_known")
	for _, name := range v.Texts("scanner") {
		if !slices.Contains(scanners, name) {
			out.find(Unknown, "nothing is known of a scanner called %s%s", name, r.problem(name))
		}
	}
	var fresh []string
	for _, f := range known {
		scanner, database := tag(f, "scanner"), tag(f, "database")
		if only := v.Texts("scanner"); len(only) > 0 && !slices.Contains(only, scanner) {
			continue
		}
		if age := out.signatures(r, v, scanner, database, f.Float() == 1); age != "" {
			fresh = append(fresh, age)
		}
	}
	if len(known) == 0 {
		out.find(Unknown, "nothing is known of any scanner%s", r.problem())
	}
	if only := v.Texts("scanner"); slices.Contains(scanners, "clamav") && (len(only) == 0 || slices.Contains(only, "clamav")) {
		out.clamd(r, v)
		out.upstream(r, v)
		out.levels(r)
		out.blocked(r)
	}
	out.Summary = strings.Join(fresh, ", ")
	return out
}

// signatures judges one database of one scanner and says its age.
func (out *Result) signatures(r *Reading, v *Values, scanner, database string, known bool) string {
	name := strings.TrimSpace(scanner + " " + database)
	if !known {
		out.find(Unknown, "%s: it is not known how old the signatures are%s", name, r.problem(name))
		return ""
	}
	if n, ok := r.value("antivirus_issues", "scanner", scanner); ok && n > 0 {
		out.find(Warning, "%s complains of %s%s", scanner, plural(int(n), "thing"), r.problem(scanner))
	}
	current, told := r.value("antivirus_current", "scanner", scanner)
	if told && current != 1 {
		out.find(Warning, "%s: the newest signatures are not here", name)
	}
	age, dated := r.value("antivirus_signatures_age_seconds", "scanner", scanner, "database", database)
	if value, ok := r.value("antivirus_probe_value", "scanner", scanner); ok {
		out.judge(Perf{Label: name, Value: value, Warn: v.Range("warning"), Crit: v.Range("critical"), Signed: true}, name+" is "+decimal(value))
		return name + " " + decimal(value)
	}
	switch {
	case !dated && !told:
		out.find(Unknown, "%s: it is not known how old the signatures are", name)
		return ""
	case !dated:
		return name + " is current"
	}
	text := fmt.Sprintf("%s was made %s ago", name, span(age))
	p := Perf{Label: name + " age", Value: float64(int64(age)), Unit: "s"}
	if scanner != "clamav" || slices.Contains(v.Texts("database"), database) {
		p.Warn, p.Crit = v.Range("warning"), v.Range("critical")
	}
	out.judge(p, text)
	return text
}

// clamd judges the running daemon, which keeps old signatures until it is told to reload.
func (out *Result) clamd(r *Reading, v *Values) {
	up, asked := r.value("clamd_up")
	if !asked {
		if v.Text("clamd") != "" {
			out.find(Unknown, "clamd was not asked")
		}
		return
	}
	if up != 1 {
		out.find(Critical, "clamd does not answer%s", r.problem("clamd"))
		return
	}
	lag, known := r.value("clamd_lag_versions")
	switch version, loaded := r.value("clamd_database_version"); {
	case known:
		out.judge(Perf{Label: "clamd lag", Value: lag, Warn: v.Range("clamd-warning"), Crit: v.Range("clamd-critical"), Signed: true},
			fmt.Sprintf("clamd still has signatures %s older than those on the disk", plural(int(lag), "version")))
	case !loaded && slices.Contains(v.Texts("database"), "daily"):
		out.find(Critical, "clamd runs without the database daily")
	case loaded:
		out.find(Unknown, "clamd has version %s of daily, and that on the disk is not known", decimal(version))
	}
}

// upstream judges the disk against what the project has, where that was asked for.
func (out *Result) upstream(r *Reading, v *Values) {
	up, asked := r.value("clamav_upstream_up")
	switch {
	case !asked && v.On("dns"), asked && up != 1:
		out.find(Unknown, "ClamAV's newest versions are not known%s", r.problem("upstream"))
		return
	case !asked:
		return
	}
	for _, f := range r.all("clamav_upstream_lag_versions") {
		name := tag(f, "database")
		out.judge(Perf{Label: name + " lag", Value: f.Float(), Warn: v.Range("lag-warning"), Crit: v.Range("lag-critical"), Signed: true},
			fmt.Sprintf("%s is %s behind upstream", name, plural(int(f.Float()), "version")))
	}
}

// levels tells where the engine is too old for the signatures: it leaves out those that it does not understand.
func (out *Result) levels(r *Reading) {
	engine, known := r.value("clamav_engine_level")
	if !known {
		out.detail("the functionality level of the engine was not asked")
		return
	}
	for _, f := range r.all("clamav_database_level") {
		if f.Float() > engine {
			out.find(Warning, "the engine is too old: %s is for functionality level %s and the engine has %s", tag(f, "database"), decimal(f.Float()), decimal(engine))
		}
	}
	out.Perf = append(out.Perf, Perf{Label: "engine level", Value: engine})
}

// blocked tells where the mirror refuses freshclam for a while, so that nothing new can come.
func (out *Result) blocked(r *Reading) {
	switch left, known := r.value("freshclam_blocked_seconds"); {
	case !known:
		out.find(Unknown, "it is not known whether freshclam is blocked%s", r.problem("freshclam"))
	case left > 0:
		out.find(Critical, "the mirror refuses freshclam for another %s", span(left))
	}
}
