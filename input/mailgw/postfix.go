package mailgw

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// PostfixConfig says where the queues of Postfix are.
type PostfixConfig struct {
	QueueDir  string `yaml:"queue_dir" doc:"queue_directory of Postfix; empty is off."`
	Postqueue string `yaml:"postqueue" doc:"The postqueue program, asked with -j when the showq socket cannot be; empty never asks it."`
}

// QueueNames are the queues of Postfix in the order in which mail passes them.
var QueueNames = [...]string{"maildrop", "incoming", "active", "deferred", "hold", "corrupt"}

// Queue is what is known of one queue. Where nothing is known there is no number, least of all zero.
type Queue struct {
	Name     string
	Known    bool
	Messages uint64
	AtLeast  bool      // counting took too long and was given up; there are more
	Bytes    uint64    // as far as the source tells sizes, else 0
	Oldest   time.Time // arrival of the oldest message, zero where there is none or it is not known
}

// Queues is the state of all queues at one time.
type Queues struct {
	Source string // showq, postqueue or directories
	Read   time.Time
	Queues [len(QueueNames)]Queue
}

// Bounds on what Postfix may make us read; a queue of millions is possible, a field of megabytes is not.
const (
	maxQueued     = 20_000_000
	maxQueueField = 64 << 10
	queueTimeout  = 60 * time.Second
)

// Postfix reads the queues of one Postfix.
type Postfix struct {
	cfg PostfixConfig
	now func() time.Time
}

// NewPostfix makes a reader; it opens nothing yet.
func NewPostfix(cfg PostfixConfig) *Postfix { return &Postfix{cfg: cfg, now: time.Now} }

// Snapshot counts the queues: by the showq service, which tells sizes and ages and may be asked by the group postdrop;
// else by postqueue, which anybody may run; else by the directories, which only root may read. The queue corrupt is
// known only by its directory.
func (p *Postfix) Snapshot(ctx context.Context) (Queues, error) {
	if p.cfg.QueueDir == "" {
		return Queues{}, errors.New("no queue directory of Postfix is configured: set postfix.queue_dir")
	}
	ctx, cancel := context.WithTimeout(ctx, queueTimeout)
	defer cancel()
	var errs []error
	for _, way := range []func(context.Context) (Queues, error){p.showq, p.postqueue} {
		q, err := way(ctx)
		if err == nil {
			p.corrupt(ctx, &q)
			return q, nil
		}
		if !errors.Is(err, errOff) {
			errs = append(errs, err)
		}
	}
	q, err := p.directories(ctx)
	if err != nil {
		errs = append(errs, err)
		text := strings.ReplaceAll(errors.Join(errs...).Error(), "\n", "; ")
		if errors.Is(errs[0], fs.ErrPermission) {
			text += "; let varde into the group postdrop, as with adduser varde postdrop"
		}
		return Queues{}, &adviceError{"read queues of postfix: " + text, errors.Join(errs...)}
	}
	return q, nil
}

func (p *Postfix) begin(source string) Queues {
	q := Queues{Source: source, Read: p.now()}
	for i, name := range QueueNames {
		q.Queues[i] = Queue{Name: name, Known: name != "corrupt"}
	}
	return q
}

// add counts one message. A queue that this varde does not know is an error, so that its messages are not missing
// from the sum in silence.
func (q *Queues) add(name string, size uint64, arrived time.Time) error {
	for i := range q.Queues {
		x := &q.Queues[i]
		if x.Name != name {
			continue
		}
		x.Messages++
		x.Bytes += size
		if !arrived.IsZero() && (x.Oldest.IsZero() || arrived.Before(x.Oldest)) {
			x.Oldest = arrived
		}
		return nil
	}
	return fmt.Errorf("queue %.40q is not known", name)
}

func (p *Postfix) showq(ctx context.Context) (Queues, error) {
	q := p.begin("showq")
	path := filepath.Join(p.cfg.QueueDir, "public", "showq")
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return q, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := parseShowq(conn, q.add); err != nil {
		return q, fmt.Errorf("read %s: %w", path, err)
	}
	return q, nil
}

// parseShowq reads the answer of the showq service: names and values, each ended by a zero byte; an empty name ends a
// record, an empty record the answer. Since Postfix 3.7 the first record names the protocol. An answer that does not
// end is an error: part of a queue must not look like a small one.
func parseShowq(r io.Reader, add func(queue string, size uint64, arrived time.Time) error) error {
	br := bufio.NewReaderSize(r, maxQueueField)
	for range maxQueued {
		fields, queue, size, arrived := 0, "", uint64(0), time.Time{}
		for ; ; fields++ {
			name, err := showqField(br)
			if err != nil {
				return err
			}
			if name == "" {
				break
			}
			value, err := showqField(br)
			if err != nil {
				return err
			}
			// Recipients have fields of the same few names, none of these.
			switch name {
			case "protocol":
				if value != "mail_queue_list_protocol" {
					return fmt.Errorf("protocol %.40q is not that of showq", value)
				}
			case "queue_name":
				queue = value
			case "size":
				size, err = strconv.ParseUint(value, 10, 63)
			case "time":
				arrived, err = parseEpoch(value)
			}
			if err != nil {
				return fmt.Errorf("%s is %.40q: %w", name, value, err)
			}
		}
		if fields == 0 {
			return nil
		}
		if queue == "" {
			continue
		}
		if err := add(queue, size, arrived); err != nil {
			return err
		}
	}
	return fmt.Errorf("more than %d messages", maxQueued)
}

// showqField reads up to the next zero byte. What does not fit into the buffer is skipped: only texts of other mail
// servers are that long.
func showqField(r *bufio.Reader) (string, error) {
	b, err := r.ReadSlice(0)
	if err == nil {
		return string(b[:len(b)-1]), nil
	}
	if !errors.Is(err, bufio.ErrBufferFull) {
		return "", fmt.Errorf("the answer ends in the middle: %w", noEOF(err))
	}
	start := string(b[:64])
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = r.ReadSlice(0)
	}
	if err != nil {
		return "", fmt.Errorf("the answer ends in the middle: %w", noEOF(err))
	}
	return start, nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (p *Postfix) postqueue(ctx context.Context) (Queues, error) {
	q := p.begin("postqueue")
	if p.cfg.Postqueue == "" {
		return q, errOff
	}
	// Nothing that postqueue does is left half done when it is killed.
	cmd := exec.CommandContext(ctx, p.cfg.Postqueue, "-j")
	cmd.WaitDelay = time.Second
	var complaints limited
	cmd.Stderr = &complaints
	out, err := cmd.StdoutPipe()
	if err != nil {
		return q, err
	}
	if err := cmd.Start(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			err = errOff
		}
		return q, err
	}
	err = parsePostqueue(out, q.add)
	if err != nil {
		// A program that goes on writing must not wait for a reader for ever.
		cmd.Process.Kill()
	}
	if ended := cmd.Wait(); err == nil && ended != nil {
		err = fmt.Errorf("%w: %s", ended, firstLine(complaints.b))
	}
	if err != nil {
		return q, fmt.Errorf("%s -j: %w", p.cfg.Postqueue, err)
	}
	return q, nil
}

// parsePostqueue reads one JSON object a line, as postqueue -j writes since Postfix 3.1. What is asked of a message
// stands before its recipients, so the beginning of a line is enough however many those are.
func parsePostqueue(r io.Reader, add func(queue string, size uint64, arrived time.Time) error) error {
	br := bufio.NewReaderSize(r, maxQueueField)
	for range maxQueued {
		line, err := br.ReadSlice('\n')
		if len(line) == 0 && errors.Is(err, io.EOF) {
			return nil
		}
		queue, size, arrived, bad := parseQueued(line)
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = br.ReadSlice('\n')
		}
		if err != nil {
			return fmt.Errorf("the answer ends in the middle: %w", noEOF(err))
		}
		if bad == nil {
			bad = add(queue, size, arrived)
		}
		if bad != nil {
			return bad
		}
	}
	return fmt.Errorf("more than %d messages", maxQueued)
}

func parseQueued(line []byte) (queue string, size uint64, arrived time.Time, err error) {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.UseNumber()
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return "", 0, arrived, fmt.Errorf("%.40q is no line of postqueue -j", line)
	}
	for queue == "" || arrived.IsZero() || size == 0 {
		name, err := dec.Token()
		if err != nil || name == json.Delim('}') {
			break
		}
		value, err := dec.Token()
		if err != nil || name == "recipients" {
			break
		}
		text, _ := value.(string)
		number, _ := value.(json.Number)
		switch name {
		case "queue_name":
			queue = text
		case "arrival_time":
			arrived, err = parseEpoch(number.String())
		case "message_size":
			size, err = strconv.ParseUint(number.String(), 10, 63)
		}
		if err != nil {
			return "", 0, arrived, fmt.Errorf("%s is %.40q: %w", name, value, err)
		}
	}
	if queue == "" || arrived.IsZero() {
		return "", 0, arrived, fmt.Errorf("%.40q tells no queue or no arrival", line)
	}
	return queue, size, arrived, nil
}

// limited keeps the beginning of what is written and forgets the rest.
type limited struct{ b []byte }

const maxComplaint = 512

func (l *limited) Write(p []byte) (int, error) {
	l.b = append(l.b, p[:min(len(p), maxComplaint-len(l.b))]...)
	return len(p), nil
}
