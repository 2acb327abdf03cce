package config

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestEmptyRuns(t *testing.T) {
	for _, text := range []string{"", "\n", "# nothing\n", "---\n", "null\n"} {
		c, err := Parse("x.yaml", []byte(text))
		if err != nil || len(c.Netflow.Listen) != 1 || len(c.Warn) != 1 || c.Warn[0].Console == nil {
			t.Errorf("%q: %v %+v", text, err, c)
		}
	}
}

func TestErrorsNameThePlace(t *testing.T) {
	for text, want := range map[string]string{
		"netwrk: {}\n":                                `x.yaml:1:1: unknown key "netwrk" at the top; did you mean "network"?`,
		"network:\n  own: [192.0.2.0/24\n":            `x.yaml:2:`,
		"netflow:\n  max_exporters: 0\n":              `x.yaml:2:3: max_exporters is 0; use 1 to 1048576`,
		"netflow:\n  buffer: much\n":                  `x.yaml:2:11: "much" is no size`,
		"netflow:\n  sockets: many\n":                 `x.yaml:2:12: a string stands here, expected a number`,
		"lists: {name: a}\n":                          `x.yaml:1:8: "lists" needs a list`,
		"lists:\n  - {name: a, file: b, url: c}\n":    `x.yaml:2:6: list "a" needs either a file or a url`,
		"warn:\n  - {console: {}, file: {path: x}}\n": `x.yaml:2:6: each entry under warn has exactly one of`,
		"warn:\n  - syslog: {address: nowhere}\n":     `x.yaml:2:14: address "nowhere": use udp://`,
		"incidents: 5\n":                              `x.yaml:1:12: "incidents" needs keys below it`,
		"a: 1\n---\nb: 2\n":                           `x.yaml:`,
	} {
		_, err := Parse("x.yaml", []byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q:\n got %v\nwant %s", text, err, want)
		}
	}
}

func TestEffectiveFormIsReadAgain(t *testing.T) {
	c, err := Parse("x.yaml", []byte("network: {own: [192.0.2.0/24]}\nnetflow: {listen: \":2055\", hold_time: 90s}\n"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.YAML()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse("y.yaml", b)
	if err != nil {
		t.Fatalf("%v in\n%s", err, b)
	}
	b2, err := again.YAML()
	if err != nil || string(b) != string(b2) {
		t.Errorf("%v\n%s\n%s", err, b, b2)
	}
}

func TestSchemaIsJSONAndDocumented(t *testing.T) {
	b, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Properties map[string]struct{ Description string }
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"data_dir", "network", "netflow", "lists", "allow", "incidents", "warn", "http"} {
		if doc.Properties[key].Description == "" {
			t.Errorf("%s has no description", key)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("network: {own: [192.0.2.0/24]}\nlists:\n  - {name: a, file: b}\n")
	f.Add("warn: [{console: {format: json}}]\n")
	f.Add("a: &x [*x]\n")
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := Parse("x", []byte(text)); err == nil {
			if _, err := c.YAML(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
