# Dais. `make` alone lists what there is; every target does the set-up that it needs, once.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV ?= .venv
export VENV

# DATA_DIR=DIR keeps the installation somewhere else than in the user's data directory.
ifdef DATA_DIR
export DAIS_DATA_DIR := $(abspath $(DATA_DIR))
endif

BIN := $(VENV)/bin

# A file's tests run one after the other and share what is dear, several files at once: the longest first, as they are
# collected. None of them measures time or uses the machine up; those that do are marked `alone`. Half of the time they
# wait, for processes, daemons and disks: four files keep two cores busy, two would not.
ABREAST := --dist loadfile --no-loadscope-reorder --numprocesses

.PHONY: help
help: ## List the targets
	@printf 'Dais, a self-hosted AI compute platform.\n\n'
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@printf '\nVariables:\n'
	@printf '  %-15s %s\n' 'DATA_DIR=DIR' 'where the installation keeps its data (make run)'
	@printf '  %-15s %s\n' 'PORT=N' 'the port that it listens on (make run)'
	@printf '  %-15s %s\n' 'PYTHON=PATH' 'the interpreter of a new virtual environment (>= 3.11)'
	@printf '  %-15s %s\n' 'TESTS=PATHS' 'only these tests (make test)'
	@printf '  %-15s %s\n' 'BENCH=NAMES' 'only these benches (make bench)'

.PHONY: run
run: system setup ## Start Dais, train a first model on it, and leave it running
	@$(BIN)/python scripts/first_run.py $(if $(PORT),--port $(PORT))

.PHONY: setup
setup: ## Make the virtual environment with what running needs
	@scripts/setup.sh server

.PHONY: setup-dev
setup-dev:
	@scripts/setup.sh dev

.PHONY: system
system: ## Install the system packages that make the sandbox strong (as root; else say what is missing)
	@scripts/system.sh

.PHONY: test
test: system setup-dev ## Run the tests (a quarter of an hour); what was skipped is listed with its reason at the end
	@$(BIN)/python -m pytest -raR $(if $(TESTS),$(TESTS),-m 'not slow' $(ABREAST) 4)

.PHONY: test-slow
test-slow: system setup-dev ## Run the tests that take long, two files at once, then those that need the machine alone
	@failed=0; \
	$(BIN)/python -m pytest -raR -m 'slow and not alone' $(ABREAST) 2 || failed=$$?; \
	$(BIN)/python -m pytest -raR -m 'slow and alone' || failed=$$?; \
	exit $$failed

.PHONY: chaos
chaos: system setup-dev ## Kill, fill, cut and jump at random, and check that nothing was lost (SEEDS=N, SEED=N, POINTS=1)
	@$(BIN)/python -m tests.chaos $(if $(POINTS),--points) $(if $(SEED),--seed $(SEED)) $(if $(SEEDS),--seeds $(SEEDS))

.PHONY: bench
bench: system ## Measure Dais beside its peers and limits, and append to bench/RESULTS.md (BENCH=NAMES; QUICK=1)
	@VENV=.venv-bench scripts/setup.sh bench
	@.venv-bench/bin/python -m bench $(BENCH) $(if $(QUICK),--quick)

.PHONY: lint
lint: setup-dev ## Check style, formatting and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

.PHONY: format
format: setup-dev ## Rewrite the sources in the project's format
	@$(BIN)/ruff check --fix-only --exit-zero .
	@$(BIN)/ruff format .

.PHONY: docs
docs: setup ## Write the parts of docs/ that derive from the program
	@$(BIN)/python -m dais.cli.reference > docs/cli.md.new && mv docs/cli.md.new docs/cli.md
	@$(BIN)/python scripts/settings_reference.py > docs/settings.md.new && mv docs/settings.md.new docs/settings.md
	@$(BIN)/python scripts/actions_reference.py > docs/api-actions.md.new && mv docs/api-actions.md.new docs/api-actions.md

.PHONY: lock
lock: setup-dev ## Pin the requirements anew (UPGRADE=1 takes the newest versions)
	@$(BIN)/python scripts/lock.py $(if $(UPGRADE),--upgrade)

.PHONY: clean
clean: ## Remove the virtual environment, caches and build results (never the data directory)
	@rm -rf -- "$(VENV)" .venv-bench build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find src tests scripts bench -name __pycache__ -type d -prune -exec rm -rf {} +
