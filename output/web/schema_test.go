package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
)

// document is docs/api/openapi.yaml. It checks values against its schemas by the part of JSON Schema that it uses; a
// keyword beyond that is an error rather than a silent yes.
type document struct {
	root map[string]any
	seen map[string]bool // places of properties that some answer had
}

func readDocument(t testing.TB) *document {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "api", "openapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var root any
	if err := yaml.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	plain, err := json.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	d := &document{seen: map[string]bool{}}
	d.root, err = decodeObject(plain)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func decodeObject(data []byte) (map[string]any, error) {
	v, err := decode(data)
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("it is no object: %.80s", data)
	}
	return m, nil
}

func decode(data []byte) (v any, err error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	return v, dec.Decode(&v)
}

// follow gives the node that a reference leads to, and its place.
func (d *document) follow(place string, node any) (string, map[string]any) {
	m, _ := node.(map[string]any)
	for m != nil && m["$ref"] != nil {
		place, _ = m["$ref"].(string)
		var at any = d.root
		for part := range strings.SplitSeq(strings.TrimPrefix(place, "#/"), "/") {
			in, _ := at.(map[string]any)
			at = in[part]
		}
		m, _ = at.(map[string]any)
	}
	return place, m
}

var keywords = []string{
	"$ref", "type", "properties", "required", "additionalProperties", "items", "enum", "format", "minimum", "maximum", "maxLength",
	"pattern", "default", "description",
}

// check tells where a value is not what a schema says. at is where the value is.
func (d *document) check(place string, node, value any, at string) (wrong []string) {
	place, s := d.follow(place, node)
	if s == nil {
		return []string{fmt.Sprintf("%s: there is no schema at %s", at, place)}
	}
	say := func(format string, args ...any) { wrong = append(wrong, at+": "+fmt.Sprintf(format, args...)) }
	if list, ok := s["type"].([]any); ok { // of something and null
		if value == nil {
			return nil
		}
		s = maps.Clone(s)
		s["type"] = list[0]
	}
	if enum, ok := s["enum"].([]any); ok && !slices.Contains(enum, value) {
		say("%v is none of %v", value, enum)
	}
	switch v := value.(type) {
	case map[string]any:
		if s["type"] != "object" {
			say("it is an object; %s says %v", place, s["type"])
		}
		return append(wrong, d.checkObject(place, s, v, at)...)
	case []any:
		if s["type"] != "array" {
			say("it is an array; %s says %v", place, s["type"])
		}
		for i, item := range v {
			wrong = append(wrong, d.check(place+"/items", s["items"], item, fmt.Sprintf("%s[%d]", at, i))...)
		}
	case string:
		if s["type"] != "string" {
			say("it is the text %q; %s says %v", v, place, s["type"])
		}
		if why := wrongText(s, v); why != "" {
			say("%q %s", v, why)
		}
	case json.Number:
		if s["type"] != "number" && (s["type"] != "integer" || strings.ContainsAny(v.String(), ".eE")) {
			say("it is the number %s; %s says %v", v, place, s["type"])
		}
		if n := number(v); n < bound(s, "minimum", math.Inf(-1)) || n > bound(s, "maximum", math.Inf(1)) {
			say("%s is out of bounds", v)
		}
	case bool:
		if s["type"] != "boolean" {
			say("it is %v; %s says %v", v, place, s["type"])
		}
	default:
		say("it is %v, which no schema allows", value)
	}
	return wrong
}

func (d *document) checkObject(place string, s, v map[string]any, at string) (wrong []string) {
	properties, _ := s["properties"].(map[string]any)
	required, _ := s["required"].([]any)
	for _, name := range required {
		if _, there := v[name.(string)]; !there {
			wrong = append(wrong, fmt.Sprintf("%s: %s is missing", at, name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v)) {
		switch sub, named := properties[name]; {
		case named:
			d.seen[place+"/properties/"+name] = true
			wrong = append(wrong, d.check(place+"/properties/"+name, sub, v[name], at+"."+name)...)
		case s["additionalProperties"] == false:
			wrong = append(wrong, fmt.Sprintf("%s: the field %q is not documented at %s", at, name, place))
		default:
			wrong = append(wrong, d.check(place+"/additionalProperties", s["additionalProperties"], v[name], at+"."+name)...)
		}
	}
	return wrong
}

func wrongText(s map[string]any, v string) string {
	var err error
	switch s["format"] {
	case "date-time":
		if _, err = time.Parse(time.RFC3339Nano, v); err == nil && !strings.HasSuffix(v, "Z") {
			return "is not in UTC"
		}
	case "date":
		_, err = time.Parse(time.DateOnly, v)
	}
	if err != nil {
		return "is no " + s["format"].(string)
	}
	if p, ok := s["pattern"].(string); ok && !regexp.MustCompile(p).MatchString(v) {
		return "does not match " + p
	}
	if float64(utf8.RuneCountInString(v)) > bound(s, "maxLength", math.Inf(1)) {
		return "is too long"
	}
	return ""
}

func number(v any) float64 {
	n, ok := v.(json.Number)
	if !ok {
		return math.NaN()
	}
	f, _ := n.Float64()
	return f
}

func bound(s map[string]any, name string, otherwise float64) float64 {
	if v, there := s[name]; there {
		return number(v)
	}
	return otherwise
}

// lint tells what is wrong with a schema itself: keywords that check does not know, objects that allow anything, and
// numbers that do not say what they count.
func (d *document) lint(place string, node any) (wrong []string) {
	s, ok := node.(map[string]any)
	if !ok {
		return []string{place + ": it is no schema"}
	}
	if ref, ok := s["$ref"].(string); ok {
		if _, target := d.follow(place, s); target == nil || len(s) != 1 {
			return []string{place + ": " + ref + " leads nowhere, or something stands beside it"}
		}
		return nil
	}
	for _, k := range slices.Sorted(maps.Keys(s)) {
		if !slices.Contains(keywords, k) {
			wrong = append(wrong, place+": the test does not know the keyword "+k)
		}
	}
	kind := s["type"]
	if list, ok := kind.([]any); ok && len(list) == 2 && list[1] == "null" {
		kind = list[0]
	}
	switch kind {
	case "object":
		if _, said := s["additionalProperties"]; !said {
			wrong = append(wrong, place+": additionalProperties is missing")
		}
		if more, ok := s["additionalProperties"].(map[string]any); ok {
			wrong = append(wrong, d.lint(place+"/additionalProperties", more)...)
		}
		properties, _ := s["properties"].(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(properties)) {
			wrong = append(wrong, d.lint(place+"/properties/"+name, properties[name])...)
		}
		required, _ := s["required"].([]any)
		for _, name := range required {
			if _, there := properties[name.(string)]; !there {
				wrong = append(wrong, fmt.Sprintf("%s: %v is required but not described", place, name))
			}
		}
	case "array":
		wrong = append(wrong, d.lint(place+"/items", s["items"])...)
	case "integer", "number":
		if s["description"] == nil {
			wrong = append(wrong, place+": a number without a description of what it counts, and in which unit")
		}
	case "string", "boolean":
	default:
		wrong = append(wrong, fmt.Sprintf("%s: type is %v", place, s["type"]))
	}
	return wrong
}

// properties calls do with the place of each property below a schema, references followed, once each.
func (d *document) properties(place string, node any, been map[string]bool, do func(place string)) {
	place, s := d.follow(place, node)
	if s == nil || been[place] {
		return
	}
	been[place] = true
	for _, k := range []string{"items", "additionalProperties"} {
		if sub, ok := s[k].(map[string]any); ok {
			d.properties(place+"/"+k, sub, been, do)
		}
	}
	properties, _ := s["properties"].(map[string]any)
	for name, sub := range properties {
		do(place + "/properties/" + name)
		d.properties(place+"/properties/"+name, sub, been, do)
	}
}
