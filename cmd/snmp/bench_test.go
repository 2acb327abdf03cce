package snmp

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"varde/output/agentx/snmpdtest"
)

// BenchmarkBeside walks all objects of amavis through snmpd, with amavis's own sub-agent behind it and then with ours,
// over the same databases. agent-ms is the sub-agent's CPU time for one walk, rss-MB and own-MB are its resident memory
// with and without what it maps from files.
func BenchmarkBeside(b *testing.B) {
	rows := []string{"snmp.db sysUpTime INT 1795424000", "snmp.db sysDescr STR amavis", "snmp.db sysObjectID OID 1.3.6.1.4.1.15312.2"}
	for _, name := range []string{"InMsgs", "InMsgsInbound", "InMsgsSize", "ContentCleanMsgs", "ContentSpamMsgs", "TimeElapsedTotal", "LogEntries", "OutMsgs"} {
		rows = append(rows, "snmp.db "+name+" C64 00000000000000041017")
	}
	for i := range 60 {
		rows = append(rows, fmt.Sprintf("snmp.db OpsDecType-t%d C32 0000000003", i))
	}
	db := newDatabase(b, rows...)
	queues := queueDir()
	dir := b.TempDir()
	options := []string{"--amavis", db.dir, "--postfix", queues, "--socket"}
	for _, agent := range []struct {
		name  string
		start func(*snmpdtest.Master) int
	}{
		{"amavisd-snmp-subagent", func(m *snmpdtest.Master) int { return subAgent(b, m, db.dir) }},
		{"varde-agentx", func(m *snmpdtest.Master) int {
			return start(b, exec.Command(build(b, dir, "varde-agentx", "CGO_ENABLED=0"), append(options, m.Socket)...), m)
		}},
		{"varde", func(m *snmpdtest.Master) int {
			return start(b, exec.Command(build(b, dir, "varde", "CGO_ENABLED=1"), append([]string{"agentx"}, append(options, m.Socket)...)...), m)
		}},
	} {
		b.Run(agent.name, func(b *testing.B) {
			m := snmpdtest.Start(b, false)
			pid := agent.start(m)
			for _, tool := range [][]string{{"snmpwalk"}, {"snmpbulkwalk", "-Cr50"}} {
				b.Run(tool[0], func(b *testing.B) {
					args := append(append([]string{"-v2c", "-c", "public", "-m", "", "-On"}, tool[1:]...), "127.0.0.1:"+m.Port, amavisOID)
					objects := 0
					before := cpu(b, pid)
					for b.Loop() {
						out, err := exec.Command(tool[0], args...).Output()
						if err != nil {
							b.Fatal(err)
						}
						objects = bytes.Count(out, []byte(" = "))
					}
					b.ReportMetric(float64(cpu(b, pid)-before)/1e6/float64(b.N), "agent-ms/walk")
					rss, own := memory(b, pid)
					b.ReportMetric(rss, "rss-MB")
					b.ReportMetric(own, "own-MB")
					b.ReportMetric(float64(objects), "objects")
				})
			}
		})
	}
}

// build builds one of our programs as the Makefile does.
func build(b *testing.B, dir, name, cgo string) string {
	b.Helper()
	path := filepath.Join(dir, name)
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, "varde/cmd/"+name)
	if name == "varde-agentx" {
		cmd.Args = append(cmd.Args[:3], append([]string{"-ldflags=-s -w"}, cmd.Args[3:]...)...)
	}
	cmd.Env = append(os.Environ(), cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	return path
}

// cpu is the CPU time of all threads of a process in nanoseconds, as /proc/PID/task/*/schedstat has it.
func cpu(b *testing.B, pid int) uint64 {
	b.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(tasks) == 0 {
		b.Fatalf("no threads of %d: %v", pid, err)
	}
	var sum uint64
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			continue // the thread has ended
		}
		n, err := strconv.ParseUint(strings.Fields(string(text))[0], 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		sum += n
	}
	return sum
}

// memory is what a process has resident, and what of that is not mapped from files, in MB.
func memory(b *testing.B, pid int) (rss, own float64) {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 3 || f[0] != "VmRSS:" && f[0] != "RssAnon:" {
			continue
		}
		kb, err := strconv.ParseFloat(f[1], 64)
		if err != nil {
			b.Fatal(err)
		}
		if f[0] == "VmRSS:" {
			rss = kb / 1024
		} else {
			own = kb / 1024
		}
	}
	return rss, own
}
