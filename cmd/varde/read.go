package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"varde/event"
	"varde/event/human"
	"varde/input/capture"
	"varde/input/flow"
	"varde/input/fwlog"
)

// maxLine bounds one line of events as JSON.
const maxLine = 1 << 20

func readCommand() *cobra.Command {
	output := "json"
	var l logs
	cmd := &cobra.Command{
		Use: "read FILE...", Short: "print the events of captures, IPFIX files, firewall logs and event files", Args: cobra.MinimumNArgs(1),
		Long: `read finds out by content what a file is: a pcap or pcapng capture that holds NetFlow, IPFIX
or sFlow on whatever port, a file of IPFIX messages (RFC 5655), JSON lines of events, or the log of a
firewall, compressed or not. A folder is one of logs, read oldest first. - is standard input.
What could not be read is said on standard error.`,
		Example: "  varde read capture.pcap\n  varde read -o csv flows.ipfix > flows.csv\n  varde read -o table /var/log/ufw.log\n  tcpdump -i any -w - udp port 2055 | varde read -",
		RunE: func(cmd *cobra.Command, args []string) error {
			out := bufio.NewWriterSize(cmd.OutOrStdout(), 1<<16)
			emit, err := printer(output, out)
			if err != nil {
				return err
			}
			err = readFiles(cmd, args, &l, emit)
			return errors.Join(err, out.Flush())
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", output, "json, csv or table")
	cmd.Flags().StringVar(&l.format, "format", "", "format of firewall logs, where it is not to be found by content: "+strings.Join(fwlog.Formats(), ", "))
	l.flags(cmd)
	return cmd
}

// printer writes events in the form of that name.
func printer(form string, out *bufio.Writer) (event.Emit, error) {
	var b []byte
	switch form {
	case "json":
		return func(e *event.Event) {
			b = append(e.AppendJSON(b[:0]), '\n')
			out.Write(b)
		}, nil
	case "csv":
		w := csv.NewWriter(out)
		w.Write(csvHeader())
		return func(e *event.Event) { w.Write(csvRow(e)); w.Flush() }, nil
	case "table":
		fmt.Fprintf(out, "%-24s %-6s %-46s %-46s %-8s %10s %10s\n", "TIME (UTC)", "PROTO", "SOURCE", "DESTINATION", "FLAGS", "PACKETS", "BYTES")
		return func(e *event.Event) {
			src, dst := e.Src.String(), e.Dst.String()
			if e.HasICMP {
				dst += " " + event.ICMPName(e.Proto, e.ICMPType, e.ICMPCode)
			} else {
				src, dst = src+" "+strconv.Itoa(int(e.SrcPort)), dst+" "+strconv.Itoa(int(e.DstPort))
			}
			fmt.Fprintf(out, "%-24s %-6s %-46s %-46s %-8s %10s %10s\n", event.Stamp(e.Time).Format("2006-01-02 15:04:05.000"),
				event.ProtoName(e.Proto), src, dst, event.FlagLetters(e.TCPFlags), human.Count(e.Packets), human.Bytes(e.Bytes))
		}, nil
	}
	return nil, fmt.Errorf("output %q: use json, csv or table", form)
}

func csvHeader() []string {
	return []string{
		"time", "end", "kind", "source", "exporter", "proto", "src", "sport", "dst", "dport", "packets", "bytes", "sampling",
		"tcp_flags", "icmp_type", "icmp_code", "in_if", "out_if", "action",
	}
}

func csvRow(e *event.Event) []string {
	n := func(v uint64) string { return strconv.FormatUint(v, 10) }
	const layout = "2006-01-02T15:04:05.999999999Z07:00"
	typ, code := "", ""
	if e.HasICMP {
		typ, code = n(uint64(e.ICMPType)), n(uint64(e.ICMPCode))
	}
	row := []string{
		event.Stamp(e.Time).Format(layout), event.Stamp(e.Last()).Format(layout), e.Kind.String(), e.Source, e.Exporter, n(uint64(e.Proto)),
		e.Src.String(), n(uint64(e.SrcPort)), e.Dst.String(), n(uint64(e.DstPort)), n(e.Packets), n(e.Bytes), n(uint64(e.Sampling)),
		event.FlagLetters(e.TCPFlags), typ, code, n(uint64(e.InIndex)), n(uint64(e.OutIndex)), e.Action.String(),
	}
	for i, s := range row {
		// A cell that a spreadsheet would take for a formula is made text.
		if s = human.Safe(s); s != "" && bytes.IndexByte([]byte("=+-@"), s[0]) >= 0 {
			s = "'" + s
		}
		row[i] = s
	}
	return row
}

// readFiles emits the events of every file and says what could not be read.
func readFiles(cmd *cobra.Command, names []string, l *logs, emit event.Emit) error {
	messages := cmd.ErrOrStderr()
	log := slog.New(slog.NewTextHandler(messages, nil))
	collector, err := flow.New(flow.DefaultConfig(), log)
	if err != nil {
		return err
	}
	if err := l.open(emit, log); err != nil {
		return err
	}
	r := collector.Reader(emit)
	for _, name := range names {
		if err := readFile(cmd, name, r, l, emit); err != nil {
			return err
		}
	}
	for _, x := range collector.Exporters() {
		if x.LostBefore+x.Undecoded+uint64(x.Held) > 0 {
			fmt.Fprintf(messages, "%s: %s lost before the capture, %s data sets without a template\n",
				x.Name, human.Count(x.LostBefore), human.Count(x.Undecoded+uint64(x.Held)))
		}
	}
	return nil
}

func readFile(cmd *cobra.Command, name string, r *flow.Reader, l *logs, emit event.Emit) error {
	in, said := cmd.InOrStdin(), "standard input"
	if name != "-" {
		said = name
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		if st, err := f.Stat(); err == nil && st.IsDir() {
			return l.readPath(cmd.Context(), name, cmd.ErrOrStderr())
		}
		in = f
	}
	buffered := bufio.NewReaderSize(in, 1<<16)
	head, _ := buffered.Peek(4096)
	switch {
	case l.format != "":
	case capture.Is(head):
		return readCapture(said, buffered, r, cmd.ErrOrStderr())
	case len(head) >= 2 && head[0] == 0 && head[1] == 10:
		return r.File(said, buffered)
	case len(head) > 0 && head[0] == '{' && bytes.Contains(head, []byte(`"kind":"`)):
		return readJSON(said, buffered, emit)
	}
	if name == "-" {
		return l.readStdin(cmd.Context(), buffered, cmd.ErrOrStderr())
	}
	return l.readPath(cmd.Context(), name, cmd.ErrOrStderr())
}

func readCapture(name string, in *bufio.Reader, r *flow.Reader, messages io.Writer) error {
	other := 0
	stats, err := capture.Read(name, in, func(d capture.Datagram) {
		if _, ok := flow.Recognise(d.Payload); !ok {
			other++
			return
		}
		r.Packet(d.Src, d.Payload, d.Time)
	})
	if skipped := stats.Fragments + stats.Truncated + uint64(other); skipped > 0 {
		fmt.Fprintf(messages, "%s: skipped %d fragments, %d truncated packets, %d datagrams that are no export\n",
			name, stats.Fragments, stats.Truncated, other)
	}
	return err
}

func readJSON(name string, in io.Reader, emit event.Emit) error {
	sc := bufio.NewScanner(in)
	sc.Buffer(make([]byte, 0, 1<<16), maxLine)
	var e event.Event
	for n := 1; sc.Scan(); n++ {
		if len(bytes.TrimSpace(sc.Bytes())) == 0 {
			continue
		}
		if err := e.ParseJSON(sc.Bytes()); err != nil {
			return fmt.Errorf("%s:%d: %w", name, n, err)
		}
		e.Received = e.Last()
		emit(&e)
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
