package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"varde/cmd/config"
)

// TestExamplesOfTheManual: what the pages about logs and detection show of a configuration is one.
func TestExamplesOfTheManual(t *testing.T) {
	begins := regexp.MustCompile(`^ {4}(network|netflow|syslog|logs|firewall|incidents|detection|geo|warn): ?`)
	found := 0
	for _, name := range []string{"firewall", "logs", "detection", "warnings", "fireplot"} {
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
	if found < 4 {
		t.Errorf("%d examples found, want 4 or more", found)
	}
}
