package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"varde/cmd/config"
	"varde/event/query"
)

// TestExamplesOfTheManual: what the pages about logs and detection show of a configuration is one.
func TestExamplesOfTheManual(t *testing.T) {
	begins := regexp.MustCompile(`^ {4}(network|netflow|syslog|logs|firewall|incidents|detection|geo|warn|store|lists|allow|dnsbl|web|mail|agentx): ?`)
	found := 0
	for _, name := range []string{"firewall", "logs", "detection", "warnings", "fireplot", "store", "lists", "outputs", "mail", "snmp"} {
		page, err := os.ReadFile(filepath.Join("..", "..", "docs", name+".md"))
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range strings.Split(string(page), "\n\n") {
			if !begins.MatchString(block) {
				continue
			}
			found++
			text := strings.ReplaceAll(block, "\n    ", "\n")[4:]
			if _, err := config.Parse(name+".md", []byte(text+"\n")); err != nil {
				t.Errorf("%v:\n%s", err, text)
			}
		}
	}
	if found < 10 {
		t.Errorf("%d examples found, want 10 or more", found)
	}
}

// TestFiltersOfTheManual: what the page of the filter language shows is a filter.
func TestFiltersOfTheManual(t *testing.T) {
	page, err := os.ReadFile("../../docs/filter.md")
	if err != nil {
		t.Fatal(err)
	}
	found, fenced := 0, false
	for line := range strings.Lines(string(page)) {
		if strings.HasPrefix(line, "```") {
			fenced = !fenced // an error is shown there
		}
		filter, ok := strings.CutPrefix(line, "    ")
		if !ok || fenced {
			continue
		}
		found++
		if _, err := query.Parse(strings.TrimSpace(filter)); err != nil {
			t.Errorf("%s%v", line, err)
		}
	}
	if found < 30 {
		t.Errorf("%d filters found, want 30 or more", found)
	}
}
