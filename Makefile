# Everything of the project. `make help` lists the targets.

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
PREFIX   ?= /usr/local
DESTDIR  ?=
GO       ?= go
GOFLAGS  += -trimpath
LDFLAGS   = -s -w -X main.version=$(VERSION)
FUZZTIME ?= 30s

export CGO_ENABLED ?= 0

MIX = cd elixir-harness && MIX_ENV=test LC_ALL=C.UTF-8 mix

.PHONY: help all build arm64 deps test test-go test-elixir lint lint-go lint-elixir demo bench bench-elixir fuzz golden install clean

help: ## list the targets
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

all: build

build: ## bin/linx-process and bin/linx-run, static and stripped
	$(GO) build $(GOFLAGS) -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

arm64: ## the same for linux/arm64, in bin/arm64
	GOARCH=arm64 $(GO) build $(GOFLAGS) -ldflags '$(LDFLAGS)' -o bin/arm64/ ./cmd/...
	GOARCH=arm64 $(GO) vet ./...

deps: ## what the tests need of Debian (as root), or a line that says what is missing
	@test/deps

test: test-go test-elixir ## all tests; MUST_WORK=1 turns every skip into a failure

test-go: deps build
	$(GO) test -shuffle=on ./...
	CGO_ENABLED=1 $(GO) test -race -shuffle=on ./child/... ./agent/... ./relay/... ./client/...

test-elixir: deps build
	$(MIX) test

lint: lint-go lint-elixir ## formatting, go vet, staticcheck, warnings, dialyzer

lint-go:
	@out=$$($(GO) tool gofumpt -l .); test -z "$$out" || { echo "gofumpt would change:"; echo "$$out"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

lint-elixir: deps
	$(MIX) format --check-formatted
	$(MIX) compile --warnings-as-errors
	$(MIX) linx_process.dialyzer

demo: build ## the main job on real input, with the frames of both directions
	@test/demo

bench: build ## speed, side by side and as ratios
	$(GO) test -run '^$$' -bench . -benchmem ./etf ./proto ./relay
	$(GO) run ./test/bench

bench-elixir: deps build ## the same seen from a BEAM
	cd elixir-harness && LINX_PROCESS=$(CURDIR)/bin/linx-process MIX_ENV=prod LC_ALL=C.UTF-8 mix run bench/bench.exs

golden: ## write the golden files anew
	$(GO) test ./test -run TestExplain -update

fuzz: ## every fuzz target for FUZZTIME (30s)
	@for p in ./etf ./proto ./seccomp; do \
		for f in $$($(GO) test -list '^Fuzz' $$p | grep ^Fuzz); do \
			$(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$p || exit 1; \
		done; \
	done

install: build ## into PREFIX (/usr/local) below DESTDIR
	install -D -m 0755 bin/linx-process $(DESTDIR)$(PREFIX)/bin/linx-process
	install -D -m 0755 bin/linx-run $(DESTDIR)$(PREFIX)/bin/linx-run
	install -D -m 0644 docs/linx-process.1 $(DESTDIR)$(PREFIX)/share/man/man1/linx-process.1
	install -D -m 0644 docs/linx-run.1 $(DESTDIR)$(PREFIX)/share/man/man1/linx-run.1

clean: ## remove what was built
	rm -rf bin elixir-harness/_build elixir-harness/priv/linx-process
