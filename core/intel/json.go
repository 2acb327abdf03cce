package intel

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// beginJSON refuses pages, so that the error says what came instead, and leaves a byte order mark out.
func beginJSON(r io.Reader) (*json.Decoder, error) {
	in := bufio.NewReader(r)
	head, _ := in.Peek(512)
	if looksLikeHTML(head) {
		return nil, errHTML
	}
	if len(head) > 2 && string(head[:3]) == "\ufeff" {
		if _, err := in.Discard(3); err != nil {
			return nil, err
		}
	}
	return json.NewDecoder(in), nil
}

// eachObject reads a document that is an array, or an object of which some keys hold one, and hands on the elements one
// by one, so that memory is bounded by the largest. The other members of an object come back as they are.
func eachObject(dec *json.Decoder, what string, keys []string, item func() error) (rest map[string]json.RawMessage, err error) {
	t, err := dec.Token()
	if err != nil {
		return nil, fmt.Errorf("no %s: %w", what, err)
	}
	if t == json.Delim('[') {
		return nil, eachElement(dec, what, item)
	}
	if t != json.Delim('{') {
		return nil, fmt.Errorf("no %s: expected a JSON object or array", what)
	}
	rest = map[string]json.RawMessage{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("no %s: %w", what, err)
		}
		name, _ := key.(string)
		if !slices.Contains(keys, name) {
			var raw json.RawMessage
			if err := dec.Decode(&raw); err != nil {
				return nil, fmt.Errorf("no %s: %w", what, err)
			}
			rest[name] = raw
			continue
		}
		t, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("no %s: %w", what, noEOF(err))
		}
		if _, compound := t.(json.Delim); !compound {
			continue // null, or a word in place of an empty array
		}
		if t != json.Delim('[') {
			return nil, fmt.Errorf("no %s: %q is no array", what, name)
		}
		if err := eachElement(dec, what, item); err != nil {
			return nil, err
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("%s: cut short: %w", what, noEOF(err))
	}
	return rest, nil
}

func eachElement(dec *json.Decoder, what string, item func() error) error {
	for dec.More() {
		if err := item(); err != nil {
			return fmt.Errorf("%s: cut short or broken: %w", what, noEOF(err))
		}
	}
	if _, err := dec.Token(); err != nil {
		return fmt.Errorf("%s: cut short: %w", what, noEOF(err))
	}
	return nil
}

// decodeItem decodes one element. One whose members have other types than the format says is a reject; the error means
// that the document ends or breaks.
func decodeItem(dec *json.Decoder, to *Sink, into any) (ok bool, err error) {
	err = dec.Decode(into)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		to.Reject(Reject{0, clip(wrong.Field), "is a JSON " + wrong.Value + ", which is not what the format has there"})
		return false, nil
	}
	return err == nil, err
}

// noEOF keeps the end of half a document from being taken for the end of a whole one.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
