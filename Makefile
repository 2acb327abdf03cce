# The words a person types; each does its own set-up. `make help` lists them.
.DEFAULT_GOAL := build
GO ?= go
TOOL = $(GO) tool -modfile=tools/go.mod
FUZZTIME ?= 30s

PAGE = output/web/ui
PAGE_SOURCES = $(shell find $(PAGE)/src $(PAGE)/public $(PAGE)/index.html $(PAGE)/*.ts $(PAGE)/*.js -type f 2>/dev/null)

.PHONY: help page build demo test check bench bench-flow bench-snmp bench-store bench-fwlog fuzz man packages clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

build: page ## bin/varde, and bin/varde-agentx for mail relays
	@mkdir -p bin
	$(GO) build -trimpath -o bin/varde ./cmd/varde
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags='-s -w' -o bin/varde-agentx ./cmd/varde-agentx

page: $(PAGE)/dist/index.html ## the web page, which the program holds; needs node and npm

$(PAGE)/node_modules: $(PAGE)/package-lock.json
	cd $(PAGE) && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

$(PAGE)/dist/index.html: $(PAGE)/node_modules $(PAGE_SOURCES)
	cd $(PAGE) && npm run --silent check && npm run --silent build
	@touch $@

demo: build ## everything on loopback with its own sample traffic
	@bin/varde demo

test: build ## all tests; those against real Debian programs skip with a word where one is missing
	$(GO) vet ./...
	$(GO) test ./...
	cd tools && $(GO) test ./...

check: ## format, vet, staticcheck, unreachable code, race tests of the core
	@unformatted=$$($(TOOL) gofumpt -l $$(git ls-files '*.go')); test -z "$$unformatted" || { echo "run gofumpt -w on:"; echo "$$unformatted"; exit 1; }
	$(GO) vet ./...
	$(TOOL) staticcheck ./...
	@dead=$$($(TOOL) deadcode -test ./...); test -z "$$dead" || { echo "never called:"; echo "$$dead"; exit 1; }
	$(GO) test -race -short ./event/... ./core/... ./input/flow ./input/syslog/... ./input/follow/... ./output/warn/...

bench: ## benchmarks of every package, and the flow decoder beside goflow2
	$(GO) test -run '^$$' -bench . -benchmem ./...
	cd tools && $(GO) test -run '^$$' -bench . -benchmem ./...

bench-flow: build ## paced loopback sender against nfcapd, goflow2 and varde; takes some minutes
	cd tools && $(GO) run ./benchflow

bench-store: ## 100 million flows stored and asked, beside nfdump; takes a quarter of an hour and 12 GB
	cd tools && $(GO) run ./benchstore

bench-snmp: ## walks through snmpd, with amavisd-snmp-subagent and then varde behind it
	$(GO) test -run '^$$' -bench Beside -benchtime 3s ./cmd/snmp

bench-fwlog: ## perl, psad, fwlogwatch and varde on the same firewall log; takes some minutes
	cd tools && $(GO) run ./benchfwlog

fuzz: ## every fuzz target for FUZZTIME each
	tools/fuzz.sh $(FUZZTIME)

man: build ## man pages under bin/man
	bin/varde man bin/man

packages: ## the Debian programs that the tests talk to (needs root)
	tools/debian-packages.sh

clean: ## what make made
	rm -rf bin $(PAGE)/dist $(PAGE)/node_modules
