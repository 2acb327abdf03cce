package warn

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"strings"
	"text/template"
	"time"

	"varde/event"
	"varde/event/human"
)

// maxRendered bounds what a template may write.
const maxRendered = 1 << 20

// templateFields are the fields of a warning that a template may name; a field that a warning leaves out is empty.
// They are those of the JSON form, and the texts text, compact and sentence beside them.
func templateFields() map[string]any {
	empty := func(names string) map[string]any {
		m := map[string]any{}
		for name := range strings.FieldsSeq(names) {
			m[name] = ""
		}
		return m
	}
	m := empty("id proto first last sampling export_lag match_lag why")
	m["own"], m["foreign"] = empty("addr port name"), empty("addr port name")
	m["event"] = empty(`time end kind source exporter domain session proto src sport dst dport nat_src nat_sport nat_dst
		nat_dport packets bytes sampling tcp_flags icmp_type icmp_code in_if out_if action rule count country asn`)
	m["scan"] = empty("pattern technique order ports port_low port_high tried targets sources from rate reached")
	m["surge"] = empty("meaning sources window expected networks first_seen curve curve_from curve_bin countries ases")
	return m
}

// view is a warning as a template sees it.
func view(w *event.Warning) (map[string]any, error) {
	out := templateFields()
	got := map[string]any{}
	dec := json.NewDecoder(bytes.NewReader(w.AppendJSON(nil, w.Time)))
	dec.UseNumber()
	if err := dec.Decode(&got); err != nil {
		return nil, err
	}
	for k, v := range got {
		inner, object := v.(map[string]any)
		known, ok := out[k].(map[string]any)
		if object && ok {
			maps.Copy(known, inner)
		} else {
			out[k] = v
		}
	}
	detail := map[string]string{} // so that index gives "" for what is not there
	for _, p := range w.Event.Detail {
		detail[p.Key] = p.Value
	}
	out["event"].(map[string]any)["detail"] = detail
	entries, _ := out["evidence"].([]any)
	for i := range entries {
		if known, ok := entries[i].(map[string]any); ok {
			full := map[string]any{"name": "", "url": "", "confidence": "", "tags": []any{}, "seen": "", "age": ""}
			maps.Copy(full, known)
			entries[i] = full
		}
	}
	out["text"] = string(AppendLine(nil, w, Look{Zone: time.UTC, Dated: true}))
	out["compact"] = string(appendCompact(nil, w, len(w.Evidence)))
	out["sentence"] = sentence(w)
	return out, nil
}

// parseTemplate reads a template and tries it, so that a wrong name is an error at the start and not when it matters. So
// is to rely on what a warning may lack, as its evidence.
func parseTemplate(name, text string) (*template.Template, error) {
	t, err := template.New(name).Option("missingkey=error").Funcs(template.FuncMap{
		"json":  toJSON,
		"join":  join,
		"upper": strings.ToUpper,
		"safe":  func(v any) string { return human.Safe(fmt.Sprint(v)) },
	}).Parse(text)
	if err != nil {
		return nil, err
	}
	for _, w := range []event.Warning{{Time: 1, Evidence: []event.Evidence{{}}}, {Time: 1}} {
		if _, err := render(t, &w); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func readTemplate(path string) (*template.Template, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read template: %w", err)
	}
	return parseTemplate(path, string(text))
}

// toJSON writes a value as JSON without escaping what only HTML would mind.
func toJSON(v any) (string, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}

func join(sep string, list any) string {
	values, ok := list.([]any)
	if !ok {
		return ""
	}
	parts := make([]string, len(values))
	for i, v := range values {
		parts[i] = fmt.Sprint(v)
	}
	return strings.Join(parts, sep)
}

func render(t *template.Template, w *event.Warning) ([]byte, error) {
	v, err := view(w)
	if err != nil {
		return nil, err
	}
	b := bounded{most: maxRendered}
	if err := t.Execute(&b, v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

var errTooLong = errors.New("the template wrote more than 1 MiB")

// bounded keeps at most so many bytes; beyond that it refuses, or drops where it is lenient.
type bounded struct {
	bytes.Buffer
	most    int
	lenient bool
}

// Write keeps b where there is room.
func (w *bounded) Write(b []byte) (int, error) {
	room := w.most - w.Len()
	if len(b) <= room {
		return w.Buffer.Write(b)
	}
	if w.lenient {
		w.Buffer.Write(b[:room])
		return len(b), nil
	}
	return 0, errTooLong
}

// ReadFrom keeps io.Copy from going around Write.
func (w *bounded) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{w}, r)
}
