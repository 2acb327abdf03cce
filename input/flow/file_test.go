package flow_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"varde/event"
	"varde/input/flow"
)

// TestFile reads messages one after the other. Unlike over UDP, templates are withdrawn in files.
func TestFile(t *testing.T) {
	flows := set(300, row(ip("198.51.100.1"), ip("203.0.113.9")))
	template := func(ids ...uint16) []byte {
		return templates(flow.IPFIX, []spec{{ids[0], 4, 0}, {ids[1], 4, 0}})
	}
	withdraw := set(2, []byte{1, 44, 0, 0})
	all := set(2, []byte{0, 2, 0, 0})
	forward, back := "198.51.100.1 203.0.113.9", "203.0.113.9 198.51.100.1"
	for name, tc := range map[string]struct {
		messages [][]byte
		cut      int
		want     []string
		err      string
	}{
		"data behind and before its template": {
			[][]byte{export(flow.IPFIX, 0, template(8, 12), flows), export(flow.IPFIX, 1, flows)}, 0, []string{forward, forward}, "",
		},
		"held until its template comes": {[][]byte{export(flow.IPFIX, 0, flows), export(flow.IPFIX, 1, template(8, 12))}, 0, []string{forward}, ""},
		"withdrawn and told anew": {
			[][]byte{export(flow.IPFIX, 0, template(8, 12), flows), export(flow.IPFIX, 1, withdraw, flows), export(flow.IPFIX, 2, template(12, 8))},
			0,
			[]string{forward, back},
			"",
		},
		"all withdrawn": {[][]byte{export(flow.IPFIX, 0, template(8, 12), flows), export(flow.IPFIX, 1, all, flows)}, 0, []string{forward}, ""},
		"only the options withdrawn": {
			[][]byte{export(flow.IPFIX, 0, template(8, 12), flows), export(flow.IPFIX, 1, set(3, []byte{0, 3, 0, 0}), flows)}, 0, []string{forward, forward}, "",
		},
		"empty":               {nil, 0, nil, ""},
		"cut in a message":    {[][]byte{export(flow.IPFIX, 0, template(8, 12), flows), export(flow.IPFIX, 1, flows)}, 3, []string{forward}, "x.ipfix: the IPFIX message at byte 44 is cut short: it should have 28 bytes"},
		"cut in a header":     {[][]byte{export(flow.IPFIX, 0, template(8, 12), flows), export(flow.IPFIX, 1, flows)}, 20, []string{forward}, "x.ipfix: no IPFIX message begins at byte 44"},
		"of another protocol": {[][]byte{export(flow.NetFlow9, 0, flows)}, 0, nil, "x.ipfix: no IPFIX message begins at byte 0"},
	} {
		t.Run(name, func(t *testing.T) {
			b := bytes.Join(tc.messages, nil)
			var got []string
			r := collector(t).Reader(func(e *event.Event) {
				got = append(got, fmt.Sprint(e.Src, " ", e.Dst))
				if e.Exporter != "x.ipfix" || e.Received != now || e.Exported != now {
					t.Errorf("%+v", e)
				}
			})
			err := r.File("x.ipfix", bytes.NewReader(b[:len(b)-tc.cut]))
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Error(d)
			}
			if text := fmt.Sprint(err); text != tc.err && (err != nil || tc.err != "") {
				t.Errorf("the error is %q, want %q", text, tc.err)
			}
		})
	}
	udp := decode(t, export(flow.IPFIX, 0, template(8, 12), flows), export(flow.IPFIX, 1, withdraw, flows))
	if len(udp) != 2 {
		t.Errorf("%d records: over UDP a withdrawal should be ignored", len(udp))
	}
}
