package agentx

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRecordedWalk gives the agent what amavisd-snmp-subagent once had, and wants the walk that it once gave.
func TestRecordedWalk(t *testing.T) {
	m := startMaster(t, false)
	amavis, queues := fromWalk(t)
	runAgent(t, m.socket, Deps{Amavis: amavis, Sources: []Source{queues}}).serving(t)
	out := m.must("snmpwalk", "1.3.6.1.4.1.15312.2.1")
	got := strings.Split(strings.TrimSpace(out), "\n")
	if d := cmp.Diff(recorded(t), got); d != "" {
		t.Errorf("the walk differs (-recorded +ours):\n%s", d)
	}
}
