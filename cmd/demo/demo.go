// Package demo is varde on loopback with sample traffic of its own: a small network with four exporters, some of whose
// hosts talk to addresses that the sample lists name. All addresses are from documentation ranges.
package demo

import (
	"context"
	"embed"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"varde/event"
	"varde/input/flow/flowgen"
)

//go:embed lists
var lists embed.FS

// source is an exporter of the sample network; each sends from a loopback address of its own.
type source struct {
	name, address string
	cfg           flowgen.Config
}

func sources() [numExporters]source {
	return [numExporters]source{
		edge:   {"edge-router", "127.0.55.1", flowgen.Config{Protocol: flowgen.NetFlow9, Domain: 1}},
		branch: {"branch-router", "127.0.55.2", flowgen.Config{Protocol: flowgen.NetFlow5}},
		fw:     {"firewall", "127.0.55.3", flowgen.Config{Protocol: flowgen.IPFIX, Domain: 7}},
		access: {"access-switch", "127.0.55.4", flowgen.Config{Protocol: flowgen.SFlow, Sampling: 512, Agent: netip.MustParseAddr("192.0.2.4")}},
	}
}

// Config writes the sample lists into dir and gives the YAML of a configuration that receives on the UDP address and
// serves metrics and the page on the others.
func Config(dir, receive, metrics, page string, now time.Time) ([]byte, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "data_dir: %s\nnetwork:\n  own: [192.0.2.0/24, \"2001:db8:1::/48\"]\n  names:\n", filepath.Join(dir, "data"))
	for addr, name := range map[netip.Addr]string{
		officePC: "office-pc-7", bastion: "bastion", mail: "mail", printer: "printer", camera: "camera-2", web: "web", laptop6: "laptop",
	} {
		fmt.Fprintf(&b, "    %q: %s\n", addr, name)
	}
	fmt.Fprintf(&b, "netflow:\n  listen: %q\n  exporters:\n", receive)
	for _, s := range sources() {
		fmt.Fprintf(&b, "    - {address: %s, name: %s}\n", s.address, s.name)
	}
	b.WriteString("# The sample uses documentation addresses only, which lists normally must not warn of.\nallow: {never_alert: false}\nlists:\n")
	for _, l := range []struct{ name, file, more string }{
		{"ThreatFox", "threatfox.csv", ""},
		{"OTX", "otx.json", ", confidence: 70"},
		{"DROP", "drop_v4.json", ", confidence: 75"},
		{"DROPv6", "drop_v6.json", ", confidence: 75"},
		{"scanners", "block.txt", ", confidence: 30"},
		{"Tor exits", "tor-exits.txt", ", info: true"},
	} {
		if err := writeList(dir, l.file, now); err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "  - {name: %s, file: %s%s}\n", l.name, filepath.Join(dir, l.file), l.more)
	}
	fmt.Fprintf(&b, "incidents: {quiet: 60s}\nhttp: {listen: %q}\nweb: {listen: %q}\nstore: {free: 0}\nmail_log: {paths: [%q]}\n", metrics, page, filepath.Join(dir, mailLog))
	return []byte(b.String()), nil
}

// writeList fills the times into a sample list, so that it is always fresh.
func writeList(dir, name string, now time.Time) error {
	text, err := lists.ReadFile("lists/" + name)
	if err != nil {
		return err
	}
	t, err := template.New(name).Funcs(template.FuncMap{
		"ago": func(d, layout string) (string, error) {
			v, err := time.ParseDuration(d)
			return now.UTC().Add(-v).Format(layout), err
		},
		"unix": func(d string) (int64, error) { v, err := time.ParseDuration(d); return now.Add(-v).Unix(), err },
	}).Parse(string(text))
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := t.Execute(f, nil); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// step is how often the exporters send.
const step = 100 * time.Millisecond

// Send exports the sample traffic to the address until ctx ends.
func Send(ctx context.Context, to string) error {
	var exporters [numExporters]*flowgen.Exporter
	var conns [numExporters]net.Conn
	boot := time.Now().Add(-240 * time.Hour).UnixNano()
	for i, s := range sources() {
		s.cfg.Boot, s.cfg.TemplateEvery = boot, 10
		exporters[i] = flowgen.New(s.cfg)
		d := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(s.address)}}
		conn, err := d.DialContext(ctx, "udp", to)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("demo exporter %s: %w", s.name, err)
		}
		defer conn.Close()
		conns[i] = conn
	}
	sc := newScene(55, time.Now().UnixNano(), func(x int, e *event.Event) { exporters[x].Add(e) })
	tick := time.NewTicker(step)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			sc.advance(now.UnixNano(), step)
			for i, x := range exporters {
				// A receiver that is not there yet, or not any more, is no reason to stop.
				x.Flush(now.UnixNano(), func(b []byte) { conns[i].Write(b) })
			}
		}
	}
}
