# Signet's commands. `make` alone lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Where rustup puts cargo, for shells that were open before it was installed.
export PATH := $(PATH):$(HOME)/.cargo/bin

# The harnesses that go through the C functions run optimised as well: what is
# wrong only there is wrong for every user.
OPTIMISED := $(patsubst tests/%.rs,--test %,$(wildcard tests/api.rs tests/vectors.rs tests/crowd.rs))

# How long the crowd of `make soak` works.
SOAK_MINUTES ?= 10

.PHONY: help demo test soak lint fuzz bench deps deny toolchain clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' Makefile

demo: toolchain deps ## show the main job with a real client, in a few minutes
	@examples/demo.sh

test: toolchain-lints deps python lint ## run every check and every test
	$(if $(OPTIMISED),cargo test --locked --release $(OPTIMISED))
	cargo test --locked --no-fail-fast

soak: toolchain deps ## crash, fail and crowd in every way (SOAK_MINUTES=10 of crowd)
	SOAK_MINUTES=$(SOAK_MINUTES) cargo test --locked --release --test crash -- --ignored

lint: toolchain-lints ## check format, lints and documentation
	cargo fmt --all --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc --locked --no-deps --document-private-items

# Coverage as libFuzzer wants it; no sanitizer, so that the stable compiler will do.
FUZZ_SECONDS ?= 60
FUZZ_FLAGS := -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
	-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
	-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing
FUZZ_BUILD = cargo build --release --manifest-path fuzz/Cargo.toml
FUZZ_TARGET = $$(rustc --print host-tuple)

# A stored credential may ask for 4 GiB of memory, which the limit refuses.
fuzz: toolchain deps ## run the fuzz targets, each for FUZZ_SECONDS
	RUSTC_BOOTSTRAP=1 RUSTFLAGS="$(FUZZ_FLAGS)" $(FUZZ_BUILD) --target $(FUZZ_TARGET)
	ulimit -v 3145728; for target in store_file object policy audit; do \
		mkdir -p fuzz/found/$$target fuzz/corpus/$$target; \
		fuzz/target/$(FUZZ_TARGET)/release/$$target -max_total_time=$(FUZZ_SECONDS) \
			-timeout=60 -rss_limit_mb=2048 -malloc_limit_mb=8192 -max_len=65536 \
			-artifact_prefix=fuzz/found/ fuzz/found/$$target fuzz/corpus/$$target; \
	done

bench: toolchain ## measure
	cargo bench --locked --benches

deps: ## install the Debian packages that are missing
	@.ci/deps

deny: ## check the dependencies against known advisories (needs cargo-deny and the network)
	cargo deny --locked check

clean: ## remove what was built
	cargo clean

.PHONY: python toolchain toolchain-lints
python:
	@.ci/python
toolchain:
	@.ci/toolchain
toolchain-lints:
	@.ci/toolchain --lints
