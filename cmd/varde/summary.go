package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"varde/cmd/config"
	"varde/core/intel"
	"varde/event/human"
	"varde/output/warn"
)

// summary says in one screen what a configuration will do; lists are as they are read now.
func summary(out io.Writer, cfg *config.Config, lists []intel.ListStatus) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	say := func(what string, lines ...string) {
		for i, line := range lines {
			if i > 0 {
				what = ""
			}
			fmt.Fprintf(w, "  %s\t%s\n", what, human.Safe(line))
		}
	}
	say("receives", receives(cfg)...)
	own := strings.Join(cfg.Network.Own, ", ")
	if own == "" {
		own = "not told: the unlisted end of a flow is taken as ours; set network.own"
	}
	say("own side", own)
	say("matches", matches(cfg, lists)...)
	say("warns", ways(cfg.Warn)...)
	say("keeps", keeps(cfg))
	say("serves", serves(cfg)...)
	if off := off(cfg); len(off) > 0 {
		say("off", strings.Join(off, ", "))
	}
	return w.Flush()
}

func receives(cfg *config.Config) []string {
	var out []string
	if len(cfg.Netflow.Listen) > 0 {
		out = append(out, "NetFlow, IPFIX and sFlow on udp "+strings.Join(cfg.Netflow.Listen, ", "))
	}
	for _, s := range []struct {
		name string
		at   []string
	}{{"udp", cfg.Syslog.UDP}, {"tcp", cfg.Syslog.TCP}, {"tls", cfg.Syslog.TLS}} {
		if len(s.at) > 0 {
			out = append(out, "firewall logs by syslog on "+s.name+" "+strings.Join(s.at, ", "))
		}
	}
	for i := range cfg.Logs {
		l := &cfg.Logs[i]
		from := slices.Clone([]string(l.Paths))
		if l.Journal != nil {
			from = append(from, "the journal")
		}
		out = append(out, "firewall logs from "+strings.Join(from, ", "))
	}
	if mailSet(cfg) {
		out = append(out, "counters and queues of the mail gateway every "+cfg.Mail.Every.String())
	}
	if len(cfg.MailLog.Paths) > 0 || cfg.MailLog.Journal != nil {
		out = append(out, "mail log from "+strings.Join(cfg.MailLog.Paths, ", "))
	}
	if len(out) == 0 {
		out = append(out, "nothing: set netflow.listen, syslog or logs")
	}
	return out
}

func matches(cfg *config.Config, lists []intel.ListStatus) []string {
	var out []string
	for _, l := range lists {
		line := l.Name + ": "
		switch {
		case l.Error != "":
			line += "cannot be read: " + l.Error
		case l.Loaded.IsZero():
			line += "not fetched yet, from " + l.Source
		default:
			line += plural(l.Entries, "entry") + ", " + human.Span(time.Since(l.Loaded)) + " old, from " + l.Source
		}
		if l.Rejected > 0 {
			line += fmt.Sprintf(" (%d lines rejected; see varde feeds)", l.Rejected)
		}
		out = append(out, line)
	}
	if len(out) == 0 {
		out = append(out, "no list: only scans and ports on the rise are found; set lists")
	}
	for _, z := range cfg.DNSBL.Zones {
		out = append(out, "suspicious addresses with "+z.Zone+" in DNS")
	}
	return out
}

func ways(all []warn.Config) []string {
	var out []string
	for i := range all {
		c := &all[i]
		var to string
		switch {
		case c.Console != nil:
			to = "on the console"
		case c.File != nil:
			to = "in " + c.File.Path
		case c.Syslog != nil:
			to = "by syslog to " + c.Syslog.Address
		case c.Webhook != nil:
			to = "by HTTP to " + c.Webhook.URL
		case c.Mail != nil:
			to = "by mail to " + strings.Join(c.Mail.To, ", ")
		case c.Exec != nil && len(c.Exec.Command) > 0:
			to = "by running " + c.Exec.Command[0]
		}
		if c.Min != "" && c.Min != "info" {
			to += ", from " + c.Min + " on"
		}
		out = append(out, to)
	}
	return out
}

func keeps(cfg *config.Config) string {
	if cfg.Store.Off {
		return "no events; state in " + cfg.DataDir
	}
	var kinds []string
	for kind := range cfg.Store.Keep {
		if kind != "default" {
			kinds = append(kinds, kind+" events "+cfg.Store.Keep[kind].String())
		}
	}
	slices.Sort(kinds)
	rest := "everything else for good"
	if d, ok := cfg.Store.Keep["default"]; ok {
		rest = "everything else " + d.String()
	}
	return strings.Join(append(kinds, rest), ", ") + ", in " + cfg.DataDir + "; " + human.Bytes(uint64(cfg.Store.Free)) + " of the disk stay free"
}

func serves(cfg *config.Config) []string {
	var out []string
	if cfg.Web.Listen != "" {
		line := "the page on " + pageURL(cfg)
		if n := len(cfg.Web.Users); n == 1 {
			line += " for one user"
		} else if n > 1 {
			line += fmt.Sprintf(" for %d users", n)
		}
		out = append(out, line)
	}
	if cfg.HTTP.Listen != "" {
		out = append(out, "metrics and health on http://"+cfg.HTTP.Listen+"/metrics")
	}
	if cfg.Agentx.Master != "" {
		out = append(out, "SNMP through the agent at "+cfg.Agentx.Master)
	}
	return out
}

// mailSet tells whether anything of the mail gateway is read.
func mailSet(cfg *config.Config) bool {
	m := &cfg.Mail
	return m.Amavis.Dir != "" || m.Postfix.QueueDir != "" || m.Rspamd.URL != "" || m.ClamAV.Dir != "" || m.ClamAV.Clamd != "" || len(m.Probes) > 0
}

// pageURL is where a browser finds the page.
func pageURL(cfg *config.Config) string {
	switch {
	case cfg.Web.URL != "":
		return cfg.Web.URL
	case cfg.Web.TLS.Cert != "":
		return "https://" + cfg.Web.Listen + "/"
	}
	return "http://" + cfg.Web.Listen + "/"
}

func off(cfg *config.Config) []string {
	var out []string
	for _, part := range []struct {
		name string
		off  bool
	}{
		{"flows", len(cfg.Netflow.Listen) == 0},
		{"firewall logs", len(cfg.Logs)+len(cfg.Syslog.UDP)+len(cfg.Syslog.TCP)+len(cfg.Syslog.TLS) == 0},
		{"mail gateway", !mailSet(cfg)},
		{"DNSBL", len(cfg.DNSBL.Zones) == 0},
		{"store", cfg.Store.Off},
		{"page", cfg.Web.Listen == ""},
		{"metrics", cfg.HTTP.Listen == ""},
		{"SNMP", cfg.Agentx.Master == ""},
	} {
		if part.off {
			out = append(out, part.name)
		}
	}
	return out
}
