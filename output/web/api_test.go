package web

import (
	"maps"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"varde/event"
	"varde/event/query"
)

// operation is one method of one path, in the document.
type operation struct {
	*document
	method, path string
	node         map[string]any
}

func (o operation) String() string { return o.method + " " + o.path }

// operations are all of the document, by method and path.
func (d *document) operations() map[string]operation {
	all := map[string]operation{}
	for path, item := range object(d.root["paths"]) {
		for method, node := range object(item) {
			o := operation{d, strings.ToUpper(method), path, object(node)}
			all[o.String()] = o
		}
	}
	return all
}

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

// params are the parameters of a kind: query, path or header.
func (o operation) params(in string) map[string]map[string]any {
	all := map[string]map[string]any{}
	list, _ := o.node["parameters"].([]any)
	for _, p := range list {
		if _, p := o.follow("", p); p["in"] == in {
			name, _ := p["name"].(string)
			all[name] = p
		}
	}
	return all
}

// response is a content of an answer with its place; ok is false where none is documented.
func (o operation) response(status, kind string) (place string, content map[string]any, ok bool) {
	place = "#/paths/" + o.path + "/" + o.method + "/" + status
	place, r := o.follow(place, object(o.node["responses"])[status])
	content, ok = object(r["content"])[kind].(map[string]any)
	return place + "/" + kind, content, ok
}

// codeRoutes are all routes of the program.
func codeRoutes() []route {
	return append(served(),
		route{method: "POST", path: "/api/v1/session", open: true},
		route{method: "DELETE", path: "/api/v1/session", open: true},
		route{method: "GET", path: "/api/v1/live"})
}

// TestDocument compares the document with the routes, both ways, and looks at the document itself.
func TestDocument(t *testing.T) {
	d := readDocument(t)
	described := d.operations()
	inCode := map[string]bool{}
	for _, r := range codeRoutes() {
		name := r.method + " " + r.path
		inCode[name] = true
		o, ok := described[name]
		if !ok {
			t.Errorf("%s is not in the document", name)
			continue
		}
		want := slices.Sorted(slices.Values(r.params))
		if got := slices.Sorted(maps.Keys(o.params("query"))); !slices.Equal(got, want) {
			t.Errorf("%s takes %v, the document says %v", name, want, got)
		}
		var inPath []string
		for _, m := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(r.path, -1) {
			inPath = append(inPath, m[1])
		}
		if got := slices.Sorted(maps.Keys(o.params("path"))); !slices.Equal(got, inPath) {
			t.Errorf("%s has %v in its path, the document says %v", name, inPath, got)
		}
		if security, said := o.node["security"].([]any); r.open != (said && len(security) == 0) {
			t.Errorf("%s: open is %v, the document's security is %v", name, r.open, o.node["security"])
		}
	}
	ids := map[any]bool{}
	for name, o := range described {
		if !inCode[name] {
			t.Errorf("%s is in the document and not in the program", name)
		}
		id := o.node["operationId"]
		if id == nil || ids[id] || o.node["summary"] == nil || o.node["tags"] == nil {
			t.Errorf("%s needs an operationId of its own, a summary and a tag", name)
		}
		ids[id] = true
		for status := range object(o.node["responses"]) {
			for _, kind := range []string{"application/json", "text/csv", "text/event-stream"} {
				if place, content, ok := o.response(status, kind); ok {
					checkContent(t, d, place, content)
				}
			}
		}
		if body := object(object(object(o.node["requestBody"])["content"])["application/json"]); body != nil {
			checkContent(t, d, "body of "+name, body)
		}
		for in, all := range map[string]map[string]map[string]any{"query": o.params("query"), "path": o.params("path"), "header": o.params("header")} {
			for param, p := range all {
				place := in + " parameter " + param + " of " + name
				schema := object(p["schema"])
				if p["description"] == nil || schema["type"] == nil || in == "path" && p["required"] != true {
					t.Errorf("%s needs a description and a type, and is required in a path", place)
				}
				for _, sample := range []any{p["example"], schema["default"]} {
					if sample != nil {
						report(t, d.check(place, schema, sample, place))
					}
				}
			}
		}
	}
	used := strings.Join(references(d.root), " ") + " "
	for kind, all := range object(d.root["components"]) {
		for name, node := range object(all) {
			place := "#/components/" + kind + "/" + name
			if kind != "securitySchemes" && !strings.Contains(used, place+" ") {
				t.Errorf("%s is not used", place)
			}
			if kind == "schemas" {
				report(t, d.lint(place, node))
			}
		}
	}
	checkAddresses(t, "document", d.root)
}

func checkContent(t *testing.T, d *document, place string, content map[string]any) {
	t.Helper()
	report(t, d.lint(place, content["schema"]))
	if sample := content["example"]; sample != nil {
		report(t, d.check(place, content["schema"], sample, "example of "+place))
	}
}

func report(t *testing.T, wrong []string) {
	t.Helper()
	for i, w := range wrong {
		if i == 10 {
			t.Errorf("and %d more", len(wrong)-i)
			return
		}
		t.Error(w)
	}
}

func references(node any) (all []string) {
	switch v := node.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			all = append(all, ref)
		}
		for _, sub := range v {
			all = append(all, references(sub)...)
		}
	case []any:
		for _, sub := range v {
			all = append(all, references(sub)...)
		}
	}
	return all
}

// checkAddresses lets only addresses stand in the document that are meant for documents, and loopback.
func checkAddresses(t *testing.T, at string, node any) {
	t.Helper()
	switch v := node.(type) {
	case map[string]any:
		for k, sub := range v {
			checkAddresses(t, at+"/"+k, sub)
		}
	case []any:
		for _, sub := range v {
			checkAddresses(t, at, sub)
		}
	case string:
		for _, word := range regexp.MustCompile(`\d+\.\d+\.\d+\.\d+|[0-9a-f]+:[0-9a-f:]+:[0-9a-f]*`).FindAllString(v, -1) {
			a, err := netip.ParseAddr(word)
			if err == nil && !a.IsLoopback() && !slices.ContainsFunc([]string{"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"}, func(p string) bool {
				return netip.MustParsePrefix(p).Contains(a)
			}) {
				t.Errorf("%s: %s is somebody's address", at, a)
			}
		}
	}
}

// TestNames compares the lists of names in the document with the program's.
func TestNames(t *testing.T) {
	d := readDocument(t)
	names := func(of func(int) string) (all []any) {
		for i := 0; i == 0 || of(i) != of(0); i++ {
			if of(i) != "" {
				all = append(all, of(i))
			}
		}
		return all
	}
	for place, want := range map[string][]any{
		"Event/properties/kind":        names(func(i int) string { return event.Kind(i).String() }),
		"Event/properties/action":      names(func(i int) string { return event.Action(i).String() }),
		"Incident/properties/state":    names(func(i int) string { return event.State(i).String() }),
		"Incident/properties/severity": names(func(i int) string { return event.Severity(i).String() }),
		"Incident/properties/verdict":  names(func(i int) string { return event.Verdict(i).String() }),
		"Top/properties/order":         names(func(i int) string { return query.Order(i).String() }),
		"Series/properties/order":      names(func(i int) string { return query.Order(i).String() }),
		"Classes/items":                names(func(i int) string { return classNames[i%len(classNames)] }),
	} {
		if _, s := d.follow("", map[string]any{"$ref": "#/components/schemas/" + place}); !reflect.DeepEqual(s["enum"], want) {
			t.Errorf("%s: the document says %v, the program %v", place, s["enum"], want)
		}
	}
	for place, of := range map[string]any{"Reason": reason{}, "MuteWish": wish{}, "Credentials": credentials{}} {
		var fields []string
		for i := range reflect.TypeOf(of).NumField() {
			fields = append(fields, reflect.TypeOf(of).Field(i).Tag.Get("json"))
		}
		slices.Sort(fields)
		_, s := d.follow("", map[string]any{"$ref": "#/components/schemas/" + place})
		if got := slices.Sorted(maps.Keys(object(s["properties"]))); !slices.Equal(got, fields) {
			t.Errorf("%s: the document has %v, the program reads %v", place, got, fields)
		}
	}
}
