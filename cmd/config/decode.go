package config

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxFile bounds a configuration file.
const maxFile = 4 << 20

// Checker is a part of the configuration that knows which of its values are impossible. Its error is shown with the
// line of that part.
type Checker interface{ Check() error }

// Error is what is wrong with a configuration file, and where.
type Error struct {
	File         string
	Line, Column int
	Text         string // one sentence
	Source       string // the line of the file
}

// Error writes file:line:column, the sentence, and the line with a caret under the place.
func (e *Error) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Text
	}
	s := fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Text)
	if e.Source != "" {
		source := strings.ReplaceAll(e.Source, "\t", " ")
		s += fmt.Sprintf("\n  %4d | %s\n       | %*s", e.Line, source, e.Column, "^")
	}
	return s
}

// decoder decodes one file.
type decoder struct {
	name  string
	lines []string
}

// decode reads YAML strictly over the defaults that stand in into. An empty document changes nothing.
func decode(name string, src []byte, into any) error {
	if len(src) > maxFile {
		return &Error{File: name, Text: fmt.Sprintf("the file has %d bytes, at most %d are read", len(src), maxFile)}
	}
	src = bytes.TrimPrefix(src, []byte("\ufeff"))
	d := &decoder{name: name, lines: strings.Split(string(src), "\n")}
	file, err := parser.ParseBytes(src, 0)
	if err != nil {
		return d.library(err)
	}
	var body ast.Node
	for _, doc := range file.Docs {
		switch {
		case doc.Body == nil || doc.Body.Type() == ast.NullType || doc.Body.Type() == ast.CommentType:
		case body != nil:
			return d.at(doc.Body.GetToken(), "a second document begins here; a configuration is one document")
		default:
			body = doc.Body
		}
	}
	if body == nil {
		return nil
	}
	if err := d.keys(body, reflect.TypeOf(into).Elem(), ""); err != nil {
		return err
	}
	dec := yaml.NewDecoder(bytes.NewReader(src), yaml.Strict(), yaml.DisallowUnknownField())
	if err := dec.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return d.library(err)
	}
	return d.check(body, reflect.ValueOf(into).Elem())
}

// library gives an error of the YAML library our form.
func (d *decoder) library(err error) error {
	var y yaml.Error
	if errors.As(err, &y) && y.GetToken() != nil {
		return d.at(y.GetToken(), "%s", plain(y.GetMessage()))
	}
	return &Error{File: d.name, Text: err.Error()}
}

// plain rewrites the library's words about Go types into words about values.
func plain(message string) string {
	message, _, _ = strings.Cut(message, "\n")
	if _, rest, ok := strings.Cut(message, "cannot unmarshal "); ok {
		got, want, _ := strings.Cut(rest, " into Go struct field ")
		_, typ, _ := strings.Cut(want, " of type ")
		switch {
		case strings.Contains(typ, "int"), strings.Contains(typ, "float"):
			typ = "number"
		case typ == "bool":
			typ = "true or false"
		}
		return fmt.Sprintf("a %s stands here, expected a %s", got, typ)
	}
	return message
}

func (d *decoder) at(tk *token.Token, format string, args ...any) error {
	e := &Error{File: d.name, Text: fmt.Sprintf(format, args...)}
	if tk != nil && tk.Position != nil {
		e.Line, e.Column = tk.Position.Line, tk.Position.Column
		if e.Line >= 1 && e.Line <= len(d.lines) {
			e.Source = d.lines[e.Line-1]
		}
	}
	return e
}

// keys walks the document beside the type it is decoded into: a key that is no field, and a text that its type
// refuses, are reported where they stand.
func (d *decoder) keys(n ast.Node, typ reflect.Type, path string) error {
	n = strip(n)
	if n == nil || n.Type() == ast.NullType {
		return nil
	}
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	if p := reflect.New(typ); p.CanInterface() {
		if _, ok := p.Interface().(interface{ UnmarshalYAML(func(any) error) error }); ok {
			return nil
		}
		if u, ok := p.Interface().(encoding.TextUnmarshaler); ok {
			return d.leaf(n, u)
		}
	}
	switch typ.Kind() {
	case reflect.Struct:
		return d.structKeys(n, typ, path)
	case reflect.Slice:
		if seq, ok := n.(*ast.SequenceNode); ok {
			for _, v := range seq.Values {
				if err := d.keys(v, typ.Elem(), path); err != nil {
					return err
				}
			}
			return nil
		}
		return d.at(n.GetToken(), "%q needs a list: begin each entry with a dash, or write [a, b]", path)
	case reflect.Map:
		for _, kv := range pairsOf(n) {
			if err := d.keys(kv.Value, typ.Elem(), path+"."+kv.Key.String()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *decoder) structKeys(n ast.Node, typ reflect.Type, path string) error {
	fields := fieldsOf(typ)
	if _, ok := n.(*ast.MappingNode); !ok {
		if _, ok := n.(*ast.MappingValueNode); !ok {
			return d.at(n.GetToken(), "%q needs keys below it: %s", path, strings.Join(names(fields), ", "))
		}
	}
	for _, kv := range pairsOf(n) {
		key := kv.Key.GetToken().Value
		field, ok := fields[key]
		if !ok {
			return d.unknown(kv.Key.GetToken(), key, path, names(fields))
		}
		if err := d.keys(kv.Value, field, strings.TrimPrefix(path+"."+key, ".")); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) unknown(tk *token.Token, key, path string, known []string) error {
	where := "at the top"
	if path != "" {
		where = fmt.Sprintf("under %q", path)
	}
	if best := Nearest(key, known); best != "" {
		return d.at(tk, "unknown key %q %s; did you mean %q?", key, where, best)
	}
	return d.at(tk, "unknown key %q %s; known are %s", key, where, strings.Join(known, ", "))
}

func (d *decoder) leaf(n ast.Node, u encoding.TextUnmarshaler) error {
	tk := n.GetToken()
	if tk == nil {
		return nil
	}
	if err := u.UnmarshalText([]byte(tk.Value)); err != nil {
		return d.at(tk, "%s", err)
	}
	return nil
}

// check asks every part that is a Checker, innermost first.
func (d *decoder) check(n ast.Node, v reflect.Value) error {
	n = strip(n)
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if n == nil || !v.IsValid() {
		return nil
	}
	switch v.Kind() {
	case reflect.Struct:
		for _, kv := range pairsOf(n) {
			if f := fieldByKey(v, kv.Key.GetToken().Value); f.IsValid() {
				if err := d.check(kv.Value, f); err != nil {
					return err
				}
			}
		}
	case reflect.Slice:
		if seq, ok := n.(*ast.SequenceNode); ok {
			for i, e := range seq.Values {
				if i < v.Len() {
					if err := d.check(e, v.Index(i)); err != nil {
						return err
					}
				}
			}
		}
	}
	if !v.CanAddr() {
		return nil
	}
	if c, ok := v.Addr().Interface().(Checker); ok {
		if err := c.Check(); err != nil {
			return d.at(firstToken(n), "%s", err)
		}
	}
	return nil
}

// firstToken is the first token of a part, since a mapping's own token is its first colon.
func firstToken(n ast.Node) *token.Token {
	if kv := pairsOf(n); len(kv) > 0 {
		return kv[0].Key.GetToken()
	}
	return n.GetToken()
}

func strip(n ast.Node) ast.Node {
	for {
		switch x := n.(type) {
		case *ast.TagNode:
			n = x.Value
		case *ast.AnchorNode:
			n = x.Value
		default:
			return n
		}
	}
}

func pairsOf(n ast.Node) []*ast.MappingValueNode {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}
	}
	return nil
}

func yamlKey(f reflect.StructField) (key string, inline bool) {
	tag := f.Tag.Get("yaml")
	key, options, _ := strings.Cut(tag, ",")
	return key, strings.Contains(options, "inline")
}

func fieldsOf(typ reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for f := range typ.Fields() {
		key, inline := yamlKey(f)
		switch {
		case inline:
			for k, v := range fieldsOf(f.Type) {
				fields[k] = v
			}
		case key != "" && key != "-":
			fields[key] = f.Type
		}
	}
	return fields
}

func fieldByKey(v reflect.Value, want string) reflect.Value {
	for f, value := range v.Fields() {
		key, inline := yamlKey(f)
		if inline {
			if sub := fieldByKey(value, want); sub.IsValid() {
				return sub
			}
		} else if key == want {
			return value
		}
	}
	return reflect.Value{}
}

func names(fields map[string]reflect.Type) []string {
	out := make([]string, 0, len(fields))
	for k := range fields {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// Nearest is the word of known that a person who wrote word most likely meant, "" when none is near.
func Nearest(word string, known []string) string {
	best, least := "", max(2, len(word)/3)+1
	for _, k := range known {
		if n := distance(strings.ReplaceAll(word, "_", ""), strings.ReplaceAll(k, "_", "")); n < least {
			best, least = k, n
		}
	}
	return best
}

// distance is the number of letters to insert, drop or replace to get from a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
