package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Columns of proc(5): /proc/net/udp, and /proc/PID/stat counted after the name of the command.
const (
	udpLocal, udpQueues, udpDrops, udpColumns = 1, 4, 12, 13
	statUser, statChildSystem, statColumns    = 11, 14, 15
	ticks                                     = 100 // USER_HZ, which Linux has fixed for programs
)

// sockets is the state of all UDP sockets bound to a port.
type sockets struct {
	open   int
	queued uint64 // bytes
	drops  uint64 // datagrams
}

// udpSockets reads the sockets of a port of this machine.
func udpSockets(port uint16) (s sockets, err error) {
	for _, table := range []string{"/proc/net/udp", "/proc/net/udp6"} {
		b, err := os.ReadFile(table)
		if os.IsNotExist(err) {
			continue // without IPv6
		}
		if err != nil {
			return s, err
		}
		if err := s.add(string(b), port); err != nil {
			return s, fmt.Errorf("%s: %w", table, err)
		}
	}
	return s, nil
}

func (s *sockets) add(table string, port uint16) error {
	suffix := fmt.Sprintf(":%04X", port)
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < udpColumns || !strings.HasSuffix(f[udpLocal], suffix) {
			continue
		}
		_, receive, _ := strings.Cut(f[udpQueues], ":")
		queued, err := strconv.ParseUint(receive, 16, 64)
		if err != nil {
			return err
		}
		drops, err := strconv.ParseUint(f[udpDrops], 10, 64)
		if err != nil {
			return err
		}
		s.open++
		s.queued += queued
		s.drops += drops
	}
	return nil
}

// cpuSeconds is the processor time that a process and its children that have ended have used.
func cpuSeconds(pid int) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseStat(string(b))
}

func parseStat(stat string) (float64, error) {
	f := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(f) < statColumns {
		return 0, fmt.Errorf("stat of a process has %d columns, expected more than %d", len(f), statColumns)
	}
	total := uint64(0)
	for _, column := range f[statUser : statChildSystem+1] {
		n, err := strconv.ParseUint(column, 10, 64)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return float64(total) / ticks, nil
}
