package fwlog

import "varde/input/syslog"

// verdict is what a format says to a line.
type verdict uint8

const (
	foreign verdict = iota // not of this format
	parsed                 // it is, and the event is filled
	ignored                // it is, and is about no packet
	broken                 // it is, and cannot be read
)

// format is one way in which firewalls write.
type format struct {
	name string
	read func(*Reader, *syslog.Line) verdict
}

// formats are all there are; the file of each has its name. The order is that in which they are tried, and matters for
// speed alone, since each knows its own lines by marks that the others do not have.
var formats = [...]format{
	{"netfilter", (*Reader).netfilter},
	{"mikrotik", (*Reader).mikrotik},
	{"filterlog", (*Reader).filterlog},
	{"asa", (*Reader).asa},
	{"ios", (*Reader).ios},
	{"junos", (*Reader).junos},
	{"fortigate", (*Reader).fortigate},
	{"pfirewall", (*Reader).pfirewall},
	{"vpc", (*Reader).vpc},
	{"ulogd", (*Reader).ulogd},
	{"ipfw", (*Reader).ipfw},
	{"unifi", (*Reader).unifi},
}

// Formats are the names that the configuration may use beside Auto.
func Formats() []string {
	names := make([]string, len(formats))
	for i := range formats {
		names[i] = formats[i].name
	}
	return names
}

func formatIndex(name string) (int, bool) {
	for i := range formats {
		if formats[i].name == name {
			return i, true
		}
	}
	return 0, false
}
