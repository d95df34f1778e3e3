# What to do with this tree. Each target first sees to it that the machine has
# what the target needs (.ci/setup); as root on Debian or Ubuntu it installs it.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c

GO       ?= go
TOOL     := $(GO) tool -modfile=go.tool.mod
# A count, not a time: go test may take the end of a time for a failure.
FUZZTIME ?= 5000x
ARGS     ?=

.PHONY: help
help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | column -t -s $$'\t'

.PHONY: demo
demo: build ## Run the whole signing cycle on this machine: make demo ARGS="…"
	@.ci/setup demo
	@exec bin/reprosign-demo $(ARGS)

.PHONY: build
build: ## Build all programs into bin/
	@.ci/setup build
	$(GO) build -trimpath -o bin/ ./cmd/...

.PHONY: check
check: ## Look for everything that reads wrong, without running it
	@.ci/setup check
	@out=$$($(TOOL) gofumpt -l .); test -z "$$out" || { echo "gofumpt would change:"; echo "$$out"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags long,bench ./...
	@out=$$($(GO) fix -diff ./... 2>&1) || true; test -z "$$out" || { echo "go fix would change:"; echo "$$out"; exit 1; }
	$(TOOL) golangci-lint run ./...
	@out=$$($(TOOL) deadcode -test -tags long,bench ./...); test -z "$$out" || { echo "$$out"; exit 1; }

.PHONY: test
test: ## Run the tests, with the race detector, in random order
	@.ci/setup test
	$(GO) test -race -shuffle=on -timeout 10m ./...

.PHONY: test-long
test-long: ## Run the long tests (build tag long), then every fuzz target for FUZZTIME
	@.ci/setup long
	$(GO) test -tags long -shuffle=on -timeout 40m -run '^TestLong' ./...
	GO="$(GO)" .ci/fuzz $(FUZZTIME)

.PHONY: bench
bench: ## Measure: benchmarks, then the load tests (build tag bench)
	@.ci/setup bench
	$(GO) test -run '^$$' -bench . -benchmem ./...
	$(GO) test -tags bench -run '^TestBench' -v -timeout 60m ./...

.PHONY: setup
setup: ## Install what any target needs
	@.ci/setup all
