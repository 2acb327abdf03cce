package snmp

import (
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"varde/input/mailgw/amavistest"
	"varde/output/agentx/snmpdtest"
)

// values is a walk: types and values by identifier.
type values map[string]string

func walk(t testing.TB, m *snmpdtest.Master, tool string, args ...string) values {
	t.Helper()
	out := values{}
	for line := range strings.Lines(m.Must(tool, args...)) {
		name, v, ok := strings.Cut(strings.TrimSpace(line), " = ")
		if !ok {
			t.Fatalf("%s says %q", tool, line)
		}
		out[name] = v
	}
	return out
}

// counters are the numbers among them that only grow.
func (v values) counters(t testing.TB) map[string]uint64 {
	t.Helper()
	out := map[string]uint64{}
	for name, v := range v {
		typ, n, _ := strings.Cut(v, ": ")
		if !strings.HasPrefix(typ, "Counter") {
			continue
		}
		c, err := strconv.ParseUint(n, 10, 64)
		if err != nil {
			t.Fatalf("%s = %s: %v", name, v, err)
		}
		out[name] = c
	}
	return out
}

// behind names what is smaller in later than in sooner, or not there.
func behind(sooner, later map[string]uint64) string {
	for name, n := range sooner {
		if now, ok := later[name]; !ok || now < n {
			return fmt.Sprintf("%s is %d after %d", name, now, n)
		}
	}
	return ""
}

// uptime is amavis's own, which differs from one walk to the next.
const uptime = amavisOID + ".1.1.3.0"

// types are the values without what changes from walk to walk.
func (v values) types() map[string]string {
	out := map[string]string{}
	for name, v := range v {
		out[name], _, _ = strings.Cut(v, ": ")
	}
	return out
}

// slowly tries again and again, with pauses after which amavis's own sub-agent renews what it answers: asked more often
// it waits 4 s longer. Without a word for what it waits for, the caller says what is wrong in the end.
func slowly(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for limit := time.Now().Add(40 * time.Second); !ok(); time.Sleep(1600 * time.Millisecond) {
		if time.Now().After(limit) {
			if what != "" {
				t.Fatal("waited for", what)
			}
			return
		}
	}
}

// scanning makes amavisd scan for spam, by the rules that come with SpamAssassin.
const scanning = `@bypass_spam_checks_maps=(); $sa_local_tests_only=1; $helpers_home=$MYHOME; $sa_kill_level_deflt=6.3;
$final_spam_destiny=D_DISCARD; $spam_quarantine_method='local:spam-%m';
$final_bad_header_destiny=D_PASS; $bad_header_quarantine_method='local:badh-%m';`

const (
	gtube     = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
	badHeader = "From: a@elsewhere.test\r\nTo: b@example.test\r\nSubject: raw \xe6\xf8\xe5\r\nMessage-ID: <2@elsewhere.test>\r\n\r\nhello\r\n"
)

// TestSameAsSubAgent pushes mail through a real amavisd, with amavis's own sub-agent behind one snmpd and ours behind
// another. While mail flows, all counters of ours lie between those of two walks of the other; when it has ended,
// every object is the same.
func TestSameAsSubAgent(t *testing.T) {
	if exec.Command("perl", "-MMail::SpamAssassin", "-e1").Run() != nil {
		t.Skip("SpamAssassin is not installed: apt-get install spamassassin")
	}
	amavisd := amavistest.Start(t, scanning)
	theirs, our := snmpdtest.Start(t, false), snmpdtest.Start(t, true)
	subAgent(t, theirs, amavisd.Home+"/db")
	ours(t, our, amavisd.Home+"/db", queueDir())

	letters := []string{amavistest.Letter, strings.Replace(amavistest.Letter, "hello", gtube, 1), badHeader}
	var sent atomic.Int64
	var senders sync.WaitGroup
	stop := make(chan struct{})
	for s := range 2 {
		senders.Go(func() {
			for i := s; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := amavisd.Send(letters[i%len(letters)]); err != nil {
					t.Error(err)
					return
				}
				sent.Add(1)
			}
		})
	}
	ended := sync.OnceFunc(func() { close(stop); senders.Wait() })
	t.Cleanup(ended)
	snmpdtest.WaitFor(t, "mail", 30*time.Second, func() bool { return sent.Load() >= 6 })
	before := walk(t, theirs, "snmpbulkwalk", amavisOID)
	var between, after values
	snmpdtest.WaitFor(t, "what they had", 5*time.Second, func() bool { // what we answer is up to 100 ms old
		between = walk(t, our, "snmpbulkwalk", amavisOID)
		return behind(before.counters(t), between.counters(t)) == ""
	})
	slowly(t, "them to renew theirs", func() bool {
		after = walk(t, theirs, "snmpbulkwalk", amavisOID)
		return behind(between.counters(t), after.counters(t)) == ""
	})
	if d := cmp.Diff(after.types(), between.types()); d != "" {
		t.Errorf("objects or types differ (-theirs +ours):\n%s", d)
	}
	ended()

	var want, got values
	slowly(t, "", func() bool {
		got, want = walk(t, our, "snmpwalk", amavisOID), walk(t, theirs, "snmpwalk", amavisOID)
		delete(got, uptime)
		delete(want, uptime)
		return maps.Equal(got, want)
	})
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("when mail has ended (-theirs +ours):\n%s", d)
	}
	for name, oid := range map[string]string{"clean": ".1.10.1.1.0", "spam": ".1.10.6.1.0", "bad header": ".1.10.4.1.0"} {
		if got[amavisOID+oid] == "Counter32: 0" || got[amavisOID+oid] == "" {
			t.Errorf("%s is %q, although such mail was sent", name, got[amavisOID+oid])
		}
	}
	if n := fmt.Sprintf("Counter32: %d", sent.Load()); got[amavisOID+".1.2.1.0"] != n {
		t.Errorf("InMsgs is %s, want %s", got[amavisOID+".1.2.1.0"], n)
	}
	t.Logf("%d mails, %d objects", sent.Load(), len(got)+1)
}

// TestOddValues has values in the databases that amavis may come to write. Ours are those of amavis's own sub-agent
// but for what that loses: digits above 2^53.
func TestOddValues(t *testing.T) {
	db := newDatabase(t,
		"snmp.db sysUpTime INT 1795424000", "snmp.db sysObjectID OID 1.3.6.1.4.1.15312.2", "snmp.db sysDescr STR amavis",
		"snmp.db InMsgs C32 0000000007", "snmp.db InMsgsInbound C32 5000000000", "snmp.db InMsgsSize C64 00000009007199254740992",
		"snmp.db InMsgsSizeInbound C64 00000009007199254740993", "snmp.db UserGauge1 G32 -5", "snmp.db UserGauge2 G32 12.7",
		"snmp.db UserGauge3 G32 4294967297", "snmp.db UserGauge4 U32 17", "snmp.db UserCounter1 U64 18000000000000",
		"snmp.db TimeElapsedTotal C32 0000000156", "snmp.db TimeElapsedSending C32 0000000009", "snmp.db InMsgsRecips C32 nonsense",
		"snmp.db QuarMsgsSpam C32 0000000003", "snmp.db InMsgsStatusBounced C32 0000000004", "snmp.db virus.byname.Eicar C32 0000000001",
		"snmp.db entropy STR x", "snmp.db ContentBadHdr.x C32 0000000001", "snmp.db sysServices INT 0000000064",
		"nanny.db 00001 01795424627.895 ",
		fmt.Sprintf("nanny.db 00002 %014.3f %-14s", float64(time.Now().UnixMilli())/1000-70, "d12933-03"),
	)
	theirs, our := snmpdtest.Start(t, false), snmpdtest.Start(t, false)
	subAgent(t, theirs, db.dir)
	ours(t, our, db.dir, "")
	want, got := walk(t, theirs, "snmpwalk", amavisOID), walk(t, our, "snmpwalk", amavisOID)
	for _, v := range []values{want, got} {
		delete(v, uptime)
		maps.DeleteFunc(v, func(name, _ string) bool { return strings.HasPrefix(name, amavisOID+".3.") }) // no queues here
	}
	if exact := amavisOID + ".1.3.2.0"; got[exact] != "Counter64: 9007199254740993" {
		t.Errorf("above 2^53: %s", got[exact])
	} else {
		want[exact] = got[exact]
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-theirs +ours:\n%s", d)
	}
}

// TestNeverBackwards walks while a writer adds to the counters as fast as it can.
func TestNeverBackwards(t *testing.T) {
	names := []string{"InMsgs", "InMsgsSize", "ContentCleanMsgs", "LogEntries", "OpsSpamCheck", "UserCounter1", "UserCounter10", "OutMsgs", "QuarMsgs"}
	var rows []string
	for _, n := range names {
		rows = append(rows, "snmp.db "+n+" C64 00000000000000000000")
	}
	for i := range 60 { // some more pages
		rows = append(rows, fmt.Sprintf("snmp.db virus.byname.Some.Name.%d C32 0000000001", i))
	}
	db := newDatabase(t, rows...)
	m := snmpdtest.Start(t, false)
	ours(t, m, db.dir, "")
	writing := make(chan struct{})
	go func() {
		defer close(writing)
		for range 40 {
			db.count(500, strings.Join(names, " "))
		}
	}()
	before := map[string]uint64{}
	walks, moments := 0, map[uint64]bool{}
	for done := false; !done; walks++ {
		select {
		case <-writing:
			done = true
		default:
		}
		now := walk(t, m, []string{"snmpwalk", "snmpbulkwalk"}[walks%2], amavisOID+".1").counters(t)
		if back := behind(before, now); back != "" {
			t.Fatal(back)
		}
		before = now
		moments[now[amavisOID+".1.2.1.0"]] = true
	}
	snmpdtest.WaitFor(t, "the last count", 5*time.Second, func() bool {
		return walk(t, m, "snmpget", amavisOID+".1.2.1.0")[amavisOID+".1.2.1.0"] == "Counter32: 20000"
	})
	t.Logf("%d walks saw %d moments", walks, len(moments))
	if len(moments) < 3 {
		t.Errorf("%d walks saw %d moments: the test shows nothing", walks, len(moments))
	}
}

// TestQueues wants the queues that amavis leaves out, and the age of what amavis said.
func TestQueues(t *testing.T) {
	queues := t.TempDir()
	for _, name := range []string{"maildrop", "incoming", "active", "deferred/A", "hold", "corrupt"} {
		mustMake(t, queues, name)
	}
	for queue, ages := range map[string][]time.Duration{"hold": {26 * time.Hour, time.Hour}, "corrupt": {3 * time.Hour}, "deferred/A": {2 * time.Hour}} {
		for _, age := range ages {
			mustMail(t, queues, queue, time.Now().Add(-age))
		}
	}
	db := newDatabase(t, "snmp.db InMsgs C32 0000000007")
	m := snmpdtest.Start(t, false)
	ours(t, m, db.dir, queues)
	got := walk(t, m, "snmpwalk", ownOID+".1.14")
	for column, want := range map[string][]string{
		".1.14.1.3": {"0", "0", "0", "1", "2", "1"}, // messages of maildrop, incoming, active, deferred, hold, corrupt
	} {
		for i, w := range want {
			if v := got[fmt.Sprintf("%s%s.%d", ownOID, column, i+1)]; v != "Gauge32: "+w {
				t.Errorf("%s.%d is %q, want %s", column, i+1, v, w)
			}
		}
	}
	for i, least := range map[int]int{4: 7200, 5: 26 * 3600, 6: 3 * 3600} {
		v, _ := strings.CutPrefix(got[fmt.Sprintf("%s.1.14.1.5.%d", ownOID, i)], "Gauge32: ")
		if age, err := strconv.Atoi(v); err != nil || age < least || age > least+60 {
			t.Errorf("oldest of queue %d is %q, want %d and a few seconds", i, v, least)
		}
	}
	if v := walk(t, m, "snmpget", amavisOID+".3.1.4.0"); v[amavisOID+".3.1.4.0"] != "Gauge32: 1" {
		t.Errorf("amavis's object for deferred: %v", v)
	}
	mail := walk(t, m, "snmpwalk", ownOID+".1.6")
	for object, want := range map[string]string{".1.0": "INTEGER: 1", ".2.0": "Gauge32: 0", ".3.0": "INTEGER: 2", ".5.0": "INTEGER: 1"} {
		if v := mail[ownOID+".1.6"+object]; v != want {
			t.Errorf("%s.1.6%s is %q, want %s; all: %v", ownOID, object, v, want, slices.Sorted(maps.Keys(mail)))
		}
	}
}
