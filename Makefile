# The commands of this repository. `make run` and `make test` set up whatever is missing first.
SHELL := /bin/bash

# Continuous integration starts from a fresh clone: keep what was compiled outside of it.
ifeq ($(CI),true)
export CARGO_TARGET_DIR ?= $(HOME)/.cache/tidegate/target
endif

.PHONY: run test bench

run: ## Build, then start the demo: Central, an edge, modules and downstream devices
	@. xtask/setup.sh run && cargo xtask demo $(ARGS)

test: ## Everything: format, lints, tidy, dependencies, unit and integration tests, real SDKs, real browser
	@. xtask/setup.sh test && cargo xtask test $(ARGS)

bench: ## Load scenarios against peers; writes bench/RESULTS.md
	@. xtask/setup.sh bench && cargo xtask bench $(ARGS)
