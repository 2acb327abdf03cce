package mailgw

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Process is one row of nanny.db: what a child of amavis does.
type Process struct {
	PID   int
	State byte   // the letter of amavis, ' ' idle
	Task  string // of the message that it works on
	Since time.Time
	Gone  bool // no process has that number any more
}

// Idle tells that it waits for work.
func (p *Process) Idle() bool { return p.Task == "" && (p.State == '.' || p.State == ' ') }

// Activity is what a busy process does, in the words of amavis's SNMP names.
func (p *Process) Activity() string {
	switch p.State {
	case 'm', 'd', 'F': // MAIL FROM, data transfer, forwarding
		return "Transfer"
	case 'D':
		return "Decode"
	case 'V':
		return "Virus"
	case 'S':
		return "Spam"
	}
	return "Other"
}

// Activities are the values that Activity gives.
var Activities = [...]string{"Transfer", "Decode", "Virus", "Spam", "Other"}

// busySlots are the ages of ProcBusy1 to ProcBusy21; ProcBusy0 counts every busy process.
var busySlots = [...]time.Duration{
	0,
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 15 * time.Hour, 30 * time.Hour,
}

// Processes is the state of amavis's children.
type Processes struct {
	Known    bool // nanny.db or its equivalent was read
	All      int
	Idle     int
	Busy     int
	Activity [len(Activities)]int // of the busy ones
	BusyFor  [len(busySlots)]int  // busy for at least that long
	Oldest   time.Duration        // of the busy ones
	Gone     uint64               // ended without a word, since varde started
	Hidden   bool                 // none of the processes can be seen from here: another pid namespace
	Rows     []Process            // by number; empty where only counts are told
}

// maxProcesses bounds the rows; amavis has some tens of children.
const maxProcesses = 4096

// parseProcess reads a row of nanny.db: the process number, and "epoch.milliseconds" followed by a state letter and
// the task, both padded with blanks.
func parseProcess(key, value string) (Process, bool) {
	pid, err := strconv.ParseInt(strings.TrimSpace(key), 10, 32)
	stamp, rest, _ := strings.Cut(value, " ")
	since, err2 := parseEpoch(stamp)
	if err != nil || err2 != nil || pid < 1 {
		return Process{}, false
	}
	p := Process{PID: int(pid), State: ' ', Since: since}
	if rest != "" {
		p.State, p.Task = rest[0], strings.TrimSpace(rest[1:])
	}
	return p, true
}

var errEpoch = errors.New("no number of seconds")

// parseEpoch reads seconds since 1970 with up to nine digits behind the point, exactly.
func parseEpoch(s string) (time.Time, error) {
	sec, frac, _ := strings.Cut(s, ".")
	n, err := strconv.ParseUint(sec, 10, 40)
	if err != nil || len(frac) > 9 {
		return time.Time{}, errEpoch
	}
	var ns uint64
	if frac != "" {
		if ns, err = strconv.ParseUint(frac+"000000000"[len(frac):], 10, 32); err != nil {
			return time.Time{}, errEpoch
		}
	}
	return time.Unix(int64(n), int64(ns)).UTC(), nil
}

// undertaker knows which processes are gone. amavis's sub-agent deletes their rows; varde only reads, and therefore
// remembers which it has counted.
type undertaker struct {
	alive   func(pid int) error // like kill(pid, 0)
	saw     bool                // a process of amavis was seen alive: this is its pid namespace
	counted map[int]time.Time   // gone processes with the time in their row
	gone    uint64
}

func kill0(pid int) error { return syscall.Kill(pid, 0) }

// count makes the figures of the rows, and says how many were not understood.
func (u *undertaker) count(rows []row, now time.Time) (Processes, int) {
	ps := Processes{Known: true}
	bad, dead := max(0, len(rows)-maxProcesses), 0
	for _, r := range rows[:min(len(rows), maxProcesses)] {
		p, ok := parseProcess(r.key, r.value)
		if !ok {
			bad++
			continue
		}
		// EPERM is a process of another user, so it lives.
		if p.Gone = errors.Is(u.alive(p.PID), syscall.ESRCH); p.Gone {
			dead++
		}
		ps.Rows = append(ps.Rows, p)
	}
	slices.SortFunc(ps.Rows, func(a, b Process) int { return cmp.Compare(a.PID, b.PID) })
	u.saw = u.saw || dead < len(ps.Rows)
	ps.Hidden = dead > 0 && !u.saw
	gone := map[int]time.Time{}
	for i := range ps.Rows {
		p := &ps.Rows[i]
		if p.Gone = p.Gone && !ps.Hidden; !p.Gone {
			ps.add(p, now)
			continue
		}
		if since, ok := u.counted[p.PID]; !ok || !since.Equal(p.Since) {
			u.gone++
		}
		gone[p.PID] = p.Since
	}
	u.counted, ps.Gone = gone, u.gone
	return ps, bad
}

func (ps *Processes) add(p *Process, now time.Time) {
	ps.All++
	if p.Idle() {
		ps.Idle++
		return
	}
	ps.Busy++
	ps.Activity[slices.Index(Activities[:], p.Activity())]++
	age := max(0, now.Sub(p.Since))
	ps.Oldest = max(ps.Oldest, age)
	for i, slot := range busySlots {
		if age >= slot {
			ps.BusyFor[i]++
		}
	}
}

// slot is where the figure of that name is, nil for no such name.
func (ps *Processes) slot(name string) *int {
	switch name {
	case "ProcAll":
		return &ps.All
	case "ProcIdle":
		return &ps.Idle
	case "ProcBusy":
		return &ps.Busy
	}
	rest, ok := strings.CutPrefix(name, "ProcBusy")
	if !ok {
		return nil
	}
	if i := slices.Index(Activities[:], rest); i >= 0 {
		return &ps.Activity[i]
	}
	if i, err := strconv.ParseUint(rest, 10, 8); err == nil && int(i) < len(ps.BusyFor) {
		return &ps.BusyFor[i]
	}
	return nil
}

func (ps *Processes) exported(name string) (AmavisValue, bool) {
	if name == "ProcGone" {
		return AmavisValue{Name: name, Type: "C32", Count: ps.Gone}, ps.Known
	}
	n := ps.slot(name)
	if n == nil || !ps.Known {
		return AmavisValue{}, false
	}
	return AmavisValue{Name: name, Type: "G32", Count: uint64(*n)}, true
}
