package mailgw

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"varde/event"
)

func seedFile(f *testing.F, path string) []byte {
	f.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	return b
}

// FuzzDatabase gives a spoiled cache over a spoiled file, both as first and as second look.
func FuzzDatabase(f *testing.F) {
	file, cache := seedFile(f, "testdata/amavis/nanny.db"), seedFile(f, "testdata/amavis/__db.003")
	f.Add(file, cache[8000:32000], uint16(0), uint16(0), byte(0))
	f.Add(file, cache, uint16(9528), uint16(20), byte(0xff))
	f.Add(seedFile(f, "testdata/amavis/snmp.db"), cache, uint16(13760), uint16(26), byte(1))
	f.Fuzz(func(t *testing.T, file, cache []byte, at, spoilFile uint16, with byte) {
		spoiled := bytes.Clone(cache)
		if int(at) < len(spoiled) {
			spoiled[at] ^= with
		}
		if int(spoilFile) < len(file) {
			file = bytes.Clone(file)
			file[spoilFile] ^= with
		}
		m, err := parseMeta(file)
		if err != nil {
			return
		}
		collect(m, filePages(file, m.pageSize))
		r := liveReader{file: file}
		r.first.region, r.second.region = spoiled, spoiled
		if table, err := r.join(m); err == nil {
			for _, row := range table.rows {
				parseProcess(row.key, row.value)
				parseAmavisValue(row.key, row.value)
			}
			r.crowds()
		}
	})
}

func FuzzDump(f *testing.F) {
	f.Add(seedFile(f, "testdata/snmp_db_dump.txt"))
	f.Add([]byte("format=print\nHEADER=END\n a\\00\\\\\n b\nDATA=END\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if table, err := parseDump(b); err == nil {
			var v AmavisValues
			v.fill(table.rows)
			amavisFigures(&v)
			for i := range v.Values {
				v.Exported(v.Values[i].Name)
			}
		}
	})
}

func FuzzZMTP(f *testing.F) {
	hello := "\xff\x00\x00\x00\x00\x00\x00\x00\x00\x7f\x03\x00NULL" + strings.Repeat("\x00", 48)
	f.Add([]byte(hello + "\x04\x05\x05READY\x01\x00\x00\x13am.snmp InMsgs C32 1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if frames, err := zmtpRequest(&talk{Reader: bytes.NewReader(b)}, "am.snmp?"); err == nil {
			zmqProcesses(zmqRows(frames, "am.snmp "))
		}
	})
}

func FuzzQueues(f *testing.F) {
	f.Add(seedFile(f, "testdata/showq.bin"))
	f.Add(seedFile(f, "testdata/postqueue_j.jsonl"))
	f.Add([]byte("C_" + strings.Repeat(" ", 95) + "T\x0f1795450025 1502A"))
	f.Add([]byte("4jY04W1ctTz1W74w"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p := NewPostfix(PostfixConfig{})
		q := p.begin("showq")
		if parseShowq(bytes.NewReader(b), q.add) == nil {
			postfixFigures(&q)
		}
		q = p.begin("postqueue")
		parsePostqueue(bytes.NewReader(b), q.add)
		arrivalRecord(b)
		longIDTime(string(b))
	})
}

// FuzzMailLog holds that every event can be said as JSON and read again, and that stored texts stay small.
func FuzzMailLog(f *testing.F) {
	for _, path := range []string{"testdata/postfix.log", "testdata/amavis.log"} {
		for line := range bytes.Lines(seedFile(f, path)) {
			f.Add(line)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m := NewMailLog()
		for line := range bytes.Lines(b) {
			m.Line(line, received, func(e *event.Event) {
				out := e.AppendJSON(nil)
				var again event.Event
				if err := again.ParseJSON(out); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				for _, p := range e.Detail {
					if len(p.Value) > 400 {
						t.Fatalf("%s has %d bytes", p.Key, len(p.Value))
					}
				}
			})
		}
	})
}

func FuzzSignatures(f *testing.F) {
	f.Add([]byte("ClamAV-VDB:22 Jun 2021 21-34 -0400:6:1234:90:x:sig:builder:1624412045"))
	f.Add([]byte("ClamAV 1.4.6/6/Wed Jun 23 01:34:05 2021"))
	f.Add([]byte("1.4.3:62:27700:1751990000:1:90:49192:336"))
	f.Add([]byte("FreshClamData\x01" + strings.Repeat("\x00", 55)))
	f.Add([]byte(weblogXML))
	f.Add([]byte(`{"definitionsStatus":{"$type":"upToDate"},"definitionsUpdatedMinutesAgo":1e3}`))
	f.Add([]byte("9dd4e461268c8034f5c8564e155c67a6 *b.dat\n"))
	f.Add(seedFile(f, "testdata/rspamd_stat.json"))
	f.Fuzz(func(t *testing.T, b []byte) {
		parseCVD(b)
		parseClamdVersion(string(b))
		parseClamAVRecord(string(b))
		parseFreshclamDat(b)
		if ide, err := parseSophos(b); err == nil && strings.ContainsAny(ide.Name, "/\x00") {
			t.Fatalf("%q leaves its folder", ide.Name)
		}
		if s, err := parseDefender(b, ScannerState{Read: time.Unix(0, 0)}); err == nil {
			scannerFigures(&s)
		}
		if sums, err := parseManifest(b); err == nil && strings.ContainsAny(sums[0].name, "/\x00") {
			t.Fatalf("%q leaves its folder", sums[0].name)
		}
		parseRspamd(b)
		for _, layout := range []string{"", "unix", "unix_ms", "2006-01-02"} {
			parseStamp(string(b), layout)
		}
	})
}
