package agentx

import (
	"errors"
	"fmt"
	"io"
)

// receiver puts PDUs together of what arrives on a connection. What came of a PDU stays when a wait for the rest ends
// early. Its buffers are used again.
type receiver struct {
	from       io.Reader
	buf        []byte
	start, end int // what of buf is not decoded yet
	pdu        pdu // the last that was decoded, valid until the next
}

// leastBuffer holds most requests: even snmpbulkwalk sends a hundred bytes or two at a time.
const leastBuffer = 4 << 10

// next waits for a PDU. Without an error, bad tells that its payload makes no sense; with one, that its header makes
// none, so that nothing after it can be read either.
func (r *receiver) next() (bad bool, err error) {
	need := headerSize
	for {
		if have := r.buf[r.start:r.end]; len(have) >= need {
			payload, err := decodeHeader(&r.pdu, have)
			if err != nil {
				return true, fmt.Errorf("the SNMP agent sent what is no AgentX: %w", err)
			}
			if need = headerSize + payload; len(have) >= need {
				r.start += need
				return decodePayload(&r.pdu, have[headerSize:need]) != nil, nil
			}
		}
		r.room(need)
		n, err := r.from.Read(r.buf[r.end:])
		if r.end += n; n > 0 {
			continue
		}
		if errors.Is(err, io.EOF) {
			err = errClosed
		}
		return false, err
	}
}

// room moves what is there to the front of a buffer that holds a PDU of need bytes.
func (r *receiver) room(need int) {
	to := r.buf
	if need > len(to) || need <= leastBuffer && len(to) > leastBuffer {
		to = make([]byte, max(need, leastBuffer))
	}
	r.end, r.start = copy(to, r.buf[r.start:r.end]), 0
	r.buf = to
}
