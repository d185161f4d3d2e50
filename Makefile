# The project's commands. `make` alone lists them.
#
#   ARGS='...'   is handed on to the program of `run`, `soak`, `bench` and the like

CARGO ?= cargo
IMAGE ?= merit:latest
ENGINE ?= $(shell command -v docker || command -v podman)

.DEFAULT_GOAL := help
.PHONY: help run install test lint bench docs image soak bench-gateway bench-routing

help: ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-14s %s\n", $$1, $$2 }'

run: ## the gateway (ARGS='serve --config FILE')
	$(CARGO) run --locked --release -- $(ARGS)

install: ## what the tests need beside Rust
	./tests/install.sh

# One run of cargo is one summary at the end; --no-fail-fast so that it is whole.
test: install ## install what is missing, then run every test (under 30 minutes on 2 cores)
	$(CARGO) test --locked --no-fail-fast $(ARGS)

lint: ## format, clippy, documentation, and licences where cargo-deny is installed
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps --document-private-items
	@if $(CARGO) deny --version >/dev/null 2>&1; then \
		$(CARGO) deny --config .deny.toml check; \
	else echo 'lint: cargo-deny is not installed; licences and advisories were not checked'; fi

bench: ## criterion benches
	$(CARGO) bench --locked --bench decide --bench relay -- $(ARGS)
	$(CARGO) bench --locked --bench ledger

docs: ## the API documentation, into target/doc
	$(CARGO) doc --locked --no-deps
	@echo 'docs: open target/doc/merit/index.html'

image: ## the container image (IMAGE=name:tag)
	@if [ -z '$(ENGINE)' ]; then echo 'image: needs docker or podman' >&2; exit 69; fi
	$(ENGINE) build --tag $(IMAGE) .

# The long form of the tests that prove more the longer they run: requests (random
# faults, and the ledger reconciled), budgets met by 200 callers, kill -9, hang-ups.
SOAK_REQUESTS ?= 10000
SOAK_BUDGETS ?= 1000
SOAK_KILLS ?= 50
SOAK_HANGUPS ?= 1000
SOAK = MERIT_SOAK=$(SOAK_REQUESTS) MERIT_SOAK_REQUESTS=$(SOAK_REQUESTS) MERIT_SOAK_BUDGETS=$(SOAK_BUDGETS) \
	MERIT_SOAK_KILLS=$(SOAK_KILLS) MERIT_SOAK_HANGUPS=$(SOAK_HANGUPS)
soak: install ## the tests in their long form (SOAK_REQUESTS, SOAK_BUDGETS, SOAK_KILLS, SOAK_HANGUPS)
	$(SOAK) $(CARGO) test --locked --release --test it -- --nocapture --test-threads 1 $(ARGS) soak

bench-gateway: ## CPU, latency and memory beside nginx and a direct call
	./tests/install.sh bench
	$(CARGO) build --locked --release
	$(CARGO) bench --locked --bench gateway -- --merit target/release/merit $(ARGS)

# Without DATA a made-up market with the moments of the recorded one. DATA is a folder
# with market/endpoints_daily.csv.gz, traces/trace_azure2023_*.csv.gz,
# traces/trace_mooncake_synthetic.jsonl.gz and
# quality/quality_{zeroeval,mmlupro}_{prompts,outcomes,models}.csv[.gz]
# (docs/replay.md has the formats).
REPLAYED = $(if $(DATA),--endpoints $(DATA)/market/endpoints_daily.csv.gz \
	--trace $(DATA)/traces/trace_azure2023_conv.csv.gz \
	--trace $(DATA)/traces/trace_azure2023_code.csv.gz,--generate)
REPLAY = $(CARGO) run --locked --release --quiet -- replay market $(REPLAYED) $(ARGS)
REPLAY_QUALITY = $(CARGO) run --locked --release --quiet -- replay quality
CACHE = $(CARGO) run --locked --release --quiet -- replay cache \
	--trace $(DATA)/traces/trace_mooncake_synthetic.jsonl.gz
bench-routing: ## dollars, latency, quality and regret on made-up markets, or on recorded ones (DATA=folder)
	@for value in 2e-5 2e-4 2e-3; do \
		echo; echo "USD $$value per second, published prior"; $(REPLAY) --usd-per-second $$value; \
		echo; echo "USD $$value per second, no prior"; $(REPLAY) --usd-per-second $$value --prior none --only-merit; \
	done
	@for prior in published none; do \
		echo; echo "USD 2e-4 per second, prior $$prior, no waves"; $(REPLAY) --waves 0 --prior $$prior --only-merit; \
		echo; echo "USD 2e-4 per second, prior $$prior, 100 requests a regime"; $(REPLAY) --requests 100 --prior $$prior --only-merit; \
	done
	@[ -z '$(DATA)' ] || for endpoints in 8 32; do echo; echo "prompt caches, $$endpoints endpoints"; $(CACHE) --endpoints $$endpoints; done
	@[ -z '$(DATA)' ] || for set in zeroeval mmlupro; do \
		echo; echo "quality, $$set"; $(REPLAY_QUALITY) --prompts $(DATA)/quality/quality_$${set}_prompts.csv.gz \
			--outcomes $(DATA)/quality/quality_$${set}_outcomes.csv.gz --models $(DATA)/quality/quality_$${set}_models.csv; \
	done
