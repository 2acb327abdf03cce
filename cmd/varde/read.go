package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
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
		Use: "read FILE...", Short: "print the events of captures, IPFIX files, firewall logs and event files", Args: someFiles,
		Long: `read finds out by content what a file is: a pcap or pcapng capture that holds NetFlow, IPFIX
or sFlow on whatever port, a file of IPFIX messages (RFC 5655), JSON lines of events, or the log of a
firewall. All of them may be compressed by gzip. A folder is one of logs; logs that belong together are
read in the order of time. - is standard input. What could not be read is said on standard error.`,
		Example: "  varde read capture.pcap\n  varde read -o csv flows.ipfix > flows.csv\n  varde read -o table /var/log/ufw.log\n  tcpdump -i any -w - udp port 2055 | varde read -",
		RunE: func(cmd *cobra.Command, args []string) error {
			out := bufio.NewWriterSize(cmd.OutOrStdout(), 1<<16)
			emit, err := printer(output, out)
			if err != nil {
				return err
			}
			if err := l.configure(fwlog.DefaultConfig()); err != nil {
				return err
			}
			err = readFiles(cmd, args, &l, emit)
			return errors.Join(err, out.Flush())
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", output, "json, csv or table")
	cmd.Flags().StringVar(&l.format, "format", "", formatHelp())
	cmd.Flags().StringVar(&l.zone, "tz", "", zoneHelp)
	return cmd
}

// someFiles says what is missing in the words of a person.
func someFiles(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("name a file, or - for standard input; see %s --help", cmd.CommandPath())
	}
	return nil
}

// readFiles emits the events of every file and says what could not be read.
func readFiles(cmd *cobra.Command, names []string, l *logs, emit event.Emit) error {
	messages := cmd.ErrOrStderr()
	collector, err := flow.New(flow.DefaultConfig(), plainLog(messages, func() string { return "varde" }))
	if err != nil {
		return err
	}
	if err := l.open(messages, emit); err != nil {
		return err
	}
	f := files{cmd: cmd, logs: l, flows: collector.Reader(emit), emit: emit}
	for _, name := range names {
		if err := f.read(name); err != nil {
			return err
		}
	}
	if err := f.readLogs(); err != nil {
		return err
	}
	for _, x := range collector.Exporters() {
		if x.LostBefore+x.Undecoded+uint64(x.Held) > 0 {
			fmt.Fprintf(messages, "%s: %s lost before the capture, %s data sets without a template\n",
				x.Name, human.Count(x.LostBefore), human.Count(x.Undecoded+uint64(x.Held)))
		}
	}
	return l.summary(cmd.Context(), messages)
}

// files reads files of all kinds, one after the other.
type files struct {
	cmd   *cobra.Command
	logs  *logs
	flows *flow.Reader
	emit  event.Emit
	paths []string // of logs that wait for their like, to be read in the order of time
}

func (f *files) read(name string) error {
	in, said, again := f.cmd.InOrStdin(), "standard input", false
	if name != "-" {
		said = name
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		st, err := file.Stat()
		if err != nil {
			return err
		}
		if st.IsDir() {
			f.paths = append(f.paths, name)
			return nil
		}
		in, again = file, st.Mode().IsRegular()
	}
	buffered, head := peek(in)
	if bytes.HasPrefix(head, []byte{0x1f, 0x8b, 8}) { // RFC 1952
		unpacked, err := gzip.NewReader(buffered)
		if err != nil {
			return fmt.Errorf("%s: %w", said, err)
		}
		buffered, head = peek(unpacked)
	}
	read := f.reader(head)
	if read == nil && again { // a file, unlike a pipe, can be read from its beginning again
		f.paths = append(f.paths, name)
		return nil
	}
	if err := f.readLogs(); err != nil {
		return err
	}
	if read != nil {
		return read(said, buffered)
	}
	return known(said)(f.logs.readOpen(f.cmd.Context(), said, buffered))
}

// peek gives what tells what a file is: what comes at once, since more may be long in coming.
func peek(in io.Reader) (*bufio.Reader, []byte) {
	b := bufio.NewReaderSize(in, 1<<16)
	b.Peek(16)
	head, _ := b.Peek(b.Buffered())
	return b, head
}

// reader reads files that begin like that; nil for logs.
func (f *files) reader(head []byte) func(name string, in *bufio.Reader) error {
	switch {
	case f.logs.format != "":
	case capture.Is(head):
		return func(name string, in *bufio.Reader) error { return readCapture(name, in, f.flows, f.cmd.ErrOrStderr()) }
	case len(head) >= 2 && head[0] == 0 && head[1] == 10:
		return func(name string, in *bufio.Reader) error { return f.flows.File(name, in) }
	case len(head) > 0 && head[0] == '{' && bytes.Contains(head, []byte(`"kind":"`)):
		return func(name string, in *bufio.Reader) error { return readJSON(name, in, f.emit) }
	}
	return nil
}

// readLogs reads the logs that wait.
func (f *files) readLogs() error {
	if len(f.paths) == 0 {
		return nil
	}
	paths := f.paths
	f.paths = nil
	return known(strings.Join(paths, ", "))(f.logs.read(f.cmd.Context(), paths))
}

// known makes an error of it when what seemed to be logs are none.
func known(name string) func(told bool, err error) error {
	return func(told bool, err error) error {
		if err == nil && !told {
			return fmt.Errorf("%s: neither a capture, nor IPFIX, nor events as JSON lines, nor a log of a firewall that tells of a packet", name)
		}
		return err
	}
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
